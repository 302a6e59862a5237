"""Break the commands that CI systems read in a job's output: builds and registries must not issue any."""

from __future__ import annotations

import re
from collections.abc import Mapping

# GitHub takes "::command::" at the start of a line, blanks before it or not, and "##[command]" anywhere in one
# (actions/runner, ActionCommand.cs); Azure Pipelines "##vso[…]" anywhere; TeamCity "##teamcity[…]".
_AT_START = re.compile(r"^([^\S\n]*)::", re.MULTILINE)
_CI_VARIABLES = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI")
_ANYWHERE = re.compile(r"##(?=\w*\[)")


def inert(text: str) -> str:
    """Break everything a CI system would read as a command."""
    return _ANYWHERE.sub("# #", _AT_START.sub(r"\1: :", text))


def inert_in_ci(text: str, environ: Mapping[str, str]) -> str:
    """Break commands only where a CI system reads the output."""
    return inert(text) if any(environ.get(name) for name in _CI_VARIABLES) else text


def inert_json(text: str) -> str:
    """Break commands in JSON without changing its values: `##[` can only occur in a string."""
    return _ANYWHERE.sub("\\\\u0023#", text)
