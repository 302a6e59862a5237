"""`report.json` (contract §5), folded from the plan and the journal. Pure: the same journal, the same report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.record.events import Event


def make_report(run_id: str, plan: Mapping[str, Any], events: Sequence[Event]) -> dict[str, Any]:
    """Fold. `plan` is plan.json; a journal without an end is an interrupted run."""
    platforms = {item["platform"]: _blank(item) for item in plan.get("platforms", ())}
    report: dict[str, Any] = {
        "schema": 1,
        "run": run_id,
        "status": "interrupted",
        "image": plan.get("image", ""),
        "tags": list(plan.get("tags", ())),
        "started": events[0].time.isoformat(timespec="seconds") if events else None,
        "seconds": _seconds(events),
        "fingerprint": plan.get("fingerprint", ""),
        "index": None,
        "published": [],
        "platforms": [],
        "steps": [],
        "stages": [],
        "environment": {},
        "error": None,
    }
    tags: dict[str, dict[str, Any]] = {}
    for event in events:
        fold = _FOLDS.get(event.name)
        if fold is not None:
            fold(report, event.fields)
        elif event.name == "tag.ended":
            tags[event.fields["ref"]] = {
                key: event.fields.get(key) for key in ("ref", "before", "after", "status")
            }
        elif (row := platforms.get(event.fields.get("platform", ""))) is not None:
            _fold_platform(report, row, event)
    report["published"] = list(tags.values())
    report["platforms"] = list(platforms.values())
    return report


def _seconds(events: Sequence[Event]) -> float:
    """Measure from the first event to the run's end; what `test` adds to the journal later is no part of the run."""
    if not events:
        return 0.0
    last = next((event for event in reversed(events) if event.name == "run.ended"), events[-1])
    return round((last.time - events[0].time).total_seconds(), 3)


def _blank(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "platform": item["platform"],
        "status": "cancelled",
        "required": item["required"],
        "digest": None,
        "manifest": None,
        "bytes": None,
        "seconds": 0.0,
        "emulated": item["emulated"],
        "node": item["node"],
        "attempts": [],
        "test": {"status": "skipped", "seconds": 0.0},
        "content": {"status": "skipped", "checked": 0, "foreign": []},
    }


def _fold_platform(report: dict[str, Any], row: dict[str, Any], event: Event) -> None:
    fields = dict(event.fields)
    platform = fields.pop("platform")
    match event.name:
        case "attempt.ended":
            row["attempts"].append(fields)
        case "platform.ended":
            row.update(
                {
                    key: fields[key]
                    for key in ("status", "digest", "seconds", "emulated", "node")
                    if key in fields
                }
            )
            report["steps"] += [{"platform": platform, **step} for step in fields.get("steps", ())]
        case "child.read":
            row.update(manifest=fields["manifest"], bytes=fields["bytes"])
        case "test.ended":
            row["test"] = {key: value for key, value in fields.items() if value not in {"", None}}
        case "content.ended":
            row["content"] = {key: value for key, value in fields.items() if value not in ("", None)}


def _started(report: dict[str, Any], fields: Mapping[str, Any]) -> None:
    report["environment"].update(fields.get("environment", {}))
    report["image"] = report["image"] or fields.get("image", "")


def _stage(report: dict[str, Any], fields: Mapping[str, Any]) -> None:
    report["stages"].append({"name": fields["stage"], "seconds": fields["seconds"]})


def _index(report: dict[str, Any], fields: Mapping[str, Any]) -> None:
    report["index"] = dict(fields)


def _ended(report: dict[str, Any], fields: Mapping[str, Any]) -> None:
    report["status"] = fields["status"]
    report["error"] = fields.get("error")


_FOLDS = {
    "run.started": _started,
    "host.ready": _started,
    "stage.ended": _stage,
    "index.composed": _index,
    "run.ended": _ended,
}
