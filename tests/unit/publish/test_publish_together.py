"""Six images over two registries, with a fault or a kill at each call: all tags of all images, or none."""

import os
from contextlib import ExitStack

import pytest
from fakes.images import put_image
from fakes.memory_stores import Fault, Killed, MemoryStores
from fakes.registry_server import FakeRegistry, Faults

from multibuild.errors import PublishFailed
from multibuild.journal.events import Event, TagEnded, TagPlanned
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.publish.compose_index import compose
from multibuild.publish.merge_sources import read_source
from multibuild.publish.move_tags import Publication, publish_together

NO_RETRY = RetryPolicy(tries=1, initial_wait_s=0.0)
IMAGES = ("one", "two", "three", "four", "five", "six")
TAGS = ("v1", "latest")
HOSTS = ("a.example", "b.example")


class Scene:
    """Two registries, six images, each staged in one and published to both; the recorded events.

    `registries` are fakes with content, `stores` what reaches them.
    """

    def __init__(self, registries, stores):
        self.registries, self.stores = registries, stores
        self.events: list[Event] = []
        self.sources = {}
        self.indexes = self.build("1")

    def build(self, version):
        """Put the children of a version; return the index of each image."""
        return {name: self._index_of(name, number, version) for number, name in enumerate(IMAGES)}

    def _index_of(self, name, number, version):
        registry = self.registries[number % 2]
        digests = [
            put_image(registry, name, platform, layer=f"{name} {platform} {version}".encode())
            for platform in ("linux/amd64", "linux/arm64")
        ]
        sources = [read_source(f"{registry.host}/{name}@{digest}", self.stores) for digest in digests]
        self.sources[name] = tuple(source.reference for source in sources)
        return compose([child for source in sources for child in source.children], annotations={"of": name})

    def publish(self, emit=None, previous=None):
        publications = [
            Publication(
                index=index,
                destinations=tuple(
                    Destination(repository=Reference.parse(f"{registry.host}/{name}"), tags=TAGS)
                    for registry in self.registries
                ),
                sources=self.sources[name],
                stores=self.stores,
                emit=emit or self.events.append,
                previous_digests=previous or {},
            )
            for name, index in self.indexes.items()
        ]
        return publish_together(publications)

    def put_old_tags(self, images=IMAGES):
        for registry in self.registries:
            for name in images:
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

    def planned(self):
        """Return what tags held before the runs so far, as the next run reads it from their journals."""
        planned = [event for event in reversed(self.events) if isinstance(event, TagPlanned)]
        return {(event.ref, event.after): event.before for event in planned if event.before != event.after}


def memory_scene():
    stores = MemoryStores()
    return Scene([stores.of(host) for host in HOSTS], stores)


@pytest.fixture
def scene():
    return memory_scene()


@pytest.fixture
def http_scene():
    with ExitStack() as stack:
        registries = [stack.enter_context(FakeRegistry()) for _ in range(2)]
        yield Scene(registries, stack.enter_context(RegistrySession({}, on_wait=print, retry=NO_RETRY)))


STEP = int(os.environ.get("MULTIBUILD_SWEEP_STEP", "23"))
"""Each sweep takes every such call, and each sweep others; 1 is for sweeps by hand, which take minutes."""


def calls_of_a_publication():
    scene = memory_scene()
    scene.put_old_tags()
    scene.stores.start()
    scene.publish()
    return len(scene.stores.calls)


def swept(sweep):
    """Return the numbers of the calls that a sweep takes."""
    return range(1 + sweep % STEP, calls_of_a_publication() + 1, STEP)


def test_every_image_gets_its_own_index_under_its_tags(scene):
    outcome = scene.publish()
    assert scene.tags() == scene.new_tags()
    assert [published.index.digest for published in outcome] == [
        index.digest for index in scene.indexes.values()
    ]
    assert [len(published.tags) for published in outcome] == [4] * 6
    names = [event.name for event in scene.events]
    assert names == ["tag.planned"] * 24 + ["tag.ended"] * 24


KINDS = ("before", "after", "forever")
EXISTING = (IMAGES, IMAGES[::2], ())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("existing", EXISTING)
def test_a_fault_at_any_call_leaves_all_tags_old_or_all_new(kind, existing):
    outcomes = set()
    for number in swept(KINDS.index(kind) + 3 * EXISTING.index(existing)):
        scene = memory_scene()
        scene.put_old_tags(existing)
        before = scene.tags()
        scene.stores.start(Fault(number, kind))
        message = publishing_error(scene)
        assert scene.tags() == (before if message else scene.new_tags()), (number, scene.stores.fault.call)
        outcomes.add("old" if message else "new")
    assert "old" in outcomes


def test_a_registry_that_answers_no_more_has_its_tags_named(http_scene):
    """Nothing can be rolled back where nothing is answered any more."""
    scene = http_scene
    scene.put_old_tags(IMAGES[::2])
    before = scene.tags()

    def fail(event, /):
        scene.events.append(event)
        if event.name == "tag.ended" and "/five:latest" in event.ref and event.status == "moved":
            registry = scene.registries[1]
            registry.faults = Faults({len(registry.log) + 1: "after"}, lasting=True)

    message = publishing_error(scene, emit=fail)
    assert message
    outcomes = {event.ref: event.status for event in scene.events if isinstance(event, TagEnded)}
    changed = {reference for reference, digest in scene.tags().items() if digest != before[reference]}
    assert changed
    for reference in changed:
        assert outcomes[reference] in {"left", "failed"}
        assert f"{reference} {outcomes[reference]}" in message


def publishing_error(scene, **options):
    try:
        scene.publish(**options)
    except PublishFailed as error:
        return error.message
    return ""


KILLS = ("killed before", "killed after")


@pytest.mark.parametrize("kind", KILLS)
@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_kill_at_any_call_is_rolled_forward_or_back_by_the_next_run(kind, rebuilt):
    """The next run resumes, or has built other indexes: then it still puts back what tags held before the first."""
    mixed = 0
    for number in swept(KILLS.index(kind) + 2 * rebuilt):
        scene = memory_scene()
        scene.put_old_tags(IMAGES[1:])
        before = scene.tags()
        scene.stores.start(Fault(number, kind))
        with pytest.raises(Killed):
            scene.publish()
        scene.stores.start()
        mixed += scene.tags() not in (before, scene.new_tags())
        if rebuilt:
            scene.indexes = scene.build("2")
        last = f"{HOSTS[1]}/six:latest"

        def refuse(event, /, scene=scene, last=last):
            if event.name == "tag.planned" and event.ref == last:
                scene.stores.start(RefusedTag(last))

        # A tag that was moved already, and that cannot be written any more, cannot be put back either.
        if scene.tags()[last] == before[last]:
            assert publishing_error(scene, emit=refuse, previous=scene.planned())
            assert scene.tags() == before
        scene.stores.start()
        scene.publish(previous=scene.planned())
        assert scene.tags() == scene.new_tags()
    assert mixed


class RefusedTag(Fault):
    """A tag that cannot be written."""

    def __init__(self, name):
        super().__init__(0, "before")
        self.name = name

    def of(self, _number, call):
        return "before" if call[0] == "put" and str(call[2]) == self.name else None
