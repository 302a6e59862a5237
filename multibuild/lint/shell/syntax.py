"""A tolerant parser of shell scripts: commands, conditions and words, each with its place in the text.

POSIX sh with what Dockerfiles use of bash. It never fails: what is no shell ends the script where it is read. Each
character is read once, and nesting has a limit.
"""

from __future__ import annotations

import contextlib
import re

from multibuild.lint.shell.nodes import (
    Arm,
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
    words_of,
)

MAX_DEPTH = 40
"""Of nested commands and substitutions; the rest of a deeper script is not read."""

_NAME = re.compile(r"[A-Za-z_]\w*")
_PLAIN = re.compile(r"[^\s;&|<>()`$'\"\\#{}!]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]\s]{0,200}\])?\+?=")
_REDIRECT = re.compile(r"\d{0,4}(?:<<<|<<-?|>>|>\||[<>]&|&>>?|<>|<|>)")
_HEREDOC_END = re.compile(r"-?[ \t]*([\"']?)([A-Za-z_][\w.-]*)\1")
_BLANKS = " \t\r\x0b\x0c"
DECLARING = frozenset({"export", "local", "readonly", "declare", "typeset"})
"""Commands whose words are assignments."""
_ENDS = frozenset(" \t\r\x0b\x0c\n;&|<>()")


class _End(Exception):
    """Raised where the script cannot be read any further."""


def parse_script(text: str) -> Script:
    """Parse a script as far as it is one."""
    return _Parser(text).script()


def parse_word(text: str) -> Word:
    """Parse text as the inside of one word, blanks included, as after `${x:-`."""
    parser = _Parser(text)
    word = Word(start=0, end=len(text))
    try:
        parser.quoted_parts(word, None)
    except _End:
        word.parts.append(Part("unknown", len(text)))
    return word


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.heredocs: list[tuple[bool, str]] = []

    def script(self) -> Script:
        script = Script()
        with contextlib.suppress(_End):
            self._list(script, frozenset())
        return script

    # Lists of commands.

    def _list(self, script: Script, ends: frozenset[str]) -> None:
        """Read commands into `script` up to one of the words in `ends`, a closing parenthesis or the end."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.at = len(self.text)
            raise _End
        connector = ""
        while True:
            found = self._separators()
            connector = found or connector
            if self.at >= len(self.text) or self.text[self.at] == ")" or self.text.startswith(";;", self.at):
                break
            if self._peek_word() in ends:
                break
            before = self.at
            self._command(script, connector)
            connector = ""
            if self.at == before:
                self.at += 1
        self.depth -= 1

    def _separators(self) -> str:
        """Skip what stands between commands; return the connector of the next."""
        connector = ""
        while self.at < len(self.text):
            sign = self.text[self.at]
            two = self.text[self.at : self.at + 2]
            if sign == "\n":
                self._newline()
            elif sign in _BLANKS:
                self.at += 1
            elif sign == "\\" and self.text[self.at + 1 : self.at + 2] in {"\n", "\r"}:
                self.at += 2
            elif sign == "#":
                self._skip_line()
            elif two in {"&&", "||"}:
                connector = two
                self.at += 2
            elif two == ";;":
                break
            elif two == "|&":
                connector = "|"
                self.at += 2
            elif sign == "|":
                connector = "|"
                self.at += 1
            elif sign in ";&":
                connector = ""
                self.at += 1
            else:
                break
        return connector

    def _newline(self) -> None:
        """Skip the end of a line, with the heredocs that it begins."""
        self.at += 1
        for dash, end in self.heredocs:
            while self.at < len(self.text):
                line = self._skip_line().removesuffix("\r")
                self.at += 1
                if (line.lstrip("\t") if dash else line) == end:
                    break
        self.heredocs = []
        self.at = min(self.at, len(self.text))

    def _skip_line(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = end
        return line

    def _blanks(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at] in _BLANKS:
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text.startswith("\\\r\n", self.at):
                self.at += 3
            else:
                break

    def _peek_word(self) -> str:
        end = self.at
        while end < len(self.text) and self.text[end] not in _ENDS and end - self.at < 12:
            end += 1
        return self.text[self.at : end]

    # Commands.

    def _command(self, script: Script, connector: str) -> None:
        negated = False
        while self._peek_word() == "!":
            negated = not negated
            self.at += 1
            self._blanks()
        word = self._peek_word()
        node: Node
        if word == "if":
            node = self._if()
        elif word == "case":
            node = self._case()
        elif word in {"for", "select"}:
            node = self._for()
        elif word in {"while", "until"}:
            node = self._while()
        elif word in {"{", "do", "then", "else", "fi", "done", "esac", "}"}:
            node = self._braces(word)
        elif self.text.startswith("((", self.at):
            node = self._arithmetic()
        elif self.text.startswith("(", self.at):
            node = self._parentheses("")
        else:
            node = self._simple()
        script.items.append(Item(node, connector, negated))
        node.end = self.at

    def _expect(self, word: str) -> None:
        self._separators()
        if self._peek_word() != word:
            raise _End
        self.at += len(word)

    def _body(self, *ends: str) -> Script:
        script = Script()
        self._list(script, frozenset(ends))
        return script

    def _if(self) -> If:
        node = If(self.at, [], None)
        self.at += 2
        while True:
            condition = self._body("then")
            self._expect("then")
            node.branches.append((condition, self._body("elif", "else", "fi")))
            word = self._peek_word()
            if word == "elif":
                self.at += 4
                continue
            if word == "else":
                self.at += 4
                node.otherwise = self._body("fi")
            self._expect("fi")
            self._redirections(node.start)
            return node

    def _case(self) -> Case:
        start = self.at
        self.at += 4
        self._blanks()
        node = Case(start, self._word(), [])
        self._separators()
        self._expect("in")
        while True:
            self._separators()
            if self.text.startswith(";;", self.at):
                self.at += 2
                if self.text.startswith("&", self.at):
                    self.at += 1
                continue
            if self._peek_word() == "esac":
                self.at += 4
                self._redirections(start)
                return node
            if self.at >= len(self.text):
                raise _End
            node.arms.append(Arm(self._patterns(), self._body("esac")))

    def _patterns(self) -> list[Word]:
        if self.text.startswith("(", self.at):
            self.at += 1
        patterns = []
        while True:
            self._blanks()
            before = self.at
            patterns.append(self._word())
            self._blanks()
            sign = self.text[self.at : self.at + 1]
            if sign == "|":
                self.at += 1
            elif sign == ")":
                self.at += 1
                return patterns
            elif self.at == before or not sign:
                raise _End

    def _for(self) -> Loop:
        start = self.at
        self.at += len(self._peek_word())
        self._blanks()
        items: list[Word] = []
        if self.text.startswith("((", self.at):
            self._arithmetic()
            name = ""
        else:
            name = self._word().literal
            self._separators()
            if self._peek_word() == "in":
                self.at += 2
                items = self._words_of_line()
        self._expect("do")
        body = self._body("done")
        self._expect("done")
        self._redirections(start)
        return Loop(start, name, items, None, body)

    def _words_of_line(self) -> list[Word]:
        items: list[Word] = []
        while True:
            self._blanks()
            if self.at >= len(self.text) or self.text[self.at] in "\n;&|)":
                return items
            before = self.at
            items.append(self._word())
            if self.at == before:
                raise _End

    def _while(self) -> Loop:
        start = self.at
        self.at += 5
        condition = self._body("do")
        self._expect("do")
        body = self._body("done")
        self._expect("done")
        self._redirections(start)
        return Loop(start, "", [], condition, body)

    def _braces(self, word: str) -> Group:
        """Read `{ … }`; another reserved word stands where it may not, and is read over."""
        start = self.at
        self.at += len(word)
        if word != "{":
            return Group(start, Script())
        body = self._body("}")
        self._expect("}")
        self._redirections(start)
        return Group(start, body)

    def _parentheses(self, name: str) -> Group:
        start = self.at
        self.at += 1
        body = self._body()
        if not self.text.startswith(")", self.at):
            raise _End
        self.at += 1
        self._redirections(start)
        return Group(start, body, name)

    def _arithmetic(self) -> Group:
        start, end = self.at, self.text.find("))", self.at)
        self.at = len(self.text) if end < 0 else end + 2
        return Group(start, Script())

    def _redirections(self, start: int) -> Simple:
        """Read redirections behind a compound command."""
        node = Simple(start)
        while True:
            self._blanks()
            if not self._redirect(node):
                return node

    def _simple(self) -> Simple | Group:
        node = Simple(self.at)
        while True:
            self._blanks()
            if self.at >= len(self.text):
                return node
            sign = self.text[self.at]
            if self._redirect(node):
                continue
            if sign == "(" and len(node.words) == 1 and not node.assignments and self._is_function():
                return self._function(node.words[0].literal)
            if sign in "\n;&|)" or (sign == "#" and self.text[self.at - 1 : self.at] in {"", *_ENDS}):
                return node
            if sign == "(":  # no shell
                raise _End
            before = self.at
            self._next_word(node)
            if self.at == before:
                raise _End

    def _next_word(self, node: Simple) -> None:
        match = _ASSIGNMENT.match(self.text, self.at)
        if match is not None and node.words:
            is_array = node.words[0].literal in DECLARING and self.text.startswith("(", match.end())
            match = None
            if is_array:
                self._declared_array(node)
                return
        if match is None:
            word = self._word()
            node.words.append(word)
            if word.literal == "[[" and len(node.words) == 1:
                self._double_brackets(node)
            return
        start = self.at
        self.at = match.end()
        if self.text.startswith("(", self.at):
            value = Word(start, self.at, [self._array()])
            value.end = self.at
        else:
            value = self._word()
            value.start = match.end()
        node.assignments.append((match[1], value))

    def _declared_array(self, node: Simple) -> None:
        """Read `name=(…)` behind `declare`."""
        start, begin = self.at, self.text.index("(", self.at)
        self.at = begin
        word = Word(start, start, [Part("text", start, self.text[start:begin]), self._array()])
        word.end = self.at
        node.words.append(word)

    def _array(self) -> Part:
        """Read the values of an array."""
        part = Part("array", self.at)
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != ")":
            before = self.at
            if self.text[self.at] in _ENDS:
                self.at += 1
            elif self.text[self.at] == "#":
                self._skip_line()
            else:
                part.elements.append(self._word())
            if self.at == before:
                raise _End
        self.at += 1
        return part

    def _is_function(self) -> bool:
        return re.compile(r"\([ \t]*\)").match(self.text, self.at) is not None

    def _function(self, name: str) -> Group:
        start = self.at
        self.at = self.text.index(")", self.at) + 1
        self._separators()
        script = Script()
        if self.at < len(self.text) and self.depth < MAX_DEPTH:
            self.depth += 1
            self._command(script, "")
            self.depth -= 1
        return Group(start, script, name or "function")

    def _double_brackets(self, node: Simple) -> None:
        """Read the words up to `]]`: there `&&`, `<` and parentheses are operators of the test."""
        while self.at < len(self.text):
            self._blanks()
            if self.at >= len(self.text) or self.text[self.at] == "\n":
                return
            start = self.at
            if self.text[self.at] in "&|<>();":
                self.at += 2 if self.text[self.at : self.at + 2] in {"&&", "||"} else 1
                text = self.text[start : self.at]
                node.words.append(Word(start, self.at, [Part("text", start, text)]))
            else:
                node.words.append(self._word())
                if self.at == start:
                    self.at += 1
            if node.words[-1].literal == "]]":
                return

    def _redirect(self, node: Simple) -> bool:
        """Read one redirection, if there is one."""
        match = _REDIRECT.match(self.text, self.at)
        if match is None:
            return False
        self.at = match.end()
        operator = match[0].lstrip("0123456789")
        if operator in {"<<", "<<-"}:
            end = _HEREDOC_END.match(self.text, self.at)
            if end is not None:
                self.heredocs.append((operator == "<<-", end[2]))
                self.at = end.end()
            return True
        if self.text.startswith("(", self.at):  # <(commands)
            node.words.append(Word(self.at, self.at, [self._substitution(self.at, self.at + 1)]))
            return True
        self._blanks()
        node.redirects.append((operator, self._word()))
        return True

    # Words.

    def _word(self) -> Word:
        """Read one word; an empty one where none is."""
        word = Word(start=self.at, end=self.at)
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign in _ENDS:
                break
            match = _PLAIN.match(self.text, self.at)
            if match is not None:
                word.parts.append(Part("text", self.at, match[0]))
                self.at = match.end()
            elif sign == "'":
                self._single_quotes(word)
            elif sign == '"':
                start = self.at
                self.at += 1
                self.quoted_parts(word, '"')
                if len(word.parts) == 0 or word.parts[-1].start < start:
                    word.parts.append(Part("text", start, "", quoted=True))
            elif sign == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                if following != "\n":
                    word.parts.append(Part("text", self.at + 1, following, quoted=True))
                self.at += 2
            elif sign in "$`":
                self._dollar(word, quoted=False)
            else:
                word.parts.append(Part("text", self.at, sign))
                self.at += 1
        self.at = min(self.at, len(self.text))
        word.end = self.at
        return word

    def _single_quotes(self, word: Word) -> None:
        end = self.text.find("'", self.at + 1)
        end = len(self.text) if end < 0 else end
        word.parts.append(Part("text", self.at + 1, self.text[self.at + 1 : end], quoted=True))
        self.at = end + 1

    def quoted_parts(self, word: Word, end: str | None) -> None:
        """Read the parts between double quotes; with None, of the whole text."""
        begin = self.at
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign == end:
                self._quoted_text(word, begin)
                self.at += 1
                return
            if sign == "\\" and end is not None:
                self._quoted_text(word, begin)
                following = self.text[self.at + 1 : self.at + 2]
                kept = following if following in '$`"\\' else "" if following == "\n" else "\\" + following
                word.parts.append(Part("text", self.at + 1, kept, quoted=True))
                self.at += 2
                begin = self.at
            elif sign in "$`":
                self._quoted_text(word, begin)
                self._dollar(word, quoted=True)
                begin = self.at
            else:
                self.at += 1
        self.at = min(self.at, len(self.text))
        self._quoted_text(word, begin)

    def _quoted_text(self, word: Word, begin: int) -> None:
        if begin < self.at:
            word.parts.append(Part("text", begin, self.text[begin : self.at], quoted=True))

    def _dollar(self, word: Word, *, quoted: bool) -> None:
        """Read what begins with a dollar sign or a backtick."""
        start = self.at
        if self.text[start] == "`":
            end = self._closing_backtick()
            script = _nested(self.text[start + 1 : end], self.depth)
            self._shift(script, start + 1)
            word.parts.append(Part("commands", start, script=script, quoted=quoted))
            self.at = end + 1
            return
        following = self.text[start + 1 : start + 2]
        if self.text.startswith("((", start + 1):
            self._arithmetic()
            word.parts.append(Part("unknown", start))
        elif following == "(":
            word.parts.append(self._substitution(start, start + 2))
        elif following == "{":
            word.parts.append(self._braced(start, quoted=quoted))
        elif (name := _NAME.match(self.text, start + 1)) is not None:
            word.parts.append(Part("variable", start, name[0], quoted=quoted))
            self.at = name.end()
        elif following and following in "@*#?$!-0123456789":
            word.parts.append(Part("unknown", start))
            self.at = start + 2
        else:
            word.parts.append(Part("text", start, "$"))
            self.at = start + 1

    def _substitution(self, start: int, inside: int) -> Part:
        self.at = inside
        heredocs, self.heredocs = self.heredocs, []
        script = self._body()
        self.heredocs = heredocs
        if not self.text.startswith(")", self.at):
            raise _End
        self.at += 1
        return Part("commands", start, script=script)

    def _closing_backtick(self) -> int:
        at = self.at + 1
        while at < len(self.text) and self.text[at] != "`":
            at += 2 if self.text[at] == "\\" else 1
        if at >= len(self.text):
            self.at = len(self.text)
            raise _End
        return at

    def _braced(self, start: int, *, quoted: bool) -> Part:
        """Read `${name}` with its operator; the argument is kept as text."""
        end = self._closing_brace(start + 2)
        inside = self.text[start + 2 : end]
        self.at = end + 1
        if inside.startswith("!") and _NAME.fullmatch(inside, 1):
            return Part("variable", start, inside[1:], operator="!", quoted=quoted)
        name = _NAME.match(inside)
        if name is None:
            return Part("unknown", start)
        rest = inside[name.end() :]
        operator = re.compile(r":?[-+=?]|##?|%%?|//?|[,^]{1,2}|\[|:|").match(rest)
        assert operator is not None
        return Part(
            "variable",
            start,
            name[0],
            operator=operator[0],
            argument=rest[operator.end() :],
            quoted=quoted,
        )

    def _closing_brace(self, at: int) -> int:
        depth, quote = 1, ""
        while at < len(self.text):
            sign = self.text[at]
            if sign == "\\":
                at += 1
            elif quote:
                quote = "" if sign == quote else quote
            elif sign == "'":
                quote = sign
            elif sign == "{":
                depth += 1
            elif sign == "}":
                depth -= 1
                if not depth:
                    return at
            at += 1
        self.at = len(self.text)
        raise _End

    @staticmethod
    def _shift(script: Script, by: int) -> None:
        """Move the places of a script that was parsed on its own."""
        for word in words_of(script):
            word.start += by
            word.end += by
            for part in word.parts:
                part.start += by
        for node in nodes_of(script):
            node.start += by
            node.end += by


def _nested(text: str, depth: int) -> Script:
    parser = _Parser(text)
    parser.depth = depth
    return parser.script()
