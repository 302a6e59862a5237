"""Findings do not depend on how a file is laid out: comments, continued lines, case of keywords, heredocs, line ends."""

import re
from functools import cache

import pytest
from unit.lint.right_files import RIGHT
from unit.lint.wrong_pairs import PAIRS

from multibuild.dockerfile.source import read_source
from multibuild.lint.fix import fixed_text
from multibuild.lint.lint import lint_text

FILES = {**{pair.name: pair.wrong for pair in PAIRS}, **RIGHT}


@cache
def lint(text):
    return lint_text(text, "Dockerfile")


def rules(text):
    return sorted((one.rule, one.level) for one in lint(text))


def commented(text):
    """Put a comment and an empty line before every instruction."""
    lines = text.split("\n")
    starts = {one.line for one in read_source(text).instructions}
    head = next(iter(sorted(starts)))
    return "\n".join(
        f"# GOARCH=amd64 https://example.org/x-linux-amd64\n\n{line}"
        if number in starts and number > head
        else line
        for number, line in enumerate(lines, 1)
    )


def lower(text):
    lines = text.split("\n")
    for one in read_source(text).instructions:
        line = lines[one.line - 1]
        word = line.split(None, 1)[0]
        lines[one.line - 1] = line.replace(word, word.lower(), 1)
    return "\n".join(lines)


def continued(text):
    """Continue the lines of RUN before each `&&`, with a comment in between."""
    escape = "`" if "escape=`" in text else "\\"
    if "<<" in text:
        return text
    return text.replace(" && ", f" {escape}\n# a comment\n\n    && ")


def unfolded(text):
    """Write each continued instruction on one line."""
    source = read_source(text)
    pieces, last = [], 0
    lines = text.split("\n")
    for one in source.instructions:
        pieces += lines[last : one.line - 1]
        if one.heredocs or one.line == one.last_line:
            pieces += lines[one.line - 1 : one.last_line]
        else:
            pieces.append(f"{one.word} {one.rest.text}")
        last = one.last_line
    return "\n".join([*pieces, *lines[last:]])


def as_heredocs(text):
    """Write the script of each RUN that a shell reads as a heredoc."""
    pieces, last = [], 0
    lines = text.split("\n")
    for one in read_source(text).instructions:
        pieces += lines[last : one.line - 1]
        match = re.fullmatch(r"((?:--\S+\s+)*)(.*)", one.rest.text, re.DOTALL)
        assert match is not None
        if one.word != "RUN" or one.heredocs or match[2].startswith("["):
            pieces += lines[one.line - 1 : one.last_line]
        else:
            pieces += [f"RUN {match[1]}<<END", match[2], "END"]
        last = one.last_line
    return "\n".join([*pieces, *lines[last:]])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change", [commented, lower, continued, unfolded, as_heredocs], ids=lambda one: one.__name__
)
def test_the_same_rules_speak(name, change):
    if name == "powershell" and change in {as_heredocs, unfolded}:
        return  # its escape character is another, and its shell knows no heredocs
    assert rules(change(FILES[name])) == rules(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_line_ends_and_a_byte_order_mark_change_no_place(name):
    text = FILES[name].replace("\r\n", "\n")
    before = [(one.rule, one.line, one.column, one.end_column) for one in lint(text)]
    for other in (text.replace("\n", "\r\n"), "\ufeff" + text):
        assert [(one.rule, one.line, one.column, one.end_column) for one in lint(other)] == before


@pytest.mark.parametrize("name", FILES)
def test_fix_keeps_line_ends_and_the_mark(name):
    text = FILES[name].replace("\r\n", "\n")
    fixed = fixed_text(text, lint)
    for change in (lambda one: one.replace("\n", "\r\n"), lambda one: "\ufeff" + one):
        assert fixed_text(change(text), lint) == change(fixed)


@pytest.mark.parametrize("name", FILES)
def test_fix_is_idempotent_and_brings_no_new_finding(name):
    fixed = fixed_text(FILES[name], lint)
    assert fixed_text(fixed, lint) == fixed
    serious = [one for one in lint(FILES[name]) if one.level != "hint"]
    left = {one.rule for one in lint(fixed) if one.level != "hint"}
    assert left <= {one.rule for one in serious}


@pytest.mark.parametrize("name", FILES)
def test_a_place_is_in_its_line(name):
    lines = FILES[name].replace("\r", "").split("\n")
    for one in lint(FILES[name]):
        assert 1 <= one.line <= len(lines)
        assert 1 <= one.column <= one.end_column <= len(lines[one.line - 1]) + 1
