"""Gates: checks of each platform's child that must pass before any tag moves."""

# No `from __future__ import annotations`: pydantic would compile each annotation again.

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from multibuild.config.field_types import MAX_QUOTED, PlatformName, Seconds
from multibuild.config.gates.amounts import Growth, Size, quoted
from multibuild.config.problems import invalid
from multibuild.config.sections import Section
from multibuild.platforms import Platform
from multibuild.terminal import human_bytes, human_seconds, shorten

PLACEHOLDERS: Final = ("ref", "platform", "image", "slug")
"""What `run` can name of a child, each in braces."""

MAX_GATES: Final = 50
"""More than any project has; each runs once for each platform."""

DEFAULT_TIMEOUT_S: Final = 600.0
"""A scanner that has its database takes seconds; one that fetches it first, minutes."""

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_PLACEHOLDER: Final = re.compile(
    r"\{\{.{0,500}?\}\}|\$\{[^}]{0,500}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\}", re.DOTALL
)
"""A placeholder; what templates of Go and variables of a shell have in braces is none.

Longer ones than any that people write end there, so that hostile text takes no quadratic time.
"""


def _check_name(value: str) -> str:
    if _NAME.match(value):
        return value
    raise invalid(
        f"{quoted(value)} is no name of a gate: letters and digits, with '.', '_' or '-' between, at most 64",
        hint="like scan",
    )


def _check_run(words: tuple[str, ...]) -> tuple[str, ...]:
    for index, word in enumerate(words):
        for name in _names(word):
            if name not in PLACEHOLDERS:
                raise invalid(
                    f"'{{{shorten(name, MAX_QUOTED)}}}' is no placeholder", hint=_nearest(name), at=(index,)
                )
    if words and not words[0].strip():
        raise invalid("the program must not be empty", hint="like run: [./check.sh, '{ref}']", at=(0,))
    return words


def _names(word: str) -> Iterator[str]:
    yield from (match[1] for match in _PLACEHOLDER.finditer(word) if match[1])


def _nearest(name: str) -> str:
    near = get_close_matches(name[:MAX_QUOTED].lower(), PLACEHOLDERS, n=1)
    if near:
        return f"perhaps you meant '{{{near[0]}}}'"
    return f"there are {', '.join(f'{{{one}}}' for one in PLACEHOLDERS)}; braces of another meaning go into a script"


class Gate(Section):
    """A check of each platform's child before any tag moves: a program of this machine, or a limit on its size."""

    name: Annotated[str, AfterValidator(_check_name)]
    """Its name in messages, the report and the log's file name."""
    run: Annotated[tuple[str, ...], AfterValidator(_check_run), Field(min_length=1)] | None = None
    """The program and its arguments, as a list of words: no shell. {ref} is the child (repository@digest), {platform},
    {slug} and {image} its platform, that as a file name, and its repository. Exit code 0 lets the child pass."""
    timeout: Seconds | None = None
    """How long the program may take for one platform; 10m by default."""
    max: Size | None = None
    """The most that a node pulls: manifest and compressed layers, as 250MB or 250MiB."""
    growth: Growth | None = None
    """By how much that may grow, as 10%, against what the first tag holds now for the platform."""
    platforms: tuple[PlatformName, ...] = ()
    """The platforms that are checked; all by default."""
    required: bool = True
    """Whether a child that does not pass holds back every tag; false: it is reported."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        limits = [key for key in ("max", "growth") if getattr(self, key) is not None]
        if self.run is not None and limits:
            raise invalid(
                "a gate is a program or a limit on the size", hint="write two gates", at=(limits[0],)
            )
        if self.run is None and not limits:
            raise invalid(
                "has nothing to check", hint="write run: [PROGRAM, '{ref}'], max: 250MB or growth: 10%"
            )
        if self.run is None and self.timeout is not None:
            raise invalid("a limit on the size takes no time", hint="remove it", at=("timeout",))
        return self

    @property
    def timeout_s(self) -> float:
        """Return the time of the program for one platform."""
        return DEFAULT_TIMEOUT_S if self.timeout is None else self.timeout

    @property
    def uses_ref(self) -> bool:
        """Whether the program is told the child's reference."""
        return any("ref" in _names(word) for word in self.run or ())

    def applies_to(self, platform: Platform) -> bool:
        """Whether a platform's child is checked."""
        return not self.platforms or platform in self.platforms

    def command(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Return the program and its arguments with the placeholders replaced by their values."""

        def replaced(match: re.Match[str]) -> str:
            return values[match[1]] if match[1] else match[0]

        return tuple(_PLACEHOLDER.sub(replaced, word) for word in self.run or ())

    def limits(self) -> str:
        """Return what is checked of the size, or how long the program may take, in words."""
        if self.run is not None:
            return f"timeout {human_seconds(self.timeout_s)}"
        texts = [f"at most {human_bytes(self.max)}"] if self.max is not None else []
        texts += [f"growth at most {self.growth:g}%"] if self.growth is not None else []
        return ", ".join(texts)
