"""What a log has shown so far: steps, errors that ended a build, lines that belong to no step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from multibuild.buildx.read_log.messages import UNNAMED_COMMAND, Message, in_buildkits_words
from multibuild.buildx.read_log.steps import LogStep, StepBook
from multibuild.frozen import frozen

MAX_RUNNING = 8
"""Steps at a time that share lines whose step the log does not name."""


@frozen
class FinalError:
    """An error that ended a build, with the step that it is of, if known, and the lines before it that had no step."""

    message: Message
    step: LogStep | None
    lines: tuple[str, ...]
    decisive: tuple[str, ...]


@dataclass(slots=True)
class BuildLog:
    """The state that the readers of all forms share.

    `running` are the steps that lines without a step belong to, `loose` takes those that belong to none. `is_over`: a
    builder has ended, and what follows is other programs' until the next build begins. `docker_error` is the last
    error of docker itself, `cut` what a CI system says when it ends a build, `successes` the number of images made,
    `is_finished`: BuildKit's display says so, which it does of a failed build too,
    `block` the step of the last block, `commands` the marked lines of excerpts of a Dockerfile.
    """

    steps: StepBook = field(default_factory=StepBook)
    loose: LogStep = field(default_factory=LogStep)
    running: list[LogStep] = field(default_factory=list)
    final: FinalError | None = None
    is_over: bool = False
    docker_error: str = ""
    cut: str = ""
    successes: int = 0
    is_finished: bool = False
    block: LogStep | None = None
    commands: list[str] = field(default_factory=list)

    def begin_build(self) -> None:
        """Note that a build begins: numbers of steps start again, and so do lines."""
        self.steps.clear()
        self.running = []
        self.is_over = False
        self.loose, self.block, self.docker_error = LogStep(), None, ""
        self.commands.clear()

    def start(self, name: str) -> LogStep:
        """Note that the only step in a log without numbers begins."""
        step = self.steps.open(name, name)
        self.running = [step]
        self.is_over, self.docker_error = False, ""
        return step

    def add(self, lines: Sequence[str], text_of: Callable[[str], str] = str) -> None:
        """Add lines that the form gives to no step."""
        if self.is_over:
            return
        for step in self.running or (self.loose,):
            step.add(lines, text_of)

    def end(self, message: Message, step: LogStep | None = None) -> None:
        """Note an error that ends the build."""
        message = Message(
            text=in_buildkits_words(message.text), command=message.command, target=message.target
        )
        if step is None and len(self.running) == 1:
            step = self.running[0]
        if step is not None:
            message = _with_command_of(step, message)
            self.steps.fail(step, message.text)
        if self.final is None or not self.is_over or message.command or not self.final.message.command:
            self.final = FinalError(
                message=message, step=step, lines=tuple(self.loose.lines), decisive=self.loose.decisive.lines
            )
        self.running = []
        self.is_over = True

    def extend_final(self, message: Message) -> None:
        """Replace the last error by its whole text, of which a further line was read."""
        if self.final is not None:
            self.final = FinalError(
                message=message, step=self.final.step, lines=self.final.lines, decisive=self.final.decisive
            )

    def succeed(self) -> None:
        """Note that an image was made."""
        self.successes += 1
        self.docker_error = ""
        self.loose = LogStep()


def _with_command_of(step: LogStep, message: Message) -> Message:
    """Return the error of a builder that does not name the command, with that of the step."""
    _, is_run, command = step.name.partition("RUN ")
    if message.command != UNNAMED_COMMAND or not is_run:
        return message
    text = message.text.replace(f'"{UNNAMED_COMMAND}"', f'"{command}"')
    return Message(text=text, command=command, target=message.target)
