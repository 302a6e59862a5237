"""`report`, `runs` and `explain`: what happened, looked at afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multibuild import detail
from multibuild.cli.ci import inert_in_ci
from multibuild.cli.output import print_json
from multibuild.cli.runs import Request
from multibuild.errors import UsageError
from multibuild.journal.runs import State, default_state_dir
from multibuild.report.html.document import as_html
from multibuild.report.markdown import as_markdown
from multibuild.report.summary import as_text
from multibuild.terminal import columns, human_seconds


def _state(request: Request) -> State:
    """Find the state without reading the config: a report must be had even when the config is broken now."""
    path = request.state_dir or default_state_dir(request.file.resolve().parent, os.environ)
    detail.fact(f"state: {path.absolute()}")
    return State(path)


def report(request: Request, name: str | None, *, markdown: bool, page: Path | None) -> int:
    """Print a run's report; one that was killed before it was written is folded from its journal."""
    from multibuild.cli.execute import write_report

    run = _state(request).find(name)
    found = run.report() or write_report(run)
    if page is not None:
        _write_page(found, page, run.path)
        print(f"written: {page}", file=sys.stderr)
    elif request.json:
        print_json(found)
    else:
        print(inert_in_ci(as_markdown(found) if markdown else as_text(found), os.environ))
    return 0


def _write_page(found: Mapping[str, Any], page: Path, run: Path) -> None:
    """Write the page anywhere; its links lead back to the logs in the run directory."""
    logs = os.path.relpath(run.resolve(), page.resolve().parent)
    try:
        page.write_text(as_html(found, beside=logs), encoding="utf-8", errors="replace")
    except OSError as error:
        hint = "name a file in a directory that exists and that you may write to"
        raise UsageError(f"--html: {page} cannot be written: {error.strerror}", hint=hint) from error


def runs(request: Request) -> int:
    """List the runs, newest first."""
    from multibuild.cli.execute import write_report

    found = [(run, run.report() or write_report(run)) for run in _state(request).runs()]
    if request.json:
        keys = ("run", "status", "started", "seconds", "image", "tags")
        print_json([{key: document[key] for key in keys} for _, document in found])
        return 0
    rows = [("RUN", "STATUS", "TIME", "PLATFORMS", "IMAGE")]
    for run, document in found:
        built = sum(platform["status"] in {"succeeded", "reused"} for platform in document["platforms"])
        count = f"{built}/{len(document['platforms'])}"
        rows.append(
            (run.id, document["status"], human_seconds(document["seconds"]), count, document["image"])
        )
    print("\n".join(columns(rows)) if found else "no runs yet")
    return 0


NO_FAILURE = "nothing in it looks like the end of a failed build: give the whole log, standard error too"


def explain(log: str, *, json_output: bool) -> int:
    """Classify a log; UsageError when it cannot be read."""
    from multibuild.buildx.read_log import explain_log

    try:
        text = sys.stdin.buffer.read() if log == "-" else Path(log).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{log}: {error.strerror}", hint="name a log file, or - for standard input"
        ) from error
    failure = explain_log(text)
    hint = failure.hint if failure.evidence.strip() else NO_FAILURE
    if json_output:
        document = {
            "class": failure.kind.name,
            "retry": failure.retry,
            "evidence": failure.evidence,
            "hint": hint,
        }
        print_json(document)
    elif not failure.evidence.strip():
        print(f"{failure.kind.name}: {hint}")
    else:
        from multibuild.terminal import printable

        verdict = {
            "permanent": "a retry does not help",
            "once": "worth one more try",
            "auth": "worth a fresh login",
        }
        said = inert_in_ci(printable(failure.evidence), os.environ)
        print(f"{failure.kind.name}: {verdict.get(failure.retry, 'worth retrying')}\n\n{said}\n")
        print(f"hint: {hint}")
    return 0
