"""What CI systems read out of a job's output: commands, which nobody but us may give."""

from __future__ import annotations

import re
from collections.abc import Mapping

# GitHub takes "::command::" at the start of a line, blanks before it or not, and "##[command]" anywhere in one
# (actions/runner, ActionCommand.cs); Azure Pipelines "##vso[…]" anywhere; TeamCity "##teamcity[…]".
_AT_START = re.compile(r"^([^\S\n]*)::", re.MULTILINE)
_CI = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI")
_ANYWHERE = re.compile(r"##(?=\w*\[)")


def inert(text: str) -> str:
    """Break what a CI system would take for a command: builds and registries must not give any."""
    return _ANYWHERE.sub("# #", _AT_START.sub(r"\1: :", text))


def inert_in_ci(text: str, environ: Mapping[str, str]) -> str:
    """Make text inert where a CI system reads it; elsewhere it stays as it is."""
    return inert(text) if any(environ.get(name) for name in _CI) else text


def inert_json(text: str) -> str:
    """The same for JSON, which says the same afterwards: such a mark can only stand in its strings."""
    return _ANYWHERE.sub("\\\\u0023#", text)
