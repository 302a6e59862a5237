"""What went wrong, in lines of plain text: for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.terminal import one_line, printable

EVIDENCE_LINES = 10
MOST_FOREIGN = 5
QUOTED = "    "
"""How lines begin that others wrote."""


def error_lines(error: Mapping[str, Any]) -> list[str]:
    """Give the run's own error; it may have several lines, and the hint is as long as it is."""
    lines = printable(f"error: {error.get('message')}").splitlines()
    return [*lines, one_line(f"hint:  {error['hint']}")] if error.get("hint") else lines


def trouble_lines(platform: Mapping[str, Any]) -> list[str]:
    """Say why a platform did not make it: each attempt's class, the last one's evidence, test and proof.

    One that made it after a failed attempt has its classes said in a line each. Lines are printable.
    """
    name = platform["platform"]
    failed = [attempt for attempt in platform["attempts"] if attempt.get("class")]
    lines = [
        f"{name}: attempt {attempt['number']} {attempt['outcome']}: {attempt['class']} ({_then(attempt)}), "
        f"{attempt['log']}"
        for attempt in failed
    ]
    if failed and platform["status"] == "failed":
        lines += _quoted(failed[-1]["evidence"])
        lines += [f"  hint: {failed[-1]['hint']}"] if failed[-1].get("hint") else []
    if platform.get("reason"):
        lines.append(f"{name}: {platform['status']}: {platform['reason']}")
    for what in ("test", "content"):
        if platform[what]["status"] == "failed":
            failure = failed_proof(what, platform[what].get("class"))
            lines += [f"{name}: {failure}", *_proof(platform[what])]
    return [one_line(line) for line in lines]


def failed_proof(what: str, failure_class: str | None) -> str:
    """Return what failed: the proof, or what kept it from being had."""
    return f"{what} not run: {failure_class}" if failure_class else f"{what} failed"


def _then(attempt: Mapping[str, Any]) -> str:
    """Say what was decided after a failure; where a journal ends before that, what its class allows."""
    return str(attempt.get("then") or attempt["retry"])


def _proof(proof: Mapping[str, Any]) -> list[str]:
    foreign = [str(file) for file in proof.get("foreign", ())]
    more = len(foreign) - MOST_FOREIGN
    lines = _quoted(proof.get("detail"))
    lines += [f"{QUOTED}foreign: {file}" for file in foreign[:MOST_FOREIGN]]
    lines += [f"{QUOTED}and {more} more"] if more > 0 else []
    return [*lines, f"  hint: {proof['hint']}"] if proof.get("hint") else lines


def _quoted(text: Any) -> list[str]:
    return [f"{QUOTED}{line}" for line in printable(str(text or "")).splitlines()[-EVIDENCE_LINES:]]
