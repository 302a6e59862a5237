"""Publishing against a registry that fails at every request in turn: all old, all new, or the outcome says so."""

import pytest
from fakes.images import DOCKER, OCI, descriptor, put_attested, put_image, put_index, put_referrer
from fakes.registry_server import FakeRegistry, Faults, digest_of

from multibuild.errors import Interrupted, PublishFailed
from multibuild.journal.events import Event, TagEnded
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.platforms import Platform
from multibuild.publish.compose_index import compose
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source
from multibuild.publish.move_tags import publish

TAGS = ("1.2.3", "1.2", "latest")
NO_RETRY = RetryPolicy(tries=1, initial=0.0)
QUICK = RetryPolicy(tries=3, initial=0.001)


class Clients:
    """Hands out clients for fake registries."""

    def __init__(self, retry=QUICK):
        self.retry = retry
        self.open = {}

    def of(self, host):
        if host not in self.open:
            self.open[host] = Registry(RegistrySettings(host=host), retry=self.retry)
        return self.open[host]

    def close(self):
        for registry in self.open.values():
            registry.__exit__(None, None, None)


@pytest.fixture
def clients():
    made = []

    def make(retry=QUICK):
        made.append(Clients(retry))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def registry():
    with FakeRegistry() as one:
        yield one


@pytest.fixture
def other():
    with FakeRegistry() as one:
        yield one


def events():
    seen: list[Event] = []
    return seen, seen.append


def put(names, registry, clients, **options):
    """Publish the images of `app` to TAGS of each name; gives what `publish` gives."""
    _, emit = events()
    return publish(
        options.pop("index"),
        [Destination(repository=Reference.parse(name), tags=TAGS) for name in names],
        sources=[Reference.parse(f"{registry.host}/app")],
        registries=clients,
        emit=emit,
    )


def index_of(registry, *platforms, repository="app"):
    clients = Clients()
    digests = [put_image(registry, repository, platform) for platform in platforms]
    sources = [read_source(f"{registry.host}/{repository}@{digest}", clients) for digest in digests]
    clients.close()
    return compose([child for source in sources for child in source.children])


def test_three_tags_to_two_destinations(registry, other, clients):
    index = index_of(registry, "linux/amd64", "linux/arm64")
    names = (f"{registry.host}/app", f"{other.host}/team/mirror")
    outcome = put(names, registry, clients(), index=index)
    assert [tag.status for tag in outcome.tags] == ["moved"] * 6
    assert set(registry.repository("app").tags.values()) == {index.digest}
    assert set(other.repository("team/mirror").tags.values()) == {index.digest}
    assert other.repository("team/mirror").manifests[index.digest][1] == index.content


def test_a_tag_that_holds_it_already_is_left_alone(registry, clients):
    index = index_of(registry, "linux/amd64")
    put((f"{registry.host}/app",), registry, clients(), index=index)
    registry.forget_requests()
    again = put((f"{registry.host}/app",), registry, clients(), index=index)
    assert [tag.status for tag in again.tags] == ["unchanged"] * 3
    assert not [path for path in registry.requests("PUT") if "sha256:" not in path]


def test_what_was_just_read_is_not_asked_for_again(registry, clients):
    digest = put_image(registry, "app", "linux/amd64")
    client = clients()
    index = compose(read_source(f"{registry.host}/app@{digest}", client).children)
    registry.forget_requests()
    put((f"{registry.host}/app",), registry, client, index=index)
    assert registry.requests("HEAD") == []


def test_nothing_is_read_while_it_is_written(registry, clients):
    """Registry 2.8 writes a manifest anew that is there already, and answers 500 for it in that moment."""
    index = index_of(registry, "linux/amd64")
    put((f"{registry.host}/app",), registry, clients(), index=index)
    registry.forget_requests()
    put((f"{registry.host}/app",), registry, clients(), index=index)
    methods = [request.split()[0] for request in registry.requests() if "/manifests/" in request]
    assert methods[: methods.index("PUT") + 1] == ["HEAD", "PUT"]
    assert methods[methods.index("PUT") + 1 :] == ["GET"] * 4, "the index by digest, and three tags"


def _before(registry, other, *, existed):
    """What the tags held: an older index, or nothing."""
    if existed:
        for place, name in ((registry, "app"), (other, "team/mirror")):
            image = put_image(place, name, "linux/s390x")
            media_type, content = place.repository(name).manifests[image]
            for tag in TAGS:
                place.put(name, content, media_type, tag=tag)
    return dict(registry.repository("app").tags), dict(other.repository("team/mirror").tags)


def _held(registry, other):
    return {
        **{f"{registry.host}/app:{tag}": registry.repository("app").tags.get(tag) for tag in TAGS},
        **{f"{other.host}/team/mirror:{tag}": other.repository("team/mirror").tags.get(tag) for tag in TAGS},
    }


def _requests_of_a_good_run():
    with FakeRegistry() as registry, FakeRegistry() as other:
        index = index_of(registry, "linux/amd64")
        _before(registry, other, existed=True)
        registry.forget_requests()
        clients = Clients(NO_RETRY)
        put((f"{registry.host}/app", f"{other.host}/team/mirror"), registry, clients, index=index)
        clients.close()
        return len(registry.log), len(other.log)


FIRST, SECOND = _requests_of_a_good_run()
PLACES = [("first", n) for n in range(1, FIRST + 1)] + [("second", n) for n in range(1, SECOND + 1)]


@pytest.fixture(scope="module")
def pair():
    with FakeRegistry() as registry, FakeRegistry() as other:
        yield registry, other


@pytest.mark.parametrize(("existed", "lasting"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize(("where", "number"), PLACES)
def test_a_fault_at_every_request(where, number, fault, existed, lasting, pair, clients):
    """Each request in turn fails, or its answer is lost, once or from then on; no retry helps."""
    registry, other = pair
    registry.reset()
    other.reset()
    index = index_of(registry, "linux/amd64")
    _before(registry, other, existed=existed)
    before = _held(registry, other)
    registry.forget_requests()
    (registry if where == "first" else other).faults = Faults({number: fault}, lasting=lasting)
    seen, emit = events()
    names = (f"{registry.host}/app", f"{other.host}/team/mirror")
    said = ""
    try:
        publish(
            index,
            [Destination(repository=Reference.parse(name), tags=TAGS) for name in names],
            sources=[Reference.parse(f"{registry.host}/app")],
            registries=clients(NO_RETRY),
            emit=emit,
        )
    except PublishFailed as error:
        said = error.message
    after = _held(registry, other)
    if not said:
        assert set(after.values()) == {index.digest}
        return
    told = {event.ref: event for event in seen if isinstance(event, TagEnded)}
    for reference, digest in after.items():
        if digest != before[reference]:
            assert told[reference].status in {"left", "failed"}
            assert reference in said


def test_a_passing_fault_is_survived(registry, other, clients):
    index = index_of(registry, "linux/amd64")
    names = (f"{registry.host}/app", f"{other.host}/team/mirror")
    registry.forget_requests()
    registry.faults = Faults({2: "before", 5: "after", 8: 503})
    other.faults = Faults({3: 500, 6: "after"})
    assert [tag.status for tag in put(names, registry, clients(), index=index).tags] == ["moved"] * 6


def test_a_tag_somebody_else_moved_meanwhile_is_not_put_back(registry, other, clients):
    """Ours is no longer what it holds, so it is not ours to change."""
    index = index_of(registry, "linux/amd64")
    theirs = put_image(registry, "app", "linux/riscv64")
    _, emit = events()

    def meddling(event, /):
        emit(event)
        if event.name == "tag.ended" and event.ref.endswith(":latest") and registry.host in event.ref:
            registry.repository("app").tags["latest"] = theirs
            other.faults = Faults({1: 403}, lasting=True)

    destinations = [
        Destination(repository=Reference.parse(f"{registry.host}/app"), tags=("latest",)),
        Destination(repository=Reference.parse(f"{other.host}/app"), tags=("latest",)),
    ]
    with pytest.raises(PublishFailed, match="left"):
        publish(
            index,
            destinations,
            sources=[Reference.parse(f"{registry.host}/app")],
            registries=clients(),
            emit=meddling,
        )
    assert registry.repository("app").tags["latest"] == theirs


def test_an_interrupt_between_tags_puts_back_what_moved(registry, clients):
    index = index_of(registry, "linux/amd64")
    before = put_image(registry, "app", "linux/riscv64", tag="1.2.3")
    interrupts = [KeyboardInterrupt()]

    def interrupted(event, /):
        if event.name == "tag.ended" and interrupts:
            raise interrupts.pop()

    with pytest.raises(Interrupted, match=r":1\.2\.3 (put-back|failed)"):
        publish(
            index,
            [Destination(repository=Reference.parse(f"{registry.host}/app"), tags=TAGS)],
            sources=[Reference.parse(f"{registry.host}/app")],
            registries=clients(),
            emit=interrupted,
        )
    assert registry.repository("app").tags == {"1.2.3": before}


def test_a_new_tag_stays_where_tags_cannot_be_deleted(clients):
    with FakeRegistry(deletes_tags=False) as registry, FakeRegistry() as other:
        index = index_of(registry, "linux/amd64")
        _, emit = events()

        def failing(event, /):
            emit(event)
            if event.name == "tag.ended":
                other.faults = Faults({1: 403}, lasting=True)

        with pytest.raises(PublishFailed, match=r":1\.0 left"):
            publish(
                index,
                [
                    Destination(repository=Reference.parse(f"{registry.host}/app"), tags=("1.0",)),
                    Destination(repository=Reference.parse(f"{other.host}/app"), tags=("1.0",)),
                ],
                sources=[Reference.parse(f"{registry.host}/app")],
                registries=clients(),
                emit=failing,
            )
        assert registry.repository("app").tags == {"1.0": index.digest}
        assert index.digest in registry.repository("app").manifests


def test_a_registry_slow_to_show_what_was_pushed_is_waited_for(registry, clients):
    index = index_of(registry, "linux/amd64")
    registry.hidden[index.digest] = 3
    outcome = put((f"{registry.host}/app",), registry, clients(), index=index)
    assert [tag.status for tag in outcome.tags] == ["moved"] * 3


def test_a_registry_that_reads_back_something_else_moves_no_tag(registry, clients):
    index = index_of(registry, "linux/amd64")
    registry.wrong_bytes[index.digest] = index.content + b" "
    with pytest.raises(PublishFailed, match="sent other bytes"):
        put((f"{registry.host}/app",), registry, clients(), index=index)
    assert registry.repository("app").tags == {}


def test_children_from_several_repositories_and_registries(registry, other, clients):
    """Blobs are mounted within a registry and streamed between two; digests stay."""
    _, amd64, about_amd64 = put_attested(registry, "app-amd64", "linux/amd64", tag="1")
    _, arm64, about_arm64 = put_attested(other, "team/app-arm64", "linux/arm64", tag="1")
    both = clients()
    names = [f"{registry.host}/app-amd64:1", f"{other.host}/team/app-arm64:1"]
    sources = [read_source(name, both) for name in names]
    index = merge(sources, MergeOptions(also_as=((names[1], Platform.literal("linux/arm64/unknown")),)))
    registry.forget_requests()
    publish(
        index,
        [Destination(repository=Reference.parse(f"{registry.host}/app"), tags=("1",))],
        sources=[source.reference for source in sources],
        registries=both,
        emit=events()[1],
    )
    held = registry.repository("app")
    assert held.tags == {"1": index.digest}
    assert set(held.manifests) == {amd64, about_amd64, arm64, about_arm64, index.digest}
    mounted = [path for path in registry.requests("POST") if "mount=" in path]
    assert len(mounted) >= 3
    assert len([path for path in registry.requests("PUT") if "/uploads/" in path]) >= 3


def test_blobs_are_uploaded_where_mounting_is_refused(clients):
    with FakeRegistry(mounts=False) as registry:
        digest = put_image(registry, "a", "linux/amd64", tag="1")
        both = clients()
        source = read_source(f"{registry.host}/a:1", both)
        index = merge([source], MergeOptions())
        publish(
            index,
            [Destination(repository=Reference.parse(f"{registry.host}/b"), tags=("1",))],
            sources=[source.reference],
            registries=both,
            emit=events()[1],
        )
        assert digest in registry.repository("b").manifests


@pytest.mark.parametrize(("has", "takes"), [(True, True), (True, False), (False, True), (False, False)])
def test_signatures_follow(has, takes, clients):
    """Referrers by the API of a registry, else by the fallback tag of the distribution-spec."""
    with FakeRegistry(referrers=has) as registry, FakeRegistry(referrers=takes) as other:
        image = put_image(registry, "app", "linux/amd64", tag="1")
        signature = put_referrer(registry, "app", image)
        media_type, content = registry.repository("app").manifests[signature]
        entry = {"mediaType": media_type, "digest": signature, "size": len(content)}
        fallback = image.replace(":", "-")
        if not has:
            put_index(registry, "app", [entry], tag=fallback)
        put_referrer(registry, "app", image, tag=f"{fallback}.sig", kind="application/cosign")
        both = clients()
        source = read_source(f"{registry.host}/app:1", both)
        publish(
            merge([source], MergeOptions()),
            [Destination(repository=Reference.parse(f"{other.host}/app"), tags=("1",))],
            sources=[source.reference],
            registries=both,
            emit=events()[1],
        )
        held = other.repository("app")
        assert signature in held.manifests
        assert f"{fallback}.sig" in held.tags
        assert takes or fallback in held.tags


def _copy(registry, sources, goal, clients):
    both = clients()
    read = [read_source(name, both) for name in sources]
    publish(
        merge(read, MergeOptions()),
        [Destination(repository=Reference.parse(goal), tags=("1",))],
        sources=[place for source in read for place in source.references],
        registries=both,
        emit=events()[1],
    )


@pytest.mark.parametrize("mounts", [True, False])
def test_a_blob_that_many_share_is_brought_once(mounts, clients):
    """distribution 2.8 loses a blob that two requests link at once."""
    with FakeRegistry(mounts=mounts) as registry:
        names = [f"linux/arm/v{level}" for level in range(5, 25)]
        digests = [put_image(registry, "a", name, layer=b"shared") for name in names]
        _copy(registry, [f"{registry.host}/a@{digest}" for digest in digests], f"{registry.host}/b", clients)
        brought = [
            path for path in registry.requests() if digest_of(b"shared")[7:] in path and "/b/blobs/" in path
        ]
        assert [path.split()[0] for path in brought] == (
            ["HEAD", "POST"] if mounts else ["HEAD", "POST", "PUT"]
        )
        assert set(digests) < set(registry.repository("b").manifests)


@pytest.mark.parametrize(("times", "arrives"), [(1, True), (2, True), (9, False)])
def test_a_blob_the_registry_lost_is_brought_again(times, arrives, registry, clients):
    digest = put_image(registry, "a", "linux/arm64", layer=b"lost")
    registry.blob_losses[digest_of(b"lost")] = times
    sources, goal = [f"{registry.host}/a@{digest}"], f"{registry.host}/b"
    if arrives:
        _copy(registry, sources, goal, clients)
    else:
        with pytest.raises(PublishFailed, match="MANIFEST_BLOB_UNKNOWN"):
            _copy(registry, sources, goal, clients)
    assert ("1" in registry.repository("b").tags) == arrives


def test_what_a_registry_drops_when_no_tag_names_it_is_put_back_all_the_same(registry, clients):
    """The former bytes were kept: they are pushed again, not looked for."""
    index = index_of(registry, "linux/amd64")
    old = put_image(registry, "app", "linux/s390x", tag="latest")

    def dropping(event, /):
        if event.name == "tag.ended" and event.status == "moved":
            del registry.repository("app").manifests[old]
            registry.faults = Faults({len(registry.log) + 1: 403})

    with pytest.raises(PublishFailed, match="latest put-back"):
        publish(
            index,
            [Destination(repository=Reference.parse(f"{registry.host}/app"), tags=("latest", "2"))],
            sources=[Reference.parse(f"{registry.host}/app")],
            registries=clients(NO_RETRY),
            emit=dropping,
        )
    assert registry.repository("app").tags == {"latest": old}
    assert old in registry.repository("app").manifests


@pytest.mark.parametrize("planned", [True, False])
def test_what_an_unfinished_run_moved_is_put_back_too(planned, registry, clients):
    """Also tags this run never came to: all are old again."""
    index = index_of(registry, "linux/amd64")
    old = put_image(registry, "app", "linux/s390x")
    registry.put("app", index.content, index.media_type, tag="b")
    media_type, content = registry.repository("app").manifests[old]
    registry.put("app", content, media_type, tag="a")
    _, emit = events()

    def refusing(event, /):
        emit(event)
        if event.name == "tag.planned":
            registry.faults = Faults({len(registry.log) + 1: 403})

    name = f"{registry.host}/app"
    with pytest.raises(PublishFailed) as caught:
        publish(
            index,
            [Destination(repository=Reference.parse(name), tags=("a", "b"))],
            sources=[Reference.parse(name)],
            registries=clients(NO_RETRY),
            emit=refusing,
            previous_digests={(f"{name}:b", index.digest): old} if planned else {},
        )
    assert registry.repository("app").tags == {"a": old, "b": old if planned else index.digest}
    assert f"{name}:b {'put-back' if planned else 'unchanged'}" in caught.value.message


def test_a_child_that_is_nowhere_is_named(registry, clients):
    index = index_of(registry, "linux/amd64")
    digest = index.entries[0].digest
    del registry.repository("app").manifests[digest]
    with pytest.raises(PublishFailed, match=f"{digest} is in none of"):
        put((f"{registry.host}/elsewhere",), registry, clients(), index=index)
    assert not registry.repository("elsewhere").tags


@pytest.mark.parametrize("wrong", [{"size": 7}, {"mediaType": DOCKER}])
def test_an_entry_that_contradicts_its_image_is_not_published(wrong, registry, clients):
    entry = descriptor(registry, "app", put_image(registry, "app", "linux/arm64"), "linux/arm64")
    put_index(registry, "app", [{**entry, **wrong}], tag="source")
    with pytest.raises(PublishFailed, match="which is"):
        _copy_of(f"{registry.host}/app:source", registry, clients())
    assert registry.repository("app").tags.keys() == {"source"}


def test_a_child_that_is_gone_is_not_published(registry, clients):
    index = index_of(registry, "linux/amd64", "linux/arm64")
    del registry.repository("app").manifests[index.entries[1].digest]
    with pytest.raises(PublishFailed, match="incomplete"):
        put([f"{registry.host}/app"], registry, clients(), index=index)
    assert registry.repository("app").tags == {}


def _copy_of(name, registry, clients):
    source = read_source(name, clients)
    publish(
        merge([source], MergeOptions()),
        [Destination(repository=Reference.parse(f"{registry.host}/app"), tags=("1",))],
        sources=[source.reference],
        registries=clients,
        emit=events()[1],
    )


def test_an_entry_whose_digest_is_a_tag_moves_that_tag_nowhere(registry, other, clients):
    signed = put_image(other, "evil", tag="signed")
    listed = [{"mediaType": OCI, "digest": signed, "size": 1}]
    put_index(other, "evil", listed, tag="latest")
    entry = {"mediaType": OCI, "digest": "latest", "size": 1}
    put_index(other, "evil", [{**entry, "platform": {"os": "linux", "architecture": "arm64"}}], tag="1")
    before = put_image(registry, "app", tag="latest")
    made = clients()
    with pytest.raises(PublishFailed):
        _copy_of(f"{other.host}/evil:1", registry, made)
    assert registry.repository("app").tags == {"latest": before}
