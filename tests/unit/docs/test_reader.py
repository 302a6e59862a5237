"""The reader that follows the pages notices every fault in one."""

import os
from pathlib import Path

import pytest
import yaml
from pages.blocks import prose, read_page
from pages.names import translated
from pages.output import missing_keys, missing_lines
from pages.reader import Reader


@pytest.fixture
def play(tmp_path):
    (tmp_path / "project").mkdir()

    def playing(text):
        page = tmp_path / "page.md"
        page.write_text(text)
        environment = {"PATH": os.environ["PATH"]}
        Reader(folder=tmp_path / "project", environment=environment, translate=str).read(read_page(page))
        return tmp_path / "project"

    return playing


def block(info, text):
    return f"```{info}\n{text}\n```\n"


def test_blocks_share_directory_variables_and_files(play):
    folder = play(
        block("sh", "mkdir inner\ncd inner\nname=value")
        + "Write `file.txt`:\n"
        + block("text title=file.txt", "hello")
        + block("sh", 'cat file.txt; echo "$name"')
        + block("text", "hello\nvalue")
    )
    assert (folder / "inner/file.txt").read_text() == "hello\n"


def test_keys_are_added_to_a_file_or_replaced(play):
    folder = play(
        "`a.yaml`\n"
        + block("yaml title=a.yaml", "x: 1\ny: 2")
        + "`a.yaml`\n"
        + block("yaml into=a.yaml", "y: 3\nz: 4")
    )
    assert yaml.safe_load((folder / "a.yaml").read_text()) == {"x": 1, "y": 3, "z": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (block("sh", "false"), "exit code 1"),
        (block("sh", "false | true"), "exit code 1"),
        (block("sh exit=3", "true"), "exit code 0"),
        (block("sh", "echo $unset"), "unbound variable"),
        (block("bash", "true"), "nothing runs"),
        (block("", "true"), "nothing runs"),
        (block("text", "x"), "no command before"),
        (block("sh", "echo no") + block("text", "yes"), "not printed: ['yes']"),
        (block("sh", "echo '{}'") + block("json", '{"a": 1}'), "not printed: ['.a']"),
        (block("yaml title=a.yaml", "x: 1"), "does not name a.yaml"),
    ],
)
def test_a_fault_in_a_page_is_reported(play, text, message):
    with pytest.raises(AssertionError) as failure:
        play(text)
    assert message in str(failure.value)


def test_a_block_that_is_never_closed_is_an_error(play):
    with pytest.raises(ValueError, match="never closed"):
        play("```sh\ntrue\n")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a  1.9s  1.1 MB", "a    12s   919 kB"),
        ("a  1m05s", "a 3h"),
        ("index sha256:" + "a1" * 32, "index sha256:" + "0b" * 32),
        ("first\n...\nlast", "first\nanything\nlast"),
        ("linux/arm64  reused ...", "linux/arm64     reused  0.0s  1"),
        ("20260101-120000-aaaa  ok", "20261231-235959-0f0f   ok"),
    ],
)
def test_numbers_are_not_compared(shown, printed):
    assert missing_lines(shown, printed) == []


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("linux/arm64  reused", "linux/arm64  failed"),
        ("linux/arm/v7  ok", "linux/arm/v6  ok"),
        ("second\nfirst", "first\nsecond"),
        ("a  TIME", "a"),
    ],
)
def test_words_and_their_order_are_compared(shown, printed):
    assert missing_lines(shown, printed) != []


def test_keys_of_json_are_compared_and_not_values():
    assert missing_keys('{"a": [{"b": 1}], "c": null}', '{"a": [{"b": 2}], "c": 3, "d": 4}') == []
    assert missing_keys('{"a": [{"b": 1}], "c": null}', '{"a": []}') == [".a[0]", ".c"]


def test_names_become_those_of_this_machine():
    def here(text):
        return translated(
            text, registry="localhost:5000", prefix="docs/p", services={"registry.lan:5000": "10.0.0.1:9"}
        )

    assert here("docker login registry.example.org") == "docker login localhost:5000"
    assert here("x registry.example.org/a/b:1") == "x localhost:5000/docs/p/registry.example.org/a/b:1"
    assert here("localhost:5000/hello:latest") == "localhost:5000/docs/p/hello:latest"
    assert here("FROM busybox:1.37") == "FROM localhost:5000/base:latest"
    assert here("registry.lan:5000/a") == "10.0.0.1:9/a"


def test_prose_is_what_is_outside_of_blocks():
    assert prose("a\n```sh\nb\n```\nc") == "a\n\n\n\nc"
    assert Path(__file__).name not in prose("````\n```\n[x](y)\n```\n````")
