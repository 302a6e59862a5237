"""What public registries do beside the specification: one row of HABITS is one habit of one registry, with its source.

A row bends the fake registry (`FakeRegistry.bends`). `place` is where it matters: reading from it ("source"), publishing
to it ("target"), or copying from one of its repositories to another ("both"). `left_out`: signatures cannot be copied,
which is said. `tag`: the fallback tag of referrers must be written. `unlisted`: no client can find referrers there. `words`: the error of those that really refuse.
"""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fakes.registry_server import digest_of

GITHUB = "https://github.com"


@dataclass(frozen=True, kw_only=True)
class Habit:
    registry: str
    name: str
    source: str
    bends: tuple[Callable[..., Any], ...]
    place: Literal["source", "target", "both"] = "source"
    left_out: bool = False
    tag: bool = False
    unlisted: bool = False
    words: str = ""

    def __str__(self):
        return f"{self.registry}: {self.name}"


# -- which requests


def manifests(*methods, tagged=None):
    """Match requests for manifests; `tagged` True for tags only, False for digests only."""

    def matches(request):
        is_tag = not request.rest.startswith("sha256:")
        return (
            request.kind == "manifests"
            and request.method in (methods or ("GET", "HEAD"))
            and tagged in (None, is_tag)
        )

    return matches


def blobs(*methods):
    return lambda request: request.kind == "blobs" and not request.is_upload and request.method in methods


def mounts(request):
    return request.is_upload and request.method == "POST" and "mount" in request.query


def referrers(request):
    return request.kind == "referrers"


def companion_tags(*methods):
    """Match cosign's tags and the fallback tags."""
    return lambda request: manifests(*methods, tagged=True)(request) and request.rest.startswith("sha256-")


def pushes(*fields):
    """Match pushes of manifests that have one of these fields, or words of their media types in them."""
    return lambda request: (
        manifests("PUT")(request) and any(field.encode() in request.body for field in fields)
    )


def indexes(request):
    return (
        manifests("PUT")(request)
        and b'"manifests"' in request.body
        and b"sha256-" not in request.path.encode()
    )


# -- what it answers


def error(code, message=None):
    return json.dumps({"errors": [{"code": code, "message": message or code.lower()}]}).encode()


def answers(status, matches, *, code="DENIED", content=None, headers=None):
    def bend(_registry, request, proceed):
        if not matches(request):
            return proceed()
        return status, error(code) if content is None else content, dict(headers or {})

    return bend


def absent(status, code="DENIED", *, methods=("GET", "HEAD")):
    """Answer `status` for whatever the repository does not have."""

    def bend(_registry, request, proceed):
        answer = proceed()
        is_absent = answer[0] == 404 and request.kind in {"manifests", "blobs"} and request.method in methods
        return (status, error(code), {}) if is_absent else answer

    return bend


def first(times, bend):
    """Bend only the first requests for each path that it matches."""
    counts: Counter[tuple[str, str]] = Counter()

    def limited(registry, request, proceed):
        key = (request.method, request.path)
        passed = []

        def original():
            passed.append(True)
            return proceed()

        if counts[key] >= times:
            return proceed()
        answer = bend(registry, request, original)
        counts[key] += not passed
        return answer

    return limited


def changed(matches, **headers):
    """Change headers of an answer; None leaves one out. Names have _ for -."""

    def bend(_registry, request, proceed):
        status, content, own = proceed()
        if not matches(request) or status >= 300:
            return status, content, own
        names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        kept = {name: value for name, value in own.items() if name.lower() not in names}
        return (
            status,
            content,
            {**kept, **{name: value for name, value in names.items() if value is not None}},
        )

    return bend


def status_of(matches, status):
    """Answer another status for success."""

    def bend(_registry, request, proceed):
        own, content, headers = proceed()
        return (status if own < 300 and matches(request) else own), content, headers

    return bend


def resolves_dashes(registry, request, proceed):
    """Take the tag `sha256-<hex>` for the digest."""
    digest = request.rest.replace("sha256-", "sha256:")
    if not (manifests("GET", "HEAD")(request) and request.rest.startswith("sha256-")):
        return proceed()
    stored = registry.repository(request.name).manifests.get(digest)
    if stored is None:
        return proceed()
    return 200, stored[1], {"Content-Type": stored[0], "Docker-Content-Digest": digest}


def refuses_dashes(_registry, request, proceed):
    """Refuse to write the tag `sha256-<hex>`, which it takes for a digest."""
    if (
        manifests("PUT", tagged=True)(request)
        and request.rest.startswith("sha256-")
        and "." not in request.rest
    ):
        return 400, error("DIGEST_INVALID"), {}
    return proceed()


def lists_wrongly(**wrong):
    """List referrers with other fields than their manifests have."""

    def bend(_registry, request, proceed):
        status, content, headers = proceed()
        if request.kind != "referrers" or status != 200:
            return status, content, headers
        document = json.loads(content)
        document["manifests"] = [{**entry, **wrong} for entry in document["manifests"]]
        return status, json.dumps(document).encode(), headers

    return bend


def lists_a_stranger(registry, request, proceed):
    """List everything as a referrer of everything."""
    status, content, headers = proceed()
    if request.kind != "referrers" or status != 200:
        return status, content, headers
    repository = registry.repository(request.name)
    entries = [
        {"mediaType": media_type, "digest": digest, "size": len(content)}
        for digest, (media_type, content) in repository.manifests.items()
    ]
    document = {"schemaVersion": 2, "mediaType": headers["Content-Type"], "manifests": entries}
    return status, json.dumps(document).encode(), headers


def with_api(registry, request, proceed):
    """Have the referrers API; it does not say so when something is pushed."""
    registry.referrers = True
    status, content, headers = proceed()
    return status, content, {name: value for name, value in headers.items() if name != "OCI-Subject"}


def mounts_nothing(registry, request, proceed):
    """Say that a blob is mounted, and have none."""
    if mounts(request):
        return 201, b"", {"Docker-Content-Digest": request.query["mount"]}
    return proceed()


def ignores_mounts(registry, _request, proceed):
    registry.mounts = False
    return proceed()


def needs_accept(*types, status):
    """Answer only where Accept names one of these types."""

    def bend(_registry, request, proceed):
        accept = request.headers.get("accept", "")
        if manifests("GET", "HEAD")(request) and not any(kind in accept for kind in types):
            return status, error("MANIFEST_UNKNOWN"), {}
        return proceed()

    return bend


def gzipped(_registry, request, proceed):
    status, content, headers = proceed()
    if not manifests()(request) or status != 200:
        return status, content, headers
    return status, gzip.compress(content), {**headers, "Content-Encoding": "gzip"}


def absolute_uploads(registry, request, proceed):
    status, content, headers = proceed()
    if "Location" in headers and request.is_upload:
        headers = {**headers, "Location": f"http://{registry.host}{headers['Location']}"}
    return status, content, headers


def _page(text="<html><body>Sign in</body></html>"):
    return {"content": text.encode(), "headers": {"Content-Type": "text/html; charset=utf-8"}}


ANY = manifests("GET", "HEAD")
HEADS = manifests("HEAD")

NO_API = answers(404, referrers, code="NOT_FOUND", content=b"404 page not found")

HABITS = (
    # Docker Hub, and Docker's own registry
    Habit(registry="Docker Hub", name="an index right after its manifests is refused", place="target",
          source=f"{GITHUB}/docker/for-linux/issues/736",
          bends=(first(1, answers(400, indexes, code="MANIFEST_BLOB_UNKNOWN")),)),
    Habit(registry="Docker Hub", name="429 with Retry-After", place="target",
          source=f"{GITHUB}/docker/build-push-action/issues/1194",
          bends=(first(1, answers(429, lambda r: indexes(r) and r.rest.startswith("sha256:"), code="TOOMANYREQUESTS",
                                  headers={"Retry-After": "1"})),)),
    Habit(registry="Docker Hub", name="refuses what has a subject", place="target", left_out=True,
          source=f"{GITHUB}/oras-project/oras/issues/666",
          bends=(answers(400, pushes('"subject"'), code="MANIFEST_BLOB_UNKNOWN"),)),
    Habit(registry="distribution 2.2", name="405 for HEAD of a manifest",
          source=f"{GITHUB}/distribution/distribution/issues/1485", bends=(answers(405, HEADS, code="UNSUPPORTED"),)),
    Habit(registry="distribution 2.2", name="405 for HEAD of a manifest, as a target", place="target",
          source=f"{GITHUB}/distribution/distribution/issues/1485", bends=(answers(405, HEADS, code="UNSUPPORTED"),)),
    Habit(registry="distribution 2.0", name="202 for a pushed manifest", place="target",
          source=f"{GITHUB}/distribution/distribution/issues/142", bends=(status_of(manifests("PUT"), 202),)),
    Habit(registry="distribution", name="a proxy strips Docker-Content-Digest",
          source=f"{GITHUB}/distribution/distribution/issues/3848", bends=(changed(ANY, docker_content_digest=None),)),
    Habit(registry="distribution 2.8", name="no API of referrers, and no list",
          source=f"{GITHUB}/google/go-containerregistry/issues/1647", bends=(answers(404, referrers, code="NAME_UNKNOWN"),)),
    Habit(registry="distribution", name="a pull-through cache takes no pushes", place="target", words="cannot do that",
          source=f"{GITHUB}/oras-project/oras-go/issues/323",
          bends=(answers(405, lambda r: r.method in {"POST", "PUT", "PATCH"}, code="UNSUPPORTED"),)),
    # GitHub
    Habit(registry="GHCR", name="404 for the API of referrers; the tag has them",
          source=f"{GITHUB}/actions/attest-build-provenance/issues/71",
          bends=(answers(404, referrers, code="MANIFEST_UNKNOWN"),)),
    Habit(registry="GHCR", name="the API of referrers is a page that says 429", left_out=True,
          source=f"{GITHUB}/artifacthub/hub/issues/4785",
          bends=(answers(429, referrers, **_page("Too many requests")),)),
    Habit(registry="GHCR", name="lists the type of an empty config as the kind of artifact", place="both",
          source=f"{GITHUB}/NVIDIA/aicr/issues/1957",
          bends=(with_api, lists_wrongly(artifactType="application/vnd.oci.empty.v1+json")), tag=True),
    Habit(registry="GitHub Enterprise", name="406 for a signature", place="target", left_out=True,
          source=f"{GITHUB}/sigstore/cosign-installer/issues/214",
          bends=(answers(406, pushes("example.signature", "simplesigning"), code="UNSUPPORTED"),)),
    # Amazon
    Habit(registry="ECR", name="no Docker-Content-Digest for HEAD",
          source=f"{GITHUB}/google/containerregistry/pull/10", bends=(changed(HEADS, docker_content_digest=None),)),
    Habit(registry="ECR", name="no Location for a pushed manifest", place="target",
          source=f"{GITHUB}/apple/swift-container-plugin/pull/27", bends=(changed(manifests("PUT"), location=None),)),
    Habit(registry="ECR", name="405 for a manifest with a subject", place="target", left_out=True,
          source=f"{GITHUB}/aws/containers-roadmap/issues/2783",
          bends=(answers(405, pushes('"subject"'), code="UNSUPPORTED"),)),
    Habit(registry="ECR", name="403 for what is not there", place="target",
          source=f"{GITHUB}/dotnet/sdk/pull/37659", bends=(absent(403),)),
    Habit(registry="ECR Public", name="HEAD of a blob is refused", place="target",
          source=f"{GITHUB}/helm/helm/issues/12491", bends=(answers(403, blobs("HEAD")), absent(403))),
    Habit(registry="ECR", name="a tag that exists cannot be moved", place="target", words="immutable",
          source=f"{GITHUB}/moby/buildkit/issues/3776",
          bends=(answers(400, manifests("PUT", tagged=True),
                         content=error("TAG_INVALID", "The image tag already exists in the repository and cannot be "
                                       "overwritten because the repository is immutable.")),)),
    # Google
    Habit(registry="Artifact Registry", name="405 for the API of referrers",
          source=f"{GITHUB}/oras-project/artifacts-spec/issues/37",
          bends=(answers(405, referrers, code="UNSUPPORTED"),)),
    Habit(registry="GCR", name="no index in an index", place="target", words="image index child manifest not supported",
          source=f"{GITHUB}/bazel-contrib/rules_oci/issues/241",
          bends=(answers(400, indexes, content=error("MANIFEST_INVALID", "image index child manifest not supported")),)),
    # Azure
    Habit(registry="ACR", name="401 for what is not there", place="target",
          source=f"{GITHUB}/Azure/acr/issues/359", bends=(absent(401, "UNAUTHORIZED"),)),
    Habit(registry="ACR", name="the API of referrers, and OCI-Subject", place="both",
          source=f"{GITHUB}/Azure/azure-cli/pull/25069", bends=()),
    # Harbor
    Habit(registry="Harbor", name="the proxy cache sends no Content-Type",
          source=f"{GITHUB}/goharbor/harbor/issues/13740", bends=(changed(ANY, content_type=None),)),
    Habit(registry="Harbor", name="404 for an index right after its manifests", place="target",
          source=f"{GITHUB}/distribution/distribution/issues/4005",
          bends=(first(2, answers(404, indexes, code="NOT_FOUND")),)),
    Habit(registry="Harbor", name="404 MANIFEST_UNKNOWN for an index that is pushed", place="target",
          source=f"{GITHUB}/goharbor/harbor/issues/14902",
          bends=(first(1, answers(404, indexes, code="MANIFEST_UNKNOWN")),)),
    Habit(registry="Harbor", name="202 for a mount", place="both",
          source=f"{GITHUB}/goharbor/harbor/issues/17097",
          bends=(answers(202, mounts, content=b"", headers={"Location": "/v2/mirror/app/blobs/uploads/u1?state=s"}),)),
    Habit(registry="Harbor", name="202 for a mount, without a place to upload to", place="both",
          source=f"{GITHUB}/goharbor/harbor/pull/22863", bends=(answers(202, mounts, content=b""),)),
    Habit(registry="Harbor", name="lists referrers with the size of all that they hold", place="both", tag=True,
          source=f"{GITHUB}/goharbor/harbor/issues/20187", bends=(with_api, lists_wrongly(size=2621))),
    Habit(registry="Harbor", name="HEAD of a manifest fails where GET answers",
          source=f"{GITHUB}/crossplane/crossplane/pull/3223", bends=(answers(400, HEADS, code="UNKNOWN"),)),
    # Quay
    Habit(registry="Quay", name="400 for the API of referrers",
          source=f"{GITHUB}/quay/quay/pull/3071", bends=(answers(400, referrers, code="MANIFEST_INVALID"),)),
    Habit(registry="Quay", name="MANIFEST_INVALID for a signature", place="target", left_out=True,
          source=f"{GITHUB}/tektoncd/chains/issues/252",
          bends=(answers(400, pushes("example.signature", "simplesigning"), code="MANIFEST_INVALID"),)),
    Habit(registry="Quay", name="refuses kinds of artifacts that it does not know", place="target", left_out=True,
          source=f"{GITHUB}/deckhouse/deckhouse/pull/10672",
          bends=(answers(415, pushes("artifactType"), code="UNSUPPORTED"),)),
    Habit(registry="Quay", name="takes a subject and does not say so", place="target", tag=True,
          source=f"{GITHUB}/opencontainers/distribution-spec/pull/563",
          bends=(changed(manifests("PUT"), oci_subject=None),)),
    Habit(registry="Red Hat", name="gzips manifests that nobody asked to be",
          source=f"{GITHUB}/quay/quay/pull/1310", bends=(gzipped,)),
    # GitLab
    Habit(registry="GitLab", name="takes sha256-HEX for the digest", place="both",
          source=f"{GITHUB}/oras-project/oras-go/issues/1396", bends=(NO_API, resolves_dashes, refuses_dashes),
          unlisted=True),
    Habit(registry="GitLab", name="takes sha256-HEX for the digest, as a source",
          source=f"{GITHUB}/oras-project/oras/issues/2148", bends=(NO_API, resolves_dashes), unlisted=True),
    Habit(registry="GitLab", name="blob unknown for a manifest whose blobs were just pushed", place="target",
          source=f"{GITHUB}/docker/build-push-action/pull/1593",
          bends=(first(1, answers(400, manifests("PUT", tagged=False), code="MANIFEST_BLOB_UNKNOWN")),)),
    # JFrog
    Habit(registry="Artifactory", name="403 for a tag that is not there", place="target",
          source=f"{GITHUB}/google/go-containerregistry/pull/1691", bends=(absent(403, methods=("GET", "HEAD")),)),
    Habit(registry="Artifactory", name="HEAD names no digest and the type of any file",
          source=f"{GITHUB}/deitch/docker_registry2/issues/83",
          bends=(changed(HEADS, docker_content_digest=None, content_type="application/octet-stream"),)),
    Habit(registry="Artifactory", name="MANIFEST_INVALID for cosign's tags", place="target", left_out=True,
          source=f"{GITHUB}/sigstore/cosign/issues/1994",
          bends=(answers(400, companion_tags("PUT"), code="MANIFEST_INVALID"),)),
    # Sonatype
    Habit(registry="Nexus", name="no HEAD", source=f"{GITHUB}/merll/docker-registry-util/issues/3",
          bends=(answers(400, lambda r: r.method == "HEAD", code="UNSUPPORTED"),)),
    Habit(registry="Nexus", name="no HEAD, as a target", place="target",
          source=f"{GITHUB}/merll/docker-registry-util/issues/3",
          bends=(answers(501, lambda r: r.method == "HEAD", code="UNSUPPORTED"),)),
    Habit(registry="Nexus", name="BLOB_UNKNOWN for an index right after its manifests", place="target",
          source=f"{GITHUB}/estesp/manifest-tool/issues/191",
          bends=(first(2, answers(400, indexes, code="BLOB_UNKNOWN")),)),
    Habit(registry="Nexus", name="no digest for a pushed manifest", place="target",
          source=f"{GITHUB}/distribution/distribution/pull/3849",
          bends=(changed(manifests("PUT"), docker_content_digest=None),)),
    # Gitea and Forgejo
    Habit(registry="Gitea 1.26", name="405 for HEAD", source=f"{GITHUB}/go-gitea/gitea/issues/37326",
          bends=(answers(405, lambda r: r.method == "HEAD", content=b"", headers={"Allow": "GET"}),)),
    Habit(registry="Gitea", name="501 for artifacts", place="target", left_out=True,
          source=f"{GITHUB}/go-gitea/gitea/issues/25846",
          bends=(answers(501, pushes("example.signature"), code="UNSUPPORTED"),)),
    Habit(registry="Gitea", name="404 without a code for an index right after its manifests", place="target",
          source=f"{GITHUB}/go-gitea/gitea/issues/26839", bends=(first(1, answers(404, indexes, content=b"")),)),
    Habit(registry="Gitea 1.17", name="says mounted, and has no blob", place="both",
          source=f"{GITHUB}/go-gitea/gitea/pull/22226", bends=(mounts_nothing,)),
    # others
    Habit(registry="zot 2.0-rc", name="the API of referrers without OCI-Subject", place="target", tag=True,
          source=f"{GITHUB}/project-zot/zot/issues/1410", bends=(with_api,)),
    Habit(registry="Oracle", name="404 where Accept names no index",
          source=f"{GITHUB}/NotGlop/docker-drag/issues/41",
          bends=(needs_accept("application/vnd.oci.image.index.v1+json", status=404),)),
    Habit(registry="Rancher", name="406 where Accept names no JSON",
          source=f"{GITHUB}/openSUSE/open-build-service/pull/18038",
          bends=(needs_accept("application/json", "*/*", status=406),)),
    Habit(registry="Keppel", name="a mount that fails is an error", place="both",
          source=f"{GITHUB}/sapcc/keppel/pull/603", bends=(answers(404, mounts, code="BLOB_UNKNOWN"),)),
    Habit(registry="Artifact Keeper", name="ignores mount", place="both",
          source=f"{GITHUB}/artifact-keeper/artifact-keeper/issues/3109",
          bends=(ignores_mounts,)),
    Habit(registry="Cloudflare", name="BLOB_UNKNOWN for a manifest whose blobs were just pushed", place="target",
          source=f"{GITHUB}/cloudflare/serverless-registry/issues/59",
          bends=(first(1, answers(400, manifests("PUT", tagged=False), code="BLOB_UNKNOWN")),)),
    Habit(registry="OpenShift", name="does not see yet what was just pushed", place="target",
          source=f"{GITHUB}/openshift/image-registry/pull/220",
          bends=(first(1, answers(400, manifests("PUT"), code="MANIFEST_BLOB_UNKNOWN")),)),
    Habit(registry="Docker Hub", name="does not show yet what was just pushed", place="target",
          source=f"{GITHUB}/int128/docker-manifest-create-action/issues/857",
          bends=(first(2, answers(404, manifests("GET", "HEAD", tagged=False), code="MANIFEST_UNKNOWN")),)),
    Habit(registry="Pulp", name="500 for a mount", place="both",
          source=f"{GITHUB}/google/go-containerregistry/issues/1404",
          bends=(answers(500, mounts, code="UNKNOWN"),)),
    Habit(registry="a registry", name="405 for a mount", place="both",
          source=f"{GITHUB}/google/go-containerregistry/issues/1679",
          bends=(answers(405, mounts, code="UNSUPPORTED"),)),
    Habit(registry="Watchtower's users", name="404 for HEAD of what GET has", place="source",
          source=f"{GITHUB}/nicholas-fedor/watchtower/pull/667", bends=(answers(404, HEADS, code="MANIFEST_UNKNOWN"),)),
    Habit(registry="Nixery", name="no Docker-Content-Digest at all",
          source=f"{GITHUB}/tazjin/nixery/issues/190", bends=(changed(lambda r: True, docker_content_digest=None),)),
    Habit(registry="docker-registry-proxy", name="no Content-Type",
          source=f"{GITHUB}/rpardini/docker-registry-proxy/issues/84", bends=(changed(ANY, content_type=None),)),
    Habit(registry="an object store", name="binary/octet-stream for every manifest",
          source=f"{GITHUB}/cloudflare/serverless-registry/issues/42",
          bends=(changed(ANY, content_type="binary/octet-stream"),)),
    Habit(registry="a company's proxy", name="a login page for signatures", left_out=True,
          source=f"{GITHUB}/goharbor/harbor/issues/18432", bends=(answers(200, companion_tags(), **_page()),)),
    Habit(registry="a company's proxy", name="500 for signatures", left_out=True,
          source=f"{GITHUB}/go-gitea/gitea/issues/19586", bends=(answers(500, companion_tags(), code="UNKNOWN"),)),
    Habit(registry="a registry", name="403 for signatures", left_out=True,
          source=f"{GITHUB}/google/go-containerregistry/pull/1691", bends=(answers(403, companion_tags()),)),
    Habit(registry="a registry", name="lists what refers to something else", place="both", left_out=True, tag=True,
          source=f"{GITHUB}/oras-project/oras-go/issues/1396", bends=(with_api, lists_a_stranger)),
    Habit(registry="a registry", name="uploads go to a whole URL", place="target",
          source=f"{GITHUB}/opencontainers/distribution-spec/pull/399", bends=(absolute_uploads,)),
)  # fmt: skip
"""At least 40 rows; `tests/unit/publish/test_registry_habits.py` runs each under every command it applies to."""

__all__ = ["HABITS", "Habit", "digest_of"]
