"""`matrix` and `import`: a run spread over the jobs of a CI system, and brought together again."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multibuild.cli.output import print_json
from multibuild.cli.runs import Request, chosen, load, state_of
from multibuild.errors import UsageError
from multibuild.terminal import printable
from multibuild.workflow.matrix import GITHUB_RUNNER, github, gitlab, jobs_of

FORMATS = ("github", "gitlab", "json")


def matrix(request: Request, kind: str, *, shards: int | None, runner: str | None) -> int:
    """Print the jobs; UsageError for an unknown format or shards that do not fit."""
    if kind not in FORMATS:
        raise UsageError(f"--format: '{kind}' is unknown", hint=f"one of {', '.join(FORMATS)}")
    loaded = load(request)
    past = _past_seconds(request, loaded)
    jobs = jobs_of(loaded.config, only=chosen(request), shards=shards, seconds=past)
    if kind == "github":
        # On one line: a job output of GitHub is a line.
        print(json.dumps(github(jobs, runner or GITHUB_RUNNER), separators=(",", ":")))
    elif kind == "gitlab":
        import yaml

        print(yaml.safe_dump(gitlab(jobs, runner or ""), sort_keys=False), end="")
    else:
        print_json([job.row(runner or "") for job in jobs])
    return 0


def _past_seconds(request: Request, loaded: Any) -> dict[str, float]:
    from multibuild.builds.reuse import past_seconds
    from multibuild.journal.runs import RunDirectory

    state = state_of(request, loaded)
    return past_seconds(state, RunDirectory(state.path / "runs" / "~"))


def import_runs(request: Request, folders: Sequence[Path]) -> int:
    """Check and take in; what is missing is said, `merge` decides what that means."""
    from multibuild.cli.runs import plan
    from multibuild.oci.registries import RegistrySession
    from multibuild.workflow.import_runs import check, check_children, find_runs, take_in

    made = plan(request)
    found = check(made, [run for folder in folders for run in find_runs(folder)])
    if not found:
        raise UsageError(
            "these runs built nothing that this config has", hint="did their `multibuild build` succeed?"
        )
    with RegistrySession(made.config.registry_settings, on_wait=_say(request)) as registries:
        check_children(found, registries)
    state = state_of(request, made.loaded)
    with state.lock():
        run = take_in(made, found, state)
    missing = [str(item.platform) for item in made.platforms if str(item.platform) not in found]
    if request.json:
        document = {"run": run.id, "platforms": sorted(found), "missing": missing}
        print_json(document)
        return 0
    for platform, source in found.items():
        print(f"{platform}  {source.children[platform].digest}")
    if missing and not request.quiet:
        print(f"not among them: {', '.join(missing)}", file=sys.stderr)
    if not request.quiet:
        print(f"run {run.id}; `multibuild merge` joins them", file=sys.stderr)
    return 0


def _say(request: Request) -> Any:
    def say(text: str) -> None:
        if not request.quiet:
            print(printable(text), file=sys.stderr)

    return say
