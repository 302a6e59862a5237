"""What in an index will surprise somebody: a pure function of its entries. Sources of the rules: `prove/clients.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multibuild.errors import UsageError
from multibuild.platforms import Platform
from multibuild.publish.reference import INDEX_TYPES, Descriptor

_OLD_DOCKER = "Docker 18.06 to 20.10 on hosts whose kernel does not say their ARM level; others skip it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that will surprise somebody."""

    kind: str
    detail: str


def lint(entries: Sequence[Descriptor], configs: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find what will surprise somebody. `configs`: the platform each image config says, by digest of the image."""
    images = [entry for entry in entries if not entry.is_attestation]
    findings = [
        *_duplicates(images),
        *(finding for entry in images for finding in _about(entry, configs.get(entry.digest, ""))),
        *_order(images),
    ]
    digests = {entry.digest for entry in images}
    for entry in entries:
        if entry.is_attestation and entry.attests not in digests:
            findings.append(
                Finding(kind="orphan", detail=f"an attestation is about {entry.attests}, which is not listed")
            )
    return tuple(findings)


def _duplicates(images: Sequence[Descriptor]) -> list[Finding]:
    """The same platform twice, in normal form: every client takes the first. Windows tells apart by os.version."""
    findings = []
    seen: dict[tuple[Platform, str, tuple[str, ...]], Platform] = {}
    for entry in images:
        if entry.platform is None:
            continue
        key = (entry.platform.normalised(), entry.os_version, entry.os_features)
        if key in seen:
            same = "" if seen[key] == entry.platform else f", as {seen[key]}"
            findings.append(
                Finding(
                    kind="duplicate", detail=f"{entry.platform} is listed twice{same}; clients take the first"
                )
            )
        seen.setdefault(key, entry.platform)
    return findings


def _about(entry: Descriptor, config: str) -> list[Finding]:
    platform = entry.platform
    name = str(platform) if platform else entry.digest
    findings = []
    if platform is None:
        detail = f"{name} has no platform: containerd gives it to every host that finds nothing better"
        findings.append(Finding(kind="no-platform", detail=detail))
    elif platform.variant == "unknown":
        findings.append(Finding(kind="unknown-variant", detail=f"{platform} serves only {_OLD_DOCKER}"))
    elif not platform.known_variant and platform.normalised().variant:
        findings.append(Finding(kind="unreachable", detail=f"no client looks for the variant of {platform}"))
    if platform and config and not _agree(platform, config):
        findings.append(Finding(kind="mismatch", detail=f"{platform}: the image config says {config}"))
    if entry.media_type in INDEX_TYPES:
        findings.append(Finding(kind="nested", detail=f"{name} is an index itself: many clients stop there"))
    return findings


def _agree(platform: Platform, config: str) -> bool:
    try:
        said = Platform.literal(config)
    except UsageError:
        return True
    have, want = said.normalised(), platform.normalised()
    same = (have.os, have.architecture) == (want.os, want.architecture)
    # A variant that only one of them has, or that is there for old clients, is no contradiction.
    bare = not said.variant or not platform.variant or platform.variant == "unknown"
    return same and (bare or have.variant == want.variant)


def _order(images: Sequence[Descriptor]) -> list[Finding]:
    """An `unknown` variant before the plain one: crane without a variant takes the first of an architecture.

    arm/v7 before arm/v5 is no finding: that is how most indexes are written.
    """
    findings = []
    unknown: dict[tuple[str, str], Descriptor] = {}
    for entry in images:
        platform = entry.platform
        if platform is None:
            continue
        key = (platform.os, platform.architecture)
        if platform.variant == "unknown":
            unknown.setdefault(key, entry)
        elif key in unknown and unknown[key].digest != entry.digest:
            detail = f"{unknown[key].platform} is before {platform}: crane gives that to everybody"
            findings.append(Finding(kind="order", detail=detail))
    return findings
