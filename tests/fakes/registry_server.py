"""A registry in this process: real HTTP on a loopback port, storage in dictionaries, and faults on demand."""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

_ROUTE = re.compile(
    r"/v2/(?P<name>.+?)/(?P<kind>manifests|blobs/uploads|blobs|tags|referrers)/(?P<rest>.*)\Z"
)


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Fault:
    """The next `times` requests of `method` whose path contains `path` are answered so, after `delay` seconds.

    `status` 0 hangs up without an answer; `cut` sends only so many bytes of the right one. `after_doing`: the request
    takes effect although its answer says it failed.
    """

    method: str
    path: str
    status: int = 503
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    cut: int | None = None
    after_doing: bool = False


@dataclass
class Seen:
    method: str
    path: str
    authorization: str | None


class FakeRegistry:
    """What it stores and how it behaves; `host` is its address."""

    def __init__(self):
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.uploads: set[str] = set()
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.tokens: list[dict[str, list[str]]] = []
        self.auth: str | None = None  # None, "basic" or "bearer"
        self.login = ("somebody", "s3cret-word")
        self.identity_token: str | None = None
        self.realm: str | None = None
        self.valid_tokens: set[str] = set()
        self.mounts = True
        self.ranges = True
        self.deletes_tags = True
        self.page = 0
        self.referrers_api = True
        self.digest_header = True
        self.redirect_blobs_to: str | None = None
        self.hidden = 0  # so many reads of a manifest answer 404 although it is there
        self.lock = threading.RLock()
        self.host = ""

    # -- what tests put in and look at

    def put(self, repository, content, media_type, tag=None):
        digest = digest_of(content)
        self.manifests.setdefault(repository, {})[digest] = (media_type, content)
        if tag:
            self.tags.setdefault(repository, {})[tag] = digest
        return digest

    def put_blob(self, repository, content):
        digest = digest_of(content)
        self.blobs.setdefault(repository, {})[digest] = content
        return digest

    def image(
        self, repository, platform, *, layers=(b"layer",), tag=None, media_type=OCI_MANIFEST, says=None
    ):
        """Store an image of `platform` ("linux/arm/v7"); `says`: what its config claims instead."""
        os_, arch, *variant = (says or platform).split("/")
        config = json.dumps({"os": os_, "architecture": arch, "variant": "".join(variant)}).encode()
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.put_blob(repository, config),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": self.put_blob(repository, layer),
                    "size": len(layer),
                }
                for layer in layers
            ],
        }
        return self.put(repository, json.dumps(document).encode(), media_type, tag)

    def index(self, repository, entries, *, tag=None):
        """Store an index of (digest, platform or None, annotations) triples."""
        listed = []
        for digest, platform, annotations in entries:
            media_type, content = self.manifests[repository][digest]
            entry = {"mediaType": media_type, "digest": digest, "size": len(content)}
            if annotations:
                entry["annotations"] = annotations
            if platform:
                os_, arch, *variant = platform.split("/")
                entry["platform"] = {"os": os_, "architecture": arch} | (
                    {"variant": variant[0]} if variant else {}
                )
            listed.append(entry)
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        return self.put(repository, json.dumps(document).encode(), OCI_INDEX, tag)

    def count(self, method, part=""):
        return sum(1 for seen in self.seen if seen.method == method and part in seen.path)

    # -- running

    @contextmanager
    def running(self) -> Iterator["FakeRegistry"]:
        registry = self

        class Handler(_Handler):
            fake = registry

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.host = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def fault_for(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.path in path:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeRegistry
    cut: int | None = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def answer(self):
        fake = self.fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with fake.lock:
            fake.seen.append(Seen(self.command, self.path, self.headers.get("Authorization")))
        fault = fake.fault_for(self.command, self.path)
        if fault is not None:
            time.sleep(fault.delay)
            if fault.cut is not None:
                self.cut = fault.cut
            elif fault.after_doing:
                with fake.lock:
                    self.quiet = True
                    self.route(body)
                    self.quiet = False
                return self.send(fault.status, fault.body, fault.headers)
            elif fault.status == 0:
                self.close_connection = True
                return None
            else:
                return self.send(fault.status, fault.body, fault.headers)
        if self.path.startswith("/token"):
            return self.token(body)
        if not self.allowed():
            return self.challenge()
        with fake.lock:
            return self.route(body)

    quiet = False

    def send(self, status, body=b"", headers=None):
        if self.quiet:
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if self.cut is None else body[: self.cut])
        if self.cut is not None:
            self.close_connection = True

    def refuse(self, status, code):
        self.send(status, json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode())

    # -- logins

    def basic_ok(self):
        pair = ":".join(self.fake.login).encode()
        return self.headers.get("Authorization") == "Basic " + base64.b64encode(pair).decode()

    def allowed(self):
        if self.fake.auth is None:
            return True
        if self.fake.auth == "basic":
            return self.basic_ok()
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") in self.fake.valid_tokens

    def challenge(self):
        realm = self.fake.realm or f"http://{self.fake.host}/token"
        said = (
            'Basic realm="lab"'
            if self.fake.auth == "basic"
            else f'Bearer realm="{realm}",service="fake, registry"'
        )
        self.send(401, b"{}", {"WWW-Authenticate": said})

    def token(self, body):
        query = parse_qs(urlsplit(self.path).query) or parse_qs(body.decode())
        self.fake.tokens.append(query)
        refreshed = query.get("refresh_token") == [self.fake.identity_token]
        if not refreshed and not self.basic_ok():
            return self.refuse(401, "UNAUTHORIZED")
        token = f"token-{len(self.fake.tokens)}"
        self.fake.valid_tokens.add(token)
        return self.send(200, json.dumps({"token": token}).encode())

    # -- the API

    def route(self, body):
        url = urlsplit(self.path)
        if url.path == "/v2/":
            return self.send(200, b"{}")
        if url.path.startswith("/elsewhere/"):
            content = next(b[url.path[11:]] for b in self.fake.blobs.values() if url.path[11:] in b)
            return self.send(200, content)
        match = _ROUTE.match(url.path)
        if match is None:
            return self.refuse(404, "NAME_UNKNOWN")
        work = {
            "manifests": self.manifest,
            "blobs": self.blob,
            "blobs/uploads": self.upload,
            "tags": self.list_tags,
            "referrers": self.list_referrers,
        }[match["kind"]]
        return work(match["name"], match["rest"], parse_qs(url.query), body)

    def manifest(self, name, target, query, body):
        fake = self.fake
        stored, tags = fake.manifests.setdefault(name, {}), fake.tags.setdefault(name, {})
        if self.command == "PUT":
            document = json.loads(body)
            for entry in document.get("manifests", ()):
                if entry["digest"] not in stored:
                    return self.refuse(400, "MANIFEST_BLOB_UNKNOWN")
            for blob in (document.get("config"), *document.get("layers", ())):
                if blob and blob["digest"] not in fake.blobs.get(name, {}):
                    return self.refuse(400, "MANIFEST_BLOB_UNKNOWN")
            tag = None if target.startswith("sha256:") else target
            digest = fake.put(name, body, self.headers["Content-Type"], tag)
            return self.send(201, b"", {"Docker-Content-Digest": digest})
        digest = tags.get(target, target)
        if digest not in stored or (self.command == "GET" and fake.hidden > 0):
            fake.hidden -= fake.hidden > 0
            return self.refuse(404, "MANIFEST_UNKNOWN")
        if self.command == "DELETE":
            if target in tags and not fake.deletes_tags:
                return self.refuse(400, "DIGEST_INVALID")
            tags.pop(target, None) or stored.pop(target)
            return self.send(202)
        media_type, content = stored[digest]
        headers = {"Content-Type": media_type, "Content-Length": str(len(content))}
        if fake.digest_header:
            headers["Docker-Content-Digest"] = digest
        return self.send(200, content, headers)

    def blob(self, name, digest, query, body):
        content = self.fake.blobs.get(name, {}).get(digest)
        if content is None:
            return self.refuse(404, "BLOB_UNKNOWN")
        if self.fake.redirect_blobs_to:
            return self.send(307, b"", {"Location": f"{self.fake.redirect_blobs_to}/elsewhere/{digest}"})
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        headers = {"Content-Length": str(len(content))}
        if wanted and self.fake.ranges:
            content = content[int(wanted[1]) :]
            return self.send(206, content, {"Content-Length": str(len(content))})
        return self.send(200, content, headers)

    def upload(self, name, session, query, body):
        fake = self.fake
        if self.command == "POST":
            source = query.get("from", [""])[0]
            digest = query.get("mount", [""])[0]
            if fake.mounts and digest in fake.blobs.get(source, {}):
                fake.blobs.setdefault(name, {})[digest] = fake.blobs[source][digest]
                return self.send(201)
            session = f"session-{len(fake.seen)}"
            fake.uploads.add(session)
            return self.send(202, b"", {"Location": f"/v2/{name}/blobs/uploads/{session}?state=a"})
        fake.uploads.discard(session)
        if self.command == "DELETE":
            return self.send(204)
        if query["digest"][0] != digest_of(body):
            return self.refuse(400, "DIGEST_INVALID")
        fake.put_blob(name, body)
        return self.send(201)

    def list_tags(self, name, rest, query, body):
        if name not in self.fake.tags:
            return self.refuse(404, "NAME_UNKNOWN")
        tags = sorted(self.fake.tags[name])
        last = query.get("last", [""])[0]
        left = [tag for tag in tags if tag > last]
        page = left[: self.fake.page or None]
        more = len(page) < len(left)
        headers = {"Link": f'</v2/{name}/tags/list?last={page[-1]}>; rel="next"'} if more else {}
        return self.send(200, json.dumps({"name": name, "tags": page}).encode(), headers)

    def list_referrers(self, name, digest, query, body):
        if not self.fake.referrers_api:
            return self.refuse(404, "NOT_FOUND")
        found = [
            {"mediaType": media_type, "digest": key, "size": len(content)}
            for key, (media_type, content) in self.fake.manifests.get(name, {}).items()
            if (json.loads(content).get("subject") or {}).get("digest") == digest
        ]
        return self.send(200, json.dumps({"schemaVersion": 2, "manifests": found}).encode())
