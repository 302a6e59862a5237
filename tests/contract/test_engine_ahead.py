import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from multibuild.cli import main
from multibuild.engine_ahead import EngineAskedAhead
from multibuild.host.choose_builder import BUILDKIT_IMAGE, OWN_NAME


def asked(docker):
    return [call[1:3] if call[1] == "image" else call[1:2] for call in docker.calls()]


def settle(docker, number):
    """Wait until so many questions are asked; a few more would be seen, too."""
    ends = time.monotonic() + 20
    while len(docker.calls()) < number and time.monotonic() < ends:
        time.sleep(0.02)
    time.sleep(0.3)


def test_the_first_answers_are_asked_for_at_once_and_later_ones_anew(docker):
    docker.engine()
    docker.answer("image", "inspect", stdout="sha256:1\n")
    engine = EngineAskedAhead()
    settle(docker, 3)
    questions = [["info"], ["ls"], ["image", "inspect"]]
    assert asked(docker) == questions
    for _ in range(2):
        assert engine.info().buildx_version == "0.29.1"
        assert [builder.name for builder in engine.builders()] == ["default"]
        assert engine.has_image(BUILDKIT_IMAGE)
    assert asked(docker) == questions * 2


def test_an_answer_about_one_image_is_none_about_another(docker):
    docker.engine()
    docker.answer("image", "inspect", "--format", "{{.Id}}", BUILDKIT_IMAGE, stdout="sha256:1\n")
    docker.answer("image", "inspect", stderr="Error: No such image: other\n", code=1)
    engine = EngineAskedAhead()
    assert not engine.has_image("other")
    settle(docker, 4)
    assert engine.has_image(BUILDKIT_IMAGE)


def test_with_a_builder_of_ours_no_image_is_asked_for(docker):
    docker.answer(
        "ls", stdout=json.dumps({"Name": OWN_NAME, "Driver": "docker-container", "Nodes": []}) + "\n"
    )
    docker.engine()
    EngineAskedAhead()
    settle(docker, 2)
    assert asked(docker) == [["info"], ["ls"]]


@pytest.mark.parametrize("flag", ["--help", "--dry-run", "--if-changed", "--verbose", "-v", "-qv"])
def test_nothing_is_asked_where_no_engine_may_be_wanted_or_every_command_is_told_of(docker, flag):
    docker.engine()
    assert EngineAskedAhead.for_flags(["--tag", "x", flag]) is None
    assert docker.calls() == []


@pytest.mark.parametrize(
    "flags", [[], ["-f", "other.yaml", "-q"], ["--platform", "linux/arm/v7", "--resume"]]
)
def test_everybody_else_wants_the_engine(docker, flags):
    docker.engine()
    engine = EngineAskedAhead.for_flags(flags)
    assert engine is not None
    assert engine.info().version == "28.5.2"
    settle(docker, 3)


def still_asked(docker):
    """Whether a process of the fake runs."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return any(str(docker.folder).encode() in line for line in lines)


@pytest.mark.parametrize("words", [["all", "--jbos", "3"], ["build", "-f", "no-such.yaml"]])
def test_a_command_that_fails_at_once_leaves_nothing_running(docker, words):
    docker.answer("info", seconds=60)
    assert main(words) == 2
    ends = time.monotonic() + 5
    while still_asked(docker) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not still_asked(docker)
    assert asked(docker) in ([], [["info"]])


@pytest.mark.parametrize("command", ["all", "build"])
def test_a_run_uses_what_was_asked_ahead(docker, tmp_path, command, capsys):
    docker.engine()
    docker.answer("image", "inspect", stderr="Error: No such image\n", code=1)
    docker.answer("pull", stderr="no route to host\n", code=1)
    config = tmp_path / "multibuild.yaml"
    config.write_text("version: 1\nimage: localhost:1/app\nplatforms: [linux/amd64]\nbuilder: nobody\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert main([command, "-f", str(config), "--state-dir", str(tmp_path.parent / f"{command}-state")]) == 3
    assert "no profile and no buildx builder named 'nobody'" in capsys.readouterr().err
    assert [question for question in asked(docker) if question != ["image", "inspect"]] == [["info"], ["ls"]]
