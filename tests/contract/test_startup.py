"""What is asked of docker, and when: nothing before a command is known to be right, nothing twice."""

import os
import signal
import subprocess
import sys
import time

import pytest
from waiting import PATIENCE_S

from multibuild.cli.startup import main


@pytest.fixture
def config(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    path = tmp_path / "app" / "multibuild.yaml"
    path.write_text("version: 1\nimage: localhost:1/app\nplatforms: [linux/amd64]\nbuilder: nobody\n")
    return path


@pytest.mark.parametrize(
    "words", [["all", "--jbos", "3"], ["build", "-f", "no-such.yaml"], ["all", "--help"], ["plan", "--help"]]
)
def test_a_command_that_ends_at_once_asks_docker_nothing(docker, words):
    docker.engine()
    main(words)
    assert docker.calls() == []


@pytest.mark.parametrize("command", ["all", "build"])
def test_a_run_asks_docker_each_question_once(docker, tmp_path, config, command, capsys):
    docker.engine()
    assert main([command, "-f", str(config), "--state-dir", str(tmp_path / "state")]) == 3
    assert "no profile and no buildx builder named 'nobody'" in capsys.readouterr().err
    assert [call[1] for call in docker.calls()] == ["info", "ls"]


def test_a_signal_does_not_wait_for_an_engine_that_says_nothing(docker, tmp_path, config):
    docker.answer("info", seconds=600)
    words = [
        sys.executable,
        "-m",
        "multibuild",
        "all",
        "-f",
        str(config),
        "--state-dir",
        str(tmp_path / "state"),
    ]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        while not docker.calls():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_S) == 130
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_run_of_some_platforms_needs_no_other(docker, tmp_path, config, capsys):
    """A job that builds one platform of many registers no emulator for the others, and asks nothing of their builders."""
    config.write_text(
        "version: 1\nimage: localhost:1/app\nbuilder: default\n"
        "platforms: [linux/amd64, linux/mips64le, {name: linux/s390x, builder: nobody}]\n"
    )
    docker.engine()
    docker.answer("build", "--progress", "rawjson", "--builder", "default", "--platform", "linux/amd64")
    words = ["build", "-f", str(config), "--state-dir", str(tmp_path / "state"), "--platform", "linux/amd64"]
    main(words)
    probes = [call[call.index("--platform") + 1] for call in docker.calls() if "--no-cache" in call]
    assert probes == ["linux/amd64"]
    assert "nobody" not in capsys.readouterr().err


def test_a_platform_that_the_config_lacks_is_named_before_docker_is_asked(docker, tmp_path, config, capsys):
    docker.engine()
    assert main(["all", "-f", str(config), "--platform", "arm64"]) == 2
    assert "platforms does not list linux/arm64" in capsys.readouterr().err
    assert docker.calls() == []
