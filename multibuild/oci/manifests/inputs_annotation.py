"""What an index says of its inputs: the annotation `io.multibuild.inputs`, of the index and of each entry.

It is a schema and words `name=value`, for people and for a later run. A text that is not exactly one that this version
writes says nothing. It holds digests only: no name of a base, no path, no value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Self

from multibuild.frozen import frozen
from multibuild.platforms import Platform

INPUTS_ANNOTATION = "io.multibuild.inputs"

SCHEMA = "1"
"""To be raised when the same inputs would make another child, or a word gets another meaning."""

_WORDS = re.compile(rf"{SCHEMA}( [a-z]+=[0-9a-z-]+)+")


@frozen
class EntryInputs:
    """What the child of an entry was built from, and what of it was proved before it was published.

    `inputs` is the digest of its fingerprint, `builder` that of the builder's settings and of multibuild's version.
    `content` is the mode of the proof of content, `ignore` the digest of what that ignored, `test` that of the smoke
    test that the child passed, or `-`.
    """

    inputs: str
    builder: str
    content: str
    ignore: str
    test: str

    @property
    def text(self) -> str:
        """The annotation's value."""
        words = (f"{item.name}={getattr(self, item.name)}" for item in fields(self))
        return " ".join((SCHEMA, *words))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse the annotation of an entry; None for a text that `text` does not give."""
        if not _WORDS.fullmatch(text):
            return None
        words = dict(word.split("=", 1) for word in text.split(" ")[1:])
        if list(words) != [item.name for item in fields(cls)]:
            return None
        parsed = cls(**words)
        return parsed if parsed.text == text else None

    def is_built_like(self, wanted: EntryInputs) -> bool:
        """Whether a build of what is `wanted` would have the same inputs."""
        return (self.inputs, self.builder) == (wanted.inputs, wanted.builder)

    def proves(self, wanted: EntryInputs) -> bool:
        """Whether all that is `wanted` of a child was proved of this one: `all` proves the entrypoint too."""
        enough = {"off": {"off", "entrypoint", "all"}, "entrypoint": {"entrypoint", "all"}, "all": {"all"}}
        content = self.content in enough.get(wanted.content, set())
        same = self.ignore == wanted.ignore or wanted.content == "off"
        return content and same and wanted.test in {"-", self.test}


@frozen
class InputsAnnotations:
    """The values of the annotation for an index: of its entries by platform, and its own, empty for none.

    An index has one only if each of its platforms has, and nothing changed while it was built.
    """

    entries: Mapping[Platform, str] = field(default_factory=dict)
    index: str = ""


NO_INPUTS = InputsAnnotations()


def index_text(digest: str) -> str:
    """Return the annotation of an index for the digest of everything that goes into it."""
    return f"{SCHEMA} inputs={digest}"
