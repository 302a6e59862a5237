"""Words of registries, images, tests, logs and state reach every command's output, and command nothing there."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fakes.ci_systems import ENVIRONMENTS, VARIABLES, WORDS, commands_in
from fakes.images import descriptor, put_image, put_index
from fakes.registry_server import FakeRegistry, Faults
from unit.report.sample_runs import hostile_report

from multibuild.cli.github import announce
from multibuild.cli.startup import main
from multibuild.cli.streams import (
    HarmlessText,
    harmless_stream,
    harmless_streams,
    live,
    print_bytes,
    print_json,
)
from multibuild.journal.runs import default_state_dir

STARTS = (
    "",
    "\n",
    " \n\t ",
    "\r",
    "ok\r\n",
    "\v",
    "\f",
    "\x85",
    "\u2028",
    "\u200b",
    "\ufeff",
    "\n\u00ad",
    "\n\u200d ",
    "\n\x00",
)
HOSTILE = "".join(f"{start}{word} " for word in WORDS for start in STARTS) + "\ud800"
WRAPPED = " ".join("x" * (70 + number % 9) + f" {word}" for number, word in enumerate(WORDS * 8))


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        images = [put_image(registry, "app", f"linux/{arch}") for arch in ("amd64", "arm64")]
        text = HOSTILE.replace("\ud800", "")
        notes = {"org.example.a": text, text: "b", "org.example.w": WRAPPED}
        entries = [descriptor(registry, "app", digest, "linux/amd64", annotations=notes) for digest in images]
        entries[0]["platform"] = {"os": "linux", "architecture": "amd64", "variant": text, "os.version": text}
        entries[1]["platform"] = {"os": text, "architecture": WRAPPED, "os.features": [text, WRAPPED]}
        put_index(registry, "app", entries, tag="1", annotations=notes, artifactType=text)
        put_index(registry, "app", entries[:1], tag="2", annotations={"org.example.a": "c"})
        registry.error_message = text
        yield registry


@pytest.fixture
def _github(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENTS["github"].items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def printed(registry, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def printed(*words):
        main([word.replace("HOST", registry.host) for word in words])
        out, err = capsys.readouterr()
        assert out + err
        return out + err

    return printed


COMMANDS = (
    "inspect HOST/app:1", "inspect HOST/app:1 --json", "inspect HOST/app:2 --diff HOST/app:1", "inspect HOST/app:1 --proof",
    "verify HOST/app:1", "verify HOST/app:1 --json", "resolve HOST/app:1", "resolve HOST/app:1 --host linux/arm64 --json",
    "merge HOST/app:3 HOST/app:1", "merge HOST/app:3 HOST/app:2 --json", "explain build.log", "explain build.log --json",
    "report", "report --markdown", "report --json", "runs", "runs --json", "-v report",
)  # fmt: skip


@pytest.mark.usefixtures("_github")
@pytest.mark.parametrize("line", COMMANDS)
def test_no_command_passes_on_what_a_registry_or_the_state_holds(printed, tmp_path, line):
    (tmp_path / "build.log").write_text(
        f"#5 [1/2] RUN make\n#5 1.0 {HOSTILE}\n#5 ERROR: {HOSTILE}", errors="replace"
    )
    _put_hostile_run(tmp_path / "state")
    assert commands_in(printed(*line.split())) == []


def _put_hostile_run(folder):
    document = hostile_report() | {"image": HOSTILE, "status": f"\n{WRAPPED}"}
    run = default_state_dir(Path.cwd(), {"XDG_STATE_HOME": str(folder)}) / "runs" / "20260101-000000-0001"
    run.mkdir(parents=True)
    (run / "report.json").write_text(json.dumps(document))


@pytest.mark.usefixtures("_github")
@pytest.mark.parametrize(
    "line", ["inspect HOST/app:1", "verify HOST/app:1", "merge HOST/app:3 HOST/app:1", "resolve HOST/app:1"]
)
@pytest.mark.parametrize("status", [500, 403])
def test_no_error_of_a_registry_and_no_note_about_a_retry_commands(printed, registry, line, status):
    registry.faults = Faults({1: status, 2: 400}, lasting=True, retry_after="0")
    assert commands_in(printed(*line.split())) == []


@pytest.mark.usefixtures("_github")
@pytest.mark.parametrize(
    "words",
    [
        ["report", "{}"], ["inspect", "{}"], ["{}"], ["plan", "--{}"], ["resolve", "x", "--host", "{}"], ["-f", "{}", "plan"],
        ["plan", "--set", "{}"], ["merge", "a", "b", "--platform-of", "{}"], ["explain", "{}"], ["clean", "--only", "{}"],
    ],
)  # fmt: skip
def test_words_on_the_command_line_and_in_errors_command_nothing(printed, words):
    for word in (HOSTILE, *WORDS[:5], "\n::error::x", "\r##[error]x", "\u200b::error::x"):
        main([text.replace("{}", word) for text in words])
    assert commands_in(printed("report", HOSTILE)) == []


def test_json_is_valid_and_loses_nothing(printed, monkeypatch):
    monkeypatch.setenv("CI", "1")
    document = json.loads(printed("inspect", "HOST/app:1", "--json"))
    assert document["annotations"]["org.example.w"] == WRAPPED
    assert document["annotations"]["org.example.a"] == HOSTILE.replace("\ud800", "")


# -- the stream itself


def written(*texts, environ=None):
    stream = io.StringIO()
    guarded = HarmlessText(stream, {"CI": "1"} if environ is None else environ)
    for text in texts:
        guarded.write(text)
    guarded.finish()
    return stream.getvalue()


@pytest.mark.parametrize(
    "text",
    ["", "a", "a\n", "a\n\n b\tc\n", "ä → 漢 👩🏽", "std::cout", "a: b", "# x ## y #[z]", '{\n  "a": 1\n}\n'],
)
def test_ordinary_text_is_written_as_it_is(text):
    assert written(text) == text
    assert written(*text) == text


@pytest.mark.parametrize("environ", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_every_ci_system_is_recognized(environ):
    assert commands_in(HOSTILE)
    assert commands_in(written(HOSTILE, WRAPPED, environ=environ)) == []


def test_commands_are_broken_where_a_ci_system_reads():
    assert written("::a::b\n  ::c\n", environ={}) == "::a::b\n  ::c\n"
    assert written("::a::b\n  ::c\nx ##[d]\n") == ": :a::b\n  : :c\nx # #[d]\n"


@pytest.mark.parametrize("pieces", [(":", ":error::x\n"), ("  ", "::error::x\n"), ("#", "#[error]x\n"), ("##", "vso[x]y"),
                                    ("\x1b", "[2J"), ("\n:", ":", "a::b"), ("\u200b", "::a::b"), ("https://u:S3c", "ret@h/x")])  # fmt: skip
def test_a_command_in_pieces_is_none(pieces):
    text = written(*pieces)
    assert commands_in(text) == []
    assert "ret@" not in text


def test_a_secret_is_not_shown():
    assert written("see https://u:s3cret@h/x?token=s3cret\n") == "see https://***@h/x?token=***\n"


def test_only_commands_of_our_own_pass():
    stream = io.StringIO()
    guarded = harmless_stream(stream, {"CI": "1"})
    print("::group::x", file=live(guarded))
    print("::group::y", file=guarded)
    assert stream.getvalue() == "::group::x\n: :group::y\n"
    assert live(stream) is stream


def test_annotations_are_live_and_what_they_quote_is_not(capsys):
    failed = {
        "number": 1,
        "outcome": "failed",
        "class": HOSTILE,
        "evidence": HOSTILE,
        "hint": HOSTILE,
        "node": "n",
    }
    row = {"platform": HOSTILE, "required": True, "status": "failed", "attempts": [failed]}
    report = {"platforms": [row, {**row, "required": False}], "error": {"message": HOSTILE, "hint": HOSTILE}}
    with harmless_streams({"CI": "1"}):
        announce(report, {"GITHUB_ACTIONS": "true"})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning"]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", "".join(lines))


def test_threads_write_whole_lines():
    stream = io.StringIO()
    guarded = harmless_stream(stream, {"CI": "1"})

    def chat(word):
        for _ in range(500):
            print(word * 20, file=guarded)

    threads = [threading.Thread(target=chat, args=(word,)) for word in ("abc", "::x", "##[y]")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(stream.getvalue().splitlines()) <= {"abc" * 20, ": :x" + "::x" * 19, "# #[y]" * 20, ""} | {
        line for line in stream.getvalue().splitlines() if not commands_in(line)
    }


def test_exact_bytes_go_to_a_pipe_and_harmless_text_to_a_terminal(registry):
    content = b'{"a": "\x1b[2J\xff\n::error::x"}'
    code = "import sys; from multibuild.cli.streams import *; install(); print_bytes(sys.stdin.buffer.read()); sys.stdout.finish()"
    piped = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True)
    assert piped.stdout == content
    primary, secondary = pty.openpty()
    with os.fdopen(secondary, "wb") as terminal:
        subprocess.run(
            [sys.executable, "-c", code],
            input=content,
            stdout=terminal,
            check=True,
            env={**os.environ, "CI": "1"},
        )
    shown = os.read(primary, 10_000).decode().replace("\r\n", "\n")
    os.close(primary)
    assert shown == '{"a": "\ufffd\n: :error::x"}'


def test_the_streams_of_the_process_are_harmless(tmp_path):
    """Also for logging, warnings and the parser of the command line, which know no stream of ours."""
    code = (
        "import logging, sys, warnings; from multibuild.cli.startup import install; install();"
        f"word = {HOSTILE!r};"
        "logging.getLogger('x').warning(word); warnings.warn(word); print(word); print(word, file=sys.stderr);"
        "sys.stdout.write(word); sys.stdout.finish(); sys.stderr.finish()"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "CI": "1"}
    )
    assert process.stdout
    assert process.stderr
    # The source line that a warning quotes has the words as Python writes them, in one line.
    assert commands_in(process.stdout.decode()) == commands_in(process.stderr.decode()) == []


def test_print_json_is_not_changed_by_the_stream(capsys):
    document = {"a": HOSTILE, "b": ["::x", {"c": "##[y]"}]}
    with harmless_streams({"CI": "1"}):
        print_json(document)
    text = capsys.readouterr().out
    assert json.loads(text) == document
    assert commands_in(text) == []


def test_exact_bytes_keep_their_place(capsysbinary):
    with harmless_streams({"CI": "1"}):
        print("before")
        print_bytes(b"\x1b\n")
        print("after")
    assert capsysbinary.readouterr().out == b"before\n\x1b\nafter\n"
