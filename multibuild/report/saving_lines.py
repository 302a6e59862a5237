"""Savings in words: the lines of the terminal, and what tables show too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from multibuild.report.savings import Basis, Saving, largest_savings
from multibuild.terminal import human_seconds, one_line

BASES: Final[Mapping[Basis, str]] = {
    "measured": "measured: each step beside its native one",
    "estimated": "estimated by this run's slow-down",
    "recorded": "an earlier run made these steps",
}


def saving_lines(report: Mapping[str, Any]) -> list[str]:
    """Return a line for the ways around emulation and one for a cache, where they would have saved build time."""
    savings = largest_savings(report)
    groups = ([one for one in savings if one.way != "cache"], [one for one in savings if one.way == "cache"])
    texts = ["; ".join(f"{human_seconds(one.seconds)}: {_short(one)}" for one in group) for group in groups]
    return [one_line(f"could save {text}") for text in texts if text]


def way_text(saving: Saving) -> str:
    """Return what to do, as the end of "less …"."""
    match saving.way:
        case "cross-compile":
            return f"with stage {saving.subject} cross-compiled" if saving.subject else "cross-compiled"
        case "native-node":
            return f"with a node for {saving.subject}"
        case "cache":
            return "with a cache"


def _short(saving: Saving) -> str:
    """Return what to do in the few words that a terminal has room for; `change` is the whole line."""
    match saving.way:
        case "cross-compile":
            return "FROM --platform=$BUILDPLATFORM"
        case "native-node":
            return f"a {saving.subject} node"
        case "cache":
            return "cache: {from: […], to: […]}"
