"""The first wave: one bake process for many platforms of a node, where that costs no isolation worth having.

A large context: every `buildx build` uploads it for itself, all at the same time; the targets of one bake share a
session, and BuildKit takes it once. But bake cancels every target when one fails: what had been pushed by then is
kept, and the others go on isolated, with the steps they finished in BuildKit's cache.

Nothing changed: twelve processes that only find everything cached cost more than the finding. The wave ends itself
as soon as BuildKit does run something after all, so nothing is ever at stake.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from multibuild.builds.attempt import (
    PERMANENT_WARNING,
    BuildContext,
    WrongBase,
    begin_attempt,
    built_digest,
    end_attempt,
    judge,
    progress_of,
    read_metadata,
    with_emulator,
)
from multibuild.builds.batch.bake import bake_arguments, bake_document, target_name
from multibuild.builds.export import Export
from multibuild.builds.history import BuildHistory
from multibuild.builds.result import Attempt, Outcome
from multibuild.buildx.classify import Failure, failure_of, wrong_base
from multibuild.buildx.process import ProcessLimits, ProcessResult, run_process
from multibuild.buildx.split_progress import BatchProgress
from multibuild.config.referenced_files import is_url
from multibuild.frozen import frozen
from multibuild.journal.events import BatchStarted
from multibuild.journal.runs import open_log
from multibuild.plan.plan import Plan, PlannedPlatform, max_concurrent
from multibuild.platforms import Platform

UPLOAD_RATE = 60e6
"""Bytes a second that several uploads of one context get together; measured with eight of 300 MB on two cores."""

WORTH_SECONDS = 5.0
"""What a wave must save: below that isolation is worth more."""

FAILING = 0.05
"""How many waves are taken to lose one platform, and with it the others' unfinished steps."""


Why = Literal["cached", "context"]


@frozen
class Batch:
    """Platforms of one node that go together, and why: `cached` ones for as long as BuildKit runs nothing."""

    items: tuple[PlannedPlatform, ...]
    why: Why


class _Unexpected(Exception):
    """BuildKit runs a step that was expected to be in its cache."""


def waves(plan: Plan, items: Sequence[PlannedPlatform], ahead: BuildHistory) -> tuple[Batch, ...]:
    """Choose which of `items`, in this order, go together; none where it would not pay. Pure.

    Where builds are long, an interrupted one costs more than the uploads do.
    """
    joining = [planned for planned in items if _can_join(planned)]
    cached = [planned for planned in joining if _is_cached(planned, ahead)]
    # A step that is silent is not told from one that hangs where several are watched at once.
    watched = plan.stall_timeout is not None
    new = [] if watched else [planned for planned in joining if not _is_cached(planned, ahead)]
    longest = max((ahead.seconds.get(str(planned.platform), 0.0) for planned in items), default=0.0)
    worth = max(WORTH_SECONDS, FAILING * longest)
    uploading = [
        group
        for members in _by_node(new)
        if _saved(group := members[: max_concurrent(plan)], ahead.context_bytes) >= worth
    ]
    return (
        *(Batch(items=tuple(group), why="cached") for group in _by_node(cached) if len(group) > 1),
        *(Batch(items=tuple(group), why="context") for group in uploading),
    )


def _is_cached(planned: PlannedPlatform, ahead: BuildHistory) -> bool:
    return planned.platform in ahead.known and not planned.spec.no_cache


def _by_node(items: Sequence[PlannedPlatform]) -> list[list[PlannedPlatform]]:
    nodes: dict[str, list[PlannedPlatform]] = {}
    for planned in items:
        nodes.setdefault(planned.node.builder, []).append(planned)
    return list(nodes.values())


def _can_join(planned: PlannedPlatform) -> bool:
    """Whatever bake has no word for needs a process of its own."""
    spec = planned.spec
    remote = is_url(spec.context) or is_url(spec.dockerfile)
    return not spec.build_flags and spec.network == "default" and not remote


def _saved(members: Sequence[PlannedPlatform], sizes: Mapping[str, int]) -> float:
    uploads = [sizes.get(planned.spec.dockerfile, 0) for planned in members]
    return (sum(uploads) - max(uploads)) / UPLOAD_RATE


class _Member:
    """One platform of a wave: its log, its progress, and its attempt as soon as that is over."""

    def __init__(
        self, planned: PlannedPlatform, context: BuildContext, settle: Callable[[Attempt], None]
    ) -> None:
        self.item = planned
        self._workshop = context
        self._settle = settle
        self._name = begin_attempt(planned, context, 1)
        self._log = open_log(context.run.path / self._name)
        self.export = Export.of(planned, context.run)
        self._began = time.monotonic()
        self._warned = 0
        self._settled = False
        self.progress = progress_of(planned, context, self._log)

    def look(self) -> None:
        """Raise WrongBase when BuildKit has warned of it since the last look."""
        new, self._warned = self.progress.warnings[self._warned :], len(self.progress.warnings)
        for warning in new:
            if (trouble := wrong_base(warning)) is not None:
                self.end("failed", failure_of(PERMANENT_WARNING, trouble))
                raise WrongBase(trouble)

    def abandon(self) -> None:
        """Let go of it as if it had not been begun: the isolated build writes the same log anew."""
        self.export.discard()
        with suppress(OSError):
            self._log.close()

    def end(self, outcome: Outcome, failure: Failure | None = None, digest: str = "") -> None:
        """Settle it; what is settled stays so."""
        if self._settled:
            return
        self._settled = True
        self.export.discard()
        with suppress(OSError):  # a full disk takes the log's last line, not the result
            self.progress.finish()
        with suppress(OSError):
            self._log.close()
        seconds = time.monotonic() - self._began
        made = Attempt(
            number=1,
            seconds=seconds,
            outcome=outcome,
            log=self._name,
            digest=digest,
            failure=failure,
            steps=self.progress.steps(),
        )
        end_attempt(self.item, self._workshop, made)
        self._settle(made)


async def carry(
    wave: Batch, context: BuildContext, settle: Callable[[Platform, Attempt | None], None]
) -> None:
    """Build a wave in one bake process and `settle` each one's first attempt, finished ones as soon as they are.

    An attempt without failure and without digest was cancelled by another's trouble: it goes on isolated. So does
    one that was not begun (None), as is everything that a cached wave did not finish. Raises nothing of its own; a
    cancellation settles what is open and is raised.
    """
    members: dict[str, _Member] = {}
    cached = wave.why == "cached"
    try:
        # Where nothing is run, all of them count for one build.
        async with context.slots.take(count=1 if cached else len(wave.items)):
            names = tuple(str(planned.platform) for planned in wave.items)
            context.emit(BatchStarted(node=wave.items[0].node.builder, platforms=names, why=wave.why))
            for planned in wave.items:
                members[target_name(planned)] = _Member(planned, context, partial(settle, planned.platform))
            await _bake(members, context, cached=cached)
    except (_Unexpected, WrongBase, OSError):
        pass  # the one with the wrong base is settled; what else is wrong shows in the isolated builds
    finally:
        for planned in wave.items:
            member = members.get(target_name(planned))
            if member is not None and not cached:
                member.end("cancelled")
                continue
            if member is not None:
                member.abandon()
            settle(planned.platform, None)


async def _bake(members: Mapping[str, _Member], context: BuildContext, *, cached: bool) -> None:
    items = [member.item for member in members.values()]
    with tempfile.TemporaryDirectory(prefix="multibuild-wave-") as scratch:
        file, metadata = Path(scratch) / "bake.json", Path(scratch) / "metadata.json"
        folders = {name: member.export.folder for name, member in members.items()}
        file.write_text(json.dumps(bake_document(items, context.project, folders)), encoding="utf-8")
        command, *rest = bake_arguments(items, str(file))
        argv = (
            *(*context.buildx, command),
            *("--progress", "rawjson"),
            *("--metadata-file", str(metadata)),
            *rest,
        )
        progress = BatchProgress({name: member.progress for name, member in members.items()})

        def on_line(line: bytes) -> None:
            for name, digest in progress.feed(line):
                members[name].end("ok", digest=digest)
            if cached and progress.has_run_step:
                raise _Unexpected
            for member in members.values():
                member.look()

        # Where nothing runs, silence is a stall: no RUN can be the silent one.
        stall = context.stall if cached and context.stall != "auto" else None
        limits = ProcessLimits(timeout=min(planned.timeout for planned in items), stall=stall)
        ended = await run_process(
            argv, cwd=context.project, on_line=on_line, limits=limits, environ=context.environ
        )
        pushed = _pushed(metadata) if ended.code == 0 else {}
    for name, member in members.items():
        if cached and name not in pushed:
            continue
        await _settle_rest(member, ended, pushed.get(name, ""))


def _pushed(metadata: Path) -> dict[str, str]:
    """Give the digests by target; those that the file does not tell of are left to the isolated builds."""
    found = {}
    with suppress(ValueError):
        for name, told in read_metadata(metadata).items():
            with suppress(ValueError):
                found[name] = built_digest(told if isinstance(told, dict) else {})
    return found


async def _settle_rest(member: _Member, ended: ProcessResult, digest: str) -> None:
    """Give each open platform its outcome: what it made, its own failure, or another's."""
    digest = digest or member.export.finished()
    if digest:
        await member.export.keep(digest)
        member.end("ok", digest=digest)
    elif _ended_by_itself(member, ended):
        outcome, failure = judge(ended, member.progress, emulated=member.item.emulated)
        if failure is not None:
            failure = member.export.with_disk_hint(await with_emulator(failure, member.item))
        member.end(outcome, failure)


def _ended_by_itself(member: _Member, ended: ProcessResult) -> bool:
    """Whether its own limit or failure ended a platform, not another's."""
    if ended.end_reason == "timeout":
        return member.item.timeout <= ended.seconds
    return bool(member.progress.evidence().step)


def first_attempts(
    chosen: Sequence[Batch],
) -> dict[Platform, asyncio.Future[Attempt | None]]:
    """Make a promise of each member's first attempt, for the platform that waits for it."""
    loop = asyncio.get_running_loop()
    return {planned.platform: loop.create_future() for wave in chosen for planned in wave.items}
