"""What the distribution-spec (1.1) asks of clients, as a list: each test quotes its section."""

import json
from contextlib import ExitStack

import pytest
from fakes.images import OCI, OCI_INDEX, descriptor, put_image, put_index, put_referrer
from fakes.registry_habits import answers, blobs, changed, error, first, manifests, mounts
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.oci.copy.consistency import put_index as push_index
from multibuild.oci.copy.copier import Copier, Repository
from multibuild.oci.copy.target import has_blob, stored_descriptor
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

QUICK = RetryPolicy(tries=3, initial_wait_s=0.001, max_wait_s=0.002)


@pytest.fixture
def client(fake):
    with ExitStack() as stack:
        yield stack.enter_context(Registry(RegistrySettings(host=fake.host), retry=QUICK))


@pytest.fixture
def sent(fake):
    """Record each request as the registry sees it."""
    requests = []

    def record(_registry, request, proceed):
        requests.append(request)
        return proceed()

    fake.bends.append(record)
    return requests


def at(fake, text):
    return Reference.parse(f"{fake.host}/{text}")


def blob_of(content):
    return Descriptor(media_type="application/octet-stream", digest=digest_of(content), size=len(content))


class TestPulling:
    def test_accept_names_every_type_that_is_understood(self, fake, client, sent):
        """Pulling manifests: "The client SHOULD include an Accept header indicating which manifest content types"."""
        put_image(fake, "app", tag="1")
        client.manifest(at(fake, "app:1"))
        accepted = {part.strip() for part in sent[0].headers["accept"].split(",")}
        docker = "application/vnd.docker.distribution.manifest"
        assert accepted >= {OCI, OCI_INDEX, f"{docker}.v2+json", f"{docker}.list.v2+json"}

    def test_the_digest_of_a_manifest_is_verified(self, fake, client):
        """Pulling manifests: the client verifies the response's digest where it is used."""
        digest = put_image(fake, "app", tag="1")
        fake.wrong_bytes[digest] = b"{}"
        with pytest.raises(RegistryError, match="other bytes"):
            client.manifest(at(fake, f"app@{digest}"))

    def test_the_digest_header_is_not_believed(self, fake, client):
        """Pulling manifests: Docker-Content-Digest "MAY" be there; "clients MUST verify" it where it is used."""
        digest = put_image(fake, "app", tag="1")
        fake.bends.append(changed(manifests("GET"), docker_content_digest=digest_of(b"another")))
        assert client.manifest(at(fake, "app:1")).digest == digest

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_registered_algorithms_are_verified(self, fake, client, algorithm):
        """image-spec, descriptor.md, "Registered Algorithms"."""
        import hashlib

        content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        fake.repository("app").manifests[digest] = (OCI_INDEX, content)
        assert client.manifest(at(fake, f"app@{digest}")).digest == digest
        fake.repository("app").manifests[digest] = (OCI_INDEX, content + b" ")
        with pytest.raises(RegistryError):
            client.manifest(at(fake, f"app@{digest}"))

    def test_the_digest_of_a_blob_is_verified(self, fake, client):
        """Pulling blobs: the client verifies the digest."""
        digest = fake.put_blob("app", b"right")
        fake.wrong_bytes[digest] = b"wrong"
        with pytest.raises(RegistryError, match="do not match"):
            list(client.blob("app", digest))

    def test_a_redirected_blob_is_followed(self, fake, client):
        """Pulling blobs: "A GET request to an existing blob URL MUST provide … or a redirect"."""
        with FakeRegistry() as store:
            digest = store.put_blob("app", b"content")
            fake.put_blob("app", b"content")
            fake.blob_redirect = f"http://{store.host}"
            assert b"".join(client.blob("app", digest)) == b"content"

    def test_a_missing_manifest_is_not_found(self, fake, client):
        """Pulling manifests: "If the manifest is not found in the repository, the response code MUST be 404"."""
        with pytest.raises(RegistryError) as caught:
            client.manifest(at(fake, "app:1"))
        assert caught.value.kind == "not-found"
        assert client.head(at(fake, "app:1")) is None

    def test_existence_is_asked_with_head(self, fake, client, sent):
        """Checking if content exists: "a HEAD request"."""
        digest = put_image(fake, "app", tag="1")
        assert client.head(at(fake, "app:1")).digest == digest
        assert client.has_blob("app", next(iter(fake.repository("app").blobs)))
        assert {request.method for request in sent} == {"HEAD"}


class TestPushing:
    def test_a_blob_is_posted_then_put(self, fake, client, sent):
        """Pushing a blob monolithically, POST then PUT: "Content-Length", "Content-Type: application/octet-stream"."""
        client.upload("app", blob_of(b"content"), iter([b"con", b"tent"]))
        post, put = sent
        assert (post.method, put.method) == ("POST", "PUT")
        assert put.query["digest"] == digest_of(b"content")
        assert put.headers["content-type"] == "application/octet-stream"
        assert put.headers["content-length"] == "7"
        assert fake.repository("app").blobs[digest_of(b"content")] == b"content"

    def test_the_query_of_a_location_stays(self, fake, client, sent):
        """Pushing a blob: "<location> … MAY contain query parameters"; they are not to be changed."""
        client.upload("app", blob_of(b"x"), iter([b"x"]))
        assert sent[1].query["state"] == "s"

    @pytest.mark.parametrize("is_absolute", [True, False])
    def test_a_location_is_relative_or_absolute(self, fake, client, is_absolute):
        """Pushing a blob: "<location> … MAY be relative or absolute"."""
        fake.upload_base = f"http://{fake.host}" if is_absolute else ""
        client.upload("app", blob_of(b"x"), iter([b"x"]))
        assert fake.repository("app").blobs

    def test_an_upload_goes_to_no_other_registry(self, fake, client):
        """The login and the layer are for the registry that was named."""
        fake.upload_base = "http://127.0.0.1:1"
        with pytest.raises(RegistryError, match="wants the upload sent to"):
            client.upload("app", blob_of(b"x"), iter([b"x"]))

    def test_a_manifest_is_put_with_its_own_type(self, fake, client, sent):
        """Pushing manifests: "Clients SHOULD set the Content-Type header to the type of the manifest being pushed"."""
        put_image(fake, "app", tag="1")
        content = fake.repository("app").manifests[fake.repository("app").tags["1"]][1]
        client.put_manifest(at(fake, "app:2"), content, OCI)
        assert sent[-1].headers["content-type"] == OCI
        assert sent[-1].body == content

    def test_blobs_come_before_their_manifest_and_manifests_before_their_index(self, fake, sent):
        """Pushing manifests: a manifest refers to content that the registry has already."""
        image = put_image(fake, "app", "linux/amd64")
        index = put_index(fake, "app", [descriptor(fake, "app", image, "linux/amd64")])
        copy(fake, "app", "other", index)
        pushed = [r for r in sent if r.name == "other" and r.method in {"PUT", "POST"}]
        assert [r.kind for r in pushed] == ["blobs", "blobs", "manifests", "manifests"]
        assert [r.rest for r in pushed[2:]] == [image, index]


def copy(fake, source, target, digest):
    """Copy a manifest between two repositories of the fake registry."""
    settings = RegistrySettings(host=fake.host)
    with Registry(settings, retry=QUICK) as registry:
        copier = Copier(target=Repository(reference=at(fake, target), store=registry))
        copier.copy_manifest(digest, Repository(reference=at(fake, source), store=registry))


class TestUploads:
    LOST = (
        (404, "BLOB_UPLOAD_UNKNOWN"),  # replicas behind one name; GHCR after a commit that took long
        (404, "BLOB_UNKNOWN"),  # GHCR
        (404, "BLOB_UPLOAD_INVALID"),  # ACR
        (416, "BLOB_UPLOAD_INVALID"),  # ECR
        (400, "DIGEST_INVALID"),
    )

    @pytest.mark.parametrize(("status", "code"), LOST)
    def test_an_upload_that_the_registry_lost_is_begun_again(self, fake, status, code):
        """Error codes: BLOB_UPLOAD_UNKNOWN is of a session that "never existed or was cancelled"."""
        image = put_image(fake, "app", "linux/amd64")
        fake.mounts = False
        fake.bends.append(first(2, answers(status, lambda r: r.is_upload and r.method == "PUT", code=code)))
        copy(fake, "app", "other", image)
        assert image in fake.repository("other").manifests

    @pytest.mark.parametrize(("status", "code"), [(403, "DENIED"), (400, "SIZE_INVALID"), (413, "")])
    def test_an_upload_that_is_refused_for_another_reason_is_not(self, fake, sent, status, code):
        image = put_image(fake, "app", "linux/amd64")
        fake.mounts = False
        fake.bends.append(answers(status, lambda r: r.is_upload and r.method == "PUT", code=code))
        with pytest.raises(RegistryError):
            copy(fake, "app", "other", image)
        assert len([r for r in sent if r.is_upload and r.method == "PUT"]) == 1


class TestMounting:
    def test_a_mount_names_the_source(self, fake, client, sent):
        """Mounting: `POST …/blobs/uploads/?mount=<digest>&from=<other_name>`; Quay refuses one without `from`."""
        digest = fake.put_blob("a", b"content")
        assert client.mount("b", digest, "a")
        assert sent[0].query == {"mount": digest, "from": "a"}

    NOT_MOUNTED = (
        (200, {}),
        (202, {"Location": "/v2/b/blobs/uploads/u1"}),
        (202, {"Location": "http://127.0.0.1:1/elsewhere"}),
        (202, {"Location": "::::"}),
        (202, {}),
        (204, {}),
        (201, {"Docker-Content-Digest": digest_of(b"another")}),
        *((status, {}) for status in (307, 400, 401, 403, 404, 405, 409, 415, 429, 500, 501, 502, 503)),
    )

    @pytest.mark.parametrize(("status", "headers"), NOT_MOUNTED)
    def test_whatever_is_no_clear_yes_is_an_upload(self, fake, status, headers):
        """Mounting: "202 … the upload session has begun"; anything else is a registry without mounting."""
        image = put_image(fake, "app")
        fake.bends.append(answers(status, mounts, headers=headers, content=b""))
        copy(fake, "app", "other", image)
        assert fake.repository("other").blobs == fake.repository("app").blobs

    def test_a_registry_without_mounting_is_asked_once(self, fake, client, sent):
        digests = [fake.put_blob("a", bytes([number])) for number in range(3)]
        fake.bends.append(answers(405, mounts))
        assert not any(client.mount("b", digest, "a") for digest in digests)
        assert len([request for request in sent if "mount" in request.query]) == 1


class TestFallbacks:
    @pytest.mark.parametrize("status", [400, 403, 405, 406, 411, 415, 500, 501])
    def test_a_manifest_is_fetched_where_head_is_refused(self, fake, client, status):
        digest = put_image(fake, "app", tag="1")
        fake.bends.append(answers(status, manifests("HEAD"), content=b""))
        assert client.head(at(fake, "app:1")).digest == digest
        assert client.head(at(fake, "app:2")) is None

    @pytest.mark.parametrize("status", [400, 403, 405, 406, 411, 415, 500, 501])
    def test_a_blob_is_opened_where_head_is_refused(self, fake, client, status):
        digest = fake.put_blob("app", b"content")
        fake.bends.append(answers(status, blobs("HEAD"), content=b""))
        assert client.has_blob("app", digest)
        assert not client.has_blob("app", digest_of(b"missing"))

    HEADS = (
        {"docker_content_digest": None},
        {"docker_content_digest": "sha256:short"},
        {"docker_content_digest": "latest"},
        {"content_length": None},
        {"content_length": "0"},
        {"content_type": None},
        {"content_type": "application/json"},
        {"content_type": "text/html"},
    )

    @pytest.mark.parametrize("headers", HEADS)
    def test_an_incomplete_answer_to_head_is_completed(self, fake, client, headers):
        digest = put_image(fake, "app", tag="1")
        size = len(fake.repository("app").manifests[digest][1])
        fake.bends.append(changed(manifests("HEAD"), **headers))
        assert client.head(at(fake, "app:1")) == Descriptor(media_type=OCI, digest=digest, size=size)

    @pytest.mark.parametrize("status", [401, 403])
    def test_what_a_target_denies_counts_as_absent(self, fake, client, status):
        fake.bends.append(answers(status, lambda request: request.method in {"GET", "HEAD"}))
        assert stored_descriptor(client, at(fake, "app:1")) is None
        assert not has_blob(client, "app", digest_of(b""))

    REFUSALS = (
        (400, "MANIFEST_BLOB_UNKNOWN"),
        (400, "BLOB_UNKNOWN"),
        (404, "MANIFEST_UNKNOWN"),
        (404, "NOT_FOUND"),
        (404, None),
    )

    @pytest.mark.parametrize(("status", "code"), REFUSALS)
    def test_an_index_is_pushed_again_while_its_manifests_are_not_committed(self, fake, client, status, code):
        index = Manifest.of(
            json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode(), OCI_INDEX
        )
        content = error(code) if code else b""
        fake.bends.append(first(2, answers(status, manifests("PUT"), content=content)))
        push_index(client, at(fake, "app:1"), index)
        assert fake.repository("app").tags["1"] == index.digest

    @pytest.mark.parametrize(
        ("status", "code"), [(400, "MANIFEST_INVALID"), (403, "DENIED"), (404, "NAME_UNKNOWN"), (413, "")]
    )
    def test_an_index_that_is_refused_for_another_reason_is_not(self, fake, client, sent, status, code):
        index = Manifest.of(b'{"schemaVersion": 2, "manifests": []}', OCI_INDEX)
        fake.bends.append(answers(status, manifests("PUT"), content=error(code)))
        with pytest.raises(RegistryError):
            push_index(client, at(fake, "app:1"), index)
        assert len(sent) == 1


class TestListing:
    def test_tags_are_read_page_by_page(self, fake, client):
        """Listing tags: "the client SHOULD follow" the Link header of RFC 5988."""
        for tag in "abcde":
            put_image(fake, "app", tag=tag)
        assert client.tags("app") == tuple("abcde")

    def test_no_tags_are_an_empty_list(self, fake, client):
        """Listing tags: distribution 2 sends null."""
        fake.pages = {"": (b'{"name": "app", "tags": null}', {})}
        assert client.tags("app") == ()

    def test_referrers_are_asked_by_digest(self, fake, client, sent):
        """Listing referrers: `GET /v2/<name>/referrers/<digest>`, an image index."""
        fake.referrers = True
        image = put_image(fake, "app")
        referrer = put_referrer(fake, "app", image)
        listed = client.referrers(at(fake, f"app@{image}"))
        assert [entry.digest for entry in listed] == [referrer]
        assert (sent[0].kind, sent[0].rest) == ("referrers", image)

    @pytest.mark.parametrize("status", [400, 404, 405, 406, 501])
    def test_a_registry_without_the_api_is_asked_once(self, fake, client, sent, status):
        """Listing referrers: "If the referrers API returns a 404, the client MUST fallback"."""
        fake.bends.append(answers(status, lambda request: request.kind == "referrers"))
        for _ in range(3):
            assert client.referrers(at(fake, f"app@{digest_of(b'')}")) is None
        assert len(sent) == 1

    @pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
    def test_an_api_that_fails_is_not_one_that_is_missing(self, fake, client, status):
        fake.bends.append(answers(status, lambda request: request.kind == "referrers"))
        with pytest.raises(RegistryError):
            client.referrers(at(fake, f"app@{digest_of(b'')}"))

    @pytest.mark.parametrize("has_api", [True, False])
    def test_oci_subject_says_who_lists_a_referrer(self, fake, client, has_api):
        """Pushing manifests with subject: "the response header OCI-Subject: <subject digest>"."""
        fake.referrers = has_api
        image = put_image(fake, "app")
        referrer = put_referrer(fake, "app", image)
        content = fake.repository("app").manifests[referrer][1]
        assert client.put_manifest(at(fake, f"app@{referrer}"), content, OCI) == (image if has_api else "")


class TestDeleting:
    @pytest.mark.parametrize("status", [400, 405])
    def test_a_registry_need_not_delete(self, fake, client, status):
        """Deleting: "a registry … SHOULD return 405 Method Not Allowed, or 400"."""
        fake.bends.append(answers(status, manifests("DELETE")))
        with pytest.raises(RegistryError) as caught:
            client.delete(at(fake, "app:1"))
        assert caught.value.kind == "unsupported"
