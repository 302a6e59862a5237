"""`report.json` of several images (schema 2), and the same as one list of rows for people. Pure.

docs/reference/report.md describes its keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multibuild.journal.entry import JournalEntry
from multibuild.report.report import is_proved, make_report

RUN_WIDE = ("run", "status", "started", "seconds", "stages", "environment", "error")
"""Keys of a report that belong to the run; every other one belongs to an image."""

MAX_NAMES = 3
"""Images that a heading names."""

_IN_PLACE = frozenset({"moved", "unchanged"})


def make_run_report(run_id: str, plan: Mapping[str, Any], entries: Sequence[JournalEntry]) -> dict[str, Any]:
    """Return the report of a run: of schema 1, or of schema 2 if its plan has several images."""
    if "images" not in plan:
        return make_report(run_id, plan, entries)
    run = make_report(run_id, {}, [entry for entry in entries if not entry.image])
    reports = {
        part["name"]: make_report(run_id, part, [entry for entry in entries if entry.is_of(part["name"])])
        for part in plan["images"]
    }
    images = [
        {
            "name": name,
            "status": _image_status(report, run["status"]),
            **{key: value for key, value in report.items() if key not in (*RUN_WIDE, "schema")},
        }
        for name, report in reports.items()
    ]
    stages = _stages(run["stages"], [stage for report in reports.values() for stage in report["stages"]])
    return {
        "schema": 2,
        **{key: run[key] for key in RUN_WIDE},
        "status": _run_status(run["status"], [image["status"] for image in images]),
        # Of a run that did not end, the last event may be an image's.
        "seconds": max([run["seconds"], *(report["seconds"] for report in reports.values())]),
        "stages": stages,
        "images": images,
    }


def _run_status(status: str, images: Sequence[str]) -> str:
    """Return the run's status: partial where some images are published and others are not, or optional ones miss."""
    published = [one for one in images if one in {"succeeded", "partial"}]
    if status == "failed" and published:
        return "partial"
    return "partial" if status == "succeeded" and "partial" in images else str(status)


def _image_status(report: Mapping[str, Any], run: str) -> str:
    """Return an image's status; "built" is one whose children are complete, and whose tags did not move.

    As far as its journal shows: another image's failure holds its tags back.
    """
    rows, tags = report["platforms"], report["published"]
    complete = "succeeded" if rows and all(map(is_proved, rows)) else "partial"
    index = (report["index"] or {}).get("digest")
    # After another image's tag failed, one that was not reached is unchanged: it holds what it held.
    if tags and all(tag["status"] in _IN_PLACE and index in (None, tag["after"]) for tag in tags):
        return complete
    if any(row["required"] and not is_proved(row) for row in rows) or not rows:
        return "interrupted" if run == "interrupted" else "failed"
    return complete if run in {"succeeded", "partial"} and not tags else "built"


def _stages(run: Sequence[Mapping[str, Any]], images: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the run's stages; one of the images lasts from where the first begins it to where the last ends it."""
    spans: dict[str, tuple[float, float]] = {
        stage["name"]: (stage["began"], stage["began"] + stage["seconds"]) for stage in run
    }
    names = {stage["name"] for stage in run}
    for stage in images:
        name, began, ended = stage["name"], stage["began"], stage["began"] + stage["seconds"]
        if name in names:
            continue
        first, last = spans.get(name, (began, ended))
        spans[name] = min(first, began), max(last, ended)
    return [
        {"name": name, "seconds": round(ended - began, 3), "began": round(began, 3)}
        for name, (began, ended) in sorted(spans.items(), key=lambda item: item[1])
    ]


def as_rows(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a report as a summary or a page shows it: of several images, with a row for each image's platform.

    A row's `platform` is image and platform, its `name` the platform alone. `groups` has for each image its `name`,
    `status`, `index`, `published`, `platforms` and `steps`: the rows of the whole report. That of one image is
    returned as it is.
    """
    if "images" not in report:
        return report
    images: Sequence[Mapping[str, Any]] = report["images"]
    names = [str(image["name"]) for image in images]
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    groups = [_group(image) for image in images]
    savings = [saving for image in images for saving in image.get("savings", ())]
    return {
        **({"savings": savings} if savings else {}),
        **{key: report[key] for key in ("schema", *RUN_WIDE)},
        "image": ", ".join(names[:MAX_NAMES]) + more,
        "tags": [],
        "fingerprint": "",
        "index": None,
        **{
            key: [row for group in groups for row in group[key]]
            for key in ("signed", "published", "platforms", "steps")
        },
        "groups": groups,
    }


def _group(image: Mapping[str, Any]) -> dict[str, Any]:
    def full(row: Mapping[str, Any]) -> str:
        return f"{image['name']} {row['platform']}"

    return {
        **{key: image[key] for key in ("name", "status", "index", "published")},
        "signed": image.get("signed", []),
        "platforms": [{**row, "platform": full(row), "name": row["platform"]} for row in image["platforms"]],
        "steps": [{**step, "platform": full(step)} for step in image["steps"]],
    }
