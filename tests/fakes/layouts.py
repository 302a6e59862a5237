"""An OCI layout as buildx exports it, with the interface of the fake registry for adding images."""

import json

from fakes.images import OCI_INDEX
from fakes.registry_server import digest_of


class LayoutFiles:
    """The methods of a registry that `fakes.images` uses; the image with a tag is the one in index.json."""

    def __init__(self, folder):
        self.folder = folder
        self.manifests = {}
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def repository(self, _name):
        return self

    def put_blob(self, _name, content):
        digest = digest_of(content)
        path = self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
        path.write_bytes(content)
        return digest

    def put(self, name, content, media_type, *, tag=None):
        digest = self.put_blob(name, content)
        self.manifests[digest] = (media_type, content)
        if tag:
            entry = {"mediaType": media_type, "digest": digest, "size": len(content)}
            document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
            (self.folder / "index.json").write_text(json.dumps(document))
        return digest
