"""BuildKit's `--progress plain`, and what buildx prints at the end of each failed build: the block and the excerpt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from multibuild.buildx.read_log.build_log import BuildLog
from multibuild.buildx.read_log.messages import docker_error, in_buildkits_words, is_open, joined
from multibuild.buildx.read_log.steps import LogStep

MAX_HEADER_LINES = 30
MAX_EXCERPT_LINES = 400
MAX_CONTINUED_LINES = 100

OUTPUT = re.compile(r"#(\d{1,6}) \d{1,7}\.\d{1,3} ?")
"""Begin of a line that a step printed; most lines of a log are such."""

_NUMBERED = re.compile(r"#(\d{1,6}) (.*)")
_TIME = re.compile(r"(?:#\d{1,6} )?\d{1,7}\.\d{1,3}(?: |\Z)")
_STATUS = re.compile(
    r"sha256:|(?:transferring|resolve|resolving|extracting|exporting (?:layers|manifest|config|attestation)"
    r"|naming to|pushing (?:layers|manifest)"
    r"|unpacking|writing|preparing|sending|building with|reading|WARN|\.\.\.|merging|loading|done|inferred)\b"
)
"""What BuildKit prints about a step besides its name: progress of transfers."""

_IMAGE_MADE = re.compile(
    r"(?:naming to|writing image|pushing manifest|exporting to (?:image|oci|docker|client)).{0,500}",
    re.DOTALL,
)
_HEADER = re.compile(r"(?:> )?(\[[^\]\n]{1,120}\] (?:RUN|COPY|ADD|FROM|WORKDIR) .*):\Z", re.DOTALL)
_FILE_NAME = re.compile(r"[\w./-]{0,200}(?:[Dd]ockerfile|Containerfile)[\w.-]{0,100}:\d{1,6}\Z")
_FILE_LINE = re.compile(r"\s{0,8}\d{1,6} \| (?:>>> | {4})?(.*)")


class PlainForm:
    """Reader of lines that begin with a step's number."""

    def __init__(self, log: BuildLog) -> None:
        """Read into `log`."""
        self._log = log
        self._open: LogStep | None = None
        self._continued = 0

    def read_output(self, number: str, lines: Sequence[str]) -> None:
        """Read lines that a step printed, each with its number and time."""
        self._open = None
        step = self._log.steps.get(number) or self._numbered(number)
        step.add(lines, text_of=_printed)

    def read(self, line: str) -> bool:
        """Read another line of a step: its name, its end, its error."""
        found = _NUMBERED.match(line)
        if found is None:
            return False
        number, text = found[1], found[2].rstrip()
        self._open = None
        step = self._step(number, text)
        if text.startswith("ERROR: "):
            self._log.steps.fail(step, in_buildkits_words(text.removeprefix("ERROR: ")))
            self._open, self._continued = step, 0
        elif text.startswith("CANCELED"):
            self._log.steps.fail(step, "context canceled", canceled=True)
        elif text.startswith(("DONE ", "CACHED")):
            step.done = True
            if _IMAGE_MADE.match(step.name):
                self._log.succeed()
        return True

    @property
    def is_open(self) -> bool:
        """Whether a step's error may go on in the next line."""
        return self._open is not None

    def continues(self, line: str) -> bool:
        """Read a further line of a step's error, whose command has lines of its own."""
        step = self._open
        begins = line.lstrip().startswith(("---", "ERROR", "error", "failed to"))
        if step is None or begins or not is_open(step.error) or self._continued >= MAX_CONTINUED_LINES:
            self._open = None
            return False
        self._continued += 1
        step.error = in_buildkits_words(joined(step.error, line))
        return True

    def _step(self, number: str, text: str) -> LogStep:
        """Return the step of a number, which has another name in the log's next build."""
        is_name = text.startswith(("[", "exporting to", "exporting cache", "importing cache"))
        step = self._log.steps.get(number)
        if is_name and step is not None and step.name and step.name != text:
            self._log.begin_build()
            step = None
        if is_name and self._log.is_over:
            self._log.begin_build()
            step = None
        step = step or self._numbered(number)
        if not step.name and (is_name or not _is_report(text)):
            step.name, self._log.docker_error = text, ""
        step.is_started = step.is_started or is_name
        return step

    def _numbered(self, number: str) -> LogStep:
        step = self._log.steps.open(number)
        step.is_numbered = True
        return step


class BlockForm:
    """Reader of the block of a failed step, between lines of six hyphens, and of the excerpt of the Dockerfile."""

    def __init__(self, log: BuildLog) -> None:
        """Read into `log`."""
        self._log = log
        self._header: list[str] | None = None
        self._block: LogStep | None = None
        self._takes = False
        self._excerpt = 0

    @property
    def is_open(self) -> bool:
        """Whether the next line may belong to a block or an excerpt, whatever it begins with."""
        return self._block is not None or self._header is not None or bool(self._excerpt)

    def takes_numbered(self, text: str) -> bool:
        """Whether a line with a number belongs to the block, as older versions print it. Any other ends it."""
        is_output = OUTPUT.match(text) is not None
        if not is_output:
            self._block, self._header, self._excerpt = None, None, 0
        return is_output and (self._block is not None or bool(self._header))

    def read(self, line: str) -> bool:
        """Read a line of a block or an excerpt; False for any other."""
        text = line.strip()
        if self._header is None and not self._excerpt and _FILE_NAME.match(text):
            self._block = None
            return True
        if text.startswith("---") and not text.strip("-"):
            return self._read_rule(len(text))
        if self._excerpt:
            return self._read_excerpt(line)
        return self._read_header(text) if self._header is not None else self._read_line(text)

    def _read_line(self, text: str) -> bool:
        """Read a line of the step; outside a block, the name that a block pasted without its rule begins with."""
        if self._block is None:
            found = _HEADER.match(text)
            if found is not None:
                self._begin(found[1])
            return found is not None
        if self._takes:
            self._block.add((text,), text_of=without_time)
        return True

    def _read_rule(self, length: int) -> bool:
        if length >= 20:
            self._excerpt = 0 if self._excerpt else 1
            self._block, self._header = None, None
            return True
        if length != 6:
            return self._block is not None
        if self._block is not None:
            self._block, self._header = None, None
        else:
            self._header = []
        return True

    def _read_header(self, text: str) -> bool:
        """Read the step's name, which a terminal breaks at its right edge; without one the rule was a block's end."""
        header = self._header
        assert header is not None
        is_name = text.startswith(("> ", "[")) or (text.endswith(":") and not docker_error(text))
        if not text:
            return True
        if not header and not is_name:
            self._header = None
            return self.read(text)
        if header and _TIME.match(text):
            self._begin("".join(header))
            return self.read(text)
        header.append(text.removeprefix("> ") if not header else text)
        if text.endswith(":") or len(header) >= MAX_HEADER_LINES:
            self._begin("".join(header).removesuffix(":"))
        return True

    def _begin(self, name: str) -> None:
        """Begin the block of a step; lines that came with its number are whole, the block has only the last of them."""
        name = name.removesuffix(":")
        step = self._log.steps.named(name) or self._log.steps.open(name, name)
        step.name = max(step.name, name, key=len)
        self._takes = not (step.is_numbered and step.lines)
        if self._takes:
            step.lines.clear()
        self._log.block = self._block = step
        self._header = None

    def _read_excerpt(self, line: str) -> bool:
        """Pass over the lines of the Dockerfile, which are no evidence, but for what the failed step is."""
        self._excerpt += 1
        if not line.strip():
            return True
        found = _FILE_LINE.match(line)
        if found is None or self._excerpt > MAX_EXCERPT_LINES:
            self._excerpt = 0
            return False
        if ">>> " in line[:20]:
            self._log.commands.append(found[1])
        return True


def _printed(line: str) -> str:
    return OUTPUT.sub("", line, count=1)


def without_time(line: str) -> str:
    """Return a line of a block, pasted without its begin, as the step printed it."""
    line = line.lstrip()
    found = _TIME.match(line)
    return line[found.end() :] if found else line


def _is_report(text: str) -> bool:
    return bool(_STATUS.match(text)) or text.startswith(("DONE", "CACHED", "CANCELED", "ERROR"))
