"""Publishing to real registries while each request fails in turn: all tags old, all new, or reported."""

import itertools
import json
import multiprocessing
import os
import signal
import time

import pytest
from e2e.conftest import REGISTRY
from e2e.counting_proxies import Counter, Counting
from e2e.publishing_run import events, run
from e2e.pushing import INDEX, Workbench
from e2e.registries import RealRegistry, another_registry

from multibuild.oci.manifest import digest_of

TAGS = ("1.2.3", "1.2", "latest")
FIRST = RealRegistry(REGISTRY)


@pytest.fixture(scope="module")
def second(tmp_path_factory, lab):
    with another_registry(tmp_path_factory.mktemp("second")) as registry:
        yield registry


@pytest.fixture(scope="module")
def site(second, tmp_path_factory):
    """Two registries behind proxies, and an index whose children are in a third repository."""
    source = f"e2e/publishing-{os.getpid()}-{time.time_ns() % 10**8}"
    bench = Workbench(source, tmp_path_factory.mktemp("bench"))
    image = bench.push([bench.layer(b"\0" * 1024)], platform="linux/arm64")
    platform = {"os": "linux", "architecture": "arm64"}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**image, "platform": platform}]}
    counter = Counter()
    ports = [int(host.rpartition(":")[2]) for host in (REGISTRY, second.host)]
    with Counting(ports[0], counter) as one, Counting(ports[1], counter) as other:
        yield RunContext(counter, (one, other), (FIRST, second), source, json.dumps(index).encode())


class RunContext:
    def __init__(self, counter, proxies, registries, source, content):
        self.counter, self.proxies, self.registries = counter, proxies, registries
        self.source, self.content = source, content
        self.numbers = itertools.count()

    def fresh(self, *, existed):
        """Return new repositories in both registries; their tags hold an old index, or do not exist."""
        repository = f"{self.source}-{next(self.numbers)}"
        if existed:
            for registry, tag in itertools.product(self.registries, TAGS):
                registry.put(repository, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
        return repository

    def arguments(self, repository, journal, previous_digests=None):
        names = [f"{proxy.host}/{repository}" for proxy in self.proxies]
        source = f"{self.proxies[0].host}/{self.source}"
        return (self.content, INDEX, source, names, TAGS, str(journal), previous_digests)

    def held(self, repository):
        """Return the digest of every tag, by the publisher's name for it."""
        return {
            f"{proxy.host}/{repository}:{tag}": registry.digest(repository, tag)
            for (proxy, registry), tag in itertools.product(
                zip(self.proxies, self.registries, strict=True), TAGS
            )
        }

    @property
    def digest(self):
        return digest_of(self.content)


def requests_of_a_good_run(site, tmp_path):
    site.counter.reset()
    assert run(*site.arguments(site.fresh(existed=True), tmp_path / "good")) == ""
    return site.counter.last


def require_named(site, before, after, message, journal):
    """Check that all are new, or all old except for tags that the error and the journal list with their digest."""
    if not message:
        assert set(after.values()) == {site.digest}
        return
    ended = {fields["ref"]: fields for name, fields in events(journal) if name == "tag.ended"}
    for reference, digest in after.items():
        if digest != before[reference]:
            assert ended[reference]["status"] in {"left", "failed"}
            assert f"{reference} {ended[reference]['status']}" in message
        elif reference in ended:
            assert ended[reference]["status"] in {"unchanged", "put-back", "failed", "left"}


FAULTS = [
    ("reset", False, True),
    ("reset", True, True),
    ("lost", False, True),
    ("lost", False, False),
    (403, True, True),
    (503, True, False),
]


@pytest.mark.parametrize(("action", "lasting", "existed"), FAULTS)
def test_a_fault_at_any_request_leaves_all_tags_old_or_new(action, lasting, existed, site, tmp_path):
    """Without retries, so that the fault always counts; a lost answer's request was carried out."""
    count = requests_of_a_good_run(site, tmp_path)
    outcomes = set()
    for number in range(1, count + 1):
        repository = site.fresh(existed=existed)
        before = site.held(repository)
        site.counter.reset(number, action, lasting=lasting)
        journal = tmp_path / f"journal-{number}"
        message = run(*site.arguments(repository, journal))
        site.counter.reset()
        after = site.held(repository)
        require_named(site, before, after, message, journal)
        mixed = len(set(after.values())) > 1
        assert not mixed or lasting or not existed, (number, after)
        outcomes.add("new" if not message else "mixed" if mixed else "old")
    print(f"{count} requests, {sorted(outcomes)}")
    assert "old" in outcomes


def test_a_publisher_killed_at_any_request_is_finished_by_the_next_run(site, tmp_path):
    """After the kill some tags may be new; the next run reads the old ones from the journal and finishes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["e2e.publishing_run"])
    count = requests_of_a_good_run(site, tmp_path)
    mixtures = 0
    for number in range(1, count + 1):
        repository = site.fresh(existed=True)
        before = site.held(repository)
        journal = tmp_path / f"journal-{number}"
        process = context.Process(target=run, args=site.arguments(repository, journal))
        action = "lost" if number % 2 else "reset"
        site.counter.reset(number, action, then=lambda p=process: os.kill(p.pid, signal.SIGKILL))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        site.counter.reset()
        after = site.held(repository)
        assert set(after.values()) <= {site.digest, *before.values()}
        planned = [fields for name, fields in events(journal) if name == "tag.planned"]
        previous = {(fields["ref"], fields["after"]): fields["before"] for fields in planned}
        mixed = len(set(after.values())) > 1
        mixtures += mixed
        if mixed:
            # The next run fails at the last tag: everything is as it was before the first.
            site.proxies[-1].rule("PUT", f"{repository}/manifests/latest$", 403, times=1)
            assert "latest failed" in run(*site.arguments(repository, tmp_path / "again", previous))
            assert site.held(repository) == before
        assert run(*site.arguments(repository, tmp_path / "again", previous)) == ""
        assert set(site.held(repository).values()) == {site.digest}
    assert mixtures
