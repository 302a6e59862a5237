"""The proving stage: every built child read back from the registry, tested, and looked into."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from multibuild.background import run_in_background
from multibuild.errors import VerificationFailed
from multibuild.journal.events import ChildRead, ContentEnded, Event, PlatformEnded
from multibuild.journal.local_children import child_reference
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.oci.reference import Reference
from multibuild.plan.children import PlatformChild, StagedChild
from multibuild.plan.spec import repository_of
from multibuild.platforms import Platform
from multibuild.prove.prefetch import ChildReader
from multibuild.prove.smoke.smoke_test import TestOutcome
from multibuild.prove.smoke.stage import NodeFailover, raise_for_tests, raise_for_trouble, run_tests

if TYPE_CHECKING:
    from multibuild.plan.plan import Plan
    from multibuild.prove.content.proof import ContentProof


UNMOVED = "; no tag was moved"


async def prove_children(
    plan: Plan,
    staged: Sequence[StagedChild],
    context: RunContext,
    *,
    reader: ChildReader,
    failover: NodeFailover,
) -> tuple[PlatformChild, ...]:
    """Read every staged child, run its smoke test and its content proof; return those that hold, in config order.

    Raises TestFailed or VerificationFailed after all platforms have been looked at, naming each that did not hold
    and is required, else EnvironmentFault for one whose test could not be run; an optional one is left out.
    """
    recorder = context.recorder
    children = await read_children(plan, staged, recorder, reader=reader)
    # Tests wait for the builder, the content for the registry: neither needs the other.
    async with asyncio.TaskGroup() as group:
        testing = group.create_task(_tested(plan, children, context, failover))
        looking = group.create_task(_looked_into(children, recorder, reader))
    tests, proofs = testing.result(), looking.result()
    _raise_for(children, tests, proofs)
    return tuple(
        child
        for child in children
        if tests[child.planned.platform].status != "failed"
        and proofs[child.planned.platform].status != "failed"
    )


async def _tested(
    plan: Plan, children: Sequence[PlatformChild], context: RunContext, failover: NodeFailover
) -> dict[Platform, TestOutcome]:
    tested = [(child.planned, child.reference) for child in children]
    with context.recorder.stage("test"):
        return await run_tests(plan, tested, context.recorder, run=context.run, failover=failover)


async def _looked_into(
    children: Sequence[PlatformChild], recorder: Recorder, reader: ChildReader
) -> dict[Platform, ContentProof]:
    with recorder.stage("content"):
        return await run_in_background(lambda: _look_inside(children, recorder, reader))


async def read_children(
    plan: Plan, staged: Sequence[StagedChild], recorder: Recorder, *, reader: ChildReader
) -> tuple[PlatformChild, ...]:
    """Only read the built children back: for those that an earlier run proved."""
    with recorder.stage("read"):
        return await run_in_background(lambda: _read(plan, staged, recorder, reader))


def _read(
    plan: Plan, staged: Sequence[StagedChild], recorder: Recorder, reader: ChildReader
) -> tuple[PlatformChild, ...]:
    by_platform = {item.platform: item for item in plan.platforms}

    def one(built: StagedChild) -> PlatformChild:
        reference = child_reference(built.repository, built.digest)
        child = reader.child(reference, built.platform)
        recorder.record(
            ChildRead(platform=str(built.platform), manifest=child.image.digest, bytes=child.total_bytes)
        )
        return PlatformChild(planned=by_platform[built.platform], reference=reference, child=child)

    return reader.registries.map(one, staged)


def _look_inside(
    children: Sequence[PlatformChild], recorder: Recorder, reader: ChildReader
) -> dict[Platform, ContentProof]:
    def one(child: PlatformChild) -> tuple[Platform, ContentProof]:
        return child.planned.platform, reader.proof(child.reference, child.planned.platform, child.child)

    proofs = {}
    for platform, proof in reader.registries.map(one, children):
        proofs[platform] = proof
        recorder.record(
            ContentEnded(
                platform=str(platform),
                status=proof.status,
                checked=proof.checked,
                foreign=tuple(f"{file.path}: {file.architecture}" for file in proof.foreign),
                detail=proof.detail,
            )
        )
    return proofs


def _raise_for(
    children: Sequence[PlatformChild],
    tests: dict[Platform, TestOutcome],
    proofs: dict[Platform, ContentProof],
) -> None:
    required = [child.planned.platform for child in children if child.planned.required]
    outcomes = [tests[platform] for platform in required]
    raise_for_tests(outcomes, hint="`multibuild report` shows what it printed", then=UNMOVED)
    wrong = [(platform, proofs[platform]) for platform in required if proofs[platform].status == "failed"]
    if wrong:
        said = "; ".join(f"{platform}: {proof.detail}" for platform, proof in wrong)
        raise VerificationFailed(
            f"not what it claims to be: {said}{UNMOVED}",
            hint="legitimate foreign files can be named in `verify.ignore`",
        )
    raise_for_trouble(outcomes, then=UNMOVED)


def built_children(plan: Mapping[str, Any], events: Sequence[Event]) -> dict[Platform, Reference]:
    """Find what a run built, by platform. `plan` is its plan.json, `events` its journal."""
    staged = {row["platform"]: row["staging"]["reference"] for row in plan.get("platforms", ())}
    built = {}
    for event in events:
        if isinstance(event, PlatformEnded) and event.digest and event.platform in staged:
            repository = event.repository or repository_of(staged[event.platform])
            built[Platform.literal(event.platform)] = child_reference(repository, event.digest)
    return built
