"""Optional platforms without a child: `publish.on_missing` is omit, carry or fail."""

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
    plan: Plan, available: Sequence[Platform], repository: Reference, registries: Stores, recorder: Recorder
) -> dict[Platform, IndexChild]:
    """Return the old index's children for platforms of the plan that are not `available`, by platform.

    `repository` is that of the old index. Raises PublishFailed with `on_missing: fail`. A platform that the old index
    lacks too is omitted, with a message.
    """
    missing = [planned for planned in plan.platforms if planned.platform not in available]
    rule = plan.publish.on_missing
    if not missing or rule == "omit":
        return {}
    if rule == "fail":
        raise PublishFailed(
            f"{', '.join(str(planned.platform) for planned in missing)}: without a child, and publish.on_missing is "
            "fail; no tag was moved",
            hint="`multibuild report` says why; with omit the index goes out without them",
        )
    tag = repository.with_tag(plan.publish.carry_from)
    old = {child.image.platform: child for child in _old_children(tag, registries)}
    carried = {}
    for planned in missing:
        child = old.get(planned.platform) or next(
            (child for listed, child in old.items() if listed and listed.normalised() == planned.platform),
            None,
        )
        if child is None:
            recorder.say(f"{planned.platform} is in {tag} neither: left out")
            continue
        carried[planned.platform] = replace(
            child,
            image=replace(child.image, annotations={}),
            platform=planned.platform,
            also_as=planned.entry.also_as,
            os_version=planned.entry.os_version,
            os_features=planned.entry.os_features,
            annotations=planned.entry.annotations,
        )
        local = is_local_child(planned.staging.reference)
        recorder.record(
            PlatformEnded(
                platform=str(planned.platform),
                status="carried",
                digest=child.image.digest,
                repository=planned.staging.reference if local else plan.image,
            )
        )
    return carried


def _old_children(tag: Reference, registries: Stores) -> tuple[IndexChild, ...]:
    try:
        return read_source(str(tag), registries, reference=tag).children
    except RegistryError as error:
        if error.kind != "not-found":
            raise
        return ()
