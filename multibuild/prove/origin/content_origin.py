"""Where a foreign file comes from, as a value, a sentence and JSON."""

from __future__ import annotations

from typing import Any, Literal

from multibuild.frozen import frozen
from multibuild.terminal import one_line, shorten

MAX_INSTRUCTION = 100
"""Characters of an instruction in a sentence."""

MAX_PATH = 200
MAX_NAME = 120

Source = Literal["", "context", "base", "trigger", "image", "run", "likely"]
"""How the last instruction of a trace got the file; "run": built by it, "likely": perhaps by it.

"trigger" is an ONBUILD of the base image: no instruction of the Dockerfile.
"""


@frozen
class TracedLine:
    """An instruction on the way of a file into the image: its text, shortened, and its line."""

    instruction: str
    line: int


@frozen
class Cause:
    """What lint says of a line on that way."""

    rule: str
    line: int
    message: str


@frozen
class ContentOrigin:
    """Where a foreign file comes from, as far as it is certain; `layer` is from 1, 0 where even that is not known.

    `lines` begin with the instruction that made the layer; each further one is in the stage that the one before copies
    from. `name` is that of the base image or image at the end, `stage_line` its FROM, or that of the last stage.
    `created_by` is the layer's entry in the image's history.
    """

    path: str
    architecture: str
    layer: int
    layers: int
    created_by: str = ""
    file: str = ""
    lines: tuple[TracedLine, ...] = ()
    source: Source = ""
    name: str = ""
    stage_line: int = 0
    cause: Cause | None = None

    @property
    def text(self) -> str:
        """The origin as a sentence on one line, printable."""
        path = shorten(one_line(self.path), MAX_PATH)
        text = f"{path} is {self.architecture}: {self._way()}"
        return one_line(f"{text}; {self._because()}" if self.cause else text)

    @property
    def place(self) -> str:
        """Where it is, for a message that has said what it is."""
        return one_line(f"{shorten(one_line(self.path), MAX_PATH)} is {self._way()}")

    def to_json(self) -> dict[str, Any]:
        """Return its form in the journal and in report.json; what is not known is left out."""
        first, last = (self.lines[0], self.lines[-1]) if self.lines else (None, None)
        values: dict[str, Any] = {
            "path": shorten(self.path, MAX_PATH),
            "text": self.text,
            "layer": self.layer or None,
            "created_by": self.created_by or None,
            "dockerfile": self.file if self.lines or self.stage_line else None,
            "instruction": first.instruction if first else None,
            "line": first.line if first else None,
            "source_line": last.line if last and last is not first else None,
            "stage_line": self.stage_line or None,
            "image": self.name or None,
            "likely": True if self.source == "likely" else None,
        }
        if self.cause:
            values |= {
                "rule": self.cause.rule,
                "rule_line": self.cause.line,
                "message": self.cause.message,
            }
        return {key: value for key, value in values.items() if value is not None}

    def _way(self) -> str:
        layer = f"layer {self.layer} of {self.layers}"
        if not self.lines:
            return self._without_line(layer)
        first = self.lines[0]
        parts = [f"`{first.instruction}` in line {first.line}{self._where} ({layer})"]
        between = self.lines[1:-1] if self.source in {"run", "likely", "context"} else self.lines[1:]
        parts += [f"from `{one.instruction}` in line {one.line}" for one in between]
        return ", ".join(filter(None, (*parts, self._end())))

    def _without_line(self, layer: str) -> str:
        if self.source == "base":
            return f"in the base image {self.name} (FROM in line {self.stage_line}{self._where}; {layer})"
        if self.source == "trigger":
            where = f"(FROM in line {self.stage_line}{self._where}; {layer})"
            return f"by `{self.created_by}`, an ONBUILD of the base image {self.name} {where}"
        if not self.layer:
            return "its layer is not known"
        return f"in {layer} (in its history `{self.created_by}`)" if self.created_by else f"in {layer}"

    @property
    def _where(self) -> str:
        return f" of {shorten(one_line(self.file), MAX_NAME)}" if self.file not in {"", "Dockerfile"} else ""

    def _end(self) -> str:
        line = self.lines[-1].line
        if len(self.lines) > 1 and self.source == "run":
            return f"built by line {line}"
        if len(self.lines) > 1 and self.source == "likely":
            made = "copied" if self.lines[-1].instruction.startswith(("COPY", "ADD")) else "built"
            return f"likely {made} by line {line}"
        if len(self.lines) > 1 and self.source == "context":
            return f"copied from the build context by line {line}"
        if self.source == "base":
            return f"from the base image {self.name} (FROM in line {self.stage_line})"
        return f"from the image {self.name}" if self.source == "image" else ""

    def _because(self) -> str:
        return f"line {self.cause.line}: {self.cause.message} [{self.cause.rule}]" if self.cause else ""
