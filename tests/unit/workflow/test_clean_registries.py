from datetime import UTC, datetime

import pytest
from fakes.images import descriptor, put_attested, put_image, put_index, put_referrer
from fakes.journals import write_events
from fakes.registry_server import FakeRegistry

from multibuild.journal.events import IndexComposed, PlatformEnded
from multibuild.journal.runs import RunDirectory, State
from multibuild.oci.errors import RegistryError
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.workflow.clean.registries import (
    CleanupPlan,
    Leftovers,
    Removal,
    collect_leftovers,
    plan_cleanup,
    remove,
)

OWN = "multibuild-linux-arm64"
ARM64 = "linux/arm64"


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def session():
    with RegistrySession({}, on_wait=lambda _text: None) as session:
        yield session


def app(registry):
    return Reference(host=registry.host, repository="app")


def leftovers(registry, *children, tags=(OWN,), roots=()):
    return Leftovers(
        repository=app(registry), children=frozenset(children), tags=frozenset(tags), roots=frozenset(roots)
    )


def targets(cleanup):
    return [(removal.kind, removal.reference.target, removal.tags) for removal in cleanup.removals]


def test_an_attested_child_is_removed_with_its_entries_the_index_first(registry, session):
    child, image, attestation = put_attested(registry, "app", ARM64, tag=OWN)
    cleanup = plan_cleanup(leftovers(registry, child), session)
    inner = [("manifest", digest, ()) for digest in sorted((image, attestation))]
    assert targets(cleanup) == [("manifest", child, (OWN,)), *inner]
    assert [remove(removal, session) for removal in cleanup.removals] == [None] * 3
    assert registry.repository("app").manifests == {}


def test_entries_of_a_published_index_stay_when_the_child_is_removed(registry, session):
    child, image, attestation = put_attested(registry, "app", ARM64, tag=OWN)
    entries = [descriptor(registry, "app", digest, ARM64) for digest in (image, attestation)]
    put_index(registry, "app", entries, tag="latest")
    assert targets(plan_cleanup(leftovers(registry, child), session)) == [("manifest", child, (OWN,))]


@pytest.mark.parametrize("tag", ["latest", "another"])
def test_a_child_that_a_tag_reaches_loses_its_staging_tag_only(registry, session, tag):
    child = put_image(registry, "app", ARM64, tag=OWN)
    put_index(registry, "app", [descriptor(registry, "app", child, ARM64)], tag=tag)
    cleanup = plan_cleanup(leftovers(registry, child), session)
    assert targets(cleanup) == [("tag", OWN, ())]
    assert cleanup.retentions == (f"1 children in {app(registry)}: tags or indexes hold them",)


def test_an_untagged_index_of_a_run_retains_its_children(registry, session):
    child = put_image(registry, "app", ARM64)
    index = put_index(registry, "app", [descriptor(registry, "app", child, ARM64)])
    assert targets(plan_cleanup(leftovers(registry, child, roots=(index,)), session)) == []
    assert targets(plan_cleanup(leftovers(registry, child), session)) == [("manifest", child, ())]


def test_a_tagged_signature_retains_its_subject(registry, session):
    child = put_image(registry, "app", ARM64)
    put_referrer(registry, "app", child, tag="sha256-signature")
    assert targets(plan_cleanup(leftovers(registry, child), session)) == []


def test_a_staging_tag_that_another_run_moved_stays(registry, session):
    ours = put_image(registry, "app", ARM64, layer=b"ours")
    theirs = put_image(registry, "app", ARM64, layer=b"theirs", tag=OWN)
    cleanup = plan_cleanup(leftovers(registry, ours), session)
    assert targets(cleanup) == [("manifest", ours, ())]
    assert "not of these runs" in cleanup.retentions[0]
    assert theirs not in {removal.reference.digest for removal in cleanup.removals}


def test_a_child_that_is_gone_already_needs_no_removal(registry, session):
    assert plan_cleanup(leftovers(registry, "sha256:" + "0" * 64), session).removals == ()
    registry.repository("app")
    assert plan_cleanup(leftovers(registry, "sha256:" + "0" * 64), session).removals == ()


def test_the_subject_of_a_child_stays(registry, session):
    theirs = put_image(registry, "app", ARM64)
    ours = put_referrer(registry, "app", theirs)
    assert targets(plan_cleanup(leftovers(registry, ours), session)) == [("manifest", ours, ())]


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
def test_an_incomplete_list_of_tags_is_an_error(registry, session, content, link):
    child = put_image(registry, "app", ARM64, tag="latest")
    registry.pages = {"": (content, {"Link": f'<{link}>; rel="next"'} if link else {})}
    with pytest.raises(RegistryError, match="list"):
        plan_cleanup(leftovers(registry, child), session)


def test_carried_over_entries_are_no_leftovers(tmp_path):
    run = RunDirectory(tmp_path)
    (tmp_path / "logs").mkdir()
    row = {"platform": ARM64, "staging": {"reference": "r.io/app"}}
    run.save_plan({"image": "r.io/app", "platforms": [row]})
    for status, letter in (("succeeded", "a"), ("carried", "b")):
        digest = f"sha256:{letter * 64}"
        write_events(run.journal_path, PlatformEnded(platform=ARM64, status=status, digest=digest))
    (repository,) = collect_leftovers([run], [])
    assert repository.children == {"sha256:" + "a" * 64}


@pytest.mark.parametrize("with_tag", [True, False])
@pytest.mark.parametrize("deletes_tags", [True, False])
def test_a_tag_is_removed_without_its_child(session, deletes_tags, with_tag):
    with FakeRegistry(deletes_tags=deletes_tags) as registry:
        registry.deletes_with_tag = with_tag
        child = put_image(registry, "app", ARM64, tag=OWN)
        before = dict(registry.repository("app").manifests)
        tag = Removal(kind="tag", reference=app(registry).with_tag(OWN), digest=child)
        assert remove(tag, session) is None
        assert session.of(registry.host).head(app(registry).with_tag(OWN)) is None
        assert registry.repository("app").manifests == before
        assert child in before


def test_a_tag_that_another_run_moved_meanwhile_stays(registry, session):
    child = put_image(registry, "app", ARM64, layer=b"child", tag=OWN)
    put_index(registry, "app", [descriptor(registry, "app", child, ARM64)], tag="latest")
    (tag,) = plan_cleanup(leftovers(registry, child), session).removals
    untagged = put_image(registry, "app", ARM64, layer=b"untagged")
    theirs = put_image(registry, "app", ARM64, layer=b"theirs", tag=OWN)
    assert "another child" in str(remove(tag, session))
    removal = Removal(kind="manifest", reference=app(registry).with_digest(untagged), tags=(OWN,))
    assert remove(removal, session) is None
    tags = registry.repository("app").tags
    assert tags == {OWN: theirs, "latest": tags["latest"]}


def test_a_registry_without_deletion_is_left_unchanged(registry, session):
    registry.deletes = False
    child = put_image(registry, "app", ARM64, tag=OWN)
    for removal in (
        Removal(kind="tag", reference=app(registry).with_tag(OWN), digest=child),
        Removal(kind="manifest", reference=app(registry).with_digest(child), tags=(OWN,)),
    ):
        assert "cannot do that" in str(remove(removal, session))
    assert registry.repository("app").tags == {OWN: child}


def test_locally_staged_children_are_in_no_repository(tmp_path):
    run = State(tmp_path).new_run(datetime.now(UTC))
    staging = {"kind": "layout", "reference": "oci:children/linux-arm64"}
    run.save_plan({"image": "registry.invalid/app", "platforms": [{"platform": ARM64, "staging": staging}]})
    child, index = ("sha256:" + letter * 64 for letter in "ab")
    ended = PlatformEnded(platform=ARM64, status="succeeded", digest=child, repository=staging["reference"])
    write_events(run.journal_path, ended, IndexComposed(digest=index, media_type="m", size=1, entries=1))
    (repository,) = collect_leftovers([run], [])
    assert str(repository.repository) == "registry.invalid/app"
    assert repository.children == repository.tags == frozenset()
    # No request is made: the registry need not exist.
    assert plan_cleanup(repository, RegistrySession({}, on_wait=print)) == CleanupPlan()
