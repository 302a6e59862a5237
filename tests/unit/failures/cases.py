"""Labelled ends of builds, read from `logs/`: what tools really print, and what an engineer would do about it.

A file of `logs/` has the cases of a tool or a part of BuildKit. A case begins with `=== NAME`, then lines `key: value`,
an empty line, and the output to the end. Keys:

- `tool`: whose words decide. `real`: the version of the tool that printed this here, against a server that fails.
- `step`: the name of the failing step. With `exit`, its output is the body, and BuildKit's message says that exit code.
  Without, the command never ran, and the body is BuildKit's message.
- `ended: timeout`: the step was ended; there is no message.
- `emulated: yes|no`, where it matters.
- `class`: what it has to be. `retry`: the answers that an engineer accepts, the best first. `hint`: a pattern of the hint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multibuild.buildx.vertex import TAIL_LINES
from multibuild.failures.evidence import DecisiveLines, Evidence

FOLDER = Path(__file__).parent / "logs"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A labelled end of a build. `output` is what the step printed, `message` BuildKit's error without "failed to solve"."""

    name: str
    tool: str
    real: str
    step: str
    output: tuple[str, ...]
    message: str
    exit_code: int | None
    ended: str
    emulated: bool | None
    kind: str
    retry: tuple[str, ...]
    hint: str

    def evidence(self, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Evidence:
        """Return the evidence as a reader of the log collects it, with other lines around the step's output."""
        lines = (*before, *self.output, *after) if self.step else ()
        decisive = DecisiveLines()
        for line in lines:
            decisive.add(line)
        message = f"failed to solve: {self.message}" if self.message else ""
        return Evidence(message=message, step=self.step, tail=lines[-TAIL_LINES:], decisive=decisive.lines)


def _cases() -> Iterator[Case]:
    for file in sorted(FOLDER.glob("*.log")):
        text = file.read_text(encoding="utf-8")
        for block in f"\n{text}".split("\n=== ")[1:]:
            yield _case(file.stem, block)


def _case(stem: str, block: str) -> Case:
    head, _, body = block.partition("\n\n")
    name, *lines = head.split("\n")
    keys = dict(line.split(": ", 1) for line in lines)
    unknown = keys.keys() - {"tool", "real", "step", "exit", "ended", "emulated", "class", "retry", "hint"}
    assert not unknown, f"{stem}/{name}: unknown keys {unknown}"
    step, output = keys.get("step", ""), tuple(body.rstrip("\n").split("\n"))
    code, ended = int(keys["exit"]) if "exit" in keys else None, keys.get("ended", "")
    is_message = code is None and not ended
    message = "\n".join(output) if is_message else ""
    if code is not None:
        command = step.rpartition("RUN ")[2]
        message = f'process "/bin/sh -c {command}" did not complete successfully: exit code: {code}'
    return Case(
        name=f"{stem}/{name}",
        tool=keys.get("tool", stem),
        real=keys.get("real", ""),
        step=step,
        output=() if is_message else output,
        message=message,
        exit_code=code,
        ended=ended,
        emulated={"yes": True, "no": False}.get(keys.get("emulated", "")),
        kind=keys["class"],
        retry=tuple(keys["retry"].split()),
        hint=keys.get("hint", ""),
    )


CASES: tuple[Case, ...] = tuple(_cases())
