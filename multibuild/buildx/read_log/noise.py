"""What CI systems print about a build that has ended, which says nothing about its cause."""

from __future__ import annotations

import re

_ENDS = (
    "Process completed with exit code", "Error: Process completed with exit code", "Post job cleanup", "Post Run ",
    "ERROR: Job failed", "Job failed", "Cleaning up project directory", "Cleaning up file based variables",
    "Uploading artifacts for failed job", "Running after_script", "Finished: FAILURE", "Finished: ABORTED",
    "Finishing: ", "Section: Finishing", "Exited with code", "Error: The process '/usr/bin/docker' failed",
    "Error: The operation was cancel", "The operation was cancel", "Build step '", "script returned exit code",
    "Command exited with code", "Error: The command exited with status", "ERROR: Build failed with exit code",
    "ERROR: Build in '", "Build in '", "Cancelling nested steps", "Sending interrupt signal",
    "The runner has received a shutdown", "The hosted runner", "The self-hosted runner",
    "Error: The runner has received a shutdown", "Build timed out", "Done. Your build exited with",
    "Bash exited with code",
    "Cmd.exe exited with code", "\u26a0 Error", "\U0001f6a8 Error", "Too long with no output",
    "No output has been received",
    "WARNING: step_script could not run to completion", "ERROR: script returned exit code", "ERROR: build step ",
    "The job exceeded the maximum", "The job running on runner", "Error: The action ", "The action '",
    "ERROR: failed to build one or more",
    "Script failed with exit code", "Build failed with exit code",
)  # fmt: skip
"""GitHub, GitLab, Jenkins, Azure, CircleCI, Buildkite, Travis, Docker Hub, Cloud Build: the begin of a line."""

_TRAVIS = re.compile(r'The command "[^\n]{0,400}" (?:exited with|failed and exited with) \d{1,4}')

_CUTS = (
    "operation was cancel", "Job failed: cancel", "Job failed: execution took longer", "Job failed: exceeded",
    "Finished: ABORTED",
    "Cancelling nested steps", "Sending interrupt signal", "shutdown signal", "Build timed out",
    "Too long with no output",
    "No output has been received", "The job exceeded the maximum", "has timed out",
    "has exceeded the maximum execution time",
    "step_script could not run to completion", "lost communication with the server",
)  # fmt: skip
"""What a CI system says when it ends a build that goes on."""


def is_end_of_job(text: str) -> bool:
    """Whether a line is a CI system's about the end of what it ran."""
    return text.startswith(_ENDS) or bool(_TRAVIS.match(text))


def what_cut(text: str) -> str:
    """Return the text of a line that ends a build from outside; empty for another one."""
    return text.strip() if any(words in text for words in _CUTS) else ""
