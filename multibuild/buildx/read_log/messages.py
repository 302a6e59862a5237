"""Errors in the words of each builder, as BuildKit's: `process "COMMAND" did not complete successfully: exit code: N`."""

from __future__ import annotations

import re

from multibuild.frozen import frozen

MAX_MESSAGE_CHARACTERS = 16 << 10

_PREFIXES = re.compile(
    r"(?:\s{0,20}(?:ERROR|Error|error|fatal|ERRO\[[^\]\n]{1,40}\]|time=\S{1,60} level=(?:error|fatal)"
    r"|buildx (?:bake |call )?failed with|Build failed|Service '?[^:'\n]{1,80}'? failed to build"
    r"|docker build failed|docker exited with code \d{1,5}|\u2718 [^:\n]{1,80})(?: ?: ?| )){0,6}\s{0,20}"
)
"""What a caller puts before the builder's own error."""

_TARGET = re.compile(r"target ([\w.-]{1,100}): ")
_SOLVE = re.compile(r"(?:target [\w.-]{1,100}: )?(?:failed to build: |failed to solve\b)")
_EXECUTOR = re.compile(
    r"executor failed running \[(.{1,8000}?)\]: (?:exit code|exit status): (\d{1,5})", re.DOTALL
)
_EXIT = re.compile(r"(?:exit code:|exit status|status|code:?) (\d{1,5})\b")
_CLASSIC_BEGIN, _CLASSIC_END = "The command '", "' returned a non-zero code: "
_STEP_FAILED = re.compile(r"(?:[Ee]rror: )?(?:error )?building at STEP \"")
_KANIKO = "failed to execute command: "
_SIGNALS = {
    "killed": 137,
    "segmentation fault": 139,
    "aborted": 134,
    "illegal instruction": 132,
    "bus error": 135,
}


@frozen
class Message:
    """An error that ends a build. `command` is that of the RUN that failed; empty for any other error."""

    text: str
    command: str = ""
    target: str = ""


def final_error(line: str) -> Message | None:
    """Return the error of a builder that ends here; None for a line that is no such error for sure."""
    text = line[_PREFIXES.match(line).end() :] if "failed to" in line else ""  # type: ignore[union-attr]
    if text and _SOLVE.match(text):
        target = _TARGET.match(text)
        return Message(text=text, command=command_of(text), target=target[1] if target else "")
    for read in (_classic, _buildah, _kaniko):
        if (message := read(line)) is not None:
            return message
    return None


def docker_error(line: str) -> str:
    """Return the text of an error of docker's or buildx' own (`ERROR: no builder "x" found`); empty for another line."""
    text = line.lstrip()
    if not text.startswith(
        ("ERROR: ", "error: ", "Error: ", "Error response", "ERROR:", "docker: ", "unknown flag")
    ):
        return ""
    return text[_PREFIXES.match(text).end() :]  # type: ignore[union-attr]


def process_failed(command: str, code: int | str) -> str:
    """Return BuildKit's words for a command that ended with a code."""
    return f'process "{command}" did not complete successfully: exit code: {code}'


def in_buildkits_words(text: str) -> str:
    """Return an error of an older BuildKit as a newer one words it; others as they are."""
    if "executor failed running [" not in text:
        return text
    joined = text.replace("\n", " ")
    return _EXECUTOR.sub(lambda found: process_failed(found[1], found[2]), joined, count=1)


def command_of(text: str) -> str:
    """Return the command line in BuildKit's error, without the shell that runs it; empty if there is none."""
    begin = text.find('process "')
    end = text.rfind('" did not complete')
    if 0 <= begin < end:
        return _without_shell(text[begin + 9 : end].replace('\\"', '"').replace("\\\\", "\\"))
    found = _EXECUTOR.search(text[:MAX_MESSAGE_CHARACTERS]) if "executor failed running" in text else None
    return _without_shell(found[1]) if found else ""


def is_open(text: str) -> bool:
    """Whether an error goes on in the next line: its command has lines of its own, or a colon ends it."""
    begun = 'process "' in text or "executor failed running [" in text
    return (begun and not _EXIT.search(text[-400:])) or text.rstrip().endswith(":")


def joined(text: str, line: str) -> str:
    """Append a line of an error; a terminal's right edge breaks words, so a broken command is closed without a blank."""
    separator = "" if 'process "' in text and is_open(text) else "\n"
    return (text + separator + line)[:MAX_MESSAGE_CHARACTERS]


def _classic(line: str) -> Message | None:
    """Read the error of the builder before BuildKit: daemon/build of moby."""
    begin = line.find(_CLASSIC_BEGIN)
    end = line.rfind(_CLASSIC_END)
    if not 0 <= begin < end:
        return None
    command = line[begin + len(_CLASSIC_BEGIN) : end]
    code = re.match(r"\d{1,5}", line[end + len(_CLASSIC_END) :])
    return Message(text=process_failed(command, code[0] if code else 1), command=_without_shell(command))


def _buildah(line: str) -> Message | None:
    """Read the error of buildah and podman: imagebuildah/stage_executor.go."""
    text = line.lstrip()
    found = _STEP_FAILED.match(text)
    if not found:
        return None
    step, _, cause = text[found.end() :].rpartition('": ')
    command = step.removeprefix("RUN ") if step.startswith("RUN ") else ""
    status = _EXIT.search(cause[:400])
    if command and status and "running runtime" in cause:
        return Message(text=process_failed(command, status[1]), command=command)
    return Message(text=cause or text, command=command)


def _kaniko(line: str) -> Message | None:
    """Read the error of kaniko: pkg/executor; it names no command."""
    text = line.lstrip()
    if not text.startswith(
        ("error building image: ", "error pushing image: ", "error checking push permissions")
    ):
        return None
    _, _, cause = text.partition(_KANIKO)
    status = _EXIT.search(cause[:400])
    code = int(status[1]) if status else next((n for word, n in _SIGNALS.items() if word in cause.lower()), 0)
    if cause and code:
        return Message(text=process_failed("the step's command", code), command="the step's command")
    return Message(text=text)


def _without_shell(command: str) -> str:
    command = command.removeprefix("/dev/.buildkit_qemu_emulator ")
    for shell in ("/bin/sh -c ", "/bin/bash -c ", "/bin/ash -eo pipefail -c ", "/bin/bash -o pipefail -c "):
        command = command.removeprefix(shell)
    return command
