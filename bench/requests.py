"""The requests of a merge and nothing else: their cost over a distance in any program.

`python -S bench/requests.py TAG CHILD...` on a registry of plain http, children in the repository of the tag.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPT = {"Accept": f"{INDEX}, application/vnd.oci.image.manifest.v1+json"}

_own = threading.local()


def main(tag: str, *children: str) -> None:
    """Read the children and their configs; push by digest; read it and the tag back; move the tag; read it again."""
    host, _, rest = tag.partition("/")
    name, _, word = rest.rpartition(":")

    def ask(method: str, path: str, body: bytes | None = None) -> bytes:
        if not hasattr(_own, "connection"):
            _own.connection = http.client.HTTPConnection(host)
        headers = {"Content-Type": INDEX} if body else ACCEPT
        _own.connection.request(method, f"/v2/{name}/{path}", body, headers)
        answer: bytes = _own.connection.getresponse().read()
        return answer

    def entry(reference: str) -> dict[str, Any]:
        content = ask("GET", f"manifests/{reference.rpartition(':')[2]}")
        manifest = json.loads(content)
        config = json.loads(ask("GET", f"blobs/{manifest['config']['digest']}"))
        return {
            "mediaType": manifest["mediaType"],
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "size": len(content),
            "platform": {key: config[key] for key in ("os", "architecture", "variant") if config.get(key)},
        }

    with ThreadPoolExecutor(len(children)) as pool:
        entries = list(pool.map(entry, children))
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        by_digest = f"manifests/sha256:{hashlib.sha256(index).hexdigest()}"
        by_tag = f"manifests/{word}"
        pool.submit(ask, "PUT", by_digest, index).result()
        back, _ = pool.map(lambda path: ask("GET", path), (by_digest, by_tag))
        assert back == index, back
        pool.submit(ask, "PUT", by_tag, index).result()
        assert pool.submit(ask, "GET", by_tag).result() == index


if __name__ == "__main__":
    main(*sys.argv[1:])
