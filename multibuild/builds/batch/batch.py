"""A batch: the first attempts of several platforms of a node in one bake process, where that saves enough.

A large context: every `buildx build` uploads it for itself, all at the same time; the targets of one bake share a
session, and BuildKit takes it once. But bake cancels every target when one fails: children that were pushed by then
are kept, and the other platforms are built alone, with the steps they finished in BuildKit's cache.

Nothing changed: twelve processes that only find everything cached cost more than the finding. The batch ends itself
as soon as BuildKit does run a step after all, so nothing is ever at stake. That holds for all images of a run too:
their cached platforms are built in one process (`CachedBatches`).
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from multibuild.builds.attempt import BuildContext, WrongBase, buildx_argv, built_digest, read_metadata
from multibuild.builds.batch.bake import bake_arguments, bake_document, target_name
from multibuild.builds.batch.member import Member
from multibuild.builds.history import BuildHistory
from multibuild.builds.result import Attempt
from multibuild.buildx.process import ProcessLimits, run_process
from multibuild.buildx.split_progress import BatchProgress
from multibuild.config.referenced_files import is_url
from multibuild.frozen import frozen
from multibuild.journal.events import BatchStarted
from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform

UPLOAD_BYTES_PER_S = 60e6
"""The rate of several uploads of one context together; measured with eight of 300 MB on two cores."""

MIN_SAVING_S = 5.0
"""What a batch must save: below that isolation is worth more."""

FAILURE_RATE = 0.05
"""The share of batches that are taken to lose one platform, and with it the others' unfinished steps."""


@frozen
class Batch:
    """Platforms of one node in one bake process, and why: `cached` ones for as long as BuildKit runs nothing."""

    platforms: tuple[PlannedPlatform, ...]
    why: Literal["cached", "context"]


class _CacheMiss(Exception):
    """BuildKit runs a step that was expected to be in its cache."""


class _AllPushed(Exception):
    """Every target has pushed its image and exports nothing else.

    BuildKit answers a quarter of a second later, for twelve targets. A client that is ended in that moment leaves the
    builds in BuildKit's history as completed; seen with engine 28.5.
    """


def plan_batches(
    plan: Plan, platforms: Sequence[PlannedPlatform], history: BuildHistory
) -> tuple[Batch, ...]:
    """Return the batches of `platforms`, in this order; none where they would not pay.

    Where builds are long, an interrupted one costs more than the uploads do.
    """
    candidates = [planned for planned in platforms if _has_bake_fields(planned)]
    cached = [planned for planned in candidates if _is_cached(planned, history)]
    # Where several are watched at once, a silent step is not told from one that hangs.
    watched = plan.stall_timeout is not None
    new = [] if watched else [planned for planned in candidates if not _is_cached(planned, history)]
    longest = max((history.seconds.get(str(planned.platform), 0.0) for planned in platforms), default=0.0)
    min_saving = max(MIN_SAVING_S, FAILURE_RATE * longest)
    uploading = [
        group
        for members in _by_node(new)
        if _saving_s(group := members[: plan.max_concurrent], history.context_bytes) >= min_saving
    ]
    return (
        *(Batch(platforms=tuple(group), why="cached") for group in _by_node(cached) if len(group) > 1),
        *(Batch(platforms=tuple(group), why="context") for group in uploading),
    )


def _is_cached(planned: PlannedPlatform, history: BuildHistory) -> bool:
    return planned.platform in history.cached and not planned.spec.no_cache


def _by_node(platforms: Sequence[PlannedPlatform]) -> list[list[PlannedPlatform]]:
    nodes: dict[str, list[PlannedPlatform]] = {}
    for planned in platforms:
        nodes.setdefault(planned.node.builder, []).append(planned)
    return list(nodes.values())


def _has_bake_fields(planned: PlannedPlatform) -> bool:
    """Whether a bake file can express the build."""
    spec = planned.spec
    remote = is_url(spec.context) or is_url(spec.dockerfile)
    return not spec.build_flags and spec.network == "default" and not remote


def _saving_s(members: Sequence[PlannedPlatform], sizes: Mapping[str, int]) -> float:
    uploads = [sizes.get(planned.spec.dockerfile, 0) for planned in members]
    return (sum(uploads) - max(uploads)) / UPLOAD_BYTES_PER_S


@frozen
class BatchPart:
    """A platform of a batch: what its image is built with, and what gets its first attempt."""

    planned: PlannedPlatform
    context: BuildContext
    on_first_attempt: Callable[[Platform, Attempt | None], None]

    @property
    def image(self) -> str:
        """Return the name of the image; empty in a file of one."""
        return self.context.images.name

    def report(self, attempt: Attempt | None) -> None:
        """Report the first attempt, as soon as it has ended."""
        self.on_first_attempt(self.planned.platform, attempt)


def parts_of(
    batch: Batch, context: BuildContext, on_first_attempt: Callable[[Platform, Attempt | None], None]
) -> tuple[BatchPart, ...]:
    """Return the platforms of an image's batch with what they are built with."""
    return tuple(
        BatchPart(planned=planned, context=context, on_first_attempt=on_first_attempt)
        for planned in batch.platforms
    )


def _by_target(parts: Sequence[BatchPart]) -> dict[str, BatchPart]:
    """Return parts by the names of their targets, which are numbered where several images have the same platforms."""
    if len({part.image for part in parts}) == 1:
        return {target_name(part.planned): part for part in parts}
    return {f"{number}_{target_name(part.planned)}": part for number, part in enumerate(parts)}


async def run_batch(parts: Sequence[BatchPart], why: Literal["cached", "context"]) -> None:
    """Build platforms of a node in one bake process; report each one's first attempt as soon as it ends.

    An attempt without failure and without digest was cancelled by another platform's failure: the platform is built
    alone. So is one whose attempt was not begun (None), as is everything that a cached batch neither finished nor saw
    fail: without a RUN nothing misses the cache, and a failure is the platform's own. Raises nothing of its own; a
    cancellation reports what has not ended and is raised.
    """
    targets = _by_target(parts)
    members: dict[str, Member] = {}
    shared, node = parts[0].context, parts[0].planned.node.builder
    cached = why == "cached"
    try:
        # Where no step runs, all of them count for one build.
        async with shared.slots.take(count=1 if cached else len(parts)):
            for own in _by_image(parts).values():
                names = tuple(str(part.planned.platform) for part in own)
                own[0].context.emit(BatchStarted(node=node, platforms=names, why=why))
            for name, part in targets.items():
                members[name] = Member(part.planned, part.context, part.report)
            await _bake(members, shared, cached=cached)
            if any(member.is_open for member in members.values()):
                # Before its platforms begin to build alone, all at once.
                await shared.failover.restore(node)
    except (_CacheMiss, _AllPushed, WrongBase, OSError):
        pass  # the one with the wrong base has ended; other failures show when platforms are built alone
    finally:
        for name, part in targets.items():
            member = members.get(name)
            if member is not None and not cached:
                member.end("cancelled")
                continue
            if member is not None:
                member.close()
            part.report(None)


def _by_image(parts: Sequence[BatchPart]) -> dict[str, list[BatchPart]]:
    images: dict[str, list[BatchPart]] = {}
    for part in parts:
        images.setdefault(part.image, []).append(part)
    return images


async def _bake(members: Mapping[str, Member], context: BuildContext, *, cached: bool) -> None:
    platforms = {name: member.planned for name, member in members.items()}
    with tempfile.TemporaryDirectory(prefix="multibuild-batch-") as scratch:
        file, metadata = Path(scratch) / "bake.json", Path(scratch) / "metadata.json"
        folders = {name: member.export.folder for name, member in members.items()}
        file.write_text(json.dumps(bake_document(platforms, context.project, folders)), encoding="utf-8")
        argv = buildx_argv(context, bake_arguments(tuple(platforms.values()), str(file)), metadata)
        progress = BatchProgress({name: member.progress for name, member in members.items()})

        def on_line(line: bytes) -> None:
            for name, digest in progress.feed(line):
                members[name].end("ok", digest=digest)
            if cached and progress.has_run_step:
                raise _CacheMiss
            if all(member.is_done for member in members.values()):
                raise _AllPushed
            for member in members.values():
                member.check_warnings()

        def any_hung() -> bool:
            """Ask all: each that hangs has failed by itself, and is not built again as one that was cancelled."""
            return bool([member for member in members.values() if member.is_hung()])

        # Where nothing runs, silence is a stall: no RUN can be the silent one.
        stall = context.stall if cached and context.stall != "auto" else None
        limits = ProcessLimits(
            timeout=min(planned.timeout for planned in platforms.values()),
            stall=stall,
            is_hung=any_hung,
        )
        result = await run_process(
            argv, cwd=context.project, on_line=on_line, limits=limits, environ=context.environ
        )
        digests = _read_digests(metadata) if result.code == 0 else {}
    for name, member in members.items():
        await member.end_with(result, digests.get(name, ""))


class CachedBatches:
    """The cached batches of a run's images, in one process for each node.

    Every image joins, or is said to have `closed`: then the processes start, each in the task of the first image that
    has a part in it. Twelve images of four platforms took 2.6 of bake's time with a process for each image.
    """

    def __init__(self, images: Iterable[str]) -> None:
        """Create the batches of images, by name."""
        self._awaited = set(images)
        self._all_joined = asyncio.Event()
        self._parts: dict[str, list[BatchPart]] = {}
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def close(self, image: str) -> None:
        """Wait for an image no longer."""
        self._awaited.discard(image)
        if not self._awaited:
            self._all_joined.set()

    async def run(self, image: str, batches: Sequence[Sequence[BatchPart]]) -> None:
        """Add the cached batches of an image, and return when all their platforms were reported.

        A cancellation reports the platforms of its own processes and is raised.
        """
        nodes = {parts[0].planned.node.builder: parts for parts in batches}
        for node, parts in nodes.items():
            self._parts.setdefault(node, []).extend(parts)
        self.close(image)
        if not nodes:
            return
        await self._all_joined.wait()
        await asyncio.gather(*(self._run_node(node, image) for node in nodes))

    async def _run_node(self, node: str, image: str) -> None:
        parts = self._parts[node]
        if parts[0].image != image:
            await self._ended[node].wait()
            return
        try:
            await run_batch(parts, "cached")
        finally:
            self._ended[node].set()


def _read_digests(metadata: Path) -> dict[str, str]:
    """Return the digests by target; targets without one are built alone."""
    digests = {}
    with suppress(ValueError):
        for name, target in read_metadata(metadata).items():
            with suppress(ValueError):
                digests[name] = built_digest(target if isinstance(target, dict) else {})
    return digests


def first_attempts(batches: Sequence[Batch]) -> dict[Platform, asyncio.Future[Attempt | None]]:
    """Return a future of each member's first attempt, for the platform's build to wait for."""
    loop = asyncio.get_running_loop()
    return {planned.platform: loop.create_future() for batch in batches for planned in batch.platforms}
