"""What holds of every client's choice, on made up indexes; a seed that fails is in the test's name."""

import random

import pytest

from multibuild.platforms import ARCHITECTURES, Platform
from multibuild.resolve.clients import CLIENTS, Entry, accepted_platforms, normalised, resolve

NAMES = [
    *(f"linux/{row.name}" for row in ARCHITECTURES),
    *(f"linux/{row.name}/{variant}" for row in ARCHITECTURES for variant in (*row.variants, "unknown", "x")),
    *("windows/amd64", "linux/aarch64", "linux/arm/8", "darwin/arm64"),
]
HOSTS = [name for name in NAMES if not name.endswith(("/x", "/unknown"))]


def made_up(seed):
    chosen = random.Random(seed)
    entries = [
        Entry(
            platform=Platform.literal(chosen.choice(NAMES)) if chosen.random() < 0.9 else None,
            digest=f"sha256:{number:064x}",
            is_attestation=chosen.random() < 0.1,
        )
        for number in range(chosen.randint(0, 12))
    ]
    return entries, [Platform.literal(name) for name in chosen.sample(HOSTS, 6)], chosen


@pytest.mark.parametrize("seed", range(150))
def test_every_choice_is_an_image_of_the_index_and_does_not_hang_on_what_was_not_chosen(seed):
    entries, hosts, chosen = made_up(seed)
    images = {entry.digest: entry.platform for entry in entries if not entry.is_attestation}
    for host in hosts:
        before = resolve(entries, host)
        assert set(before) == set(CLIENTS)
        for name, choice in before.items():
            assert choice is None or images[choice.digest] == choice.platform
            others = [e for e in entries if choice is None or e.digest != choice.digest]
            for gone in chosen.sample(others, min(2, len(others))):
                assert resolve([e for e in entries if e is not gone], host)[name] == choice


@pytest.mark.parametrize("seed", range(150))
def test_an_exact_entry_in_front_is_taken_by_every_client(seed):
    """Also by podman, where the variant is one it knows of, or none."""
    entries, hosts, _ = made_up(seed)
    for host in hosts:
        exact = Entry(platform=host, digest="sha256:" + "f" * 64)
        for name, choice in resolve([exact, *entries], host).items():
            if name in {"crane", "docker-legacy"} or normalised(host) in accepted_platforms(host)[:1]:
                if name == "podman" and host.variant:
                    continue
                assert choice is not None, (name, host)
                assert choice.digest == exact.digest, (name, host)


@pytest.mark.parametrize("seed", range(150))
def test_what_containerd_takes_runs_on_the_host(seed):
    """Never something for a better CPU than the host's; nothing less fitting while something more fitting is there."""
    entries, hosts, _ = made_up(seed)
    for host in hosts:
        order = list(accepted_platforms(host))
        choice = resolve(entries, host)["containerd"]
        fitting = [
            order.index(normalised(entry.platform))
            for entry in entries
            if not entry.is_attestation and entry.platform is not None and normalised(entry.platform) in order
        ]
        if choice is None or choice.platform is None:
            assert not fitting
        else:
            assert order.index(normalised(choice.platform)) == min(fitting)


@pytest.mark.parametrize("seed", range(100))
def test_entries_of_another_system_or_attestations_change_nothing(seed):
    entries, hosts, _ = made_up(seed)
    noise = [
        Entry(platform=Platform.literal("freebsd/amd64"), digest="sha256:" + "e" * 64),
        Entry(platform=Platform.literal("unknown/unknown"), digest="sha256:" + "d" * 64, is_attestation=True),
    ]
    for host in hosts:
        assert resolve([*noise, *entries], host) == resolve(entries, host)
