"""Publishing against a registry that fails at every request in turn: all old, all new, or the outcome says so."""

from contextlib import ExitStack

import pytest
from fakes.images import DOCKER, OCI, descriptor, put_attested, put_image, put_index, put_referrer
from fakes.registry_server import FakeRegistry, Faults, digest_of

from multibuild.errors import EnvironmentFault, Interrupted, PublishFailed
from multibuild.journal.events import Event, TagEnded
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform
from multibuild.publish.compose_index import compose
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source
from multibuild.publish.move_tags import publish

TAGS = ("1.2.3", "1.2", "latest")
NO_RETRY = RetryPolicy(tries=1, initial_wait_s=0.0)
QUICK = RetryPolicy(tries=3, initial_wait_s=0.001)


@pytest.fixture
def clients():
    with ExitStack() as stack:
        yield lambda retry=QUICK: stack.enter_context(RegistrySession({}, on_wait=print, retry=retry))


@pytest.fixture
def registry():
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def other():
    with FakeRegistry() as fake:
        yield fake


def ignore(event, /):
    pass


def publish_to(names, registry, clients, index, *, tags=TAGS, emit=ignore, **options):
    """Publish an index of images in `app` to the tags of each name."""
    destinations = [Destination(repository=Reference.parse(name), tags=tags) for name in names]
    sources = [Reference.parse(f"{registry.host}/app")]
    return publish(index, destinations, sources=sources, registries=clients, emit=emit, **options)


def copy_to(name, sources, clients):
    """Merge sources and publish the index as tag 1 of `name`."""
    sources = [read_source(source, clients) for source in sources]
    publish(
        merge(sources, MergeOptions()),
        [Destination(repository=Reference.parse(name), tags=("1",))],
        sources=[source.reference for source in sources],
        registries=clients,
        emit=ignore,
    )


def index_of(registry, *platforms, repository="app"):
    digests = [put_image(registry, repository, platform) for platform in platforms]
    with RegistrySession({}, on_wait=print) as clients:
        sources = [read_source(f"{registry.host}/{repository}@{digest}", clients) for digest in digests]
    return compose([child for source in sources for child in source.children])


def test_three_tags_to_two_destinations(registry, other, clients):
    index = index_of(registry, "linux/amd64", "linux/arm64")
    names = (f"{registry.host}/app", f"{other.host}/team/mirror")
    outcome = publish_to(names, registry, clients(), index)
    assert [tag.status for tag in outcome.tags] == ["moved"] * 6
    assert set(registry.repository("app").tags.values()) == {index.digest}
    assert set(other.repository("team/mirror").tags.values()) == {index.digest}
    assert other.repository("team/mirror").manifests[index.digest][1] == index.content


def test_a_tag_of_the_same_index_is_unchanged(registry, clients):
    index = index_of(registry, "linux/amd64")
    publish_to((f"{registry.host}/app",), registry, clients(), index)
    registry.forget_requests()
    again = publish_to((f"{registry.host}/app",), registry, clients(), index)
    assert [tag.status for tag in again.tags] == ["unchanged"] * 3
    assert not [path for path in registry.requests("PUT") if "sha256:" not in path]


def test_a_manifest_that_was_just_read_is_not_requested_again(registry, clients):
    digest = put_image(registry, "app", "linux/amd64")
    client = clients()
    index = compose(read_source(f"{registry.host}/app@{digest}", client).children)
    registry.forget_requests()
    publish_to((f"{registry.host}/app",), registry, client, index)
    assert registry.requests("HEAD") == []


def test_nothing_is_read_while_it_is_written(registry, clients):
    """Registry 2.8 writes a manifest anew that is there already, and answers 500 for it in that moment."""
    index = index_of(registry, "linux/amd64")
    publish_to((f"{registry.host}/app",), registry, clients(), index)
    registry.forget_requests()
    publish_to((f"{registry.host}/app",), registry, clients(), index)
    methods = [request.split()[0] for request in registry.requests() if "/manifests/" in request]
    assert methods[: methods.index("PUT") + 1] == ["HEAD", "PUT"]
    assert methods[methods.index("PUT") + 1 :] == ["GET"] * 4, "the index by digest, and three tags"


def _old_tags(registry, other, *, existed):
    if existed:
        for fake, name in ((registry, "app"), (other, "team/mirror")):
            for tag in TAGS:
                put_image(fake, name, "linux/s390x", tag=tag)


def _digests(registry, other):
    return {
        **{f"{registry.host}/app:{tag}": registry.repository("app").tags.get(tag) for tag in TAGS},
        **{f"{other.host}/team/mirror:{tag}": other.repository("team/mirror").tags.get(tag) for tag in TAGS},
    }


def _count_requests():
    """Return how many requests a run without faults sends to each of two registries."""
    with FakeRegistry() as registry, FakeRegistry() as other:
        index = index_of(registry, "linux/amd64")
        _old_tags(registry, other, existed=True)
        registry.forget_requests()
        with RegistrySession({}, on_wait=print, retry=NO_RETRY) as clients:
            publish_to((f"{registry.host}/app", f"{other.host}/team/mirror"), registry, clients, index)
        return len(registry.log), len(other.log)


FIRST, SECOND = _count_requests()
REQUESTS = [*(("first", n + 1) for n in range(FIRST)), *(("second", n + 1) for n in range(SECOND))]


@pytest.fixture(scope="module")
def pair():
    with FakeRegistry() as registry, FakeRegistry() as other:
        yield registry, other


@pytest.mark.parametrize(("existed", "lasting"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize(("where", "number"), REQUESTS)
def test_after_a_fault_at_any_request_tags_are_old_or_new_or_reported(
    where, number, fault, existed, lasting, pair, clients
):
    """Each request in turn fails, or its answer is lost, once or from then on; no retry helps."""
    registry, other = pair
    registry.reset()
    other.reset()
    index = index_of(registry, "linux/amd64")
    _old_tags(registry, other, existed=existed)
    before = _digests(registry, other)
    registry.forget_requests()
    (registry if where == "first" else other).faults = Faults({number: fault}, lasting=lasting)
    events: list[Event] = []
    names = (f"{registry.host}/app", f"{other.host}/team/mirror")
    message = ""
    try:
        publish_to(names, registry, clients(NO_RETRY), index, emit=events.append)
    except PublishFailed as error:
        message = error.message
    after = _digests(registry, other)
    if not message:
        assert set(after.values()) == {index.digest}
        return
    outcomes = {event.ref: event for event in events if isinstance(event, TagEnded)}
    for reference, digest in after.items():
        if digest != before[reference]:
            assert outcomes[reference].status in {"left", "failed"}
            assert reference in message


def test_transient_faults_are_retried(registry, other, clients):
    index = index_of(registry, "linux/amd64")
    names = (f"{registry.host}/app", f"{other.host}/team/mirror")
    registry.forget_requests()
    registry.faults = Faults({2: "before", 5: "after", 8: 503})
    other.faults = Faults({3: 500, 6: "after"})
    assert [tag.status for tag in publish_to(names, registry, clients(), index).tags] == ["moved"] * 6


def test_a_tag_that_another_process_moved_is_not_rolled_back(registry, other, clients):
    index = index_of(registry, "linux/amd64")
    theirs = put_image(registry, "app", "linux/riscv64")

    def meddle(event, /):
        if event.name == "tag.ended" and event.ref.endswith(":latest") and registry.host in event.ref:
            registry.repository("app").tags["latest"] = theirs
            other.faults = Faults({1: 403}, lasting=True)

    names = (f"{registry.host}/app", f"{other.host}/app")
    with pytest.raises(PublishFailed, match="left"):
        publish_to(names, registry, clients(), index, tags=("latest",), emit=meddle)
    assert registry.repository("app").tags["latest"] == theirs


def test_an_interrupt_between_tags_rolls_back(registry, clients):
    index = index_of(registry, "linux/amd64")
    before = put_image(registry, "app", "linux/riscv64", tag="1.2.3")
    interrupts = [KeyboardInterrupt()]

    def interrupt(event, /):
        if event.name == "tag.ended" and interrupts:
            raise interrupts.pop()

    with pytest.raises(Interrupted, match=r":1\.2\.3 (put-back|failed)"):
        publish_to([f"{registry.host}/app"], registry, clients(), index, emit=interrupt)
    assert registry.repository("app").tags == {"1.2.3": before}


@pytest.mark.parametrize("status", ["moved", "put-back"])
def test_a_journal_that_cannot_be_written_leaves_no_tag_moved(status, registry, clients):
    """The disk fills up before the second tag's outcome, or also before those of the rollback."""
    index = index_of(registry, "linux/amd64")
    before = put_image(registry, "app", "linux/riscv64", tag="1.2.3")
    written: list[str] = []

    def fill_up(event, /):
        if event.name != "tag.ended":
            return
        if written and (status == "put-back" or event.status == "moved"):
            raise EnvironmentFault("the journal cannot be written: No space left on device")
        written.append(event.ref)

    with pytest.raises(EnvironmentFault, match=r"No space left on device; tags: .*:1\.2\.3 put-back"):
        publish_to([f"{registry.host}/app"], registry, clients(), index, emit=fill_up)
    assert registry.repository("app").tags == {"1.2.3": before}


def test_a_new_tag_stays_where_tags_cannot_be_deleted(clients):
    with FakeRegistry(deletes_tags=False) as registry, FakeRegistry() as other:
        index = index_of(registry, "linux/amd64")

        def fail(event, /):
            if event.name == "tag.ended":
                other.faults = Faults({1: 403}, lasting=True)

        names = (f"{registry.host}/app", f"{other.host}/app")
        with pytest.raises(PublishFailed, match=r":1\.0 left"):
            publish_to(names, registry, clients(), index, tags=("1.0",), emit=fail)
        assert registry.repository("app").tags == {"1.0": index.digest}
        assert index.digest in registry.repository("app").manifests


def test_a_registry_that_shows_the_index_late_is_waited_for(registry, clients):
    index = index_of(registry, "linux/amd64")
    registry.hidden[index.digest] = 3
    outcome = publish_to((f"{registry.host}/app",), registry, clients(), index)
    assert [tag.status for tag in outcome.tags] == ["moved"] * 3


def test_no_tag_moves_when_other_bytes_are_read_back(registry, clients):
    index = index_of(registry, "linux/amd64")
    registry.wrong_bytes[index.digest] = index.content + b" "
    with pytest.raises(PublishFailed, match="sent other bytes"):
        publish_to((f"{registry.host}/app",), registry, clients(), index)
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
        emit=ignore,
    )
    target = registry.repository("app")
    assert target.tags == {"1": index.digest}
    assert set(target.manifests) == {amd64, about_amd64, arm64, about_arm64, index.digest}
    mounted = [path for path in registry.requests("POST") if "mount=" in path]
    assert len(mounted) >= 3
    assert len([path for path in registry.requests("PUT") if "/uploads/" in path]) >= 3


@pytest.mark.parametrize(
    ("source_lists", "target_lists"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_signatures_are_copied(source_lists, target_lists, clients):
    """Referrers by the API of a registry, else by the fallback tag of the distribution-spec."""
    with FakeRegistry(referrers=source_lists) as registry, FakeRegistry(referrers=target_lists) as other:
        image = put_image(registry, "app", "linux/amd64", tag="1")
        signature = put_referrer(registry, "app", image)
        media_type, content = registry.repository("app").manifests[signature]
        entry = {"mediaType": media_type, "digest": signature, "size": len(content)}
        fallback = image.replace(":", "-")
        if not source_lists:
            put_index(registry, "app", [entry], tag=fallback)
        put_referrer(registry, "app", image, tag=f"{fallback}.sig", kind="application/cosign")
        copy_to(f"{other.host}/app", [f"{registry.host}/app:1"], clients())
        target = other.repository("app")
        assert signature in target.manifests
        assert f"{fallback}.sig" in target.tags
        assert target_lists or fallback in target.tags


@pytest.mark.parametrize("mounts", [True, False])
def test_a_blob_that_many_children_share_is_copied_once(mounts, clients):
    """distribution 2.8 loses a blob that two requests link at once."""
    with FakeRegistry(mounts=mounts) as registry:
        names = [f"linux/arm/v{level}" for level in range(5, 25)]
        digests = [put_image(registry, "a", name, layer=b"shared") for name in names]
        sources = [f"{registry.host}/a@{digest}" for digest in digests]
        copy_to(f"{registry.host}/b", sources, clients())
        requests = [
            path for path in registry.requests() if digest_of(b"shared")[7:] in path and "/b/blobs/" in path
        ]
        assert [path.split()[0] for path in requests] == (
            ["HEAD", "POST"] if mounts else ["HEAD", "POST", "PUT"]
        )
        assert set(digests) < set(registry.repository("b").manifests)


@pytest.mark.parametrize(("times", "succeeds"), [(1, True), (2, True), (9, False)])
def test_a_blob_that_the_registry_lost_is_copied_again(times, succeeds, registry, clients):
    digest = put_image(registry, "a", "linux/arm64", layer=b"lost")
    registry.blob_losses[digest_of(b"lost")] = times
    sources, goal = [f"{registry.host}/a@{digest}"], f"{registry.host}/b"
    if succeeds:
        copy_to(goal, sources, clients())
    else:
        with pytest.raises(PublishFailed, match="MANIFEST_BLOB_UNKNOWN"):
            copy_to(goal, sources, clients())
    assert ("1" in registry.repository("b").tags) == succeeds


def test_a_manifest_that_the_registry_dropped_with_its_tag_is_restored(registry, clients):
    index = index_of(registry, "linux/amd64")
    old = put_image(registry, "app", "linux/s390x", tag="latest")

    def drop(event, /):
        if event.name == "tag.ended" and event.status == "moved":
            del registry.repository("app").manifests[old]
            registry.faults = Faults({len(registry.log) + 1: 403})

    names, tags = [f"{registry.host}/app"], ("latest", "2")
    with pytest.raises(PublishFailed, match="latest put-back"):
        publish_to(names, registry, clients(NO_RETRY), index, tags=tags, emit=drop)
    assert registry.repository("app").tags == {"latest": old}
    assert old in registry.repository("app").manifests


@pytest.mark.parametrize("planned", [True, False])
def test_tags_that_an_unfinished_run_moved_are_rolled_back_too(planned, registry, clients):
    index = index_of(registry, "linux/amd64")
    old = put_image(registry, "app", "linux/s390x")
    registry.put("app", index.content, index.media_type, tag="b")
    put_image(registry, "app", "linux/s390x", tag="a")

    def refuse(event, /):
        if event.name == "tag.planned":
            registry.faults = Faults({len(registry.log) + 1: 403})

    name = f"{registry.host}/app"
    previous = {(f"{name}:b", index.digest): old} if planned else {}
    options = {"tags": ("a", "b"), "emit": refuse, "previous_digests": previous}
    with pytest.raises(PublishFailed) as caught:
        publish_to([name], registry, clients(NO_RETRY), index, **options)
    assert registry.repository("app").tags == {"a": old, "b": old if planned else index.digest}
    assert f"{name}:b {'put-back' if planned else 'unchanged'}" in caught.value.message


def test_the_error_for_a_missing_child_has_its_digest(registry, clients):
    index = index_of(registry, "linux/amd64")
    digest = index.entries[0].digest
    del registry.repository("app").manifests[digest]
    with pytest.raises(PublishFailed, match=f"{digest} is in none of"):
        publish_to((f"{registry.host}/elsewhere",), registry, clients(), index)
    assert not registry.repository("elsewhere").tags


@pytest.mark.parametrize("wrong", [{"size": 7}, {"mediaType": DOCKER}])
def test_an_entry_that_contradicts_its_image_is_not_published(wrong, registry, clients):
    entry = descriptor(registry, "app", put_image(registry, "app", "linux/arm64"), "linux/arm64")
    put_index(registry, "app", [{**entry, **wrong}], tag="source")
    with pytest.raises(PublishFailed, match="which is"):
        copy_to(f"{registry.host}/app", [f"{registry.host}/app:source"], clients())
    assert registry.repository("app").tags.keys() == {"source"}


def test_an_index_with_a_deleted_child_is_not_published(registry, clients):
    index = index_of(registry, "linux/amd64", "linux/arm64")
    del registry.repository("app").manifests[index.entries[1].digest]
    with pytest.raises(PublishFailed, match="incomplete"):
        publish_to([f"{registry.host}/app"], registry, clients(), index)
    assert registry.repository("app").tags == {}


def test_an_entry_whose_digest_is_a_tag_moves_no_tag(registry, other, clients):
    signed = put_image(other, "evil", tag="signed")
    put_index(other, "evil", [{"mediaType": OCI, "digest": signed, "size": 1}], tag="latest")
    entry = {"mediaType": OCI, "digest": "latest", "size": 1}
    put_index(other, "evil", [{**entry, "platform": {"os": "linux", "architecture": "arm64"}}], tag="1")
    before = put_image(registry, "app", tag="latest")
    with pytest.raises(PublishFailed):
        copy_to(f"{registry.host}/app", [f"{other.host}/evil:1"], clients())
    assert registry.repository("app").tags == {"latest": before}
