import json

import pytest
from fakes.engine import FakeEngine

from multibuild.errors import EnvironmentFault
from multibuild.host.register_emulators import plan_registration, register
from multibuild.platforms import Platform

IMAGE = "registry.example.org/binfmt:1"
ROWS = (Platform.parse("linux/arm64").row,)
PERMANENT = "manifest unknown"  # not transient: no wait for a retry


def run(source, engine, *, local=True):
    """Plan and register; return the handlers and the messages."""
    messages: list[str] = []
    plan = plan_registration(source, IMAGE, ROWS, local=local)
    return register(plan, engine, messages.append), messages


def test_a_failed_pull_names_the_ways_to_do_without_the_image():
    engine = FakeEngine(refusal=PERMANENT)
    with pytest.raises(EnvironmentFault, match=f"pulling {IMAGE}") as caught:
        run("image", engine)
    for way in ("qemu-user", "source: host", "emulators.image"):
        assert way in (caught.value.hint or "")


@pytest.mark.parametrize(
    "answer", ["hello", "", "[]", "7", '{"emulators": 7}', '{"emulators":' + "[" * 100_000]
)
def test_an_image_with_another_answer_names_them_too(answer):
    with pytest.raises(EnvironmentFault, match="did not answer") as caught:
        run("image", FakeEngine(images={IMAGE}, answer=answer))
    assert "source: host" in (caught.value.hint or "")


def test_the_handlers_that_the_image_installed_are_returned():
    engine = FakeEngine(images={IMAGE}, answer=json.dumps({"emulators": ["qemu-aarch64"]}))
    handlers, messages = run("image", engine)
    assert handlers == ("qemu-aarch64",)
    assert engine.calls == [f"run {IMAGE} --install arm64"]
    assert messages == [f"running the privileged container {IMAGE} to register arm64"]


def test_for_an_engine_on_another_machine_the_own_qemu_is_not_used():
    engine = FakeEngine(refusal=PERMANENT)
    handlers, messages = run("auto", engine, local=False)
    assert handlers == ()
    assert any("source: host" in text for text in messages)


def test_a_plan_describes_what_the_image_would_register():
    plan = plan_registration("image", IMAGE, ROWS, local=True)
    assert plan.planned_changes == (f"run the privileged container {IMAGE} to register arm64",)
