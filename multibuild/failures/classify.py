"""Classification of failures by the tables of `classes.py` and `signatures/`."""

from __future__ import annotations

import re

from multibuild.failures.classes import CLASSES, FailureClass, Retry
from multibuild.failures.evidence import Evidence, cut, plain
from multibuild.failures.matching import Match, message_match, not_overcome, output_matches
from multibuild.failures.shown import EVIDENCE_LINES, cause_line, evidence_text, last_words, likely_causes
from multibuild.failures.signatures import EXIT_CODES, FETCHING_PROGRAMS
from multibuild.frozen import frozen

MAX_MATCHED_CHARACTERS = 8192
"""Half of it from each end of a longer message or line: a Dockerfile's heredoc can be in one, as a whole."""

NEAR_LINES = 20
"""Last lines of a step in which the words of any program count: node prints a dozen after its error."""

_BY_NAME = {row.name: row for row in CLASSES}
_EXIT = re.compile(
    r"did not complete successfully: exit code:(?: (\d{1,9}))?"
    r"|returned a non-zero code: (\d{1,9})"
    r"|\]: exit code: (\d{1,9})"
    r"|error while running runtime: exit status (\d{1,9})|waiting for process to exit: exit status (\d{1,9})"
)
"""How BuildKit, the classic builder, old BuildKit (`executor failed running [/bin/sh -c make]: exit code: 2`), buildah
and kaniko say that the command itself failed.
"""

_RUN = re.compile(r"(?:^|\] )(?:RUN |/bin/\S+ -c )|^(?:Step \d+/\d+ : |STEP \d+(?:/\d+)?: )RUN ")
_CACHE = re.compile(r"(?:exporting|importing) (?:build )?cache|(?:import|export)ing cache manifest")
_TRANSFER = re.compile(
    r"^(?:exporting|pushing|importing|resolve|FROM|\[internal\] load|\[auth\]|\[(?:\S+ )*\d+/\d+\] FROM)"
)
_TRANSFER_ERROR = re.compile(
    r"failed to (?:push|pull|copy|commit|fetch|do request|dial)\b|failed commit on ref|unexpected status from"
    r"|unexpected commit digest|unexpected size \d",
    re.IGNORECASE,
)
"""Errors of a data transfer, whatever step it belongs to."""

_RETRY_AFTER = re.compile(r"[Rr]etry[- ][Aa]fter:? ?\"?(\d{1,9})")
_WRONG_BASE = re.compile(
    r"InvalidBaseImagePlatform: .{0,1000}?pulled with platform \"([^\"]{1,99})\", expected \"([^\"]{1,99})\"",
    re.DOTALL,
)
_FETCHES = re.compile(FETCHING_PROGRAMS)

_SILENT_EXITS = {
    "curl": frozenset({5, 6, 7, 18, 28, 35, 52, 55, 56, 92}),
    "wget": frozenset({4}),
}
"""Exit codes of a network failure, of programs that say nothing with `-s` or `-q` (curl(1), wget(1))."""


@frozen
class Failure:
    """A classified failure. `evidence` is the deciding lines, `cause` the one that decided, in one short line.

    `retry_after` is seconds, where the log has Retry-After. `emulated`: whether the failing step ran under emulation;
    None if it is not known, or no step ran.
    """

    kind: FailureClass
    evidence: str
    retry_after: float | None = None
    cause: str = ""
    emulated: bool | None = None

    @property
    def retry(self) -> Retry:
        """Whether and how a retry can help."""
        return self.kind.retry

    @property
    def hint(self) -> str:
        """What the user can do, and whether the step ran under emulation."""
        if self.emulated is None:
            return self.kind.hint
        return f"{self.kind.hint} ({'the step ran under emulation' if self.emulated else 'the step ran natively'})"


def failure_of(name: str, evidence: str) -> Failure:
    """Return a failure of a class that follows without a log (a timeout, a stall)."""
    return Failure(kind=_BY_NAME[name], evidence=evidence)


def classify(evidence: Evidence, *, code: int = 1, emulated: bool | None = None) -> Failure:
    """Classify a failed build by its evidence and the exit code of buildx.

    `emulated`: whether its platform is; None (unknown) judges a crash as under emulation, where most of them happen.
    Exit code 130 or a signal that multibuild did not send is a kill by another process and worth a retry.
    """
    evidence = _bounded(evidence)
    if code in {130, 137, 143} or code < 0:
        text = evidence_text(evidence, ())
        return failure_of("killed", text or f"buildx ended with {code}")
    is_run = bool(_RUN.search(evidence.step))
    name, line = _of_run(evidence, emulated=emulated) if is_run else _of_transfer(evidence)
    causes = [line] if line else likely_causes(evidence)
    text = evidence_text(evidence, causes)
    after = _RETRY_AFTER.search(text)
    return Failure(
        kind=_BY_NAME[name],
        evidence=text,
        retry_after=float(after[1]) if after else None,
        cause=cause_line(
            line or (last_words(evidence) if _EXIT.search(evidence.message) else evidence.message)
        ),
        emulated=emulated if is_run and _EXIT.search(evidence.message) else None,
    )


def wrong_base(warning: str) -> str | None:
    """Return what BuildKit's warning about a base of another architecture says; None when only the variant differs."""
    match = _WRONG_BASE.search(cut(warning, MAX_MATCHED_CHARACTERS))
    if not match or match[1].split("/")[:2] == match[2].split("/")[:2]:
        return None
    return f"the base image is {match[1]}, not {match[2]}"


def _of_run(evidence: Evidence, *, emulated: bool | None) -> tuple[str, str]:
    """Return the class of a failed RUN and the line that decided it ("": none)."""
    message = _without_command(evidence.message)
    exited = _EXIT.search(evidence.message)
    row = message_match(message) if exited is None else None
    if row is not None and row.name != "runtime":
        return row.name, evidence.message
    match = _deciding(evidence)
    if match is None and row is not None:
        return row.name, evidence.message
    if match is not None:
        return _by_emulation(match.name, emulated=emulated), match.line
    if exited is None:
        name = "killed" if "context canceled" in message else "unknown"
        return name, ""
    return _of_exit_code(int(next(filter(None, exited.groups()), "1")), evidence.step, emulated=emulated), ""


def _deciding(evidence: Evidence) -> Match | None:
    """Return the match that decides: a cause anywhere in the step, then what its end says."""
    near = set(evidence.tail[-NEAR_LINES:])
    fetches = bool(_FETCHES.search(evidence.step))
    shown = set(evidence.tail)
    lines = (*(line for line in evidence.decisive if line not in shown), *evidence.tail)
    found = [
        match
        for line in dict.fromkeys(lines)
        for match in output_matches(line)
        if fetches or not match.row.fetches_only
    ]
    found = not_overcome(found, lines)
    has_consequence = any(match.weight == "consequence" for match in found)
    for weight in ("cause", "warning", "last", "consequence"):
        counted = [
            match
            for match in found
            if match.weight == weight and _counts(match, near, has_consequence=has_consequence)
        ]
        if counted:
            return min(counted, key=lambda match: (match.name == "loopback", match.rank))
    return None


def _counts(match: Match, near: set[str], *, has_consequence: bool) -> bool:
    """Whether a line says something of the end: a warning far above it does only if a consequence follows."""
    if match.weight == "warning":
        return has_consequence or match.line in near
    return match.weight != "last" or match.line in near


def _by_emulation(name: str, *, emulated: bool | None) -> str:
    """Return the class of a crash: under emulation it is QEMU's until proven otherwise, natively the program's.

    QEMU's own words are QEMU's everywhere: a native step may run a foreign program.
    """
    return "qemu-crash" if name == "crash" and emulated is not False else name


def _of_exit_code(code: int, step: str, *, emulated: bool | None) -> str:
    """Return the class of a RUN whose output says nothing."""
    for program, codes in _SILENT_EXITS.items():
        if code in codes and re.search(rf"\b{program}\b", step):
            return "network"
    name = EXIT_CODES.get(code, "step-failed")
    return "crash" if name.startswith("qemu-") and emulated is False else name


def _without_command(message: str) -> str:
    """Return BuildKit's message without the command line that it quotes, which is no evidence."""
    begin, end = message.find('process "'), message.rfind('" did not complete')
    return f"{message[:begin]}process{message[end + 2 :]}" if 0 <= begin < end else message


def _bounded(evidence: Evidence) -> Evidence:
    """Shorten what is long before patterns are matched: errors begin with the action and end with the cause."""
    return Evidence(
        message=plain(evidence.message, MAX_MATCHED_CHARACTERS),
        step=plain(evidence.step, MAX_MATCHED_CHARACTERS),
        tail=tuple(plain(line, MAX_MATCHED_CHARACTERS) for line in evidence.tail),
        decisive=evidence.decisive,
    )


def _of_transfer(evidence: Evidence) -> tuple[str, str]:
    """Return the class of a failure outside a RUN, and the text that decided it."""
    tail = "\n".join(evidence.tail[-EVIDENCE_LINES:])
    for text in (evidence.message, tail):
        if (row := message_match(text)) is not None:
            return _of_cache(row.name, evidence.step), text
    if "context canceled" in evidence.message:
        return "killed", evidence.message
    if (match := _quoted(evidence)) is not None:
        return _by_emulation(match.name, emulated=None), match.line
    transfer = _TRANSFER.search(evidence.step) or _TRANSFER_ERROR.search(evidence.message)
    return ("unknown-transfer" if transfer else "unknown"), evidence.message if transfer else ""


def _quoted(evidence: Evidence) -> Match | None:
    """Return what a message outside a RUN quotes of a tool: git's errors of a remote context; a log's bare end."""
    quoted = Evidence(
        message="",
        step=evidence.step,
        tail=(*evidence.tail, *evidence.message.splitlines()),
        decisive=evidence.decisive,
    )
    return _deciding(quoted)


def _of_cache(name: str, step: str) -> str:
    """Return the class of a failure while a cache moves: a build can do without it."""
    if not _CACHE.search(step):
        return name
    retry = _BY_NAME[name].retry
    if retry == "transient":
        return "cache-service"
    return "cache-refused" if name in {"registry-answer", "registry-refuses", "no-repository"} else name
