"""A YAML file as plain values with their locations.

The schema is the core schema of YAML 1.2: only true and false are booleans, so `content: off` and a country code `no`
are text, and `12:30` is not a number. PyYAML's own resolvers are those of YAML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from multibuild.errors import ConfigError
from multibuild.frozen import frozen

KeyPath = tuple[str | int, ...]
"""The path of a value: ("platforms", 1, "timeout")."""

MAX_VALUES: Final = 50_000
"""More than any config needs; a few lines of nested aliases expand to billions."""

TEXT_MAPPINGS: Final = ("args", "labels", "annotations", "driver_opts")
"""The values of these mappings are text: 1.10 stays 1.10."""

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


for _name, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), list(_first)
    )


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

    def sort_key(self, key: KeyPath) -> tuple[int, ...]:
        """Return line and column; values from the command line sort first."""
        numbers = self.location_of(key).rsplit(":", 2)[1:]
        return tuple(int(number) for number in numbers) if all(n.isdecimal() for n in numbers) else (0,)


def read_document(path: Path) -> Document:
    """Read a file whose root is a mapping; ConfigError with the location of a YAML error."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file", hint="`multibuild init` writes one; `--file` names another"
        ) from None
    except OSError as error:
        hint = "name the file in it" if path.is_dir() else "`--file` names another"
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=hint) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: byte {error.start}", hint="save it as UTF-8") from None
    node = _compose(text, str(path))
    if node is None:
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
        self.locations: dict[KeyPath, str] = {}
        self.texts: dict[KeyPath, str] = {}

    def value(self, node: yaml.Node, key: KeyPath) -> Any:
        self.locations.setdefault(key, _location(node, self._name))
        if len(self.locations) > MAX_VALUES:
            message = f"more than {MAX_VALUES} values, with its aliases written out"
            raise self._error(node, message, "remove the aliases")
        if isinstance(node, yaml.ScalarNode):
            node.value = _join_surrogates(node, self._name)
            self.texts[key] = node.value
            return self._scalar(node, key)
        if id(node) in self._open:
            raise self._error(node, "an alias that contains itself", "write the value out")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
                return [self.value(item, (*key, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))
        raise self._error(node, f"the tag '{node.tag}' means nothing here", "remove the tag")

    def _mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, item in node.value:
            if name.tag == "tag:yaml.org,2002:merge":
                for source in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                    merged = {**self._merge_source(source, key), **merged}
                continue
            if not isinstance(name, yaml.ScalarNode):
                hint = "${NAME} at the start of a value needs quotes"
                raise self._error(name, f"a key must be text, not {_kind(name)}", hint)
            if name.value in own:
                message = f"{dotted((*key, name.value))}: is written twice"
                raise self._error(name, message, "keep one of them")
            self.locations[*key, name.value] = _location(name, self._name)
            own[name.value] = self.value(item, (*key, name.value))
        return {**merged, **own}

    def _merge_source(self, node: yaml.Node, key: KeyPath) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            hint = "like `<<: *name` of a mapping"
            raise self._error(node, f"`<<` takes a mapping, not {_kind(node)}", hint)
        values: dict[str, Any] = self.value(node, key)
        return values

    def _scalar(self, node: yaml.ScalarNode, key: KeyPath) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind in {"str", "merge"} or (kind in {"int", "float"} and _is_text(key)):
            return node.value
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() == "true"
        try:
            if kind == "int":
                return int(node.value, 0 if node.value.startswith(("0o", "0x")) else 10)
            if kind == "float":
                return float(node.value)
        except ValueError:
            raise self._error(node, f"'{node.value}' is no {kind}", "quotes make it text") from None
        raise self._error(node, f"the tag '{node.tag}' means nothing here", "remove the tag")

    def _error(self, node: yaml.Node, message: str, hint: str) -> ConfigError:
        return ConfigError(f"{_location(node, self._name)}: {message}", hint=hint)


def dotted(key: Iterable[str | int]) -> str:
    """Return a key path in the form of `--set`: `platforms.1.timeout`."""
    return ".".join(str(part) for part in key)


def _is_text(key: KeyPath) -> bool:
    return len(key) > 1 and key[-2] in TEXT_MAPPINGS


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error, text, name) from None
    except yaml.YAMLError as error:
        what = getattr(error, "reason", None) or str(error).splitlines()[0]
        raise ConfigError(f"{name}: is not YAML: {what}", hint="save it as plain UTF-8 text") from None
    except RecursionError:
        raise ConfigError(f"{name}: is nested too deeply", hint="a config has a few levels") from None
    return node


def _yaml_error(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    location = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    what = error.problem or error.context or "it cannot be read"
    line = (text.splitlines() or [""])[min(mark.line, len(text.splitlines()) - 1)] if mark and text else ""
    indent = line[: len(line) - len(line.lstrip())]
    tab = "\t" in indent or "\\t" in what
    hint = next(
        (hint for message, hint in _YAML_HINTS.items() if message in what), "check quotes and indentation"
    )
    if tab:
        hint = "indent with spaces: YAML allows no tabs there"
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
    return "a mapping" if isinstance(node, yaml.MappingNode) else f"'{node.value}'"
