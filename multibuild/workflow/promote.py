"""`promote`: publish what exists under other tags, repositories and registries, with the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.journal.events import Emit
from multibuild.oci.copy.companions import CompanionPolicy
from multibuild.oci.copy.copier import Observe, ignore_bytes
from multibuild.oci.copy.target import stored_descriptor
from multibuild.oci.image import read_image
from multibuild.oci.manifest import Manifest
from multibuild.oci.manifests.subset import subset
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform
from multibuild.publish.move_tags import MovedTag, Published, Status, publish


@frozen
class Promotion:
    """What is published where. `source` is the digest that was found there, `manifest` that or a part of it."""

    source: Reference
    manifest: Manifest
    destinations: tuple[Destination, ...]

    @property
    def tags(self) -> tuple[Reference, ...]:
        """Every tag, in the order of moving."""
        return tuple(place.repository.with_tag(tag) for place in self.destinations for tag in place.tags)

    @property
    def sources(self) -> tuple[Reference, ...]:
        """Each digest that is copied, in the source's repository.

        What refers to the whole index does not refer to a part of it: that is of another digest.
        """
        entries = self.manifest.entries if self.manifest.is_index else ()
        return tuple(
            self.source.with_digest(one) for one in (*(e.digest for e in entries), self.manifest.digest)
        )


def plan_promotion(
    source: Reference,
    destinations: Sequence[Destination],
    registries: RegistrySession,
    *,
    only: Sequence[Platform] = (),
) -> Promotion:
    """Read the source; with `only`, take its entries of these platforms.

    Raises RegistryError for a source that cannot be read, UsageError for a platform that it does not have.
    """
    registry = registries.of(source.host)
    manifest = registry.manifest(source)
    pinned = source.with_digest(manifest.digest)
    if only and manifest.is_index:
        manifest = subset(manifest, tuple(only))
    elif only:
        platform = read_image(pinned, manifest, registry).config.platform
        if [platform.normalised()] != list(only):
            raise UsageError(f"{source} is one image of {platform}", hint="leave out --platform")
    return Promotion(source=pinned, manifest=manifest, destinations=tuple(destinations))


def present_tags(promotion: Promotion, registries: RegistrySession) -> tuple[MovedTag, ...]:
    """Return each tag with what it holds now, as it would be moved: "unchanged", or "planned" with its new digest."""

    def present(tag: Reference) -> MovedTag:
        stored = stored_descriptor(registries.of(tag.host), tag)
        before, after = stored.digest if stored else None, promotion.manifest.digest
        status: Status = "unchanged" if before == after else "planned"
        return MovedTag(reference=tag, before=before, after=after, status=status)

    return registries.map(present, promotion.tags)


def promote(
    promotion: Promotion,
    registries: RegistrySession,
    *,
    emit: Emit,
    companions: CompanionPolicy,
    observe: Observe = ignore_bytes,
) -> Published:
    """Copy, push by digest, read back and move all tags or none; raises what `move_tags.publish` raises."""
    return publish(
        promotion.manifest,
        promotion.destinations,
        sources=promotion.sources,
        registries=registries,
        emit=emit,
        companions=companions,
        observe=observe,
    )
