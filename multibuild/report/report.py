"""`report.json` (contract §5), folded from the plan and the journal. Pure: the same journal, the same report.

Beyond the contract's keys: `error` of the run; `manifests` of the index (its descriptors, as published); `reason` and
`waits` (between attempts) of a platform; `node`, `hint` and `then` (what was decided after a failure) of an attempt;
`detail` of a test and a proof; `vertex` and `base` of a step (see `build.progress.Step`). `began` of an attempt, a
wait, a step or a stage is in seconds since the run's start. A damaged journal still gives a report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from multibuild.journal.events import (
    AttemptEnded,
    AttemptGivenUp,
    AttemptStarted,
    AttemptWaiting,
    ChildRead,
    ContentEnded,
    HostReady,
    IndexComposed,
    JournalEntry,
    PlatformEnded,
    PlatformEvent,
    RunEnded,
    RunStarted,
    SmokeTestEnded,
    StageEnded,
    StageStarted,
    TagEnded,
)
from multibuild.terminal import human_seconds

NOT_ASKED: Mapping[str, Any] = {
    "multibuild": "", "docker": None, "buildx": None, "buildkit": None, "builder": None, "emulators": {}
}  # fmt: skip
"""The environment of a run that asked no engine, like a merge of what was built, or that did not get that far."""

PRESENT = frozenset({"succeeded", "reused", "carried"})
"""Statuses of a platform that is in the index."""

_ATTEMPT = {
    "number": 1,
    "seconds": 0.0,
    "outcome": "cancelled",
    "class": None,
    "retry": None,
    "evidence": "",
    "hint": None,
    "log": None,
    "node": "",
    "began": 0.0,
}


def make_report(run_id: str, plan: Mapping[str, Any], entries: Sequence[JournalEntry]) -> dict[str, Any]:
    """Fold. `plan` is plan.json (empty when the run never got one); a journal without an end is interrupted."""
    fold = _Fold(run_id, plan, entries[0].time if entries else None)
    for entry in entries:
        fold.add(entry)
    return fold.report()


class _Fold:
    """The report as it grows."""

    def __init__(self, run_id: str, plan: Mapping[str, Any], started: datetime | None) -> None:
        self._started = started
        self._ended = started
        self._closed = False
        self._head: dict[str, Any] = {
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
        self._tags: dict[str, dict[str, Any]] = {}
        self._platforms = {item["platform"]: _blank(item) for item in plan.get("platforms", ())}
        self._running: dict[str, dict[str, Any]] = {}
        self._steps: dict[str, list[dict[str, Any]]] = {}
        self._stages: list[dict[str, Any]] = []
        self._stage: dict[str, Any] | None = None
        self._environment: dict[str, Any] = {}
        self._error: Mapping[str, Any] | None = None

    def add(self, entry: JournalEntry) -> None:
        """Take the next event in."""
        if not self._closed:
            # What `test` adds to the journal later is no part of the run's time.
            self._ended = entry.time
        now = self._since(entry.time)
        match entry.event:
            case PlatformEvent() as event:
                self._add_platform(event, now)
            case RunStarted(environment=environment, image=image):
                self._environment.update(environment)
                self._head["image"] = self._head["image"] or image
            case HostReady(environment=environment):
                self._environment.update(environment)
            case StageStarted(stage=stage):
                self._stage = {"name": stage, "seconds": 0.0, "began": now}
            case StageEnded(stage=stage, seconds=seconds):
                began = self._stage["began"] if self._stage else round(max(now - seconds, 0.0), 3)
                self._stages.append({"name": stage, "seconds": seconds, "began": began})
                self._stage = None
            case IndexComposed() as event:
                self._head["index"] = event.to_json()
            case TagEnded() as event:
                self._tags[event.ref] = event.to_json()
            case RunEnded(status=status, error=error):
                self._head["status"], self._error = status, error
                self._closed = True

    def _since(self, time: datetime) -> float:
        return round((time - self._started).total_seconds(), 3) if self._started else 0.0

    def _add_platform(self, event: PlatformEvent, now: float) -> None:
        name, fields = event.platform, event.to_json()
        row = self._platforms.setdefault(name, _blank(fields))
        match event:
            case AttemptStarted(node=node):
                self._running[name] = {**_ATTEMPT, **_known(_ATTEMPT, fields), "began": now}
                row["node"] = node
            case AttemptEnded():
                begun = self._running.pop(name, _ATTEMPT)
                row["attempts"].append({**begun, **_known(_ATTEMPT, fields)})
            case AttemptWaiting(number=number, seconds=seconds, reason=reason):
                row["waits"].append({"number": number, "seconds": seconds, "reason": reason, "began": now})
                alone = ", alone" if event.alone else ""
                _decide(row, f"again after {human_seconds(seconds)}{alone}")
            case AttemptGivenUp(reason=reason):
                _decide(row, f"given up: {reason}")
            case PlatformEnded(steps=steps):
                keys = ("status", "digest", "seconds", "emulated", "node")
                row.update({key: fields[key] for key in keys if key in fields})
                row.update({"reason": event.reason} if event.reason else {})
                self._steps[name] = self._placed(name, steps or (), row["attempts"])
            case ChildRead():
                row.update(manifest=event.manifest, bytes=event.bytes)
            case SmokeTestEnded():
                row["test"] = _proof({"status": "skipped", "seconds": 0.0}, fields)
            case ContentEnded():
                row["content"] = _proof({"status": "skipped", "checked": 0, "foreign": []}, fields)

    def _placed(
        self, name: str, steps: Sequence[Mapping[str, Any]], attempts: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Put steps on the run's own clock. Another machine's that goes wrong is set by its attempt's beginning."""
        placed = [
            {"platform": name, **step, "began": self._step_began(step.get("started"))} for step in steps
        ]
        for step in placed:
            step.pop("started", None)
        known = [step for step in placed if step["began"] is not None]
        if known and attempts:
            first, last = attempts[-1]["began"], attempts[-1]["began"] + attempts[-1]["seconds"]
            if all(not first <= step["began"] <= last for step in known):
                off = min(step["began"] for step in known) - first
                for step in known:
                    step["began"] = round(step["began"] - off, 3)
        return placed

    def _step_began(self, started: Any) -> float | None:
        try:
            return self._since(datetime.fromisoformat(started))
        except (TypeError, ValueError):
            return None

    def report(self) -> dict[str, Any]:
        """Give the whole: attempts that a kill left open were cancelled when the journal stops."""
        total = (self._ended - self._started).total_seconds() if self._started and self._ended else 0.0
        for name, attempt in self._running.items():
            seconds = round(max(total - attempt["began"], 0.0), 3)
            row = self._platforms[name]
            row["attempts"].append({**attempt, "seconds": seconds})
            row["seconds"] = row["seconds"] or seconds
        if self._stage is not None:
            open_for = max(total - self._stage["began"], 0.0)
            self._stages.append({**self._stage, "seconds": round(open_for, 3)})
        rows = list(self._platforms.values())
        head = {**self._head, "seconds": round(max(total, 0.0), 3)}
        if head["status"] == "succeeded" and not all(map(_holds, rows)):
            head["status"] = "partial"
        return {
            **head,
            "published": list(self._tags.values()),
            "platforms": rows,
            "steps": [step for name in self._platforms for step in self._steps.get(name, ())],
            "stages": self._stages,
            "environment": {**NOT_ASKED, **self._environment},
            "error": self._error,
        }


def _blank(item: Mapping[str, Any]) -> dict[str, Any]:
    """Give the row of a platform nothing has been heard of: the run ended before its turn."""
    return {
        "platform": str(item["platform"]),
        "status": "cancelled",
        "required": item.get("required", True),
        "digest": None,
        "manifest": None,
        "bytes": None,
        "seconds": 0.0,
        "emulated": item.get("emulated", False),
        "node": item.get("node", ""),
        "attempts": [],
        "waits": [],
        "test": {"status": "skipped", "seconds": 0.0},
        "content": {"status": "skipped", "checked": 0, "foreign": []},
    }


def _decide(row: dict[str, Any], decision: str) -> None:
    """Note in words what followed a platform's last attempt."""
    if row["attempts"]:
        row["attempts"][-1]["then"] = decision


def _known(keys: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: fields[key] for key in keys if fields.get(key) is not None}


def _proof(blank: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: fields[key] for key in ("class", "detail", "hint") if fields.get(key)}
    return {**blank, **_known(blank, fields), **said}


def _holds(row: Mapping[str, Any]) -> bool:
    """Whether a platform is in the index: one whose test or proof failed was left out of it."""
    return row["status"] in PRESENT and "failed" not in (row["test"]["status"], row["content"]["status"])
