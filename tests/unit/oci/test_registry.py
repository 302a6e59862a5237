"""The registry client against a registry that requires logins, fails, redirects and sends wrong bytes."""

import gzip
import json
from contextlib import ExitStack

import pytest
from fakes.images import OCI, OCI_INDEX, put_image, put_index
from fakes.registry_server import FakeRegistry, Faults, digest_of

from multibuild.oci.access.credentials import Credentials
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

LOGIN = ("user", "s3cret-word")
CREDENTIALS = Credentials(username=LOGIN[0], secret=LOGIN[1])
QUICK = RetryPolicy(tries=3, initial_wait_s=0.001, max_wait_s=2.0)


@pytest.fixture
def client():
    with ExitStack() as stack:

        def connect(fake, credentials=None, **options):
            settings = RegistrySettings(host=fake.host)
            registry = Registry(settings, read_login=lambda: credentials, retry=QUICK, **options)
            return stack.enter_context(registry)

        yield connect


def at(fake, text):
    return Reference.parse(f"{fake.host}/{text}")


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_login_is_sent_after_a_challenge(scheme, client):
    with FakeRegistry(login=LOGIN, scheme=scheme) as fake:
        digest = put_image(fake, "app", tag="1")
        registry = client(fake, CREDENTIALS)
        assert registry.manifest(at(fake, "app:1")).digest == digest
        assert registry.head(at(fake, "app:1")).digest == digest
        assert [request.authorization != "" for request in fake.log] == [False, True, True]


def test_an_identity_token_replaces_the_password(client):
    with FakeRegistry(login=LOGIN) as fake:
        put_image(fake, "app", tag="1")
        registry = client(fake, Credentials(username="", secret="", identity_token=LOGIN[1]))
        assert registry.manifest(at(fake, "app:1"))


@pytest.mark.parametrize("credentials", [None, Credentials(username="user", secret="wrong-word")])
@pytest.mark.parametrize("pushes", [False, True])
def test_the_error_of_a_wrong_login_shows_no_password(credentials, pushes, client):
    with FakeRegistry(login=LOGIN) as fake:
        put_image(fake, "app", tag="1")
        registry = client(fake, credentials)
        with pytest.raises(RegistryError) as caught:
            registry.check_push("app") if pushes else registry.manifest(at(fake, "app:1"))
        error = caught.value
        assert error.kind == "unauthorized"
        assert "docker login" in str(error.hint)
        assert "wrong-word" not in f"{error.message} {error!r} {error.__cause__} {error.hint}"


def test_there_is_a_token_per_scope_and_a_new_one_after_expiry(client):
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


def test_a_mount_requests_a_token_for_both_repositories(client):
    with FakeRegistry(login=LOGIN) as fake:
        digest = fake.put_blob("a", b"layer")
        assert client(fake, CREDENTIALS).mount("b", digest, "a")
        assert fake.tokens[-1]["scopes"] == ["repository:b:pull,push", "repository:a:pull"]


@pytest.mark.parametrize("fault", ["before", "after", 408, 429, 500, 502, 503, 504])
def test_a_transient_failure_is_retried(fault, client, fake):
    put_image(fake, "app", tag="1")
    fake.faults = Faults({1: fault, 2: fault})
    waits: list[str] = []
    assert client(fake, on_wait=waits.append).manifest(at(fake, "app:1"))
    assert len(waits) == 2


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid"), (403, "denied"), (405, "unsupported")])
def test_a_permanent_failure_is_not_retried(status, kind, client, fake):
    put_image(fake, "app", tag="1")
    fake.faults = Faults({1: status}, lasting=True)
    with pytest.raises(RegistryError) as caught:
        client(fake).manifest(at(fake, "app:1"))
    assert caught.value.kind == kind
    assert len(fake.log) == 1


def test_retry_after_is_obeyed_up_to_the_longest_wait(client, fake):
    put_image(fake, "app", tag="1")
    fake.faults = Faults({1: 429}, retry_after="1")
    waits: list[str] = []
    client(fake, on_wait=waits.append).manifest(at(fake, "app:1"))
    assert "again in 1 s" in waits[0]
    fake.forget_requests()
    fake.faults = Faults({1: 429}, retry_after="3600")
    client(fake, on_wait=waits.append).manifest(at(fake, "app:1"))
    assert "again in 2 s" in waits[1]


def test_a_refused_connection_is_unreachable():
    registry = Registry(RegistrySettings(host="127.0.0.1:1"), retry=RetryPolicy(tries=1))
    with registry, pytest.raises(RegistryError) as caught:
        registry.manifest(Reference.parse("127.0.0.1:1/app:1"))
    assert caught.value.kind == "unreachable"


def test_a_manifest_that_is_not_its_digest_is_refused(client, fake):
    digest = put_image(fake, "app")
    fake.wrong_bytes[digest] = b"{}"
    with pytest.raises(RegistryError, match="sent other bytes"):
        client(fake).manifest(at(fake, f"app@{digest}"))


def test_a_blob_that_is_not_its_digest_is_refused(client, fake):
    digest = fake.put_blob("app", b"good")
    fake.wrong_bytes[digest] = b"evil"
    with pytest.raises(RegistryError, match="do not match"):
        list(client(fake).blob("app", digest))


def test_a_login_is_not_sent_along_a_redirect(client):
    with FakeRegistry() as store, FakeRegistry(login=LOGIN) as fake:
        fake.blob_redirect = f"http://{store.host}"
        digest = fake.put_blob("app", b"layer")
        store.put_blob("app", b"layer")
        assert b"".join(client(fake, CREDENTIALS).blob("app", digest)) == b"layer"
        assert [request.authorization for request in store.log] == [""]


def test_a_host_that_challenges_after_a_redirect_gets_no_login(client):
    with FakeRegistry(login=LOGIN) as thief, FakeRegistry(login=LOGIN) as fake:
        fake.blob_redirect = f"http://{thief.host}"
        digest = fake.put_blob("app", b"layer")
        with pytest.raises(RegistryError):
            list(client(fake, CREDENTIALS).blob("app", digest))
        assert not thief.tokens
        assert {request.authorization for request in thief.log} == {""}


def test_probing_for_push_leaves_nothing_behind(client, fake):
    client(fake).check_push("app")
    assert fake.repositories == {}
    assert [path.split()[0] for path in fake.requests()] == ["POST", "DELETE"]


def test_an_uploaded_blob_exists(client, fake):
    registry = client(fake)
    blob = Descriptor(media_type="x", digest=digest_of(b"abc"), size=3)
    assert not registry.has_blob("app", blob.digest)
    registry.upload("app", blob, iter([b"a", b"bc"]))
    assert registry.has_blob("app", blob.digest)


def test_tags_of_all_pages_are_listed(client, fake):
    digest = put_image(fake, "app", tag="a")
    for tag in "bcdef":
        fake.repository("app").tags[tag] = digest
    assert client(fake).tags("app") == tuple("abcdef")


def test_deleting_a_tag_is_unsupported_where_only_digests_can_be(client):
    with FakeRegistry(deletes_tags=False) as fake:
        put_image(fake, "app", tag="1")
        with pytest.raises(RegistryError) as caught:
            client(fake).delete(at(fake, "app:1"))
        assert caught.value.kind == "unsupported"


def test_a_missing_tag_is_none_or_not_found(client, fake):
    assert client(fake).head(at(fake, "app:1")) is None
    with pytest.raises(RegistryError) as caught:
        client(fake).manifest(at(fake, "app:1"))
    assert caught.value.kind == "not-found"


def test_an_index_is_read_with_its_type(client, fake):
    put_index(fake, "app", [], tag="1")
    index = client(fake).manifest(at(fake, "app:1"))
    assert index.is_index
    assert index.entries == ()


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        (OCI, {"manifests": [{}], "config": {}, "layers": []}),
        (OCI, {"mediaType": OCI_INDEX}),
        (OCI_INDEX, {"manifests": [], "layers": [{}]}),
        (OCI_INDEX, {"mediaType": OCI, "config": {}}),
    ],
)
def test_a_manifest_of_another_kind_than_its_media_type_is_refused(media_type, content, client, fake):
    fake.put("app", json.dumps(content).encode(), media_type, tag="1")
    with pytest.raises(RegistryError, match="another kind"):
        client(fake).manifest(at(fake, "app:1"))


def test_an_upload_on_another_host_is_not_deleted(client):
    with FakeRegistry() as fake, FakeRegistry() as other:
        fake.upload_base = f"http://{other.host.replace('127.0.0.1', 'localhost')}"
        client(fake).check_push("app")
        assert other.log == []


def test_an_upload_whose_location_lacks_the_port_goes_to_the_registrys_own(client):
    """A server in front of it that passes on `Host` without its port."""
    content = b"a layer"
    with FakeRegistry() as fake:
        fake.upload_base = f"http://{fake.host.partition(':')[0]}"
        layer = Descriptor(media_type="", digest=digest_of(content), size=len(content))
        client(fake).upload("app", layer, iter([content]))
        assert fake.repository("app").blobs == {layer.digest: content}


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "aws-chunked, gzip"])
def test_the_length_of_an_encoded_answer_is_not_that_of_the_manifest(encoding, client, fake):
    def encoded(_registry, _request, proceed):
        status, content, headers = proceed()
        return status, gzip.compress(content), {**headers, "Content-Encoding": encoding}

    digest = put_image(fake, "app", tag="1")
    size = len(fake.repository("app").manifests[digest][1])
    fake.bends = [encoded]
    assert client(fake).head(at(fake, "app:1")).size == size


@pytest.mark.parametrize("encoding", ["aws-chunked", "x-gzip", "identity", "aws-chunked,"])
def test_a_blob_is_read_as_it_is_stored_whatever_its_encoding_is_called(encoding, client, fake):
    def labelled(_registry, _request, proceed):
        status, content, headers = proceed()
        return status, content, {**headers, "Content-Encoding": encoding}

    content = gzip.compress(b"a layer")
    digest = fake.put_blob("app", content)
    fake.bends = [labelled]
    assert b"".join(client(fake).blob("app", digest)) == content


def test_a_blob_is_resumed_at_a_registry_that_refuses_ranges_without_an_end(client, fake):
    content = bytes(range(256)) * 8192
    digest = fake.put_blob("app", content)
    ranges = []

    def breaks_off(_registry, request, proceed):
        ranges.append(request.headers.get("range"))
        if ranges[-1]:
            return 416, b"", {}
        status, body, headers = proceed()
        if len(ranges) > 1:
            return status, body, headers
        return status, body[:-1000], {**headers, "Content-Length": str(len(body)), "Connection": "close"}

    fake.bends = [breaks_off]
    assert b"".join(client(fake).blob("app", digest)) == content
    assert len(ranges) == 3
