"""The gates of a platform's row in a report: those that ran, in the order of their ends; absent without gates.

A gate that is not required holds nothing back: its answer is only reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def gates_of(platform: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the gates of a platform's row."""
    gates: Sequence[Mapping[str, Any]] = platform.get("gates", ())
    return gates


def not_passed(platform: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the gates that said no, or gave no answer."""
    return [gate for gate in gates_of(platform) if gate["status"] != "passed"]


def is_held_back(platform: Mapping[str, Any]) -> bool:
    """Whether a required gate did not let the platform's child pass."""
    return any(gate["required"] for gate in not_passed(platform))


def has_gates(report: Mapping[str, Any]) -> bool:
    """Whether gates are configured for a platform of a report."""
    return any("gates" in platform for platform in report["platforms"])


def gates_word(platform: Mapping[str, Any]) -> str:
    """Return the gates of a platform in a word: "ok", "failed", "not run", with "?" where none of them is required."""
    failing = not_passed(platform)
    if not failing:
        return "ok" if gates_of(platform) else "-"
    required = [gate for gate in failing if gate["required"]]
    word = "failed" if any(gate["status"] == "failed" for gate in required or failing) else "not run"
    return word if required else f"{word}?"


def gate_end(gate: Mapping[str, Any]) -> str:
    """Return how a gate ended, in a sentence: "gate scan failed: exit code 1"."""
    word = {"failed": "failed", "not-run": "could not be run"}.get(str(gate["status"]), str(gate["status"]))
    reason = f": {gate['reason']}" if gate.get("reason") else ""
    optional = "" if gate["required"] else " (optional)"
    return f"gate {gate['name']} {word}{optional}{reason}"
