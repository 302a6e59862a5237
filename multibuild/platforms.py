"""Platforms in OCI normal form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches

from multibuild.architectures import ALIASES, BY_NAME, Architecture, architecture_named
from multibuild.errors import UsageError
from multibuild.terminal import shorten

_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "unknown")
MAX_QUOTED = 80
"""Characters of a text that a message quotes."""

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Platform:
    """`os/architecture[/variant]`. `parse` returns the normal form, `literal` keeps every part as written."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse user input into normal form: aliases are resolved, the system defaults to linux.

        Raises UsageError with the nearest name for anything else.
        """
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        if parts[0] not in _SYSTEMS and len(parts) == 2:
            parts = ["linux", *parts]
        system, name, variant = (*parts, "", "", "")[:3]
        if len(parts) > 3 or not all(_PART.match(part) for part in parts):
            raise UsageError(
                f"'{shorten(text, MAX_QUOTED)}' is not a platform",
                hint="write os/architecture[/variant], like linux/arm/v7",
            )
        if name in ALIASES:
            name, implied = ALIASES[name]
            variant = variant or implied
        if system not in _SYSTEMS or name not in BY_NAME:
            raise UsageError(
                f"'{shorten(text, MAX_QUOTED)}' is not a platform multibuild knows", hint=_nearest(name)
            )
        variant = dict(BY_NAME[name].typed).get(variant, variant)
        return cls(os=system, architecture=name, variant=variant).normalised()

    @classmethod
    def literal(cls, text: str) -> Platform:
        """Parse `os/architecture[/variant]` and keep every part as written (`linux/arm64/unknown`).

        Raises UsageError for any other form.
        """
        parts = text.strip().split("/")
        if not 2 <= len(parts) <= 3 or not all(_PART.match(part) for part in parts):
            raise UsageError(
                f"'{shorten(text, MAX_QUOTED)}' is not a platform", hint="write os/architecture[/variant]"
            )
        return cls(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else "")

    @classmethod
    def parse_verbatim(cls, text: str) -> Platform:
        """Return a platform whose variant stays as written (`linux/arm64/v8`); an alias becomes its OCI name.

        The system defaults to linux.
        """
        text = text.strip().lower()
        parts = text.split("/")
        has_system = parts[0] in _SYSTEMS or (len(parts) > 1 and architecture_named(parts[0]) is None)
        literal = cls.literal(text if has_system else f"linux/{text}")
        row = architecture_named(literal.architecture)
        return literal if row is None or row.name == literal.architecture else cls.parse(text)

    def normalised(self) -> Platform:
        """Return containerd's normal form (platforms/database.go normalizeArch): arm → v7, arm64/v8 → no variant."""
        row = BY_NAME.get(self.architecture)
        variant = dict(row.normal).get(self.variant, self.variant) if row else self.variant
        return Platform(os=self.os, architecture=self.architecture, variant=variant)

    @property
    def row(self) -> Architecture:
        """The architecture's row. Raises UsageError when the table has none."""
        try:
            return BY_NAME[self.architecture]
        except KeyError:
            raise UsageError(
                f"'{shorten(self.architecture, MAX_QUOTED)}' is not an architecture multibuild knows",
                hint=_nearest(self.architecture),
            ) from None

    @property
    def has_known_variant(self) -> bool:
        """Whether some client looks for this variant, in any spelling: `amd64/v1`, `arm/7`, `arm64/8`."""
        row = BY_NAME.get(self.architecture)
        return not self.variant or (row is not None and self.normalised().variant in ("", *row.variants))

    @property
    def slug(self) -> str:
        """The platform as a part of a file name or tag: `linux-arm-v7`."""
        return str(self).replace("/", "-")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def runs_natively(platform: Platform, host: Platform) -> bool:
    """Whether a host's CPU runs the platform without an emulator: the same architecture, or 386 on amd64.

    32-bit ARM on arm64 is not assumed: many server cores have no AArch32 at all, so only the probe can tell.
    """
    same = platform.architecture == host.architecture and platform.variant <= (
        host.variant or platform.variant
    )
    return platform.os == host.os and (same or (platform.architecture, host.architecture) == ("386", "amd64"))


NEAR = 0.75
"""How like a name it must be that is suggested: sparc64 is not aarch64 (0.71), ppc may be ppc64 (0.75)."""


def _nearest(name: str) -> str:
    shown = name[:MAX_QUOTED]
    # Of equally near ones that with the same letters (amr64 is arm64), else the first: the table begins with amd64.
    close = max(
        BY_NAME | ALIASES,
        key=lambda known: (SequenceMatcher(None, known, shown).ratio(), sorted(known) == sorted(shown)),
    )
    if not get_close_matches(shown, [close], cutoff=NEAR):
        return f"known architectures: {', '.join(BY_NAME)}"
    return f"perhaps you meant '{close}'"
