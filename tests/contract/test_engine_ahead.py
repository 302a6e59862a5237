import json
import time

import pytest

from multibuild.engine_ahead import EngineAskedAhead
from multibuild.host.builder import BUILDKIT_IMAGE, OWN_NAME


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
    assert not EngineAskedAhead().has_image("other")


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
