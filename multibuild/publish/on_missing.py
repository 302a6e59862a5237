"""Optional platforms without a child: `publish.on_missing` is omit, carry or fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from multibuild.errors import NO_TAG_MOVED, PublishFailed
from multibuild.journal.events import PlatformEnded
from multibuild.journal.local_children import is_local_child
from multibuild.journal.recorder import Recorder
from multibuild.oci.image import NoPlatform
from multibuild.oci.manifest import Descriptor
from multibuild.oci.manifests.identity import ZSTD_ANNOTATION, is_zstd
from multibuild.oci.reference import Reference
from multibuild.oci.store import Stores
from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild
from multibuild.publish.cosign import CosignFailed
from multibuild.publish.merge import Source
from multibuild.publish.merge_sources import read_target
from multibuild.publish.sign import signer_of


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
            f"fail; {NO_TAG_MOVED}",
            hint="`multibuild report` says why; with omit the index goes out without them",
        )
    tag = repository.with_tag(plan.publish.carry_from)
    source = read_target(str(tag), registries, reference=tag)
    old = source.children if source is not None else ()
    signed = _signed(plan, source, registries, recorder) if source is not None else None
    carried = {}
    for planned in missing:
        child = _old_child(old, planned)
        if child is None:
            recorder.say(f"{planned.platform} is in {tag} neither: left out")
            continue
        if child.problem is not None and not isinstance(child.problem, NoPlatform):
            raise child.problem
        if signed is not None and child.image.digest not in signed:
            recorder.say(f"{planned.platform} of {tag} has no signature of the key in `sign`: left out")
            continue
        zstd = {ZSTD_ANNOTATION: "true"} if is_zstd(child.image.annotations) else {}
        carried[planned.platform] = replace(
            child,
            image=replace(child.image, annotations={}),
            platform=planned.platform,
            also_as=planned.entry.also_as,
            os_version=planned.entry.os_version,
            os_features=planned.entry.os_features,
            annotations={**zstd, **planned.entry.annotations},
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


def _signed(plan: Plan, source: Source, registries: Stores, recorder: Recorder) -> frozenset[str] | None:
    """Return the images of an old index that the key of the config has signed; None where it names no key.

    Whoever can push to the tag could leave an image there, and would get a signature for it.
    """
    if plan.sign is None or plan.sign.keyless:
        return None
    repository = source.reference.with_tag(None)
    images = frozenset(child.image.digest for child in source.children)
    index = [source.base.digest] if source.base is not None else []
    try:
        signed = signer_of(plan, plan.sign, recorder.say).signed(repository, [*index, *images], registries)
    except CosignFailed as error:
        raise PublishFailed(
            f"the signatures of {source.text} cannot be verified: {error.message}; {NO_TAG_MOVED}",
            hint="publish.on_missing: omit carries nothing over",
        ) from None
    return images if signed.issuperset(index) and index else signed & images


def _old_child(children: Sequence[IndexChild], planned: PlannedPlatform) -> IndexChild | None:
    """Return the child of an old index for a platform: the first whose fields are those of the config.

    An entry for another build of Windows is another image. The spelling of the config comes first, and gzip before
    zstd, which every client reads.
    """
    fields = planned.entry

    def is_same(image: Descriptor) -> bool:
        listed = image.platform
        return (
            listed is not None
            and listed.normalised() == planned.platform.normalised()
            and (not fields.os_version or image.os_version in ("", fields.os_version))
            and (not fields.os_features or set(image.os_features) in (set(), set(fields.os_features)))
        )

    def rank(child: IndexChild) -> tuple[bool, bool]:
        return child.image.platform != planned.platform, is_zstd(child.image.annotations)

    return min((child for child in children if is_same(child.image)), key=rank, default=None)
