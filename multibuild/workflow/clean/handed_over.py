"""Children that were handed over and that no merge took: found by their tags, as other machines built them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.plan import Plan
from multibuild.plan.spec import repository_of
from multibuild.publish.hand_over import manifest_of
from multibuild.publish.handed_over import HandOver, read_record, slug_of_tag
from multibuild.workflow.clean.registries import Leftovers


@frozen
class _Record:
    tag: str
    manifest: Manifest
    child: str
    created: datetime


def staging_repositories(plans: Iterable[Plan]) -> tuple[Reference, ...]:
    """Return the repositories in which children of some plans are handed over, each once."""
    names = {
        repository_of(planned.staging.reference): None
        for plan in plans
        for planned in plan.platforms
        if planned.staging.kind != "layout"
    }
    return tuple(map(Reference.parse, names))


def abandoned(repository: Reference, registries: RegistrySession, *, before: datetime) -> Leftovers:
    """Return what was handed over in a repository `before` a time; RegistryError if its tags cannot be listed.

    What only has the name of a hand-over, or does not say when it was made, is left out.
    """
    try:
        tags = registries.of(repository.host).tags(repository.repository)
    except RegistryError as error:
        if error.kind != "not-found":
            raise
        tags = ()
    candidates = [tag for tag in tags if slug_of_tag(tag) is not None]
    records = registries.map(lambda tag: _record(repository.with_tag(tag), registries), candidates)
    old = [record for record in records if record is not None and record.created < before]
    return Leftovers(
        repository=repository,
        children=frozenset(
            digest
            for record in old
            for digest in (
                record.manifest.digest,
                record.child,
                *(entry.digest for entry in record.manifest.entries),
            )
        ),
        tags=frozenset(record.tag for record in old),
    )


def _record(tag: Reference, registries: RegistrySession) -> _Record | None:
    manifest = manifest_of(tag, registries)
    hand_over = read_record(manifest) if manifest is not None else None
    if manifest is None or hand_over is None:
        return None
    created = time_of(hand_over)
    if created is None:
        return None
    return _Record(tag=tag.tag or "", manifest=manifest, child=hand_over.child, created=created)


def time_of(hand_over: HandOver) -> datetime | None:
    """Return when a child was handed over, as its untrusted record says; None for what is no time."""
    try:
        created = datetime.fromisoformat(hand_over.created)
    except ValueError:
        return None
    return created if created.tzinfo is not None else None


def older_than(days: int) -> datetime:
    """Return the time so many days ago."""
    return datetime.now(UTC) - timedelta(days=days)
