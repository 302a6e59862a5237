"""The publishing stage: check that pushing is allowed before the first build; compose and move tags at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from multibuild.background import run_in_background
from multibuild.engine.docker import DockerEngine
from multibuild.errors import Interrupted
from multibuild.journal.events import Event, IndexComposed, TagPlanned
from multibuild.journal.local_children import ChildStores
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory
from multibuild.oci.copy.companions import CompanionPolicy
from multibuild.oci.errors import RegistryError, as_environment_fault
from multibuild.oci.http import PUBLISH_RETRIES
from multibuild.oci.limits import RUN_LIMITS
from multibuild.oci.local.layout import StoresWithLayouts
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import PlatformChild
from multibuild.plan.plan import Plan
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild, compose_children, index_child
from multibuild.publish.local_output import LocalOutput, publish_locally
from multibuild.publish.move_tags import Published, publish
from multibuild.publish.on_missing import carry_missing


async def preflight(plan: Plan, recorder: Recorder) -> None:
    """Check that every registry can be reached and allows pushing; EnvironmentFault (exit 3) if not.

    A push probe opens an upload and cancels it: no repository appears.
    """
    staged = [p.staging.reference for p in plan.platforms if p.staging.kind != "layout"]
    targets = plan.targets if plan.publish.output.kind == "registry" else ()
    names = dict.fromkeys(
        Reference.parse(text).with_tag(None) for text in (*staged, *(target.repository for target in targets))
    )

    def check() -> None:
        with RegistrySession(plan.registries, on_wait=recorder.say) as registries:
            try:
                registries.map(lambda name: registries.of(name.host).check_push(name.repository), names)
            except RegistryError as error:
                raise as_environment_fault(error) from error

    with recorder.stage("preflight"):
        await run_in_background(check)


async def publish_children(
    plan: Plan,
    children: Sequence[PlatformChild],
    context: RunContext,
    *,
    previous_digests: Mapping[tuple[str, str], str | None] = MappingProxyType({}),
) -> Published:
    """Compose the index, push it, read it back, move the tags. Raises what `move_tags.publish` raises."""
    run, recorder = context.run, context.recorder
    output, gate = _local_output(plan, run), _Gate(recorder)
    companions = CompanionPolicy(report=recorder.say)
    destinations = [Destination(repository=Reference.parse(t.repository), tags=t.tags) for t in plan.targets]

    def push() -> Published:
        sources = [
            child.reference.with_digest(digest) for child in children for digest in index_child(child).digests
        ]
        sources += [_old_repository(plan, output)] if carried else []
        with RegistrySession(
            plan.registries, on_wait=recorder.say, retry=PUBLISH_RETRIES, limits=RUN_LIMITS
        ) as registries:
            stores = ChildStores(registries, run)
            if output is not None:
                return publish_locally(
                    index,
                    output,
                    sources=sources,
                    registries=stores,
                    emit=recorder.record,
                    companions=companions,
                )
            return publish(
                index,
                destinations,
                sources=sources,
                registries=stores,
                emit=gate.record,
                previous_digests=previous_digests,
                companions=companions,
            )

    with recorder.stage("publish"):
        carried = await run_in_background(lambda: _carry(plan, children, output, recorder))
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
        try:
            return await asyncio.to_thread(push)
        except asyncio.CancelledError:
            gate.shut.set()
            raise


class _Gate:
    """Lets no tag move once the run was interrupted: a thread cannot be cancelled, but it checks here first.

    Every tag is planned before any moves; once they move, they all move or are all rolled back.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.shut = threading.Event()

    def record(self, event: Event, /) -> None:
        """Record an event; Interrupted instead of planning a tag after the interruption."""
        if isinstance(event, TagPlanned) and self.shut.is_set():
            raise Interrupted("interrupted before any tag was moved")
        self._recorder.record(event)


def _local_output(plan: Plan, run: RunDirectory) -> LocalOutput | None:
    """Return the output on this machine; None for registries."""
    output = plan.publish.output
    if output.kind == "registry":
        return None
    return LocalOutput(
        kind=output.kind,
        path=plan.project / (output.path or ""),
        image=plan.image,
        tags=plan.tags,
        load=lambda archive: DockerEngine().load(archive),
        scratch=run.children,
    )


def _old_repository(plan: Plan, output: LocalOutput | None) -> Reference:
    """Return the repository of the index before this one: in the layout that is written to, else that of `image`."""
    if output is not None and output.kind == "oci":
        return output.layout(output.path).reference()
    return Reference.parse(plan.image)


def _carry(
    plan: Plan, children: Sequence[PlatformChild], output: LocalOutput | None, recorder: Recorder
) -> dict[Platform, IndexChild]:
    available = [child.planned.platform for child in children]
    layouts = [output.layout(output.path)] if output is not None else []
    with RegistrySession(plan.registries, on_wait=recorder.say) as registries:
        stores = StoresWithLayouts(registries, *layouts)
        return carry_missing(plan, available, _old_repository(plan, output), stores, recorder)
