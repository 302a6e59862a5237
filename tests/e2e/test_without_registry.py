"""No registry at all: `image` is a name only, whose host does not exist; children wait in the run's directory."""

import json
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, docker, multibuild, start
from e2e.registries import RealRegistry
from e2e.test_builders import remote_builder
from waiting import PATIENCE_S

THREE = ("linux/amd64", "linux/arm64", "linux/s390x")
HERE = RealRegistry(REGISTRY)


@pytest.fixture
def image(repository):
    return f"registry.invalid/{repository}"


@pytest.fixture
def layout(tmp_path):
    return tmp_path / "layout"


@pytest.fixture
def local(project, image, layout):
    """Write the project: `local(run="…")`; it is published in `layout` by default."""

    def write(to=None, **more):
        settings = {"platforms": THREE, "tags": ["1"], "publish": {"to": to or f"oci:{layout}"}, **more}
        config = project(image=image, **settings)
        # The smoke test is no input of the build.
        (config.parent / ".dockerignore").write_text(f"{config.name}\n")
        return config

    return write


def held(layout):
    """Return tag → digest from index.json; check that every file below a tag exists."""
    tags = {}
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        tags[entry["annotations"]["org.opencontainers.image.ref.name"]] = entry["digest"]
        assert_whole(layout, entry["digest"])
    return tags


def assert_whole(layout, digest):
    document = json.loads((layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes())
    for entry in document.get("manifests", ()):
        assert_whole(layout, entry["digest"])
    for blob in (document.get("config"), *document.get("layers", ())):
        if blob is not None:
            path = layout / "blobs" / "sha256" / blob["digest"].removeprefix("sha256:")
            assert path.stat().st_size == blob["size"]


def children(state):
    """Return run → names in its `children`, for the runs that have any."""
    children_of = {
        path.parent.name: sorted(child.name for child in path.iterdir())
        for path in state.glob("runs/*/children")
    }
    return {run: names for run, names in children_of.items() if names}


def test_one_build_goes_into_a_layout_an_archive_and_the_engine(
    local, state, layout, image, repository, readers, tmp_path
):
    """Other clients read each; the digest is the same everywhere, with attestations."""
    test = {"run": ["test", "-s", "/machine"]}
    common = ("-f", local(test=test), "--state-dir", state, "--json")
    built = multibuild("build", *common)
    assert built.code == 0, built.stderr
    slugs = sorted(platform.replace("/", "-") for platform in THREE)
    assert children(state) == {built.json["run"]: slugs}
    preview = multibuild("merge", *common, "--dry-run")
    assert preview.code == 0, preview.stderr

    merged = multibuild("merge", *common)
    assert merged.code == 0, merged.stderr
    assert merged.json["status"] == "succeeded"
    assert {row["test"]["status"] for row in merged.json["platforms"]} == {"passed"}
    assert {row["content"]["status"] for row in merged.json["platforms"]} == {"passed"}
    digest = merged.json["index"]["digest"]
    assert merged.json["index"]["entries"] == 2 * len(THREE)
    assert held(layout) == {"1": digest}
    assert children(state) == {merged.json["run"]: slugs}
    # On one file system nothing is copied.
    big = [path for path in layout.glob("blobs/*/*") if path.stat().st_size > 500_000]
    assert len(big) == len(THREE)
    assert {path.stat().st_nlink for path in big} == {2}

    # skopeo and crane push the layout to a real registry.
    to = f"{REGISTRY}/{repository}"
    readers.skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://{to}:skopeo")
    readers.crane("push", layout, f"{to}:crane")
    assert {HERE.digest(repository, tag) for tag in ("skopeo", "crane")} == {digest}

    archive = tmp_path / "image.tar"
    local(f"oci-archive:{archive}", test=test)
    packed = multibuild("merge", *common)
    assert (packed.code, packed.json["index"]["digest"]) == (0, digest), packed.stderr
    try:
        docker("load", "--input", archive)
        assert_engine_has(image, digest)
        docker("rmi", f"{image}:1")
        local("docker", test=test)
        loaded = multibuild("merge", *common)
        assert (loaded.code, loaded.json["index"]["digest"]) == (0, digest), loaded.stderr
        assert_engine_has(image, digest)
    finally:
        docker("rmi", "--force", f"{image}:1", check=False)
    assert children(state) == {loaded.json["run"]: slugs}

    # `test` finds the children too, and `clean` removes them all.
    assert multibuild("test", *common).code == 0
    cleaned = multibuild("clean", *common, "--only", "staged")
    assert (cleaned.code, children(state)) == (0, {}), cleaned.stderr
    assert held(layout) == {"1": digest}
    again = multibuild("merge", *common)
    assert (again.code, "not there any more" in again.stderr) == (7, True)
    nothing = multibuild("test", *common)
    assert (nothing.code, "built no child" in nothing.stderr) == (2, True)


def assert_engine_has(image, digest):
    name = f"{image}:1"
    assert json.loads(docker("image", "inspect", name).stdout)[0]["Id"] == digest
    ran = docker("run", "--rm", "--pull", "never", "--platform", "linux/s390x", name, "cat", "/machine")
    assert ran.stdout.strip() == "s390x"


def events(state):
    """Return the newest run's journal."""
    journal = max(state.glob("runs/*/journal.jsonl"), default=None)
    return journal.read_text() if journal is not None else ""


def test_a_run_killed_repeatedly_is_resumed(local, state, layout):
    """While BuildKit exports, when one platform has ended, and when the index was composed."""
    config = local(run=f"echo {time.time_ns()} > /x")

    def exporting():
        return any(state.glob("runs/*/children/.linux-*/blobs/*/*"))

    def ended():
        return '"name":"platform.ended"' in events(state)

    def composed():
        return '"name":"index.composed"' in events(state)

    finished: set[str] = set()
    for moment in (exporting, ended, composed):
        running = start("all", "--resume", "-f", config, "--state-dir", state, "--progress", "quiet")
        until(moment, running)
        running.kill()
        running.communicate(timeout=PATIENCE_S)
        assert running.returncode == -signal.SIGKILL
        finished |= {
            event["fields"]["platform"]
            for event in map(json.loads, events(state).splitlines())
            if event["name"] == "platform.ended" and event["fields"]["status"] in {"succeeded", "reused"}
        }
    done = multibuild("all", "--resume", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    rows = {row["platform"]: row["status"] for row in done.json["platforms"]}
    assert {name for name, status in rows.items() if status == "reused"} == finished == set(THREE)
    assert held(layout) == {"1": done.json["index"]["digest"]}
    assert list(children(state)) == [done.json["run"]]
    assert not any(name.startswith(".") for names in children(state).values() for name in names)


def until(moment, running):
    deadline = time.monotonic() + PATIENCE_S
    while not moment():
        assert running.poll() is None, f"it ended before {moment.__name__}"
        assert time.monotonic() < deadline, f"never {moment.__name__}"
        time.sleep(0.002)


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in the state directory")
def test_a_failed_test_leaves_the_layout_and_a_good_run_moves_its_tag_atomically(local, state, layout):
    common = ("--state-dir", state, "--json")
    first = multibuild("all", "-f", local(run="echo 1 > /x", tags=["1", "2"]), *common)
    assert first.code == 0, first.stderr
    before = first.json["index"]["digest"]
    whole = sorted(path.relative_to(layout) for path in layout.rglob("*"))
    index = (layout / "index.json").read_bytes()

    test = {"run": ["sh", "-c", "test $(uname -m) != s390x"]}
    config = local(run="echo 2 > /x", tags=["1", "2"], test=test)
    failing = multibuild("all", "-f", config, *common)
    assert failing.code == 5, failing.stderr
    assert (layout / "index.json").read_bytes() == index
    assert sorted(path.relative_to(layout) for path in layout.rglob("*")) == whole

    states: list[dict[str, str]] = []
    watching = threading.Event()

    def watch():
        while not watching.is_set():
            states.append(held(layout))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        second = multibuild("all", "--resume", "-f", local(run="echo 2 > /x", tags=["1", "2"]), *common)
    finally:
        watching.set()
        watcher.join()
    assert second.code == 0, second.stderr
    after = second.json["index"]["digest"]
    assert held(layout) == {"1": after, "2": after}
    # What was built for the failing test is published as it is, and no reader ever saw an incomplete layout.
    assert {row["status"] for row in second.json["platforms"]} == {"reused"}
    assert {tags["1"] for tags in states} | {tags["2"] for tags in states} <= {before, after}
    assert second.json["published"][0]["before"] == before
    unchanged = multibuild("all", "--if-changed", "-f", local(run="echo 2 > /x", tags=["1", "2"]), *common)
    assert (unchanged.code, "cannot be asked what it holds" in unchanged.stderr) == (0, True)


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in the state directory")
def test_a_failed_optional_platform_is_carried_over_from_the_layout(local, state, layout):
    platforms = ["linux/amd64", {"name": "linux/s390x", "required": False}]
    to = {"to": f"oci:{layout}", "on_missing": "carry", "carry_from": "1"}
    common = ("--state-dir", state, "--json")
    first = multibuild("all", "-f", local(run="echo 1 > /x", platforms=platforms, publish=to), *common)
    assert first.code == 0, first.stderr
    broken = local(run="test $(uname -m) != s390x", platforms=platforms, publish=to)
    second = multibuild("all", "-f", broken, *common)
    assert second.code == 0, second.stderr
    assert (second.json["status"], second.json["index"]["entries"]) == ("partial", 4)
    statuses = {row["platform"]: row["status"] for row in second.json["platforms"]}
    assert statuses == {"linux/amd64": "succeeded", "linux/s390x": "carried"}
    assert held(layout) == {"1": second.json["index"]["digest"]}
    again = multibuild("merge", "-f", broken, *common)
    assert (again.code, again.json["index"]) == (0, second.json["index"]), again.stderr


def test_a_remote_builder_exports_into_the_state_directory(local, state, layout):
    with remote_builder() as builder:
        config = local(builder=builder, run=f"echo {time.time_ns()} > /x", test={"run": ["cat", "/x"]})
        common = ("-f", config, "--state-dir", state, "--json")
        first = multibuild("all", *common)
        assert first.code == 0, first.stderr
        # The second finds everything cached, in one process.
        second = multibuild("all", *common)
        assert second.code == 0, second.stderr
        assert '"name":"wave.started"' in events(state)
    assert {len(row["attempts"]) for row in second.json["platforms"]} == {1}
    assert held(layout) == {"1": second.json["index"]["digest"]}
    assert list(children(state)) == [second.json["run"]]


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the state directory")
def test_imported_children_are_published_from_the_state_directory(local, state, layout, tmp_path):
    config = local(platforms=THREE[:2])
    artifacts = tmp_path / "artifacts"
    for platform in THREE[:2]:
        folder = tmp_path / platform.replace("/", "-")
        done = multibuild("build", "-f", config, "--state-dir", folder, "--platform", platform)
        assert done.code == 0, done.stderr
        shutil.copytree(folder, artifacts / folder.name, ignore=shutil.ignore_patterns("latest", "lock"))
        shutil.rmtree(folder)
    common = ("-f", config, "--state-dir", state, "--json")
    imported = multibuild("import", artifacts, *common)
    assert (imported.code, imported.json["missing"]) == (0, []), imported.stderr
    shutil.rmtree(artifacts / "linux-arm64")
    merged = multibuild("merge", *common)
    assert merged.code == 0, merged.stderr
    assert held(layout) == {"1": merged.json["index"]["digest"]}
    shutil.rmtree(next(artifacts.glob("linux-amd64/runs/*/children")))
    refused = multibuild("import", artifacts / "linux-amd64", *common)
    assert (refused.code, "does not hold the child for linux/amd64" in refused.stderr) == (7, True)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk with space for children that add little to the base, and for no other."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", folder], check=True, timeout=PATIENCE_S)
    yield folder
    subprocess.run(["umount", folder], check=True, timeout=PATIENCE_S)


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in the state directory")
def test_a_full_disk_is_reported_and_finished_children_are_kept(local, small_disk, layout):
    # One at a time: an incomplete export takes space from the others until its build has failed.
    run = "if [ $(uname -m) = s390x ]; then head -c 24m /dev/urandom > /big; fi"
    config = local(run=run, jobs=1)
    common = ("-f", config, "--state-dir", small_disk, "--json")
    done = multibuild("all", *common)
    assert done.code == 4, done.stderr
    rows = {row["platform"]: row for row in done.json["platforms"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "linux/amd64": "succeeded",
        "linux/arm64": "succeeded",
        "linux/s390x": "failed",
    }
    (attempt,) = rows["linux/s390x"]["attempts"]
    assert attempt["class"] == "no-space"
    assert f"free disk space in {Path(small_disk).resolve()}" in done.stderr
    assert not layout.exists()
    assert children(small_disk) == {done.json["run"]: ["linux-amd64", "linux-arm64"]}
    # With another state directory it continues with what it has.
    subprocess.run(["mount", "-o", "remount,size=128m", small_disk], check=True, timeout=PATIENCE_S)
    resumed = multibuild("all", "--resume", *common)
    assert resumed.code == 0, resumed.stderr
    assert [row["status"] for row in resumed.json["platforms"]] == ["reused", "reused", "succeeded"]
    assert held(layout) == {"1": resumed.json["index"]["digest"]}
