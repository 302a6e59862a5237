"""Findings as text, JSON and SARIF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from multibuild import __version__
from multibuild.lint.finding import Finding, Level
from multibuild.lint.rules import RULES

_SARIF_LEVELS: dict[Level, str] = {"error": "error", "warning": "warning", "hint": "note"}


def as_text(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield two lines a finding: what is wrong where, and what to write instead."""
    for one in findings:
        yield f"{one.file}:{one.line}:{one.column}: {one.level}: {one.message} [{one.rule}]"
        yield f"    {one.fix}"


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the document of `lint --format json`."""
    keys = ("rule", "level", "file", "line", "column", "message", "fix")
    return {"findings": [{key: getattr(one, key) for key in keys} for one in findings]}


def as_sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return a SARIF 2.1.0 log (docs.oasis-open.org/sarif/sarif/v2.1.0)."""
    numbers = {rule.id: number for number, rule in enumerate(RULES)}
    rules = [
        {
            "id": rule.id,
            "shortDescription": {"text": _plain(rule.meaning)},
            "fullDescription": {"text": _plain(f"{rule.why}.")},
            "help": {"text": _plain(f"Write {rule.fix}. Source: {rule.source}")},
            "defaultConfiguration": {"level": _SARIF_LEVELS[rule.level]},
        }
        for rule in RULES
    ]
    driver = {"name": "multibuild", "version": __version__, "rules": rules}
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, numbers[one.rule]) for one in findings],
            }
        ],
    }


def _plain(text: str) -> str:
    return text.replace("`", "'")


def _result(finding: Finding, number: int) -> dict[str, Any]:
    from urllib.parse import quote

    artifact = {"uri": quote(finding.file)}
    region = {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endColumn": max(finding.end_column, finding.column),
    }
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": number,
        "level": _SARIF_LEVELS[finding.level],
        "message": {"text": f"{finding.message}. {finding.fix}"},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
    }
    if finding.edits:
        replacements = [
            {
                "deletedRegion": {"charOffset": edit.start, "charLength": edit.end - edit.start},
                "insertedContent": {"text": edit.text},
            }
            for edit in finding.edits
        ]
        changes = [{"artifactLocation": artifact, "replacements": replacements}]
        result["fixes"] = [{"description": {"text": finding.fix}, "artifactChanges": changes}]
    return result
