"""Interpolate every text of a config, within bounds, and collect the problems."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

from multibuild.config.images.names import repository_name
from multibuild.config.interpolate import MAX_EXPANDED_CHARS, InterpolationError, Interpolator
from multibuild.config.problems import Problem, config_error
from multibuild.config.yaml_document import MAX_VALUES, Document, KeyPath

MAX_CONFIG_CHARS: Final = 4_000_000
"""Characters of all texts, interpolated and with aliases written out: no command line carries half of it."""

MAX_IMAGES_VALUES: Final = 2 * MAX_VALUES
"""Values of all images of a file, each with what it shares: 200 images with 500 each."""

NAME: Final = "{name}"
_NAME: Final = re.compile(r"(?<!\$)\{name\}")
"""`{name}`, but not the variable `${name}`."""

NAMED_KEYS: Final = frozenset(
    {
        "image",
        "tags",
        "destinations",
        "context",
        "dockerfile",
        "target",
        "args",
        "contexts",
        "labels",
        "cache",
        "platforms",
        "annotations",
        "publish",
    }
)
"""Keys in whose texts `{name}` is the image: what is built and where it goes, never a command."""


Kind = Literal["text", "tag", "record"]
"""Of a text: "record" is a list of attributes, as buildx takes them."""


class Expansions:
    """What variables became in the whole file: each text once, so that all images have the same values."""

    def __init__(self, document: Document, interpolator: Interpolator) -> None:
        self._document = document
        self._interpolator = interpolator
        self._results: dict[tuple[str, Kind], str | InterpolationError] = {}
        self._chars = 0
        self._values = 0

    def text(self, value: str, kind: Kind) -> str:
        """Return a text with its variables replaced; InterpolationError."""
        if (value, kind) not in self._results:
            self._results[value, kind] = self._interpolated(value, kind)
        result = self._results[value, kind]
        if isinstance(result, InterpolationError):
            raise result
        return result

    def _interpolated(self, value: str, kind: Kind) -> str | InterpolationError:
        interpolator = self._interpolator
        interpolate = {
            "tag": interpolator.interpolate_tag,
            "record": interpolator.interpolate_record,
            "text": interpolator.interpolate,
        }[kind]
        try:
            return interpolate(value)
        except InterpolationError as error:
            return error

    def count(self, key: KeyPath, chars: int) -> None:
        """Count one more value; ConfigError at `key` when they become too many or too long."""
        self._chars += chars
        self._values += 1
        if self._chars > MAX_CONFIG_CHARS:
            self._refuse(
                key, f"more than {MAX_CONFIG_CHARS} characters, with aliases and variables written out"
            )
        if self._values > MAX_IMAGES_VALUES:
            self._refuse(key, f"more than {MAX_IMAGES_VALUES} values in all images, with what they share")

    def _refuse(self, key: KeyPath, message: str) -> None:
        hint = "use shorter values" if "characters" in message else "write what differs into fewer images"
        raise config_error(self._document, [Problem(key=key, message=message, hint=hint)])


class Texts:
    """The texts of one image. `name` is what `{name}` becomes; `source` maps a key of the image to that of the file."""

    def __init__(
        self,
        expansions: Expansions,
        *,
        name: str = "",
        source: Callable[[KeyPath], KeyPath] = lambda key: key,
    ) -> None:
        self._expansions = expansions
        self._name = name
        self._source = source
        self.problems: list[Problem] = []

    def interpolated(self, value: Any, key: KeyPath) -> Any:
        """Return a tree of values with its texts interpolated; one with a problem stays as it is."""
        if isinstance(value, dict):
            self._expansions.count(key, 0)
            return {name: self.interpolated(item, (*key, name)) for name, item in value.items()}
        if isinstance(value, list):
            self._expansions.count(key, 0)
            return [self.interpolated(item, (*key, at)) for at, item in enumerate(value)]
        if not isinstance(value, str):
            self._expansions.count(key, 0)
            return value
        return self._text(value, key)

    def _text(self, value: str, key: KeyPath) -> str:
        named = _NAME.sub(self._name_in(key), value) if self._name and _takes_name(key) else value
        try:
            text = self._expansions.text(named, _kind(key))
        except InterpolationError as error:
            self._report(key, error.message, error.hint)
            return named
        if problem := _unusable(text):
            self._report(key, problem, "use another value")
            return ""
        self._expansions.count(self._source(key), len(text))
        return text

    def _name_in(self, key: KeyPath) -> str:
        return repository_name(self._name) if _is_repository(key) else self._name

    def _report(self, key: KeyPath, message: str, hint: str | None) -> None:
        self.problems.append(Problem(key=self._source(key), message=message, hint=hint))


def _takes_name(key: KeyPath) -> bool:
    in_test = key[0] == "platforms" and key[2:3] == ("test",)
    return key[0] in NAMED_KEYS and not in_test


def _is_repository(key: KeyPath) -> bool:
    """Whether a text names a repository, which has no capitals; of caches those in registries are."""
    return key[0] in {"image", "destinations", "cache"} or key[:2] == ("publish", "staging")


def _unusable(text: str) -> str:
    """Return why no program can be given a text; "" for one that can be."""
    if len(text) > MAX_EXPANDED_CHARS:
        return f"more than {MAX_EXPANDED_CHARS} characters"
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the environment (PEP 383)
        return "a variable in it is not UTF-8 text"
    return ""


def _kind(key: KeyPath) -> Kind:
    if key[0] == "tags" or key == ("publish", "carry_from"):
        return "tag"
    return "record" if key[0] == "secrets" or key[:2] in {("cache", "from"), ("cache", "to")} else "text"
