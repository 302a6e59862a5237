"""Multibuild's own logs, its lines for CI systems and the end of its report."""

from __future__ import annotations

import re

from multibuild.buildx.read_log.build_log import MAX_RUNNING, BuildLog
from multibuild.buildx.read_log.messages import Message, command_of, in_buildkits_words, process_failed
from multibuild.buildx.read_log.platforms_of import platform_of
from multibuild.buildx.read_log.steps import LogStep

QUOTE_INDENT = 4
"""Blanks before a line that multibuild's report quotes."""

_NAME = r"\[[^\]\n]{1,300}\] .+|exporting .+|pushing .+|importing .+|resolve .+|FROM .+"
_BEGIN = re.compile(rf"--- ({_NAME})", re.DOTALL)
_END = re.compile(r" (?:\d{1,9}\.\ds|CACHED)\Z")
_FAILED = re.compile(r": (?=process \"|failed |error |unexpected |executor |exec |context canceled|rpc )")
_PLATFORM_LINE = re.compile(r"((?:linux|windows)/[\w./]{1,40}) \| ?(.*)", re.DOTALL)
_SHORT_STEP = re.compile(r"(\d{1,4}/\d{1,4}) ((?:RUN|COPY|ADD|FROM|WORKDIR) .*)", re.DOTALL)
_ATTEMPT = re.compile(r"attempt \d{1,4} (\w{1,20}) \(([\w-]{1,60})\): ?(.*)", re.DOTALL)
_REPORT = re.compile(r"((?:linux|windows)/[\w./]{1,40}): attempt \d{1,4} (?:failed|timeout|stalled|killed): ")
_QUOTED = re.compile(rf"({_NAME})", re.DOTALL)
_BARE = re.compile(r"(\[[^\]\n]{1,120}\] (?:RUN|COPY|ADD|FROM|WORKDIR) .*)", re.DOTALL)


class OwnForm:
    """Reader of what multibuild itself wrote."""

    def __init__(self, log: BuildLog) -> None:
        """Read into `log`."""
        self._log = log
        self._platform = ""

    def read(self, line: str) -> bool:
        """Read a line of a log of multibuild's, or of its output; False for another one."""
        text = line.lstrip()
        if text.startswith("--- "):
            return self._read_rule(text)
        return self._read_platform(text) or self._read_quotation(line, text)

    def _read_rule(self, text: str) -> bool:
        """Read the begin, end or error of a step."""
        found = _BEGIN.match(text)
        if found is None:
            return False
        name = found[1].rstrip()
        ended = next((step for step in self._log.running if name.startswith(step.name)), None)
        rest = name[len(ended.name) :] if ended else ""
        if ended and (not rest or _END.fullmatch(rest)):
            self._end(ended)
        elif ended and rest.startswith(": "):
            self._fail(ended, rest[2:])
        elif broken := _FAILED.search(name):
            self._fail(self._open(name[: broken.start()]), name[broken.end() :])
        elif not _END.search(name):
            self._start(name)
        else:
            self._log.steps.open(name[: _END.search(name).start()]).done = True  # type: ignore[union-attr]
        return True

    def _start(self, name: str) -> None:
        if self._log.is_over:
            self._log.begin_build()
        self._log.running = [*self._log.running, self._open(name)][-MAX_RUNNING:]

    def _open(self, name: str) -> LogStep:
        known = self._log.steps.get(name)
        return known or self._log.steps.open(name, name)

    def _end(self, step: LogStep) -> None:
        step.done = True
        self._log.running = [other for other in self._log.running if other is not step]
        if step.name.startswith("exporting to"):
            self._log.succeed()

    def _fail(self, step: LogStep, error: str) -> None:
        self._log.steps.fail(step, in_buildkits_words(error))
        self._log.running = [other for other in self._log.running if other is not step]

    def _read_platform(self, text: str) -> bool:
        """Read `linux/arm64 | text`; lines of several platforms take turns."""
        found = _PLATFORM_LINE.match(text)
        if found is None:
            return False
        platform, rest = found[1], found[2]
        key = f"platform {platform}"
        if step := _SHORT_STEP.match(rest):
            self._log.steps.replace(key, f"[{platform} {step[1]}] {step[2].rstrip()}")
        elif attempt := _ATTEMPT.match(rest):
            self._end_attempt(self._log.steps.open(key, f"[{platform}]"), attempt)
        else:
            self._log.steps.open(key, f"[{platform}]").add((rest,))
        return True

    def _end_attempt(self, step: LogStep, attempt: re.Match[str]) -> None:
        if attempt[2] == "killed" and attempt[1] != "failed":
            self._log.steps.fail(step, "context canceled", canceled=True)
        else:
            self._log.steps.fail(step, self._error_of(step, attempt[3] or attempt[2]))

    @staticmethod
    def _error_of(step: LogStep, last_line: str) -> str:
        """Return BuildKit's words for a command of which the line tells only what it printed last."""
        _, is_run, command = step.name.partition("RUN ")
        return process_failed(command, "") if is_run and last_line in step.lines else last_line

    def _read_quotation(self, line: str, text: str) -> bool:
        """Read evidence that multibuild quotes: the step, lines that it printed, the error, all at the same indent."""
        if found := _REPORT.match(text):
            self._platform = found[1]
            self._log.running, self._log.loose = [], LogStep()
            return True
        indent = len(line) - len(text)
        if self._platform and text.startswith(("hint: ", "error: ")) and indent < QUOTE_INDENT:
            self._end_quotation()
            return True
        if found := (_QUOTED if self._platform and not self._log.running else _BARE).match(text):
            name = found[1].rstrip().removesuffix(":")
            self._log.start(self._placed(name))
            return True
        if (
            (self._platform or self._log.running)
            and text.startswith('process "')
            and (command := command_of(text))
        ):
            self._log.end(Message(text=text, command=command))
            return True
        return False

    def _placed(self, name: str) -> str:
        """Return a step's name with the platform of the attempt in it, where it has a place for one."""
        has_place = name.startswith("[") and self._platform and not platform_of(name)
        return f"[{self._platform} {name[1:]}" if has_place else name

    def _end_quotation(self) -> None:
        """End the evidence of a platform; its last line is the error where no command failed."""
        if self._log.running and self._log.running[-1].lines:
            self._log.end(Message(text=self._log.running[-1].lines.pop().strip()))
        self._platform = ""
