from datetime import UTC, datetime

import pytest
from fakes.images import descriptor, put_attested, put_image, put_index, put_referrer
from fakes.registry_server import FakeRegistry

from multibuild.journal.events import Event
from multibuild.journal.journal import Journal
from multibuild.journal.runs import RunDirectory, State
from multibuild.oci.errors import RegistryError
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession
from multibuild.workflow.clean import CleanupPlan, Left, Removal, decide, left_by, remove

OWN = "multibuild-linux-arm64"
ARM64 = "linux/arm64"


@pytest.fixture
def registry():
    with FakeRegistry() as one:
        yield one


@pytest.fixture
def session():
    with RegistrySession({}, on_wait=lambda _text: None) as one:
        yield one


def app(registry):
    return Reference(host=registry.host, repository="app")


def left(registry, *children, tags=(OWN,), kept=()):
    return Left(
        repository=app(registry), children=frozenset(children), tags=frozenset(tags), kept=frozenset(kept)
    )


def targets(decided):
    return [(removal.kind, removal.reference.target, removal.tags) for removal in decided.removals]


def test_an_attested_child_goes_whole_the_index_first(registry, session):
    child, image, attestation = put_attested(registry, "app", ARM64, tag=OWN)
    decided = decide(left(registry, child), session)
    inner = [("manifest", digest, ()) for digest in sorted((image, attestation))]
    assert targets(decided) == [("manifest", child, (OWN,)), *inner]
    assert [remove(removal, session) for removal in decided.removals] == [None] * 3
    assert registry.repository("app").manifests == {}


def test_what_a_published_index_lists_stays_when_its_staging_goes(registry, session):
    child, image, attestation = put_attested(registry, "app", ARM64, tag=OWN)
    entries = [descriptor(registry, "app", digest, ARM64) for digest in (image, attestation)]
    put_index(registry, "app", entries, tag="latest")
    assert targets(decide(left(registry, child), session)) == [("manifest", child, (OWN,))]


@pytest.mark.parametrize("tag", ["latest", "somebody-elses"])
def test_a_child_that_a_tag_reaches_loses_our_tag_only(registry, session, tag):
    child = put_image(registry, "app", ARM64, tag=OWN)
    put_index(registry, "app", [descriptor(registry, "app", child, ARM64)], tag=tag)
    decided = decide(left(registry, child), session)
    assert targets(decided) == [("tag", OWN, ())]
    assert decided.stays == (f"1 children in {app(registry)}: tags or indexes hold them",)


def test_an_index_of_ours_holds_its_children_without_a_tag_too(registry, session):
    child = put_image(registry, "app", ARM64)
    index = put_index(registry, "app", [descriptor(registry, "app", child, ARM64)])
    assert targets(decide(left(registry, child, kept=(index,)), session)) == []
    assert targets(decide(left(registry, child), session)) == [("manifest", child, ())]


def test_a_tagged_signature_holds_what_it_is_about(registry, session):
    child = put_image(registry, "app", ARM64)
    put_referrer(registry, "app", child, tag="sha256-signature")
    assert targets(decide(left(registry, child), session)) == []


def test_a_staging_tag_that_somebody_moved_since_is_theirs(registry, session):
    ours = put_image(registry, "app", ARM64, layer=b"ours")
    theirs = put_image(registry, "app", ARM64, layer=b"theirs", tag=OWN)
    decided = decide(left(registry, ours), session)
    assert targets(decided) == [("manifest", ours, ())]
    assert "not of these runs" in decided.stays[0]
    assert theirs not in {removal.reference.digest for removal in decided.removals}


def test_nothing_that_is_gone_already(registry, session):
    assert decide(left(registry, "sha256:" + "0" * 64), session).removals == ()
    registry.repository("app")
    assert decide(left(registry, "sha256:" + "0" * 64), session).removals == ()


def test_what_a_child_is_about_is_not_of_our_making(registry, session):
    theirs = put_image(registry, "app", ARM64)
    ours = put_referrer(registry, "app", theirs)
    assert targets(decide(left(registry, ours), session)) == [("manifest", ours, ())]


@pytest.mark.parametrize(
    ("content", "link"),
    [
        (b"<html>Please log in</html>", None),
        (b"{}", None),
        (b'{"tags": {"latest": 1}}', None),
        (b'{"tags": []}', "/v2/app/tags/list"),
        (b'{"tags": []}', "/v2/app/tags/list?last="),
        (b'{"tags": []}', "http://elsewhere.example.org/v2/app/tags/list?last=z"),
    ],
)
def test_what_is_no_whole_list_of_tags_does_not_pass_for_none(registry, session, content, link):
    child = put_image(registry, "app", ARM64, tag="latest")
    registry.pages = {"": (content, {"Link": f'<{link}>; rel="next"'} if link else {})}
    with pytest.raises(RegistryError, match="list"):
        decide(left(registry, child), session)


def test_what_was_carried_over_is_not_of_our_making(tmp_path):
    run = RunDirectory(tmp_path)
    (tmp_path / "logs").mkdir()
    row = {"platform": ARM64, "staging": {"reference": "r.io/app"}}
    run.save_plan({"image": "r.io/app", "platforms": [row]})
    with Journal(run.journal_path) as journal:
        for status, letter in (("succeeded", "a"), ("carried", "b")):
            fields = {"platform": ARM64, "status": status, "digest": f"sha256:{letter * 64}"}
            journal.append(Event(time=datetime.now(UTC), name="platform.ended", fields=fields))
    (found,) = left_by([run], [])
    assert found.children == {"sha256:" + "a" * 64}


@pytest.mark.parametrize("with_tag", [True, False])
@pytest.mark.parametrize("deletes_tags", [True, False])
def test_a_tag_goes_and_its_child_stays(session, deletes_tags, with_tag):
    with FakeRegistry(deletes_tags=deletes_tags) as registry:
        registry.deletes_with_tag = with_tag
        child = put_image(registry, "app", ARM64, tag=OWN)
        before = dict(registry.repository("app").manifests)
        tag = Removal(kind="tag", reference=app(registry).with_tag(OWN), holds=child)
        assert remove(tag, session) is None
        assert session.of(registry.host).head(app(registry).with_tag(OWN)) is None
        assert registry.repository("app").manifests == before
        assert child in before


def test_a_tag_that_another_run_took_meanwhile_is_theirs(registry, session):
    held = put_image(registry, "app", ARM64, layer=b"held", tag=OWN)
    put_index(registry, "app", [descriptor(registry, "app", held, ARM64)], tag="latest")
    (tag,) = decide(left(registry, held), session).removals
    alone = put_image(registry, "app", ARM64, layer=b"alone")
    theirs = put_image(registry, "app", ARM64, layer=b"theirs", tag=OWN)
    assert "another child" in str(remove(tag, session))
    gone = Removal(kind="manifest", reference=app(registry).with_digest(alone), tags=(OWN,))
    assert remove(gone, session) is None
    assert registry.repository("app").tags == {
        OWN: theirs,
        "latest": registry.repository("app").tags["latest"],
    }


def test_a_registry_that_deletes_nothing_keeps_everything_as_it_was(registry, session):
    registry.deletes = False
    child = put_image(registry, "app", ARM64, tag=OWN)
    for removal in (
        Removal(kind="tag", reference=app(registry).with_tag(OWN), holds=child),
        Removal(kind="manifest", reference=app(registry).with_digest(child), tags=(OWN,)),
    ):
        assert "cannot do that" in str(remove(removal, session))
    assert registry.repository("app").tags == {OWN: child}


def test_children_in_directories_of_runs_are_in_no_repository(tmp_path):
    run = State(tmp_path).new_run(datetime.now(UTC))
    staging = {"kind": "layout", "reference": "oci:children/linux-arm64"}
    run.save_plan({"image": "registry.invalid/app", "platforms": [{"platform": ARM64, "staging": staging}]})
    ended = {"platform": ARM64, "digest": "sha256:" + "a" * 64, "repository": "oci:children/linux-arm64"}
    composed = {"digest": "sha256:" + "b" * 64}
    with Journal(run.journal_path) as journal:
        journal.append(Event(time=datetime.now(UTC), name="platform.ended", fields=ended))
        journal.append(Event(time=datetime.now(UTC), name="index.composed", fields=composed))
    (repository,) = left_by([run], [])
    assert (str(repository.repository), repository.children, repository.tags) == (
        "registry.invalid/app",
        frozenset(),
        frozenset(),
    )
    # Nothing is looked for there: the registry need not exist.
    assert decide(repository, RegistrySession({}, on_wait=print)) == CleanupPlan()
