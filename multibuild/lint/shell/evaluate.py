"""Follow a shell script for one platform: which commands it runs with which words.

A choice by architecture takes the branch of the platform, where the outcome is known. Where it is not, all branches are
followed, and what they run is marked as guarded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from multibuild.dockerfile.parse import PLATFORM_ARGS
from multibuild.dockerfile.source import Text
from multibuild.lint.arch_names import UNKNOWN
from multibuild.lint.shell.conditions import asks_for_arch, matches, outcome
from multibuild.lint.shell.filters import filtered, printed
from multibuild.lint.shell.nodes import (
    Case,
    Group,
    If,
    Item,
    Loop,
    Node,
    Part,
    Script,
    Simple,
    Word,
    nodes_of,
)
from multibuild.lint.shell.state import (
    ARCH,
    MAX_VARIABLES,
    State,
    assigned,
    behind,
    merge_branches,
    set_variables,
)
from multibuild.lint.shell.syntax import parse_script, parse_word
from multibuild.lint.shell.trace import Event, Guard, Machine, Miss, Trace, Use
from multibuild.lint.shell.values import (
    EMPTY,
    NONE,
    UNKNOWN_VALUE,
    UNSET,
    Expanded,
    Mark,
    Marks,
    Value,
    add_variable,
    operate,
)

MAX_STEPS = 20_000
"""Commands of one script that are followed; branches multiply what is read only once."""

MAX_WORD = 8000
"""Characters and pieces of a word; the rest of a longer one is unknown."""

MAX_USES = 100
"""Of automatic arguments without a value, in one script."""

MAX_NESTED = 8
"""Levels of scripts in words: `sh -c "sh -c …"`, `${a:-${b:-…}}`."""

SHELLS = frozenset({"sh", "bash", "ash", "dash", "ksh", "zsh", "/bin/sh", "/bin/bash", "/bin/ash"})
_FAILS_LATER = frozenset(
    {"grep", "egrep", "fgrep", "which", "type", "command", "expr", "diff", "cmp", "hash", "let"}
)
"""Commands that are asked for their status."""

_TESTS = frozenset({"[", "[[", "test"})
_SILENT = frozenset({*_TESTS, ":", "true", "false", "set", "local", "exit", "return", "cd", "export"})
"""Commands that print nothing."""

_WITH_DEFAULT = frozenset({":-", "-", ":+", "+", ":=", "=", ":?", "?"})
_WRAPPERS = frozenset({"env", "/usr/bin/env", "exec", "command", "time", "sudo", "nohup", "builtin"})
MAX_WRAPPERS = 3
_SETTING = re.compile(r"([A-Za-z_]\w*)=")
_ELEMENT = re.compile(r"\[([^\]]*)\]=")


@dataclass(slots=True)
class _Chain:
    """The commands before `&&`, `||` and `|`, and whether one of those that are gone asks for an architecture."""

    nodes: list[Node] = field(default_factory=list)
    asks: bool = False


def follow(source: Text, values: Mapping[str, Value], machine: Machine, script: Script) -> Trace:
    """Follow a script with the variables of its environment."""
    evaluator = _Evaluator(source, machine, Trace(), 0)
    evaluator.run(script, State(values))
    return evaluator.trace


class _Evaluator:
    def __init__(self, source: Text, machine: Machine, trace: Trace, depth: int) -> None:
        self.source = source
        self.machine = machine
        self.trace = trace
        self.depth = depth

    # Commands.

    def run(self, script: Script, state: State) -> bool | None:
        """Run commands in order; return the status of the last, None where it is not known."""
        status: bool | None = True
        chain = _Chain()
        for position, item in enumerate(script.items):
            if state.exited or self.trace.steps > MAX_STEPS:
                return status
            if item.connector in {"&&", "||"}:
                if status is (item.connector == "||"):
                    continue
                status = self._maybe(item, state, status, chain)
                chain.nodes.append(item.node)
                continue
            is_piped = self._is_piped(script, position)
            inner = state.copy() if is_piped or item.connector == "|" else state
            inner.captured = inner.captured or is_piped
            if item.connector != "|":
                chain = _Chain()
            chain.nodes.append(item.node)
            status = self._item(item, inner)
        return status

    @staticmethod
    def _is_piped(script: Script, position: int) -> bool:
        return position + 1 < len(script.items) and script.items[position + 1].connector == "|"

    def _maybe(self, item: Item, state: State, status: bool | None, chain: _Chain) -> bool | None:
        """Run what follows `&&` or `||`; if the status before it is unknown, it may run or not."""
        if status is not None:
            asks = "argument" in state.test_marks and any(map(self._asks, chain.nodes))
            with state.chosen_by_argument(asks):
                return self._item(item, state)
        chain.asks = chain.asks or any(map(self._asks, chain.nodes))
        chain.nodes.clear()
        guard: Guard = "arch" if chain.asks else "other"
        inner = state.copy(guard=guard)
        self._item(item, inner)
        if inner.exited:
            # `test … || exit`: all that follows depends on the test.
            state.guards |= {guard}
            return None
        merge_branches(state, [inner])
        return None

    def _item(self, item: Item, state: State) -> bool | None:
        status = self._node(item.node, state)
        return status if not item.negated or status is None else not status

    def _node(self, node: Node, state: State) -> bool | None:
        self.trace.steps += 1
        match node:
            case Simple():
                return self._simple(node, state)
            case Case():
                return self._case(node, state)
            case If():
                return self._if(node, state)
            case Loop():
                return self._loop(node, state)
            case Group(name=""):
                return self.run(node.body, state)
            case Group():
                self.run(node.body, state.copy(guard="other"))
                return True

    def _text(self, node: Node) -> str:
        return self.source.text[node.start : min(node.end, node.start + 500)]

    def _asks(self, node: Node) -> bool:
        return asks_for_arch(self._text(node))

    def _simple(self, node: Simple, state: State) -> bool | None:
        # `[ -n "$TARGETARCH" ]` asks whether it is there, which is no careless use of it.
        state.tests_empty = any(word.literal in {"-n", "-z"} for word in node.words)
        words = [self.expand(word, state) for word in node.words]
        state.tests_empty = False
        assignments = [(name, self.expand(word, state)) for name, word in node.assignments]
        redirects = [(operator, self.expand(word, state)) for operator, word in node.redirects]
        words = _without_wrapper(words, assignments)
        event = Event(
            words,
            assignments,
            redirects,
            state.guards,
            state.branch,
            state.values,
            state.guard_marks,
            state.captured,
        )
        if words or assignments:
            self.trace.events.append(event)
        for name, part in _arrays(node):
            self._set_array(name, part, state)
        if not words:
            for name, word in assignments:
                state.set(name, assigned(word, state))
            return True
        return self._command(node, event, state)

    def _set_array(self, name: str, array: Part, state: State) -> None:
        """Set `name[key]` for each element, and `name[]` for the array as a whole."""
        for index, element in enumerate(array.elements[:MAX_VARIABLES]):
            word = self.expand(element, state)
            key = _ELEMENT.match(word.text)
            value = behind(word, key.end()) if key is not None else word
            state.set(f"{name}[{key[1] if key is not None else index}]", assigned(value, state))
        state.set(f"{name}[]", UNKNOWN_VALUE)

    def _command(self, node: Simple, event: Event, state: State) -> bool | None:
        name = event.name
        if name in {"exit", "return"}:
            state.exited = True
        elif name in SHELLS or event.words[0].text in SHELLS:
            self._inner_script(node, event, state)
        elif name in _TESTS:
            self._note_miss(event)
            state.test_marks = state.test_marks.union(*(word.marks for word in event.words))
        else:
            set_variables(event, state)
        if name in _FAILS_LATER:
            return None
        known = outcome(event.words)
        return True if known is None and name not in _TESTS else known

    def _inner_script(self, node: Simple, event: Event, state: State) -> None:
        """Follow the script of `sh -c '…'`."""
        at = next(
            (i for i, word in enumerate(event.words) if word.text.startswith("-") and "c" in word.text), 0
        )
        if not at or at + 1 >= len(event.words) or self.depth >= MAX_NESTED:
            return
        part = node.words[at + 1 + len(node.words) - len(event.words)].parts
        if len(part) != 1 or part[0].kind != "text":
            return
        begin = part[0].start
        source = self.source.part(begin, begin + len(part[0].text))
        inner = _Evaluator(source, self.machine, self.trace, self.depth + 1)
        inner.run(parse_script(source.text), state.copy())

    def _note_miss(self, event: Event) -> None:
        words = [word for word in event.words[1:] if word.text not in {"]", "]]"}]
        if len(words) == 3 and words[1].text in {"=", "=="}:
            if "arch" in words[2].marks and "arch" not in words[0].marks:
                words.reverse()
            result = outcome(event.words)
            if result is False:
                self.trace.misses.append(Miss(words[0], [words[2]], "test"))
            elif result:
                self.trace.matched.add(words[0].text)

    def _if(self, node: If, state: State) -> bool | None:
        unknown: list[State] = []
        asked = by_argument = False
        for condition, body in node.branches:
            state.branch, before = state.branch, state.branch
            state.test_marks = NONE
            status = self.run(condition, state)
            asks = self._script_asks(condition)
            asked = asked or asks
            by_argument = by_argument or (asks and "argument" in state.test_marks)
            if status is True:
                if unknown:
                    self.run(body, state.copy(guard="arch" if asked else "other"))
                    break
                with state.chosen_by_argument(by_argument):
                    return self.run(body, state)
            if status is None:
                marks = self._guard_marks(condition, state) if asks else NONE
                inner = state.copy(guard="arch" if asked else "other", marks=marks)
                self.run(body, inner)
                unknown.append(inner)
            state.branch = before
        else:
            with state.chosen_by_argument(by_argument):
                self._otherwise(node, state, unknown, asked=asked)
        merge_branches(state, unknown)
        return True if not unknown else None

    def _otherwise(self, node: If, state: State, unknown: list[State], *, asked: bool) -> None:
        if node.otherwise is None:
            return
        if unknown:
            inner = state.copy(
                guard="arch" if asked else "other", marks=NONE.union(*(one.guard_marks for one in unknown))
            )
            self.run(node.otherwise, inner)
            unknown.append(inner)
            return
        before = state.branch
        state.branch = before or asked
        self.run(node.otherwise, state)
        state.branch = before

    def _guard_marks(self, condition: Script, state: State) -> Marks:
        """Return what a condition asks for; the target's platform, too, makes it no careless use of the builder's."""
        names_target = any("TARGET" in self._text(item.node) for item in condition.items)
        return NONE if names_target else state.test_marks

    def _script_asks(self, script: Script) -> bool:
        return any(self._asks(item.node) for item in script.items)

    def _case(self, node: Case, state: State) -> bool | None:
        subject = self.expand(node.subject, state)
        heads = [self.expand(pattern, state) for arm in node.arms for pattern in arm.patterns]
        asks = "arch" in subject.marks or asks_for_arch(" ".join(word.text for word in heads))
        unknown: list[State] = []
        for arm in node.arms:
            patterns = [self.expand(pattern, state) for pattern in arm.patterns]
            found = [matches(subject.text, pattern.text) for pattern in patterns]
            is_rest = all(set(pattern.text) <= {"*"} for pattern in patterns)
            if UNKNOWN in subject.text or (None in found and True not in found):
                inner = state.copy(guard="arch" if asks else "other", marks=subject.marks)
                self.run(arm.body, inner)
                unknown.append(inner)
            elif True in found:
                self.trace.matched |= set() if is_rest else {subject.text}
                return self._arm(arm.body, state, unknown, branch=asks and is_rest, miss=(subject, heads))
        if not unknown and asks:
            self.trace.misses.append(Miss(subject, heads, "case"))
        merge_branches(state, unknown)
        return True

    def _arm(
        self,
        body: Script,
        state: State,
        unknown: list[State],
        *,
        branch: bool,
        miss: tuple[Expanded, list[Expanded]],
    ) -> bool | None:
        if unknown:
            self.run(body, state.copy(guard="arch"))
            merge_branches(state, unknown)
            return None
        if branch:
            self.trace.misses.append(Miss(miss[0], miss[1], "case", has_default=True))
        before = state.branch
        state.branch = before or branch
        with state.chosen_by_argument("argument" in miss[0].marks):
            status = self.run(body, state)
        state.branch = before
        return status

    def _loop(self, node: Loop, state: State) -> bool | None:
        items = [self.expand(word, state) for word in node.items]
        asks = asks_for_arch(" ".join(word.text for word in items)) or (
            node.condition is not None and self._script_asks(node.condition)
        )
        inner = state.copy(guard="arch" if asks else "other" if node.condition is not None else None)
        if node.condition is not None:
            self.run(node.condition, inner)
        if node.name:
            marks = NONE.union(*(word.marks for word in items), ARCH if asks else NONE)
            inner.set(node.name, Value(UNKNOWN, marks))
        self.run(node.body, inner)
        merge_branches(state, [inner])
        return True

    # Words.

    def expand(self, word: Word, state: State) -> Expanded:
        """Return a word with its variables and substitutions filled in."""
        result = Expanded(self.source, word.start, max(word.end, word.start))
        for part in word.parts:
            self._add(result, part, state)
            if len(result.text) > MAX_WORD or len(result.pieces) > MAX_WORD:
                result.add(UNKNOWN, None)
                break
        if state.settable:
            result.marks |= {"argument"}
            result.settable = ((0, len(result.text)),)
        return result

    def _add(self, result: Expanded, part: Part, state: State) -> None:
        match part.kind:
            case "text":
                result.add(part.text, part.start)
            case "variable":
                own = state.values.get(part.text)
                if own is None and part.text in PLATFORM_ARGS:
                    self._note_use(part, state)
                    own = EMPTY
                if part.operator == "!":
                    own = self._named(own or UNSET, state)
                    add_variable(result, own, own)
                elif part.operator == "[":
                    own = self._element(part, state)
                    add_variable(result, own, own)
                else:
                    value = operate(own or UNSET, part.operator, self._argument(part, state))
                    add_variable(result, value, own)
            case "commands":
                assert part.script is not None
                add_variable(result, self._output(part.script, state), None)
            case "unknown" | "array":
                result.add(UNKNOWN, None)

    @staticmethod
    def _named(name: Value, state: State) -> Value:
        """Return the value of `${!name}`: that of the variable that it names."""
        own = state.values.get(name.text, UNSET)
        return replace(own, marks=own.marks | name.marks)

    def _element(self, part: Part, state: State) -> Value:
        """Return the value of `${name[key]}`; a key that an array of this script does not have is a miss."""
        subscript, bracket, rest = part.argument.rpartition("]")
        if self.depth >= MAX_NESTED or not bracket or rest:
            return Value(UNKNOWN, ARCH)
        at = part.start + len("${") + len(part.text) + 1
        key = self.source.part(at, at + len(subscript))
        inner = _Evaluator(key, self.machine, self.trace, self.depth + 1)
        word = inner.expand(parse_word(key.text), state)
        own = state.values.get(f"{part.text}[{word.text}]")
        if own is None:
            return Value(UNKNOWN, word.marks | ARCH)
        return replace(own, marks=own.marks | word.marks)

    def _note_use(self, part: Part, state: State) -> None:
        if part.operator in _WITH_DEFAULT or state.tests_empty or len(self.trace.undeclared) >= MAX_USES:
            return
        self.trace.undeclared.append(Use(part.text, self.source, part.start))

    def _argument(self, part: Part, state: State) -> Value:
        """Return the value of what stands behind the operator of `${…}`."""
        if not part.argument or self.depth >= MAX_NESTED:
            return Value(part.argument)
        source = Text(text=part.argument)
        inner = _Evaluator(source, self.machine, Trace(), self.depth + 1)
        return inner.expand(parse_word(part.argument), state).value

    def _output(self, script: Script, state: State) -> Value:
        """Return what commands print, where it is an architecture or a plain text."""
        inner = state.copy()
        inner.captured = True
        before = len(self.trace.events)
        self.run(script, inner)
        events = self.trace.events[before:]
        marks: set[Mark] = set()
        if any(self._asks(item.node) for item in script.items):
            marks.add("arch")
        printed_value = self._printed(script, events, state)
        if printed_value is not None:
            return Value(printed_value.text, printed_value.marks | frozenset(marks))
        if any(self._machine_output(event) is not None for event in events):
            marks |= self.machine.marks
        return Value(UNKNOWN, frozenset(marks))

    def _machine_output(self, event: Event) -> str | None:
        words = [event.name, *(word.text for word in event.words[1:])]
        return self.machine.outputs.get(" ".join(words))

    def _printed(self, script: Script, events: Sequence[Event], state: State) -> Value | None:
        """Return what a script prints, where one command that is known prints it all."""
        count = next((i for i, item in enumerate(script.items) if item.connector == "|"), len(script.items))
        stages = script.items[count:]
        if any(item.connector != "|" or not isinstance(item.node, Simple) for item in stages):
            return None
        value = self._printed_by(Script(script.items[:count]), events, state)
        for item in stages:
            assert isinstance(item.node, Simple)
            value = value and self._filtered(item.node, value, state)
        return value

    def _printed_by(self, script: Script, events: Sequence[Event], state: State) -> Value | None:
        starts = {node.words[0].start for node in nodes_of(script) if isinstance(node, Simple) and node.words}
        ran = [
            one for one in events if one.words and one.words[0].start in starts and one.name not in _SILENT
        ]
        if (
            len(ran) != 1
            or ran[0].guards - state.guards
            or any(sign != "<<<" and ">" in sign for sign, _ in ran[0].redirects)
        ):
            return None
        event = ran[0]
        text = self._machine_output(event)
        branch: Marks = frozenset({"branch"} if event.branch and not state.branch else ())
        if text is not None:
            kernel: Marks = frozenset({"kernel"} if event.name in {"uname", "arch"} else ())
            return Value(text, self.machine.marks | kernel | branch | {"arch"})
        words = event.words
        marks = NONE.union(*(word.marks for word in words), branch)
        here = next((word for sign, word in event.redirects if sign == "<<<"), None)
        texts = [word.text for word in words]
        text = printed(texts) if here is None else _filtered_text(texts, here.text)
        return None if text is None else Value(text, marks | (here.marks if here is not None else NONE))

    def _filtered(self, node: Simple, value: Value, state: State) -> Value | None:
        words = [self.expand(word, state) for word in node.words]
        text = _filtered_text([word.text for word in words], value.text)
        return None if text is None else Value(text, value.marks.union(*(word.marks for word in words)))


def _without_wrapper(words: list[Expanded], assignments: list[tuple[str, Expanded]]) -> list[Expanded]:
    """Return the command that `env A=b command` and the like start; the assignments go to the others."""
    for _ in range(MAX_WRAPPERS):
        if len(words) < 2 or words[0].text not in _WRAPPERS or words[1].text.startswith("-"):
            break
        rest = words[1:]
        while (
            words[0].text in {"env", "/usr/bin/env", "sudo"}
            and rest
            and (match := _SETTING.match(rest[0].text))
        ):
            assignments.append((match[1], behind(rest.pop(0), match.end())))
        words = rest
    return words


def _filtered_text(command: Sequence[str], line: str) -> str | None:
    if UNKNOWN in line or any(UNKNOWN in word for word in command):
        return None
    return filtered(command, line)


def _arrays(node: Simple) -> Iterator[tuple[str, Part]]:
    """Yield the arrays that a command sets: name, and the part that holds its elements."""
    for name, word in node.assignments:
        if word.parts and word.parts[0].kind == "array":
            yield name, word.parts[0]
    for word in node.words:
        if len(word.parts) == 2 and word.parts[1].kind == "array":
            yield word.parts[0].text.rstrip("+="), word.parts[1]
