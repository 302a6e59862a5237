import json

import pytest
from fakes.registry_server import OCI_INDEX, OCI_MANIFEST, Fault

from multibuild.errors import PublishFailed
from multibuild.platforms import Platform
from multibuild.publish.children import read_child
from multibuild.publish.index import IndexChild, compose
from multibuild.publish.publisher import Destination, publish
from multibuild.publish.reference import Manifest, Reference

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/riscv64")


class Events:
    def __init__(self):
        self.seen = []

    def __call__(self, name, /, **fields):
        self.seen.append((name, fields))

    def of(self, name):
        return [fields for seen, fields in self.seen if seen == name]

    def statuses(self):
        """What the report folds: the last word on each tag."""
        return {fields["ref"].rpartition(":")[2]: fields["status"] for fields in self.of("tag.ended")}


@pytest.fixture
def events():
    return Events()


def at(fake, repository, digest=None):
    return Reference(host=fake.host, repository=repository, digest=digest)


def built(fake, session, repository="app", mark=b"1"):
    """Build children of three platforms and the index of them."""
    children, sources = [], []
    for platform in PLATFORMS:
        digest = fake.image(repository, platform, layers=(platform.encode(), mark))
        sources.append(at(fake, repository, digest))
        child = read_child(sources[-1], session.of(fake.host), Platform.parse(platform))
        children.append(IndexChild(image=child.image, attestations=child.attestations))
    return compose(children), sources


def go(index, sources, session, events, *destinations, patience=0.5):
    return publish(index, destinations, sources=sources, registries=session, emit=events, patience=patience)


def to(fake, *tags, repository="app"):
    return Destination(repository=at(fake, repository), tags=tags)


def test_tags_move_in_order_after_everything_was_planned(fake, session, events):
    index, sources = built(fake, session)
    old = fake.image("app", "linux/amd64", tag="second")
    done = go(index, sources, session, events, to(fake, "first", "second"))
    assert [(tag.reference.tag, tag.before, tag.after, tag.status) for tag in done.tags] == [
        ("first", None, index.digest, "moved"),
        ("second", old, index.digest, "moved"),
    ]
    assert [name for name, _ in events.seen] == ["tag.planned"] * 2 + ["tag.ended"] * 2
    assert [planned["before"] for planned in events.of("tag.planned")] == [None, old]
    assert fake.tags["app"] == {"first": index.digest, "second": index.digest}
    puts = [seen.path for seen in fake.seen if seen.method == "PUT"]
    assert puts == [f"/v2/app/manifests/{target}" for target in (index.digest, "first", "second")]


def test_what_is_there_already_is_unchanged(fake, session, events):
    """After a kill between tags, the next run rolls forward."""
    index, sources = built(fake, session)
    go(index, sources, session, events, to(fake, "first"))
    done = go(index, sources, session, events, to(fake, "first", "second"))
    assert [tag.status for tag in done.tags] == ["unchanged", "moved"]
    assert fake.count("PUT", "manifests/first") == 1


def test_a_failing_tag_puts_the_others_back(fake, session, events):
    index, sources = built(fake, session)
    old = fake.image("app", "linux/amd64", tag="first")
    fake.index("app", [(old, "linux/amd64", None)], tag="third")
    before = dict(fake.tags["app"])
    fake.faults.append(Fault(method="PUT", path="manifests/third", status=403, times=9))
    with pytest.raises(PublishFailed, match="third failed") as caught:
        go(index, sources, session, events, to(fake, "first", "new", "third", "fourth"))
    assert fake.tags["app"] == before
    assert events.statuses() == {
        "first": "put-back",
        "new": "put-back",
        "third": "failed",
        "fourth": "unchanged",
    }
    assert "first put-back" in caught.value.message
    assert index.digest in fake.manifests["app"]
    assert fake.count("PUT", "manifests/fourth") == 0


def test_a_new_tag_is_left_where_tags_cannot_be_deleted_and_named(fake, session, events):
    fake.deletes_tags = False
    index, sources = built(fake, session)
    fake.faults.append(Fault(method="PUT", path="manifests/third", status=403, times=9))
    with pytest.raises(PublishFailed, match=r"app:new left \(new\)"):
        go(index, sources, session, events, to(fake, "new", "third"))
    assert fake.tags["app"] == {"new": index.digest}
    assert index.digest in fake.manifests["app"]
    assert events.of("tag.ended")[-2]["after"] == index.digest


def test_a_tag_somebody_else_moved_meanwhile_is_left_to_them(fake, session):
    index, sources = built(fake, session)
    fake.image("app", "linux/amd64", tag="first")
    theirs = fake.image("app", "linux/arm64", layers=(b"theirs",))

    class Interfering(Events):
        def __call__(self, name, /, **fields):
            super().__call__(name, **fields)
            if name == "tag.ended" and fields["status"] == "moved":
                fake.tags["app"]["first"] = theirs

    fake.faults.append(Fault(method="PUT", path="manifests/third", status=403, times=9))
    events = Interfering()
    with pytest.raises(PublishFailed, match="first left"):
        go(index, sources, session, events, to(fake, "first", "third"))
    assert fake.tags["app"]["first"] == theirs
    assert [e["after"] for e in events.of("tag.ended") if e["status"] == "left"] == [theirs]


def test_a_request_that_arrived_without_its_answer_is_put_back_too(fake, session, events):
    index, sources = built(fake, session)
    old = fake.image("app", "linux/amd64", tag="third")
    fake.faults.append(Fault(method="PUT", path="manifests/third", status=403, after_doing=True))
    with pytest.raises(PublishFailed):
        go(index, sources, session, events, to(fake, "third"))
    assert fake.tags["app"]["third"] == old
    assert events.statuses() == {"third": "put-back"}


def test_what_a_tag_held_is_put_back_though_the_registry_dropped_it(fake, session, events):
    index, sources = built(fake, session)
    old = fake.image("app", "linux/amd64", tag="first")

    class Dropping(Events):
        def __call__(self, name, /, **fields):
            super().__call__(name, **fields)
            if fields.get("status") == "moved":
                fake.manifests["app"].pop(old)

    fake.faults.append(Fault(method="PUT", path="manifests/third", status=403, times=9))
    with pytest.raises(PublishFailed):
        go(index, sources, session, Dropping(), to(fake, "first", "third"))
    assert fake.tags["app"]["first"] == old
    assert old in fake.manifests["app"]


def test_a_failing_second_destination_puts_the_first_back(fake, other, session, events):
    index, sources = built(fake, session)
    old = fake.image("app", "linux/amd64", tag="first")
    other.faults.append(Fault(method="PUT", path="manifests/first", status=403, times=9))
    with pytest.raises(PublishFailed):
        go(index, sources, session, events, to(fake, "first"), to(other, "first", repository="mirror"))
    assert fake.tags["app"]["first"] == old
    assert other.tags["mirror"] == {}


def test_no_tag_moves_when_a_destination_cannot_take_the_index(fake, other, session, events):
    index, sources = built(fake, session)
    other.faults.append(Fault(method="POST", path="uploads", status=403, times=99))
    with pytest.raises(PublishFailed):
        go(index, sources, session, events, to(fake, "first"), to(other, "first", repository="mirror"))
    assert fake.tags["app"] == {}
    assert events.seen == []


def test_a_registry_that_shows_late_is_waited_for(fake, session, events):
    index, sources = built(fake, session)
    fake.hidden = 2
    done = go(index, sources, session, events, to(fake, "first"), patience=5)
    assert done.tags[0].status == "moved"


def test_a_registry_that_never_shows_is_given_up_before_any_tag(fake, session, events):
    index, sources = built(fake, session)
    fake.hidden = 10_000
    with pytest.raises(PublishFailed):
        go(index, sources, session, events, to(fake, "first"))
    assert fake.tags["app"] == {}


def test_a_child_that_was_deleted_meanwhile(fake, session, events):
    index, sources = built(fake, session)
    fake.manifests["app"].pop(sources[1].digest)
    with pytest.raises(PublishFailed):
        go(index, sources, session, events, to(fake, "first"))
    with pytest.raises(PublishFailed, match="in none of"):
        go(index, sources, session, events, to(fake, "first", repository="elsewhere"))


@pytest.mark.parametrize("mounts", [True, False])
def test_children_are_brought_to_another_repository(fake, session, events, mounts):
    fake.mounts = mounts
    index, sources = built(fake, session)
    go(index, sources, session, events, to(fake, "1", repository="team/other"))
    assert fake.tags["team/other"] == {"1": index.digest}
    assert fake.blobs["team/other"] == fake.blobs["app"]
    assert fake.count("GET", "/blobs/") == (3 if mounts else 3 + 7)  # the configs, and then every blob


def test_children_of_several_registries_become_one_index(fake, other, session, events):
    _, here = built(fake, session)
    there = at(other, "theirs", other.image("theirs", "linux/s390x", layers=(b"z",)))
    children = [
        IndexChild(image=read_child(source, session.of(source.host), None).image) for source in (*here, there)
    ]
    index = compose(children)
    go(index, [*here, there], session, events, to(fake, "1"), to(other, "1", repository="theirs"))
    assert set(fake.manifests["app"]) == set(other.manifests["theirs"])


def test_attestations_and_nested_indexes_come_along(fake, other, session, events):
    amd = fake.image("app", "linux/amd64")
    statement = fake.image("app", "unknown/unknown", layers=(b"provenance",))
    inner = fake.index("app", [(fake.image("app", "linux/arm64"), "linux/arm64", None)])
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd}
    outer = fake.index(
        "app", [(statement, "unknown/unknown", about), (amd, "linux/amd64", None), (inner, None, None)]
    )
    index = Manifest.of(fake.manifests["app"][outer][1], OCI_INDEX)
    go(index, [at(fake, "app", outer)], session, events, to(other, "1", repository="b"))
    assert set(other.manifests["b"]) == set(fake.manifests["app"])
    assert set(other.blobs["b"]) == set(fake.blobs["app"])


def test_layers_that_may_not_be_distributed_stay_where_they_are(fake, other, session, events):
    digest = fake.image("app", "windows/amd64")
    document = json.loads(fake.manifests["app"][digest][1])
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    image = fake.put("app", json.dumps(document).encode(), OCI_MANIFEST)
    child = read_child(at(fake, "app", image), session.of(fake.host), None)
    other.put_blob("b", b"layer")  # so that the fake takes the manifest
    before = other.count("POST")
    go(
        compose([IndexChild(image=child.image)]),
        [at(fake, "app", image)],
        session,
        events,
        to(other, "1", repository="b"),
    )
    assert other.count("POST") - before == 1
