"""Explanation of a build log: how the build ended, the class of its failure, what was cancelled because of it."""

from __future__ import annotations

from typing import IO, Literal

from multibuild.buildx.read_log.build_log import BuildLog
from multibuild.buildx.read_log.choose import cause_of, evidence, unfinished
from multibuild.buildx.read_log.platforms_of import platform_of, ran_emulated
from multibuild.buildx.read_log.reader import read_log
from multibuild.buildx.read_log.steps import LogStep
from multibuild.buildx.read_log.suspects import most_suspect
from multibuild.failures.classify import Failure, classify, failure_of
from multibuild.failures.evidence import Evidence
from multibuild.frozen import frozen
from multibuild.terminal import one_line

MAX_OTHERS = 20
"""Further steps that are named."""

NO_END = "the log ends while this step runs"
_UNDECIDED = frozenset({"unknown", "unknown-transfer", "step-failed"})

Outcome = Literal["failed", "unfinished", "succeeded", "no-log"]


@frozen
class OtherStep:
    """A step that failed too, or was cancelled because of the failure. `platform` is empty where its name has none."""

    step: str
    platform: str
    outcome: Literal["failed", "canceled"]


@frozen
class Explanation:
    """What a log says. `failure` is None for a build that succeeded and for a text without a build's end.

    `emulated`: whether the failing step ran under emulation, None where the log does not say.
    """

    outcome: Outcome
    failure: Failure | None = None
    step: str = ""
    platform: str = ""
    emulated: bool | None = None
    others: tuple[OtherStep, ...] = ()


def explain_log(stream: IO[bytes]) -> Explanation:
    """Return the explanation of a log of any size, in whatever form it was pasted."""
    log = read_log(stream)
    if (cause := cause_of(log)) is not None:
        return _explained(log, "failed", cause.evidence, cause.step)
    if log.docker_error:
        return _explained(log, "failed", _of_docker(log), None)
    step = unfinished(log)
    if step is not None and (log.cut or not log.successes):
        return _cut_off(log, step)
    if log.successes:
        return Explanation(outcome="succeeded")
    return _without_build(log)


def _explained(log: BuildLog, outcome: Outcome, evidence: Evidence, step: LogStep | None) -> Explanation:
    texts = (evidence.message, *evidence.tail, *evidence.decisive)
    emulated = ran_emulated(evidence.step, texts, (other.name for other in log.steps))
    return Explanation(
        outcome=outcome,
        failure=classify(evidence, emulated=emulated),
        step=one_line(evidence.step),
        platform=platform_of(evidence.step),
        emulated=emulated,
        others=_others(log, step),
    )


def _of_docker(log: BuildLog) -> Evidence:
    return evidence(log.docker_error, "", log.loose.lines, ())


def _cut_off(log: BuildLog, step: LogStep) -> Explanation:
    """Explain a log that ends in a step: what the step printed decides, a crash before it hung for example."""
    shown = evidence(log.cut or NO_END, step.name, step.lines, step.decisive.lines)
    explained = _explained(log, "unfinished", shown, step)
    failure = explained.failure
    if failure is not None and failure.kind.name in _UNDECIDED:
        failure = failure_of(_class_of_cut(log.cut), failure.evidence)
    return Explanation(
        outcome="unfinished",
        failure=failure,
        step=explained.step,
        platform=explained.platform,
        emulated=explained.emulated,
        others=explained.others,
    )


def _class_of_cut(cut: str) -> str:
    if not cut:
        return "unknown"
    return "timeout" if any(word in cut for word in ("tim", "longer", "exceeded", "no output")) else "killed"


def _without_build(log: BuildLog) -> Explanation:
    """Explain lines of which no builder says anything: those of a tool, or no log at all."""
    lines, decisive = tuple(log.loose.lines), log.loose.decisive.lines
    suspects = most_suspect(lines)
    if not suspects and not decisive:
        return Explanation(outcome="no-log")
    last = suspects[-1] if suspects else decisive[-1]
    explained = _explained(log, "failed", evidence(last, "", lines, decisive), None)
    if explained.failure is None or explained.failure.kind.name not in _UNDECIDED:
        return explained
    return _explained(log, "failed", evidence(last, "", suspects, ()), None)


def _others(log: BuildLog, cause: LogStep | None) -> tuple[OtherStep, ...]:
    """Return the steps that failed beside the cause, then those that were cancelled."""
    steps = [step for step in log.steps if step.error and step is not cause and step.name]
    ordered = sorted(steps, key=lambda step: (step.canceled, step.error_order))
    return tuple(
        OtherStep(
            step=one_line(step.name),
            platform=platform_of(step.name),
            outcome="canceled" if step.canceled else "failed",
        )
        for step in ordered[:MAX_OTHERS]
    )
