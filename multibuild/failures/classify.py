"""Classification of failures by the table in `signatures.py`."""

from __future__ import annotations

import re

from multibuild.failures.evidence import Evidence
from multibuild.failures.signatures import (
    CLASSES,
    EXIT_CODES,
    NETWORK_COMMANDS,
    NETWORK_IN_RUN,
    SIGNATURES,
    FailureClass,
    Retry,
)
from multibuild.frozen import frozen

EVIDENCE_LINES = 8
"""Last lines of a failing step that are matched and shown: earlier ones did not end it."""

MAX_SHOWN_CHARACTERS = 500
SHOWN_HEAD_CHARACTERS = 200
"""How much of a long line is shown, and how much of that from its beginning."""

MAX_MATCHED_CHARACTERS = 8192
"""Half of it from each end of a longer message or line: a Dockerfile's heredoc can be in one, as a whole."""

_BY_NAME = {row.name: row for row in CLASSES}
_EXIT = re.compile(r"did not complete successfully: exit code: (\d{1,9})")
_EXEC = re.compile(r"exec /\S+: |exec container process")
_RUN = re.compile(r"(?:^|\] )RUN ")
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


@frozen
class Failure:
    """A classified failure. `evidence` is the deciding lines; `retry_after` seconds, where the log has Retry-After."""

    kind: FailureClass
    evidence: str
    retry_after: float | None = None

    @property
    def retry(self) -> Retry:
        """Whether and how a retry can help."""
        return self.kind.retry

    @property
    def hint(self) -> str:
        """What the user can do."""
        return self.kind.hint


def failure_of(name: str, evidence: str) -> Failure:
    """Return a failure of a class that follows without a log (a timeout, a stall)."""
    return Failure(kind=_BY_NAME[name], evidence=evidence)


def classify(evidence: Evidence, *, code: int = 1, emulated: bool = True) -> Failure:
    """Classify a failed build by its evidence and the exit code of buildx.

    Exit code 130 or a signal that multibuild did not send is a kill by another process and worth a retry.
    """
    evidence = _bounded(evidence)
    text = _shown(evidence)
    if code in {130, 137, 143} or code < 0:
        return failure_of("killed", text or f"buildx ended with {code}")
    if evidence.step and _RUN.search(evidence.step):
        name = _of_run(evidence, emulated=emulated)
    else:
        name = _of_transfer(evidence)
    after = _RETRY_AFTER.search(text)
    return Failure(kind=_BY_NAME[name], evidence=text, retry_after=float(after[1]) if after else None)


def wrong_base(warning: str) -> str | None:
    """Return what BuildKit's warning about a base of another architecture says; None when only the variant differs."""
    match = _WRONG_BASE.search(_cut(warning))
    if not match or match[1].split("/")[:2] == match[2].split("/")[:2]:
        return None
    return f"the base image is {match[1]}, not {match[2]}"


def _of_run(evidence: Evidence, *, emulated: bool) -> str:
    """Classify a RUN by its last lines; unknown text there is the command's own failure."""
    tail = "\n".join(evidence.tail[-EVIDENCE_LINES:])
    output = "\n".join((*evidence.decisive, tail))
    message = _without_command(evidence.message)
    execs = "\n".join(line for line in tail.splitlines() if _EXEC.match(line))
    for row in SIGNATURES:
        text = output if row.scope == "run" else f"{message}\n{execs}"
        if row.scope in {"run", "any"} and re.search(row.pattern, text, re.IGNORECASE):
            return row.name
    exit_code = _EXIT.search(evidence.message)
    if exit_code is None:
        return _class_of_text(message) or "step-failed"
    signalled = EXIT_CODES.get(int(exit_code[1]))
    if signalled == "out-of-memory" or (signalled and emulated):
        return signalled
    if re.search(r"no space left on device", tail, re.IGNORECASE):
        return "no-space"
    if re.search(NETWORK_COMMANDS, evidence.step) and re.search(NETWORK_IN_RUN, tail, re.IGNORECASE):
        return "network"
    return "step-failed"


def _without_command(message: str) -> str:
    """Return BuildKit's message without the command line that it quotes, which is no evidence."""
    begin, end = message.find('process "'), message.rfind('" did not complete')
    return f"{message[:begin]}process{message[end + 2 :]}" if 0 <= begin < end else message


def _bounded(evidence: Evidence) -> Evidence:
    """Shorten what is long before patterns are matched: errors begin with the action and end with the cause."""
    return Evidence(
        message=_cut(evidence.message),
        step=_cut(evidence.step),
        tail=tuple(map(_cut, evidence.tail[-EVIDENCE_LINES:])),
        decisive=evidence.decisive,
    )


def _cut(text: str) -> str:
    half = MAX_MATCHED_CHARACTERS // 2
    return text if len(text) <= 2 * half else f"{text[:half]} … {text[-half:]}"


def _of_transfer(evidence: Evidence) -> str:
    name = _class_of_text(evidence.message) or _class_of_text("\n".join(evidence.tail[-EVIDENCE_LINES:]))
    if name:
        return name
    if "context canceled" in evidence.message:
        return "killed"
    transfer = _TRANSFER.search(evidence.step) or _TRANSFER_ERROR.search(evidence.message)
    return "unknown-transfer" if transfer else "unknown"


def _class_of_text(text: str) -> str | None:
    for row in SIGNATURES:
        if row.scope != "run" and re.search(row.pattern, text, re.IGNORECASE | re.MULTILINE):
            return row.name
    return None


def _shown(evidence: Evidence) -> str:
    lines = [line for line in evidence.tail[-EVIDENCE_LINES:] if line.strip()] if evidence.step else []
    parts = [f"{evidence.step}" if evidence.step else "", *lines, evidence.message]
    return "\n".join(_middle_out(part) for part in parts if part)


def _middle_out(text: str) -> str:
    """Shorten a long line in its middle: Go's errors begin with the action and end with the cause."""
    return (
        text
        if len(text) <= MAX_SHOWN_CHARACTERS
        else f"{text[:SHOWN_HEAD_CHARACTERS]} … {text[SHOWN_HEAD_CHARACTERS - MAX_SHOWN_CHARACTERS :]}"
    )
