import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from fakes.registry_server import OCI_INDEX, OCI_MANIFEST, Fault, digest_of

from multibuild.errors import EnvironmentFault
from multibuild.publish.failures import NotFound, RegistryError, as_environment, retry_after
from multibuild.publish.reference import Descriptor, Reference
from multibuild.publish.registry import Registry, RegistrySettings, RetryPolicy

QUICK = RetryPolicy(tries=3, initial=0.01, longest=0.05, unreachable=0.3)


@pytest.fixture
def said():
    return []


@pytest.fixture
def registry(fake, said):
    with Registry(RegistrySettings(host=fake.host), retry=QUICK, on_wait=said.append) as client:
        yield client


def at(fake, repository, tag=None, digest=None):
    return Reference(host=fake.host, repository=repository, tag=tag, digest=digest)


# -- manifests


def test_manifests_by_tag_and_digest(fake, registry):
    digest = fake.image("a", "linux/amd64", tag="1")
    found = registry.manifest(at(fake, "a", "1"))
    assert (found.digest, found.media_type) == (digest, OCI_MANIFEST)
    assert registry.manifest(at(fake, "a", digest=digest)) == found
    assert registry.head(at(fake, "a", "1")) == Descriptor(
        media_type=OCI_MANIFEST, digest=digest, size=len(found.content)
    )
    assert registry.head(at(fake, "a", "none")) is None
    with pytest.raises(NotFound):
        registry.manifest(at(fake, "a", "none"))


def test_head_of_a_registry_that_names_no_digest(fake, registry):
    fake.digest_header = False
    digest = fake.image("a", "linux/amd64", tag="1")
    assert registry.head(at(fake, "a", "1")).digest == digest


def test_other_bytes_than_the_digest_says_are_refused(fake, registry):
    digest = fake.image("a", "linux/amd64")
    fake.manifests["a"][digest] = (OCI_MANIFEST, b"{}")
    with pytest.raises(RegistryError, match="other bytes") as caught:
        registry.manifest(at(fake, "a", digest=digest))
    assert caught.value.kind == "invalid"


def test_a_manifest_without_a_useful_media_type(fake, registry):
    index = fake.put("a", b'{"manifests": []}', "application/json")
    assert registry.manifest(at(fake, "a", digest=index)).media_type == OCI_INDEX


def test_an_endless_manifest_is_cut_off(fake, registry):
    digest = fake.put("a", b" " * (4 * 1024 * 1024 + 1), OCI_MANIFEST)
    with pytest.raises(RegistryError, match="more than"):
        registry.manifest(at(fake, "a", digest=digest))


def test_put_and_delete(fake, registry):
    content = b'{"schemaVersion": 2, "manifests": []}'
    assert registry.put_manifest(at(fake, "a", "1"), content, OCI_INDEX) == digest_of(content)
    assert fake.tags["a"] == {"1": digest_of(content)}
    registry.delete(at(fake, "a", "1"))
    assert fake.tags["a"] == {}
    assert digest_of(content) in fake.manifests["a"]


def test_a_registry_that_deletes_no_tags(fake, registry):
    fake.deletes_tags = False
    fake.image("a", "linux/amd64", tag="1")
    with pytest.raises(RegistryError) as caught:
        registry.delete(at(fake, "a", "1"))
    assert caught.value.kind == "unsupported"


def test_tags_of_all_pages(fake, registry):
    for tag in "abcde":
        fake.image("r", "linux/amd64", tag=tag)
    fake.page = 2
    assert registry.tags("r") == tuple("abcde")
    with pytest.raises(NotFound):
        registry.tags("nothing")


@pytest.mark.parametrize("api", [True, False])
def test_referrers_by_api_and_by_tag(fake, registry, api):
    fake.referrers_api = api
    digest = fake.image("a", "linux/amd64")
    about = fake.put("a", b'{"subject": {"digest": "%s"}}' % digest.encode(), OCI_MANIFEST)
    if not api:
        assert registry.referrers("a", digest) == ()
        fake.index("a", [(about, None, None)], tag=digest.replace(":", "-"))
    assert [found.digest for found in registry.referrers("a", digest)] == [about]


# -- blobs


def test_a_blob_is_streamed_and_checked(fake, registry):
    content = b"x" * 3_000_000
    digest = fake.put_blob("a", content)
    assert b"".join(registry.blob("a", digest)) == content
    fake.blobs["a"][digest] = b"y" * 3_000_000
    with pytest.raises(RegistryError, match="do not match"):
        list(registry.blob("a", digest))
    assert registry.has_blob("a", digest)
    assert not registry.has_blob("a", digest_of(b"other"))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_goes_on_after_a_cut(fake, registry, ranges):
    fake.ranges = ranges
    content = bytes(range(256)) * 10_000
    digest = fake.put_blob("a", content)
    fake.faults.append(Fault(method="GET", path="blobs", cut=1_500_000))
    assert b"".join(registry.blob("a", digest)) == content
    assert fake.count("GET", "blobs") == 2


def test_a_blob_that_is_always_cut_is_given_up(fake, registry):
    digest = fake.put_blob("a", b"z" * 1000)
    fake.faults.append(Fault(method="GET", path="blobs", cut=500, times=99))
    with pytest.raises(RegistryError) as caught:
        list(registry.blob("a", digest))
    assert caught.value.kind == "unreachable"
    assert fake.count("GET", "blobs") < 10


def test_upload(fake, registry):
    content = b"c" * 100_000
    registry.upload_blob("a", digest_of(content), len(content), iter([content[:50_000], content[50_000:]]))
    assert fake.blobs["a"] == {digest_of(content): content}
    with pytest.raises(RegistryError, match="DIGEST_INVALID"):
        registry.upload_blob("a", digest_of(b"d"), 1, iter([b"e"]))


def test_a_copy_inside_one_registry_is_mounted(fake, registry):
    digest = fake.put_blob("a", b"layer")
    blob = Descriptor(media_type="m", digest=digest, size=5)
    registry.copy_blob("b", blob, origin=registry, source="a")
    registry.copy_blob("b", blob, origin=registry, source="a")
    assert fake.blobs["b"] == {digest: b"layer"}
    assert (fake.count("GET"), fake.count("PUT"), fake.count("POST")) == (0, 0, 1)


def test_a_mount_that_is_not_done_becomes_an_upload(fake, registry):
    fake.mounts = False
    digest = fake.put_blob("a", b"layer")
    registry.copy_blob("b", Descriptor(media_type="m", digest=digest, size=5), origin=registry, source="a")
    assert fake.blobs["b"] == {digest: b"layer"}
    assert not fake.uploads


def test_a_copy_between_registries_is_sent_again_after_trouble(fake, other, registry):
    digest = fake.put_blob("a", b"layer")
    other.faults.append(Fault(method="PUT", path="uploads", status=502))
    with Registry(RegistrySettings(host=other.host), retry=QUICK) as goal:
        goal.copy_blob("b", Descriptor(media_type="m", digest=digest, size=5), origin=registry, source="a")
    assert other.blobs["b"] == {digest: b"layer"}


def test_a_push_probe_leaves_nothing(fake, registry):
    registry.check_push("new/repository")
    assert (fake.uploads, fake.manifests, fake.blobs) == (set(), {}, {})
    assert fake.count("DELETE") == 1


def test_a_push_probe_of_one_who_may_push_but_not_delete(fake, registry):
    fake.faults.append(Fault(method="DELETE", path="uploads", status=403))
    registry.check_push("new")


# -- trouble


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 0])
def test_what_may_pass_is_tried_again(fake, registry, said, status):
    fake.image("a", "linux/amd64", tag="1")
    fake.faults.append(Fault(method="GET", path="manifests", status=status, times=2))
    registry.manifest(at(fake, "a", "1"))
    assert fake.count("GET") == 3
    assert len(said) == 2
    assert "again in 0.0 s" in said[0]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid"),
        (401, "unauthorized"),
        (403, "denied"),
        (404, "not-found"),
        (405, "unsupported"),
        (429, "rate-limited"),
        (500, "unavailable"),
        (307, "invalid"),
    ],
)
def test_kinds_of_refusal(fake, registry, status, kind):
    body = b'{"errors": [{"code": "CODE", "message": "its\\u001b[31m words"}]}'
    fake.faults.append(Fault(method="PUT", path="", status=status, times=9, body=body))
    with pytest.raises(RegistryError) as caught:
        registry.put_manifest(at(fake, "a", "1"), b"{}", OCI_INDEX)
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert fake.host in caught.value.message
    assert "CODE its words" in caught.value.message
    assert fake.count("PUT") == (3 if status in {429, 500} else 1)


def test_retry_after_is_obeyed_up_to_a_limit(fake, registry):
    fake.image("a", "linux/amd64", tag="1")
    fake.faults.append(Fault(method="GET", path="", status=429, headers={"Retry-After": "3600"}))
    started = time.monotonic()
    registry.manifest(at(fake, "a", "1"))
    assert 0.05 <= time.monotonic() - started < 1


def test_retry_after_as_number_and_date():
    assert retry_after("7") == 7
    assert retry_after("") is retry_after("soon") is None
    later = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert later is not None
    assert 85 < later <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_a_registry_that_is_not_running_is_heard_of_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        started = time.monotonic()
        with Registry(RegistrySettings(host=host)) as client, pytest.raises(RegistryError) as caught:
            client.ping()
    assert time.monotonic() - started < 3.5
    assert caught.value.kind == "unreachable"
    assert host in caught.value.message
    assert "running" in (caught.value.hint or "")
    fault = as_environment(caught.value)
    assert isinstance(fault, EnvironmentFault)
    assert fault.exit_code == 3


def test_where_requests_go():
    assert RegistrySettings(host="r.example.org:5000").address == "https://r.example.org:5000"
    assert RegistrySettings(host="r.example.org", insecure=True).address == "http://r.example.org"
    assert RegistrySettings(host="localhost:5000").address == "http://localhost:5000"
    assert RegistrySettings(host="docker.io").address == "https://registry-1.docker.io"


def test_tls_errors_in_words():
    from multibuild.publish.failures import from_transport

    wrong = from_transport("r:1", "reading", ssl.SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number"))
    assert (wrong.kind, "insecure: true" in (wrong.hint or "")) == ("tls", True)
    unknown = from_transport("r:1", "reading", ssl.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"))
    assert (unknown.kind, "ca: FILE" in (unknown.hint or "")) == ("tls", True)


def test_an_unusable_ca_file(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(EnvironmentFault, match=r"ca\.pem"):
        Registry(RegistrySettings(host="r.example.org", ca=tmp_path / "ca.pem"))


def test_many_threads_share_one_client(fake, registry):
    digests = [fake.image("a", "linux/amd64", layers=(bytes([n]),), tag=str(n)) for n in range(40)]
    barrier = threading.Barrier(8)

    def read(number):
        if number < 8:
            barrier.wait(5)
        return registry.manifest(at(fake, "a", str(number))).digest

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(40))) == digests


def test_an_environments_proxy_is_not_asked_for_this_machine(fake, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Registry(RegistrySettings(host=fake.host), retry=QUICK) as client:
        client.ping()
