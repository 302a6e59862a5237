"""Six images over two registries, with a fault at each request: all tags of all images, or none."""

from contextlib import ExitStack

import pytest
from fakes.images import put_image
from fakes.registry_server import FakeRegistry, Faults

from multibuild.errors import PublishFailed
from multibuild.journal.events import Event, TagEnded
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.publish.compose_index import compose
from multibuild.publish.merge_sources import read_source
from multibuild.publish.move_tags import Publication, publish_together

NO_RETRY = RetryPolicy(tries=1, initial_wait_s=0.0)
IMAGES = ("one", "two", "three", "four", "five", "six")
TAGS = ("1", "latest")
REQUESTS = 150
"""More than such a publication makes of either registry: the last ones fail nothing."""


class Scene:
    """Two registries, six images, each staged in one and published to both; the recorded events."""

    def __init__(self, stack):
        self.registries = [stack.enter_context(FakeRegistry()) for _ in range(2)]
        self.session = stack.enter_context(RegistrySession({}, on_wait=print, retry=NO_RETRY))
        self.events: list[Event] = []
        self.indexes = {name: self.index_of(name, number) for number, name in enumerate(IMAGES)}

    def index_of(self, name, number):
        host = self.registries[number % 2].host
        digests = [
            put_image(self.registries[number % 2], name, platform)
            for platform in ("linux/amd64", "linux/arm64")
        ]
        sources = [read_source(f"{host}/{name}@{digest}", self.session) for digest in digests]
        self.sources = {**getattr(self, "sources", {}), name: tuple(source.reference for source in sources)}
        return compose([child for source in sources for child in source.children], annotations={"of": name})

    def publications(self, emit):
        return [
            Publication(
                index=index,
                destinations=tuple(
                    Destination(repository=Reference.parse(f"{registry.host}/{name}"), tags=TAGS)
                    for registry in self.registries
                ),
                sources=self.sources[name],
                stores=self.session,
                emit=emit,
            )
            for name, index in self.indexes.items()
        ]

    def publish(self):
        return publish_together(self.publications(self.events.append))

    def put_old_tags(self):
        for registry in self.registries:
            for name in IMAGES[::2]:
                for tag in TAGS:
                    put_image(registry, name, "linux/s390x", tag=tag)

    def tags(self):
        return {
            f"{registry.host}/{name}:{tag}": registry.repository(name).tags.get(tag)
            for registry in self.registries
            for name in IMAGES
            for tag in TAGS
        }

    def new_tags(self):
        return {
            reference: self.indexes[reference.rpartition("/")[2].partition(":")[0]].digest
            for reference in self.tags()
        }

    def forget(self):
        for registry in self.registries:
            registry.forget_requests()


@pytest.fixture
def scene():
    with ExitStack() as stack:
        yield Scene(stack)


def test_every_image_gets_its_own_index_under_its_tags(scene):
    outcome = scene.publish()
    assert scene.tags() == scene.new_tags()
    assert [published.index.digest for published in outcome] == [
        index.digest for index in scene.indexes.values()
    ]
    assert [len(published.tags) for published in outcome] == [4] * 6
    names = [event.name for event in scene.events]
    assert names == ["tag.planned"] * 24 + ["tag.ended"] * 24


def test_the_faults_reach_behind_the_last_request(scene):
    scene.put_old_tags()
    scene.forget()
    scene.publish()
    assert max(len(registry.log) for registry in scene.registries) < REQUESTS


@pytest.mark.parametrize("fault", ["before", "after", 403])
@pytest.mark.parametrize("number", range(1, REQUESTS, 4))
def test_a_fault_at_any_request_leaves_all_tags_old_or_all_new(scene, number, fault):
    lasting, where = bool(number // 4 % 2), number // 8 % 2
    scene.put_old_tags()
    before = scene.tags()
    scene.forget()
    scene.registries[where].faults = Faults({number: fault}, lasting=lasting)
    message = ""
    try:
        scene.publish()
    except PublishFailed as error:
        message = error.message
    after = scene.tags()
    if not message:
        assert after == scene.new_tags()
        return
    outcomes = {event.ref: event.status for event in scene.events if isinstance(event, TagEnded)}
    for reference, digest in after.items():
        if digest != before[reference]:
            assert outcomes[reference] in {"left", "failed"}
            assert reference in message


def test_a_tag_of_the_last_image_that_cannot_be_moved_puts_back_those_of_the_first(scene):
    scene.put_old_tags()
    before = scene.tags()

    def fail(event, /):
        if event.name == "tag.ended" and "/five:latest" in event.ref and event.status == "moved":
            scene.registries[1].faults = Faults({len(scene.registries[1].log) + 1: 403})

    with pytest.raises(PublishFailed, match="one:1 put-back"):
        publish_together(scene.publications(fail))
    after = scene.tags()
    assert {ref: digest for ref, digest in after.items() if before[ref]} == {
        ref: digest for ref, digest in before.items() if digest
    }
