import pytest

from multibuild.platforms import Platform
from multibuild.resolve.client_rules import (
    CLIENTS,
    ENGINE_MEDIA_TYPES,
    Choice,
    Entry,
    accepted_platforms,
    client_rule,
    resolve,
)


def literal(text):
    return Platform.literal(
        text if text.split("/")[0] in ("linux", "windows", "unknown") else f"linux/{text}"
    )


def entries_of(text):
    """Return entries for words like "amd64 arm/v7 -", in order; "-" has no platform. The digest is the position."""
    words = text.split()
    return [
        Entry(
            platform=None if word == "-" else literal(word),
            digest=f"sha256:{position}",
            is_attestation=word.startswith("unknown/"),
        )
        for position, word in enumerate(words)
    ]


def pick(client, host, entries):
    """Return the word of the picked entry, or "none"."""
    choice = resolve(entries_of(entries), literal(host))[client]
    return "none" if choice is None else entries.split()[int(choice.digest.removeprefix("sha256:"))]


# The picks of containerd/platforms' own code, run with Only and a stable sort.
CONTAINERD = [
    ("amd64", "amd64 arm64", "amd64"),
    ("amd64", "arm64 386", "386"),
    ("amd64", "amd64/v2", "none"),
    ("amd64/v3", "amd64 amd64/v2 amd64/v3 amd64/v4", "amd64/v3"),
    ("amd64/v3", "amd64 amd64/v2", "amd64/v2"),
    ("386", "amd64", "none"),
    ("arm/v7", "arm/v5 arm/v6 arm/v7", "arm/v7"),
    ("arm/v7", "arm/v5 arm/v6", "arm/v6"),
    ("arm/v7", "arm64 arm", "arm"),
    ("arm/v6", "arm", "none"),
    ("arm/v8", "arm64", "none"),
    ("arm64", "amd64 arm64/v8", "arm64/v8"),
    ("arm64", "arm/v7 arm64", "arm64"),
    ("arm64", "arm", "arm"),
    ("arm64", "arm64/unknown", "none"),
    ("arm64/v8", "arm64 arm64/unknown", "arm64"),
    ("arm64/unknown", "arm64", "none"),
    ("arm64/unknown", "arm64/v8 arm64/unknown", "none"),
    ("mips64le", "mips64le amd64", "mips64le"),
    ("mips64le", "mips64el", "none"),
    ("s390x", "s390x amd64", "s390x"),
    ("arm64", "unknown/unknown arm64 unknown/unknown", "arm64"),
    ("amd64", "windows/amd64 amd64", "amd64"),
    # Others, from reading the rules.
    ("arm/v5", "arm/v4 arm/v6", "none"),
    ("arm/v4", "arm/v4", "arm/v4"),
    ("arm64/v8.2", "arm64 arm64/v8.1 arm64/v8.3", "arm64/v8.1"),
    ("arm64/v9.1", "arm64/v8.6 arm64/v9", "arm64/v9"),
    ("arm64/v9.1", "arm64/v8.7 arm64/v8.6", "arm64/v8.6"),
    ("arm64/v9.7", "arm64 arm64/v8.9", "arm64/v8.9"),
    ("mips64le", "mips64le/hardfloat", "none"),
    ("aarch64", "x86_64 aarch64", "aarch64"),
    ("arm/v6", "armel", "armel"),
    ("arm64", "- arm64", "arm64"),
    ("arm64", "amd64 -", "-"),
    ("amd64", "amd64/v1 amd64", "amd64/v1"),
    ("arm64", "arm64/v8 arm64", "arm64/v8"),
    ("riscv64", "", "none"),
]

PODMAN = [
    ("arm64/v8", "amd64 arm64/unknown", "none"),
    ("amd64", "amd64/v1", "none"),
    ("arm64", "arm64/v8", "arm64/v8"),
    ("arm64/v8", "arm64 arm64/v8", "arm64/v8"),
    ("arm64", "arm64/v8 arm64", "arm64"),
    ("arm64/unknown", "arm64/unknown arm64/v8", "arm64/v8"),
    ("arm/v7", "arm arm/v5 arm/v6", "arm/v6"),
    ("arm/v7", "arm/v8 arm", "arm"),
    ("arm", "arm/v5 arm/v6", "arm/v6"),
    ("arm", "arm/v7 arm", "arm"),
    ("amd64", "386", "none"),
    ("amd64/v3", "amd64/v3 amd64", "amd64"),
    ("arm64", "arm/v7", "none"),
    ("arm64", "aarch64", "none"),
    ("arm64", "- arm64", "arm64"),
    ("arm64", "amd64 -", "-"),
    ("amd64", "windows/amd64", "none"),
]

DOCKER_LEGACY = [
    ("arm64", "arm/v7", "none"),
    ("arm64/unknown", "arm64", "none"),
    ("arm64/unknown", "arm64/unknown", "arm64/unknown"),
    ("arm64/unknown", "arm64 arm64/unknown", "arm64/unknown"),
    ("arm64", "arm64 arm64/unknown", "arm64"),
    ("arm64/v8", "arm64", "arm64"),
    ("amd64", "386", "none"),
    ("arm/v7", "arm/v6 arm/v7", "arm/v7"),
    ("arm/v7", "arm/v5 arm/v6", "arm/v5"),
    ("arm/v5", "arm/v7", "arm/v7"),
    ("arm/v7", "armhf", "armhf"),
    ("arm/v6", "armhf", "none"),
    ("amd64", "-", "none"),
]

CRANE = [
    ("arm64", "arm64/v8", "arm64/v8"),
    ("arm64/v8", "arm64", "none"),
    ("arm64/v8", "arm64 arm64/v8", "arm64/v8"),
    ("arm64", "arm64/unknown arm64", "arm64/unknown"),
    ("arm", "arm/v5 arm/v7", "arm/v5"),
    ("amd64", "386", "none"),
    ("amd64", "-", "-"),
    ("arm64", "-", "none"),
    ("amd64", "unknown/unknown amd64", "amd64"),
]

PICKS = {
    "containerd": CONTAINERD,
    "docker": CONTAINERD,
    "docker-legacy": DOCKER_LEGACY,
    "podman": PODMAN,
    "crane": CRANE,
}


@pytest.mark.parametrize(
    ("client", "host", "entries", "expected"),
    [(client, *row) for client, rows in PICKS.items() for row in rows],
)
def test_a_client_picks_by_its_rule(client, host, entries, expected):
    assert pick(client, host, entries) == expected


# Where the clients differ: an arm64 host, and an index with 32-bit ARM alone, or with a variant no client looks for.
DIFFERENT_PICKS = {
    "containerd": ("arm", "none"),
    "docker": ("arm", "none"),
    "docker-legacy": ("none", "none"),
    "podman": ("none", "none"),
    "crane": ("none", "arm64/unknown"),
}


def test_every_client_is_in_the_table_of_differences():
    assert set(DIFFERENT_PICKS) == set(CLIENTS)


@pytest.mark.parametrize("client", DIFFERENT_PICKS)
def test_the_clients_differ_on_an_arm64_host(client):
    picks = pick(client, "arm64", "amd64 arm"), pick(client, "arm64", "amd64 arm64/unknown")
    assert picks == DIFFERENT_PICKS[client]


def test_two_entries_of_one_digest_serve_new_and_old_arm64_hosts():
    digest = "sha256:same"
    entries = [Entry(platform=literal(text), digest=digest) for text in ("arm64", "arm64/unknown")]
    assert resolve(entries, literal("arm64"))["docker"] == Choice(digest=digest, platform=literal("arm64"))
    assert resolve(entries, literal("arm64/unknown"))["docker-legacy"] == Choice(
        digest=digest, platform=literal("arm64/unknown")
    )


def test_docker_skips_unknown_media_types():
    entries = [
        Entry(platform=literal("amd64"), digest="sha256:0", media_type="application/vnd.example.thing+json"),
        *(
            Entry(platform=literal("amd64"), digest=f"sha256:{position}", media_type=kind)
            for position, kind in enumerate(ENGINE_MEDIA_TYPES, start=1)
        ),
    ]
    choice = resolve(entries, literal("amd64"))["docker"]
    assert choice is not None
    assert choice.digest == "sha256:1"


@pytest.mark.parametrize("client", CLIENTS)
def test_an_attestation_is_never_picked(client):
    entries = [Entry(platform=None, digest="sha256:0", is_attestation=True)]
    assert resolve(entries, literal("amd64"))[client] is None


def test_an_arm64_host_accepts_32_bit_arm():
    assert [str(platform) for platform in accepted_platforms(literal("arm64"))] == [
        "linux/arm64",
        "linux/arm/v8",
        "linux/arm/v7",
        "linux/arm/v6",
        "linux/arm/v5",
    ]


def test_a_variant_with_absurd_digits_has_no_lower_levels():
    assert accepted_platforms(literal("amd64/v999999999"))[0].variant == "v999999999"


# -- zstd beside gzip (containers/image internal/manifest/oci_index.go, chooseInstance)

ZSTD_PICKS = [
    # entries ("+" has the annotation), host, of podman, of podman@4.4
    ("amd64 amd64+", "amd64", 1, 0),
    ("amd64+ amd64", "amd64", 0, 0),
    ("amd64 amd64+ amd64+", "amd64", 1, 0),
    ("arm64 arm64/v8+", "arm64", 0, 0),
    ("arm64/v8 arm64+", "arm64/v8", 0, 0),
    ("arm/v7 arm/v6+ arm/v7+", "arm/v7", 2, 0),
    ("-+ amd64", "amd64", 1, 1),
    ("- -+", "amd64", 1, 0),
    ("arm64+", "amd64", None, None),
]


@pytest.mark.parametrize(("text", "host", "new", "old"), ZSTD_PICKS)
def test_podman_prefers_zstd_since_4_5(text, host, new, old):
    entries = [
        Entry(
            platform=None if word.strip("+") == "-" else literal(word.rstrip("+")),
            digest=f"sha256:{position}",
            is_zstd=word.endswith("+"),
        )
        for position, word in enumerate(text.split())
    ]
    names = (
        "podman",
        "podman@5.4.2",
        "podman@4.5",
        "podman@4.4.4",
        "podman@3",
        "docker",
        "containerd",
        "crane",
    )
    picks = resolve(entries, literal(host), names)
    position = {name: int(pick.digest[7:]) if pick else None for name, pick in picks.items()}
    assert (position["podman"], position["podman@5.4.2"], position["podman@4.5"]) == (new, new, new)
    assert (position["podman@4.4.4"], position["podman@3"]) == (old, old)
    if "+" in text and text.replace("+", "") == "amd64 amd64":
        assert position["docker"] == position["containerd"] == position["crane"] == 0


@pytest.mark.parametrize(
    "name", ["podman@", "podman@new", "docker@20.10", "crane@1", "Podman", "", "podman@1e5"]
)
def test_a_version_is_known_of_podman_alone(name):
    assert client_rule(name) is None
