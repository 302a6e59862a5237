"""The proving stage: each built child is read back from the registry, smoke tested, and its content proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multibuild.background import run_in_background, task_group
from multibuild.errors import NO_TAG_MOVED, VerificationFailed
from multibuild.journal.events import ChildRead, ContentEnded, Event, PlatformEnded
from multibuild.journal.local_children import child_reference
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.oci.reference import Reference
from multibuild.plan.children import PlatformChild, StagedChild
from multibuild.plan.spec import repository_of
from multibuild.platforms import Platform
from multibuild.prove.origin.built_child import Origins, origin_hint, origin_lines, origins_of
from multibuild.prove.prefetch import ChildReader
from multibuild.prove.smoke.smoke_test import TestOutcome
from multibuild.prove.smoke.stage import NodeFailover, raise_for_environment, raise_for_tests, run_tests

if TYPE_CHECKING:
    from multibuild.plan.plan import Plan
    from multibuild.prove.content.proof import ContentProof


async def prove_children(
    plan: Plan,
    staged: Sequence[StagedChild],
    context: RunContext,
    *,
    reader: ChildReader,
    failover: NodeFailover,
    tested: AbstractSet[Platform] = frozenset(),
) -> tuple[PlatformChild, ...]:
    """Read every staged child, run its smoke test and prove its content; return those that passed, in config order.

    Those that are `tested` passed their test on another machine, and it is not run again.
    Raises TestFailed or VerificationFailed after all platforms, naming each required one that failed, else
    EnvironmentFault for one whose test could not be run; an optional one is left out.
    """
    recorder = context.recorder
    children = await read_children(plan, staged, recorder, reader=reader)
    # Tests wait for the builder, proofs for the registry: neither needs the other.
    async with task_group() as group:
        test_task = group.create_task(_test(plan, children, context, failover, tested))
        proof_task = group.create_task(
            _prove_contents(_dockerfiles_of(plan, context), children, recorder, reader)
        )
    tests, (proofs, origins) = test_task.result(), proof_task.result()
    _raise_for(children, tests, proofs, origins)
    return tuple(
        child
        for child in children
        if "failed" not in (tests[child.planned.platform].status, proofs[child.planned.platform].status)
    )


async def _test(
    plan: Plan,
    children: Sequence[PlatformChild],
    context: RunContext,
    failover: NodeFailover,
    tested: AbstractSet[Platform],
) -> dict[Platform, TestOutcome]:
    untested = [child for child in children if child.planned.platform not in tested]
    references = [(child.planned, child.reference) for child in untested]
    with context.recorder.stage("test"):
        outcomes = await run_tests(plan, references, context.recorder, run=context.run, failover=failover)
        for platform in (child.planned.platform for child in children if child not in untested):
            outcomes[platform] = TestOutcome(platform=platform, status="passed")
            context.recorder.record(outcomes[platform].event())
    return outcomes


def _dockerfiles_of(plan: Plan, context: RunContext) -> Path | None:
    """Return the directory of the Dockerfiles; None for `merge`, whose children may be those of others."""
    return None if context.command == "merge" else plan.project


async def _prove_contents(
    dockerfiles: Path | None, children: Sequence[PlatformChild], recorder: Recorder, reader: ChildReader
) -> tuple[dict[Platform, ContentProof], Origins]:
    def prove(child: PlatformChild) -> tuple[Platform, ContentProof]:
        return child.planned.platform, reader.proof(child.reference, child.planned.platform, child.child)

    def prove_all() -> tuple[dict[Platform, ContentProof], Origins]:
        # Recorded in this thread: an interrupted run keeps what was proved.
        proofs, origins = {}, {}
        by_platform = {child.planned.platform: child for child in children}
        for platform, proof in reader.registries.map(prove, children):
            proofs[platform] = proof
            origins[platform] = origins_of(proof, by_platform[platform], dockerfiles, reader.registries)
            recorder.record(
                ContentEnded(
                    platform=str(platform),
                    status=proof.status,
                    checked=proof.checked,
                    foreign=tuple(f"{file.path}: {file.architecture}" for file in proof.foreign),
                    detail=proof.detail,
                    origins=tuple(one.to_json() for one in origins[platform]) or None,
                )
            )
        return proofs, origins

    with recorder.stage("content"):
        return await run_in_background(prove_all)


async def read_children(
    plan: Plan, staged: Sequence[StagedChild], recorder: Recorder, *, reader: ChildReader
) -> tuple[PlatformChild, ...]:
    """Read the built children back without proving them, as for those that an earlier run proved."""
    planned = {one.platform: one for one in plan.platforms}

    def read(child: StagedChild) -> PlatformChild:
        reference = child_reference(child.repository, child.digest)
        content = reader.child(reference, child.platform)
        recorder.record(
            ChildRead(platform=str(child.platform), manifest=content.image.digest, bytes=content.total_bytes)
        )
        return PlatformChild(planned=planned[child.platform], reference=reference, child=content)

    with recorder.stage("read"):
        return await run_in_background(lambda: reader.registries.map(read, staged))


def _raise_for(
    children: Sequence[PlatformChild],
    tests: dict[Platform, TestOutcome],
    proofs: dict[Platform, ContentProof],
    origins: Origins,
) -> None:
    required = [child.planned.platform for child in children if child.planned.required]
    outcomes = [tests[platform] for platform in required]
    raise_for_tests(outcomes, hint="`multibuild report` shows what it printed", suffix=f"; {NO_TAG_MOVED}")
    failed = [(platform, proofs[platform]) for platform in required if proofs[platform].status == "failed"]
    if failed:
        details = "; ".join(f"{platform}: {proof.detail}" for platform, proof in failed)
        traced = {platform: origins[platform] for platform, _ in failed}
        raise VerificationFailed(
            "\n".join([f"not what it claims to be: {details}; {NO_TAG_MOVED}", *origin_lines(traced)]),
            hint=origin_hint(traced),
        )
    raise_for_environment(outcomes, suffix=f"; {NO_TAG_MOVED}")


def built_children(plan: Mapping[str, Any], events: Sequence[Event]) -> dict[Platform, Reference]:
    """Return the children that a run built, by platform. `plan` is its plan.json, `events` its journal."""
    staged = {row["platform"]: row["staging"]["reference"] for row in plan.get("platforms", ())}
    built = {}
    for event in events:
        if isinstance(event, PlatformEnded) and event.digest and event.platform in staged:
            repository = event.repository or repository_of(staged[event.platform])
            built[Platform.literal(event.platform)] = child_reference(repository, event.digest)
    return built
