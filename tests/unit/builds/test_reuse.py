"""What `--resume` may take over: nothing of which it is not known what went in."""

from datetime import UTC, datetime, timedelta

import pytest
from fakes.images import put_image
from fakes.journals import write_events
from fakes.registry_server import FakeRegistry

from multibuild.builds.fingerprint import Fingerprint, PlanFingerprints
from multibuild.builds.reuse import reusable_children, unfinished
from multibuild.cli.display.display import Silent
from multibuild.config.load import load_config
from multibuild.config.overrides import Overrides
from multibuild.journal.events import (
    InputsChanged,
    InputsHeld,
    InputsNamed,
    PlatformEnded,
    PlatformInputs,
    RunEnded,
    TagPlanned,
)
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import State
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AMD64 = Platform.parse("linux/amd64")
INPUTS = Fingerprint(parts={"context": "c"})
NAMED = [
    InputsNamed(stamp="before"),
    PlatformInputs(platform="linux/amd64", inputs=INPUTS.name, parts=INPUTS.parts),
]


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


def ended(digest="sha256:d", repository="r"):
    return PlatformEnded(platform="linux/amd64", status="succeeded", digest=digest, repository=repository)


def left_by(state, *events):
    write_events(state.new_run(NOW).journal_path, *events)
    return unfinished(state, state.new_run(NOW + timedelta(days=1)))


def children_of(left):
    return [(child.digest, child.stamp) for child in left.children.values()]


def test_files_that_held_need_no_stamp(state):
    assert children_of(left_by(state, *NAMED, ended(), InputsHeld())) == [("sha256:d", None)]


def test_a_run_that_was_killed_before_it_looked_leaves_the_stamp_of_its_files(state):
    assert children_of(left_by(state, *NAMED, ended())) == [("sha256:d", "before")]


def test_files_that_changed_during_the_build_leave_nothing(state):
    assert children_of(left_by(state, *NAMED, ended(), InputsChanged())) == []


def test_a_journal_without_any_stamp_proves_nothing(state):
    assert children_of(left_by(state, NAMED[1], ended())) == [("sha256:d", "")]


@pytest.mark.parametrize(("stamp", "taken"), [("before", [AMD64]), ("after", [])])
async def test_a_file_that_was_changed_and_changed_back_spoils_what_a_killed_run_built(
    state, tmp_path, stamp, taken
):
    with FakeRegistry() as registry:
        digest, image = put_image(registry, "app", "linux/amd64"), f"{registry.host}/app"
        left = left_by(state, *NAMED, ended(digest, image))
        path = tmp_path / "multibuild.yaml"
        path.write_text(f"version: 1\nimage: {image}\nplatforms: [linux/amd64]\n")
        loaded = load_config(path, environ={}, overrides=Overrides(), now=NOW)
        plan = make_plan(loaded, assumed_facts("auto"))
        inputs = PlanFingerprints(platforms={AMD64: INPUTS}, stamp=stamp)
        found = await reusable_children(plan, inputs, left, state.new_run(NOW), Recorder(None, Silent()))
    assert list(found) == taken


def moved(before, after="sha256:index"):
    return TagPlanned(ref="r:latest", before=before, after=after)


def tags_left_by(state, *runs):
    for day, events in enumerate(runs):
        write_events(state.new_run(NOW + timedelta(days=day)).journal_path, *events)
    return dict(unfinished(state, state.new_run(NOW + timedelta(days=len(runs)))).tags)


def test_the_oldest_unfinished_run_knows_what_a_tag_held(state):
    left = tags_left_by(state, [moved("sha256:old")], [moved(None)])
    assert left == {("r:latest", "sha256:index"): "sha256:old"}


def test_what_a_partial_run_published_is_no_half_moved_tag(state):
    partial = [moved("sha256:old"), RunEnded(status="partial")]
    assert tags_left_by(state, [moved("sha256:older")], partial) == {}


def test_a_partial_build_moved_no_tag(state):
    build = [RunEnded(status="partial")]
    assert tags_left_by(state, [moved("sha256:old")], build) == {("r:latest", "sha256:index"): "sha256:old"}


def test_what_was_half_moved_after_a_partial_run_is(state):
    partial = [moved("sha256:old"), RunEnded(status="partial")]
    left = tags_left_by(state, partial, [moved("sha256:index", "sha256:new")])
    assert left == {("r:latest", "sha256:new"): "sha256:index"}
