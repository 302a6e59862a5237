"""Children that the registry remembers, in a run: recorded, handed to what is built from them, and published again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from multibuild.builds.dependencies import RunChildren
from multibuild.builds.inputs import journal_inputs
from multibuild.builds.resume import Reusable
from multibuild.errors import EnvironmentFault
from multibuild.journal.events import InputsHeld, PlatformEnded, TagEnded
from multibuild.journal.recorder import Recorder
from multibuild.plan.children import PlatformChild, RememberedChild, StagedChild
from multibuild.plan.plan import Plan
from multibuild.platforms import Platform
from multibuild.publish.stage import composed_event
from multibuild.workflow.remember.recall import Recalled


def is_unchanged(recalled: Mapping[str, Recalled], name: str) -> bool:
    """Whether every tag of an image holds what would be published now."""
    return name in recalled and recalled[name].holds


def record_unchanged(recalled: Recalled, recorder: Recorder) -> None:
    """Record that the children of an image and its tags are what they were: a run that built them would end so."""
    plan, index = recalled.plan, recalled.index
    assert index is not None
    journal_inputs(recalled.fingerprints, recorder)
    for planned in plan.platforms:
        child = recalled.children[planned.platform]
        recorder.record(
            PlatformEnded(
                platform=str(planned.platform),
                status="reused",
                required=planned.required,
                digest=child.image.digest,
                repository=child.repository,
                emulated=planned.emulated,
            )
        )
    recorder.record(InputsHeld())
    recorder.record(composed_event(index))
    for target in plan.targets:
        for tag in target.tags:
            ref = f"{target.repository}:{tag}"
            recorder.record(TagEnded(ref=ref, before=index.digest, after=index.digest, status="unchanged"))


def add_unchanged(children: RunChildren, recalled: Mapping[str, Recalled]) -> None:
    """Let images be built from the children of those that are not touched."""
    for name, image in recalled.items():
        for child in image.children.values() if image.holds else ():
            source = f"docker-image://{child.repository}@{child.image.digest}"
            children.add(name, child.platform, source)


def require_children(plan: Plan, reusable: Reusable, prepared: Collection[Platform]) -> None:
    """Raise EnvironmentFault for a platform that has no child after all, and that no builder is `prepared` for."""
    if not reusable.children.keys() | set(prepared) >= plan.specs.keys():
        raise EnvironmentFault(
            "files or children changed while they were compared with the registry; no tag was moved",
            hint="run it again",
        )


def still_remembered(
    remembered: Mapping[Platform, RememberedChild], reusable: Reusable
) -> dict[Platform, RememberedChild]:
    """Return the remembered children that a run reuses: those whose fingerprint is that of the files now."""
    return {
        platform: child
        for platform, child in remembered.items()
        if platform in reusable.children and reusable.children[platform].digest == child.image.digest
    }


def proved_children(remembered: Mapping[Platform, RememberedChild]) -> tuple[StagedChild, ...]:
    """Return those that have passed every proof that the config asks for."""
    return tuple(
        StagedChild(platform=platform, repository=child.repository, digest=child.image.digest)
        for platform, child in remembered.items()
        if child.is_proved
    )


def with_attestations(
    children: Sequence[PlatformChild], remembered: Mapping[Platform, RememberedChild]
) -> tuple[PlatformChild, ...]:
    """Return children with the attestations that the index has of them: their own manifest does not name these."""

    def complete(child: PlatformChild) -> PlatformChild:
        known = remembered.get(child.planned.platform)
        if known is None:
            return child
        return replace(child, child=replace(child.child, attestations=known.attestations))

    return tuple(map(complete, children))
