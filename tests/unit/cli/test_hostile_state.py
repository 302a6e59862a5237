"""Commands on a state directory that holds what it should not: a result or a clear error, and nothing else changed."""

import ctypes
import json
import os
import shutil
from contextlib import contextmanager

import pytest
from fakes.images import put_image
from fakes.registry_server import FakeRegistry

from multibuild.cli.startup import main

IMAGE = "registry.invalid/app"
CONFIG = "version: 1\nimage: {image}\nplatforms: [linux/amd64, linux/arm64]\n"
RUN = "20260101-120000-0001"
DIGEST = "sha256:" + "a" * 64
TIME = "2026-01-01T12:00:00+00:00"
HUGE = 65 << 20
READING = (
    ("plan",), ("matrix",), ("runs",), ("runs", "--json"), ("report",), ("report", "--json"), ("report", "--markdown"),
    ("report", "--html", "page.html"), ("clean", "--dry-run", "--only", "runs"), ("merge", "--dry-run"),
    ("clean", "--only", "runs"),
)  # fmt: skip


class Project:
    def __init__(self, folder, image):
        self.image = image
        self.path, self.state = folder / "app", folder / "state"
        self.path.mkdir()
        (self.path / "Dockerfile").write_text("FROM scratch\n")
        (self.path / "multibuild.yaml").write_text(CONFIG.format(image=image))
        self.folder = self.state / "runs" / RUN

    def run(self, command, *words):
        return main(
            [command, "-f", str(self.path / "multibuild.yaml"), "--state-dir", str(self.state), *words]
        )

    def make_run(self):
        (self.folder / "logs").mkdir(parents=True)
        (self.state / "latest").symlink_to(f"runs/{RUN}")
        rows = [
            {"platform": name, "staging": {"reference": self.image}, "emulated": False, "node": "n"}
            for name in ("linux/amd64", "linux/arm64")
        ]
        (self.folder / "plan.json").write_text(json.dumps({"image": self.image, "platforms": rows}))
        ended = {"status": "succeeded", "digest": DIGEST, "repository": self.image}
        self.write_journal(
            ("run.started", {}), *(("platform.ended", {"platform": row["platform"], **ended}) for row in rows)
        )

    def write_journal(self, *events):
        lines = [json.dumps({"time": TIME, "name": name, "fields": fields}) for name, fields in events]
        (self.folder / "journal.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def registry():
    """A registry whose repository `built` has children for both platforms, and whose `app` has none."""
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def image(registry):
    return f"{registry.host}/app"


@pytest.fixture
def project(tmp_path, monkeypatch, image):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, image)


def link_to(target):
    def make(path):
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return make


def link_in_place_of_folder(path):
    shutil.rmtree(path)
    path.symlink_to("/etc")


def folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def huge(path):
    with path.open("ab") as file:
        file.truncate(HUGE)


def content(text):
    def make(path):
        path.write_text(text)

    return make


def event(name, **fields):
    def make(path):
        with path.open("a") as journal:
            print(
                json.dumps({"time": fields.pop("time", TIME), "name": name, "fields": fields}), file=journal
            )

    return make


def rewritten(old, new):
    def make(path):
        path.write_text(path.read_text().replace(old, new))

    return make


CHILD = {"platform": "linux/amd64", "status": "succeeded", "digest": DIGEST, "repository": IMAGE}
DEEP = "[" * 100_000
ERROR = {"message": "\x1b[31m::error::x", "hint": 7}

HOSTILE = {
    **{
        f"{name}: {label}": (name, make)
        for name in ("journal.jsonl", "plan.json", "report.json", "facts")
        for label, make in {
            "a link": link_to("/etc/passwd"),
            "endless": link_to("/dev/zero"),
            "a directory": folder,
            "a pipe": pipe,
            "huge": huge,
            "deep": content(DEEP),
            "no JSON": content("\x00\x1b[31m"),
            "another type": content("[1, 2]"),
            "NaN": content('{"seconds": NaN, "platforms": [NaN]}'),
            "empty": content(""),
        }.items()
    },
    "a report of another shape": ("report.json", content('{"run": 1, "status": "ok", "platforms": 7}')),
    "a report of infinite time": ("report.json", content('{"status": "x", "seconds": 1e999}')),
    "facts of other types": ("facts", content('{"for_builder": "auto", "nodes": [7], "cpus": "x", "buildx": 5}')),
    "facts of a probe": ("facts", content('{"for_builder": "auto", "probed": {"multibuild": {"runs": [7]}}}')),
    "a plan without platforms": ("plan.json", content("{}")),
    "an image that is none": ("plan.json", rewritten('"image": "', '"image": "A B::')),
    "a staging that is none": ("plan.json", rewritten('"reference": "', '"reference": "/ ')),
    "a digest that is none": ("journal.jsonl", event("platform.ended", **{**CHILD, "digest": "../../x"})),
    "a repository that is none": ("journal.jsonl", event("platform.ended", **{**CHILD, "repository": "A B"})),
    "a local child outside": ("journal.jsonl", event("platform.ended", **{**CHILD, "repository": "oci:children/.."})),
    "a platform that is none": ("journal.jsonl", event("platform.ended", **{**CHILD, "platform": "\n::error::x"})),
    "negative": ("journal.jsonl", event("platform.ended", **{**CHILD, "seconds": -1})),
    "year 1": ("journal.jsonl", event("stage.started", time="0001-01-01T00:00:00+23:00", stage="x")),
    "year 9999": ("journal.jsonl", event("stage.started", time="9999-12-31T23:59:59-23:00", stage="x")),
    "steps": ("journal.jsonl", event("platform.ended", **{**CHILD, "steps": [{"platform": {}}]})),
    "an error": ("journal.jsonl", event("run.ended", status="failed", error=ERROR)),
    "a log outside": ("journal.jsonl", event("attempt.started", platform="p", number=1, node="n", log="../../../x")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "make"), HOSTILE.values(), ids=HOSTILE)
def test_every_command_that_reads_state_goes_on(project, capfd, name, make):
    project.make_run()
    make(project.state / "facts.json" if name == "facts" else project.folder / name)
    for command in READING:
        code = project.run(*command)
        out, err = capfd.readouterr()
        # `merge --dry-run` asks a registry that has nothing; nothing else may fail, and nothing with a traceback.
        assert code in ({0, 2, 3, 7} if command[0] == "merge" else {0}), f"{command}: {err}"
        assert "Traceback" not in err
        assert "a bug" not in err
        assert "\x1b" not in out + err
        assert "root:" not in out + err


@pytest.mark.parametrize(
    "prepare",
    [
        lambda runs, away: (runs / "train1" / "weights").mkdir(parents=True),
        lambda runs, away: (runs / RUN / "weights").mkdir(parents=True),
        lambda runs, away: (runs.mkdir(), (runs / RUN).symlink_to(away)),
        lambda runs, away: runs.symlink_to(away),
        lambda runs, away: (runs / ".git").mkdir(parents=True),
        lambda runs, away: runs.write_text("a list"),
    ],
    ids=["a training", "a name like ours", "a link like a run", "a link for all", "hidden", "a file"],
)
@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--only", "runs"), ("--keep", "1")])
def test_clean_deletes_nothing_of_others(project, tmp_path, capfd, prepare, words):
    away = tmp_path / "away"
    (away / RUN).mkdir(parents=True)
    (away / RUN / "precious").touch()
    away.chmod(0o755)
    project.state.mkdir()
    prepare(project.state / "runs", away)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert project.run("clean", *words) == 3
    assert "runs is not multibuild's" in capfd.readouterr().err
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    assert away.stat().st_mode & 0o777 == 0o755


def test_clean_deletes_its_own_runs_beside_those_of_others(project, capfd):
    project.make_run()
    theirs = project.state / "runs" / "train1"
    theirs.mkdir()
    alike = project.state / "runs" / "20260101-120000-0002"
    (alike / "weights").mkdir(parents=True)
    (project.state / "runs" / "20260101-120000-0003").symlink_to(alike)
    assert project.run("clean", "--only", "runs") == 0
    out, err = capfd.readouterr()
    assert f"removed run {project.folder}" in out
    assert f"stays: {alike}: nothing in it proves that multibuild made it" in err
    assert not project.folder.exists()
    assert (alike / "weights").is_dir()
    assert theirs.is_dir()


@contextmanager
def bound_by_modes():
    """Let the modes of files bind root too: without CAP_DAC_OVERRIDE in its effective set (capabilities(7))."""
    libc, header = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    effective = sets[0]
    try:
        sets[0] = effective & ~(1 << 1)
        assert libc.capset(header, sets) == 0
        yield
    finally:
        sets[0] = effective
        assert libc.capset(header, sets) == 0


def test_what_clean_cannot_delete_is_said(project, capfd):
    project.make_run()
    (project.folder / "logs" / "a.log").touch()
    (project.folder / "logs").chmod(0o500)
    with bound_by_modes():
        assert project.run("clean", "--only", "runs") == 0
    assert "Permission denied" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("plan.json", link_to("/etc/passwd")), ("plan.json", link_to("/dev/zero")), ("plan.json", pipe),
        ("plan.json", content(DEEP)), ("plan.json", huge), ("plan.json", folder), ("plan.json", content('{"a": NaN}')),
        ("journal.jsonl", link_to("/etc/passwd")), ("journal.jsonl", link_to("/dev/zero")), ("journal.jsonl", pipe),
        ("journal.jsonl", content(DEEP)), ("journal.jsonl", huge), ("journal.jsonl", folder),
        ("journal.jsonl", event("platform.ended", **{**CHILD, "steps": [{"seconds": -1}]})),
    ],
)  # fmt: skip
def test_an_import_of_hostile_files_is_a_clear_error(project, tmp_path, capfd, name, make):
    project.make_run()
    shutil.move(project.state, tmp_path / "theirs")
    make(tmp_path / "theirs" / "runs" / RUN / name)
    assert project.run("import", str(tmp_path / "theirs")) == 2
    err = capfd.readouterr().err
    assert "error: " in err
    assert "root:" not in err
    assert not (project.state / "runs").exists()


# Imports.

LOG = "logs/linux-amd64.1.log"
ATTEMPT = {"platform": "linux/amd64", "number": 1, "node": "n", "log": LOG}


@pytest.fixture
def machine(project, registry, tmp_path, capfd):
    """The run of another machine that built both platforms; it can be imported."""
    image = f"{registry.host}/built"
    (project.path / "multibuild.yaml").write_text(CONFIG.format(image=image))
    assert project.run("plan", "--json") == 0
    plan = capfd.readouterr().out
    project.make_run()
    (project.folder / "plan.json").write_text(plan)
    ended = [
        ("platform.ended", {"platform": name, "status": "succeeded", "digest": put_image(registry, "built", name),
                            "repository": image, "node": "n"})
        for name in ("linux/amd64", "linux/arm64")
    ]  # fmt: skip
    attempt = [("attempt.started", ATTEMPT), ("attempt.ended", {**ATTEMPT, "outcome": "ok", "seconds": 1.5})]
    project.write_journal(
        ("run.started", {"command": "build"}), *attempt, *ended, ("run.ended", {"status": "succeeded"})
    )
    (project.folder / LOG).write_text("built\n")
    (project.folder / LOG).chmod(0o644)
    shutil.move(project.state, tmp_path / "theirs")
    return tmp_path / "theirs" / "runs" / RUN


HOSTILE_RUNS = {
    "good": ("journal.jsonl", event("of.tomorrow")),
    "events twice": ("journal.jsonl", rewritten("\n", "\n")),
    "NaN": ("journal.jsonl", rewritten("1.5", "NaN")),
    "infinite": ("journal.jsonl", rewritten("1.5", "1e999")),
    "negative": ("journal.jsonl", rewritten("1.5", "-1")),
    "endless": ("journal.jsonl", rewritten("1.5", "1" * 5000)),
    "year 1": ("journal.jsonl", rewritten(TIME, "0001-01-01T00:00:00+23:00")),
    "year 9998": ("journal.jsonl", rewritten(TIME, "9998-12-31T23:59:59-23:00")),
    "year 9999": ("journal.jsonl", rewritten(TIME, "9999-12-31T23:59:59-23:00")),
    "before the epoch": ("journal.jsonl", rewritten(TIME, "1900-01-01T00:00:00Z")),
    "no time zone": ("journal.jsonl", rewritten("+00:00", "")),
    "a log outside": ("journal.jsonl", rewritten(LOG, "../../../../../../etc/passwd")),
    "a log of lines": ("journal.jsonl", rewritten(LOG, "logs/a\\n::error::x")),
    "a huge text": ("journal.jsonl", event("attempt.ended", **ATTEMPT, outcome="failed", seconds=1, evidence="x" * 4_000_000)),
    "a line of 100 MB": ("journal.jsonl", event("n", text="x" * 50_000_000)),
    "deep": ("journal.jsonl", event("run.started", environment=json.loads("[" * 300 + "]" * 300))),
    "escapes": ("journal.jsonl", rewritten('"node": "n"', '"node": "\\u001b[31m\\n::error::x"')),
    "steps": ("journal.jsonl", rewritten('"node": "n"', '"node": "n", "steps": [{"name": 7}]')),
    "unknown events": ("journal.jsonl", event("\x1b[31m\n::error::x", platform="linux/amd64")),
    "a proof that is none": ("journal.jsonl", event("test.ended", platform="linux/amd64", status="passed", seconds=-1)),
    "a plan with a row missing": ("plan.json", rewritten('"platform": "linux/amd64"', '"platform": "linux/other"')),
    "a plan with a row twice": ("plan.json", rewritten('"platform": "linux/arm64"', '"platform": "linux/amd64"')),
    "a plan with odd rows": ("plan.json", rewritten('"emulated": false', '"emulated": "no"')),
    "a plan with a staging that is none": ("plan.json", rewritten('"reference": "', '"reference": "A B::')),
    "a plan of a number": ("plan.json", rewritten('"jobs": ', '"jobs": 1e999, "x": ')),
    "a plan with escapes": ("plan.json", rewritten('"node": "', '"node": "\\u001b[31m\\n::error::')),
    "a link for a log": (LOG, link_to("/etc/passwd")),
    "a pipe for a log": (LOG, pipe),
    "an endless log": (LOG, link_to("/dev/zero")),
    "a huge log": (LOG, huge),
    "a folder for a log": (LOG, folder),
    "a link for the logs": ("logs", link_in_place_of_folder),
    "children somewhere else": ("children", link_to("/etc")),
    "a marker of another kind": ("multibuild-run", pipe),
    "a marker of the largest number": ("multibuild-run", content("multibuild run 999999999999999999\n")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "make"), HOSTILE_RUNS.values(), ids=HOSTILE_RUNS)
def test_after_the_import_of_a_hostile_run_every_command_goes_on(project, machine, capfd, name, make):
    make(machine / name)
    code = project.run("import", str(machine))
    out, err = capfd.readouterr()
    assert code in {0, 2, 7}, err
    assert "Traceback" not in err
    assert "\x1b" not in out + err
    if code:
        assert not (project.state / "runs").exists()
    for command in READING[:-1]:
        no_run = {2} if code and command[0] in {"report", "merge"} else set()
        assert project.run(*command) in {0, *no_run, *({7} if command[0] == "merge" else ())}, command
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert "\x1b" not in out + err
        assert "root:" not in out + err
        assert not any(line.startswith("::") for line in (out + err).splitlines())
    files = [path for path in project.state.rglob("*") if path.name != "latest"]
    assert not any(path.is_symlink() for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert not any(b"root:" in path.read_bytes()[:10_000] for path in files if path.is_file())


def test_a_run_of_the_year_9998_is_not_the_last_for_ever(project, machine, tmp_path, capfd):
    assert project.run("import", str(machine)) == 0
    rewritten(TIME, "9998-12-31T23:59:59-00:00")(machine / "journal.jsonl")
    machine = machine.rename(machine.with_name("99981231-235959-ffff"))
    assert project.run("import", str(machine)) == 0
    rewritten("9998-12-31T23:59:59-00:00", TIME)(machine / "journal.jsonl")
    capfd.readouterr()
    assert project.run("import", str(machine), "--json") == 0
    last = json.loads(capfd.readouterr().out)["run"]
    assert project.run("runs", "--json") == 0
    assert json.loads(capfd.readouterr().out)[0]["run"] == last
