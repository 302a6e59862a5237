import json

import pytest
from fakes.engine import FakeEngine

from multibuild.errors import EnvironmentFault
from multibuild.host.register_emulators import register, register_by_image
from multibuild.platforms import Platform

IMAGE = "registry.example.org/binfmt:1"
ROWS = (Platform.parse("linux/arm64").row,)


NOT_THERE = "manifest unknown"  # no second try helps, so none is waited for


def nothing(_text):
    pass


def test_an_image_that_cannot_be_pulled_says_how_to_do_without():
    engine = FakeEngine(refusal=NOT_THERE)
    with pytest.raises(EnvironmentFault, match=f"pulling {IMAGE}") as caught:
        register_by_image(engine, IMAGE, ROWS, nothing)
    hint = caught.value.hint or ""
    assert "qemu-user" in hint
    assert "source: host" in hint
    assert "emulators.image" in hint


def test_one_that_does_not_answer_says_it_too():
    with pytest.raises(EnvironmentFault, match="did not answer") as caught:
        register_by_image(FakeEngine(images={IMAGE}, answer="hello"), IMAGE, ROWS, nothing)
    assert "source: host" in (caught.value.hint or "")


def test_what_the_image_installed_is_named():
    engine = FakeEngine(images={IMAGE}, answer=json.dumps({"emulators": ["qemu-aarch64"]}))
    said: list[str] = []
    assert register("image", IMAGE, ROWS, engine, said.append, local=True) == ("qemu-aarch64",)
    assert engine.actions == [f"run {IMAGE} --install arm64"]
    assert said == [f"running the privileged container {IMAGE} to register arm64"]


def test_on_another_machine_the_hosts_own_qemu_is_no_source():
    engine = FakeEngine(refusal=NOT_THERE)
    said: list[str] = []
    assert register("auto", IMAGE, ROWS, engine, said.append, local=False) == ()
    assert any("source: host" in text for text in said)
