"""A gate that is a program of this machine: run once for each child, its exit code is the answer.

Exit code 0 is a yes, any other a no, but for those that say that there was no answer: 126 and 127 (a shell or `env`
could not start the program, POSIX 2.8.2), 128 + n for a signal that ended it, a signal that ended the program itself,
and the end of its time.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING

from multibuild.buildx.process import ProcessLimits, ProcessResult, StartFailed, run_process
from multibuild.frozen import frozen
from multibuild.journal.runs import RunDirectory, open_log
from multibuild.plan.children import PlatformChild
from multibuild.prove.gates.outcome import GateOutcome, Status
from multibuild.prove.gates.output import BoundedOutput
from multibuild.redact import environment_secrets
from multibuild.terminal import human_seconds

if TYPE_CHECKING:
    from multibuild.config.gates.gate import Gate
    from multibuild.plan.plan import Plan

NOT_STARTED_CODES = {126: "it may not be executed", 127: "there is no such command"}
"""Exit codes of a shell, or of `env`, that could not start the program."""

MAX_SIGNAL = 31
"""The signals that end programs (signal(7)); beyond them are those of applications."""

HINTS: Mapping[int, str] = {
    errno.ENOENT: "install it, or write where it is: `./name` is relative to the config. A script may name an"
    " interpreter in its first line that is not there",
    errno.EACCES: "it may not be executed: `chmod +x`",
    errno.ENOEXEC: "a script needs a first line like #!/bin/sh; a program must be of this machine's architecture",
}
"""Errors of execve(2) → what to do."""

KILL_HINT = "SIGKILL is mostly the kernel's, when memory runs out"
TIMEOUT_HINT = "raise `timeout` of the gate, or see what it waits for"


@frozen
class ProgramGate:
    """A gate with a program, and what it needs of a run: the plan, and the directory of its logs."""

    gate: Gate
    plan: Plan
    run: RunDirectory

    async def check(self, child: PlatformChild) -> GateOutcome:
        """Run the program for a child, in the project's directory, with this process's own environment.

        Its group is ended after `timeout`, and when this task is cancelled. Raises nothing for a program that fails.
        """
        command = self.gate.command(placeholders(self.plan, child))
        path = self.run.logs / f"{child.planned.slug}.gate-{self.gate.name}.log"
        log = str(path.relative_to(self.run.path))
        with open_log(path) as file:
            output = BoundedOutput(file, environment_secrets(os.environ))
            try:
                result = await run_process(
                    command,
                    cwd=self.plan.project,
                    on_line=output.feed,
                    limits=ProcessLimits(timeout=self.gate.timeout_s),
                    environ=os.environ,
                    by_line=False,
                    is_docker=False,
                )
            except StartFailed as error:
                output.close()
                hint = HINTS.get(error.errno or 0)
                return self._outcome(child, "not-run", error.strerror or str(error), hint=hint, log=log)
            output.close()
        status, reason, hint = verdict(result, self.gate.timeout_s)
        return self._outcome(
            child,
            status,
            reason,
            hint=hint,
            log=log,
            detail="" if status == "passed" else "\n".join(output.last_lines()),
            seconds=result.seconds,
        )

    def _outcome(
        self,
        child: PlatformChild,
        status: Status,
        reason: str,
        *,
        hint: str | None,
        log: str,
        detail: str = "",
        seconds: float = 0.0,
    ) -> GateOutcome:
        return GateOutcome(
            gate=self.gate.name,
            platform=child.planned.platform,
            required=self.gate.required,
            status=status,
            reason=reason,
            detail=detail,
            hint=hint,
            log=log,
            seconds=seconds,
        )


def placeholders(plan: Plan, child: PlatformChild) -> dict[str, str]:
    """Return what the placeholders of `run` stand for: `ref` is repository@digest of the child."""
    planned = child.planned
    return {
        "ref": str(child.reference),
        "platform": str(planned.platform),
        "image": plan.image,
        "slug": planned.slug,
    }


def verdict(result: ProcessResult, timeout_s: float) -> tuple[Status, str, str | None]:
    """Return the status that the end of a program means, the reason in words, and what to do."""
    code = result.code
    if result.end_reason == "timeout":
        return "not-run", f"no end after {human_seconds(timeout_s)}", TIMEOUT_HINT
    if code < 0 or 128 < code <= 128 + MAX_SIGNAL:
        number = -code if code < 0 else code - 128
        hint = KILL_HINT if number == signal.SIGKILL else None
        return "not-run", f"ended by {_signal_name(number)}", hint
    if code in NOT_STARTED_CODES:
        return "not-run", f"exit code {code}: {NOT_STARTED_CODES[code]}", "see its last lines, and PATH"
    return ("failed", f"exit code {code}", None) if code else ("passed", "", None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
