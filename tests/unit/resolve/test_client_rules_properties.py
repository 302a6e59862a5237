"""Properties of every client's pick on random indexes; the seed is in the test's name."""

import random

import pytest

from multibuild.architectures import ARCHITECTURES
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import CLIENTS, Entry, accepted_platforms, normalised, resolve

NAMES = [
    *(f"linux/{row.name}" for row in ARCHITECTURES),
    *(f"linux/{row.name}/{variant}" for row in ARCHITECTURES for variant in (*row.variants, "unknown", "x")),
    *("windows/amd64", "linux/aarch64", "linux/arm/8", "darwin/arm64"),
]
HOSTS = [name for name in NAMES if not name.endswith(("/x", "/unknown"))]


def random_index(seed):
    rng = random.Random(seed)
    entries = [
        Entry(
            platform=Platform.literal(rng.choice(NAMES)) if rng.random() < 0.9 else None,
            digest=f"sha256:{number:064x}",
            is_attestation=rng.random() < 0.1,
        )
        for number in range(rng.randint(0, 12))
    ]
    return entries, [Platform.literal(name) for name in rng.sample(HOSTS, 6)], rng


@pytest.mark.parametrize("seed", range(150))
def test_every_pick_is_an_image_of_the_index_and_independent_of_the_other_entries(seed):
    entries, hosts, rng = random_index(seed)
    images = {entry.digest: entry.platform for entry in entries if not entry.is_attestation}
    for host in hosts:
        before = resolve(entries, host)
        assert set(before) == set(CLIENTS)
        for name, choice in before.items():
            assert choice is None or images[choice.digest] == choice.platform
            others = [e for e in entries if choice is None or e.digest != choice.digest]
            for removed in rng.sample(others, min(2, len(others))):
                assert resolve([e for e in entries if e is not removed], host)[name] == choice


@pytest.mark.parametrize("seed", range(150))
def test_an_exact_entry_in_front_is_picked_by_every_client(seed):
    """Podman is exempt for hosts with a variant."""
    entries, hosts, _ = random_index(seed)
    for host in hosts:
        exact = Entry(platform=host, digest="sha256:" + "f" * 64)
        for name, choice in resolve([exact, *entries], host).items():
            if name in {"crane", "docker-legacy"} or normalised(host) in accepted_platforms(host)[:1]:
                if name == "podman" and host.variant:
                    continue
                assert choice is not None, (name, host)
                assert choice.digest == exact.digest, (name, host)


@pytest.mark.parametrize("seed", range(150))
def test_containerds_pick_runs_on_the_host(seed):
    """Never an entry for a better CPU than the host's, nor a less specific one than another that matches."""
    entries, hosts, _ = random_index(seed)
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
    entries, hosts, _ = random_index(seed)
    noise = [
        Entry(platform=Platform.literal("freebsd/amd64"), digest="sha256:" + "e" * 64),
        Entry(platform=Platform.literal("unknown/unknown"), digest="sha256:" + "d" * 64, is_attestation=True),
    ]
    for host in hosts:
        assert resolve([*noise, *entries], host) == resolve(entries, host)
