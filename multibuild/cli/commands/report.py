"""`report` and `runs`: past runs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.cli.request import Request
from multibuild.cli.streams import print_json
from multibuild.config.images.names import MAX_NAME, nearest
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.terminal import columns, human_seconds, one_line, shorten

if TYPE_CHECKING:
    from multibuild.journal.runs import RunDirectory, State


logger = logging.getLogger(__name__)


@frozen
class ReportRequest(Request):
    """The flags of `report`."""

    run: Annotated[
        str | None,
        Argument(
            help="A run's id, or its beginning; default the newest.", autocompletion=completion.runs_and_names
        ),
    ] = None
    names: Annotated[
        tuple[str, ...],
        Argument(
            metavar="[IMAGE]...",
            help="Only these images of a file of several; also without a run.",
            autocompletion=completion.image_names,
        ),
    ] = ()
    markdown: Annotated[bool, Option("--markdown", help="For a CI summary.")] = False
    html: Annotated[Path | None, Option("--html", help="Write the page there.")] = None


def _state(request: Request) -> State:
    """Return the state without reading the config, which may be broken by now."""
    from multibuild.journal.runs import State, default_state_dir

    path = request.state_dir or default_state_dir(request.file.resolve().parent, os.environ)
    logger.info("state: %s", path.absolute())
    return State(path)


def report(request: ReportRequest) -> int:
    """Show the report of a run."""
    from multibuild.report.images import as_rows
    from multibuild.report.markdown import as_markdown
    from multibuild.report.summary import as_text

    state = _state(request)
    run, document = _chosen(request, state)
    if request.html is not None:
        _write_page(document, request.html, run.path)
        print(f"written: {request.html}", file=sys.stderr)
    elif request.json:
        print_json(document)
    else:
        rows = as_rows(document)
        print(as_markdown(rows) if request.markdown else as_text(rows))
    return 0


def _chosen(request: ReportRequest, state: State) -> tuple[RunDirectory, Mapping[str, Any]]:
    """Return a run and its report, of the named images only; the first argument may be an image of the newest run."""
    is_run = request.run in {None, "latest"} or any(run.id.startswith(request.run) for run in state.runs())
    if is_run:
        run, names = state.find(request.run), request.names
    else:
        run, names = state.find(None), (str(request.run), *request.names)
    document = _document(state, run)
    if not names:
        return run, document
    if not is_run and "images" not in document:
        state.find(request.run)
    return run, _of_images(document, names)


def _of_images(document: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """Return the report of some of its images; UsageError for one that it does not have."""
    images = {image["name"]: image for image in document.get("images", ())}
    for name in names:
        if name not in images:
            what = f"run {document['run']} has no image '{shorten(one_line(name), MAX_NAME)}'"
            raise UsageError(
                what, hint=nearest(name, images) if images else "its file has one, without a name"
            )
    return {**document, "images": [images[name] for name in dict.fromkeys(names)]}


def _document(state: State, run: RunDirectory) -> Mapping[str, Any]:
    """Return the report of a run, written if it was killed before that; of one that goes on, what is known so far."""
    from multibuild.cli.execute import current_report, write_report

    return current_report(run) if state.is_running(run) else run.whole_report() or write_report(run)


def _write_page(report: Mapping[str, Any], page: Path, run: Path) -> None:
    """Write the page, with links to the logs in the run directory."""
    from multibuild.report.html.page import as_html
    from multibuild.report.images import as_rows

    logs = os.path.relpath(run.resolve(), page.resolve().parent)
    try:
        page.write_text(as_html(as_rows(report), run_path=logs), encoding="utf-8", errors="replace")
    except OSError as error:
        hint = "name a file in a directory that exists and that you may write to"
        raise UsageError(f"--html: {page} cannot be written: {error.strerror}", hint=hint) from error


def runs(request: Request) -> int:
    """List past runs, newest first."""
    from multibuild.report.images import as_rows

    state = _state(request)
    reports = [(run, as_rows(_document(state, run))) for run in state.runs()]
    if request.json:
        keys = ("run", "status", "started", "seconds", "image", "tags")
        print_json([{key: document[key] for key in keys} for _, document in reports])
        return 0
    rows = [("RUN", "STATUS", "TIME", "PLATFORMS", "IMAGE")]
    for run, document in reports:
        built = sum(platform["status"] in {"succeeded", "reused"} for platform in document["platforms"])
        count = f"{built}/{len(document['platforms'])}"
        rows.append(
            (run.id, document["status"], human_seconds(document["seconds"]), count, document["image"])
        )
    print("\n".join(columns(rows)) if reports else "no runs yet")
    return 0
