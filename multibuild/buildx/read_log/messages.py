"""Errors of all builders, as BuildKit words them: `process "COMMAND" did not complete successfully: exit code: N`."""

from __future__ import annotations

import re

from multibuild.frozen import frozen

MAX_MESSAGE_CHARACTERS = 16 << 10
UNNAMED_COMMAND = "the step's command"
"""In place of a command that the builder's error does not repeat."""

_PREFIXES = re.compile(
    r"(?:\s{0,20}(?:ERROR|Error|error|fatal|ERRO\[[^\]\n]{1,40}\]|time=\S{1,60} level=(?:error|fatal)"
    r"|buildx (?:bake |call )?failed with|Build failed|Service '?[^:'\n]{1,80}'? failed to build"
    r"|docker build failed|docker exited with code \d{1,5}|\u2718 [^:\n]{1,80})(?: ?: ?| )){0,6}\s{0,20}"
)
"""What a caller puts before the builder's own error."""

_TARGET = re.compile(r"target ([\w.-]{1,100}): ")
_SOLVE = re.compile(r"(?:target [\w.-]{1,100}: )?(?:failed to build: |failed to solve\b)")
_EXECUTOR = "executor failed running ["
_EXECUTOR_END = re.compile(r"\]: (?:(?:exit code|exit status): (\d{1,5})|runc did not terminate suc\w{1,10})")
"""BuildKit before 0.9; the first of them did not tell the exit code."""

_EXIT = re.compile(r"(?:exit code:|exit status|status|code:?) (\d{1,5})\b")
_WHOLE = re.compile(r"did not complete successfully: \S|\]: \S")
_CLASSIC_BEGIN, _CLASSIC_END = "The command '", "' returned a non-zero code: "
_STEP_FAILED = re.compile(r"(?:[Ee]rror: )?(?:error )?building at STEP \"")
_CLIENT_PREFIXES = ("ERROR: ", "error: ", "Error: ", "Error response", "ERROR:", "docker: ", "unknown flag")
_CLIENT_ERRORS = (
    "denied: ", "unauthorized: ", "toomanyrequests: ", "no basic auth credentials", "received unexpected HTTP status",
    "error parsing HTTP", "pull access denied", "manifest unknown", "manifest for ", "no matching manifest",
    "name unknown",
    'Get "http', 'Head "http', 'Put "http', 'Patch "http', 'Post "http', "dial tcp", "net/http: ", "failed to push ",
    "Cannot connect to the Docker daemon", "COPY failed: ", "ADD failed: ",
)  # fmt: skip
"""Begins of what `docker push`, `docker pull` and the builder before BuildKit say without a prefix."""

_QUOTABLE = ("failed to solve", 'process "', _EXECUTOR, _CLASSIC_BEGIN)
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


def quoted_error(line: str) -> Message | None:
    """Return the error of a builder that a sentence quotes; None if there is none."""
    begins = [at for words in _QUOTABLE if (at := line.find(words)) >= 0]
    if not begins:
        return None
    text = line[min(begins) :].rstrip(" `*_.)")
    message = _classic(text)
    is_whole = "failed to solve" in text or command_of(text)
    return message or (Message(text=in_buildkits_words(text), command=command_of(text)) if is_whole else None)


def docker_error(line: str) -> str:
    """Return the text of an error of docker itself (`ERROR: no builder "x" found`); empty for another line."""
    text = line.lstrip()
    if text.startswith(_CLIENT_PREFIXES):
        return text[_PREFIXES.match(text).end() :]  # type: ignore[union-attr]
    return text if text.startswith(_CLIENT_ERRORS) else ""


def process_failed(command: str, code: int | str) -> str:
    """Return BuildKit's words for a command that ended with a code."""
    return f'process "{command}" did not complete successfully: exit code: {code}'


def in_buildkits_words(text: str) -> str:
    """Return an error of an older BuildKit as a newer one words it; others as they are."""
    begin = text.find(_EXECUTOR)
    end = _EXECUTOR_END.search(text, begin) if begin >= 0 else None
    if end is None:
        return text
    command = text[begin + len(_EXECUTOR) : end.start()].replace("\n", " ")
    return f"{text[:begin]}{process_failed(command, end[1] or '')}{text[end.end() :]}"


def command_of(text: str) -> str:
    """Return the command line in BuildKit's error, without the shell that runs it; empty if there is none."""
    begin = text.find('process "')
    end = text.rfind('" did not complete')
    if 0 <= begin < end:
        return _without_shell(text[begin + 9 : end].replace('\\"', '"').replace("\\\\", "\\"))
    worded = in_buildkits_words(text) if _EXECUTOR in text else text
    return command_of(worded) if worded != text else ""


def is_open(text: str) -> bool:
    """Whether an error goes on in the next line: its command has lines of its own, or a colon ends it."""
    begun = 'process "' in text or _EXECUTOR in text
    is_whole = _EXIT.search(text[-400:]) or _WHOLE.search(text[-400:])
    return (begun and not is_whole) or text.rstrip().endswith(":")


def joined(text: str, line: str) -> str:
    """Append a line of an error; a terminal's right edge breaks words, so a command is joined without a blank."""
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
        return Message(text=process_failed(UNNAMED_COMMAND, code), command=UNNAMED_COMMAND)
    return Message(text=text)


def _without_shell(command: str) -> str:
    command = command.removeprefix("/dev/.buildkit_qemu_emulator ")
    for shell in ("/bin/sh -c ", "/bin/bash -c ", "/bin/ash -eo pipefail -c ", "/bin/bash -o pipefail -c "):
        command = command.removeprefix(shell)
    return command
