"""Reader of a whole log, line by line, in whatever form each line is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import IO

from multibuild.buildx.read_log.build_log import BuildLog
from multibuild.buildx.read_log.decorations import Decorations
from multibuild.buildx.read_log.messages import (
    Message,
    command_of,
    docker_error,
    final_error,
    is_open,
    joined,
)
from multibuild.buildx.read_log.noise import is_end_of_job, what_cut
from multibuild.buildx.read_log.own_form import OwnForm
from multibuild.buildx.read_log.plain_form import OUTPUT, BlockForm, PlainForm, without_time
from multibuild.buildx.read_log.rawjson_form import RawJsonForm
from multibuild.buildx.read_log.step_forms import StepForms
from multibuild.buildx.read_log.terminal_form import TerminalForm
from multibuild.buildx.read_log.text_lines import clean_lines, text_blocks

MAX_FINAL_LINES = 100
"""Further lines of a final error."""

_BEGINS = re.compile(
    r"\s{0,80}(?:[#{>=\[-]|S(?:tep|TEP|uccess|ending|ervice|ection|cript)|ERR|[Ee]rror|buildx|Bu?ild|INFO\["
    r"|ERRO\[|time=|Remov|COMMIT"
    r"|(?:linux|windows)/|process \"|hint:|docker|unknown flag|[Tt]he |failed to|target |fatal|exporting "
    r"|importing |pushing |resolve |P(?:ost|rocess)|Job |Clean|Upload|Running "
    r"|Finish|[\w./-]{0,200}(?:[Dd]ockerfile|Containerfile)[\w.-]{0,100}:\d|Exited|Command |WARN|Cancel|Done"
    r"|Bash|Cmd|No output|Too long|[^\x00-\x7f])"
)
"""What a line begins with that may mean more than what a step printed."""

_BODY = ("{", "<", "[{")
"""Begins of a registry's answer that follows an error in lines of its own."""


class LogReader:
    """Reader of lines into a BuildLog."""

    def __init__(self) -> None:
        """Start with an empty log."""
        self.log = BuildLog()
        self._plain = PlainForm(self.log)
        self._block = BlockForm(self.log)
        self._terminal = TerminalForm(self.log)
        self._steps = StepForms(self.log)
        self._own = OwnForm(self.log)
        self._json = RawJsonForm(self.log)
        self._final_lines = 0
        self._batches: dict[str, list[str]] = {}
        self._bare: list[str] = []

    def feed(self, lines: Iterable[str]) -> None:
        """Read lines without decorations. Those that steps printed, which are most, are read in batches."""
        output_of, may_mean = OUTPUT.match, _BEGINS.match
        batches, bare = self._batches, self._bare
        is_open = self._is_open
        for line in lines:
            if not is_open and (found := output_of(line)):
                number = found[1]
                if number in batches:
                    batches[number].append(line)
                else:
                    batches[number] = [line]
            elif is_open or may_mean(line):
                self._flush()
                self._read(line)
                is_open = self._is_open
            elif line:
                bare.append(line)
        self._flush()
        self._json.flush()

    @property
    def _is_open(self) -> bool:
        """Whether the meaning of the next line depends on what came before it."""
        return bool(self._final_lines) or self._plain.is_open or self._block.is_open

    def _flush(self) -> None:
        """Read the lines of steps that were put aside."""
        for number, lines in self._batches.items():
            self._plain.read_output(number, lines)
        self._batches.clear()
        if self._bare:
            self._read_printed(self._bare)
            self._bare.clear()

    def finish(self) -> BuildLog:
        """Return the log after its last line."""
        self._json.finish()
        return self.log

    def _read(self, line: str) -> None:
        """Read a line that has no number of a step at its begin."""
        text = line.lstrip()
        if text.startswith("=> ") and not self._is_open and self._terminal.read(text):
            return
        if text.startswith("#") and not self._block.takes_numbered(text) and self._read_numbered(text):
            return
        if text.startswith("{") and self._read_json(text):
            return
        self._json.flush()
        if self._extends_final(text) or self._plain.continues(text) or self._block.read(line):
            return
        if self._terminal.read(text) or self._own.read(line) or self._steps.read(text):
            return
        self._read_text(line, text)

    def _read_text(self, line: str, text: str) -> None:
        """Read an error that ends a build, a CI system's word about its end, or a line that a step printed."""
        if (message := final_error(text)) is not None:
            self.log.end(message)
            self._final_lines = 1
        elif is_end_of_job(text) and (not self.log.running or what_cut(text)):
            self.log.cut = self.log.cut or what_cut(text)
            self.log.is_over = True
        elif not self.log.is_over:
            if not self.log.running and (error := docker_error(text)):
                self.log.docker_error = error
            self._read_printed((line,))

    def _read_numbered(self, text: str) -> bool:
        found = OUTPUT.match(text)
        if found is not None:
            self._plain.read_output(found[1], (text,))
        return found is not None or self._plain.read(text)

    def _read_printed(self, lines: Sequence[str]) -> None:
        """Read lines that a program printed; those of a block whose begin is missing have a time each."""
        self.log.add(lines) if self.log.running else self.log.add(lines, text_of=without_time)

    def _read_json(self, text: str) -> bool:
        inner = self._json.read(text)
        if inner:
            self.feed(clean_lines(inner))
        return inner is not None

    def _extends_final(self, text: str) -> bool:
        """Read a further line of the error that ended a build: of a command of many lines, or a registry's answer."""
        final = self.log.final
        if not self._final_lines or final is None:
            return False
        error = final.message.text
        goes_on = is_open(error) or (not final.message.command and text.startswith(_BODY))
        if not goes_on or self._final_lines > MAX_FINAL_LINES or is_end_of_job(text):
            self._final_lines = 0
            return False
        self._final_lines += 1
        if not text:
            return True
        whole = joined(error, text.rstrip())
        self.log.extend_final(Message(text=whole, command=command_of(whole), target=final.message.target))
        return True


def read_log(stream: IO[bytes]) -> BuildLog:
    """Return what a log shows, read in bounded memory."""
    reader, decorations = LogReader(), Decorations()
    for lines in text_blocks(stream):
        reader.feed(decorations.strip(lines))
    return reader.finish()
