"""Break the commands that CI systems read in a job's output: builds and registries must not issue any."""

from __future__ import annotations

import re
from collections.abc import Mapping

# GitHub takes "::command::" at the start of a line, blanks before it or not, and "##[command]" anywhere in one
# (actions/runner, ActionCommand.cs); Azure Pipelines "##vso[…]" anywhere; TeamCity "##teamcity[…]". The folds of
# GitLab, Travis and Buildkite need ESC or CR, which `printable` removes.
_LINE_ENDS = r"\r\v\f\x1c-\x1e\x85\u2028\u2029"
_AT_START = re.compile(rf"(^|[{_LINE_ENDS}])((?:(?![\n{_LINE_ENDS}])\s)*)::", re.MULTILINE)
_CI_VARIABLES = (
    "CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "GITEA_ACTIONS", "TEAMCITY_VERSION", "BUILDKITE", "TRAVIS",
)  # fmt: skip
_ANYWHERE = re.compile(r"##(?=\w*\[)")


def inert(text: str) -> str:
    """Break everything a CI system would read as a command."""
    return _ANYWHERE.sub("# #", _AT_START.sub(r"\1\2: :", text))


def is_ci(environ: Mapping[str, str]) -> bool:
    """Whether a CI system reads the output."""
    return any(environ.get(name) for name in _CI_VARIABLES)


def inert_in_ci(text: str, environ: Mapping[str, str]) -> str:
    """Break commands only where a CI system reads the output."""
    return inert(text) if is_ci(environ) else text


def inert_json(text: str) -> str:
    """Break commands in JSON without changing its values: `##[` can only occur in a string."""
    return _ANYWHERE.sub("\\\\u0023#", text)
