"""Ignore files that are meant to stop the reader: patterns that try again and again, special files, huge ones."""

import os
import time

import pytest

from multibuild.dockerfile.ignore import (
    MAX_IGNORE_BYTES,
    MAX_PATTERN_CHARACTERS,
    MAX_PATTERNS,
    Ignore,
    read_ignore,
)
from multibuild.dockerfile.wildcards import MAX_TRANSITIONS, compile_wildcard
from multibuild.errors import ConfigError

MAX_CPU_S = 2.0
"""Far more than the milliseconds it takes; the patterns here took minutes, or longer than anyone waits."""


def is_ignored(name, *lines):
    ignore = Ignore(lines)
    return ignore.is_ignored(ignore.matches(name))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 30, "a" * 60),
        ("*a*" * 20 + "b", "a" * 200),
        ("**/" * 20 + "x", "a/" * 100 + "y"),
        ("**a" * 20, "a" * 100 + "b"),
        ("*[ab]" * 20 + "c", "ab" * 60),
        ("*?" * 30 + "!", "x" * 250),
        ("**/*a" * 12, "a/" * 500 + "b"),
        ("*\\a" * 25, "a" * 100 + "b"),
        ("[^b]*" * 25 + "b/", "a/" * 120),
    ],
)
def test_a_pattern_takes_no_longer_for_what_it_repeats(pattern, name):
    began = time.process_time()
    is_ignored(name, pattern)
    assert time.process_time() - began < MAX_CPU_S


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a[b-d]e", ("abe", "ade"), ("aae", "a-e", "abde")),
        ("[^a]x", ("bx", "/x"), ("ax", "x")),
        ("[a\\-c]", ("a", "-", "c"), ("b", "\\")),
        ("[a&&b]", ("a", "&", "b"), ("c",)),
        ("[[a]", ("[", "a"), ("b",)),
        ("[a--]", (), ("a", "-")),  # an empty range: an invalid pattern
        ("a\\*b", ("a*b",), ("axb",)),
        ("*.log", ("x.log", "new\nline.log"), ("d/x.log",)),
        ("**/x?", ("xa", "d/xa", "d/e/xb"), ("dxa", "d\ne/xa")),  # a dot of Go's takes no newline
        ("a/**", ("a/", "a/b\nc"), ("a", "ab")),
    ],
)
def test_classes_escapes_and_newlines(pattern, matching, other):
    assert [name for name in matching if not is_ignored(name, pattern)] == []
    assert [name for name in other if is_ignored(name, pattern)] == []


def test_the_states_of_a_pattern_are_bounded():
    matches = compile_wildcard("*x*y*z")
    for number in range(MAX_TRANSITIONS * 2):
        matches(chr(0x4E00 + number % 20_000) + str(number))
    assert matches("-x-y-z")


def test_a_form_feed_ends_no_line(tmp_path):
    (tmp_path / ".dockerignore").write_bytes(b"a\x0cb\nc\r\n")
    ignore = read_ignore(tmp_path, None)
    names = ("a\x0cb", "c", "b")
    assert [name for name in names if ignore.is_ignored(ignore.matches(name))] == ["a\x0cb", "c"]


@pytest.mark.parametrize(
    "content",
    [
        b"x\n" * (MAX_PATTERNS + 1),
        b"*" * (MAX_PATTERN_CHARACTERS + 1),
        b"\n" * (MAX_IGNORE_BYTES + 1),
    ],
)
def test_a_file_beyond_the_limits_is_an_error(tmp_path, content):
    (tmp_path / ".dockerignore").write_bytes(content)
    with pytest.raises(ConfigError):
        read_ignore(tmp_path, None)


def test_a_special_file_is_not_waited_for(tmp_path):
    for name, make in (
        ("pipe", os.mkfifo),
        ("zero", lambda path: path.symlink_to("/dev/zero")),
        ("folder", os.mkdir),
    ):
        (tmp_path / name).mkdir()
        make(tmp_path / name / ".dockerignore")
        with pytest.raises(OSError):
            read_ignore(tmp_path / name, None)
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / ".dockerignore").symlink_to(".dockerignore")
    with pytest.raises(OSError):
        read_ignore(tmp_path / "loop", None)
