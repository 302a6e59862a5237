"""The publishing stage: may we push at all (before the first build), then compose and move tags (at the end)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from multibuild.background import run_in_background
from multibuild.engine.docker import DockerEngine
from multibuild.errors import Interrupted
from multibuild.journal.events import Event, IndexComposed, TagPlanned
from multibuild.journal.local_children import ChildStores
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory
from multibuild.oci.errors import RegistryError, as_environment_fault
from multibuild.oci.http import PUBLISH_RETRIES
from multibuild.oci.layout import StoresWithLayouts
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registries import RegistrySession
from multibuild.oci.store import Stores
from multibuild.plan.children import PlatformChild
from multibuild.plan.plan import Plan, Target
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild, compose
from multibuild.publish.local_output import LocalOutlet, publish_locally
from multibuild.publish.move_tags import Published, publish
from multibuild.publish.on_missing import carry_missing


async def preflight(plan: Plan, recorder: Recorder) -> None:
    """Ask every registry, in seconds, whether it is there and lets us push; EnvironmentFault (exit 3) if not.

    A push probe opens an upload and ends it again: no repository appears.
    """
    staged = [item.staging.reference for item in plan.platforms if item.staging.kind != "layout"]
    names = dict.fromkeys(
        Reference.parse(text).with_tag(None)
        for text in (*staged, *(target.repository for target in _registry_targets(plan)))
    )

    def ask() -> None:
        with RegistrySession(plan.registries, on_wait=recorder.say) as registries:
            try:
                registries.map(lambda name: registries.of(name.host).check_push(name.repository), names)
            except RegistryError as error:
                raise as_environment_fault(error) from error

    with recorder.stage("preflight"):
        await run_in_background(ask)


async def publish_children(
    plan: Plan,
    children: Sequence[PlatformChild],
    context: RunContext,
    *,
    held_before: Mapping[tuple[str, str], str | None] = MappingProxyType({}),
) -> Published:
    """Compose the index, push it, read it back, move the tags. Raises PublishFailed; what moved was put back.

    `held_before` maps (reference, index digest) to what a tag held before an unfinished run
    moved it.
    """
    with context.recorder.stage("publish"):
        return await _publish(plan, children, context, held_before)


async def _publish(
    plan: Plan,
    children: Sequence[PlatformChild],
    context: RunContext,
    held_before: Mapping[tuple[str, str], str | None],
) -> Published:
    run, recorder = context.run, context.recorder
    outlet = _local_outlet(plan, run)
    carried = await run_in_background(lambda: _carried(plan, children, outlet, recorder))
    index = compose_children(plan, children, carried)
    recorder.record(
        IndexComposed(
            digest=index.digest,
            media_type=index.media_type,
            size=len(index.content),
            entries=len(index.document["manifests"]),
            manifests=tuple(index.document["manifests"]),
        )
    )
    destinations = [
        Destination(repository=Reference.parse(target.repository), tags=target.tags)
        for target in plan.targets
    ]

    def push() -> Published:
        sources = [
            child.reference.with_digest(digest) for child in children for digest in index_child(child).digests
        ]
        with RegistrySession(plan.registries, on_wait=recorder.say, retry=PUBLISH_RETRIES) as registries:
            sources.extend([_previous(plan, outlet, registries)[0]] if carried else [])
            if outlet is not None:
                return publish_locally(
                    index,
                    outlet,
                    sources=sources,
                    registries=ChildStores(registries, run),
                    emit=recorder.record,
                )
            return publish(
                index,
                destinations,
                sources=sources,
                registries=ChildStores(registries, run),
                emit=gate.record,
                held_before=held_before,
            )

    gate = _Gate(recorder)
    try:
        return await asyncio.to_thread(push)
    except asyncio.CancelledError:
        gate.shut.set()
        raise


class _Gate:
    """Lets no tag move once the run was interrupted: a thread cannot be cancelled, but it asks here first.

    Every tag is planned before any moves; when the moves have begun they go on to their end, or back.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.shut = threading.Event()

    def record(self, event: Event, /) -> None:
        """Record an event; Interrupted instead of planning a tag after the interruption."""
        if isinstance(event, TagPlanned) and self.shut.is_set():
            raise Interrupted("interrupted before any tag was moved")
        self._recorder.record(event)


def _registry_targets(plan: Plan) -> tuple[Target, ...]:
    return plan.targets if plan.publish.output.kind == "registry" else ()


def _local_outlet(plan: Plan, run: RunDirectory) -> LocalOutlet | None:
    """Give where the result goes on this machine; None for registries."""
    outlet = plan.publish.output
    if outlet.kind == "registry":
        return None

    def load(archive: Path) -> None:

        DockerEngine().load(archive)

    return LocalOutlet(
        kind=outlet.kind,
        path=plan.project / (outlet.path or ""),
        image=plan.image,
        tags=plan.tags,
        load=load,
        scratch=run.children,
    )


def _previous(plan: Plan, outlet: LocalOutlet | None, registries: Stores) -> tuple[Reference, Stores]:
    """Give where the index before this one is: in the layout that is written to, else in the registry of `image`."""
    if outlet is not None and outlet.kind == "oci":
        layout = outlet.layout(outlet.path)
        return layout.reference(), StoresWithLayouts(registries, layout)
    return Reference.parse(plan.image), registries


def _carried(
    plan: Plan, children: Sequence[PlatformChild], outlet: LocalOutlet | None, recorder: Recorder
) -> dict[Platform, IndexChild]:
    there = [child.planned.platform for child in children]
    with RegistrySession(plan.registries, on_wait=recorder.say) as registries:
        return carry_missing(plan, there, _previous(plan, outlet, registries), recorder)


def compose_children(
    plan: Plan, children: Sequence[PlatformChild], carried: Mapping[Platform, IndexChild] | None = None
) -> Manifest:
    """Compose the index of a plan's children, and of what was carried, in config order; what `compose` raises."""
    listed = {child.planned.platform: index_child(child) for child in children} | dict(carried or {})
    return compose(
        [listed[item.platform] for item in plan.platforms if item.platform in listed],
        annotations=plan.annotations,
        media_type=plan.media_type,
    )


def index_child(child: PlatformChild) -> IndexChild:
    """Give a child's share of the index: its own descriptor with the platform and fields the user said."""
    entry = child.planned.entry
    return IndexChild(
        image=child.child.image,
        attestations=child.child.attestations,
        platform=child.planned.platform,
        also_as=entry.also_as,
        os_version=entry.os_version,
        os_features=entry.os_features,
        annotations=entry.annotations,
    )
