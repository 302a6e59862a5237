"""Small images put into a fake registry: config, one layer, manifest; optionally with attestations."""

import json

from fakes.registry_server import digest_of

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def _encode(document):
    return json.dumps(document, sort_keys=True).encode()


def put_image(registry, name, platform="linux/amd64", *, tag=None, media_type=OCI, layer=None, **more):
    """Return the digest of an image with `platform` in its config."""
    system, architecture, variant = (*platform.split("/"), "")[:3]
    config = {"os": system, "architecture": architecture, **more}
    if variant:
        config["variant"] = variant
    kind = "vnd.docker.container.image.v1+json" if media_type == DOCKER else "vnd.oci.image.config.v1+json"
    blob, layer = _encode(config), layer or f"layer of {platform}".encode()
    registry.put_blob(name, blob)
    registry.put_blob(name, layer)
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": f"application/{kind}", "digest": digest_of(blob), "size": len(blob)},
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest_of(layer),
                "size": len(layer),
            }
        ],
    }
    return registry.put(name, _encode(manifest), media_type, tag=tag)


def put_referrer(registry, name, subject, *, tag=None, kind="application/example.signature"):
    """Return the digest of an artifact that refers to `subject`."""
    blob = f"about {subject}".encode()
    registry.put_blob(name, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": kind,
        "config": {"mediaType": kind, "digest": digest_of(blob), "size": len(blob)},
        "layers": [],
        "subject": {"mediaType": OCI, "digest": subject, "size": 1},
    }
    return registry.put(name, _encode(manifest), OCI, tag=tag)


def descriptor(registry, name, digest, platform=None, **more):
    media_type, content = registry.repository(name).manifests[digest]
    entry = {"mediaType": media_type, "digest": digest, "size": len(content), **more}
    if platform:
        system, architecture, variant = (*platform.split("/"), "")[:3]
        entry["platform"] = {"os": system, "architecture": architecture}
        if variant:
            entry["platform"]["variant"] = variant
    return entry


def put_index(registry, name, entries, *, tag=None, media_type=OCI_INDEX, **more):
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries, **more}
    return registry.put(name, _encode(document), media_type, tag=tag)


def put_attested(registry, name, platform, *, tag=None):
    """Return the (index, image, attestation) digests of what BuildKit pushes for one platform with provenance."""
    image = put_image(registry, name, platform)
    statement = f"statement about {image}".encode()
    registry.put_blob(name, statement)
    config = b"{}"
    registry.put_blob(name, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(config),
            "size": 2,
        },
        "layers": [
            {
                "mediaType": "application/vnd.in-toto+json",
                "digest": digest_of(statement),
                "size": len(statement),
            }
        ],
    }
    attestation = registry.put(name, _encode(manifest), OCI)
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}
    entries = [
        descriptor(registry, name, image, platform),
        descriptor(registry, name, attestation, "unknown/unknown", annotations=about),
    ]
    return put_index(registry, name, entries, tag=tag), image, attestation
