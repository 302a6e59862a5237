"""The inputs of a run: fingerprinted while the host is prepared, journaled before the first build, checked after it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

from multibuild.background import run_in_background
from multibuild.builds.fingerprint import (
    Fingerprint,
    PlanFingerprints,
    fingerprint_platforms,
    mtime_stamp,
    resolve_bases,
)
from multibuild.builds.sent_trees import SentTrees
from multibuild.config.load import LoadedConfig
from multibuild.journal.events import InputsChanged, InputsHeld, InputsNamed, PlatformInputs
from multibuild.journal.recorder import Recorder
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.plan import Plan, build_specs
from multibuild.platforms import Platform
from multibuild.resolve.base_triggers import BaseTriggers

MAX_AGE_S = 5.0
"""Seconds for which fingerprints hold before the first build: after an image was pulled a file may have been saved."""


class PendingFingerprints:
    """Fingerprints by image, computed while the block of `async with` runs: files are hashed while docker answers."""

    def __init__(
        self, images: Sequence[LoadedConfig], only: Sequence[Platform] | None, recorder: Recorder
    ) -> None:
        """Begin to hash the contexts of the chosen platforms and to ask registries for base images."""
        self._compute = partial(_fingerprint, images, only, recorder)
        self._began = time.monotonic()
        self._task = asyncio.create_task(self._compute())
        self._is_used = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._cancel()

    async def result(self, image: str) -> PlanFingerprints:
        """Return the fingerprints of an image; all were computed anew if they were older than MAX_AGE_S at first."""
        if not self._is_used and time.monotonic() - self._began > MAX_AGE_S:
            await self._cancel()
            self._task = asyncio.create_task(self._compute())
        self._is_used = True
        return (await self._task)[image]

    async def _cancel(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _fingerprint(
    images: Sequence[LoadedConfig], only: Sequence[Platform] | None, recorder: Recorder
) -> Mapping[str, PlanFingerprints]:
    settings = {host: one for loaded in images for host, one in loaded.config.registry_settings.items()}
    cancelled, sent = threading.Event(), SentTrees()
    known: dict[str, str | None] = {}

    def compute() -> Mapping[str, PlanFingerprints]:
        return {
            loaded.name: fingerprint_platforms(
                loaded.project,
                build_specs(loaded, only),
                resolve,
                cancelled.is_set,
                sent,
                find_triggers=find_triggers,
            )
            for loaded in images
        }

    try:
        with RegistrySession(settings, on_wait=recorder.say) as registries:

            def resolve(bases: Iterable[str]) -> Mapping[str, str | None]:
                """Ask for each base image once, whatever is built from it."""
                names = list(bases)
                known.update(resolve_bases(registries, [name for name in names if name not in known]))
                return {name: known[name] for name in names}

            find_triggers = BaseTriggers(registries).find
            return await run_in_background(compute)
    finally:
        cancelled.set()


def with_dependencies(
    fingerprints: PlanFingerprints, plan: Plan, images: Mapping[str, PlanFingerprints]
) -> PlanFingerprints:
    """Return fingerprints with those of the `images` that a plan is built from: what goes into these, goes into it.

    ONBUILD triggers of one could use all of the Dockerfile and the context of what is built from it.
    """
    if not plan.dependencies:
        return fingerprints
    left = frozenset().union(*(images[name].may_leave_triggers for name in plan.dependencies.values()))

    def combined(platform: Platform, own: Fingerprint) -> Fingerprint:
        own = fingerprints.whole.get(platform, own) if platform in left else own
        parts, unknown = dict(own.parts), [own.unknown] if own.unknown else []
        for context, name in plan.dependencies.items():
            digest = images[name].platforms[platform].digest
            parts[f"context {context} (image {name})"] = digest or ""
            unknown += [] if digest else [f"image {name}"]
        return Fingerprint(parts=parts, unknown=", ".join(unknown))

    return replace(
        fingerprints,
        platforms={platform: combined(platform, own) for platform, own in fingerprints.platforms.items()},
        names={
            platform: fingerprints.whole_names.get(platform, own) if platform in left else own
            for platform, own in fingerprints.names.items()
        },
    )


def journal_inputs(fingerprints: PlanFingerprints, recorder: Recorder) -> None:
    """Journal what goes into each platform, before anything is built from it.

    The stamp is journaled too: the run may be killed before `check_inputs` compares it.
    """
    recorder.record(InputsNamed(stamp=fingerprints.mtime_stamp))
    for platform, fingerprint in fingerprints.platforms.items():
        recorder.record(
            PlatformInputs(
                platform=str(platform),
                inputs=fingerprint.digest,
                parts=dict(fingerprint.parts),
                unknown=fingerprint.unknown,
            )
        )


async def check_inputs(plan: Plan, fingerprints: PlanFingerprints, recorder: Recorder) -> bool:
    """Journal and return whether the fingerprints held until now.

    Once a file was written to, what went into the builds is unknown.
    """
    if await asyncio.to_thread(mtime_stamp, plan.project, plan.specs) == fingerprints.mtime_stamp:
        recorder.record(InputsHeld())
        return True
    recorder.record(InputsChanged())
    recorder.say("files of the context changed during the run: this result will not be taken over")
    return False
