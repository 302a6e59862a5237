"""`report.json`, folded from the plan and the journal. Pure: the same journal, the same report.

docs/reference/report.md describes its keys, `buildx.vertex.Step` those of a step. `began` is in seconds since the
start of the run. A damaged journal still gives a report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptEnded,
    AttemptGivenUp,
    AttemptStarted,
    AttemptWaiting,
    ChildRead,
    ContentEnded,
    GateEnded,
    HostReady,
    ImageSigned,
    IndexComposed,
    PlatformEnded,
    PlatformEvent,
    RunEnded,
    RunStarted,
    SmokeTestEnded,
    StageEnded,
    StageStarted,
    TagEnded,
    TagPlanned,
)
from multibuild.redact import redacted_values
from multibuild.report.failure_lines import retry_manner
from multibuild.report.gates import is_held_back
from multibuild.report.savings import find_savings
from multibuild.terminal import human_seconds

UNKNOWN_ENVIRONMENT: Mapping[str, Any] = {
    "multibuild": "", "docker": None, "buildx": None, "buildkit": None, "builder": None, "emulators": {}
}  # fmt: skip
"""The environment of a run without an engine, as of a merge, or of one that ended before it reached the engine."""

INDEXED_STATUSES = frozenset({"succeeded", "reused", "carried"})
"""Statuses of a platform that is in the index."""

_ATTEMPT = {
    "number": 1, "seconds": 0.0, "outcome": "cancelled", "class": None, "retry": None, "evidence": "", "hint": None,
    "log": None, "node": "", "began": 0.0,
}  # fmt: skip


def make_report(run_id: str, plan: Mapping[str, Any], entries: Sequence[JournalEntry]) -> dict[str, Any]:
    """Return the report. `plan` is plan.json, empty if the run has none; a journal without an end is interrupted."""
    fold = _Fold(run_id, plan, entries[0].time if entries else None)
    for entry in entries:
        fold.add(entry)
    report = fold.report()
    savings = find_savings(report, has_cache=_reads_cache(plan))
    if savings:
        report["savings"] = [saving.as_json() for saving in savings]
    # Older journals and other machines' may hold secrets.
    redacted: dict[str, Any] = redacted_values(report)
    return redacted


def _reads_cache(plan: Mapping[str, Any]) -> bool:
    """Whether a build of the plan reads a cache other than the builder's own."""
    return any("--cache-from" in word for row in plan.get("platforms", ()) for word in row.get("command", ()))


class _Fold:
    """The report of the events so far."""

    def __init__(self, run_id: str, plan: Mapping[str, Any], started: datetime | None) -> None:
        self._started = started
        self._ended = started
        self._closed = False
        self._header: dict[str, Any] = {
            "schema": 1,
            "run": run_id,
            "status": "interrupted",
            "image": plan.get("image", ""),
            "tags": list(plan.get("tags", ())),
            "started": started.isoformat(timespec="milliseconds") if started else None,
            "seconds": 0.0,
            "fingerprint": plan.get("fingerprint", ""),
            "index": None,
        }
        self._signed: list[dict[str, Any]] = []
        self._tags: dict[str, dict[str, Any]] = {}
        self._platforms = {planned["platform"]: _empty_row(planned) for planned in plan.get("platforms", ())}
        for row in self._platforms.values() if plan.get("gates") else ():
            row["gates"] = []
        self._running: dict[str, dict[str, Any]] = {}
        self._steps: dict[str, list[dict[str, Any]]] = {}
        self._stages: list[dict[str, Any]] = []
        self._stage: dict[str, Any] | None = None
        self._environment: dict[str, Any] = {}
        self._error: Mapping[str, Any] | None = None

    def add(self, entry: JournalEntry) -> None:
        """Add the next event."""
        if not self._closed:
            # The command `test` may append events later: they are no time of the run.
            self._ended = entry.time
        now = self._since(entry.time)
        match entry.event:
            case PlatformEvent() as event:
                self._add_platform(event, now)
            case RunStarted(environment=environment, image=image):
                self._environment.update(environment)
                self._header["image"] = self._header["image"] or image
            case HostReady(environment=environment):
                self._environment.update(environment)
            case StageStarted(stage=stage):
                self._stage = {"name": stage, "seconds": 0.0, "began": now}
            case StageEnded(stage=stage, seconds=seconds):
                began = self._stage["began"] if self._stage else round(max(now - seconds, 0.0), 3)
                self._stages.append({"name": stage, "seconds": seconds, "began": began})
                self._stage = None
            case IndexComposed() as event:
                self._header["index"] = event.to_json()
            case ImageSigned() as event:
                self._signed.append(event.to_json())
            case TagPlanned(ref=ref, before=before, after=after):
                # Until its outcome is recorded: a run that is killed may have moved it.
                self._tags[ref] = {"ref": ref, "before": before, "after": after, "status": "planned"}
            case TagEnded() as event:
                self._tags[event.ref] = event.to_json()
            case RunEnded(status=status, error=error):
                self._header["status"], self._error = status, error
                self._closed = True

    def _since(self, time: datetime) -> float:
        return round((time - self._started).total_seconds(), 3) if self._started else 0.0

    def _add_platform(self, event: PlatformEvent, now: float) -> None:
        name, fields = event.platform, event.to_json()
        row = self._platforms.setdefault(name, _empty_row(fields))
        match event:
            case AttemptStarted(node=node):
                self._running[name] = {**_ATTEMPT, **_present_fields(_ATTEMPT, fields), "began": now}
                row["node"] = node
            case AttemptEnded():
                begun = self._running.pop(name, _ATTEMPT)
                row["attempts"].append({**begun, **_present_fields(_ATTEMPT, fields)})
            case AttemptWaiting(number=number, seconds=seconds, reason=reason):
                row["waits"].append({"number": number, "seconds": seconds, "reason": reason, "began": now})
                how = retry_manner(alone=event.alone, patience=event.patience)
                _decide(row, f"again after {human_seconds(seconds)}{how}")
            case AttemptGivenUp(reason=reason):
                _decide(row, f"given up: {reason}")
            case PlatformEnded(steps=steps):
                keys = ("status", "digest", "seconds", "emulated", "node")
                row.update({key: fields[key] for key in keys if key in fields})
                row.update({"reason": event.reason} if event.reason else {})
                self._steps[name] = self._timed_steps(name, steps or (), row["attempts"])
            case ChildRead():
                row.update(manifest=event.manifest, bytes=event.bytes)
            case SmokeTestEnded():
                row["test"] = _proof({"status": "skipped", "seconds": 0.0}, fields)
            case ContentEnded():
                row["content"] = _proof({"status": "skipped", "checked": 0, "foreign": []}, fields)
            case GateEnded():
                row.setdefault("gates", []).append(_gate(fields))

    def _timed_steps(
        self, name: str, steps: Sequence[Mapping[str, Any]], attempts: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return steps on the run's clock; if another machine's clock is wrong, they start with their attempt."""
        placed = [
            {"platform": name, **step, "began": self._step_began(step.get("started"))} for step in steps
        ]
        for step in placed:
            step.pop("started", None)
        timed = [step for step in placed if step["began"] is not None]
        if timed and attempts:
            first, last = attempts[-1]["began"], attempts[-1]["began"] + attempts[-1]["seconds"]
            if all(not first <= step["began"] <= last for step in timed):
                offset = min(step["began"] for step in timed) - first
                for step in timed:
                    step["began"] = round(step["began"] - offset, 3)
        return placed

    def _step_began(self, started: Any) -> float | None:
        try:
            return self._since(datetime.fromisoformat(started))
        except (TypeError, ValueError):
            return None

    def report(self) -> dict[str, Any]:
        """Return the whole report; attempts without an end were cancelled when the journal stops."""
        total = (self._ended - self._started).total_seconds() if self._started and self._ended else 0.0
        for name, attempt in self._running.items():
            seconds = round(max(total - attempt["began"], 0.0), 3)
            row = self._platforms[name]
            row["attempts"].append({**attempt, "seconds": seconds})
        if self._stage is not None:
            seconds = max(total - self._stage["began"], 0.0)
            self._stages.append({**self._stage, "seconds": round(seconds, 3)})
        rows = list(self._platforms.values())
        for row in rows:
            row["seconds"] = row["seconds"] or round(
                sum((attempt["seconds"] for attempt in row["attempts"]), 0.0), 3
            )
        header = {**self._header, "seconds": round(max(total, 0.0), 3)}
        if header["status"] == "succeeded" and not all(map(is_proved, rows)):
            header["status"] = "partial"
        return {
            **header,
            **({"signed": self._signed} if self._signed else {}),
            "published": list(self._tags.values()),
            "platforms": rows,
            "steps": [step for name in self._platforms for step in self._steps.get(name, ())],
            "stages": self._stages,
            "environment": {**UNKNOWN_ENVIRONMENT, **self._environment},
            "error": self._error,
        }


def _empty_row(planned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a platform without events: the run ended before its turn."""
    return {
        "platform": str(planned["platform"]),
        "status": "cancelled",
        "required": planned.get("required", True),
        "digest": None,
        "manifest": None,
        "bytes": None,
        "seconds": 0.0,
        "emulated": planned.get("emulated", False),
        "node": planned.get("node", ""),
        "attempts": [],
        "waits": [],
        "test": {"status": "skipped", "seconds": 0.0},
        "content": {"status": "skipped", "checked": 0, "foreign": []},
    }


def _decide(row: dict[str, Any], decision: str) -> None:
    """Add the decision after a platform's last attempt."""
    if row["attempts"]:
        row["attempts"][-1]["then"] = decision


def _present_fields(keys: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: fields[key] for key in keys if fields.get(key) is not None}


def _proof(blank: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    details = {key: fields[key] for key in ("class", "detail", "hint", "origins") if fields.get(key)}
    return {**blank, **_present_fields(blank, fields), **details}


def _gate(fields: Mapping[str, Any]) -> dict[str, Any]:
    details = {key: fields[key] for key in ("reason", "detail", "hint", "log") if fields.get(key)}
    known = {key: fields[key] for key in ("status", "required", "seconds")}
    return {"name": fields["gate"], **known, **details}


def is_proved(row: Mapping[str, Any]) -> bool:
    """Whether a platform can be in the index: one whose test, content check or required gate failed is left out."""
    proofs = (row["test"]["status"], row["content"]["status"])
    return row["status"] in INDEXED_STATUSES and "failed" not in proofs and not is_held_back(row)
