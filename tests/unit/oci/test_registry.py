"""The registry client against a registry that asks for logins, breaks, redirects and lies."""

import json

import pytest
from fakes.images import OCI, OCI_INDEX, put_image, put_index
from fakes.registry_server import FakeRegistry, Faults, digest_of

from multibuild.oci.credentials import Credentials
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

LOGIN = ("user", "s3cret-word")
CREDENTIALS = Credentials(username=LOGIN[0], secret=LOGIN[1])
QUICK = RetryPolicy(tries=3, initial=0.001, longest=2.0)


@pytest.fixture
def client():
    open_clients = []

    def make(fake, credentials=None, retry=QUICK, **options):
        settings = RegistrySettings(host=fake.host)
        registry = Registry(settings, read_login=lambda: credentials, retry=retry, **options)
        open_clients.append(registry)
        return registry

    yield make
    for registry in open_clients:
        registry.__exit__(None, None, None)


def at(fake, text):
    return Reference.parse(f"{fake.host}/{text}")


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_login_is_used_when_asked_for(scheme, client):
    with FakeRegistry(login=LOGIN, scheme=scheme) as fake:
        digest = put_image(fake, "app", tag="1")
        registry = client(fake, CREDENTIALS)
        assert registry.manifest(at(fake, "app:1")).digest == digest
        assert registry.head(at(fake, "app:1")).digest == digest
        assert [one.authorization != "" for one in fake.seen] == [False, True, True]


def test_an_identity_token_goes_instead_of_the_password(client):
    with FakeRegistry(login=LOGIN) as fake:
        put_image(fake, "app", tag="1")
        registry = client(fake, Credentials(username="", secret="", identity_token=LOGIN[1]))
        assert registry.manifest(at(fake, "app:1"))


@pytest.mark.parametrize("credentials", [None, Credentials(username="user", secret="wrong-word")])
def test_a_wrong_login_is_said_without_the_password(credentials, client):
    with FakeRegistry(login=LOGIN) as fake:
        put_image(fake, "app", tag="1")
        with pytest.raises(RegistryError) as caught:
            client(fake, credentials).manifest(at(fake, "app:1"))
        assert caught.value.kind == "unauthorized"
        assert "docker login" in str(caught.value.hint)
        assert "wrong-word" not in caught.value.message


def test_a_token_per_scope_and_a_new_one_when_it_ran_out(client):
    with FakeRegistry(login=LOGIN) as fake:
        put_image(fake, "app", tag="1")
        registry = client(fake, CREDENTIALS)
        fake.token_lifetime = 2
        for _ in range(4):
            registry.manifest(at(fake, "app:1"))
        registry.put_manifest(at(fake, "app:2"), registry.manifest(at(fake, "app:1")).content, OCI)
        scopes = [token["scopes"] for token in fake.tokens]
        assert scopes[0] == ["repository:app:pull"]
        assert ["repository:app:pull,push"] in scopes
        assert len(scopes) >= 3


def test_a_mount_asks_for_both_repositories(client):
    with FakeRegistry(login=LOGIN) as fake:
        digest = fake.put_blob("a", b"layer")
        assert client(fake, CREDENTIALS).mount("b", digest, "a")
        assert fake.tokens[-1]["scopes"] == ["repository:b:pull,push", "repository:a:pull"]


@pytest.mark.parametrize("fault", ["before", "after", 408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(fault, client):
    with FakeRegistry() as fake:
        put_image(fake, "app", tag="1")
        fake.faults = Faults({1: fault, 2: fault})
        waits: list[str] = []
        assert client(fake, on_wait=waits.append).manifest(at(fake, "app:1"))
        assert len(waits) == 2


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid"), (403, "denied"), (405, "unsupported")])
def test_what_does_not_pass_is_not(status, kind, client):
    with FakeRegistry() as fake:
        put_image(fake, "app", tag="1")
        fake.faults = Faults({1: status}, lasting=True)
        with pytest.raises(RegistryError) as caught:
            client(fake).manifest(at(fake, "app:1"))
        assert caught.value.kind == kind
        assert len(fake.seen) == 1


def test_retry_after_is_obeyed_up_to_the_longest_wait(client):
    with FakeRegistry() as fake:
        put_image(fake, "app", tag="1")
        fake.faults = Faults({1: 429}, retry_after="1")
        waits: list[str] = []
        client(fake, on_wait=waits.append).manifest(at(fake, "app:1"))
        assert "again in 1 s" in waits[0]
        fake.forget_requests()
        fake.faults = Faults({1: 429}, retry_after="3600")
        client(fake, on_wait=waits.append).manifest(at(fake, "app:1"))
        assert "again in 2 s" in waits[1]


def test_nobody_there():
    registry = Registry(RegistrySettings(host="127.0.0.1:1"), retry=RetryPolicy(tries=1))
    with registry, pytest.raises(RegistryError) as caught:
        registry.manifest(Reference.parse("127.0.0.1:1/app:1"))
    assert caught.value.kind == "unreachable"


def test_a_manifest_that_is_not_its_digest_is_refused(client):
    with FakeRegistry() as fake:
        digest = put_image(fake, "app")
        fake.lies[digest] = b"{}"
        with pytest.raises(RegistryError, match="sent other bytes"):
            client(fake).manifest(at(fake, f"app@{digest}"))


def test_a_blob_that_is_not_its_digest_is_refused(client):
    with FakeRegistry() as fake:
        digest = fake.put_blob("app", b"good")
        fake.lies[digest] = b"evil"
        with pytest.raises(RegistryError, match="do not match"):
            list(client(fake).blob("app", digest))


def test_our_login_does_not_go_along_a_redirect(client):
    with FakeRegistry() as store, FakeRegistry(login=LOGIN) as fake:
        fake.blobs_elsewhere = f"http://{store.host}"
        digest = fake.put_blob("app", b"layer")
        store.put_blob("app", b"layer")
        assert b"".join(client(fake, CREDENTIALS).blob("app", digest)) == b"layer"
        assert [one.authorization for one in store.seen] == [""]


def test_who_asks_for_a_login_after_a_redirect_gets_none(client):
    with FakeRegistry(login=LOGIN) as thief, FakeRegistry(login=LOGIN) as fake:
        fake.blobs_elsewhere = f"http://{thief.host}"
        digest = fake.put_blob("app", b"layer")
        with pytest.raises(RegistryError):
            list(client(fake, CREDENTIALS).blob("app", digest))
        assert not thief.tokens
        assert {one.authorization for one in thief.seen} == {""}


def test_pushing_is_probed_without_a_trace(client):
    with FakeRegistry() as fake:
        client(fake).check_push("app")
        assert fake.repositories == {}
        assert [path.split()[0] for path in fake.requests()] == ["POST", "DELETE"]


def test_upload_and_has_blob(client):
    with FakeRegistry() as fake:
        registry = client(fake)
        blob = Descriptor(media_type="x", digest=digest_of(b"abc"), size=3)
        assert not registry.has_blob("app", blob.digest)
        registry.upload("app", blob, iter([b"a", b"bc"]))
        assert registry.has_blob("app", blob.digest)


def test_all_pages_of_tags(client):
    with FakeRegistry() as fake:
        digest = put_image(fake, "app", tag="a")
        for tag in "bcdef":
            fake.repository("app").tags[tag] = digest
        assert client(fake).tags("app") == tuple("abcdef")


def test_deleting_a_tag_where_only_digests_can_be(client):
    with FakeRegistry(deletes_tags=False) as fake:
        put_image(fake, "app", tag="1")
        with pytest.raises(RegistryError) as caught:
            client(fake).delete(at(fake, "app:1"))
        assert caught.value.kind == "unsupported"


def test_what_is_not_there(client):
    with FakeRegistry() as fake:
        assert client(fake).head(at(fake, "app:1")) is None
        with pytest.raises(RegistryError) as caught:
            client(fake).manifest(at(fake, "app:1"))
        assert caught.value.kind == "not-found"


def test_an_index_is_read_with_its_type(client):
    with FakeRegistry() as fake:
        put_index(fake, "app", [], tag="1")
        found = client(fake).manifest(at(fake, "app:1"))
        assert found.is_index
        assert found.entries == ()


@pytest.mark.parametrize(
    ("called", "content"),
    [
        (OCI, {"manifests": [{}], "config": {}, "layers": []}),
        (OCI, {"mediaType": OCI_INDEX}),
        (OCI_INDEX, {"manifests": [], "layers": [{}]}),
        (OCI_INDEX, {"mediaType": OCI, "config": {}}),
    ],
)
def test_what_is_two_things_at_once_is_neither(called, content, client):
    with FakeRegistry() as fake:
        fake.put("app", json.dumps(content).encode(), called, tag="1")
        with pytest.raises(RegistryError, match="another kind"):
            client(fake).manifest(at(fake, "app:1"))


def test_a_registry_cannot_have_us_delete_elsewhere(client):
    with FakeRegistry() as fake, FakeRegistry() as other:
        fake.uploads = f"http://{other.host.replace('127.0.0.1', 'localhost')}"
        client(fake).check_push("app")
        assert other.seen == []
