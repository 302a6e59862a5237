"""The proving stage: every built child read back from the registry, tested, and looked into."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from multibuild.aside import aside
from multibuild.builds.result import BuildResult
from multibuild.errors import VerificationFailed
from multibuild.frozen import frozen
from multibuild.journal.events import Event
from multibuild.journal.local_children import child_reference
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import RunDirectory
from multibuild.oci.image import Child
from multibuild.oci.reference import Reference
from multibuild.plan.spec import repository_of
from multibuild.platforms import Platform
from multibuild.prove.prefetch import ChildReader
from multibuild.prove.smoke.smoke_test import TestOutcome
from multibuild.prove.smoke.stage import raise_for_tests, raise_for_trouble, run_tests

if TYPE_CHECKING:
    from multibuild.plan.plan import Plan, PlannedPlatform
    from multibuild.prove.content.proof import ContentProof


UNMOVED = "; no tag was moved"


@frozen
class PlatformChild:
    """A planned platform with its child as the registry has it."""

    item: PlannedPlatform
    reference: Reference
    child: Child


async def prove_children(
    plan: Plan, results: Sequence[BuildResult], recorder: Recorder, *, run: RunDirectory, reader: ChildReader
) -> tuple[PlatformChild, ...]:
    """Read every built child, run its test and its content proof. Gives the children that hold, in config order.

    `run` takes what the tests print; `reader` may have begun already.

    Raises TestFailed or VerificationFailed after all platforms have been looked at, naming each that did not hold
    and is required, else EnvironmentFault for one whose test could not be run; an optional one is left out.
    """
    children = await read_children(plan, results, recorder, reader=reader)
    # Tests wait for the builder, the content for the registry: neither needs the other.
    async with asyncio.TaskGroup() as group:
        testing = group.create_task(_tested(plan, children, recorder, run))
        looking = group.create_task(_looked_into(children, recorder, reader))
    tests, proofs = testing.result(), looking.result()
    _raise_for(children, tests, proofs)
    return tuple(
        child
        for child in children
        if tests[child.item.platform].status != "failed" and proofs[child.item.platform].status != "failed"
    )


async def _tested(
    plan: Plan, children: Sequence[PlatformChild], recorder: Recorder, run: RunDirectory
) -> dict[Platform, TestOutcome]:
    with recorder.stage("test"):
        return await run_tests(plan, [(child.item, child.reference) for child in children], recorder, run=run)


async def _looked_into(
    children: Sequence[PlatformChild], recorder: Recorder, reader: ChildReader
) -> dict[Platform, ContentProof]:
    with recorder.stage("content"):
        return await aside(lambda: _look_inside(children, recorder, reader))


async def read_children(
    plan: Plan, results: Sequence[BuildResult], recorder: Recorder, *, reader: ChildReader
) -> tuple[PlatformChild, ...]:
    """Only read the built children back: for those that an earlier run proved."""
    with recorder.stage("read"):
        return await aside(lambda: _read(plan, results, recorder, reader))


def _read(
    plan: Plan, results: Sequence[BuildResult], recorder: Recorder, reader: ChildReader
) -> tuple[PlatformChild, ...]:
    by_platform = {item.platform: item for item in plan.platforms}

    def one(result: BuildResult) -> PlatformChild:
        reference = child_reference(result.repository, result.digest)
        child = reader.child(reference, result.platform)
        recorder.record(
            "child.read", platform=str(result.platform), manifest=child.image.digest, bytes=child.total_bytes
        )
        return PlatformChild(item=by_platform[result.platform], reference=reference, child=child)

    return reader.registries.map(one, [result for result in results if result.built])


def _look_inside(
    children: Sequence[PlatformChild], recorder: Recorder, reader: ChildReader
) -> dict[Platform, ContentProof]:
    def one(child: PlatformChild) -> tuple[Platform, ContentProof]:
        return child.item.platform, reader.proof(child.reference, child.item.platform, child.child)

    proofs = {}
    for platform, proof in reader.registries.map(one, children):
        proofs[platform] = proof
        recorder.record(
            "content.ended",
            platform=str(platform),
            status=proof.status,
            checked=proof.checked,
            foreign=[f"{file.path}: {file.architecture}" for file in proof.foreign],
            detail=proof.detail,
        )
    return proofs


def _raise_for(
    children: Sequence[PlatformChild],
    tests: dict[Platform, TestOutcome],
    proofs: dict[Platform, ContentProof],
) -> None:
    required = [child.item.platform for child in children if child.item.required]
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
        platform, digest = event.fields.get("platform"), event.fields.get("digest")
        if event.name == "platform.ended" and digest and isinstance(platform, str) and platform in staged:
            repository = event.fields.get("repository") or repository_of(staged[platform])
            built[Platform.literal(platform)] = child_reference(repository, digest)
    return built
