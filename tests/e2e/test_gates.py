"""Gates on the real lab: what says no, what gives no answer, and what is left behind."""

import json
import re
import signal

import pytest
from e2e.conftest import REGISTRY, finish, multibuild, start
from waiting import PATIENCE_S, comes, ends

pytestmark = pytest.mark.one_driver(driver="docker", reason="gates run on this machine, after every builder")

PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture
def gated(project):
    """Write a project with gates and their scripts, in the folder of the config; return the config's path."""

    def write(gates, scripts, **more):
        config = project(platforms=PLATFORMS, gates=gates, **more)
        for name, text in scripts.items():
            path = config.with_name(name)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        return config

    return write


def gates_of(report):
    """Return (platform, gate) → status."""
    return {
        (row["platform"], gate["name"]): gate["status"]
        for row in report["platforms"]
        for gate in row["gates"]
    }


def test_a_no_moves_no_tag_and_a_later_yes_does(gated, state, registry, repository):
    gates = [
        {"name": "release", "run": ["./check.sh", "{platform}", "{ref}", "{slug}"]},
        {"name": "note", "run": ["sh", "-c", "exit 9"], "required": False},
    ]
    check = 'echo "$2" >> ../refs-$3; test $1 = linux/amd64 || test -e ../ready || { echo "$1 is not ready"; exit 1; }'
    config = gated(gates, {"check.sh": check})
    refused = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert refused.code == 6, refused.stderr
    assert "the gate release says no to linux/arm64: exit code 1; no tag was moved" in refused.stderr
    assert not registry.exists(repository, "latest")
    assert gates_of(refused.json) == {
        ("linux/amd64", "release"): "passed",
        ("linux/arm64", "release"): "failed",
        ("linux/amd64", "note"): "failed",
        ("linux/arm64", "note"): "failed",
    }
    (config.parent.parent / "ready").touch()  # beside the context: in it, it would be another context
    passed = multibuild("all", "-f", config, "--state-dir", state, "--json", "--resume")
    assert passed.code == 0, passed.stderr
    assert passed.json["status"] == "succeeded"
    assert {row["status"] for row in passed.json["platforms"]} == {"reused"}
    for row in passed.json["platforms"]:
        refs = (config.parent.parent / f"refs-{row['platform'].replace('/', '-')}").read_text().splitlines()
        assert refs == [f"{REGISTRY}/{repository}@{row['digest']}"] * 2
    assert registry.exists(repository, "latest")


def test_a_gigabyte_and_a_hang_cost_little(gated, state, registry, repository):
    gates = [
        {"name": "flood", "run": ["./flood.sh"], "platforms": ["linux/amd64"], "required": False},
        {"name": "hang", "run": ["./hang.sh"], "platforms": ["linux/arm64"], "timeout": "1s"},
    ]
    flood = "yes | head -c 1000000000\ngrep VmHWM /proc/$PPID/status\nexit 1"
    config = gated(gates, {"flood.sh": flood, "hang.sh": "echo $$ > pid; echo waiting; sleep 600; true"})
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 3, done.stderr
    assert "the gate hang could not be run on linux/arm64: no end after 1.0s" in done.stderr
    assert not registry.exists(repository, "latest")
    (flooded,), (hung,) = (row["gates"] for row in done.json["platforms"])
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", flooded["detail"])
    assert int(peak) < 400_000
    log = state / "runs" / done.json["run"] / flooded["log"]
    assert log.stat().st_size < 2_000_000
    assert hung["detail"] == "waiting"
    assert ends(int(config.with_name("pid").read_text()))


def test_after_a_kill_no_program_runs_on_and_the_next_run_ends_well(gated, state, registry, repository):
    config = gated(
        [{"name": "wait", "run": ["./wait.sh", "{slug}"]}],
        {"wait.sh": "test -e go && exit 0; echo $$ > pid-$1.new; mv pid-$1.new pid-$1; exec sleep 600"},
    )
    running = start("all", "-f", config, "--state-dir", state, "--progress", "quiet")
    files = [config.with_name(f"pid-{platform.replace('/', '-')}") for platform in PLATFORMS]
    assert comes(lambda: running.poll() is not None or any(path.exists() for path in files))
    running.kill()
    running.communicate(timeout=PATIENCE_S)
    assert running.returncode == -signal.SIGKILL
    for path in files:
        if path.exists():
            assert ends(int(path.read_text()))
    assert not registry.exists(repository, "latest")
    config.with_name("go").touch()
    done = finish(start("all", "-f", config, "--state-dir", state, "--json"))
    assert done.code == 0, done.stderr
    assert set(gates_of(done.json).values()) == {"passed"}


def test_the_last_job_runs_the_gates(gated, state, tmp_path, registry, repository):
    gates = [
        {"name": "once", "run": ["./once.sh", "{slug}"]},
        {"name": "small", "max": "1kB", "required": False},
    ]
    config = gated(gates, {"once.sh": "touch ran-$1; test -e ready"})
    for platform in PLATFORMS:
        folder = tmp_path / platform.replace("/", "-")
        assert multibuild("build", "-f", config, "--state-dir", folder, "--platform", platform).code == 0
    assert not list(config.parent.glob("ran-*"))
    folders = [tmp_path / platform.replace("/", "-") for platform in PLATFORMS]
    assert multibuild("import", *folders, "-f", config, "--state-dir", state).code == 0
    assert multibuild("merge", "-f", config, "--state-dir", state).code == 6
    assert not registry.exists(repository, "latest")
    assert len(list(config.parent.glob("ran-*"))) == 2
    config.with_name("ready").touch()
    merged = multibuild("merge", "-f", config, "--state-dir", state, "--json")
    assert merged.code == 0, merged.stderr
    assert gates_of(merged.json) == {
        (platform, gate): status
        for platform in PLATFORMS
        for gate, status in (("once", "passed"), ("small", "failed"))
    }
    assert set(registry.images(repository, "latest")) == set(PLATFORMS)


def test_a_no_to_one_image_holds_back_all(gated, state, registry, repository):
    config = gated(
        [{"name": "release", "run": ["./check.sh", "{image}"]}],
        {"check.sh": "case $1 in *worker) exit 1; esac"},
    )
    document = json.loads(config.read_text())
    document |= {"image": f"{REGISTRY}/{repository}/{{name}}", "images": {"app": {}, "worker": {}}}
    config.write_text(json.dumps(document))
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 6, done.stderr
    assert "worker" in done.stderr
    for image in ("app", "worker"):
        assert not registry.exists(f"{repository}/{image}", "latest")
    assert [set(gates_of(image).values()) for image in done.json["images"]] == [{"passed"}, {"failed"}]


def test_a_program_that_is_not_there_is_found_before_a_build(gated, state):
    config = gated([{"name": "scan", "run": ["no-such-scanner", "{ref}"]}], {})
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 3
    assert "the gate scan cannot run: no-such-scanner: No such file or directory" in done.stderr
    assert done.json["stages"] == []
    doctor = multibuild("doctor", "-f", config, "--state-dir", state, "--json")
    assert doctor.code == 3
    (check,) = (check for check in doctor.json["checks"] if check["name"] == "gate scan")
    assert check["status"] == "fail"
