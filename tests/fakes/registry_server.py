"""A registry in this process (the used part of distribution-spec 1.1), with logins and injected faults."""

import base64
import hashlib
import json
import re
import ssl
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>manifests|blobs|referrers|tags)/(?P<rest>.*)\Z")


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass
class Repository:
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)


@dataclass
class LoggedRequest:
    method: str
    path: str
    authorization: str


class Faults:
    """Faults by request: `at[n]` is how the n-th request (from 1) fails.

    "before": the connection is dropped and nothing happens. "after": the request is processed, but the response is
    lost. A number: this status, without processing. `lasting` applies a fault to all later requests too.
    """

    def __init__(self, at=None, *, lasting=False, retry_after=None):
        self.at = dict(at or {})
        self.lasting = lasting
        self.retry_after = retry_after

    def of(self, number):
        if number in self.at:
            return self.at[number]
        earlier = [other for other in self.at if other < number]
        return self.at[max(earlier)] if self.lasting and earlier else None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as a bend sees it. `name` and `rest` are parts of the path, empty where it is no repository's."""

    method: str
    path: str
    name: str
    kind: str
    rest: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    number: int

    @property
    def is_upload(self):
        return self.kind == "blobs" and self.rest.startswith("uploads/")


class FakeRegistry:
    """`with FakeRegistry() as registry:` serves at `registry.host`.

    `bends` are functions of (registry, request, proceed) that return an answer: (status, content, headers). `proceed()`
    is the answer of a registry as the spec has it, or of the next bend.
    """

    def __init__(
        self,
        *,
        login=None,
        scheme="bearer",
        deletes_tags=True,
        referrers=False,
        mounts=True,
        blob_redirect=None,
        tls=None,
    ):
        self.repositories = {}
        self.login = login
        self.scheme = scheme
        self.deletes_tags = deletes_tags
        self.referrers = referrers
        self.mounts = mounts
        self.blob_redirect = blob_redirect
        self.faults = Faults()
        self.log = []
        self.tokens = []
        self.token_lifetime = None  # requests a token is valid for
        self.token_failures = []  # (status, headers) of the token service's first responses
        self.realm = None  # another token service
        self.hides_with = None  # the status for strangers without a challenge, which `/v2/` alone has
        self.upload_base = ""  # the base URL of another host for uploads
        self.token_body = None  # the token service's response instead
        self.token_headers = {}
        self.hidden = {}  # digest → number of GETs that still get 404
        self.blob_losses = {}  # digest → number of manifests refused because this blob was lost
        self.error_message = "unavailable"  # of faults
        self.wrong_bytes = {}  # digest → bytes sent instead of the content
        self.deletes_with_tag = False  # some registries delete a tag's manifest with it
        self.pages = None  # the list of tags instead: (content, headers) by `last`
        self.deletes = True  # registry 2.8 only with `storage.delete.enabled`
        self.bends = []
        self.lock = threading.RLock()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.registry = self
        self.host = f"127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    # -- for tests

    def repository(self, name):
        return self.repositories.setdefault(name, Repository())

    def put(self, name, content, media_type, *, tag=None):
        digest = digest_of(content)
        self.repository(name).manifests[digest] = (media_type, content)
        if tag:
            self.repository(name).tags[tag] = digest
        return digest

    def put_blob(self, name, content):
        self.repository(name).blobs[digest_of(content)] = content
        return digest_of(content)

    def forget_requests(self):
        self.log.clear()

    def reset(self):
        """Remove all content and faults: cheaper than a new server."""
        self.faults = Faults()
        self.bends = []
        self.repositories.clear()
        self.log.clear()

    def requests(self, method=None):
        return [f"{r.method} {r.path}" for r in self.log if method in (None, r.method)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: FakeRegistry

    def handle_error(self, request, client_address):
        """Print no traceback for a client that closed its connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # A TLS hello gets an HTTP response, so that an engine detects plain http and falls back to it.
    default_request_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    @property
    def registry(self):
        assert isinstance(self.server, _Server)
        return self.server.registry

    def do_GET(self):
        self.handle_one()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_GET

    def handle_one(self):
        registry = self.registry
        body = self._body()
        split = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        if split.path == "/token":
            self._token(body)
            return
        with registry.lock:
            registry.log.append(LoggedRequest(self.command, self.path, self.headers.get("Authorization", "")))
            fault = registry.faults.of(len(registry.log))
        if fault == "before":
            self._drop()
            return
        if isinstance(fault, int):
            headers = {"Retry-After": registry.faults.retry_after} if registry.faults.retry_after else {}
            self._answer(fault, _errors("UNAVAILABLE", registry.error_message), headers)
            return
        status, content, headers = self._refusal() or self._bent(split.path, body)
        if fault == "after":
            self._drop()
            return
        self._answer(status, content, headers)

    def _drop(self):
        self.close_connection = True
        self.connection.close()

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status, content=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name in headers or {}):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # -- logins

    def _refusal(self):
        registry = self.registry
        if registry.login is None:
            return None
        authorization = self.headers.get("Authorization", "")
        if registry.hides_with and not authorization and self.path != "/v2/":
            return registry.hides_with, _errors("NOT_FOUND"), {}
        if registry.scheme == "basic":
            expected = "Basic " + base64.b64encode(":".join(registry.login).encode()).decode()
            if authorization == expected:
                return None
            return 401, _errors("UNAUTHORIZED"), {"WWW-Authenticate": 'Basic realm="fake"'}
        with registry.lock:
            for token in registry.tokens:
                if authorization == f"Bearer {token['token']}" and token["uses_left"] > 0:
                    token["uses_left"] -= 1
                    return None
        realm = f'Bearer realm="{registry.realm or f"http://{registry.host}/token"}",service="fake"'
        return 401, _errors("UNAUTHORIZED"), {"WWW-Authenticate": realm}

    def _token(self, body):
        registry = self.registry
        if registry.token_failures:
            status, headers = registry.token_failures.pop(0)
            self._answer(status, _errors("UNAVAILABLE"), headers)
            return
        authorization = self.headers.get("Authorization", "")
        form = {key: values[-1] for key, values in parse_qs(body.decode()).items()}
        expected = "Basic " + base64.b64encode(":".join(registry.login).encode()).decode()
        if authorization != expected and form.get("refresh_token") != registry.login[1]:
            self._answer(401, _errors("UNAUTHORIZED"))
            return
        with registry.lock:
            scopes = parse_qs(urlsplit(self.path).query).get("scope") or [form.get("scope", "")]
            uses_left = registry.token_lifetime or 10**9
            token = {"token": f"t{len(registry.tokens)}", "scopes": scopes, "uses_left": uses_left}
            registry.tokens.append(token)
        answer = json.dumps({"token": token["token"]}).encode()
        self._answer(200, registry.token_body or answer, registry.token_headers)

    # -- the API

    def _bent(self, path, body):
        match = _PATH.match(path)
        request = Request(
            method=self.command,
            path=path,
            name=match["name"] if match else "",
            kind=match["kind"] if match else "",
            rest=match["rest"] if match else "",
            query=self.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            number=len(self.registry.log),
        )

        def proceed(bends):
            if not bends:
                return self._dispatch(path, body)
            return bends[0](self.registry, request, lambda: proceed(bends[1:]))

        return proceed(tuple(self.registry.bends))

    def _dispatch(self, path, body):
        match = _PATH.match(path)
        if path == "/v2/" or not match:
            return (200, b"{}", {}) if path == "/v2/" else (404, _errors("NAME_UNKNOWN"), {})
        with self.registry.lock:
            name, kind, rest = match["name"], match["kind"], match["rest"]
            answer = getattr(self, f"_{kind}")(name, rest, body)
        return answer or (404, _errors("NOT_FOUND"), {})

    def _manifests(self, name, rest, body):
        repository = self.registry.repositories.get(name)
        if self.command == "PUT":
            return self._put_manifest(self.registry.repository(name), rest, body)
        if repository is None:
            return None
        if self.command == "DELETE":
            return self._delete(repository, rest)
        digest = repository.tags.get(rest, rest)
        if self.registry.hidden.get(digest, 0) > 0:
            self.registry.hidden[digest] -= 1
            return None
        if digest not in repository.manifests:
            return None
        media_type, content = repository.manifests[digest]
        headers = {"Content-Type": media_type, "Docker-Content-Digest": digest}
        return 200, self.registry.wrong_bytes.get(digest, content), headers

    def _put_manifest(self, repository, rest, body):
        document = json.loads(body)
        blobs = [document.get("config"), *(document.get("layers") or ())]
        for blob in blobs:
            if blob and self.registry.blob_losses.get(blob["digest"], 0) > 0:
                self.registry.blob_losses[blob["digest"]] -= 1
                repository.blobs.pop(blob["digest"], None)
        missing = [b["digest"] for b in blobs if b and b["digest"] not in repository.blobs]
        missing += [
            e["digest"] for e in document.get("manifests") or () if e["digest"] not in repository.manifests
        ]
        if missing:
            return 400, _errors("MANIFEST_BLOB_UNKNOWN"), {}
        digest = digest_of(body)
        if rest.startswith("sha256:") and rest != digest:
            return 400, _errors("DIGEST_INVALID"), {}
        repository.manifests[digest] = (self.headers.get("Content-Type"), body)
        if not rest.startswith("sha256:"):
            repository.tags[rest] = digest
        subject = (document.get("subject") or {}).get("digest")
        noted = {"OCI-Subject": subject} if subject and self.registry.referrers else {}
        return 201, b"", {"Docker-Content-Digest": digest, **noted}

    def _delete(self, repository, rest):
        if not self.registry.deletes:
            return 405, _errors("UNSUPPORTED"), {}
        if not rest.startswith("sha256:"):
            if not self.registry.deletes_tags:
                return 400, _errors("DIGEST_INVALID"), {}
            digest = repository.tags.pop(rest, None)
            if self.registry.deletes_with_tag:
                repository.manifests.pop(digest, None)
            return (202, b"", {}) if digest else None
        return (202, b"", {}) if repository.manifests.pop(rest, None) else None

    def _blobs(self, name, rest, body):
        if rest.startswith("uploads/"):
            return self._upload(name, rest, body)
        repository = self.registry.repositories.get(name)
        if repository is None or rest not in repository.blobs:
            return None
        if self.registry.blob_redirect and self.command == "GET":
            return 307, b"", {"Location": f"{self.registry.blob_redirect}/v2/{name}/blobs/{rest}"}
        return (
            200,
            self.registry.wrong_bytes.get(rest, repository.blobs[rest]),
            {"Docker-Content-Digest": rest},
        )

    def _upload(self, name, rest, body):
        if self.command == "DELETE":
            return 204, b"", {}
        if self.command == "PUT":
            if digest_of(body) != self.query["digest"]:
                return 400, _errors("DIGEST_INVALID"), {}
            self.registry.repository(name).blobs[self.query["digest"]] = body
            return 201, b"", {"Docker-Content-Digest": self.query["digest"]}
        source = self.registry.repositories.get(self.query.get("from", ""))
        if self.registry.mounts and source and self.query.get("mount") in source.blobs:
            digest = self.query["mount"]
            self.registry.repository(name).blobs[digest] = source.blobs[digest]
            return 201, b"", {}
        return 202, b"", {"Location": f"{self.registry.upload_base}/v2/{name}/blobs/uploads/u1?state=s"}

    def _referrers(self, name, rest, _body):
        repository = self.registry.repositories.get(name)
        if not self.registry.referrers:
            return None
        entries = []
        for digest, (media_type, content) in (repository.manifests if repository else {}).items():
            manifest = json.loads(content)
            if (manifest.get("subject") or {}).get("digest") == rest:
                kind = manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType")
                about = {"artifactType": kind, "annotations": manifest.get("annotations")}
                entry = {"mediaType": media_type, "digest": digest, "size": len(content), **about}
                entries.append({key: value for key, value in entry.items() if value})
        document = {"schemaVersion": 2, "manifests": entries}
        return 200, json.dumps(document).encode(), {"Content-Type": "application/vnd.oci.image.index.v1+json"}

    def _tags(self, name, _rest, _body):
        """List tags, two a page."""
        if self.registry.pages is not None:
            content, headers = self.registry.pages[self.query.get("last", "")]
            return 200, content, headers
        repository = self.registry.repositories.get(name)
        if repository is None:
            return None
        names = sorted(repository.tags)
        start = names.index(self.query["last"]) + 1 if "last" in self.query else 0
        page, more = names[start : start + 2], names[start + 2 :]
        headers = {"Link": f'</v2/{name}/tags/list?last={page[-1]}>; rel="next"'} if more else {}
        return 200, json.dumps({"name": name, "tags": page}).encode(), headers


def _errors(code, message=None):
    return json.dumps({"errors": [{"code": code, "message": message or code.lower()}]}).encode()
