"""The inputs of a run: fingerprinted while the host is prepared, journaled before the first build, checked after it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from multibuild.background import run_in_background
from multibuild.builds.fingerprint import PlanFingerprints, current_stamp, fingerprint_platforms, resolver
from multibuild.config.load import LoadedConfig
from multibuild.journal.events import InputsChanged, InputsHeld, InputsNamed, PlatformInputs
from multibuild.journal.recorder import Recorder
from multibuild.oci.registries import RegistrySession
from multibuild.plan.plan import Plan, build_specs
from multibuild.platforms import Platform

MAX_AGE_S = 5.0
"""Seconds for which fingerprints hold before the first build: after an image was pulled a file may have been saved."""


class Fingerprinting:
    """Fingerprints in the making: large contexts are hashed while docker answers."""

    def __init__(self, loaded: LoadedConfig, only: Sequence[Platform] | None, recorder: Recorder) -> None:
        """Begin to hash the contexts of the chosen platforms and to ask registries for base images."""
        self._arguments = loaded, only, recorder
        self._began = time.monotonic()
        self._task = asyncio.create_task(_fingerprint(*self._arguments))

    async def result(self) -> PlanFingerprints:
        """Return the fingerprints, made anew when they are older than MAX_AGE_S."""
        if time.monotonic() - self._began > MAX_AGE_S:
            await self.cancel()
            return await _fingerprint(*self._arguments)
        return await self._task

    async def cancel(self) -> None:
        """End it; nothing when it has ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def fingerprinting(
    loaded: LoadedConfig, only: Sequence[Platform] | None, recorder: Recorder
) -> AsyncIterator[Fingerprinting]:
    """Fingerprint the inputs beside what the block does, and no longer than that."""
    pending = Fingerprinting(loaded, only, recorder)
    try:
        yield pending
    finally:
        await pending.cancel()


async def _fingerprint(
    loaded: LoadedConfig, only: Sequence[Platform] | None, recorder: Recorder
) -> PlanFingerprints:
    specs, cancelled = build_specs(loaded, only), threading.Event()
    try:
        with RegistrySession(loaded.config.registry_settings, on_wait=recorder.say) as registries:
            return await run_in_background(
                lambda: fingerprint_platforms(loaded.project, specs, resolver(registries), cancelled.is_set)
            )
    finally:
        cancelled.set()


def journal_inputs(inputs: PlanFingerprints, recorder: Recorder) -> None:
    """Journal what goes into each platform, before anything is built from it.

    The stamp is journaled too: `check_inputs` may never get to compare it.
    """
    recorder.record(InputsNamed(stamp=inputs.stamp))
    for platform, found in inputs.platforms.items():
        recorder.record(
            PlatformInputs(
                platform=str(platform), inputs=found.name, parts=dict(found.parts), unknown=found.unknown
            )
        )


async def check_inputs(plan: Plan, inputs: PlanFingerprints, recorder: Recorder) -> None:
    """Journal whether a file was written to after it was named: nobody knows what went into the builds then."""
    if await asyncio.to_thread(current_stamp, plan.project, plan.specs) == inputs.stamp:
        recorder.record(InputsHeld())
        return
    recorder.record(InputsChanged())
    recorder.say("files of the context changed during the run: this result will not be taken over")
