"""A YAML file as plain values with their locations.

The schema is the core schema of YAML 1.2: only true and false are booleans, so `content: off` and a country code `no`
are text, and `12:30` is not a number. PyYAML's own resolvers are those of YAML 1.1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from multibuild.errors import ConfigError
from multibuild.frozen import frozen
from multibuild.regular_file import is_file, is_folder, read_regular
from multibuild.terminal import shorten

KeyPath = tuple[str | int, ...]
"""The path of a value: ("platforms", 1, "timeout")."""

MAX_CONFIG_BYTES: Final = 256_000
"""A hundred times a long config; a YAML parser takes seconds for a megabyte."""

MAX_VALUES: Final = 50_000
"""More than any config needs; a few lines of nested aliases or merge keys expand to billions."""

MAX_ENTRIES: Final = 1000
"""Entries of one list or mapping: each platform has a copy of the arguments and labels of all."""

MAX_DEPTH: Final = 50
"""Values inside each other; a config has six levels, and Python's own stack a thousand."""

TOO_DEEP: Final = f"it is nested too deeply: more than {MAX_DEPTH} levels"

MAX_NUMBER: Final = 2**63 - 1
"""What other programs take for a whole number; Python does not write one of more than 4300 digits as text."""

MAX_QUOTED: Final = 80
"""Characters of a text that a message quotes."""

TEXT_MAPPINGS: Final = ("args", "labels", "annotations", "driver_opts")
"""The values of these mappings are text: 1.10 stays 1.10."""

_NO_FILE_HINT: Final = "`multibuild init` writes one; `--file` names another"

_TEMPLATE: Final = re.compile(r"\{\w+\}")
"""The start of a template for `publish.staging`, which YAML parses as a mapping."""

_CORE: Final = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of the core schema."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - how PyYAML spells it
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what is nested too deeply when it begins: PyYAML takes long for it, and then Python's whole stack."""
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _name, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), list(_first)
    )


@frozen
class Place:
    """Where a value stands: `FILE:LINE:COLUMN`, and its key in the file."""

    location: str
    key: KeyPath

    def __str__(self) -> str:
        return f"{self.location}: {dotted(self.key)}"


@frozen
class Document:
    """The values of a file, with the location (`FILE:LINE:COLUMN`) and the original text of each."""

    values: dict[str, Any]
    locations: dict[KeyPath, str]
    texts: dict[KeyPath, str]

    def location_of(self, key: KeyPath) -> str:
        """Return the location of `key`, or of its nearest parent."""
        while key not in self.locations:
            key = key[:-1]
        return self.locations[key]

    def place_of(self, key: KeyPath, path: Path) -> Place:
        """Return where `key` stands, or its nearest parent; the file alone where it has neither."""
        located = key
        while located and located not in self.locations:
            located = located[:-1]
        return Place(location=self.locations[located] if located else str(path), key=key)

    def sort_key(self, key: KeyPath) -> tuple[int, ...]:
        """Return line and column; values from the command line sort first."""
        numbers = self.location_of(key).rsplit(":", 2)[1:]
        return tuple(int(number) for number in numbers) if all(n.isdecimal() for n in numbers) else (0,)


def read_document(path: Path) -> Document:
    """Read a file whose root is a mapping; ConfigError with the location of a YAML error."""
    text = _read_text(path)
    node = _compose(text, str(path))
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        raise ConfigError(
            f"{path}:1:1: the file is empty", hint="`multibuild init` writes a commented example"
        )
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{_location(node, str(path))}: the file must be a mapping, not {_kind(node)}",
            hint="it starts like `version: 1`",
        )
    reader = _Reader(str(path))
    values: dict[str, Any] = reader.value(node, ())
    return Document(values=values, locations=reader.locations, texts=reader.texts)


def _read_text(path: Path) -> str:
    try:
        data = read_regular(path, MAX_CONFIG_BYTES)
    except FileNotFoundError:
        other = path.with_suffix(".yml" if path.suffix == ".yaml" else ".yaml")
        hint = f"there is {other.name}: --file {other}" if is_file(other) else _NO_FILE_HINT
        raise ConfigError(f"{path}: there is no such file", hint=hint) from None
    except OSError as error:
        hint = "name the file in it" if is_folder(path) else "`--file` names another"
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=hint) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        raise ConfigError(
            f"{_position(str(path), before)}: is not UTF-8 text", hint="save it as UTF-8"
        ) from None


def parse_value(text: str, key: KeyPath, origin: str) -> tuple[Any, dict[KeyPath, str], dict[KeyPath, str]]:
    """Parse a value of `--set` as YAML; return the value, its locations (`origin`) and its texts."""
    try:
        node = _compose(text, origin)
    except ConfigError:
        # YAML requires quotes around `{image}-{arch}`, and the shell removed those that were typed.
        if not _TEMPLATE.match(text):
            raise
        return text, {key: origin}, {key: text}
    if node is None:
        return ("" if _is_text(key) else None), {key: origin}, {key: text}
    reader = _Reader(origin)
    value = reader.value(node, key)
    return value, dict.fromkeys(reader.locations, origin), reader.texts


class _Reader:
    """Converts YAML nodes to values and records their locations."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: set[int] = set()
        self._count = 0
        self.locations: dict[KeyPath, str] = {}
        self.texts: dict[KeyPath, str] = {}

    def value(self, node: yaml.Node, key: KeyPath) -> Any:
        self.locations.setdefault(key, _location(node, self._name))
        self._count += 1
        if self._count > MAX_VALUES:
            message = f"more than {MAX_VALUES} values, with its aliases written out"
            raise self._error(node, message, "remove the aliases")
        if isinstance(node, yaml.ScalarNode):
            self.texts[key] = self._text(node)
            return self._scalar(node, self.texts[key], key)
        self._check_collection(node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
                return [self.value(item, (*key, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))
        raise self._unknown_tag(node)

    def _check_collection(self, node: yaml.Node) -> None:
        if id(node) in self._open:
            raise self._error(node, "an alias that contains itself", "write the value out")
        if len(self._open) >= MAX_DEPTH:
            raise self._error(node, TOO_DEEP, "a config has a few levels")
        if len(node.value) > MAX_ENTRIES:
            raise self._error(node, f"more than {MAX_ENTRIES} entries", "is this the right file?")

    def _mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, item in node.value:
            if name.tag == "tag:yaml.org,2002:merge":
                self._merge(item, key, merged)
                continue
            if not isinstance(name, yaml.ScalarNode):
                hint = "${NAME} at the start of a value needs quotes"
                raise self._error(name, f"a key must be text, not {_kind(name)}", hint)
            text = self._text(name)
            if text in own:
                message = f"{shorten(dotted((*key, text)), MAX_QUOTED)}: is written twice"
                raise self._error(name, message, "keep one of them")
            self.locations[*key, text] = _location(name, self._name)
            own[text] = self.value(item, (*key, text))
        return {**merged, **own}

    def _merge(self, item: yaml.Node, key: KeyPath, merged: dict[str, Any]) -> None:
        """Add the values of the mappings after `<<`, of which an earlier one wins; a later `<<` wins over them."""
        before = dict(merged)
        merged.clear()
        for source in item.value if isinstance(item, yaml.SequenceNode) else [item]:
            for name, value in self._merge_source(source, key).items():
                merged.setdefault(name, value)
        for name, value in before.items():
            merged.setdefault(name, value)

    def _merge_source(self, node: yaml.Node, key: KeyPath) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            hint = "like `<<: *name` of a mapping"
            raise self._error(node, f"`<<` takes a mapping, not {_kind(node)}", hint)
        values: dict[str, Any] = self.value(node, key)
        return values

    def _text(self, node: yaml.ScalarNode) -> str:
        """Return the text of a scalar; ConfigError for characters that no argument of a program can have."""
        text = _join_surrogates(node, self._name)
        if "\0" in text:
            raise self._error(node, "a NUL character", "remove it")
        return text

    def _scalar(self, node: yaml.ScalarNode, text: str, key: KeyPath) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind in {"str", "merge"} or (kind in {"int", "float"} and _is_text(key)):
            return text
        if kind not in _SCALARS:
            raise self._unknown_tag(node)
        value = _SCALARS[kind](text)
        if value is _INVALID:
            message = f"'{shorten(text, MAX_QUOTED)}' is no {kind}"
            raise self._error(node, message, "quotes make it text")
        if value is _TOO_LARGE:
            message = f"the number {shorten(text, MAX_QUOTED)} is too large"
            raise self._error(node, message, "quotes make it text")
        return value

    def _unknown_tag(self, node: yaml.Node) -> ConfigError:
        tag = shorten(node.tag, MAX_QUOTED)
        return self._error(node, f"the tag '{tag}' means nothing here", "remove the tag")

    def _error(self, node: yaml.Node, message: str, hint: str) -> ConfigError:
        return ConfigError(f"{_location(node, self._name)}: {message}", hint=hint)


_INVALID: Final = object()
_TOO_LARGE: Final = object()


def _integer(text: str) -> object:
    if not re.fullmatch(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", text):
        return _INVALID
    if len(text) > len(str(MAX_NUMBER)) + 1:  # int() would refuse 4300 digits, and take long below that
        return _TOO_LARGE
    value = int(text, 0 if text.startswith(("0o", "0x")) else 10)
    return value if abs(value) <= MAX_NUMBER else _TOO_LARGE


def _float(text: str) -> object:
    try:
        value = float(text)
    except ValueError:
        return _INVALID
    return value if math.isfinite(value) else _TOO_LARGE


_SCALARS: Final[Mapping[str, Callable[[str], object]]] = {
    "null": lambda text: None if text.lower() in {"", "~", "null"} else _INVALID,
    "bool": lambda text: {"true": True, "false": False}.get(text.lower(), _INVALID),
    "int": _integer,
    "float": _float,
}
"""The core schema's scalars by the last part of their tag: text → value."""


def dotted(key: Iterable[str | int]) -> str:
    """Return a key path in the form of `--set`: `platforms.1.timeout`."""
    return ".".join(str(part) for part in key)


def _is_text(key: KeyPath) -> bool:
    in_image = len(key) == 3 and key[0] == "images"  # an image may be called `labels`
    return (len(key) > 1 and key[-2] in TEXT_MAPPINGS and not in_image) or key[:2] == ("bake", "vars")


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error, text, name) from None
    except yaml.YAMLError as error:
        what = getattr(error, "reason", None) or str(error).splitlines()[0]
        location = _position(name, text[: getattr(error, "position", 0)])
        raise ConfigError(f"{location}: is not YAML: {what}", hint="save it as plain UTF-8 text") from None
    return node


def _yaml_error(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    location = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    what = shorten(error.problem or error.context or "it cannot be read", 2 * MAX_QUOTED)
    line = (text.splitlines() or [""])[min(mark.line, len(text.splitlines()) - 1)] if mark and text else ""
    indent = line[: len(line) - len(line.lstrip())]
    tab = "\t" in indent or "\\t" in what
    hint = next(
        (hint for message, hint in _YAML_HINTS.items() if message in what), "check quotes and indentation"
    )
    if tab:
        hint = "indent with spaces: YAML allows no tabs there"
    if what == TOO_DEEP:
        return ConfigError(f"{location}: {what}", hint="a config has a few levels")
    return ConfigError(f"{location}: is not YAML: {what}", hint=hint)


_YAML_HINTS: Final = {
    "mapping values are not allowed": "a text that contains `: ` needs quotes; otherwise look at the indentation",
    "undefined alias": "a text that begins with `*` needs quotes",
    "unexpected end of stream": "a quote or bracket is never closed",
    "cannot start any token": "a text that begins with it needs quotes",
    "expected ',' or ": "a bracket is never closed, or a comma is missing",
    "expected <block end>": "look at the indentation: entries of one list or mapping begin in one column",
}
"""PyYAML's message → hint."""


def _position(name: str, before: str) -> str:
    """Return the location after the text `before`."""
    return f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _location(node: yaml.Node, name: str) -> str:
    return f"{name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _join_surrogates(node: yaml.ScalarNode, name: str) -> str:
    """Join surrogate pairs: JSON escapes a character beyond U+FFFF as two, which YAML reads one by one."""
    text: str = node.value
    try:
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ConfigError(
            f"{_location(node, name)}: half a character", hint="\\ud800 to \\udfff come in pairs"
        ) from None


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "a mapping" if isinstance(node, yaml.MappingNode) else f"'{shorten(node.value, MAX_QUOTED)}'"
