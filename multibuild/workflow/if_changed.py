"""`--if-changed`: compare the inputs of a run with those of the last successful one. Needs no engine.

Inputs are the config, Dockerfiles, contexts and the digests of base images; the registry must still have the result
under every tag. Not compared, hence the flag: what a RUN downloads, and the values of secrets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from multibuild import __version__
from multibuild.builds.fingerprint import (
    Fingerprint,
    PlanFingerprints,
    base_digest,
    fingerprint_platforms,
    registry_digest,
)
from multibuild.builds.inputs import with_dependencies
from multibuild.frozen import frozen
from multibuild.journal.events import (
    ChildRead,
    Event,
    InputsChanged,
    PlatformEnded,
    PlatformInputs,
    RunPlanned,
    RunStarted,
    TagEnded,
)
from multibuild.journal.last_run import is_child, parsed_reference
from multibuild.journal.local_children import holder_of, is_local_child
from multibuild.journal.recorder import Say
from multibuild.resolve.base_triggers import BaseTriggers

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.journal.runs import RunDirectory, State
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.plan.plan import Plan

Command = Literal["build", "publish"]

MAX_RUNS = 20
"""The newest runs to search for a success: reading every journal would take longer than a build in the end."""

_EQUIVALENT_COMMANDS: Mapping[str, frozenset[str]] = {
    "build": frozenset({"build", "publish"}),
    "publish": frozenset({"publish"}),
}
"""Command → commands whose runs have its result: `all` pushes children as `build` does."""


@frozen
class SuccessfulRun:
    """A successful run: its `inputs` by platform, and the digest that each reference must still have."""

    run: RunDirectory
    settings: Mapping[str, str]
    inputs: Mapping[str, Mapping[str, str]]
    expected_digests: Mapping[str, str]


@frozen
class ChangeCheck:
    """The unchanged successful run, or None; `reason` lists what was compared, or what differs.

    `fingerprints` are those of the inputs, where they were read.
    """

    run: RunDirectory | None
    reason: str
    fingerprints: PlanFingerprints | None = None


def check_for_changes(
    loaded: LoadedConfig,
    plan: Plan,
    state: State,
    command: Command,
    *,
    say: Say,
    images: Mapping[str, PlanFingerprints] = MappingProxyType({}),
) -> ChangeCheck:
    """Compare a plan with past successful runs; what cannot be proven unchanged counts as changed.

    `images` are the fingerprints of those that this one is built from.
    """
    from multibuild.oci.registry_session import RegistrySession

    runs = state.runs()
    recent = [_read_success(run, run.events(), command) for run in runs[:MAX_RUNS]]
    successes = [success for success in recent if success is not None]
    if not successes:
        return ChangeCheck(run=None, reason="no run that succeeded is known here")
    settings = setting_digests(loaded, plan)
    success = next((run for run in successes if run.settings == settings), None)
    if success is None:
        return _changed(successes[0], _differences(successes[0].settings, settings))
    if command == "publish" and plan.publish.output.kind != "registry":
        return _changed(success, [f"publish.to: {plan.publish.to} cannot be asked what it holds"])
    with RegistrySession(plan.registries, on_wait=say) as registries:
        return _compare_with_registry(plan, success, registries, runs, images, command=command, say=say)


def _compare_with_registry(
    plan: Plan,
    success: SuccessfulRun,
    registries: RegistrySession,
    runs: Sequence[RunDirectory],
    images: Mapping[str, PlanFingerprints],
    *,
    command: Command,
    say: Say,
) -> ChangeCheck:
    digests: dict[str, str | None] = {}
    names = list(success.expected_digests)

    def resolve(images: Iterable[str]) -> Mapping[str, str | None]:
        # One round of requests: for the base images, and for the results of the successful run.
        bases = list(images)
        requests = [partial(base_digest, registries, image) for image in bases]
        requests += [partial(_current_digest, registries, runs, name) for name in names]
        answers = registries.map(lambda request: request(), requests)
        digests.update(zip(names, answers[len(bases) :], strict=True))
        return dict(zip(bases, answers, strict=False))

    find_triggers = BaseTriggers(registries).find
    own = fingerprint_platforms(
        plan.project,
        plan.specs,
        resolve,
        find_triggers=find_triggers,
        is_recorded=lambda fingerprint: fingerprint.parts in success.inputs.values(),
    )
    inputs = with_dependencies(own, plan, images)
    fingerprints = {str(platform): fingerprint for platform, fingerprint in inputs.platforms.items()}
    changes = _changed_inputs(success, fingerprints)
    changes += [
        _digest_change(name, digests[name], digest)
        for name, digest in success.expected_digests.items()
        if digests[name] != digest
    ]
    if not changes and command == "publish":
        changes += _unsigned(plan, registries, say)
    if changes:
        return _changed(success, changes)
    parts = {part for fingerprint in fingerprints.values() for part in fingerprint.parts}
    count = len([part for part in parts if part.startswith("base ")])
    compared = f"config, context, {count} base image{'s' * (count != 1)}, {len(names)} published digests"
    reason = f"unchanged since run {success.run.id} ({compared}); nothing to do"
    return ChangeCheck(run=success.run, reason=reason, fingerprints=inputs)


def _unsigned(plan: Plan, registries: RegistrySession, say: Say) -> list[str]:
    """Return the change that what the tags hold has no signature any more, if the config wants one."""
    from multibuild.oci.errors import RegistryError
    from multibuild.oci.reference import Reference
    from multibuild.publish.sign import find_unsigned

    if plan.sign is None:
        return []
    target = plan.targets[0]
    tag = Reference.parse(target.repository).with_tag(target.tags[0])
    try:
        repository = find_unsigned(plan, registries.of(tag.host).manifest(tag), registries, say)
    except RegistryError as error:
        return [error.message]
    return [f"{repository} has no signature by {plan.sign.identity}"] if repository is not None else []


def _current_digest(registries: RegistrySession, runs: Sequence[RunDirectory], name: str) -> str | None:
    """Return the digest of a reference, from its registry, or from run directories for a child staged locally."""
    if not _is_name(name):
        return None
    if not is_local_child(name):
        return registry_digest(registries, name)
    repository, _, digest = name.partition("@")
    return digest if holder_of(repository, digest, runs) is not None else None


def setting_digests(loaded: LoadedConfig, plan: Plan) -> dict[str, str]:
    """Return a digest of each setting that affects the result, by key, without the values themselves."""
    from multibuild.config.profiles import load_profile
    from multibuild.json_types import as_json

    canonical: dict[str, Any] = json.loads(loaded.canonical)
    builders = {entry.builder for entry in loaded.config.platforms if entry.builder} | {loaded.config.builder}
    profiles = [as_json(load_profile(name, plan.project)) for name in sorted(builders)]
    platforms = [str(planned.platform) for planned in plan.platforms]
    return {
        **{key: _digest(value) for key, value in canonical.items()},
        "the builder's profile": _digest(profiles),
        "--platform": _digest(platforms),
        "multibuild itself": __version__,
    }


def _read_success(run: RunDirectory, events: Sequence[Event], command: Command) -> SuccessfulRun | None:
    """Return the run, if it succeeded with the result of `command`, else None."""
    settings: Mapping[str, str] | None = None
    inputs: dict[str, Mapping[str, str]] = {}
    for event in events:
        match event:
            case RunStarted() if event.command not in _EQUIVALENT_COMMANDS[command]:
                return None
            case InputsChanged():
                return None
            case RunPlanned():
                settings = event.settings
            case PlatformInputs() if event.inputs:
                inputs[event.platform] = event.parts
    digests = _expected_digests(events, command)
    # The report, not the journal's last event: the command `test` may have failed since.
    is_success = (run.report() or {}).get("status") == "succeeded"
    if not (is_success and settings and digests):
        return None
    return SuccessfulRun(run=run, settings=settings, inputs=inputs, expected_digests=digests)


def _expected_digests(events: Sequence[Event], command: Command) -> dict[str, str]:
    """Return the digests that references must still have: tags their index, repositories its images."""
    children = {
        f"{event.repository}@{event.digest}": event.digest
        for event in events
        # Entries carried over from an older index were built by no run, and older journals lack their repository.
        if isinstance(event, PlatformEnded) and event.digest and event.repository
    }
    if command == "build":
        return children
    tags = {event.ref: event.after or "" for event in events if isinstance(event, TagEnded)}
    images = [event.manifest for event in events if isinstance(event, ChildRead)]
    repositories = {tag.rpartition(":")[0] for tag in tags}
    return {**tags, **{f"{name}@{digest}": digest for name in repositories for digest in images}}


def _is_name(name: str) -> bool:
    """Whether a journal's reference can be asked for: of an image, or of a child in a run's directory."""
    repository, _, digest = name.partition("@")
    return is_child(repository, digest) if is_local_child(name) else parsed_reference(name) is not None


def _changed_inputs(success: SuccessfulRun, current: Mapping[str, Fingerprint]) -> list[str]:
    """Return the names of parts that differ or are unknown, each once for all platforms."""
    changes: dict[str, None] = {}
    for platform, fingerprint in current.items():
        if fingerprint.unknown:
            changes[f"{fingerprint.unknown} cannot be proven unchanged"] = None
        elif platform not in success.inputs:
            changes[f"{platform} is new"] = None
        else:
            changes.update(dict.fromkeys(_differences(success.inputs[platform], fingerprint.parts)))
    return list(changes)


def _digest_change(name: str, current: str | None, expected: str) -> str:
    return f"{name} holds {current[:19]} instead of {expected[:19]}" if current else f"{name} is gone"


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]


def _changed(success: SuccessfulRun, changes: Sequence[str]) -> ChangeCheck:
    return ChangeCheck(run=None, reason=f"changed since run {success.run.id}: {', '.join(changes)}")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
