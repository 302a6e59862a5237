"""Section "What went wrong": each failure's class, evidence and hint, and a link to its log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from multibuild.report.failure_lines import is_untried
from multibuild.report.gates import gate_end, is_held_back, not_passed
from multibuild.report.html.groups import ordered
from multibuild.report.html.markup import (
    Content,
    Html,
    Section,
    advice,
    code,
    disclosure,
    join,
    prose,
    status,
    tag,
)
from multibuild.report.report import INDEXED_STATUSES
from multibuild.terminal import human_seconds

MAX_FOREIGN_FILES = 20
"""Foreign files in a list."""

RETRY_TEXTS = {
    "permanent": "a retry does not help",
    "once": "worth one more try",
    "auth": "worth a fresh login",
    "transient": "worth retrying",
}


def failures_section(report: Mapping[str, Any], run_path: str) -> Section | None:
    """Return the section; None if nothing failed, not even an attempt that a retry followed."""
    parts = [part for row in _rows(report) if (part := _platform(row, run_path)) is not None]
    return Section(anchor="failures", heading="What went wrong", content=join(parts)) if parts else None


def _rows(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the platforms, of several images those of failed ones first; what another failure skipped is one row."""
    if "groups" not in report:
        yield from report["platforms"]
    for group in ordered(report.get("groups", ())):
        reasons = set[str]()
        for row in group["platforms"]:
            if not is_untried(row):
                yield row
            elif row["reason"] not in reasons:
                reasons.add(row["reason"])
                yield {**row, "platform": group["name"]}


def log_link(log: str | None, run_path: str) -> Content:
    """Return a link to a log, which is a path in the run directory."""
    if not log:
        return None
    return tag("a", code(log), href=quote(f"{run_path}/{log}" if run_path else f"./{log}"))


def _platform(row: Mapping[str, Any], run_path: str) -> Html | None:
    failed = [attempt for attempt in row["attempts"] if attempt.get("class")]
    proofs = [_proof(kind, row[kind]) for kind in ("test", "content") if row[kind]["status"] == "failed"]
    is_failure = row["status"] == "failed" or bool(proofs) or is_held_back(row)
    proofs += [_gate(gate, run_path) for gate in not_passed(row)]
    reason = row.get("reason") if row["status"] not in INDEXED_STATUSES else None
    if not failed and not proofs and not reason:
        return None
    optional = None if row["required"] else tag("span", "optional", class_="note")
    heading = tag("h3", code(row["platform"]), " ", status(row["status"]), optional)
    attempts = [_attempt(attempt, run_path, last=attempt is failed[-1] and is_failure) for attempt in failed]
    message = tag("p", reason, class_="message") if reason else None
    return tag(
        "article", heading, message, *attempts, *proofs, class_="failure bad" if is_failure else "failure"
    )


def _attempt(attempt: Mapping[str, Any], run_path: str, *, last: bool) -> Html:
    retry = str(attempt.get("retry") or "")
    decision = attempt.get("then") or RETRY_TEXTS.get(retry, retry)
    begin = f"Attempt {attempt['number']}, {attempt['outcome']} after {human_seconds(attempt['seconds'])}: "
    summary = join((begin, code(str(attempt["class"])), f" ({decision})"))
    evidence = attempt.get("evidence")
    return disclosure(
        summary,
        tag("pre", evidence, tabindex="0", aria_label="Evidence", role="region") if evidence else None,
        advice(attempt.get("hint")),
        tag("p", "Log: ", log_link(attempt.get("log"), run_path)) if attempt.get("log") else None,
        open_=last,
    )


def _proof(kind: str, proof: Mapping[str, Any]) -> Html:
    foreign = [str(file) for file in proof.get("foreign", ())]
    more = len(foreign) - MAX_FOREIGN_FILES
    items = [tag("li", code(file)) for file in foreign[:MAX_FOREIGN_FILES]]
    items += [tag("li", f"and {more} more")] if more > 0 else []
    detail = proof.get("detail")
    summary: Content = "The test failed" if kind == "test" else "The content is not what the platform claims"
    if proof.get("class"):
        summary = join(("The test could not be run: ", code(str(proof["class"]))))
    return disclosure(
        summary,
        tag("pre", str(detail), tabindex="0", aria_label="What it said", role="region") if detail else None,
        tag("ul", *items) if items else None,
        _origins(proof),
        advice(proof.get("hint")),
        open_=True,
    )


def _gate(gate: Mapping[str, Any], run_path: str) -> Html:
    detail = gate.get("detail")
    return disclosure(
        f"G{gate_end(gate)[1:]}",
        tag("pre", str(detail), tabindex="0", aria_label="What it said", role="region") if detail else None,
        advice(gate.get("hint")),
        tag("p", "Log: ", log_link(gate.get("log"), run_path)) if gate.get("log") else None,
        open_=True,
    )


def _origins(proof: Mapping[str, Any]) -> Html | None:
    """Return where foreign files come from, as a list; None where that is not known."""
    origins = [str(one.get("text")) for one in proof.get("origins", ())]
    items = [tag("li", prose(text)) for text in origins[:MAX_FOREIGN_FILES]]
    return join((tag("p", "Where they come from:"), tag("ul", *items, class_="origins"))) if items else None
