"""Hostile text made harmless, and human-readable sizes and times."""

import re
import time

import pytest

from multibuild.terminal import columns, human_bytes, human_seconds, one_line, printable, wrapped


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[?25l\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$q\x1b\\dcs", "dcs"),
        ("\x1b(Bset \x1b7saved\x1bc", "set saved"),
        ("\x9b31meight\x9d0;t\x9cbit", "eightbit"),
        ("\x1b]0;never ended\nnext line", "\nnext line"),
        ("\x1b\x1b[31m[31mtwice", "[31mtwice"),
        ("a\x00\x07\x08\x7fb", "ab"),
        ("a\tb\nc", "a\tb\nc"),
        ("evil\u202egnp.exe\u2066\u200b\ufeff", "evilgnp.exe"),
        ("half \ud800", "half "),
        ("ä → 漢", "ä → 漢"),
    ],
)
def test_printable(hostile, harmless):
    assert printable(hostile) == harmless


def test_no_control_character_is_left():
    characters = "".join(chr(code) for code in range(0x300))
    text = printable(characters * 2 + "".join(f"\x1b{chr(code)}x" for code in range(0x300)))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_printable_takes_linear_time():
    began = time.process_time()
    printable("\x1b]" * 200_000 + "\x1b[" * 200_000 + "\x1b[" + "1;" * 500_000)
    assert time.process_time() - began < 20


def test_one_line():
    assert one_line("a\nb\r\n\tc\x1b[1m") == "a b  c"


def test_columns():
    assert columns([("A", "B"), ("long", "1"), ("x", "22")], right=frozenset({1})) == [
        "A      B",
        "long   1",
        "x     22",
    ]
    assert columns([]) == []


def test_columns_are_cut_at_the_width_and_one_line_each():
    (line,) = columns([("a\nb", "\x1b[1mc" * 100)], width=20)
    assert line == "a b  cccccccccccccc…"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1536, "1.5 kB"),
        (99_960, "100 kB"),
        (999_600, "1.0 MB"),
        (5e15, "5000 TB"),
    ],
)
def test_human_bytes(size, text):
    assert human_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.24, "0.2s"), (59.94, "59.9s"), (59.96, "1m 00s"), (64, "1m 04s"), (3599.6, "1h 00m"), (3700, "1h 01m"), (-1, "0.0s")],
)  # fmt: skip
def test_human_seconds(seconds, text):
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "  three"]),
        ("short\n\nalso  so", ["short", "", "also  so"]),
        ("a `b c d e f` g", ["a", "  `b c d e f`", "  g"]),
        ("never `closed by any", ["never", "  `closed by any"]),
        ("/a/path/that/is/long and on", ["/a/path/that/is/long", "  and on"]),
        ("well-known-words so", ["well-known-words", "  so"]),
        ("      deep down", ["      deep", "  down"]),
    ],
)
def test_lines_are_broken_between_words_and_outside_of_commands(text, lines):
    assert wrapped(text, 10, indent="  ").split("\n") == lines
