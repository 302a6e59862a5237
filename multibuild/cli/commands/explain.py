"""`explain`: classify the failure in a build log."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument

from multibuild.cli.request import Request
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen

NO_FAILURE = "nothing in it looks like the end of a failed build: give the whole log, standard error too"

VERDICTS = {
    "permanent": "a retry does not help",
    "once": "worth one more try",
    "auth": "worth a fresh login",
    "transient": "worth retrying",
}


@frozen
class ExplainRequest(Request):
    """The flags of `explain`."""

    log: Annotated[str, Argument(help="A build log, or - for standard input.")]


def explain(request: ExplainRequest) -> int:
    """Classify the failure that ended a build log.

    Its class, whether it would be retried, and what to do.
    """
    from multibuild.buildx.plain_log import MAX_LOG_BYTES, explain_log

    try:
        with (
            contextlib.nullcontext(sys.stdin.buffer)
            if request.log == "-"
            else Path(request.log).open("rb") as file
        ):
            text = file.read(MAX_LOG_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{request.log}: {error.strerror}", hint="name a log file, or - for standard input"
        ) from error
    if len(text) > MAX_LOG_BYTES:
        raise UsageError(
            f"{request.log} is larger than {MAX_LOG_BYTES >> 20} MiB",
            hint="give its end, where the failure is: tail -c 50M LOG | multibuild explain -",
        )
    failure = explain_log(text)
    name, evidence = failure.kind.name, failure.evidence
    hint = failure.hint if evidence.strip() else NO_FAILURE
    if request.json:
        print_json({"class": name, "retry": failure.retry, "evidence": evidence, "hint": hint})
    elif not evidence.strip():
        print(f"{name}: {hint}")
    else:
        print(f"{name}: {VERDICTS[failure.retry]}\n\n{evidence}\n")
        print(f"hint: {hint}")
    return 0
