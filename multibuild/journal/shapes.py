"""What the documents of a state directory look like, and the parts of events that are objects.

They may be damaged, of another version, or another machine's: what does not look like this is not read.
"""

from __future__ import annotations

from collections.abc import Mapping

from multibuild.json_types import Shape, is_count, is_flag, is_number, is_text, optional

MAX_SECONDS = 10 * 366 * 86400.0
"""Seconds of an event: a longer time is none of a build."""


def is_duration(value: object) -> bool:
    """Whether it is a number of seconds that something may have taken."""
    return is_number(value) and 0 <= value <= MAX_SECONDS  # type: ignore[operator]


def is_object(value: object) -> bool:
    """Whether it is an object, whatever its keys."""
    return isinstance(value, dict)


_TEXT = optional(is_text)

_ERROR: Mapping[str, Shape] = {"message": is_text, "hint?": _TEXT, "exit_code?": is_count}

_STEP: Mapping[str, Shape] = {
    "name": is_text, "seconds": is_duration, "cached": is_flag, "vertex?": _TEXT, "base?": _TEXT,
    "platform?": is_text, "ran_before?": is_flag,
}  # fmt: skip

_DESCRIPTOR: Mapping[str, Shape] = {
    "digest?": _TEXT, "size?": optional(is_count), "platform?": optional(is_object),
    "annotations?": optional(is_object),
}  # fmt: skip

_ORIGIN: Mapping[str, Shape] = {
    "path": is_text, "text": is_text, "layer?": is_count, "created_by?": is_text, "dockerfile?": is_text,
    "instruction?": is_text, "line?": is_count, "source_line?": is_count, "stage_line?": is_count,
    "image?": is_text, "likely?": is_flag, "rule?": is_text, "rule_line?": is_count, "message?": is_text,
}  # fmt: skip

FIELD_SHAPES: Mapping[tuple[str, str], Shape] = {
    ("run.ended", "error"): optional(_ERROR),
    ("platform.ended", "steps"): optional([_STEP]),
    ("content.ended", "origins"): optional([_ORIGIN]),
    ("index.composed", "manifests"): [_DESCRIPTOR],
}
"""Fields of events that are objects or lists of such: by the names of the event and of the field."""

_PLANNED: Mapping[str, Shape] = {
    "platform": is_text, "required?": is_flag, "emulated?": is_flag, "node?": is_text, "driver?": is_text,
    "staging": {"reference": is_text}, "command?": [is_text],
}  # fmt: skip

_IMAGE_PLAN: Mapping[str, Shape] = {
    "image?": is_text, "tags?": [is_text], "fingerprint?": is_text, "platforms?": [_PLANNED],
}  # fmt: skip

PLAN: Mapping[str, Shape] = {**_IMAGE_PLAN, "images?": [{**_IMAGE_PLAN, "name": is_text}]}
"""plan.json, as far as it is read: of one image, or of each of several."""

IMPORTED_PLAN: Mapping[str, Shape] = {"fingerprint?": is_text, "platforms": [_PLANNED]}
"""plan.json of another machine, of one image."""

IMPORTED_PLAN_OF_IMAGES: Shape = {"images": [{**IMPORTED_PLAN, "name": is_text}]}
"""plan.json of another machine, of several images."""

_ATTEMPT: Shape = {
    "number": is_count, "seconds": is_duration, "outcome": is_text, "class": _TEXT, "retry": _TEXT,
    "evidence": _TEXT, "hint?": _TEXT, "log": _TEXT, "node?": _TEXT, "began?": is_number, "then?": _TEXT,
}  # fmt: skip

_GATE: Mapping[str, Shape] = {
    "name": is_text, "status": is_text, "required": is_flag, "seconds": is_duration, "reason?": _TEXT,
    "detail?": _TEXT, "hint?": _TEXT, "log?": _TEXT,
}  # fmt: skip

_PROOF: Mapping[str, Shape] = {"status": is_text, "class?": _TEXT, "detail?": _TEXT, "hint?": _TEXT}

_SAVING: Mapping[str, Shape] = {
    "way": is_text, "subject": is_text, "seconds": is_duration, "basis": is_text, "steps": is_count, "change": is_text,
}  # fmt: skip

_IMAGE_REPORT: Mapping[str, Shape] = {
    "image": is_text,
    "tags": [is_text],
    "fingerprint": is_text,
    "index": optional(
        {"digest": is_text, "mediaType": is_text, "size": is_count, "entries": is_count,
         "manifests?": [_DESCRIPTOR]}
    ),
    "published": [{"ref": is_text, "status": is_text, "before": _TEXT, "after": _TEXT}],
    "platforms": [
        {
            "platform": is_text,
            "status": is_text,
            "required": is_flag,
            "digest": _TEXT,
            "bytes": optional(is_count),
            "seconds": is_number,
            "emulated": is_flag,
            "node": is_text,
            "attempts": [_ATTEMPT],
            "waits?": [{"number": is_count, "seconds": is_duration, "reason": is_text, "began": is_number}],
            "test": {**_PROOF, "seconds": is_duration},
            "content": {**_PROOF, "checked?": is_count, "foreign?": [is_text], "origins?": [_ORIGIN]},
            "gates?": [_GATE],
            "reason?": _TEXT,
        }
    ],
    "steps": [{**_STEP, "platform": is_text, "began?": optional(is_number)}],
    "savings?": [_SAVING],
}  # fmt: skip

_RUN_REPORT: Mapping[str, Shape] = {
    "run": is_text,
    "status": is_text,
    "started": _TEXT,
    "seconds": is_number,
    "stages": [{"name": is_text, "seconds": is_number, "began?": is_number}],
    "environment": is_object,
    "error?": optional(_ERROR),
}  # fmt: skip

REPORT: Shape = {**_RUN_REPORT, **_IMAGE_REPORT}
"""report.json of one image, as far as a summary or a page shows it."""

REPORT_OF_IMAGES: Shape = {**_RUN_REPORT, "images": [{**_IMAGE_REPORT, "name": is_text, "status": is_text}]}
"""report.json of several images (schema 2)."""

_NODE: Shape = {
    "builder": is_text, "driver": is_text, "native": is_text, "serves?": is_text, "meant?": [is_text],
    "runs": [is_text], "buildkit": is_text, "emulators": is_object,
}  # fmt: skip

FACTS: Shape = {
    "for_builder?": is_text,
    "nodes?": [_NODE],
    "cpus?": is_count,
    "memory?": is_count,
    "buildx?": [is_text],
    "docker_version?": is_text,
    "buildx_version?": is_text,
    "here?": is_flag,
    "probed?": is_object,
}
"""facts.json; one probe of `probed` is read by `host.probe_cache`."""

PROBE: Shape = {"mark": is_text, "time": is_number, "runs": [is_text]}
"""A probe in facts.json."""
