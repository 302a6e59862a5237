"""Every regular expression of the package, and text that makes a careless one slow."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import multibuild

METHODS = ("search", "match", "fullmatch", "sub", "split", "findall", "finditer")
PROBES = "aA0_ -./:;,=\"'`[](){}<>#@$\\|*?\t\n\x1b\x9b\x00é"
"""Characters tried for the repeated part of a pattern, besides those the pattern itself names."""

_APPLIES = re.compile(rf"\.({'|'.join((*METHODS, 'compile'))})\b")
MAX_RUNS = 16


@dataclass(frozen=True)
class Use:
    """A pattern as some place applies it."""

    place: str
    pattern: re.Pattern[Any]
    method: str

    def apply(self, text: str) -> None:
        """Match text as the place does; `findall` stands for all that go on behind a match."""
        subject = text.encode("latin-1", "replace") if isinstance(self.pattern.pattern, bytes) else text
        if self.method in ("match", "fullmatch", "search"):
            getattr(self.pattern, self.method)(subject)
        else:
            self.pattern.findall(subject)


@cache
def all_uses() -> tuple[Use, ...]:
    """Return every pattern of the package once for each way in which it is applied."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(multibuild.__path__, "multibuild.")
        if not module.name.endswith("__main__")
    ]
    sources = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in modules]
    # Every worker that collects tests comes here, and two thirds of the modules name no method of a pattern.
    nodes = [tuple(ast.walk(ast.parse(source))) if _APPLIES.search(source) else () for source in sources]
    everywhere = _methods(chain.from_iterable(nodes))
    uses: list[Use] = []
    for module, source_nodes in zip(modules, nodes, strict=True):
        place, here = module.__name__.removeprefix("multibuild."), _methods(source_nodes)
        for name, value in vars(module).items():
            methods = (here if name.startswith("_") else everywhere).get(name, {"search"})
            uses += [
                Use(f"{place}.{name}", found, method)
                for found in _patterns(value)
                for method in sorted(methods)
            ]
        uses += _inline(module, source_nodes, place)
    unique = {(use.pattern, use.method): use for use in reversed(uses)}.values()
    return tuple(sorted(unique, key=lambda use: (use.place, use.method)))


def _methods(nodes: Iterable[ast.AST]) -> dict[str, set[str]]:
    """Return the methods of each NAME in `NAME.search(…)`, `module.NAME.match(…)`."""
    methods: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            holder = node.value
            name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
            methods.setdefault(name, set()).add(node.attr)
    return methods


def _patterns(value: object, depth: int = 4) -> Iterator[re.Pattern[Any]]:
    """Yield the compiled patterns in a value: itself, items of containers, fields of dataclasses."""
    if isinstance(value, re.Pattern):
        yield value
    elif depth:
        for item in _parts(value):
            yield from _patterns(item, depth - 1)


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, field.name) for field in fields(value))


def _inline(module: ModuleType, nodes: Iterable[ast.AST], place: str) -> Iterator[Use]:
    """Yield the patterns of `re.search("…", text)`; of `re.search(row.field, text)` those of all rows in the module."""
    calls = [
        (node, method) for node in nodes if isinstance(node, ast.Call) and (method := _method_of_re(node))
    ]
    in_functions = _calls_in_functions(nodes) if any(method == "compile" for _, method in calls) else set()
    for call, method in calls:
        if method == "compile" and call not in in_functions:
            continue  # an attribute of the module
        for text in _texts(module, call.args[0]):
            yield Use(
                f"{place}:{call.lineno}",
                re.compile(text, _flags(call)),
                method.replace("compile", "search"),
            )


def _calls_in_functions(nodes: Iterable[ast.AST]) -> set[ast.AST]:
    return {
        node
        for function in nodes
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    }


def _method_of_re(call: ast.Call) -> str:
    called = call.func
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re":
        return called.attr if called.attr in (*METHODS, "compile") else ""
    return ""


def _texts(module: ModuleType, node: ast.expr) -> list[Any]:
    """Return the patterns that an argument stands for: constants of the module in it, or a field of its tables."""
    if isinstance(node, ast.Attribute):
        rows = chain.from_iterable(_rows(value) for value in vars(module).values())
        found = [text for row in rows if isinstance(text := getattr(row, node.attr, None), str)]
        assert found, f"{module.__name__}:{node.lineno}: which patterns are these?"
        return found
    names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    if not names <= vars(module).keys():
        assert _is_literal(node), (
            f"{module.__name__}:{node.lineno}: a pattern from elsewhere cannot be checked"
        )
        return []
    return [eval(compile(ast.Expression(node), "pattern", "eval"), vars(module))]  # our own source


def _is_literal(node: ast.expr) -> bool:
    """Whether a pattern is characters that a function has escaped or composed, of one character each."""
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.JoinedStr) or (isinstance(called, ast.Attribute) and called.attr == "escape")


def _rows(value: object) -> list[object]:
    return [item for item in value if is_dataclass(item)] if isinstance(value, list | tuple) else []


def _flags(call: ast.Call) -> int:
    """Return the flags of a call: whatever of its further arguments is one."""
    flags = 0
    for node in ast.walk(call):
        if isinstance(node, ast.Attribute) and isinstance(getattr(re, node.attr, None), re.RegexFlag):
            flags |= getattr(re, node.attr)
    return flags


@dataclass(frozen=True)
class Shape:
    """A text of any length on which a pattern could try again and again: what leads to a repeated part, and what it takes."""

    before: str
    run: str
    kind: int

    def text(self, length: int) -> str:
        """Return about `length` characters; the last one ends what no pattern ends."""
        repeated = (self.before * length)[: length // 2] if self.kind == 3 else ""
        if self.kind in (1, 2):
            again = self.before + self.run * (3 * self.kind - 3)
            return (again * (length // len(again) + 1))[:length] + "\x01"
        return repeated + self.before + (self.run * (length // len(self.run) + 1))[:length] + "\x01"


def shapes(pattern: re.Pattern[Any]) -> Iterator[Shape]:
    """Yield what could be slow about a pattern: for each repeated part a long run behind its start, and the start repeated."""
    tree = parser.parse(
        _text(pattern.pattern), pattern.flags & ~re.UNICODE if _is_bytes(pattern) else pattern.flags
    )
    letters = sorted({*PROBES, *_letters(tree)} - ({"é"} if _is_bytes(pattern) else set()))
    found: dict[Shape, None] = {}
    for before, part in _repeats(tree, ""):
        for run in islice(_runs(part, letters, pattern), MAX_RUNS):
            found |= dict.fromkeys(Shape(before, run, kind) for kind in (range(4) if before else (0,)))
    yield from found


def _text(pattern: str | bytes) -> str:
    return pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern


def _is_bytes(pattern: re.Pattern[Any]) -> bool:
    return isinstance(pattern.pattern, bytes)


def _letters(tree: Any) -> set[str]:
    """Return the characters that a pattern names."""
    found = set()
    for code, argument in _nodes(tree):
        if code in (codes.LITERAL, codes.NOT_LITERAL):
            found.add(chr(argument))
        elif code is codes.IN:
            for kind, value in argument:
                if kind is codes.LITERAL:
                    found.add(chr(value))
                elif kind is codes.RANGE:
                    found.add(chr(value[0]))
    return found


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    for code, argument in tree:
        yield code, argument
        for child in _children(code, argument):
            yield from _nodes(child)


def _children(code: Any, argument: Any) -> list[Any]:
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        return [argument[2]]
    if code is codes.SUBPATTERN:
        return [argument[3]]
    if code is codes.BRANCH:
        return list(argument[1])
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return [argument[1]]
    if code is codes.ATOMIC_GROUP:
        return [argument]
    return []


def _repeats(tree: Any, before: str) -> Iterator[tuple[str, Any]]:
    """Yield (text that leads to it, repeated part) of every part that may repeat many times."""
    for code, argument in tree:
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT) and argument[1] > 16:
            yield before, argument[2]
        for child in _children(code, argument):
            yield from _repeats(child, before)
        before += _sample([(code, argument)])


def _sample(tree: Any) -> str:
    """Return a short text that a part of a pattern matches, near enough."""
    text = ""
    for code, argument in tree:
        if code is codes.LITERAL:
            text += chr(argument)
        elif code in (codes.ANY, codes.NOT_LITERAL, codes.IN):
            text += _one(code, argument)
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            text += _sample(argument[2]) * min(argument[0], 70)
        elif code is codes.BRANCH:
            text += _sample(argument[1][0])
        elif code not in (codes.ASSERT, codes.ASSERT_NOT):
            text += "".join(_sample(child) for child in _children(code, argument))
    return text


def _samples(tree: Any) -> Iterator[str]:
    """Yield a text that a part matches, and where it is a choice, each of its branches and all in a row."""
    yield _sample(tree)
    for code, argument in tree:
        branches = [_sample(branch) for branch in argument[1]] if code is codes.BRANCH else []
        yield from (*branches, "".join(branches))
        for child in _children(code, argument):
            yield from _samples(child)


def _one(code: Any, argument: Any) -> str:
    """Return a character that a set, a dot or a negated letter takes."""
    state = parser.State()
    pattern = parser.SubPattern(state, [(code, argument)])
    compiled = compiler.compile(pattern, re.DOTALL)
    return next(
        (
            letter
            for letter in "a0 ./:\x1b\x9b\x07\x00#" + "".join(map(chr, range(256)))
            if compiled.match(letter)
        ),
        "",
    )


def _runs(part: Any, letters: list[str], pattern: re.Pattern[Any]) -> Iterator[str]:
    """Yield texts that a repeated part takes: each character that it takes alone, and a longer sample."""
    state = parser.State()
    state.groupwidths = [(0, 1)] * 100  # a part refers to groups by number
    try:
        compiled = compiler.compile(
            parser.SubPattern(state, list(part)), pattern.flags & (re.IGNORECASE | re.DOTALL)
        )
    except (re.error, IndexError, ValueError, AssertionError):
        compiled = None
    yield from filter(None, dict.fromkeys(_samples(part)))
    yield from (letter for letter in letters if compiled is not None and compiled.fullmatch(letter))
