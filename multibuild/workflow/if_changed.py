"""`--if-changed`: whether everything that goes into a run is what it was when the run last succeeded.

Proven are the config, Dockerfiles, contexts and the digests of base images, and that the registry still has the
result under every tag. Not proven, and why this is asked for by a flag: what a RUN downloads, and what secrets hold.
No engine is asked anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from multibuild import __version__
from multibuild.builds.fingerprint import Fingerprint, base_digest, fingerprint_platforms, held_digest
from multibuild.frozen import frozen
from multibuild.journal.events import Event
from multibuild.journal.journal import read_journal
from multibuild.journal.recorder import Say

if TYPE_CHECKING:
    from multibuild.journal.runs import RunDirectory, State
    from multibuild.oci.registries import RegistrySession
    from multibuild.plan.plan import Plan

Command = Literal["build", "publish"]

RUNS_LOOKED_AT = 20
"""A result older than so many runs is built anew: reading every journal ever written takes longer in the end."""

_GOOD_FOR: Mapping[str, frozenset[str]] = {
    "build": frozenset({"build", "publish"}),
    "publish": frozenset({"publish"}),
}
"""Which commands leave what a command wants: `all` leaves children as `build` does."""


@frozen
class PastSuccess:
    """A run that succeeded. `inputs` are parts by platform; `held` the digest that each reference must have."""

    run: RunDirectory
    settings: Mapping[str, str]
    inputs: Mapping[str, Mapping[str, str]]
    held: Mapping[str, str]


@frozen
class Verdict:
    """`run` is the success that still holds, or None; `reason` is what was compared, or what differs, in words."""

    run: RunDirectory | None
    reason: str


def compare(plan: Plan, state: State, command: Command, say: Say) -> Verdict:
    """Compare a plan with the runs that succeeded before; what cannot be proven counts as changed."""
    from multibuild.oci.registries import RegistrySession

    past = list(_successes(state, command))
    if not past:
        return Verdict(run=None, reason="no run that succeeded is known here")
    settings = settings_of(plan)
    same = next((success for success in past if success.settings == settings), None)
    if same is None:
        return _changed(past[0], _differing(past[0].settings, settings))
    if command == "publish" and plan.config.publish.output.kind != "registry":
        return _changed(same, [f"publish.to: {plan.config.publish.to} cannot be asked what it holds"])
    with RegistrySession(plan.config.registry_settings, on_wait=say) as registries:
        return _with_registry(plan, same, registries, state.runs())


def _with_registry(
    plan: Plan, same: PastSuccess, registries: RegistrySession, runs: Sequence[RunDirectory]
) -> Verdict:
    found: dict[str, str | None] = {}
    held = list(same.held)

    def resolve(images: Iterable[str]) -> Mapping[str, str | None]:
        # One round of questions: what the result needs is asked along with what goes into it.
        asked = list(images)
        questions = [partial(base_digest, registries, image) for image in asked]
        questions += [partial(_held_now, registries, runs, name) for name in held]
        answers = registries.map(lambda question: question(), questions)
        found.update(zip(held, answers[len(asked) :], strict=True))
        return dict(zip(asked, answers, strict=False))

    inputs = fingerprint_platforms(plan.loaded.project, plan.specs, resolve)
    changes = _changed_inputs(same, {str(platform): told for platform, told in inputs.platforms.items()})
    changes += [
        _lost(name, found[name], digest) for name, digest in same.held.items() if found[name] != digest
    ]
    if changes:
        return _changed(same, changes)
    bases = {part for told in inputs.platforms.values() for part in told.parts if part.startswith("base ")}
    compared = f"config, context, {len(bases)} base image{'s' * (len(bases) != 1)}, {len(same.held)} published digests"
    return Verdict(run=same.run, reason=f"unchanged since run {same.run.id} ({compared}); nothing to do")


def _held_now(registries: RegistrySession, runs: Sequence[RunDirectory], name: str) -> str | None:
    """Ask for what a name leads to: the registry, or the directories of runs for a child no registry holds."""
    from multibuild.journal.local_children import holder_of, is_staged_here

    if not is_staged_here(name):
        return held_digest(registries, name)
    repository, _, digest = name.partition("@")
    return digest if holder_of(repository, digest, runs) is not None else None


def settings_of(plan: Plan) -> dict[str, str]:
    """Name each setting that decides a result, by its key; the values themselves are not in it."""
    from multibuild.config.profiles import load_profile
    from multibuild.json_types import as_json

    settled: dict[str, Any] = json.loads(plan.loaded.canonical)
    builders = {entry.builder for entry in plan.config.platforms if entry.builder} | {plan.config.builder}
    profiles = [as_json(load_profile(name, plan.loaded.project)) for name in sorted(builders)]
    chosen = [str(item.platform) for item in plan.platforms]
    return {
        **{key: _name(value) for key, value in settled.items()},
        "the builder's profile": _name(profiles),
        "--platform": _name(chosen),
        "multibuild itself": __version__,
    }


def _successes(state: State, command: Command) -> Iterable[PastSuccess]:
    """Give the runs that left what `command` wants, newest first."""
    for run in state.runs()[:RUNS_LOOKED_AT]:
        success = past_success(run, read_journal(run.journal_path), command)
        if success is not None:
            yield success


def past_success(run: RunDirectory, events: Sequence[Event], command: Command) -> PastSuccess | None:
    """Fold a journal; None for a run that did not succeed, or did something else."""
    settings: Mapping[str, str] | None = None
    inputs: dict[str, Mapping[str, str]] = {}
    for event in events:
        fields = event.fields
        match event.name:
            case "run.started" if fields.get("command") not in _GOOD_FOR[command]:
                return None
            case "inputs.changed":
                return None
            case "run.planned":
                settings = fields.get("settings")
            case "platform.inputs" if fields.get("inputs"):
                inputs[fields["platform"]] = fields["parts"]
    held = _held(events, command)
    # The report knows better than the journal's last line: `test` may have found something since.
    good = (run.report() or {}).get("status") == "succeeded"
    if not (good and settings and held):
        return None
    return PastSuccess(run=run, settings=settings, inputs=inputs, held=held)


def _held(events: Sequence[Event], command: Command) -> dict[str, str]:
    """What the registry must still have: every tag its index, and each repository the images in it."""
    children = {
        f"{event.fields['repository']}@{event.fields['digest']}": event.fields["digest"]
        for event in events
        # What was carried from an older index was built by no run, and older journals do not say where it is.
        if event.name == "platform.ended" and event.fields.get("digest") and event.fields.get("repository")
    }
    if command == "build":
        return children
    tags = {event.fields["ref"]: event.fields["after"] for event in events if event.name == "tag.ended"}
    images = [event.fields["manifest"] for event in events if event.name == "child.read"]
    repositories = {tag.rpartition(":")[0] for tag in tags}
    return {**tags, **{f"{name}@{digest}": digest for name in repositories for digest in images}}


def _changed_inputs(same: PastSuccess, now: Mapping[str, Fingerprint]) -> list[str]:
    """Name the parts that differ, and what cannot be known; each once, however many platforms have it."""
    found: dict[str, None] = {}
    for platform, told in now.items():
        if told.unknown:
            found[f"{told.unknown} cannot be proven unchanged"] = None
        elif platform not in same.inputs:
            found[f"{platform} is new"] = None
        else:
            found.update(dict.fromkeys(_differing(same.inputs[platform], told.parts)))
    return list(found)


def _lost(name: str, now: str | None, before: str) -> str:
    return f"{name} is gone" if now is None else f"{name} holds {now[:19]} instead of {before[:19]}"


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [key for key in {**before, **now} if before.get(key) != now.get(key)]


def _changed(since: PastSuccess, what: Sequence[str]) -> Verdict:
    return Verdict(run=None, reason=f"changed since run {since.run.id}: {', '.join(what)}")


def _name(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
