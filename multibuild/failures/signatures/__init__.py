"""The tables of signatures: which sentence of which tool means which class of failure.

The order decides where several match: a crash before the network, the network before an answer. Waiting starts at
several seconds: BuildKit has already retried an error for about seven (util/resolver/retryhandler: four attempts with
1, 2 and 4 s between).
"""

from __future__ import annotations

from multibuild.failures.signatures import (
    buildkit,
    compiled_packages,
    crashes,
    downloads,
    language_packages,
    registry,
    system_packages,
)
from multibuild.failures.signatures.row import Signature, Weight

MESSAGE_SIGNATURES: tuple[Signature, ...] = (
    *buildkit.FIRST,
    *buildkit.NEVER_RAN,
    *buildkit.GIT,
    *registry.ANSWERS,
    *registry.TROUBLE,
    *buildkit.BUILDER,
    *registry.TRANSFER,
    *buildkit.CACHE,
    *registry.REFUSALS,
    *buildkit.CACHE_LAST,
    *registry.BLOBS,
    *registry.LAST,
    *buildkit.FRONTEND,
    *buildkit.CLIENT,
    *registry.CODES,
    *buildkit.MACHINE,
)
"""What BuildKit and its clients say, in a message that may quote a registry's or git's."""

_TOOLS: tuple[Signature, ...] = (
    *system_packages.SIGNATURES,
    *language_packages.SIGNATURES,
    *compiled_packages.SIGNATURES,
    *downloads.CURL,
    *downloads.WGET,
    *downloads.GIT,
    *downloads.OTHER,
    *downloads.ANY_PROGRAM,
)
_FIRST_OF_TOOLS = (
    "lock-held",
    "clock",
    "step-ca",
    "mirror-out-of-sync",
    "network",
    "server-error",
    "download-rate-limited",
    "checksum",
    "host-key",
    "git-auth",
    "git-missing",
    "stale-package-index",
    "suite-gone",
    "package-signature",
    "download-missing",
    "download-refused",
    "quota",
    "no-such-package",
    "loopback",
    "step-failed",
)
"""Classes of downloads, the more decisive first: where one mirror did not answer and one said 404, the first may again."""

OUTPUT_SIGNATURES: tuple[Signature, ...] = (
    *crashes.EMULATOR,
    *crashes.SPACE,
    *crashes.FORMAT,
    *crashes.MEMORY,
    *crashes.CRASHES,
    *sorted((*_TOOLS, *buildkit.GIT), key=lambda row: _FIRST_OF_TOOLS.index(row.name)),
    *downloads.COMMANDS,
)
"""What the command of a RUN prints, one line at a time."""

FETCHING_PROGRAMS = (
    r"\b(?:apt|apt-get|aptitude|apk|dnf|microdnf|yum|zypper|pacman|pip3?|uv|poetry|conda|mamba|npm|npx|yarn|pnpm|bun|deno|curl|wget"
    r"|git|go (?:get|mod|install)|cargo|rustup|mvn|mvnw|gradle|gradlew|sbt|gem|bundle|composer|nuget|dotnet|mix|cabal|stack|opam|luarocks"
    r"|cpanm?|debootstrap|rsync|scp|ftp|aria2c|svn|hg|helm|skopeo|terraform|conan|vcpkg)\b"
)
"""Programs that fetch, in the command of a step."""

EXIT_CODES: dict[int, str] = {
    126: "not-executable",
    127: "command-not-found",
    132: "qemu-illegal-instruction",
    133: "qemu-crash",
    134: "qemu-crash",
    135: "qemu-crash",
    136: "qemu-crash",
    137: "out-of-memory",
    139: "qemu-crash",
}
"""Exit codes of a RUN: the shell's own, and 128+n where signal n ended it. A crash without emulation is the program's."""

__all__ = [
    "EXIT_CODES",
    "FETCHING_PROGRAMS",
    "MESSAGE_SIGNATURES",
    "OUTPUT_SIGNATURES",
    "Signature",
    "Weight",
]
