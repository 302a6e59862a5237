"""Pushes arbitrary images without our own client, as any account with the right to push could."""

import gzip
import hashlib
import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from e2e.conftest import REGISTRY
from waiting import PATIENCE_S

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def _send(method, url, data=None, headers=None):
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return dict(answer.headers)


def push_blob(repository, path: Path, media_type):
    """Push a file, streamed; return its descriptor."""
    with path.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    location = _send("POST", f"http://{REGISTRY}/v2/{repository}/blobs/uploads/", b"")["Location"]
    joint = "&" if "?" in location else "?"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    with path.open("rb") as file:
        _send("PUT", f"{location}{joint}digest={digest}", file, headers)
    return {"mediaType": media_type, "digest": digest, "size": size}


def push_manifest(repository, tag, document):
    content = json.dumps(document).encode()
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    url = f"http://{REGISTRY}/v2/{repository}/manifests/{tag or digest}"
    _send("PUT", url, content, {"Content-Type": document["mediaType"]})
    return {"mediaType": document["mediaType"], "digest": digest, "size": len(content)}


def copy_image(source, target, tag, digest="latest"):
    """Copy an image or index within the registry, one request after the other; return the manifest's bytes.

    Not `imagetools create`: it mounts in parallel, and registry 2.8 loses a blob that two mounts link at once
    (two platforms of the base share a layer), then refuses the manifest with BLOB_UNKNOWN.
    """
    url = f"http://{REGISTRY}/v2/{source}/manifests/{digest}"
    accept = {"Accept": f"{INDEX}, {MANIFEST}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=accept), timeout=PATIENCE_S) as answer:
        content, media_type = answer.read(), answer.headers["Content-Type"]
    document = json.loads(content)
    for child in document.get("manifests", ()):
        copy_image(source, target, child["digest"], child["digest"])
    for blob in (document.get("config"), *document.get("layers", ())):
        if blob:
            mount = f"mount={blob['digest']}&from={source}"
            _send("POST", f"http://{REGISTRY}/v2/{target}/blobs/uploads/?{mount}", b"")
    _send("PUT", f"http://{REGISTRY}/v2/{target}/manifests/{tag}", content, {"Content-Type": media_type})
    return content


def descriptor_platform(platform):
    os, architecture, *variant = platform.split("/")
    platform_fields = {"os": os, "architecture": architecture}
    return {**platform_fields, "variant": variant[0]} if variant else platform_fields


@dataclass
class Workbench:
    """Makes images in one repository; `folder` is for files on their way."""

    repository: str
    folder: Path

    @property
    def image(self):
        return f"{REGISTRY}/{self.repository}"

    def blob(self, content, media_type=GZIP):
        path = content
        if isinstance(content, bytes):
            path = self.folder / "blob"
            path.write_bytes(content)
        return push_blob(self.repository, path, media_type)

    def layer(self, tar_bytes):
        return self.blob(gzip.compress(tar_bytes, 1))

    def push(self, layers, *, platform="linux/arm64", tag=None, diff_ids=None, **section):
        """Push an image; `section` is its config's (Entrypoint, Cmd, Env). Return the manifest's descriptor."""
        config = {
            **descriptor_platform(platform),
            "config": section,
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [layer["digest"] for layer in layers]},
        }
        config_blob = self.blob(json.dumps(config).encode(), CONFIG)
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config_blob, "layers": layers}
        return push_manifest(self.repository, tag, document)

    def index(self, tag, **children):
        """Push an index: `index("latest", **{"linux/arm64": descriptor})`."""
        return self.entries(tag, children.items())

    def entries(self, tag, entries):
        """Push an index of (platform, descriptor), in which a platform may come twice."""
        descriptors = [{**child, "platform": descriptor_platform(name)} for name, child in entries]
        return push_manifest(
            self.repository, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}
        )
