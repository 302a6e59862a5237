"""SIGKILL while six images are published to two registries: the next run moves all tags, or puts all back.

`MULTIBUILD_KILLS=N` kills at N points instead of a few.
"""

import itertools
import json
import os
import time

import pytest
from e2e.conftest import REGISTRY, multibuild, start
from e2e.counting_proxies import Counter, Counting
from e2e.pushing import INDEX
from e2e.registries import RealRegistry, another_registry
from waiting import PATIENCE_S

pytestmark = pytest.mark.one_driver(driver="docker", reason="what is killed only publishes")

KILLS = int(os.environ.get("MULTIBUILD_KILLS", "1"))
IMAGES = tuple(f"i{number}" for number in range(6))
TAGS = ("v1", "latest")
DOCKERFILE = f"FROM {REGISTRY}/base:latest\nARG OF\nRUN echo $OF > /of\n"
OLD = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


class Site:
    """Six built images, and the tags that they are published to."""

    def __init__(self, folder, repository, proxies, registries, counter):
        self.repository, self.proxies, self.registries, self.counter = (
            repository,
            proxies,
            registries,
            counter,
        )
        self.state, self.round = folder / "state", 0
        config = {
            "version": 1,
            "image": f"{proxies[0].host}/{repository}/{{name}}",
            "destinations": [f"{proxies[1].host}/{repository}-${{ROUND:-0}}/{{name}}"],
            "platforms": ["linux/amd64", "linux/arm64"],
            "tags": TAGS,
            "builder": "default",
            "images": {name: {"args": {"OF": name}} for name in IMAGES},
        }
        (folder / "project").mkdir()
        self.config = folder / "project" / "multibuild.yaml"
        self.config.write_text(json.dumps(config))
        (folder / "project" / "Dockerfile").write_text(DOCKERFILE)

    def arguments(self, command):
        return (command, "-f", self.config, "--state-dir", self.state)

    @property
    def environment(self):
        return {"ROUND": str(self.round)}

    def repositories(self):
        """Yield each repository with its registry, and the host it is published through."""
        for name in IMAGES:
            yield self.registries[0], f"{self.repository}/{name}", self.proxies[0].host
            yield self.registries[1], f"{self.repository}-{self.round}/{name}", self.proxies[1].host

    def fresh(self):
        """Put the old index under every tag; the repositories of the second registry are new."""
        self.round += 1
        for (registry, repository, _), tag in itertools.product(self.repositories(), TAGS):
            registry.put(repository, tag, {**OLD, "annotations": {"of": repository}})
        return self.tags()

    def tags(self):
        """Return the digest of every tag, all tags of the repositories, by the publisher's names."""
        return {
            f"{host}/{repository}:{tag}": registry.digest(repository, tag)
            for registry, repository, host in self.repositories()
            for tag in sorted(json.loads(registry.send("GET", f"{repository}/tags/list")[1])["tags"])
        }

    def merge(self):
        return multibuild(*self.arguments("merge"), env=self.environment)

    def merge_killed_at(self, number):
        """Merge until the n-th request; it is passed on if the number is even, and never answered."""
        running = start(*self.arguments("merge"), env=self.environment)
        self.counter.reset(number, "reset" if number % 2 else "lost", then=running.kill)
        running.communicate(timeout=PATIENCE_S)
        self.counter.reset()
        return running.returncode

    def planned(self):
        """Return the digest that the newest run moves each tag to, as its report has it."""
        report = json.loads((self.state / "latest" / "report.json").read_text())
        return {tag["ref"]: tag["after"] for image in report["images"] for tag in image["published"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory, lab):
    folder, counter = tmp_path_factory.mktemp("site"), Counter()
    repository = f"e2e/image-kills-{os.getpid()}-{time.time_ns() % 10**8}"
    with another_registry(tmp_path_factory.mktemp("second")) as second:
        registries = (RealRegistry(REGISTRY), second)
        ports = [int(registry.host.rpartition(":")[2]) for registry in registries]
        with Counting(ports[0], counter) as one, Counting(ports[1], counter) as other:
            site = Site(folder, repository, (one, other), registries, counter)
            done = multibuild(*site.arguments("build"))
            assert done.code == 0, done.stderr
            yield site


def requests_of_a_good_run(site):
    """Return how many requests a merge makes; an earlier one has proved the content of the children."""
    for _ in range(2):
        site.fresh()
        site.counter.reset()
        done = site.merge()
        assert done.code == 0, done.stderr
    return site.counter.last


def test_a_publication_of_six_images_killed_anywhere_is_rolled_forward_or_back(site, driver):
    count = requests_of_a_good_run(site)
    mixtures = 0
    for kill in range(KILLS):
        # Tags are moved by the last 72 requests; every second kill is there.
        number = count - 5 - round((66 if kill % 2 else count - 10) * kill / KILLS)
        before = site.fresh()
        assert site.merge_killed_at(number) == -9
        after = site.tags()
        assert set(after) == set(before)
        if after != before:
            mixtures += 1
            rule = site.proxies[1].rule("PUT", f"{IMAGES[-1]}/manifests/latest$", 403)
            assert site.merge().code == 7
            rule.cancelled.set()
            assert site.tags() == before
        done = site.merge()
        assert done.code == 0, done.stderr
        held = {reference: digest for reference, digest in site.tags().items() if reference.endswith(TAGS)}
        assert held == site.planned()
        assert len(set(held.values())) == len(IMAGES)
        print(
            f"request {number} of {count}: {sum(after[ref] != before[ref] for ref in before)} tags had moved"
        )
    assert mixtures


def test_a_tag_that_cannot_be_written_puts_back_those_of_all_images(site, driver):
    """The last tag of the last image, at the second registry; every other request goes well."""
    before = site.fresh()
    rule = site.proxies[1].rule("PUT", f"{IMAGES[-1]}/manifests/latest$", 403)
    done = site.merge()
    rule.cancelled.set()
    assert done.code == 7
    assert site.tags() == before
    tags = {reference for reference in before if reference.endswith(TAGS)}
    failed = {reference for reference in tags if f"{reference} failed" in done.stderr}
    assert {reference for reference in tags if f"{reference} put-back" in done.stderr} == tags - failed
    assert (len(tags), len(failed)) == (24, 1)
