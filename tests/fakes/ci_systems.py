"""How CI systems and terminals read the output of a job: what they would take as a command in it."""

import re

# Characters that .NET skips when it compares words, or that no reader sees (DerivedCoreProperties.txt, a selection).
_SKIPPED = re.compile(
    "[\u00ad\u034f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe00-\ufe0f\U000e0000-\U000e0fff]"
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200b-\u200f\ufeff\ud800-\udfff]"
)
_LINE_END = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

ENVIRONMENTS = {
    "github": {"GITHUB_ACTIONS": "true", "CI": "true"},
    "gitlab": {"GITLAB_CI": "true"},
    "azure": {"TF_BUILD": "True"},
    "teamcity": {"TEAMCITY_VERSION": "2025.1"},
    "buildkite": {"BUILDKITE": "true"},
    "travis": {"TRAVIS": "true"},
    "gitea": {"GITEA_ACTIONS": "true"},
    "unknown": {"CI": "1"},
}
"""The variables by which each system is recognized."""

VARIABLES = frozenset(name for variables in ENVIRONMENTS.values() for name in variables)

WORDS = (
    "::error::x",
    "::set-output name=digest::x",
    "##[error]x",
    "##vso[task.setvariable variable=x]y",
    "##teamcity[buildStatus status='SUCCESS']",
    "\x1b[0Ksection_start:1:x\r\x1b[0Ktitle",
    "travis_fold:start:x\r\x1b[0K",
    "\x1b]1339;url=javascript:x\x07",
    "\x1b[2Jgone",
    "\x9b2J",
    "\u202eesrever",
)
"""A command of each kind."""


def commands_in(text: str) -> list[str]:
    """Return what a CI system or a terminal would act upon in the output of a program."""
    lines = [_SKIPPED.sub("", line) for line in _LINE_END.split(text)]
    live = [line for line in lines if line.lstrip().startswith("::") or re.search(r"##\w*\[", line)]
    return [*live, *_CONTROLS.findall(text)]
