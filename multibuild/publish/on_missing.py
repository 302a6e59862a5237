"""What becomes of optional platforms without a child: `publish.on_missing` is omit, carry or fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from multibuild.errors import PublishFailed
from multibuild.journal.events import PlatformEnded
from multibuild.journal.local_children import is_local_child
from multibuild.journal.recorder import Recorder
from multibuild.oci.errors import RegistryError
from multibuild.oci.reference import Reference
from multibuild.oci.store import Stores
from multibuild.plan.plan import Plan
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild
from multibuild.publish.merge_sources import read_source


def carry_missing(
    plan: Plan, there: Sequence[Platform], old: tuple[Reference, Stores], recorder: Recorder
) -> dict[Platform, IndexChild]:
    """Give what stands in for platforms of the plan that are not `there`: nothing, or what the old index has.

    `old` is the repository that has the index before this one, and where it is found. Raises PublishFailed with
    `on_missing: fail`. A platform that the old index lacks too is left out, and said.
    """
    missing = [item for item in plan.platforms if item.platform not in there]
    rule = plan.publish.on_missing
    if not missing or rule == "omit":
        return {}
    named = ", ".join(str(item.platform) for item in missing)
    if rule == "fail":
        raise PublishFailed(
            f"{named}: without a child, and publish.on_missing is fail; no tag was moved",
            hint="`multibuild report` says why; with omit the index goes out without them",
        )
    repository, registries = old
    tag = repository.with_tag(plan.publish.carry_from)
    before = {child.image.platform: child for child in _old(tag, registries)}
    carried = {}
    for item in missing:
        child = before.get(item.platform) or next(
            (c for said, c in before.items() if said and said.normalised() == item.platform), None
        )
        if child is None:
            recorder.say(f"{item.platform} is in {tag} neither: left out")
            continue
        carried[item.platform] = replace(
            child,
            image=replace(child.image, annotations={}),
            platform=item.platform,
            also_as=item.entry.also_as,
            os_version=item.entry.os_version,
            os_features=item.entry.os_features,
            annotations=item.entry.annotations,
        )
        local = is_local_child(item.staging.reference)
        recorder.record(
            PlatformEnded(
                platform=str(item.platform),
                status="carried",
                digest=child.image.digest,
                repository=item.staging.reference if local else plan.image,
            )
        )
    return carried


def _old(tag: Reference, registries: Stores) -> tuple[IndexChild, ...]:
    try:
        return read_source(str(tag), registries, reference=tag).children
    except RegistryError as error:
        if error.kind != "not-found":
            raise
        return ()
