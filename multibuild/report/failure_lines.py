"""Failures of a run and of its platforms as lines of plain text, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.report.gates import gate_end, not_passed
from multibuild.terminal import one_line, printable

MAX_EVIDENCE_LINES = 14
"""Of a failure: the step, lines far above its end that decided, its last lines, BuildKit's error."""

MAX_FOREIGN_FILES = 5
QUOTE_INDENT = "    "
"""Indent of a line that a build or a test printed."""


def error_lines(error: Mapping[str, Any]) -> list[str]:
    """Return the run's own error, of one or more lines, and its hint, which is never shortened."""
    lines = printable(f"error: {error.get('message')}").splitlines()
    return [*lines, one_line(f"hint:  {error['hint']}")] if error.get("hint") else lines


def failure_lines(platform: Mapping[str, Any]) -> list[str]:
    """Return why a platform failed: each attempt's class, the last one's evidence and hint, its failed proofs.

    A platform that succeeded after a retry has one line for each failed attempt. Lines are printable.
    """
    name = platform["platform"]
    failed = [attempt for attempt in platform["attempts"] if attempt.get("class")]
    # A journal that ends before the decision has only what the failure class allows ("retry").
    lines = [
        f"{name}: attempt {attempt['number']} {attempt['outcome']}: {attempt['class']} "
        f"({attempt.get('then') or attempt['retry']}), {attempt['log']}"
        for attempt in failed
    ]
    if failed and platform["status"] == "failed":
        lines += _quote(failed[-1]["evidence"])
        lines += [f"  hint: {failed[-1]['hint']}"] if failed[-1].get("hint") else []
    if platform.get("reason"):
        lines.append(f"{name}: {platform['status']}: {platform['reason']}")
    for kind in ("test", "content"):
        if platform[kind]["status"] == "failed":
            failure = failed_proof(kind, platform[kind].get("class"))
            lines += [f"{name}: {failure}", *_proof(platform[kind])]
            lines += _clue(platform) if kind == "test" else []
    for gate in not_passed(platform):
        lines += [f"{name}: {gate_end(gate)}", *_gate(gate)]
    return [one_line(line) for line in lines]


def failures_of(platforms: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Return each platform that has failure lines, with these.

    An image that another one's failure skipped has one line for all of its platforms.
    """
    failures: list[tuple[Mapping[str, Any], list[str]]] = []
    seen = set[tuple[str, str, str]]()
    for platform in platforms:
        lines = failure_lines(platform)
        if is_untried(platform):
            name = str(platform["platform"])
            image = name.removesuffix(f" {platform.get('name')}")
            key = (image, str(platform["status"]), str(platform["reason"]))
            if image != name:
                lines = [] if key in seen else [one_line(f"{image}: {key[1]}: {key[2]}")]
            seen.add(key)
        if lines:
            failures.append((platform, lines))
    return failures


def is_untried(platform: Mapping[str, Any]) -> bool:
    """Whether a platform has a reason, and nothing of its own that failed."""
    proofs = (platform["test"]["status"], platform["content"]["status"])
    return bool(platform.get("reason")) and not platform["attempts"] and "failed" not in proofs


def has_failed(platform: Mapping[str, Any]) -> bool:
    """Whether a platform's build, a proof of it or a gate failed; not one that a retry resolved."""
    proofs = (platform["test"]["status"], platform["content"]["status"])
    return platform["status"] != "succeeded" or "failed" in proofs or bool(not_passed(platform))


def _gate(gate: Mapping[str, Any]) -> list[str]:
    """Return what a gate printed last, the hint, and where the rest is."""
    lines = _quote(gate.get("detail"))
    lines += [f"  hint: {gate['hint']}"] if gate.get("hint") else []
    return [*lines, f"  log: {gate['log']}"] if gate.get("log") else lines


def _clue(platform: Mapping[str, Any]) -> list[str]:
    """Return what a passed proof noted about an image whose test failed: a missing loader, a foreign library.

    "No such file or directory" and "No module named" do not name it.
    """
    content = platform["content"]
    detail = content.get("detail") if content["status"] == "passed" else None
    return [f"  noted in its files: {printable(str(detail))}"] if detail else []


def retry_manner(*, alone: bool, patience: str | None) -> str:
    """Return how an attempt is repeated, as the end of a sentence."""
    return (", alone" if alone else "") + (f", {patience}" if patience else "")


def failed_proof(kind: str, failure_class: str | None) -> str:
    """Return which proof failed, or why it could not be run."""
    return f"{kind} not run: {failure_class}" if failure_class else f"{kind} failed"


def _proof(proof: Mapping[str, Any]) -> list[str]:
    foreign = [str(file) for file in proof.get("foreign", ())]
    more = len(foreign) - MAX_FOREIGN_FILES
    lines = _quote(proof.get("detail"))
    lines += [f"{QUOTE_INDENT}foreign: {file}" for file in foreign[:MAX_FOREIGN_FILES]]
    lines += [f"{QUOTE_INDENT}and {more} more"] if more > 0 else []
    lines += [f"  from: {one.get('text')}" for one in proof.get("origins", ())[:MAX_FOREIGN_FILES]]
    return [*lines, f"  hint: {proof['hint']}"] if proof.get("hint") else lines


def _quote(text: Any) -> list[str]:
    return [f"{QUOTE_INDENT}{line}" for line in printable(str(text or "")).splitlines()[-MAX_EVIDENCE_LINES:]]
