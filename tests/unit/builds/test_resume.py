"""What `--resume` reuses: only children whose inputs are known to be the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.images import put_attested, put_image
from fakes.journals import write_events
from fakes.layouts import LayoutFiles
from fakes.registry_server import FakeRegistry
from fakes.specs import PLAIN

from multibuild.builds.fingerprint import Fingerprint, PlanFingerprints, fingerprint_platforms
from multibuild.builds.resume import read_unfinished_runs, read_unfinished_tags, reusable_children
from multibuild.cli.display.display import Silent
from multibuild.journal.events import (
    InputsChanged,
    InputsHeld,
    InputsNamed,
    PlatformEnded,
    PlatformInputs,
    RunEnded,
    TagPlanned,
)
from multibuild.journal.local_children import export_folder, finalize, holder_of
from multibuild.journal.recorder import Recorder
from multibuild.platforms import Platform

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AMD64 = Platform.parse("linux/amd64")
FINGERPRINT = Fingerprint(parts={"context": "c"})
INPUTS = [
    InputsNamed(stamp="before"),
    PlatformInputs(platform="linux/amd64", inputs=FINGERPRINT.digest, parts=FINGERPRINT.parts),
]
LAYOUT = "oci:children/linux-amd64"


def test_annotations_of_the_manifest_go_into_a_child_and_none_change_no_fingerprint(tmp_path):
    """Runs of versions without annotations of manifests must still be resumed: that digest is one of theirs."""

    def settings(**spec):
        specs = {PLAIN.platform: replace(PLAIN, **spec)}
        fingerprints = fingerprint_platforms(tmp_path, specs, lambda _: {})
        return fingerprints.platforms[PLAIN.platform].parts["settings"]

    assert settings() == "c32f453dd309472297885ef99e7d740790a1aad43afa3d30ba29f32aadab3891"
    assert len({settings(), settings(annotations={"a": "b"}), settings(annotations={"a": "c"})}) == 3


def ended(digest="sha256:d", repository="r"):
    return PlatformEnded(platform="linux/amd64", status="succeeded", digest=digest, repository=repository)


def runs_after(state, *runs):
    """Return the unfinished runs that a new run sees after runs with these events."""
    for day, events in enumerate(runs):
        write_events(state.new_run(NOW + timedelta(days=day)).journal_path, *events)
    return read_unfinished_runs(state, state.new_run(NOW + timedelta(days=len(runs))))


@pytest.mark.parametrize(
    ("events", "children"),
    [
        ([*INPUTS, ended(), InputsHeld()], [("sha256:d", None)]),
        ([*INPUTS, ended()], [("sha256:d", "before")]),
        ([*INPUTS, ended(), InputsChanged()], []),
        ([INPUTS[1], ended()], [("sha256:d", "")]),
    ],
    ids=["unchanged until the end", "killed before it looked", "changed during the build", "no stamp"],
)
def test_a_child_has_the_stamp_of_its_files_unless_they_are_known_to_be_unchanged(state, events, children):
    runs = runs_after(state, events)
    assert [(child.digest, child.mtime_stamp) for child in runs.children.values()] == children


async def resume(plan, state, run, fingerprint=FINGERPRINT, stamp=""):
    runs = read_unfinished_runs(state, run)
    fingerprints = PlanFingerprints(platforms={AMD64: fingerprint}, mtime_stamp=stamp)
    return await reusable_children(plan, fingerprints, runs, run, Recorder(None, Silent()))


@pytest.mark.parametrize(("stamp", "platforms"), [("before", [AMD64]), ("after", [])])
async def test_a_killed_runs_child_is_not_reused_after_any_write_to_a_file(state, plan_of, stamp, platforms):
    with FakeRegistry() as registry:
        digest, image = put_image(registry, "app", "linux/amd64"), f"{registry.host}/app"
        write_events(state.new_run(NOW).journal_path, *INPUTS, ended(digest, image))
        plan = plan_of(f"image: {image}\nplatforms: [linux/amd64]")
        assert list(await resume(plan, state, state.new_run(NOW), stamp=stamp)) == platforms


def tag_planned(before, after="sha256:index"):
    return TagPlanned(ref="r:latest", before=before, after=after)


PARTIAL = RunEnded(status="partial")


@pytest.mark.parametrize(
    ("runs", "tags"),
    [
        ([[tag_planned("sha256:old")], [tag_planned(None)]], {"sha256:index": "sha256:old"}),
        ([[tag_planned("sha256:older")], [tag_planned("sha256:old"), PARTIAL]], {}),
        ([[tag_planned("sha256:old")], [PARTIAL]], {"sha256:index": "sha256:old"}),
        (
            [[tag_planned("sha256:old"), PARTIAL], [tag_planned("sha256:index", "sha256:new")]],
            {"sha256:new": "sha256:index"},
        ),
        (
            [[tag_planned("sha256:old")], [RunEnded(status="succeeded")], []],
            {"sha256:index": "sha256:old"},
        ),
    ],
    ids=[
        "two unfinished",
        "partial publish",
        "partial build",
        "unfinished after partial publish",
        "a build that succeeded after a publish that was killed",
    ],
)
def test_the_oldest_unfinished_run_since_the_last_publish_has_what_a_tag_held(state, runs, tags):
    assert runs_after(state, *runs).tags == {("r:latest", after): before for after, before in tags.items()}


@pytest.mark.parametrize("gone", [None, 0, 1, 2], ids=["nothing", "index", "image", "attestation"])
async def test_a_child_of_which_a_part_is_gone_is_built_anew(state, plan_of, gone):
    with FakeRegistry() as registry:
        parts, image = put_attested(registry, "app", "linux/amd64"), f"{registry.host}/app"
        write_events(state.new_run(NOW).journal_path, *INPUTS, ended(parts[0], image), InputsHeld())
        if gone is not None:
            del registry.repository("app").manifests[parts[gone]]
        plan = plan_of(f"image: {image}\nplatforms: [linux/amd64]")
        assert list(await resume(plan, state, state.new_run(NOW))) == ([AMD64] if gone is None else [])


# Without a registry.


@pytest.fixture
def plan(plan_of):
    return plan_of("image: registry.invalid/app\nplatforms: [linux/amd64]\npublish: {to: 'oci:out'}")


@pytest.fixture
def killed(state):
    """Return the directory of a run that was killed after it had built the platform, and the child's digest."""
    run = state.new_run(NOW)
    folder = export_folder("linux-amd64", run)
    digest = put_attested(LayoutFiles(folder), "any", "linux/amd64", tag="latest")[0]
    finalize(folder, digest)
    write_events(run.journal_path, *INPUTS, ended(digest, LAYOUT), InputsHeld())
    return run, digest


async def test_a_new_run_adopts_a_local_child(plan, state, killed):
    run = state.new_run(NOW)
    children = await resume(plan, state, run)
    assert (children[AMD64].repository, children[AMD64].digest) == (LAYOUT, killed[1])
    assert holder_of(LAYOUT, killed[1], [run]) == run


async def test_a_local_child_is_adopted_from_any_earlier_run(plan, state, killed):
    """The first resumed run was killed, too, after it had adopted the child and before it had journaled that."""
    middle, run = state.new_run(NOW), state.new_run(NOW)
    middle.children.parent.mkdir(exist_ok=True)
    killed[0].children.rename(middle.children)
    assert set(await resume(plan, state, run)) == {AMD64}


async def test_a_platform_with_changed_inputs_is_built_anew(plan, state, killed):
    assert await resume(plan, state, state.new_run(NOW), Fingerprint(parts={"context": "2"})) == {}


async def test_a_damaged_child_is_built_anew(plan, state, killed):
    for path in (killed[0].children / "linux-amd64" / "blobs" / "sha256").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert await resume(plan, state, state.new_run(NOW)) == {}


async def test_a_child_that_is_not_where_this_plan_stages_is_built_anew(plan, plan_of, state, killed):
    """No registry is asked for a local child, nor for a pushed one when the plan stages locally."""
    pushing = plan_of("image: registry.invalid/app\nplatforms: [linux/amd64]\npublish: {to: registry}")
    assert await resume(pushing, state, state.new_run(NOW)) == {}
    run = state.new_run(NOW)
    write_events(run.journal_path, *INPUTS, ended(killed[1], "registry.invalid/app"), InputsHeld())
    assert await resume(plan, state, state.new_run(NOW)) == {}


@pytest.mark.parametrize(
    ("runs", "tags"),
    [
        ([[tag_planned("sha256:old")], [], [RunEnded(status="failed")]], {"sha256:index": "sha256:old"}),
        ([[tag_planned("sha256:old"), RunEnded(status="succeeded")], []], {}),
        ([[tag_planned("sha256:old"), PARTIAL], []], {}),
        (
            [[tag_planned("sha256:old")], [tag_planned("sha256:old", "sha256:new")]],
            {"sha256:index": "sha256:old", "sha256:new": "sha256:old"},
        ),
    ],
    ids=["killed earlier", "succeeded", "partial", "killed twice"],
)
def test_a_run_that_resumes_nothing_knows_what_tags_held_too(state, runs, tags):
    for day, events in enumerate(runs):
        write_events(state.new_run(NOW + timedelta(days=day)).journal_path, *events)
    current = state.new_run(NOW + timedelta(days=len(runs)))
    assert read_unfinished_tags(state, current) == {("r:latest", to): held for to, held in tags.items()}
