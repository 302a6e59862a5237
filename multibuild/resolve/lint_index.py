"""Lint rules for an index: entries that will surprise its users, by the rules of the clients among others."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from multibuild.architectures import BY_NAME, architecture_named
from multibuild.frozen import frozen
from multibuild.oci.manifest import INDEX_TYPES, Descriptor
from multibuild.oci.manifests.identity import EntryIdentity
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import CLIENTS, Entry, normalised
from multibuild.resolve.resolve import entry_of

CURRENT_CLIENTS = ("containerd", "docker", "podman", "crane")
"""The clients that should agree; docker-legacy needs entries of its own."""

OTHER_ARCHITECTURES = frozenset(
    (
        *(
            "amd64p32",
            "arm64be",
            "armbe",
            "mips64p32",
            "mips64p32le",
            "ppc",
            "riscv",
            "s390",
            "sparc",
            "sparc64",
        ),
        "wasm",
    )
)
"""Go's names of architectures that no table here has: containerd/platforms database.go, isKnownArch."""

COMMON_HOSTS = ("linux/amd64", "linux/arm64", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/386")

MAX_COMPARED_IMAGES = 250
"""Every client's rule runs for every platform over every image: more of them would take seconds."""


@frozen
class Finding:
    """A lint finding."""

    kind: str
    detail: str


def lint(entries: Sequence[Descriptor], configs: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return the findings. `configs` is the platform of each image config, by digest."""
    images = [entry for entry in entries if not entry.is_attestation]
    return (
        *_lint_images(images, configs),
        *_lint_compression(images),
        *_lint_attestations(entries),
        *_lint_choices(images),
    )


def _lint_images(images: Sequence[Descriptor], configs: Mapping[str, str]) -> Iterator[Finding]:
    # `arm64` and `arm64/v8` beside each other are no mistake: podman and crane compare exact strings.
    seen: set[tuple[EntryIdentity, Platform | None]] = set()
    for entry in images:
        identity = EntryIdentity.of(entry)
        platform = str(entry.platform) if entry.platform else ""
        if platform and (identity, entry.platform) in seen:
            yield Finding(kind="duplicate", detail=f"{identity} is listed twice; clients take the first")
        seen.add((identity, entry.platform))
        yield from lint_platform(entry.platform)
        config = configs.get(entry.digest, "")
        if entry.platform is not None and config and _differ(entry.platform, Platform.literal(config)):
            yield Finding(kind="mismatch", detail=f"{platform}: the image config says {config}")
        if entry.media_type in INDEX_TYPES:
            detail = f"{platform or entry.digest} is an index itself: many clients stop there"
            yield Finding(kind="nested", detail=detail)


def _lint_compression(images: Sequence[Descriptor]) -> Iterator[Finding]:
    """Yield a finding for zstd before gzip of the same platform: Docker before 23.0 takes the first of them."""
    hidden: dict[EntryIdentity, EntryIdentity] = {}
    for identity in map(EntryIdentity.of, images):
        gzip = replace(identity, is_zstd=False)
        if identity.is_zstd:
            hidden.setdefault(gzip, identity)
        elif zstd := hidden.pop(gzip, None):
            detail = f"{zstd} is before {gzip}: clients that cannot read zstd take it"
            yield Finding(kind="order", detail=detail)


def _lint_attestations(entries: Sequence[Descriptor]) -> Iterator[Finding]:
    digests = {entry.digest for entry in entries if not entry.is_attestation}
    for entry in entries:
        if entry.is_attestation and entry.attests not in digests:
            detail = f"an attestation is about {entry.attests}, which is not listed"
            yield Finding(kind="orphan", detail=detail)


def lint_platform(platform: Platform | None) -> Iterator[Finding]:
    """Yield what is wrong with the platform of an entry, by itself."""
    if platform is None or not (platform.os and platform.architecture):
        if platform is not None:
            yield Finding(
                kind="unreachable", detail="an entry names no os or no architecture: no client takes it"
            )
        return
    name = normalised(platform).architecture
    if name not in BY_NAME and name not in OTHER_ARCHITECTURES:
        row = architecture_named(name)
        instead = f"; their name for it is {row.name}" if row else ""
        yield Finding(
            kind="unreachable", detail=f"no client looks for the architecture of {platform}{instead}"
        )
    elif _is_looked_for(platform):
        return
    elif platform.variant == "unknown":
        hosts = "Docker 18.06 to 20.10 on hosts whose kernel does not say their ARM level; others skip it"
        yield Finding(kind="unknown-variant", detail=f"{platform} serves only {hosts}")
    else:
        yield Finding(kind="unreachable", detail=f"no client looks for the variant of {platform}")


def _is_looked_for(platform: Platform) -> bool:
    """Whether clients look for the variant of a platform, in any spelling that they know."""
    return normalised(platform).has_known_variant


def _differ(entry: Platform, config: Platform) -> bool:
    """Whether an entry's platform is not the image's own; a variant counts where both have a known one."""
    listed, own = normalised(entry), normalised(config)
    if (listed.os, listed.architecture) != (own.os, own.architecture):
        return True
    has_variants = entry.variant and config.variant and _is_looked_for(entry)
    return bool(has_variants) and listed.variant != own.variant


def _lint_choices(images: Sequence[Descriptor]) -> list[Finding]:
    """Return hosts on which clients differ because of the order, and entries that no client picks."""
    if len(images) > MAX_COMPARED_IMAGES:
        detail = f"{len(images)} images: which client takes which was not compared"
        return [Finding(kind="order", detail=detail)]
    entries = [entry_of(image) for image in images]
    identities = {id(entry): EntryIdentity.of(image) for entry, image in zip(entries, images, strict=True)}
    findings, picked = [], set()
    for host in _hosts(entries):
        picks = {name: rule(entries, host) for name, rule in CLIENTS.items()}
        picked |= {id(entry) for entry in picks.values() if entry is not None}
        current = {name: pick for name in CURRENT_CLIENTS if (pick := picks[name]) is not None}
        if _differ_by_order(list(current.values()), identities):
            choices = ", ".join(f"{name} {pick.platform or 'no platform'}" for name, pick in current.items())
            findings.append(Finding(kind="order", detail=f"on {host} clients differ: {choices}"))
    return [*findings, *_lint_unpicked(entries, picked)]


def _hosts(entries: Sequence[Entry]) -> Iterable[Platform]:
    hosts = dict.fromkeys(Platform.literal(text) for text in COMMON_HOSTS)
    for entry in entries:
        if entry.platform is not None and _is_looked_for(entry.platform):
            hosts |= dict.fromkeys((normalised(entry.platform), entry.platform))
    return hosts


def _differ_by_order(picks: Sequence[Entry], identities: Mapping[int, EntryIdentity]) -> bool:
    """Whether clients take different images of one platform; zstd beside gzip is meant to be chosen by some."""
    chosen = {pick.digest: identities[id(pick)] for pick in picks}
    return len({replace(identity, is_zstd=False) for identity in chosen.values()}) > 1 or (
        len(chosen) > len(set(chosen.values()))
    )


def _lint_unpicked(entries: Sequence[Entry], picked: Container[int]) -> Iterator[Finding]:
    """Yield a finding for each entry that an earlier one of another platform hides.

    The rules here know no `os.version` and no features, by which Windows and lazy snapshotters choose: of entries of
    one platform only the first is looked at.
    """
    seen: set[Platform | None] = set()
    for entry in entries:
        can_match = entry.platform is None or _is_looked_for(entry.platform)
        if can_match and id(entry) not in picked and entry.platform not in seen:
            detail = f"no client takes {entry.platform or entry.digest}: another entry comes before it"
            yield Finding(kind="unreachable", detail=detail)
        seen.add(entry.platform)
