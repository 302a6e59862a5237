import json
import shutil
from datetime import UTC, datetime

import pytest
from fakes.images import put_attested
from fakes.layouts import LayoutFiles

from multibuild.config.load import load_config
from multibuild.config.overrides import Overrides
from multibuild.errors import PublishFailed, UsageError
from multibuild.journal.events import Event
from multibuild.journal.journal import Journal, read_journal
from multibuild.journal.last_run import last_run
from multibuild.journal.local_children import fresh_folder, holder_of, keep
from multibuild.journal.runs import State
from multibuild.oci.registries import RegistrySession
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.report.report import make_report
from multibuild.workflow.import_runs import MOST_BYTES, check, check_children, find_runs, take_in

HERE = "oci:children/linux-amd64"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "registry.example.org/app"
A, B = ("sha256:" + letter * 64 for letter in "ab")


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "multibuild.yaml"
    path.write_text(f"version: 1\nimage: {IMAGE}\nplatforms: [linux/amd64, linux/arm64]\n")
    loaded = load_config(path, environ={}, overrides=Overrides(), now=NOW)
    return make_plan(loaded, assumed_facts("auto"))


@pytest.fixture
def machine(plan, tmp_path):
    """Make what `build` left on another machine: its state directory."""

    def make(name, children, *, fingerprint=None, repository=IMAGE):
        state = State(tmp_path / name)
        run = state.new_run(NOW)
        document = plan.document()
        document["fingerprint"] = fingerprint or plan.fingerprint
        run.save_plan(document)
        with Journal(run.journal_path) as journal:
            for platform, digest in children.items():
                same = {"platform": platform, "number": 1}
                journal.append(Event(time=NOW, name="attempt.started", fields={**same, "node": name}))
                journal.append(Event(time=NOW, name="attempt.ended", fields={**same, "outcome": "ok"}))
                ended = {"platform": platform, "status": "succeeded", "digest": digest, "node": name}
                journal.append(
                    Event(time=NOW, name="platform.ended", fields={**ended, "repository": repository})
                )
                (run.logs / f"{platform.replace('/', '-')}.1.log").write_text("built\n")
        return state.path

    return make


def found(plan, *folders):
    return check(plan, [run for folder in folders for run in find_runs(folder)])


def test_runs_become_one_that_merge_finds(plan, machine, tmp_path):
    folders = machine("one", {"linux/amd64": A}), machine("two", {"linux/arm64": B})
    state = State(tmp_path / "here")
    run = take_in(plan, found(plan, *folders), state)
    last = last_run(state.runs())
    assert last is not None
    assert {platform: child.digest for platform, child in last.children.items()} == {
        "linux/amd64": A,
        "linux/arm64": B,
    }
    report = make_report(run.id, run.load_plan() or {}, read_journal(run.journal_path))
    assert report["status"] == "succeeded"
    assert [(row["node"], len(row["attempts"])) for row in report["platforms"]] == [("one", 1), ("two", 1)]
    assert sorted(path.name for path in run.logs.iterdir()) == ["linux-amd64.1.log", "linux-arm64.1.log"]


def test_a_part_of_the_platforms_is_partial(plan, machine, tmp_path):
    state = State(tmp_path / "here")
    run = take_in(plan, found(plan, machine("one", {"linux/amd64": A})), state)
    report = make_report(run.id, run.load_plan() or {}, read_journal(run.journal_path))
    assert report["status"] == "partial"


def test_the_same_result_twice_is_no_conflict_and_another_is(plan, machine):
    one, two = machine("one", {"linux/amd64": A}), machine("two", {"linux/amd64": A})
    assert set(found(plan, one, two)) == {"linux/amd64"}
    with pytest.raises(UsageError, match=r"linux/amd64 was built by .*one.* and by .*three"):
        found(plan, one, machine("three", {"linux/amd64": B}))


def test_another_config(plan, machine):
    with pytest.raises(UsageError, match="another config") as caught:
        found(plan, machine("one", {"linux/amd64": A}, fingerprint="f" * 64))
    assert plan.fingerprint[:12] in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("repository", "digest"), [("evil.example.org/x", A), (IMAGE, "sha256:../../x"), (IMAGE, "latest")]
)
def test_a_child_that_this_config_would_never_have_made(plan, machine, repository, digest):
    with pytest.raises(PublishFailed, match="no child of this config"):
        found(plan, machine("one", {"linux/amd64": digest}, repository=repository))


def test_only_plain_logs_with_names_of_ours_are_taken(plan, machine, tmp_path):
    folder = machine("one", {"linux/amd64": A})
    (run,) = find_runs(folder)
    logs = run.directory.logs
    (logs / "linux-amd64.2.log").symlink_to("/etc/passwd")
    (logs / "linux-arm64.1.log").write_text("not of this run")
    (logs / "other.txt").write_text("x")
    taken = take_in(plan, found(plan, folder), State(tmp_path / "here"))
    assert [path.name for path in taken.logs.iterdir()] == ["linux-amd64.1.log"]


def test_where_runs_are_looked_for(plan, machine, tmp_path):
    folder = machine("jobs/one", {"linux/amd64": A})
    machine("jobs/two", {"linux/arm64": B})
    (run,) = (folder / "runs").iterdir()
    assert len(find_runs(run)) == len(find_runs(folder)) == len(find_runs(folder / "runs")) == 1
    assert len(find_runs(tmp_path / "jobs")) == 2
    for nothing in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(UsageError, match="holds no run"):
            find_runs(nothing)


def test_a_plan_that_cannot_be_read(machine):
    folder = machine("one", {"linux/amd64": A})
    (run,) = (folder / "runs").iterdir()
    (run / "plan.json").write_text(json.dumps({"fingerprint": "x"}))
    with pytest.raises(UsageError, match=r"plan\.json"):
        find_runs(run)
    (run / "plan.json").write_text("{")
    with pytest.raises(UsageError, match=r"plan\.json"):
        find_runs(run)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("platform.ended", {"digest": 7}),
        ("platform.ended", {"platform": ["linux/amd64"]}),
        ("platform.ended", {"repository": {"a": 1}}),
        ("platform.ended", {"steps": 5}),
        ("platform.ended", {"status": None}),
        ("attempt.ended", {"seconds": "1e9"}),
        ("attempt.ended", {"evidence": ["a"]}),
        ("test.ended", {"status": ["passed"]}),
        ("content.ended", {"status": "passed", "checked": "x"}),
    ],
)
def test_events_of_other_types(plan, machine, name, fields):
    folder = machine("one", {"linux/amd64": A})
    (run,) = (folder / "runs").iterdir()
    with Journal(run / "journal.jsonl") as journal:
        whole = {"platform": "linux/amd64", "status": "succeeded", **fields}
        journal.append(Event(time=NOW, name=name, fields=whole))
    with pytest.raises(UsageError, match="not multibuild's"):
        find_runs(folder)


@pytest.mark.parametrize(
    "row", [7, {}, {"platform": "x", "staging": "y"}, {"platform": 1, "staging": {"reference": "y"}}]
)
def test_plans_of_other_types(plan, machine, row):
    folder = machine("one", {"linux/amd64": A})
    (run,) = (folder / "runs").iterdir()
    (run / "plan.json").write_text(json.dumps({**plan.document(), "platforms": [row]}))
    with pytest.raises(UsageError, match="not multibuild's"):
        find_runs(folder)


def test_what_was_proved_of_a_child_says_nothing_of_the_next(plan, machine):
    folder = machine("one", {"linux/amd64": A})
    (run,) = (folder / "runs").iterdir()
    with Journal(run / "journal.jsonl") as journal:
        for name in ("test.ended", "content.ended"):
            fields = {"platform": "linux/amd64", "status": "passed"}
            journal.append(Event(time=NOW, name=name, fields=fields))
        assert find_runs(folder)[0].children["linux/amd64"].test == "passed"
        again = {"platform": "linux/amd64", "status": "succeeded", "digest": B, "repository": IMAGE}
        journal.append(Event(time=NOW, name="platform.ended", fields=again))
    child = find_runs(folder)[0].children["linux/amd64"]
    assert (child.digest, child.test, child.content) == (B, "", "")


def test_links_lead_nowhere(plan, machine, tmp_path):
    folder = machine("jobs/one", {"linux/amd64": A})
    (run,) = (folder / "runs").iterdir()
    for name in ("again", "further", "once-more"):
        (tmp_path / "jobs" / name).symlink_to(tmp_path / "jobs")
    assert len(find_runs(tmp_path / "jobs")) == 1
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linux-amd64.1.log").write_text("private")
    shutil.rmtree(run / "logs")
    (run / "logs").symlink_to(tmp_path / "elsewhere")
    taken = take_in(plan, found(plan, folder), State(tmp_path / "here"))
    assert list(taken.logs.iterdir()) == []
    (run / "plan.json").rename(tmp_path / "plan.json")
    (run / "plan.json").symlink_to(tmp_path / "plan.json")
    with pytest.raises(UsageError, match="no plain file"):
        find_runs(folder)


def test_a_journal_without_end(machine):
    folder = machine("one", {"linux/amd64": A})
    (run,) = (folder / "runs").iterdir()
    with (run / "journal.jsonl").open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(UsageError, match="more than"):
        find_runs(folder)


# Children that no registry holds.


@pytest.fixture
def local(tmp_path):
    """A plan whose children are staged in the run's directory."""
    path = tmp_path / "multibuild.yaml"
    path.write_text(
        "version: 1\nimage: registry.invalid/app\nplatforms: [linux/amd64]\npublish: {to: docker}\n"
    )
    loaded = load_config(path, environ={}, overrides=Overrides(), now=NOW)
    return make_plan(loaded, assumed_facts("auto"))


@pytest.fixture
def job(local, tmp_path):
    """What a CI job left that built amd64: its state directory, its run, and the child's digest."""
    state = State(tmp_path / "job")
    run = state.new_run(NOW)
    folder = fresh_folder("linux-amd64", run)
    digest = put_attested(LayoutFiles(folder), "any", "linux/amd64", tag="latest")[0]
    keep(folder, digest)
    run.save_plan(local.document())
    ended = {"platform": "linux/amd64", "status": "succeeded", "digest": digest, "repository": HERE}
    with Journal(run.journal_path) as journal:
        journal.append(Event(time=NOW, name="platform.ended", fields=ended))
    return state.path, run, digest


def nobody_asked():
    return RegistrySession({}, on_wait=print)


def test_a_child_is_brought_along(local, job, tmp_path):
    folder, _, digest = job
    state = State(tmp_path / "here")
    with nobody_asked() as registries:
        check_children(found(local, folder), registries)
    run = take_in(local, found(local, folder), state)
    shutil.rmtree(folder)
    assert holder_of(HERE, digest, [run]) == run
    last = last_run(state.runs())
    assert last is not None
    assert (last.children["linux/amd64"].repository, last.children["linux/amd64"].digest) == (HERE, digest)


def test_a_child_that_was_left_behind_or_damaged_on_the_way(local, job):
    folder, run, _ = job
    blobs = run.children / "linux-amd64" / "blobs" / "sha256"
    path = next(iter(blobs.iterdir()))
    path.write_bytes(path.read_bytes() + b" ")
    with nobody_asked() as registries, pytest.raises(PublishFailed, match="linux/amd64, or not all of it"):
        check_children(found(local, folder), registries)
    shutil.rmtree(run.children)
    with nobody_asked() as registries, pytest.raises(PublishFailed, match="linux/amd64"):
        check_children(found(local, folder), registries)


def test_a_child_here_is_none_of_a_config_that_pushes(plan, machine):
    with pytest.raises(PublishFailed, match="no child of this config"):
        found(plan, machine("one", {"linux/amd64": A}, repository=HERE))
