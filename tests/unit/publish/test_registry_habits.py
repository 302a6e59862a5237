"""Every habit of a public registry, under everything that reads from it or publishes to it."""

import json

import pytest
from fakes.images import OCI, descriptor, put_index, put_referrer
from fakes.layers import PLAIN, tar
from fakes.registry_habits import HABITS
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.errors import PublishFailed
from multibuild.oci.copy.companions import CompanionPolicy
from multibuild.oci.http import RetryPolicy
from multibuild.oci.manifest import DOCKER_LIST
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.verify import Rules, verify
from multibuild.publish.compose_index import compose
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source, read_target
from multibuild.publish.move_tags import publish
from multibuild.qemu.probe_program import build_probe
from multibuild.resolve.inspect_index import inspect_reference
from multibuild.resolve.resolve import resolve_hosts
from multibuild.workflow.promote import plan_promotion, promote

QUICK = RetryPolicy(tries=3, initial_wait_s=0.001, max_wait_s=0.002)
PLATFORMS = ("linux/amd64", "linux/arm64")
SOURCE, TARGET = "team/app", "mirror/app"


def put_program(registry, name, architecture):
    """Return the digest of an image that `verify` accepts."""
    config = json.dumps({"os": "linux", "architecture": architecture, "config": {"Cmd": ["/app"]}}).encode()
    layer = tar({"app": build_probe(architecture)})
    blobs = {
        "config": ("application/vnd.oci.image.config.v1+json", config),
        "layer": (PLAIN, layer),
    }
    entries = {
        name: {"mediaType": kind, "digest": digest_of(content), "size": len(content)}
        for name, (kind, content) in blobs.items()
    }
    for _, content in blobs.values():
        registry.put_blob(name, content)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": entries["config"],
        "layers": [entries["layer"]],
    }
    return registry.put(name, json.dumps(document).encode(), OCI)


def fill(registry):
    """Put an index of two signed images; return its digest, and those of the images and signatures."""
    images = [put_program(registry, SOURCE, platform.split("/")[1]) for platform in PLATFORMS]
    entries = [descriptor(registry, SOURCE, *pair) for pair in zip(images, PLATFORMS, strict=True)]
    index = put_index(registry, SOURCE, entries, tag="1")
    cosign = put_referrer(registry, SOURCE, images[0], kind="application/simplesigning")
    registry.repository(SOURCE).tags[f"sha256-{images[0][7:]}.sig"] = cosign
    referrer = put_referrer(registry, SOURCE, images[1])
    listed = descriptor(registry, SOURCE, referrer, artifactType="application/example.signature")
    put_index(registry, SOURCE, [listed], tag=f"sha256-{images[1][7:]}")
    return index, images, (cosign, referrer)


class Scene:
    """Two registries, of which one has a habit, or both are the same."""

    def __init__(self, habit, source, target):
        self.habit = habit
        self.source = source
        self.target = source if habit.place == "both" else target
        bent = self.target if habit.place == "target" else self.source
        self.target.referrers = self.source.referrers = True
        self.index, self.images, self.signatures = fill(self.source)
        bent.bends = list(habit.bends)
        self.left_out = []

    @property
    def reference(self):
        return Reference.parse(f"{self.source.host}/{SOURCE}:1")

    def session(self):
        return RegistrySession({}, on_wait=print, retry=QUICK)

    @property
    def destinations(self):
        repository = Reference.parse(f"{self.target.host}/{TARGET}")
        return [Destination(repository=repository, tags=("1", "latest"))]

    def promote(self, mode, session):
        promote(
            plan_promotion(self.reference, self.destinations, session),
            session,
            emit=lambda _event, /: None,
            companions=CompanionPolicy(mode=mode, report=self.left_out.append),
        )

    def publish(self, index, sources, session):
        return publish(
            index,
            self.destinations,
            sources=sources,
            registries=session,
            emit=lambda _event, /: None,
            companions=CompanionPolicy(report=self.left_out.append),
        )

    def check(self, digest):
        """Check that the target has the index under every tag, all that it lists, and the signatures."""
        stored = self.target.repository(TARGET)
        assert {tag: stored.tags[tag] for tag in ("1", "latest")} == dict.fromkeys(("1", "latest"), digest)
        for image in self.images:
            document = json.loads(stored.manifests[image][1])
            for blob in (document["config"], *document["layers"]):
                assert len(stored.blobs[blob["digest"]]) == blob["size"]
        if self.habit.left_out:
            assert self.left_out
            assert all(line.startswith("left out: ") for line in self.left_out)
        else:
            assert self.left_out == []
            self.check_signatures(stored)

    def check_signatures(self, stored):
        cosign, referrer = self.signatures
        assert stored.tags[f"sha256-{self.images[0][7:]}.sig"] == cosign
        assert (referrer in stored.manifests) != self.habit.unlisted
        fallback = stored.tags.get(f"sha256-{self.images[1][7:]}")
        assert (fallback is not None) == self.habit.tag
        if fallback is not None:
            (entry,) = json.loads(stored.manifests[fallback][1])["manifests"]
            content = stored.manifests[referrer][1]
            assert entry == {
                "mediaType": OCI,
                "digest": referrer,
                "size": len(content),
                "artifactType": "application/example.signature",
            }


def of(*places):
    return [pytest.param(habit, id=str(habit)) for habit in HABITS if habit.place in places]


@pytest.fixture
def scene(request):
    with FakeRegistry() as source, FakeRegistry() as target:
        yield Scene(request.param, source, target)


def test_there_are_forty_habits_each_with_its_source():
    assert len(HABITS) >= 40
    assert len({str(habit) for habit in HABITS}) == len(HABITS)
    assert all(habit.source.startswith("https://") for habit in HABITS)
    assert len({habit.registry for habit in HABITS}) >= 20


@pytest.mark.parametrize("scene", of("source", "target", "both"), indirect=True)
def test_merge(scene):
    with scene.session() as session:
        source = read_source(str(scene.reference), session)
        index = merge([source], MergeOptions(annotations=(("merged", "yes"),)))
        if scene.habit.words:
            with pytest.raises(PublishFailed, match=scene.habit.words):
                scene.publish(index, source.references, session)
            assert {"1", "latest"}.isdisjoint(scene.target.repository(TARGET).tags)
            return
        scene.publish(index, source.references, session)
    scene.check(index.digest)


@pytest.mark.parametrize("scene", of("source", "target", "both"), indirect=True)
def test_promote(scene):
    """Where a signature would be lost, no tag moves, unless it may be left out."""
    with scene.session() as session:
        words = scene.habit.words or ("must be copied" if scene.habit.left_out else "")
        if words:
            with pytest.raises(PublishFailed, match=words):
                scene.promote("complete", session)
            assert {"1", "latest"}.isdisjoint(scene.target.repository(TARGET).tags)
        if scene.habit.words:
            return
        scene.promote("optional" if scene.habit.left_out else "complete", session)
    scene.check(scene.index)


@pytest.mark.parametrize("scene", of("source", "both"), indirect=True)
def test_all_publishes_children_by_their_digests(scene):
    """As the last stage of `all` does: children of one repository, each by its digest.

    They are where the builds pushed them. A target that is another registry is pushed to as by `merge`.
    """
    with scene.session() as session:
        pinned = [scene.reference.with_digest(digest) for digest in scene.images]
        sources = [read_source(str(reference), session, reference=reference) for reference in pinned]
        index = compose([child for source in sources for child in source.children])
        if scene.habit.words:
            with pytest.raises(PublishFailed, match=scene.habit.words):
                scene.publish(index, pinned, session)
            return
        scene.publish(index, pinned, session)
    scene.check(index.digest)


@pytest.mark.parametrize("scene", of("source", "both"), indirect=True)
def test_inspect_resolve_and_verify(scene):
    with scene.session() as session:
        inspection = inspect_reference(scene.reference, session)
        assert [(entry.platform, entry.config, entry.problem) for entry in inspection.entries] == [
            (platform, platform, "") for platform in PLATFORMS
        ]
        assert inspection.findings == ()
        index = session.of(scene.source.host).manifest(scene.reference)
        (choices,) = resolve_hosts(index, ["linux/arm64"])
        assert {choice.digest for choice in choices.clients.values() if choice} == {scene.images[1]}
        verification = verify(scene.reference, session, rules=Rules(), cache=LayerCache())
        assert verification.findings == ()


@pytest.mark.parametrize("scene", of("target"), indirect=True)
def test_merge_append_to_what_is_not_there_yet(scene):
    """A registry that denies what is absent is asked for its tags; the index that cannot be read is not lost."""
    text = f"{scene.target.host}/{TARGET}:1"
    with scene.session() as session:
        assert read_target(text, session) is None
        put_index(scene.target, TARGET, [], tag="1", media_type=DOCKER_LIST)
        scene.target.bends = [lambda *_: (403, b"", {})]
        with pytest.raises(PublishFailed):
            read_target(text, session)
