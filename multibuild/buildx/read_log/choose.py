"""Choice of the cause among all that failed in a log: what failed first by itself, not what was cancelled for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import dedent

from multibuild.buildx.read_log.build_log import BuildLog, FinalError
from multibuild.buildx.read_log.messages import command_of
from multibuild.buildx.read_log.steps import LogStep
from multibuild.failures.evidence import Evidence
from multibuild.frozen import frozen
from multibuild.redact import redacted
from multibuild.terminal import printable

_BLANKS = re.compile(r"[\s\\]{1,10000}")
_BLOCK_ONLY = "failed"
"""The error of a step that a terminal's row says no more about."""

_PLACE = re.compile(r"\d/\d{1,4}\] ")
MIN_COMMAND_CHARACTERS = 3
MATCHED_CHARACTERS = 200


@frozen
class Cause:
    """The evidence of the failure, and the step that it is of; None where the log does not show which."""

    evidence: Evidence
    step: LogStep | None


def cause_of(log: BuildLog) -> Cause | None:
    """Return the cause of a build's failure; None for a log without an error of a builder."""
    final = log.final
    counted = (step for step in log.steps if step.has_failed and not _is_survived(step, log))
    failed = sorted(counted, key=lambda step: step.error_order)
    if final is None:
        canceled = [] if log.successes else [step for step in log.steps if step.canceled]
        failed = failed or canceled
        return _of_step(failed[0], failed[0].error, log) if failed else None
    step = final.step or _named_by(final, failed, log) or log.block
    if step is None and failed and _is_of_cancellation(final.message.text):
        step = failed[0]
    if step is None and len(failed) == 1 and not final.message.command:
        step = failed[0]
    if step is not None:
        return _of_step(step, _fuller(final.message.text, step.error), log)
    return _without_step(final, log)


def unfinished(log: BuildLog) -> LogStep | None:
    """Return the step that ran when the log ended; None if there is none."""
    if log.running:
        return log.running[-1]
    running = [step for step in log.steps if step.is_running]
    return running[-1] if running and not log.is_finished else None


def has_succeeded(log: BuildLog) -> bool:
    """Whether a log without an error shows a build to its end: an image was made, or each step was done."""
    if log.successes or log.is_finished:
        return True
    steps = [step for step in log.steps if step.name]
    return (
        bool(steps) and all(step.done for step in steps) and any(_PLACE.search(step.name) for step in steps)
    )


def evidence(message: str, name: str, lines: Iterable[str], decisive: Iterable[str]) -> Evidence:
    """Return evidence that may be shown: printable, without secrets."""
    indented = [*lines]
    tail = _without_margin(indented)
    margin = next((line.removesuffix(rest) for line, rest in zip(indented, tail, strict=True) if rest), "")
    return Evidence(
        message=_shown(message),
        step=_shown(name),
        tail=tuple(map(_shown, tail)),
        decisive=tuple(_shown(line.removeprefix(margin)) for line in decisive),
    )


def _is_survived(step: LogStep, log: BuildLog) -> bool:
    """Whether a build went on without what failed: a cache that is missing, or one of `ignore-error=true`."""
    if not step.name.rpartition("] ")[2].startswith(("importing cache", "exporting cache")):
        return False
    return _begin(step.error) not in log.final.message.text if log.final else log.successes > 0


def _named_by(final: FinalError, failed: Sequence[LogStep], log: BuildLog) -> LogStep | None:
    """Return the failed step whose error or command the final error repeats."""
    text = final.message.text
    for step in failed:
        if step.error != _BLOCK_ONLY and _begin(step.error) in text:
            return step
    command = _plain(final.message.command)
    if len(command) < MIN_COMMAND_CHARACTERS:
        return None
    candidates = sorted(
        log.steps, key=lambda step: (step is not log.block, not step.error, step.canceled, -step.order)
    )
    return next((step for step in candidates if _runs(step, command)), None)


def _runs(step: LogStep, command: str) -> bool:
    """Whether a step's name has a command, of which a terminal may have cut the end."""
    _, is_run, own = step.name.partition("RUN ")
    own = _plain(own.rstrip(" …"))
    return (
        bool(is_run) and bool(own) and (own.endswith(command) or command.startswith(own[:MATCHED_CHARACTERS]))
    )


def _of_step(step: LogStep, message: str, log: BuildLog) -> Cause:
    name = step.name or _named_after(message, log)
    lines, decisive = tuple(step.lines), step.decisive.lines
    if not lines and not step.is_numbered and (nameless := _nameless(log)):
        return Cause(evidence=evidence(message, name, nameless.lines, nameless.decisive.lines), step=step)
    if not lines and log.final is not None and step is not log.block and not step.is_numbered:
        lines, decisive = log.final.lines, log.final.decisive
    return Cause(evidence=evidence(message, name, lines, decisive), step=step)


def _nameless(log: BuildLog) -> LogStep | None:
    """Return the step of which a cut log has the output, but not the name."""
    found = [
        step for step in log.steps if step.is_numbered and not step.name and step.lines and not step.error
    ]
    return found[-1] if found else None


def _without_step(final: FinalError, log: BuildLog) -> Cause:
    """Return the cause of which only the end is known: the error's command and the lines that have no step."""
    name = _named_after(final.message.text, log)
    step = _nameless(log)
    if step and (not final.lines or (step.decisive.lines and not final.decisive)):
        return Cause(evidence=evidence(final.message.text, name, step.lines, step.decisive.lines), step=step)
    return Cause(evidence=evidence(final.message.text, name, final.lines, final.decisive), step=None)


def _named_after(message: str, log: BuildLog) -> str:
    command = command_of(message)
    if not command:
        return ""
    marked = "\n".join(log.commands)
    return marked if marked.startswith("RUN ") else f"RUN {command}"


def _fuller(message: str, error: str) -> str:
    """Return the final error if it says what the step's own error says, else that."""
    if not error or error == _BLOCK_ONLY or _begin(error) in message:
        return message
    return error if _is_of_cancellation(message) or 'process "' in error else message


def _is_of_cancellation(text: str) -> bool:
    return "context canceled" in text or "Canceled" in text


def _begin(text: str) -> str:
    return text[:MATCHED_CHARACTERS]


def _plain(command: str) -> str:
    """Return a command without what forms show differently: blanks, line ends, escapes."""
    return _BLANKS.sub("", command.replace('"', ""))


def _shown(text: str) -> str:
    return printable(redacted(text))


def _without_margin(lines: Iterable[str]) -> list[str]:
    """Return lines without the blanks that all of them begin with."""
    return dedent("\n".join(lines)).split("\n") if lines else []
