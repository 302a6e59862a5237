"""Images that are built from other images of the same run, platform by platform."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from multibuild.builds.result import BuildResult
from multibuild.frozen import frozen
from multibuild.journal.local_children import builder_reference, child_reference, is_local_child
from multibuild.journal.runs import RunDirectory
from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform


class DependencyMissing(Exception):
    """An image that a platform is built from has no child of that platform."""

    def __init__(self, image: str, platform: Platform) -> None:
        super().__init__(f"{image} has no {platform}")


class RunChildren:
    """The children of all images of a run, as they are built: what a build context is, by image and platform."""

    def __init__(self) -> None:
        self._contexts: defaultdict[tuple[str, Platform], asyncio.Future[str | None]] = defaultdict(
            asyncio.Future
        )
        self._closed: set[str] = set()

    def add(self, image: str, platform: Platform, context: str | None) -> None:
        """Add a child as the source of a build context; None for a platform without one."""
        future = self._contexts[image, platform]
        if not future.done():
            future.set_result(context)

    def close(self, image: str) -> None:
        """No further child of an image will be built."""
        self._closed.add(image)
        for (name, platform), future in list(self._contexts.items()):
            if name == image and not future.done():
                self.add(name, platform, None)

    async def context(self, image: str, platform: Platform) -> str | None:
        """Wait for a child and return the source of a build context; None without a child."""
        if image in self._closed and not self._contexts[image, platform].done():
            return None
        return await asyncio.shield(self._contexts[image, platform])


@frozen
class ImageBuilds:
    """One image among those of its run: what it is built from, and what others are built from.

    `name` is the image's, `run` the directory of its children, and `dependencies` its build contexts that are other
    images, by name. `is_needed`: others are built from it.
    """

    name: str
    run: RunDirectory
    dependencies: Mapping[str, str]
    children: RunChildren
    is_needed: bool = False

    async def with_contexts(self, planned: PlannedPlatform) -> PlannedPlatform:
        """Wait for the images that a platform is built from, and add them to its contexts; DependencyMissing."""
        contexts = dict(planned.spec.contexts)
        for context, image in self.dependencies.items():
            source = await self.children.context(image, planned.platform)
            if source is None:
                raise DependencyMissing(image, planned.platform)
            contexts[context] = source
        return (
            replace(planned, spec=replace(planned.spec, contexts=contexts)) if self.dependencies else planned
        )

    def add(self, result: BuildResult) -> None:
        """Let others be built from a platform that has ended, if it has a child."""
        context = None
        if result.built:
            reference = builder_reference(child_reference(result.repository, result.digest), self.run)
            context = reference if is_local_child(result.repository) else f"docker-image://{reference}"
        self.children.add(self.name, result.platform, context)

    def close(self) -> None:
        """Let nothing wait for this image any more."""
        self.children.close(self.name)


def dependencies_first(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """Return plans in an order in which each follows those of them it is built from."""
    by_name, ordered = {plan.name: plan for plan in plans}, dict[str, Plan]()

    def add(plan: Plan) -> None:
        if plan.name not in ordered:
            for name in plan.dependencies.values():
                if name in by_name:
                    add(by_name[name])
            ordered[plan.name] = plan

    for plan in plans:
        add(plan)
    return tuple(ordered.values())
