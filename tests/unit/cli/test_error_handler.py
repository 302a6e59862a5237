"""Errors that no code expects: those of the machine are said as such, and no crash file is no second crash."""

import errno
import os
import pty
import subprocess
import sys
import tempfile
import termios

import pytest

from multibuild.cli.error_handler import exit_code
from multibuild.cli.execute import event_of
from multibuild.errors import BuildFailed


def failing(error):
    def command():
        raise error

    return command


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A directory of temporary files for one test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE])
def test_a_file_that_the_machine_refuses_is_no_bug(number, temporary, capsys):
    assert exit_code(failing(OSError(number, os.strerror(number), "/some/file"))) == 3
    (crash,) = temporary.iterdir()
    assert capsys.readouterr().err.splitlines() == [
        f"error: /some/file: {os.strerror(number)}",
        f"hint:  what happened is in {crash}",
    ]
    assert "Traceback" in crash.read_text()


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "No such file", "/f"), OSError(errno.EACCES, "x"), KeyError("k")],
)
def test_any_other_is_a_bug(error, temporary, capsys):
    assert exit_code(failing(error)) == 1
    (crash,) = temporary.iterdir()
    assert f"this is a bug in multibuild; what happened is in {crash}" in capsys.readouterr().err


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied", "/f"), KeyError("k")])
def test_no_place_for_the_traceback_is_said(error, temporary, capsys):
    temporary.rmdir()
    assert exit_code(failing(error)) in {1, 3}
    first, second = capsys.readouterr().err.splitlines()
    assert first in {"error: /f: Permission denied", "error: KeyError: 'k'"}
    assert "no file for its traceback: No such file or directory; set TMPDIR" in second


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (
            40,
            [
                "error: nowhere.yaml: there is no such",
                "       file",
                "hint:  `multibuild init` writes one;",
                "       `--file` names another",
            ],
        ),
        (
            20,
            [
                "error: nowhere.yaml:",
                "       there is no",
                "       such file",
                "hint:",
                "       `multibuild init`",
                "       writes one;",
                "       `--file`",
                "       names another",
            ],
        ),
        (
            0,
            [
                "error: nowhere.yaml: there is no such file",
                "hint:  `multibuild init` writes one; `--file` names another",
            ],
        ),
    ],
)
def test_a_terminal_shows_whole_words_and_commands(columns, shown, tmp_path):
    primary, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    command = [sys.executable, "-m", "multibuild", "plan", "-f", "nowhere.yaml"]
    assert subprocess.run(command, cwd=tmp_path, stderr=terminal, check=False).returncode == 2
    os.close(terminal)
    assert os.read(primary, 10_000).decode().splitlines() == shown
    os.close(primary)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied", "/f"),
        OSError(errno.EMFILE, "Too many open files", "/f"),
        FileNotFoundError(errno.ENOENT, "No such file", "/f"),
        KeyError("k"),
        KeyboardInterrupt(),
        BuildFailed("linux/arm64 could not be built"),
    ],
)
@pytest.mark.usefixtures("temporary")
def test_the_report_of_a_run_has_the_exit_code_of_the_command(error):
    assert (event_of(error).error or {})["exit_code"] == exit_code(failing(error))
