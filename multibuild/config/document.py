"""YAML read with positions: plain data, and where in the file each part of it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from multibuild.errors import ConfigError

Path = tuple[str | int, ...]
MOST_ALIASES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A parsed file. `marks` gives line and column (from 1) of each path, `raw` the text of each scalar."""

    name: str
    data: Any
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """Give FILE:LINE:COLUMN of a path, or of the nearest thing around it."""
        while path and path not in self.marks:
            path = path[:-1]
        line, column = self.marks.get(path, (1, 1))
        return f"{self.name}:{line}:{column}"


def read_document(name: str, text: str, change: Callable[[str], str] | None = None) -> Document:
    """Read YAML; `change` is applied to every string value. ConfigError for bad YAML or duplicate keys."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        tab = "\\t" in str(error.problem)
        hint = (
            "YAML is indented with spaces, never tabs"
            if tab
            else "check indentation, quotes and colons there"
        )
        raise ConfigError(f"{where}: {error.problem or 'not YAML'}", hint=hint) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {error}", hint="is it a text file in UTF-8?") from None
    if root is None:
        raise ConfigError(f"{name}: the file is empty", hint="`multibuild init` writes one to start from")
    document = Document(name=name, data=None)
    data = _Reader(document, change).read(root, ())
    return Document(name=name, data=data, marks=document.marks, raw=document.raw)


class _Reader:
    """Walks the YAML nodes once."""

    def __init__(self, document: Document, change: Callable[[str], str] | None) -> None:
        self._document = document
        self._change = change
        self._loader = yaml.SafeLoader("")
        self._budget = 100_000

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise ConfigError(f"{self._document.name}: too large", hint="aliases multiply: write it out")
        self._document.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, place)) for place, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        self._document.raw[path] = node.value
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            raise ConfigError(f"{self._document.place(path)}: {node.value!r} is not a value") from None
        if isinstance(value, str) and self._change is not None:
            try:
                return self._change(value)
            except ValueError as error:
                raise ConfigError(f"{self._document.place(path)}: {dotted(path)}: {error}") from None
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            where = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in result:
                raise ConfigError(
                    f"{self._document.name}:{where[0]}:{where[1]}: {dotted((*path, key))} is there twice",
                    hint="keep one",
                )
            self._document.marks[(*path, key)] = where
            result[key] = self.read(value_node, (*path, key))
        return result


def dotted(path: Path) -> str:
    """Give a path as people write it: `platforms[1].args.CGO`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text
