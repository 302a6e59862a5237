"""`--verbose` logs docker commands and registry requests to stderr, without secrets."""

import asyncio
import io
import logging
import sys

import pytest
from fakes.registry_server import FakeRegistry

from multibuild.buildx.process import run_process
from multibuild.cli.display.display import make_display
from multibuild.cli.display.plain_lines import PlainLines
from multibuild.cli.startup import main
from multibuild.cli.verbose import set_verbose
from multibuild.redact import redacted_url

CONFIG = "version: 1\nimage: registry.example.org/app\nplatforms: [linux/amd64]\n"


@pytest.fixture
def _verbose():
    set_verbose(True)
    yield
    set_verbose(False)


def test_plan_logs_the_config_and_the_state_directory(tmp_path, capsys):
    (tmp_path / "app").mkdir()
    file, state = tmp_path / "app" / "multibuild.yaml", tmp_path / "state"
    file.write_text(CONFIG)
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    words = ["plan", "-f", str(file), "--state-dir", str(state)]
    assert main([*words, "-v"]) == 0
    verbose = capsys.readouterr()
    assert f"config: {file}\n" in verbose.err
    assert f"state: {state}\n" in verbose.err
    assert main(words) == 0
    plain = capsys.readouterr()
    assert plain.err == ""
    assert plain.out == verbose.out


@pytest.mark.parametrize("command", ["report", "runs"])
def test_report_and_runs_log_the_state_directory(command, tmp_path, capsys):
    main([command, "-v", "--state-dir", str(tmp_path)])
    assert f"state: {tmp_path}\n" in capsys.readouterr().err


def test_every_request_to_a_registry_is_logged(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with FakeRegistry() as registry:
        assert main(["inspect", "-v", f"{registry.host}/app:1"]) == 2
        assert f"GET http://{registry.host}/v2/app/manifests/1: 404 in " in capsys.readouterr().err


@pytest.mark.usefixtures("_verbose")
def test_every_process_is_logged_without_the_values_of_build_arguments(tmp_path, capsys):
    argv = [sys.executable, "-c", "pass", "--build-arg", "TOKEN=s3cret", "--secret", "id=a,env=A"]
    asyncio.run(run_process(argv, cwd=tmp_path, on_line=lambda line: None))
    err = capsys.readouterr().err
    assert "--build-arg TOKEN --secret id=a,env=A" in err
    assert "s3cret" not in err


@pytest.mark.usefixtures("_verbose")
def test_no_password_signature_or_escape_sequence_is_logged(capsys):
    url = redacted_url("https://me:pass@store.example/blob?X-Amz-Signature=abc")
    logging.getLogger("multibuild.publish").info("GET %s", url)
    logging.getLogger("multibuild.publish").info("\x1b[2Jcleared\n::error::x")
    err = capsys.readouterr().err
    assert "GET https://store.example/blob\n" in err
    assert "\x1b" not in err
    assert err.count("\n") == 2


def test_verbose_excludes_the_live_table():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for kind in ("auto", "tty"):
        display = make_display(kind, quiet=False, verbose=True, stream=Terminal(), environ={"TERM": "xterm"})
        assert isinstance(display, PlainLines)
