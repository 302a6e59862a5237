import json
import os
import shutil
from datetime import UTC, datetime

import pytest
from fakes.images import put_attested
from fakes.journals import write_events
from fakes.layouts import LayoutFiles

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.config.project import load_project
from multibuild.errors import EnvironmentFault, PublishFailed, UsageError
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptEnded,
    AttemptStarted,
    ContentEnded,
    PlatformEnded,
    SmokeTestEnded,
)
from multibuild.journal.journal import Journal, read_journal
from multibuild.journal.last_run import last_run
from multibuild.journal.local_children import export_folder, finalize, holder_of
from multibuild.journal.runs import State
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.plan.plan_document import plan_document, project_document
from multibuild.report.images import make_run_report
from multibuild.report.report import make_report
from multibuild.workflow.merge.import_runs import (
    MAX_LOG_BYTES,
    check_children,
    check_runs,
    missing_units,
    write_imported_run,
)
from multibuild.workflow.merge.source_runs import MAX_FILE_BYTES, MAX_RUNS, find_runs

LOCAL = "oci:children/linux-amd64"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "registry.example.org/app"
A, B = ("sha256:" + letter * 64 for letter in "ab")


def ended(platform, digest, **fields):
    return PlatformEnded(platform=platform, status="succeeded", digest=digest, **fields)


def plan_of(folder, text):
    path = folder / "multibuild.yaml"
    path.write_text(f"version: 1\n{text}")
    loaded = load_config(path, environ={}, overrides=Overrides(), now=NOW)
    return make_plan(loaded, assumed_facts("auto"))


@pytest.fixture
def plan(tmp_path):
    return plan_of(tmp_path, f"image: {IMAGE}\nplatforms: [linux/amd64, linux/arm64]\n")


@pytest.fixture
def machine(plan, tmp_path):
    """Return a function that writes the state directory of another machine after `build`."""

    def make(name, children, *, fingerprint=None, repository=IMAGE):
        state = State(tmp_path / name)
        run = state.new_run(NOW)
        run.save_plan({**plan_document(plan), "fingerprint": fingerprint or plan.fingerprint})
        for platform, digest in children.items():
            slug = platform.replace("/", "-")
            log = f"logs/{slug}.1.log"
            write_events(
                run.journal_path,
                AttemptStarted(platform=platform, number=1, node=name, log=log),
                AttemptEnded(platform=platform, number=1, outcome="ok", seconds=1.0, log=log),
                ended(platform, digest, node=name, repository=repository),
            )
            (run.path / log).write_text("built\n")
        return state.path

    return make


@pytest.fixture
def one(machine):
    """Return the state directory of a machine that built amd64."""
    return machine("one", {"linux/amd64": A})


@pytest.fixture
def target(tmp_path):
    return State(tmp_path / "target")


def run_directory(folder):
    (run,) = (folder / "runs").iterdir()
    return run


def checked_runs(plan, *folders):
    return check_runs((plan,), [run for folder in folders for run in find_runs(folder)])


def report_of(run):
    return make_report(run.id, run.load_plan() or {}, read_journal(run.journal_path))


def test_runs_become_one_that_merge_uses(plan, machine, one, target):
    run = write_imported_run((plan,), checked_runs(plan, one, machine("two", {"linux/arm64": B})), target)
    last = last_run(target.runs())
    assert last is not None
    digests = {platform: child.digest for platform, child in last.children.items()}
    assert digests == {"linux/amd64": A, "linux/arm64": B}
    report = report_of(run)
    assert report["status"] == "succeeded"
    assert [(row["node"], len(row["attempts"])) for row in report["platforms"]] == [("one", 1), ("two", 1)]
    assert sorted(path.name for path in run.logs.iterdir()) == ["linux-amd64.1.log", "linux-arm64.1.log"]


def test_a_run_of_some_platforms_is_partial(plan, one, target):
    assert report_of(write_imported_run((plan,), checked_runs(plan, one), target))["status"] == "partial"


def test_two_different_children_of_a_platform_are_a_conflict(plan, machine, one):
    assert set(checked_runs(plan, one, machine("two", {"linux/amd64": A}))) == {("", "linux/amd64")}
    with pytest.raises(UsageError, match=r"linux/amd64 was built by .*one.* and by .*three"):
        checked_runs(plan, one, machine("three", {"linux/amd64": B}))


def test_a_run_of_another_config_is_an_error(plan, machine):
    with pytest.raises(UsageError, match="another config") as caught:
        checked_runs(plan, machine("one", {"linux/amd64": A}, fingerprint="f" * 64))
    assert plan.fingerprint[:12] in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("repository", "digest"), [("evil.example.org/x", A), (IMAGE, "sha256:../../x"), (IMAGE, "latest")]
)
def test_a_child_that_this_config_does_not_stage_is_an_error(plan, machine, repository, digest):
    with pytest.raises(PublishFailed, match="no child of this config"):
        checked_runs(plan, machine("one", {"linux/amd64": digest}, repository=repository))


def test_only_plain_files_with_names_of_logs_are_copied(plan, one, target):
    logs = run_directory(one) / "logs"
    (logs / "linux-amd64.2.log").symlink_to("/etc/passwd")
    (logs / "linux-arm64.1.log").write_text("not of this run")
    (logs / "other.txt").write_text("x")
    imported = write_imported_run((plan,), checked_runs(plan, one), target)
    assert [path.name for path in imported.logs.iterdir()] == ["linux-amd64.1.log"]


def test_runs_are_found_in_run_state_and_job_directories(plan, machine, tmp_path):
    folder = machine("jobs/one", {"linux/amd64": A})
    machine("jobs/two", {"linux/arm64": B})
    for path in (run_directory(folder), folder, folder / "runs"):
        assert len(find_runs(path)) == 1
    assert len(find_runs(tmp_path / "jobs")) == 2
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(UsageError, match="holds no run"):
            find_runs(path)


@pytest.mark.parametrize("text", ['{"fingerprint": "x"}', "{"])
def test_an_unreadable_plan_is_an_error(one, text):
    run = run_directory(one)
    (run / "plan.json").write_text(text)
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
def test_event_fields_of_other_types_are_an_error(one, name, fields):
    def append(fields):
        with (run_directory(one) / "journal.jsonl").open("a") as journal:
            print(json.dumps({"time": NOW.isoformat(), "name": name, "fields": fields}), file=journal)

    valid = {"platform": "linux/amd64", "status": "succeeded", "number": 1, "seconds": 1}
    valid |= {"outcome": "ok", "log": ""}
    append(valid)
    assert find_runs(one)
    append({**valid, **fields})
    with pytest.raises(UsageError, match="not multibuild's"):
        find_runs(one)


@pytest.mark.parametrize(
    "row", [7, {}, {"platform": "x", "staging": "y"}, {"platform": 1, "staging": {"reference": "y"}}]
)
def test_plan_fields_of_other_types_are_an_error(plan, one, row):
    document = {**plan_document(plan), "platforms": [row]}
    (run_directory(one) / "plan.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="not multibuild's"):
        find_runs(one)


def test_proofs_of_a_child_do_not_count_for_the_next(one):
    journal = run_directory(one) / "journal.jsonl"
    proofs = [kind(platform="linux/amd64", status="passed") for kind in (SmokeTestEnded, ContentEnded)]
    write_events(journal, *proofs)
    assert find_runs(one)[0].children["linux/amd64"].test == "passed"
    write_events(journal, ended("linux/amd64", B, repository=IMAGE))
    child = find_runs(one)[0].children["linux/amd64"]
    assert (child.digest, child.test, child.content) == (B, "", "")


def test_links_are_not_followed(plan, machine, tmp_path, target):
    folder = machine("jobs/one", {"linux/amd64": A})
    run = run_directory(folder)
    for name in ("again", "further", "once-more"):
        (tmp_path / "jobs" / name).symlink_to(tmp_path / "jobs")
    assert len(find_runs(tmp_path / "jobs")) == 1
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linux-amd64.1.log").write_text("private")
    shutil.rmtree(run / "logs")
    (run / "logs").symlink_to(tmp_path / "elsewhere")
    imported = write_imported_run((plan,), checked_runs(plan, folder), target)
    assert list(imported.logs.iterdir()) == []
    (run / "plan.json").rename(tmp_path / "plan.json")
    (run / "plan.json").symlink_to(tmp_path / "plan.json")
    with pytest.raises(UsageError, match="no plain file"):
        find_runs(folder)


def test_a_journal_of_excessive_size_is_an_error(one):
    with (run_directory(one) / "journal.jsonl").open("r+b") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(UsageError, match="more than"):
        find_runs(one)


@pytest.fixture
def local(tmp_path):
    """A plan whose children are staged in the run's directory."""
    text = "image: registry.invalid/app\nplatforms: [linux/amd64]\npublish: {to: docker}\n"
    return plan_of(tmp_path, text)


@pytest.fixture
def job(local, tmp_path):
    """A CI job that built amd64: its state directory, its run, and the child's digest."""
    state = State(tmp_path / "job")
    run = state.new_run(NOW)
    folder = export_folder("linux-amd64", run)
    digest = put_attested(LayoutFiles(folder), "any", "linux/amd64", tag="latest")[0]
    finalize(folder, digest)
    run.save_plan(plan_document(local))
    write_events(run.journal_path, ended("linux/amd64", digest, repository=LOCAL))
    return state.path, run, digest


def check_locally(plan, folder):
    with RegistrySession({}, on_wait=print) as registries:
        check_children(checked_runs(plan, folder), registries)


def test_a_locally_staged_child_is_copied(local, job, target):
    folder, _, digest = job
    check_locally(local, folder)
    run = write_imported_run((local,), checked_runs(local, folder), target)
    shutil.rmtree(folder)
    assert holder_of(LOCAL, digest, [run]) == run
    last = last_run(target.runs())
    assert last is not None
    assert (last.children["linux/amd64"].repository, last.children["linux/amd64"].digest) == (LOCAL, digest)


def test_a_missing_or_damaged_local_child_is_an_error(local, job):
    folder, run, _ = job
    blobs = run.children / "linux-amd64" / "blobs" / "sha256"
    path = next(iter(blobs.iterdir()))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(PublishFailed, match="linux/amd64, or not all of it"):
        check_locally(local, folder)
    shutil.rmtree(run.children)
    with pytest.raises(PublishFailed, match="linux/amd64"):
        check_locally(local, folder)


def test_a_local_child_is_an_error_for_a_config_that_pushes(plan, machine):
    with pytest.raises(PublishFailed, match="no child of this config"):
        checked_runs(plan, machine("one", {"linux/amd64": A}, repository=LOCAL))


# What another machine may send.


def test_imported_files_are_private_whatever_they_were(plan, one, target):
    log = run_directory(one) / "logs" / "linux-amd64.1.log"
    log.chmod(0o777)
    imported = write_imported_run((plan,), checked_runs(plan, one), target)
    files = [path for path in target.path.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600, 0o700}
    assert (imported.logs / log.name).read_text() == "built\n"


def test_logs_are_copied_up_to_a_limit(plan, one, target, caplog):
    logs = run_directory(one) / "logs"
    os.truncate(logs / "linux-amd64.1.log", MAX_LOG_BYTES - 10)
    for number in (2, 3):
        (logs / f"linux-amd64.{number}.log").write_text("x" * 100)
    imported = write_imported_run((plan,), checked_runs(plan, one), target)
    # The first one was nothing but zero bytes after its line, which no log of ours has.
    sizes = [path.stat().st_size for path in sorted(imported.logs.iterdir())]
    assert sizes in ([len("built\n"), 10], [len("built\n"), 10, 0])
    assert "of its logs are imported" in caplog.text


@pytest.mark.parametrize(
    "log",
    [
        "../plan.json",
        "/etc/passwd",
        "logs/../../x.1.log",
        "logs/linux-amd64.1.log\n",
        "logs/x.log",
        "logs/\x00",
    ],
)
def test_an_event_names_no_log_but_one_of_its_run(plan, one, target, log):
    ended = AttemptEnded(platform="linux/amd64", number=2, outcome="failed", seconds=1.0, log=log)
    write_events(run_directory(one) / "journal.jsonl", ended)
    imported = write_imported_run((plan,), checked_runs(plan, one), target)
    logs = {
        entry.event.log
        for entry in read_journal(imported.journal_path)
        if isinstance(entry.event, AttemptEnded)
    }
    assert logs == {"logs/linux-amd64.1.log", ""}


@pytest.mark.parametrize(
    ("staging", "reference"),
    [
        (
            {"reference": f"{IMAGE}:multibuild-linux-amd64", "kind": [], "more": {"deep": 1}},
            f"{IMAGE}:multibuild-linux-amd64",
        ),
        ({"reference": f"{IMAGE}:no tag"}, IMAGE),
        ({"reference": "evil.example.org/x"}, IMAGE),
        ({"reference": ""}, IMAGE),
        ({"reference": "oci:children/.."}, IMAGE),
    ],
)
def test_only_a_valid_reference_of_this_config_is_taken_over(plan, one, target, staging, reference):
    run = run_directory(one)
    document = json.loads((run / "plan.json").read_text())
    document["platforms"][0] |= {"staging": staging, "also_as": "evil", "node": "theirs"}
    (run / "plan.json").write_text(json.dumps(document))
    imported = write_imported_run((plan,), checked_runs(plan, one), target)
    row = (imported.load_plan() or {})["platforms"][0]
    kind = plan_document(plan)["platforms"][0]["staging"]["kind"]
    assert row["staging"] == {"kind": kind, "reference": reference}
    assert (row["node"], row["also_as"]) == ("theirs", [])


def test_a_plan_without_the_row_of_its_child_is_taken_with_the_row_of_this_config(plan, one, target):
    run = run_directory(one)
    document = json.loads((run / "plan.json").read_text())
    document["platforms"] = document["platforms"][1:]
    (run / "plan.json").write_text(json.dumps(document))
    imported = write_imported_run((plan,), checked_runs(plan, one), target)
    assert (imported.load_plan() or {})["platforms"] == plan_document(plan)["platforms"]


def test_more_runs_than_machines_are_an_error(plan, machine, tmp_path):
    folder = run_directory(machine("jobs/0", {"linux/amd64": A}))
    for number in range(MAX_RUNS):
        shutil.copytree(folder, tmp_path / "jobs" / f"{number + 1}")
    with pytest.raises(UsageError, match="more than 256 runs"):
        find_runs(tmp_path / "jobs")


def test_the_newest_run_of_a_state_directory_is_that_of_the_largest_number(machine, tmp_path):
    folder = machine("one", {"linux/amd64": A})
    first = run_directory(folder)
    second = State(folder).new_run(NOW.replace(year=2000))
    shutil.copy(first / "plan.json", second.plan_path)
    write_events(second.journal_path, ended("linux/amd64", B, repository=IMAGE))
    assert find_runs(folder)[0].children["linux/amd64"].digest == B


def test_what_cannot_be_written_is_an_error_of_the_state(plan, one, target):
    target.path.write_text("in the way")
    with pytest.raises(EnvironmentFault, match="cannot be used"):
        write_imported_run((plan,), checked_runs(plan, one), target)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (b"\x1b]0;owned\x07\x1b[31mred\n", "red\n"),
        (b"a\r::error::b\n", "a ::error::b\n"),
        (b"clone https://robot:s3cret@host.example/a.git\n", "clone https://***@host.example/a.git\n"),
        (b"caf\xe9 \xe2\x80\xae\xc2\x9b31m\n", "caf\ufffd \n"),
        (b"no end", "no end"),
    ],
)
def test_an_imported_log_is_made_harmless(plan, one, target, theirs, ours):
    log = run_directory(one) / "logs" / "linux-amd64.1.log"
    log.write_bytes(theirs)
    imported = write_imported_run((plan,), checked_runs(plan, one), target)
    assert (imported.logs / log.name).read_text() == ours


# Several images.


@pytest.fixture
def images(tmp_path):
    """The plans of two images, of which `debug` has one platform and is built from `app`."""
    text = (
        "version: 1\nimage: registry.example.org/{name}\nplatforms: [linux/amd64, linux/arm64]\n"
        'images: {app: {}, debug: {platforms: [linux/amd64], contexts: {x: "image:app"}}}\n'
    )
    path = tmp_path / "multibuild.yaml"
    path.write_text(text)
    project = load_project(path, environ={}, overrides=Overrides(), now=NOW)
    return tuple(make_plan(loaded, assumed_facts("auto")) for loaded in project.images)


@pytest.fixture
def images_machine(images, tmp_path):
    """Return a function that writes the state of a machine that built units: `{(image, platform): digest}`."""

    def make(name, children, **changed):
        state = State(tmp_path / name)
        run = state.new_run(NOW)
        run.save_plan({**project_document(images), **changed})
        for (image, platform), digest in children.items():
            view = run.of_image(image)
            view.create()
            log = view.log_name(platform.replace("/", "-"), 1)
            events = (
                AttemptEnded(platform=platform, number=1, outcome="ok", seconds=1.0, log=log),
                ended(platform, digest, node=name, repository=f"registry.example.org/{image}"),
            )
            with Journal(run.journal_path) as journal:
                for event in events:
                    journal.append(JournalEntry(time=NOW, event=event, image=image))
            (run.path / log).write_text(f"{image} built\n")
        return state.path

    return make


AMD64, ARM64 = "linux/amd64", "linux/arm64"
C = "sha256:" + "c" * 64


def checked_images(plans, *folders):
    return check_runs(plans, [run for folder in folders for run in find_runs(folder)])


def test_units_of_several_images_become_one_run(images, images_machine, target):
    one = images_machine("one", {("app", AMD64): A, ("debug", AMD64): C})
    two = images_machine("two", {("app", ARM64): B})
    sources = checked_images(images, one, two)
    assert missing_units(images, sources) == ()
    run = write_imported_run(images, sources, target)
    for image, digests in {"app": {AMD64: A, ARM64: B}, "debug": {AMD64: C}}.items():
        last = last_run(target.of_image(image).runs())
        assert last is not None
        assert {platform: child.digest for platform, child in last.children.items()} == digests
        logs = sorted(path.name for path in run.of_image(image).logs.iterdir())
        assert logs == [f"{platform.replace('/', '-')}.1.log" for platform in digests]
    report = make_run_report(run.id, run.load_plan() or {}, run.all_entries())
    assert report["status"] == "succeeded"
    assert [[row["node"] for row in image["platforms"]] for image in report["images"]] == [
        ["one", "two"],
        ["one"],
    ]
    assert {row["attempts"][0]["log"] for image in report["images"] for row in image["platforms"]} == {
        "images/app/logs/linux-amd64.1.log",
        "images/app/logs/linux-arm64.1.log",
        "images/debug/logs/linux-amd64.1.log",
    }


def test_what_no_machine_built_is_named_with_its_image(images, images_machine, target):
    sources = checked_images(images, images_machine("one", {("app", AMD64): A}))
    assert missing_units(images, sources) == (("app", ARM64), ("debug", AMD64))
    report = write_imported_run(images, sources, target)
    assert make_run_report(report.id, report.load_plan() or {}, report.all_entries())["status"] == "partial"


def test_an_image_that_two_machines_built_differently_is_a_conflict(images, images_machine):
    one = images_machine("one", {("app", AMD64): A, ("debug", AMD64): C})
    assert len(checked_images(images, one, images_machine("two", {("app", AMD64): A}))) == 2
    with pytest.raises(UsageError, match=r"app linux/amd64 was built by .*one/.* and by .*three/"):
        checked_images(images, one, images_machine("three", {("app", AMD64): B}))


def test_a_child_of_another_image_is_none_of_this_one(images, images_machine):
    folder = images_machine("one", {("app", AMD64): A})
    journal = run_directory(folder) / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"image":"app"', '"image":"debug"'))
    with pytest.raises(PublishFailed, match="no child of this config"):
        checked_images(images, folder)


def test_a_run_with_other_images_is_of_another_config(images, images_machine, plan, machine):
    folder = images_machine("one", {("app", AMD64): A})
    with pytest.raises(UsageError, match="another config") as caught:
        check_runs((plan,), find_runs(folder))
    assert "it built the image app; the images of this file are one, without a name" in (
        caught.value.hint or ""
    )
    with pytest.raises(UsageError, match="another config") as caught:
        checked_images(images, machine("single", {AMD64: A}))
    assert "the images of this file are app, debug" in (caught.value.hint or "")
    document = project_document(images)
    document["images"][1]["fingerprint"] = "f" * 64
    with pytest.raises(UsageError, match="another config, of the image debug"):
        checked_images(images, images_machine("two", {("app", AMD64): A}, images=document["images"]))


@pytest.mark.parametrize("names", [["../../x"], ["app", "app"], [""], [7], ["app", None]])
def test_names_that_no_images_have_are_no_plan(images, images_machine, names):
    parts = [{**project_document(images)["images"][0], "name": name} for name in names]
    folder = images_machine("one", {("app", AMD64): A}, images=parts)
    with pytest.raises(UsageError, match="not multibuild's"):
        find_runs(folder)


@pytest.mark.parametrize("link", ["images", "images/app"])
def test_a_link_in_place_of_an_images_directory_is_an_error(images, images_machine, tmp_path, link):
    run = run_directory(images_machine("one", {("app", AMD64): A}))
    (run / link).rename(tmp_path / "elsewhere")
    (run / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        find_runs(run)


def test_a_locally_staged_child_of_an_image_is_copied(tmp_path, target):
    path = tmp_path / "multibuild.yaml"
    path.write_text(
        "version: 1\nimage: registry.invalid/{name}\nplatforms: [linux/amd64]\n"
        "publish: {to: 'oci:out/{name}'}\nimages: {app: {}, worker: {}}\n"
    )
    project = load_project(path, environ={}, overrides=Overrides(), now=NOW)
    plans = tuple(make_plan(loaded, assumed_facts("auto")) for loaded in project.images)
    run = State(tmp_path / "job").new_run(NOW)
    digests = {}
    for image in ("app", "worker"):
        view = run.of_image(image)
        view.create()
        folder = export_folder("linux-amd64", view)
        digests[image] = put_attested(LayoutFiles(folder), image, AMD64, tag="latest")[0]
        finalize(folder, digests[image])
    run.save_plan(project_document(plans))
    with Journal(run.journal_path) as journal:
        for image, digest in digests.items():
            event = ended(AMD64, digest, repository=LOCAL)
            journal.append(JournalEntry(time=NOW, event=event, image=image))
    sources = checked_images(plans, run.path)
    with RegistrySession({}, on_wait=print) as registries:
        check_children(sources, registries)
    imported = write_imported_run(plans, sources, target)
    shutil.rmtree(tmp_path / "job")
    assert all(holder_of(LOCAL, digests[image], [imported.of_image(image)]) for image in digests)
