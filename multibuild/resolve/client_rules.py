"""Pick the entry of an index that a client takes for a host: the rules of the clients' own code as pure functions.

Sources: containerd/platforms v1.0.0-rc.4, containerd v2 core/images, moby 18.06 to 29, containers/image 5.36,
go-containerregistry 0.20.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from multibuild.architectures import ARCHITECTURES
from multibuild.frozen import frozen
from multibuild.platforms import Platform

# The media types an engine accepts in an index; it skips others (moby distribution/pull_v2.go).
ENGINE_MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)

# containerd/platforms database.go normalizeArch: alias → architecture, and the variant where the alias implies one.
# There are no others: mips64el, ppc64el and loongarch64 are no aliases.
ARCHITECTURE_ALIASES: dict[str, tuple[str, str | None]] = {
    "i386": ("386", ""),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}

# The same function: variants with more than one spelling.
VARIANT_ALIASES: dict[tuple[str, str], str] = {
    (row.name, variant): normal for row in ARCHITECTURES for variant, normal in row.normal
}

# containers/image internal/pkg/platform/platform_matcher.go, "compatibility": from most to least capable.
PODMAN_VARIANT_ORDER: dict[str, tuple[str, ...]] = {"arm": ("v8", "v7", "v6", "v5"), "arm64": ("v8",)}

# containerd/platforms compare.go, arm64variantToVersion: the minor versions of v8 and v9. Armv9.0 is based on Armv8.5,
# so v9.x can run v8.(x+5).
_LAST_V8, _LAST_V9, _V9_IS_V8 = 9, 7, 5
_OLDEST_ARM = 5

_GGCR_DEFAULT = Platform(os="linux", architecture="amd64")


@frozen
class Entry:
    """One entry of an index, as written; `platform` is not normalised (Platform.literal).

    `is_zstd`: its annotation says that its layers need zstd.
    """

    platform: Platform | None
    digest: str
    media_type: str = ENGINE_MEDIA_TYPES[0]
    is_attestation: bool = False
    is_zstd: bool = False


@frozen
class Choice:
    """A client's pick: the entry's digest, and its platform as written in the index."""

    digest: str
    platform: Platform | None


def resolve(
    entries: Sequence[Entry], host: Platform, clients: Sequence[str] = ()
) -> dict[str, Choice | None]:
    """Return each client's pick from an index on a host; None where no entry matches, or the client is unknown.

    `host` is the platform that the client detects or is configured with, so an old engine's `arm64/unknown` is taken
    literally. Attestations are never picked: their platform is unknown/unknown, in the entry and in their config.
    """
    images = [entry for entry in entries if not entry.is_attestation]
    rules = {name: client_rule(name) for name in clients or CLIENTS}
    return {name: _choice(rule(images, host)) if rule else None for name, rule in rules.items()}


def containerd(entries: Sequence[Entry], host: Platform) -> Entry | None:
    """Pick like containerd, and Kubernetes through it: the first of the most specific in `platforms.Only(host)`.

    core/images/image.go Manifest: entries without platform match too, and come last; sort.SliceStable keeps the
    index's order among equals.
    """
    order = [None, *reversed(accepted_platforms(host))]
    best, best_rank = None, -1
    for entry in entries:
        platform = normalised(entry.platform) if entry.platform is not None else None
        rank = order.index(platform) if platform in order else -1
        if rank > best_rank:
            best, best_rank = entry, rank
    return best


def docker(entries: Sequence[Entry], host: Platform) -> Entry | None:
    """Pick like Docker 23.0 and later, both stores: containerd's rule without entries of unknown media types.

    moby daemon/internal/distribution/pull_v2_unix.go filterManifests; daemon/containerd/image_pull.go.
    """
    return containerd([entry for entry in entries if entry.media_type in ENGINE_MEDIA_TYPES], host)


def docker_legacy(entries: Sequence[Entry], host: Platform) -> Entry | None:
    """Pick like Docker 18.06 to 20.10: the exact platform in normal form; for arm, else the first of any variant.

    moby distribution/pull_v2_unix.go filterManifests at those tags (platforms.NewMatcher, "deprecated: backwards
    compatibility with older versions that didn't compare variant").
    """
    goal = normalised(host)
    candidates = [(entry, entry.platform) for entry in entries if entry.platform is not None]
    for entry, platform in candidates:
        if entry.media_type in ENGINE_MEDIA_TYPES and normalised(platform) == goal:
            return entry
    if goal.architecture == "arm":
        for entry, platform in candidates:
            if (platform.os, platform.architecture) == (goal.os, goal.architecture):
                return entry
    return None


def podman(entries: Sequence[Entry], host: Platform) -> Entry | None:
    """Pick like Podman, CRI-O, skopeo, buildah: exact strings, against a list of variants in order of preference.

    containers/image internal/pkg/platform/platform_matcher.go WantedPlatforms, internal/manifest/oci_index.go
    chooseInstance: entries without platform come last. Only arm and arm64 have a variant detected; one that is not
    recognised is none. Between equals it prefers zstd layers, by their annotation, since 5.25 (Podman 4.5, CRI-O 1.27,
    skopeo 1.12); `podman@4.4` is one from before.
    """
    return _podman(entries, host, prefers_zstd=True)


def podman_without_zstd(entries: Sequence[Entry], host: Platform) -> Entry | None:
    """Pick like Podman before 4.5, CRI-O before 1.27: of equals the first, whatever its compression."""
    return _podman(entries, host, prefers_zstd=False)


def _podman(entries: Sequence[Entry], host: Platform, *, prefers_zstd: bool) -> Entry | None:
    variants = _podman_variants(host)
    best, best_rank = None, (len(variants) + 1, False)
    for entry in entries:
        position = len(variants)
        if entry.platform is not None:
            platform = entry.platform
            same = (platform.os, platform.architecture) == (host.os, host.architecture)
            if not same or platform.variant not in variants:
                continue
            position = variants.index(platform.variant)
        rank = (position, prefers_zstd and not entry.is_zstd)
        if rank < best_rank:
            best, best_rank = entry, rank
    return best


def crane(entries: Sequence[Entry], host: Platform) -> Entry | None:
    """Pick like crane and other users of go-containerregistry: the first of the os, architecture and, if set, variant.

    pkg/v1/remote/index.go childByPlatform; an entry without platform counts as linux/amd64.
    """
    for entry in entries:
        platform = entry.platform or _GGCR_DEFAULT
        same = (platform.os, platform.architecture) == (host.os, host.architecture)
        if same and host.variant in ("", platform.variant):
            return entry
    return None


Rule = Callable[[Sequence[Entry], Platform], Entry | None]

CLIENTS: Mapping[str, Rule] = {
    "containerd": containerd,
    "docker": docker,
    "docker-legacy": docker_legacy,
    "podman": podman,
    "crane": crane,
}


FIRST_PODMAN_WITH_ZSTD = (4, 5)
"""Its go.mod has containers/image 5.25, where zstd comes first (containers/image pull request 1789)."""


def client_rule(name: str) -> Rule | None:
    """Return a client's rule: a name of CLIENTS, or `podman@VERSION`; None for any other."""
    client, at, version = name.partition("@")
    if not at:
        return CLIENTS.get(name)
    numbers = major_minor(version)
    if client != "podman" or numbers is None:
        return None
    return podman if numbers >= FIRST_PODMAN_WITH_ZSTD else podman_without_zstd


def major_minor(version: str) -> tuple[int, int] | None:
    """Parse the start of a version, `4.5.1` or `4`; None for one without a number."""
    major, _, rest = version.partition(".")
    numbers = [major, rest.partition(".")[0].partition("-")[0] or "0"]
    if not all(part.isascii() and part.isdigit() and len(part) < 6 for part in numbers):
        return None
    return int(numbers[0]), int(numbers[1])


def normalised(platform: Platform) -> Platform:
    """Return containerd's normal form (platforms/database.go normalizeOS, normalizeArch), which has few aliases."""
    system, alias = platform.os.lower(), platform.architecture.lower()
    architecture, implied = ARCHITECTURE_ALIASES.get(alias, (alias, None))
    variant = platform.variant.lower() if implied is None else implied
    return Platform(
        os="darwin" if system == "macos" else system,
        architecture=architecture,
        variant=VARIANT_ALIASES.get((architecture, variant), variant),
    )


def accepted_platforms(host: Platform) -> tuple[Platform, ...]:
    """Return the platforms a host accepts, best first (containerd/platforms compare.go platformVector, Only)."""
    host = normalised(host)

    def of(architecture: str, variants: Sequence[str]) -> tuple[Platform, ...]:
        return tuple(
            normalised(Platform(os=host.os, architecture=architecture, variant=variant))
            for variant in variants
        )

    number = _number(host.variant)
    if host.architecture == "amd64":
        lower = [f"v{level}" for level in range(number - 1, 0, -1)]
        return (*of("amd64", [host.variant, *lower]), *of("386", [""]))
    if host.architecture == "arm":
        return of("arm", [host.variant, *_arm_below(number)])
    if host.architecture == "arm64":
        own = _arm64_vector(host.variant or "v8")
        return (*of("arm64", own), *of("arm", ["v8", *_arm_below(8)])) if own else ()
    return (host,)


def _arm_below(level: int) -> list[str]:
    return [f"v{lower}" for lower in range(level - 1, _OLDEST_ARM - 1, -1)]


def _arm64_vector(variant: str) -> list[str]:
    """List the arm64 variants a CPU runs; none for a variant containerd does not know, which matches no entry."""
    v8 = [f"v8.{minor}" for minor in range(_LAST_V8 + 1)]
    v9 = [f"v9.{minor}" for minor in range(_LAST_V9 + 1)]
    full = variant if "." in variant else f"{variant}.0"
    if full in v8:
        return v8[v8.index(full) :: -1]
    if full in v9:
        minor = v9.index(full)
        return [*v9[minor::-1], *v8[min(minor + _V9_IS_V8, _LAST_V8) :: -1]]
    return []


def _number(variant: str) -> int:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 3 else 0


def _podman_variants(host: Platform) -> tuple[str, ...]:
    variants = PODMAN_VARIANT_ORDER.get(host.architecture, ())
    if host.variant in variants:
        return (*variants[variants.index(host.variant) :], "")
    return ("", *variants)


def _choice(entry: Entry | None) -> Choice | None:
    return Choice(digest=entry.digest, platform=entry.platform) if entry is not None else None
