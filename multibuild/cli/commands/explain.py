"""`explain`: classify the failure in a build log."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from multibuild.cli.request import Request
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.terminal import one_line, shorten

if TYPE_CHECKING:
    from multibuild.buildx.read_log.explain import Explanation

WIDTH = 80
MAX_OTHERS_SHOWN = 5

NO_LOG = (
    "nothing in it looks like a build log: give the whole log, standard error too "
    "(docker buildx build . 2>&1 | multibuild explain -)"
)
SUCCEEDED = "this build succeeded"

VERDICTS = {
    "permanent": "a retry does not help",
    "once": "worth one more try",
    "auth": "worth a fresh login",
    "transient": "worth retrying",
}


@frozen
class ExplainRequest(Request):
    """The flags of `explain`."""

    log: Annotated[str, Argument(help="A build log, as copied from anywhere, or - for standard input.")]


def explain(request: ExplainRequest) -> int:
    """Classify the failure that ended a build log.

    Its class, whether it would be retried, and what to do.
    """
    from multibuild.buildx.read_log.explain import explain_log

    try:
        with (
            contextlib.nullcontext(sys.stdin.buffer)
            if request.log == "-"
            else Path(request.log).open("rb") as file
        ):
            explanation = explain_log(file)
    except OSError as error:
        raise UsageError(
            f"{request.log}: {error.strerror}", hint="name a log file, or - for standard input"
        ) from error
    if request.json:
        print_json(_as_json(explanation))
    else:
        print("\n".join(_lines(explanation)))
    return 0


def _as_json(explanation: Explanation) -> dict[str, Any]:
    failure = explanation.failure
    is_success = explanation.outcome == "succeeded"
    return {
        "class": failure.kind.name if failure else "succeeded" if is_success else "unknown",
        "retry": failure.retry if failure else "permanent",
        "evidence": failure.evidence if failure else "",
        "hint": failure.hint if failure else SUCCEEDED if is_success else NO_LOG,
        "step": explanation.step,
        "platform": explanation.platform or None,
        "emulated": explanation.emulated,
        "others": [
            {"step": other.step, "platform": other.platform or None, "outcome": other.outcome}
            for other in explanation.others
        ],
    }


def _lines(explanation: Explanation) -> Iterator[str]:
    """Yield the explanation for people: class, evidence, platform, hint, what failed or was cancelled besides."""
    failure = explanation.failure
    if failure is None:
        yield from wrap(SUCCEEDED if explanation.outcome == "succeeded" else f"unknown: {NO_LOG}", WIDTH)
        return
    yield f"{failure.kind.name}: {VERDICTS[failure.retry]}"
    yield ""
    yield from failure.evidence.splitlines()
    yield ""
    if explanation.platform:
        yield f"on:   {explanation.platform}"
    yield from _wrapped("hint: ", failure.hint)
    yield from _others(explanation)


def _others(explanation: Explanation) -> Iterator[str]:
    counts = Counter(other.outcome for other in explanation.others)
    if counts["failed"]:
        yield "also failed:"
        yield from _names(explanation, "failed")
    if counts["canceled"]:
        yield "cancelled because of it:"
        yield from _names(explanation, "canceled")


def _names(explanation: Explanation, outcome: str) -> Iterator[str]:
    names = [one_line(other.step) for other in explanation.others if other.outcome == outcome]
    yield from (f"  {shorten(name, WIDTH - 2)}" for name in names[:MAX_OTHERS_SHOWN])
    if len(names) > MAX_OTHERS_SHOWN:
        yield f"  and {len(names) - MAX_OTHERS_SHOWN} more"


def _wrapped(label: str, text: str) -> list[str]:
    """Wrap text at blanks alone: a command or an address in it stays whole."""
    return wrap(
        label + text,
        WIDTH,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )
