"""`build --hand-over`: which children have a name, and which may be handed over under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from multibuild.background import run_in_background
from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.resume import FinishedChild
from multibuild.builds.unit_inputs import OTHER_SCHEMES
from multibuild.config.referenced_files import is_url
from multibuild.dockerfile.ignore import read_ignore
from multibuild.errors import PublishFailed, UsageError
from multibuild.frozen import frozen
from multibuild.journal.run_context import RunContext
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import PlatformChild
from multibuild.plan.plan import Plan
from multibuild.platforms import Platform
from multibuild.publish.hand_over import Inputs, find_handed_over, hand_over_children
from multibuild.publish.handed_over import smoke_test_digest

_IMPORT_HINT = "bring the state directories to the machine that merges: `multibuild import DIR...`"


def inputs_of(plan: Plan, fingerprints: PlanFingerprints) -> dict[Platform, Inputs]:
    """Return what goes into each child; UsageError for one that has no name, before anything is built.

    A child is found by the digest of its inputs: they must have one, the same in every checkout.
    """
    require_registry(plan)
    _require_named_contexts_without_git(plan)
    for platform, fingerprint in fingerprints.platforms.items():
        if fingerprint.digest is None:
            raise UsageError(
                f"{_name(plan)}{platform} cannot be handed over: {fingerprint.unknown} has no digest",
                hint=_IMPORT_HINT,
            )
    # After these: where a base cannot be read all files count, also of .git, and the base is what is to be mended.
    for platform, spec in plan.specs.items():
        if ".git" in fingerprints.names.get(platform, frozenset()):
            raise _with_git(spec.context)
    return {
        platform: Inputs(fingerprint=fingerprint.digest or "", parts=dict(fingerprint.parts))
        for platform, fingerprint in fingerprints.platforms.items()
    }


def require_registry(plan: Plan) -> None:
    """Raise UsageError for children that stay on the machine that builds them."""
    if any(planned.staging.kind == "layout" for planned in plan.platforms):
        raise UsageError(
            f"publish.to: {plan.publish.to}: children stay on this machine and cannot be handed over",
            hint=_IMPORT_HINT,
        )


def _require_named_contexts_without_git(plan: Plan) -> None:
    """Raise UsageError for a named context that is sent with `.git`: all its files count."""
    for spec in plan.specs.values():
        for source in spec.contexts.values():
            is_fetched = source.startswith(OTHER_SCHEMES) or is_url(source)
            if not is_fetched and _sends_git(plan.project / source):
                raise _with_git(source)


def _with_git(folder: str) -> UsageError:
    return UsageError(
        f"{folder}: the build context has .git, which is another in every checkout",
        hint="list .git in .dockerignore: what is handed over is found by what goes into it",
    )


def _sends_git(folder: Path) -> bool:
    if not (folder / ".git").exists():
        return False
    ignore = read_ignore(folder, None)
    return not ignore.is_ignored(ignore.matches(".git", ()))


async def hand_over(
    plan: Plan, children: Sequence[PlatformChild], fingerprints: PlanFingerprints, context: RunContext
) -> None:
    """Hand over the proved children of an image."""
    inputs = inputs_of(plan, fingerprints)
    await hand_over_children(plan, children, inputs, context.recorder, now=datetime.now(UTC))


@frozen
class Taken:
    """Children that were handed over before, and which of them passed the test that the config has."""

    children: Mapping[Platform, FinishedChild]
    tested: frozenset[Platform]


async def take_handed_over(plan: Plan, inputs: Mapping[Platform, Inputs], context: RunContext) -> Taken:
    """Return the children of an image that were handed over; RegistryError for a registry that fails."""
    with RegistrySession(plan.registries, on_wait=context.recorder.say) as registries:
        found = await run_in_background(lambda: find_handed_over(plan, inputs, registries))
    if found:
        names = ", ".join(map(str, found))
        context.recorder.say(f"{names}: handed over before, not built again")
    children = {
        platform: FinishedChild(
            platform=str(platform),
            repository=child.staged.repository,
            digest=child.staged.digest,
            fingerprint=child.hand_over.fingerprint,
        )
        for platform, child in found.items()
    }
    tests = {planned.platform: smoke_test_digest(planned) for planned in plan.platforms}
    return Taken(
        children=children,
        tested=frozenset(p for p, child in found.items() if child.hand_over.test == tests[p]),
    )


def changed_inputs(plan: Plan) -> PublishFailed:
    """Return the error of an image whose files changed while they were built from."""
    return PublishFailed(
        f"{_name(plan)}files of the context changed during the builds: nothing is handed over",
        hint="build again: what went into these children is not known",
    )


def _name(plan: Plan) -> str:
    return f"{plan.name} " if plan.name else ""
