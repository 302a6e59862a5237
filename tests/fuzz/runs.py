"""Runs as damaged disks, other versions and other machines leave them: journals, documents, imported directories."""

import json
import logging
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.harness import ODD_VALUES, Target, mutated, mutated_json
from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.history import read_history
from multibuild.builds.resume import read_unfinished_runs
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import LoadedConfig, load_config
from multibuild.config.project import load_project
from multibuild.host.probe_cache import cache_entry, cached_results
from multibuild.journal.events import EVENTS
from multibuild.journal.journal import read_journal, scan_journal
from multibuild.journal.last_run import is_child, last_run
from multibuild.journal.runs import RunDirectory, State
from multibuild.journal.shapes import REPORT
from multibuild.json_types import has_shape
from multibuild.plan.host_facts import assumed_facts, recorded_facts
from multibuild.plan.plan import Plan, make_plan
from multibuild.platforms import Platform
from multibuild.report.html.page import as_html
from multibuild.report.images import as_rows, make_run_report
from multibuild.report.markdown import as_markdown
from multibuild.report.report import make_report
from multibuild.report.summary import as_text
from multibuild.terminal import printable
from multibuild.workflow.clean.registries import collect_leftovers
from multibuild.workflow.if_changed import _read_success
from multibuild.workflow.merge.import_runs import check_runs, write_imported_run
from multibuild.workflow.merge.source_runs import find_runs

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where a sync costs nothing; None: the usual place."""

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
IMAGE = "registry.example.org/app"
CONFIG = f"version: 1\nimage: {IMAGE}\nplatforms: [linux/amd64, linux/arm64]\n"
IMAGES_CONFIG = CONFIG.replace("/app", "/{name}") + "images: {app: {}, worker: {}}\n"
TIMES = (
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-12-31T23:59:59Z", "9998-12-31T23:00:00-05:00",
    "2026-01-01T00:00:00", "2026-W01-1T00:00:00Z", "2026-01-01T00:00:00+00:00", "99999-01-01T00:00:00Z",
)  # fmt: skip
WORDS = (
    b"NaN", b"-Infinity", b"1e999", b"-1", b"1" * 40, b"\n", b"\x00", b'"\\ud800"', b"[" * 2000, b'{"a":' * 200,
    b"linux/amd64", b"sha256:" + b"a" * 64, b"../..", b"logs/../../etc/passwd", b"oci:children/..", b"\x1b[2J",
    b"::error::x", *(text.encode() for text in TIMES),
)  # fmt: skip


# Journals.


def _make_journal(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change events, repeat, drop and reorder them; now and then damage bytes."""
    lines = generator.choice(seeds).split(b"\n")
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(lines))
        match generator.randrange(8):
            case 0:
                lines[at] = mutated(generator, lines[at], WORDS)
            case 1:
                lines.insert(at, lines[at])
            case 2:
                generator.shuffle(lines)
            case 3:
                del lines[at + 1 :]
            case 4:
                lines.insert(at, json.dumps(_event(generator)).encode())
            case _:
                lines[at] = _changed_event(generator, lines[at])
    return b"\n".join(lines)


def _changed_event(generator: random.Random, line: bytes) -> bytes:
    try:
        document = json.loads(line)
    except ValueError:
        return line
    if isinstance(document, dict) and generator.random() < 0.2:
        document["time"] = generator.choice(TIMES)
    return json.dumps(mutated_json(generator, document)).encode()


def _event(generator: random.Random) -> dict[str, Any]:
    """Return a known event with odd values in its fields."""
    name = generator.choice(list(EVENTS))
    fields = {key: generator.choice(ODD_VALUES) for key in ("platform", "status", "seconds", "number", "log")}
    return {"time": generator.choice(TIMES), "name": name, "fields": fields}


@contextmanager
def _quiet() -> Iterator[None]:
    """Show no warnings about what is left out."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=MEMORY)


@cache
def _state() -> tuple[State, RunDirectory, RunDirectory]:
    """Return a state directory with the run that is read, and a newer one; a case replaces the files of the first."""
    state = State(Path(_folder().name) / "state")
    return state, state.new_run(NOW), state.new_run(NOW)


def _read_journal(case: bytes) -> None:
    state, run, current = _state()
    run.plan_path.write_bytes(_seed("state-documents/plan.json"))
    run.journal_path.write_bytes(case)
    with _quiet():
        _summarise(state, run, current)


def _summarise(state: State, run: RunDirectory, current: RunDirectory) -> None:
    """Read a run as every later command does; `current` is the run of such a command."""
    report = make_report(run.id, run.load_plan() or {}, read_journal(run.journal_path))
    assert has_shape(json.loads(json.dumps(report, allow_nan=False)), REPORT)
    _show(report)
    runs = state.runs()
    last = last_run(runs)
    assert last is None or set(last.children) >= {child.platform for child in last.children.values()}
    history = read_history(runs, PlanFingerprints(platforms={}))
    assert all(0 <= seconds < 1e9 for seconds in history.seconds.values())
    unfinished = read_unfinished_runs(state, current)
    for child in unfinished.children.values():
        is_child(child.repository, child.digest)
    events = [entry.event for entry in read_journal(run.journal_path)]
    for command in ("build", "publish"):
        _read_success(run, events, command)
    for leftovers in collect_leftovers(runs, ()):
        assert all(is_child(leftovers.repository.name, digest) for digest in leftovers.children)


def _show(report: dict[str, Any]) -> None:
    text, page = as_text(report), as_html(report)
    assert printable(text) == text
    assert "<script" not in page
    as_markdown(report)


# Documents.


def _make_document(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    text = generator.choice(seeds)
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if document is None or generator.random() < 0.2:
        return mutated(generator, text, WORDS)
    return json.dumps(mutated_json(generator, document, changes=4)).encode()


def _read_document(case: bytes) -> None:
    """Read a document in the place of each."""
    state, run, current = _state()
    for path in (run.plan_path, run.path / "report.json", state.path / "facts.json"):
        path.write_bytes(case)
    run.journal_path.write_bytes(_seed("journals/built.jsonl"))
    with _quiet():
        if (whole := run.whole_report()) is not None:
            _show(whole)
        facts = state.load_facts()
        for builder in ("auto", "multibuild"):
            recorded_facts(facts, builder)
            cached_results(facts, builder, "m", [Platform.parse("linux/amd64")])
        for previous in (facts or {}).get("probed", {}).values():
            cache_entry("m", (), previous)
        _summarise(state, run, current)


# Imported runs.


def _make_import(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a directory as an object of paths and contents."""
    files: dict[str, str] = json.loads(generator.choice(seeds))
    for _ in range(generator.randint(1, 3)):
        path = generator.choice(list(files))
        match generator.randrange(6):
            case 0:
                files[generator.choice(HOSTILE_PATHS)] = files[path]
            case 1:
                files[path] = generator.choice(HOSTILE_KINDS)
            case 2:
                files[path] = mutated(generator, files[path].encode(), WORDS).decode("utf-8", "replace")
            case _ if path.endswith("journal.jsonl"):
                case = _make_journal(generator, [files[path].encode()])
                files[path] = case.decode("utf-8", "replace")
            case _ if path.endswith("plan.json"):
                files[path] = _make_document(generator, [files[path].encode()]).decode("utf-8", "replace")
            case _:
                files[path] = generator.choice(HOSTILE_KINDS)
    return json.dumps(files).encode()


LINK, PIPE, FOLDER, HUGE = "<link /etc/passwd>", "<pipe>", "<folder>", "<huge>"
HOSTILE_KINDS = (LINK, "<link ..>", "<link /dev/zero>", PIPE, FOLDER, HUGE, "", "\x00")
HOSTILE_PATHS = (
    "runs/20260102-030405-0002/plan.json", "runs/99991231-235959-ffff/journal.jsonl", "runs/train1/plan.json",
    "journal.jsonl", "plan.json", "runs/20260102-030405-0001/logs/linux-amd64.2.log", "runs/new\nline/plan.json",
    "runs/20260102-030405-0001/logs/linux-amd64.test.log", "runs/20260102-030405-0001/multibuild-run",
    "runs/20260102-030405-0001/images", "runs/20260102-030405-0001/images/app",
    "runs/20260102-030405-0001/images/worker/logs", "runs/20260102-030405-0001/images/app/logs/linux-amd64.2.log",
    "runs/20260102-030405-0001/children/linux-amd64/index.json", "runs/20260102-030405-0001/logs/x/../a.log",
)  # fmt: skip


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("<link "):
                path.symlink_to(content[6:-1])
            elif content == PIPE:
                os.mkfifo(path)
            elif content == FOLDER:
                path.mkdir()
            elif content == HUGE:
                with path.open("wb") as file:
                    file.truncate((64 << 20) + 1)
            elif not path.is_symlink() and not path.is_fifo():
                path.write_text(content, "utf-8", "replace")
        except (OSError, ValueError):  # a file where a directory should be, or a name that none can have
            continue


def _import(case: bytes) -> None:
    _import_into((_plan(),), case)


def _import_images(case: bytes) -> None:
    _import_into(_plans_of_images(), case)


def _import_into(plans: tuple[Plan, ...], case: bytes) -> None:
    with _quiet(), tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        source, state = Path(folder) / "source", State(Path(folder) / "state")
        source.mkdir()
        _write(source, json.loads(case))
        runs = check_runs(plans, find_runs(source))
        run = write_imported_run(plans, runs, state)
        written = scan_journal(run.journal_path)
        assert (written.damaged, written.torn, written.cut) == ((), False, False)
        files = [path for path in state.path.rglob("*") if path != state.path / "latest"]
        assert not any(path.is_symlink() for path in files)
        assert all(path.stat().st_mode & 0o077 == 0 for path in files)
        assert not any(b"root:" in path.read_bytes()[:10_000] for path in files if path.is_file())
        assert {path.name for path in Path(folder).iterdir()} == {"source", "state"}
        for view in run.views():
            _summarise(state.of_image(view.image) if view.image else state, view, state.new_run(NOW))
        report = make_run_report(run.id, run.load_plan() or {}, run.all_entries())
        assert printable(as_text(as_rows(report))) == as_text(as_rows(report))


@cache
def _loaded() -> LoadedConfig:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "multibuild.yaml"
        path.write_text(CONFIG)
        return load_config(path, environ={}, overrides=Overrides(), now=NOW)


@cache
def _plan() -> Plan:
    return make_plan(_loaded(), assumed_facts("auto"))


@cache
def _plans_of_images() -> tuple[Plan, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "multibuild.yaml"
        path.write_text(IMAGES_CONFIG)
        project = load_project(path, environ={}, overrides=Overrides(), now=NOW)
        return tuple(make_plan(loaded, assumed_facts("auto")) for loaded in project.images)


@cache
def _seed(name: str) -> bytes:
    return (SEEDS / name).read_bytes()


SEEDS = Path(__file__).parent / "seeds"

TARGETS = (
    Target(name="journals", make=_make_journal, run=_read_journal),
    Target(name="state-documents", make=_make_document, run=_read_document),
    Target(name="imports", make=_make_import, run=_import),
    Target(name="imports-of-images", make=_make_import, run=_import_images, short_cases=40),
)
