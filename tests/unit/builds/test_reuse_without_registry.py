"""What a run without a registry takes over from those before it."""

import asyncio
from datetime import UTC, datetime

import pytest
from fakes.images import put_attested
from fakes.journals import write_events
from fakes.layouts import LayoutFiles

from multibuild.builds.fingerprint import Fingerprint, PlanFingerprints
from multibuild.builds.reuse import reusable_children, unfinished
from multibuild.cli.display.display import Silent
from multibuild.config.load import load_config
from multibuild.config.overrides import Overrides
from multibuild.journal.events import InputsHeld, InputsNamed, PlatformEnded, PlatformInputs
from multibuild.journal.local_children import export_folder, finalize, holder_of
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import State
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AMD64 = Platform.parse("linux/amd64")
NAME = "oci:children/linux-amd64"
INPUTS = PlanFingerprints(platforms={AMD64: Fingerprint(parts={"context": "1"})})


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def plan(tmp_path):
    """`plan("oci:out")`: one platform, published there."""

    def make(to="oci:out"):
        path = tmp_path / "multibuild.yaml"
        path.write_text(
            f"version: 1\nimage: registry.invalid/app\nplatforms: [linux/amd64]\npublish: {{to: '{to}'}}\n"
        )
        return make_plan(load_config(path, environ={}, overrides=Overrides(), now=NOW), assumed_facts("auto"))

    return make


@pytest.fixture
def killed(state):
    """A run that was killed when it had finished the platform; gives its directory and the digest."""
    run = state.new_run(NOW)
    folder = export_folder("linux-amd64", run)
    digest = put_attested(LayoutFiles(folder), "any", "linux/amd64", tag="latest")[0]
    finalize(folder, digest)
    tell(run, INPUTS.platforms[AMD64].name, NAME, digest)
    return run, digest


def tell(run, inputs, repository, digest):
    write_events(
        run.journal_path,
        InputsNamed(stamp=""),
        PlatformInputs(platform="linux/amd64", inputs=inputs, parts={}),
        PlatformEnded(platform="linux/amd64", status="succeeded", repository=repository, digest=digest),
        InputsHeld(),
    )


def taken(plan, state, run, inputs=INPUTS):
    left = unfinished(state, run)
    return asyncio.run(reusable_children(plan, inputs, left, run, Recorder(None, Silent())))


def test_a_finished_child_is_taken_over(plan, state, killed):
    run = state.new_run(NOW)
    found = taken(plan(), state, run)
    assert (found[AMD64].repository, found[AMD64].digest) == (NAME, killed[1])
    assert holder_of(NAME, killed[1], [run]) == run


def test_from_whichever_run_has_it_by_now(plan, state, killed):
    """The first resumed run was killed, too, after it had taken the child over and before it had noted that."""
    middle, run = state.new_run(NOW), state.new_run(NOW)
    middle.children.parent.mkdir(exist_ok=True)
    killed[0].children.rename(middle.children)
    assert set(taken(plan(), state, run)) == {AMD64}


def test_changed_inputs_are_built_anew(plan, state, killed):
    other = PlanFingerprints(platforms={AMD64: Fingerprint(parts={"context": "2"})})
    assert taken(plan(), state, state.new_run(NOW), other) == {}


def test_a_damaged_child_is_built_anew(plan, state, killed):
    for path in (killed[0].children / "linux-amd64" / "blobs" / "sha256").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert taken(plan(), state, state.new_run(NOW)) == {}


def test_a_child_that_is_not_where_this_plan_stages_is_built_anew(plan, state, killed):
    """No registry is asked for what cannot be in it, nor one that may not be there for what should be here."""
    assert taken(plan("registry"), state, state.new_run(NOW)) == {}
    run = state.new_run(NOW)
    tell(run, INPUTS.platforms[AMD64].name, "registry.invalid/app", killed[1])
    assert taken(plan(), state, state.new_run(NOW)) == {}
