"""Documents that registries serve under a manifest's URL and that are no manifest of an image: one row each."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from fakes.images import DOCKER, DOCKER_LIST, OCI, OCI_INDEX
from fakes.registry_server import digest_of

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"


@dataclass(frozen=True, kw_only=True)
class Odd:
    """`make` returns the bytes, and puts the blobs it needs; `words` are in every error about it.

    `is_missing`: an answer that says it does not exist. `is_artifact`: it is complete, and no image: only what needs an
    image refuses it.
    """

    media_type: str
    make: Callable[..., bytes]
    words: str
    source: str
    is_missing: bool = False
    is_artifact: bool = False


def _bytes(document):
    return lambda _put: json.dumps(document).encode()


def manifest(put, config, *, config_type=CONFIG, layer_type=LAYER, **more):
    """Return a manifest of a config and a layer that exist."""
    entries = [
        {"mediaType": kind, "digest": put(content), "size": len(content)}
        for kind, content in ((config_type, config), (layer_type, b"layer"))
    ]
    document = {"schemaVersion": 2, "mediaType": OCI, "config": entries[0], "layers": entries[1:], **more}
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def _of(config, **more):
    return lambda put: manifest(put, json.dumps(config).encode(), **more)


ENTRY = {"mediaType": OCI, "digest": digest_of(b"x"), "size": 1}
_SCHEMA_1 = {
    "schemaVersion": 1,
    "name": "library/redis",
    "tag": "e2e",
    "architecture": "amd64",
    "fsLayers": [{"blobSum": digest_of(b"")}],
    "history": [{"v1Compatibility": "{}"}],
}

ODD = {
    "an image of schema 1": Odd(
        media_type=f"{SCHEMA_1}+json", make=_bytes(_SCHEMA_1), words="schema 1",
        source="google/go-containerregistry issue 296"),
    "a signed image of schema 1": Odd(
        media_type=f"{SCHEMA_1}+prettyjws", make=_bytes({**_SCHEMA_1, "signatures": [{}]}), words="schema 1",
        source="heroku/docker-registry-client pull request 56"),
    "schema 1 called JSON": Odd(
        media_type="application/json", make=_bytes(_SCHEMA_1), words="schema 1",
        source="distribution/distribution pull request 336"),
    "schema 1 called OCI": Odd(
        media_type=OCI, make=_bytes(_SCHEMA_1), words="schema 1", source="openshift-preflight issue 213"),
    "an error with status 200": Odd(
        media_type="application/json", words="sends an error", source="sonatype/nexus-public issue 1070",
        make=_bytes({"errors": [{"code": "UNKNOWN", "message": "upstream is down"}]})),
    "an error called a manifest": Odd(
        media_type=OCI, words="sends an error", source="sonatype/nexus-public issue 1070",
        make=_bytes({"errors": [{"code": "DENIED", "message": "no"}]})),
    "not found, with status 200": Odd(
        media_type="application/json", words="MANIFEST_UNKNOWN", is_missing=True,
        source="FIRST-Tech-Challenge/scorekeeper issue 111",
        make=_bytes({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})),
    "a page for people": Odd(
        media_type="text/html", make=lambda _put: b"<html>Sign in</html>", words="a web page and not as a registry",
        source="goharbor/harbor issue 18432"),
    "an empty object": Odd(media_type="application/json", make=_bytes({}), words="neither an image nor an index",
                           source="artipie/docker-adapter issue 356"),
    "an image without a config": Odd(
        media_type=OCI, make=_bytes({"schemaVersion": 2, "mediaType": OCI, "layers": []}), words="no config",
        source="image-spec, manifest.md"),
    "an index without a list": Odd(
        media_type=OCI_INDEX, make=_bytes({"schemaVersion": 2, "mediaType": OCI_INDEX}), words="lists no manifests",
        source="image-spec, image-index.md"),
    "schema 3": Odd(
        media_type=OCI, make=_bytes({"schemaVersion": 3, "mediaType": OCI, "config": ENTRY}), words="schemaVersion",
        source="image-spec, manifest.md"),
    "an image config": Odd(
        media_type="application/octet-stream", words="neither an image nor an index",
        make=_bytes({"architecture": "amd64", "os": "linux", "rootfs": {}}),
        source="distribution/distribution issue 3122"),
    "a document of another kind": Odd(
        media_type="application/vnd.example+json", words="calls itself application/vnd.example+json",
        make=_bytes({"schemaVersion": 2, "mediaType": "application/vnd.example+json", "config": ENTRY}),
        source="kleveross/ormb issue 197"),
    "an index that has a config": Odd(
        media_type=OCI_INDEX, words="of another kind", source="CVE-2021-41190",
        make=_bytes({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "config": ENTRY})),
    "an image that lists manifests": Odd(
        media_type=OCI, words="of another kind", source="CVE-2021-41190",
        make=_bytes({"schemaVersion": 2, "mediaType": OCI, "config": ENTRY, "manifests": [ENTRY]})),
    "both, with a vague type": Odd(
        media_type="application/octet-stream", words="of another kind", source="CVE-2021-41190",
        make=_bytes({"schemaVersion": 2, "config": ENTRY, "layers": [ENTRY], "manifests": [ENTRY]})),
    "an index called an image": Odd(
        media_type=DOCKER, words="of another kind", source="CVE-2021-41190",
        make=_bytes({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [ENTRY]})),
    "a config without os and architecture": Odd(
        media_type=OCI, make=_of({"os": "", "architecture": ""}), words="says no platform",
        source="grafana/alloy issue 5378"),
    "a config without anything": Odd(
        media_type=OCI, make=_of({}), words="says no platform", source="docker/docker-agent issue 1508"),
    "a config without an architecture": Odd(
        media_type=OCI, make=_of({"os": "linux"}), words="says no platform", source="image-spec, config.md"),
    "a config whose os is a number": Odd(
        media_type=OCI, make=_of({"os": 7, "architecture": "amd64"}), words="is no text",
        source="image-spec, config.md"),
    "cosign's signature": Odd(
        media_type=OCI, words="says no platform", source="sigstore/cosign specs/SIGNATURE_SPEC.md",
        make=_of({"os": "", "architecture": "", "rootfs": {}},
                 layer_type="application/vnd.dev.cosign.simplesigning.v1+json")),
    "a Helm chart": Odd(
        media_type=OCI, words="", is_artifact=True, source="helm/helm issue 12491",
        make=_of({"name": "chart"}, config_type="application/vnd.cncf.helm.config.v1+json")),
    "an artifact of image-spec 1.1": Odd(
        media_type=OCI, words="", is_artifact=True, source="go-gitea/gitea issue 25846",
        make=_of({}, config_type="application/vnd.oci.empty.v1+json", artifactType="application/example")),
    "an artifact manifest": Odd(
        media_type="application/vnd.oci.artifact.manifest.v1+json", words="", is_artifact=True,
        source="oras-project/artifacts-spec",
        make=lambda put: json.dumps({
            "mediaType": "application/vnd.oci.artifact.manifest.v1+json", "artifactType": "application/example",
            "blobs": [{"mediaType": LAYER, "digest": put(b"blob"), "size": 4}]}).encode()),
}  # fmt: skip
