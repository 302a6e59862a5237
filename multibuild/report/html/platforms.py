"""Section "Platforms and proofs": each platform's status, size, smoke test and content check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.report.gates import gates_of, has_gates
from multibuild.report.html.groups import by_image
from multibuild.report.html.markup import Content, Html, Section, code, join, status, table, tag
from multibuild.terminal import human_bytes, human_seconds

DIGEST_LENGTH = 12


def platforms_section(report: Mapping[str, Any]) -> Section | None:
    """Return the section; None for a run that ended before it had platforms."""
    if not report["platforms"]:
        return None
    content = by_image(report, _table)
    return Section(anchor="platforms", heading="Platforms and proofs", content=content)


def _table(group: Mapping[str, Any]) -> Html | None:
    headings = ["Platform", "Status", "Built on", "Time", "Attempts", "Test", "Content", "Size", "Child"]
    rows = [_row(row) for row in group["platforms"]]
    caption = "Each platform's image, its test and the look into its files."
    if has_gates(group):  # last, so that the numbers of columns stay
        headings.append("Gates")
        rows = [[*cells, _gates(row)] for cells, row in zip(rows, group["platforms"], strict=True)]
    return table(caption, headings, rows, numbers=frozenset({3, 4, 7})) if rows else None


def _row(row: Mapping[str, Any]) -> list[Content]:
    optional = None if row["required"] else tag("span", "optional", class_="note")
    reason = tag("div", row["reason"], class_="reason") if row.get("reason") else None
    digest = (row["digest"] or "").removeprefix("sha256:")[:DIGEST_LENGTH]
    return [
        code(row.get("name", row["platform"])),
        join((status(row["status"]), optional, reason)),
        f"{row['node'] or 'unknown'}{', emulated' if row['emulated'] else ', native'}",
        human_seconds(row["seconds"]),
        str(len(row["attempts"])),
        _test(row["test"]),
        _content(row["content"]),
        human_bytes(row["bytes"]) if row["bytes"] else "–",
        tag("code", digest, title=row["digest"], class_="short") if digest else "–",
    ]


def _test(proof: Mapping[str, Any]) -> Content:
    word = "not run" if proof.get("class") else proof["status"]
    return join((status(word), _small(proof["seconds"] and human_seconds(proof["seconds"]))))


def _content(proof: Mapping[str, Any]) -> Content:
    checked, foreign = proof.get("checked"), len(proof.get("foreign") or ())
    note = f"{checked} file{'' if checked == 1 else 's'}" if checked else ""
    note += f", {foreign} foreign" if foreign else ""
    return join((status(proof["status"]), _small(note)))


def _gates(row: Mapping[str, Any]) -> Content:
    """Return each gate with its status; the reason of one that passed is its measure."""
    gates = gates_of(row)
    return join([tag("div", _gate(gate)) for gate in gates]) if gates else "–"


def _gate(gate: Mapping[str, Any]) -> Html:
    word = "not run" if gate["status"] == "not-run" else gate["status"]
    optional = None if gate["required"] else tag("span", "optional", class_="note")
    return join((code(gate["name"]), " ", status(word), optional, _small(gate.get("reason"))))


def _small(text: str | None) -> Html | None:
    return tag("small", text, class_="note short") if text else None
