"""BuildKit's terminal display, as it is left on the screen or was drawn again and again."""

from __future__ import annotations

import re

from multibuild.buildx.read_log.build_log import BuildLog
from multibuild.buildx.read_log.steps import LogStep

MAX_ROWS = 2048
"""Whose steps are looked up once; a terminal draws the same rows again and again."""

_ROW = re.compile(r"=> (?:(ERROR|CACHED|CANCELED) )?(.*)", re.DOTALL)
_NAMES = ("[", "exporting ", "importing ", "resolve ", "FROM ")
_DURATION = re.compile(r" {1,400}\d{1,7}\.\d{1,3}s\Z")
_FRAME = re.compile(r"\[\+\] Building \d")


class TerminalForm:
    """Reader of rows such as ` => ERROR [2/3] RUN make   1.2s`."""

    def __init__(self, log: BuildLog) -> None:
        """Read into `log`."""
        self._log = log
        self._row: LogStep | None = None
        self._rows: dict[str, LogStep] = {}
        self._drawn: set[str] = set()

    def read(self, text: str) -> bool:
        """Read a row; False for another line."""
        if text in self._drawn and not self._log.is_over:
            return True
        if len(self._drawn) < MAX_ROWS and text.startswith("=> "):
            self._drawn.add(text)
        if text.startswith("=> => "):
            self._detail(text.removeprefix("=> => "))
            return True
        found = _ROW.match(text)
        if found is None:
            is_frame = _FRAME.match(text) is not None
            self._log.is_finished |= is_frame and " FINISHED" in text
            return is_frame
        row = found[2].rstrip()
        end = _DURATION.search(row[-420:])
        name = (row[: len(row) - (len(end[0]) if end else 0)]).rstrip()
        is_row = bool(name) and (found[1] is not None or end is not None or name.startswith(_NAMES))
        if is_row:
            self._read_step(found[1] or "", name)
        return is_row

    def _read_step(self, state: str, name: str) -> None:
        if self._log.is_over:
            self._log.begin_build()
            self._rows.clear()
            self._drawn.clear()
        step = self._rows.get(name) or self._log.steps.named(name) or self._log.steps.open(name, name)
        if len(self._rows) < MAX_ROWS:
            self._rows[name] = step
        self._row = step
        if state == "ERROR":
            self._log.steps.fail(step, step.error or "failed")
        elif state == "CANCELED":
            self._log.steps.fail(step, "context canceled", canceled=True)
        else:
            step.done, step.is_started = state == "CACHED", True

    def _detail(self, detail: str) -> None:
        """Read what stands below a row: a transfer, or after `#` one of the last lines that the step printed."""
        step = self._row
        if detail.startswith(("naming to", "writing image", "pushing manifest")):
            self._log.succeed()
        elif step is not None and detail.startswith("# "):
            line = detail[2:].rstrip()
            if line and line not in step.lines:
                step.add((line,))
