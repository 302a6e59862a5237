"""`report.json`, folded from the plan and the journal. Pure: the same journal, the same report.

docs/reference/report.md describes its keys, `buildx.progress.Step` those of a step. `began` is in seconds since the
start of the run. Only the name and the time of an event are required: a damaged journal still gives a report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from multibuild.journal.events import Event
from multibuild.terminal import human_seconds

UNKNOWN_ENVIRONMENT: Mapping[str, Any] = {
    "multibuild": "", "docker": None, "buildx": None, "buildkit": None, "builder": None, "emulators": {}
}  # fmt: skip
"""The environment of a run without an engine, as of a merge, or of one that ended before it reached the engine."""

INDEXED_STATUSES = frozenset({"succeeded", "reused", "carried"})
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


def make_report(run_id: str, plan: Mapping[str, Any], events: Sequence[Event]) -> dict[str, Any]:
    """Return the report. `plan` is plan.json, empty if the run has none; a journal without an end is interrupted."""
    fold = _Fold(run_id, plan, events[0].time if events else None)
    for event in events:
        fold.add(event)
    return fold.report()


class _Fold:
    """The report of the events so far."""

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
        self._platforms = {planned["platform"]: _blank(planned) for planned in plan.get("platforms", ())}
        self._running: dict[str, dict[str, Any]] = {}
        self._steps: dict[str, list[dict[str, Any]]] = {}
        self._stages: list[dict[str, Any]] = []
        self._stage: dict[str, Any] | None = None
        self._environment: dict[str, Any] = {}
        self._error: dict[str, Any] | None = None

    def add(self, event: Event) -> None:
        """Take the next event in."""
        if not self._closed:
            # What `test` adds to the journal later is no part of the run's time.
            self._ended = event.time
        self._closed = self._closed or event.name == "run.ended"
        fields = event.fields
        if "platform" in fields:
            self._add_platform(event)
            return
        match event.name:
            case "run.started" | "host.ready":
                self._environment.update(fields.get("environment") or {})
                self._head["image"] = self._head["image"] or fields.get("image", "")
            case "stage.started":
                self._stage = {"name": fields.get("stage"), "seconds": 0.0, "began": self._since(event.time)}
            case "stage.ended":
                stage = {"name": fields.get("stage"), "seconds": fields.get("seconds", 0.0)}
                began = max(self._since(event.time) - stage["seconds"], 0.0)
                self._stages.append({**stage, "began": (self._stage or {"began": round(began, 3)})["began"]})
                self._stage = None
            case "index.composed":
                keys = ("digest", "mediaType", "size", "entries")
                manifests = {"manifests": list(fields.get("manifests") or ())}
                self._head["index"] = {key: fields.get(key) for key in keys} | manifests
            case "tag.ended":
                tag = {key: fields.get(key) for key in ("ref", "before", "after", "status")}
                self._tags[str(tag["ref"])] = tag
            case "run.ended":
                self._head["status"] = fields.get("status", "interrupted")
                self._error = fields.get("error")

    def _since(self, time: datetime) -> float:
        return round((time - self._started).total_seconds(), 3) if self._started else 0.0

    def _add_platform(self, event: Event) -> None:
        fields = event.fields
        name = str(fields["platform"])
        row = self._platforms.setdefault(name, _blank(fields))
        match event.name:
            case "attempt.started":
                self._running[name] = {
                    **_ATTEMPT,
                    **_known(_ATTEMPT, fields),
                    "began": self._since(event.time),
                }
                row["node"] = fields.get("node", row["node"])
            case "attempt.ended":
                row["attempts"].append(self._attempt(name, fields))
            case "attempt.waiting" | "attempt.given_up":
                self._add_decision(row, event)
            case "platform.ended":
                keys = ("status", "digest", "seconds", "emulated", "node")
                row.update({key: fields[key] for key in keys if key in fields})
                if fields.get("reason"):
                    row["reason"] = fields["reason"]
                self._steps[name] = self._placed(name, fields.get("steps") or (), row["attempts"])
            case "child.read":
                row.update(manifest=fields.get("manifest"), bytes=fields.get("bytes"))
            case "test.ended":
                row["test"] = _proof({"status": "skipped", "seconds": 0.0}, fields)
            case "content.ended":
                row["content"] = _proof({"status": "skipped", "checked": 0, "foreign": []}, fields)

    def _add_decision(self, row: dict[str, Any], event: Event) -> None:
        """Take in what followed a failed attempt."""
        if event.name == "attempt.waiting":
            wait = {"number": 1, "seconds": 0.0, "reason": ""}
            row["waits"].append({**wait, **_known(wait, event.fields), "began": self._since(event.time)})
        if row["attempts"]:
            row["attempts"][-1]["then"] = _decision(event.fields)

    def _attempt(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        begun = self._running.pop(name, _ATTEMPT)
        return {**begun, **_known(_ATTEMPT, fields)}

    def _placed(
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
            row["seconds"] = row["seconds"] or seconds
        if self._stage is not None:
            seconds = max(total - self._stage["began"], 0.0)
            self._stages.append({**self._stage, "seconds": round(seconds, 3)})
        rows = list(self._platforms.values())
        header = {**self._head, "seconds": round(max(total, 0.0), 3)}
        if header["status"] == "succeeded" and not all(map(_is_indexed, rows)):
            header["status"] = "partial"
        return {
            **header,
            "published": list(self._tags.values()),
            "platforms": rows,
            "steps": [step for name in self._platforms for step in self._steps.get(name, ())],
            "stages": self._stages,
            "environment": {**UNKNOWN_ENVIRONMENT, **self._environment},
            "error": self._error,
        }


def _blank(planned: Mapping[str, Any]) -> dict[str, Any]:
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


def _decision(fields: Mapping[str, Any]) -> str:
    """Put into words what followed a failed attempt."""
    if fields.get("seconds") is None:
        return f"given up: {fields.get('reason', '')}"
    alone = ", alone" if fields.get("alone") else ""
    return f"again after {human_seconds(fields['seconds'])}{alone}"


def _known(keys: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: fields[key] for key in keys if fields.get(key) is not None}


def _proof(blank: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    details = {key: fields[key] for key in ("class", "detail", "hint") if fields.get(key)}
    return {**blank, **_known(blank, fields), **details}


def _is_indexed(row: Mapping[str, Any]) -> bool:
    """Whether a platform is in the index: one whose test or content check failed is left out."""
    return row["status"] in INDEXED_STATUSES and "failed" not in (
        row["test"]["status"],
        row["content"]["status"],
    )
