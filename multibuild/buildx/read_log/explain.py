"""Explanation of a build log: how the build ended, the class of its failure, what was cancelled because of it."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Literal

from multibuild.buildx.read_log.build_log import BuildLog
from multibuild.buildx.read_log.choose import cause_of, evidence, has_succeeded, unfinished
from multibuild.buildx.read_log.messages import docker_error, quoted_error
from multibuild.buildx.read_log.platforms_of import platform_of, ran_emulated
from multibuild.buildx.read_log.reader import read_log
from multibuild.buildx.read_log.steps import LogStep
from multibuild.buildx.read_log.suspects import most_suspect
from multibuild.failures.classify import Failure, classify, failure_of
from multibuild.failures.evidence import Evidence
from multibuild.frozen import frozen
from multibuild.redact import redacted
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
    if message := _of_docker(log):
        return _explained(log, "failed", evidence(message, "", log.loose.lines, ()), None)
    step = unfinished(log)
    if step is not None and (message := _of_instruction(step)):
        return _explained(log, "failed", evidence(message, step.name, step.lines, ()), step)
    if step is not None and (log.cut or not log.successes):
        return _cut_off(log, step)
    if has_succeeded(log):
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


def _of_docker(log: BuildLog) -> str:
    """Return the last error of docker itself; empty without one. Its commands say some of them without a prefix."""
    errors = () if log.running else map(docker_error, reversed(log.loose.lines))
    return next(filter(None, errors), log.docker_error)


def _of_instruction(step: LogStep) -> str:
    """Return the error of a COPY or FROM of the builder before BuildKit, which says it and ends; empty without one."""
    if step.is_numbered or "RUN " in step.name:
        return ""
    return next(filter(None, map(docker_error, reversed(step.lines))), "")


def _cut_off(log: BuildLog, step: LogStep) -> Explanation:
    """Explain a log that ends in a step: what the step printed decides, a crash before it hung for example."""
    shown = evidence(NO_END, step.name, step.lines, step.decisive.lines)
    explained = _explained(log, "unfinished", shown, step)
    failure = explained.failure
    if failure is not None and failure.kind.name in _UNDECIDED:
        failure = failure_of(_class_of_cut(log.cut), failure.evidence)
    if failure is not None and log.cut:
        failure = replace(failure, evidence=f"{failure.evidence}\n{one_line(redacted(log.cut))}")
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
    if (message := next(filter(None, map(quoted_error, reversed(lines))), None)) is not None:
        name = f"RUN {message.command}" if message.command else ""
        return _explained(log, "failed", evidence(message.text, name, (), decisive), None)
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
