"""The types of config fields: durations, platforms, repositories, tags. Each with its own messages."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

from multibuild.architectures import architecture_named
from multibuild.config.problems import invalid
from multibuild.errors import UsageError
from multibuild.oci.reference import Reference
from multibuild.platforms import Platform
from multibuild.terminal import shorten

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+\Z")
_STEP = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
# distribution/reference regexp.go: domain and path-component.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d+)?\Z")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
MAX_DURATION_S: Final = 366 * 86400.0
"""A year: what no build takes, and what clocks and timers of every library count to."""

_MEMORY = re.compile(r"(\d+(?:\.\d+)?)([bkmg]?)b?\Z", re.IGNORECASE)
_MEMORY_UNITS: Final = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_MEMORY_HINT: Final = "like 512m or 2g, or a number of bytes"
MIN_MEMORY: Final = 6 * 1024**2
"""Bytes below which a container does not start (moby daemon_unix.go, linuxMinMemory)."""

MAX_MEMORY: Final = 1024**5
"""Bytes: more than any machine has."""

MAX_JOBS: Final = 10_000
"""More builds at once than any fleet has processors."""

MAX_QUOTED: Final = 80
"""Characters of a value that a message quotes."""

_DURATION_HINT: Final = "like 90s, 5m or 1h30m, or a number of seconds"

MANAGED_FLAGS: Final = {
    "--platform": "platforms",
    "--output": "publish",
    "-o": "publish",
    "--push": "publish",
    "--load": "publish.to: docker",
    "--tag": "tags",
    "-t": "tags",
    "--metadata-file": None,
    "--iidfile": None,
    "--progress": "--progress of multibuild",
    "--builder": "builder",
    "--file": "dockerfile",
    "-f": "dockerfile",
    "--build-arg": "args",
    "--build-context": "contexts",
    "--secret": "secrets",
    "--ssh": "ssh",
    "--provenance": "attestations.provenance",
    "--sbom": "attestations.sbom",
    "--attest": "attestations",
    "--cache-from": "cache.from",
    "--cache-to": "cache.to",
    "--label": "labels",
    "--annotation": "annotations",
    "--target": "target",
    "--no-cache": "no_cache",
    "--pull": "pull",
    "--network": "network",
    "--call": None,
    "--check": None,
    "--print": None,
}
"""Flags of `buildx build` that multibuild passes itself → the equivalent key (None: there is none)."""


def parse_duration(value: Any) -> float:
    """Parse a duration to seconds: `5s`, `1h30m`, or a number. Raises a validator's error."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = value if isinstance(value, str) and len(value) <= MAX_QUOTED else ""
    if number or re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(value)
    elif _DURATION.match(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _STEP.findall(value))
    else:
        raise invalid(f"must be a duration, not {_shown(value)}", hint=_DURATION_HINT)
    if not math.isfinite(seconds) or seconds <= 0:
        raise invalid(f"must be more than nothing, not {_shown(value)}", hint=_DURATION_HINT)
    if seconds > MAX_DURATION_S:
        raise invalid(
            f"must be at most {MAX_DURATION_S / 86400:.0f}d, not {_shown(value)}", hint=_DURATION_HINT
        )
    return seconds


def refuse_boolean(value: Any) -> Any:
    """Refuse true and false for a number, as which Python takes them."""
    if isinstance(value, bool):
        raise invalid(f"must be a number, not the boolean {_shown(value)}", hint="like 1")
    return value


def parse_memory(value: Any) -> int:
    """Parse a size of memory to bytes: a number, or one with b, k, m or g, as docker takes it. Raises an error."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    match = _MEMORY.match(text) if len(text) <= MAX_QUOTED else None
    if match is None:
        raise invalid(f"must be a size of memory, not {_shown(value)}", hint=_MEMORY_HINT)
    size = int(float(match[1]) * _MEMORY_UNITS[match[2].lower()])
    if not MIN_MEMORY <= size <= MAX_MEMORY:
        raise invalid(f"must be from 6m to 1024t, not {_shown(value)}", hint=_MEMORY_HINT)
    return size


def parse_stall(value: Any) -> Any:
    """Parse a duration, `auto`, or `off` (None)."""
    return value if value == "auto" else parse_limit(value)


def parse_limit(value: Any) -> float | None:
    """Parse a duration, or `off` (None)."""
    return None if value is None or value is False or value == "off" else parse_duration(value)


def parse_jobs(value: Any) -> Any:
    """Parse a number of parallel builds, or `auto`."""
    if value == "auto":
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) <= MAX_QUOTED:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid(f"must be auto or a whole number from 1 on, not {_shown(value)}", hint="like 4")
    if value > MAX_JOBS:
        raise invalid(f"must be at most {MAX_JOBS}, not {_shown(value)}", hint="like 4")
    return value


def parse_platform(value: Any) -> Platform:
    """Parse a platform in any spelling."""
    return value if isinstance(value, Platform) else _platform(value, literal=False)


def parse_literal_platform(value: Any) -> Platform:
    """Parse a platform, keeping every part as written."""
    return value if isinstance(value, Platform) else _platform(value, literal=True)


def check_repository(value: str) -> str:
    """Validate `host/path` without tag and digest, by the reference grammar of distribution."""
    name, at, _digest = value.partition("@")
    if at:
        raise invalid(f"'{value}' has a digest", hint=f"write the repository only: {name}")
    path, colon, tag = value.rpartition(":")
    if colon and "/" not in tag:
        raise invalid(f"'{value}' has a tag", hint=f"write {path} here, and {tag or 'the tag'} under tags")
    first, _, rest = value.partition("/")
    has_host = bool(rest) and (any(mark in first for mark in ".:") or first == "localhost")
    repository = rest if has_host else value
    if repository != repository.lower():
        raise invalid(f"'{value}' has capitals", hint=f"registries want {value.lower()}")
    parts = repository.split("/")
    if not all(_COMPONENT.match(part) for part in parts) or (has_host and not _HOST.match(first)):
        hint = "like registry.example.org/team/app"
        if "{name}" in value:
            hint = "{name} is the name of an image under `images`, which this file does not have"
        elif "{" in value:
            hint = "only {name} is replaced here, by the name of an image under `images`"
        raise invalid(f"'{value}' is not the name of a repository", hint=hint)
    return value


def check_image(value: str) -> str:
    """Validate the reference of an image, which is a word of docker's command line."""
    try:
        Reference.parse(value)
    except UsageError as error:
        raise invalid(error.message, hint=error.hint) from None
    return value


def check_tag(value: str) -> str:
    """Validate a tag (distribution-spec, "Pulling manifests")."""
    if not _TAG.match(value):
        usable = re.sub(r"[^A-Za-z0-9_.-]+", "-", value).lstrip(".-")[:128]
        raise invalid(
            f"'{value}' is not a tag: letters, digits, `_`, `.` and `-`, at most 128, no `.` or `-` first",
            hint=f"like {usable or 'latest'}",
        )
    return value


def check_tag_if_any(value: str) -> str:
    """Validate a tag that may be empty (`${git.semver}` on a commit without a version tag).

    `.` and `-` alone are empty too: the separators of empty parts (`${git.semver.major}.${git.semver.minor}`).
    """
    return check_tag(value) if value.strip().strip(".-") else ""


def drop_empty_tags(value: tuple[str, ...]) -> tuple[str, ...]:
    """Drop empty tags and duplicates: after each was validated, at its place in the file."""
    tags = tuple(dict.fromkeys(filter(None, value)))
    if not tags:
        raise invalid("no tag is left: all came out empty", hint="give one a default: ${git.semver:-dev}")
    return tags


def check_build_flags(value: tuple[str, ...]) -> tuple[str, ...]:
    """Reject flags that multibuild passes itself, and a value without a flag."""
    for index, word in enumerate(value):
        name = word.partition("=")[0]
        short = word[:2] if re.match(r"-[otf]", word) else name
        if name in MANAGED_FLAGS or short in MANAGED_FLAGS:
            flag = name if name in MANAGED_FLAGS else short
            key = MANAGED_FLAGS[flag]
            hint = f"use {key}" if key else "remove it"
            raise invalid(f"{flag} is managed by multibuild", hint=hint, at=(index,))
    if value and not value[0].startswith("-"):
        raise invalid(f"'{value[0]}' is not a flag", hint="like [--ulimit, nofile=1024]", at=(0,))
    return value


def check_secret(value: str) -> str:
    """Validate `id=NAME[,src=FILE|,env=NAME]`: the location of a secret, never the secret."""
    lines = "\n" in value or "\r" in value
    if lines or not all("=" in part for part in value.split(",")) or "id=" not in value:
        # The text may be the secret itself, so it is not in the message.
        raise invalid("is not id=NAME[,src=FILE] or id=NAME[,env=VARIABLE]", hint="like id=token,env=TOKEN")
    return value


def check_registry_host(value: str) -> str:
    """Validate `host[:port]`."""
    if not _HOST.match(value):
        hint = value.partition("://")[2] or value
        raise invalid(f"'{value}' is not host[:port]", hint=f"like {hint.partition('/')[0]}")
    return value


def _platform(value: Any, *, literal: bool) -> Platform:
    if not isinstance(value, str):
        hint = f"like linux/{value}" if value == 386 else "like linux/arm64"
        raise invalid(f"must be a platform, not {_shown(value)}", hint=hint)
    try:
        platform = Platform.literal(value) if literal else Platform.parse(value)
    except UsageError as error:
        raise invalid(error.message, hint=error.hint) from None
    if literal and architecture_named(platform.os):
        raise invalid(f"'{value}' names no operating system", hint=f"like linux/{value}")
    return platform


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"'{shorten(str(value), MAX_QUOTED)}'"


_DURATION_SCHEMA: Final = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}

Seconds = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
_MEMORY_SCHEMA: Final = {"type": ["string", "integer"]}

MemorySize = Annotated[int, BeforeValidator(parse_memory), WithJsonSchema(_MEMORY_SCHEMA)]
Text = Annotated[str, WithJsonSchema({"type": ["string", "number"]})]
Tag = Annotated[str, AfterValidator(check_tag)]
OptionalTag = Annotated[str, AfterValidator(check_tag_if_any)]
Image = Annotated[str, AfterValidator(check_image)]
Repository = Annotated[str, AfterValidator(check_repository)]
Secret = Annotated[str, AfterValidator(check_secret)]
RegistryHost = Annotated[str, AfterValidator(check_registry_host)]
PlatformName = Annotated[
    Platform, PlainValidator(parse_platform), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
LiteralPlatform = Annotated[
    Platform, PlainValidator(parse_literal_platform), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
