"""`--if-changed` of every command: what the state directory and the registry know of the last success."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from multibuild.cli.request import Request, plans_offline, state_of

if TYPE_CHECKING:
    from multibuild.config.project import LoadedProject
    from multibuild.journal.runs import RunDirectory, State
    from multibuild.platforms import Platform
    from multibuild.workflow.remember.recall import Recalled


def recall(request: Request, project: LoadedProject) -> dict[str, Recalled]:
    """Return what the registry remembers of each image; nothing if the config does not let it remember."""
    if not any(loaded.config.remember for loaded in project.images):
        return {}
    from multibuild.builds.dependencies import dependencies_first
    from multibuild.workflow.remember.recall import recall_images

    plans = dependencies_first(plans_offline(request, project))
    recalled = recall_images(project.images, plans, say=request.say)
    for name, image in recalled.items():
        request.say(f"{name}: {image.reason}" if name else image.reason)
    return recalled


def unchanged_runs(
    request: Request, project: LoadedProject, command: Literal["build", "publish"], state: State
) -> tuple[RunDirectory, ...] | None:
    """Return the run that made what each image still is; None as soon as one image changed."""
    from multibuild.builds.dependencies import dependencies_first
    from multibuild.builds.fingerprint import PlanFingerprints
    from multibuild.workflow.if_changed import check_for_changes

    by_name = {loaded.name: loaded for loaded in project.images}
    known: dict[str, PlanFingerprints] = {}
    runs = []
    for image in dependencies_first(plans_offline(request, project)):
        own, loaded = state.of_image(image.name) if image.name else state, by_name[image.name]
        verdict = check_for_changes(loaded, image, own, command, say=request.say, images=known)
        request.say(f"{image.name}: {verdict.reason}" if image.name else verdict.reason)
        if verdict.run is None:
            return None
        runs.append(verdict.run)
        if verdict.fingerprints is not None:
            known[image.name] = verdict.fingerprints
    return tuple(runs)


def without_build(request: Request, project: LoadedProject) -> dict[str, frozenset[Platform]]:
    """Return the platforms of each image that `all --if-changed` would not build; an image is in it if it is done.

    Messages say why. Of an image that is not done, but needs no build, the tags or the index change.
    """
    plans = {plan.name: plan for plan in plans_offline(request, project)}
    if unchanged_runs(request, project, "publish", state_of(request, *project.images)) is not None:
        return {name: frozenset(plan.specs) for name, plan in plans.items()}
    recalled = recall(request, project)
    return {name: frozenset(image.children) for name, image in recalled.items()}
