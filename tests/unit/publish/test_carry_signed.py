"""Carried over from an index that anyone may have pushed: with a key in `sign`, only what that key has signed."""

import subprocess
from datetime import UTC, datetime

import pytest
from fakes.cosign import FakeCosign
from fakes.images import descriptor, put_image, put_index
from fakes.registry_server import FakeRegistry

from multibuild.cli.display.display import Silent
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.journal.recorder import Recorder
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.publish.on_missing import carry_missing


class Display(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.texts = []

    def say(self, text):
        self.texts.append(text)


@pytest.mark.parametrize(
    ("signed", "is_carried"), [("index", True), ("image", True), ("other", False), ("", False)]
)
def test_what_the_key_has_not_signed_is_left_out(signed, is_carried, tmp_path, monkeypatch):
    cosign = FakeCosign(tmp_path / "bin")
    monkeypatch.setenv("PATH", cosign.path)
    with FakeRegistry() as registry:
        name = f"{registry.host}/app"
        path = tmp_path / "multibuild.yaml"
        path.write_text(
            f"version: 1\nimage: {name}\nplatforms: [{{name: linux/arm64, required: false}}]\n"
            "publish: {on_missing: carry}\nsign: {key: cosign.key, tlog: false}\n"
        )
        loaded = load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 1, tzinfo=UTC))
        plan = make_plan(loaded, assumed_facts("auto"))
        cosign.write_key(plan.project / "cosign.key")
        cosign.write_key(plan.project / "other.key", name="another")
        image = put_image(registry, "app", "linux/arm64")
        entry = descriptor(registry, "app", image, "linux/arm64")
        index = put_index(registry, "app", [entry], tag="latest")
        if signed:
            digest, key = image if signed == "image" else index, "other" if signed == "other" else "cosign"
            words = ["cosign", "sign", "--key", f"{key}.key", f"{name}@{digest}"]
            subprocess.run(words, cwd=plan.project, check=True)
        display = Display()
        with RegistrySession({}, on_wait=print) as session:
            repository, recorder = Reference.parse(name), Recorder(None, display)
            carried = carry_missing(plan, [], repository, session, recorder)
    assert bool(carried) == is_carried
    said = f"linux/arm64 of {name}:latest has no signature of the key in `sign`: left out"
    assert display.texts == ([] if is_carried else [said])
