"""The last run's children and their proofs, from plan.json and journal. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.journal.events import (
    ContentEnded,
    Event,
    InputsChanged,
    PlatformEnded,
    PlatformInputs,
    SmokeTestEnded,
)
from multibuild.journal.local_children import folder_of, is_local_child
from multibuild.journal.runs import RunDirectory
from multibuild.oci.reference import Reference
from multibuild.plan.spec import repository_of

_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@frozen
class RecordedChild:
    """A child in a journal: the repository of its staging, its digest, and the results of its proofs.

    `test` and `content` are "passed", "failed", "skipped", or "" without a result; `checked` is the number of binaries
    that the proof of content read. `inputs` is the digest of what it was built from, "" if that is not known.
    """

    platform: str
    repository: str
    digest: str
    test: str = ""
    content: str = ""
    checked: int = 0
    inputs: str = ""


def is_child(repository: str, digest: str) -> bool:
    """Whether what a journal says of a child can be one: a digest in a repository, or in a run's directory."""
    if not _DIGEST.match(digest):
        return False
    if not is_local_child(repository):
        return parsed_reference(repository) is not None
    try:
        folder_of(repository, RunDirectory(Path()))
    except MultibuildError:
        return False
    return True


def parsed_reference(text: str) -> Reference | None:
    """Return the image reference that a journal or plan holds; None for a local child, or what is no reference."""
    try:
        return None if is_local_child(text) else Reference.parse(text)
    except MultibuildError:
        return None


@frozen
class LastRun:
    """A run, its plan.json, and its children by platform."""

    run: str
    plan: Mapping[str, Any]
    children: Mapping[str, RecordedChild]


def last_run(runs: Iterable[RunDirectory], *, image: str = "") -> LastRun | None:
    """Return the newest run in which a platform ended; `runs` are newest first.

    With `image` runs of other images do not count: several configs may share a directory, and so its state.
    """
    for run in runs:
        plan = run.load_plan()
        if image and plan and plan.get("image", image) != image:
            continue
        events = run.events()
        if plan and "platforms" in plan and any(isinstance(event, PlatformEnded) for event in events):
            return LastRun(run=run.id, plan=plan, children=recorded_children(plan, events))
    return None


def recorded_children(plan: Mapping[str, Any], events: Sequence[Event]) -> dict[str, RecordedChild]:
    """Return the children of a journal by platform, without those that were carried over from an older index.

    A later child replaces an earlier one and that one's proofs.
    """
    staged = {
        item["platform"]: repository_of(item["staging"]["reference"]) for item in plan.get("platforms", ())
    }
    children: dict[str, RecordedChild] = {}
    proofs: dict[tuple[str, str], str] = {}
    checked: dict[str, int] = {}
    inputs: dict[str, str] = {}
    for event in events:
        match event:
            case PlatformInputs(inputs=str(digest)) if _FINGERPRINT.match(digest):
                inputs[event.platform] = digest
            case InputsChanged():
                inputs.clear()
            case PlatformEnded(status="carried"):
                pass  # the child of an older index: this run did not build it, from whatever inputs it names
            case PlatformEnded(platform=platform, digest=str(digest)) if digest:
                repository = event.repository or staged.get(platform, "")
                if platform in children and children[platform].digest != digest:
                    proofs = {key: status for key, status in proofs.items() if key[0] != platform}
                children[platform] = RecordedChild(platform=platform, repository=repository, digest=digest)
            case SmokeTestEnded() | ContentEnded():
                proofs[event.platform, event.name] = event.status
                if isinstance(event, ContentEnded):
                    checked[event.platform] = event.checked
    return {
        platform: replace(
            child,
            test=proofs.get((platform, SmokeTestEnded.name), ""),
            content=proofs.get((platform, ContentEnded.name), ""),
            checked=checked.get(platform, 0),
            inputs=inputs.get(platform, ""),
        )
        for platform, child in children.items()
    }
