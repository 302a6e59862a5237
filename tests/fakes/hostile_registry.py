"""A registry that answers in every wrong way, over real sockets: one row of BEHAVIOURS is one way.

A behaviour is a function of a `Conversation`: it reads nothing more, sends bytes, and returns; the connection is closed
then. It is asked for `/v2/app/manifests/1` first, by every command.
"""

import gzip
import json
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fakes.registry_server import digest_of

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
PAUSE_S = 0.02
"""Between the bytes of a slow behaviour: far below the idle limit of a test, and far below its minimum rate."""


class Conversation:
    """One request and the connection to answer it on."""

    def __init__(self, server, connection, head):
        self.server = server
        self.connection = connection
        self.head = head
        line = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        self.method, self.path = line[0], line[1] if len(line) > 1 else ""

    def send(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def answer(self, status="200 OK", body=b"", content_type=OCI, headers=()):
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Length: {len(body)}",
            f"Content-Type: {content_type}",
            "Connection: close",
            *headers,
        ]
        self.send(
            "\r\n".join(lines).encode("utf-8", "surrogateescape"),
            b"\r\n\r\n",
            b"" if self.method == "HEAD" else body,
        )

    def drip(self, data: Iterator[bytes]):
        """Send each piece, with a pause after it, until the client has gone."""
        for piece in data:
            self.send(piece)
            if self.server.closing.wait(PAUSE_S):
                return

    def wait(self):
        """Send nothing until the client gives up."""
        self.connection.settimeout(0.05)
        while not self.server.closing.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return


class HostileRegistry:
    """`with HostileRegistry(behaviour) as registry:` serves at `registry.host`; `requests` logs (method, path, head)."""

    def __init__(self, behaviour: Callable[[Conversation], None], *, tls: str | Path | None = None):
        self.behaviour = behaviour
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if tls is not None:
            self._tls.load_cert_chain(tls)
        self._has_tls = tls is not None
        self.closing = threading.Event()
        self.requests: list[tuple[str, str, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(0.05)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self._listener.close()

    def _accept(self):
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _secured(self, connection):
        return self._tls.wrap_socket(connection, server_side=True) if self._has_tls else connection

    def _serve(self, connection):
        connection.settimeout(10)
        with connection, suppress(OSError), self._secured(connection) as connection:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := connection.recv(65536)):
                    return
                head += data
            conversation = Conversation(self, connection, head)
            self.requests.append((conversation.method, conversation.path, head))
            self.behaviour(conversation)
            # A close with unread bytes would reset the connection before the client has read the answer.
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One way to answer. `words` are in the error; without them a result is right too. `slow`: it takes for ever."""

    act: Callable[[Conversation], None]
    words: str = ""
    slow: bool = False


def _manifest(**changes):
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": CONFIG,
                "size": len(_CONFIG),
            },
            "layers": [],
            **changes,
        }
    ).encode()


_CONFIG = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
CONFIG = digest_of(_CONFIG)


def _index(entries, **changes):
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, **changes}).encode()


def _entry(content, media_type=OCI, **more):
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def bodies(*contents, then=None):
    """Return a behaviour that serves contents by digest, and the first of them under every tag."""
    by_digest = {digest_of(content): content for content in contents}

    def act(talk):
        target = talk.path.rpartition("/")[2]
        content = by_digest.get(target, contents[0]) if ":" not in target else by_digest.get(target)
        if content is None and then is not None:
            then(talk)
        elif content is None:
            talk.answer("404 Not Found", b"{}")
        else:
            is_index = b'"manifests"' in content
            talk.answer(body=content, content_type=OCI_INDEX if is_index else OCI)

    return act


def _raw(*parts):
    return lambda talk: talk.send(*parts)


def _status(line, **more):
    return lambda talk: talk.answer(line, **more)


def _header(*lines, status="200 OK"):
    return lambda talk: talk.answer(status, _manifest(), headers=lines)


def _redirect(target, status="307 Temporary Redirect"):
    return lambda talk: talk.answer(
        status, headers=[f"Location: {target(talk) if callable(target) else target}"]
    )


def _challenge(header):
    return lambda talk: talk.answer("401 Unauthorized", b"{}", headers=[f"WWW-Authenticate: {header}"])


def _token(service):
    """Return a behaviour whose registry asks for a token, which `service` then answers."""

    def act(talk):
        if talk.path.startswith("/token"):
            service(talk)
        else:
            _challenge(f'Bearer realm="http://{talk.server.host}/token",service="x"')(talk)

    return act


def _half_a_body(talk):
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
    talk.wait()


def _forever(piece):
    while True:
        yield piece


def _slow_body(talk):
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: ", OCI.encode(), b"\r\nContent-Length: 100000\r\n\r\n")
    talk.drip(_forever(b" "))


def _slow_headers(talk):
    talk.send(b"HTTP/1.1 200 OK\r\n")
    talk.drip(_forever(b"X"))


def _slow_header_lines(talk):
    talk.send(b"HTTP/1.1 200 OK\r\n")
    talk.drip(_forever(b"X: y\r\n"))


def _slow_chunks(talk):
    talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    talk.drip(_forever(b"1\r\n \r\n"))


def _slow_continue(talk):
    talk.drip(_forever(b"HTTP/1.1 103 Early Hints\r\n\r\n"))


def _flood(piece, head=b""):
    def act(talk):
        talk.send(head)
        while not talk.server.closing.is_set():
            talk.send(piece)

    return act


_OK_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _reset(talk):
    talk.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.connection.close()


def _bomb(encoding="gzip", status="200 OK"):
    def act(talk):
        pack = gzip.compress if encoding == "gzip" else zlib.compress
        talk.answer(status, pack(b" " * 20_000_000), headers=[f"Content-Encoding: {encoding}"])

    return act


def _paged(link):
    """Return a behaviour of lists that always have a next page."""

    def act(talk):
        body = _index([]) if "referrers" in talk.path else b'{"name":"app","tags":["a"]}'
        talk.answer(body=body, headers=[f"Link: <{link(talk)}>; rel=next"])

    return act


_count = iter(range(10**9))
PAGES = {
    "to themselves": _paged(lambda talk: talk.path),
    "to another host": _paged(lambda talk: f"http://localhost:1{talk.path}"),
    "without end": _paged(lambda talk: f"{talk.path.partition('?')[0]}?last={next(_count)}"),
    "to a file": _paged(lambda talk: "file:///etc/passwd"),
    "to no URL": _paged(lambda talk: "http://[::1:x/"),
}
"""Lists (of tags, of referrers) whose pages lead …"""

_IMAGE = _manifest()
_MANY = _index([_entry(_IMAGE, platform={"os": "linux", "architecture": f"a{n}"}) for n in range(10_000)])
_ABOUT = {
    "vnd.docker.reference.type": "attestation-manifest",
    "vnd.docker.reference.digest": digest_of(_IMAGE),
}
_ATTESTED = _index(
    [
        _entry(_IMAGE, platform={"os": "linux", "architecture": "amd64"}),
        *(
            {
                **_entry(b"%d" % number),
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": _ABOUT,
            }
            for number in range(3000)
        ),
    ]
)


def _tree(depth, breadth):
    """Return every index of a tree whose root is the first: `breadth` distinct indexes in each, `depth` levels."""

    def grow(level, name):
        if not level:
            return [
                _index(
                    [_entry(_IMAGE, platform={"os": "linux", "architecture": "amd64"})],
                    annotations={"n": name},
                )
            ]
        below = [grow(level - 1, f"{name}.{number}") for number in range(breadth)]
        root = _index([_entry(branch[0], OCI_INDEX) for branch in below], annotations={"n": name})
        return [root, *(content for branch in below for content in branch)]

    return grow(depth, "")


def _doubling(levels, breadth):
    """Return indexes each of which lists the next `breadth` times: a few requests for a reader with a visited set."""
    contents = [_index([_entry(_IMAGE, platform={"os": "linux", "architecture": "amd64"})])]
    for _ in range(levels):
        contents.insert(0, _index([_entry(contents[0], OCI_INDEX)] * breadth))
    return contents


def _blob(content):
    """Return a behaviour whose image is right and whose config (a blob) is sent by `content`."""

    def act(talk):
        if "/blobs/" in talk.path:
            content(talk)
        else:
            bodies(_IMAGE)(talk)

    return act


def _odd_status(number):
    return _raw(b"HTTP/1.1 %d Odd\r\nContent-Length: 2\r\n\r\n{}" % number)


BEHAVIOURS = {
    # time
    "no answer at all": Behaviour(act=Conversation.wait, words="no answer within", slow=True),
    "a body at a byte a second": Behaviour(act=_slow_body, words="bytes a second", slow=True),
    "a header line at a byte a second": Behaviour(act=_slow_headers, words="bytes a second", slow=True),
    "headers, one at a time": Behaviour(act=_slow_header_lines, words="bytes a second", slow=True),
    "chunks at one a second": Behaviour(act=_slow_chunks, words="bytes a second", slow=True),
    "early hints, slowly and forever": Behaviour(act=_slow_continue, words="bytes a second", slow=True),
    "a blob at a byte a second": Behaviour(act=_blob(_slow_body), slow=True),
    "a blob that never begins": Behaviour(act=_blob(Conversation.wait), slow=True),
    "a token service that says nothing": Behaviour(
        act=_token(Conversation.wait), words="no answer within", slow=True
    ),
    "a token at a byte a second": Behaviour(act=_token(_slow_body), words="bytes a second", slow=True),
    "half a body and then silence": Behaviour(
        act=_half_a_body,
        words="no answer within",
        slow=True,
    ),
    "a retry after years": Behaviour(
        act=_status("503 Busy", headers=["Retry-After: 999999999999"]), words="answers 503"
    ),
    "a retry after a number without end": Behaviour(
        act=_status("503 Busy", headers=["Retry-After: " + "9" * 9000]), words="answers 503"
    ),
    "a retry after an odd date": Behaviour(
        act=_status("429 Busy", headers=["Retry-After: Mon, 01 Jan 9999 00:00:00 +99999999999999999999"]),
        words="too many requests",
    ),
    "a retry in the year 1": Behaviour(
        act=_status("503 Busy", headers=["Retry-After: Mon, 01 Jan 0001 00:00:00 +2359"]), words="answers 503"
    ),
    # size
    "early hints without end": Behaviour(
        act=_flood(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000), words="before its answer"
    ),
    "a header without end": Behaviour(act=_flood(b"x" * 65536, b"HTTP/1.1 200 OK\r\nX: ")),
    "headers without end": Behaviour(act=_flood(b"X: y\r\n" * 1000, b"HTTP/1.1 200 OK\r\n")),
    "chunks without end": Behaviour(
        act=_flood(b"400\r\n" + b" " * 1024 + b"\r\n", _OK_CHUNKED), words="more than"
    ),
    "chunks of a byte without end": Behaviour(act=_flood(b"1\r\n \r\n" * 1000, _OK_CHUNKED), words="pieces"),
    "chunks with long extensions": Behaviour(
        act=_flood(b"1;" + b"x" * 9000 + b"\r\n \r\n", _OK_CHUNKED), words=""
    ),
    "a chunk of a size without end": Behaviour(act=_flood(b"f" * 9000, _OK_CHUNKED)),
    "trailers without end": Behaviour(act=_flood(b"X: y\r\n" * 1000, _OK_CHUNKED + b"0\r\n")),
    "a body without end": Behaviour(act=_flood(b" " * 65536, b"HTTP/1.1 200 OK\r\n\r\n"), words="more than"),
    "a terabyte announced": Behaviour(
        act=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n{}"), words=""
    ),
    "a gzip bomb": Behaviour(act=_bomb(), words="more than"),
    "a deflate bomb": Behaviour(act=_bomb("deflate"), words="more than"),
    "broken gzip": Behaviour(act=_status("200 OK", body=b"no gzip", headers=["Content-Encoding: gzip"])),
    "gzip in gzip": Behaviour(
        act=_status("200 OK", body=b"x", headers=["Content-Encoding: gzip, gzip"]), words="encoding"
    ),
    "a token in a gzip bomb": Behaviour(act=_token(_bomb()), words="more than"),
    "a challenge in a gzip bomb": Behaviour(act=_bomb(status="401 Unauthorized")),
    "an error page of 5 MB": Behaviour(act=_status("400 Bad", body=b"[" * 5_000_000)),
    "a deep error page": Behaviour(act=_status("400 Bad", body=b'{"errors":' + b"[" * 100_000), words="400"),
    "a config longer than stated": Behaviour(act=_blob(_flood(b" " * 65536, b"HTTP/1.1 200 OK\r\n\r\n"))),
    "a config announced longer": Behaviour(
        act=_blob(_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")), words=""
    ),
    "a config shorter than stated": Behaviour(act=_blob(_status("200 OK", body=b"{}"))),
    "10,000 entries": Behaviour(act=bodies(_MANY, _IMAGE), words="entries"),
    "3,000 attestations": Behaviour(act=bodies(_ATTESTED, _IMAGE), words="entries"),
    "781 indexes in one": Behaviour(act=bodies(*_tree(4, 5), _IMAGE)),
    "an index 1000 times, in an index 1000 times": Behaviour(act=bodies(*_doubling(3, 1000), _IMAGE)),
    "an index in an index, 300 deep": Behaviour(act=bodies(*_doubling(300, 1), _IMAGE)),
    # logins
    "a challenge of 60 kB": Behaviour(act=_challenge("Bearer " + "a" * 60_000)),
    "a challenge of 60 kB of commas": Behaviour(act=_challenge("," * 60_000)),
    "a challenge of 60 kB of blanks": Behaviour(act=_challenge("Bearer a" + " " * 60_000 + "b")),
    "a challenge with thousands of quotes": Behaviour(act=_challenge('Bearer a="' * 6000)),
    "thousands of challenges": Behaviour(
        act=_challenge(", ".join(["Bearer realm=x", "Basic realm=y"] * 2000)), words=""
    ),
    "a realm that is a file": Behaviour(
        act=_challenge('Bearer realm="file:///etc/passwd"'), words="no token service"
    ),
    "a realm of 15 kB": Behaviour(act=_challenge(f'Bearer realm="http://127.0.0.1/{"a" * 15_000}"')),
    "a token service that redirects forever": Behaviour(
        act=_token(_redirect(lambda talk: talk.path)), words="redirects more than"
    ),
    "a token that is no JSON": Behaviour(act=_token(_status("200 OK", body=b"[" * 5000)), words="no token"),
    # redirects
    "a redirect to itself": Behaviour(act=_redirect(lambda talk: talk.path), words="redirects"),
    "a redirect to ever new places": Behaviour(
        act=_redirect(lambda talk: f"/v2/{next(_count)}"), words="redirects"
    ),
    "a redirect to a file": Behaviour(act=_redirect("file:///etc/passwd"), words="file:"),
    "a redirect to ftp": Behaviour(act=_redirect("ftp://127.0.0.1/x"), words="ftp:"),
    "a redirect to gopher": Behaviour(act=_redirect("gopher://127.0.0.1:70/x"), words="gopher:"),
    "a redirect to data": Behaviour(act=_redirect("data:application/json,{}"), words="no URL"),
    "a redirect to javascript": Behaviour(act=_redirect("javascript:alert(1)"), words="no URL"),
    "a redirect to a unix socket": Behaviour(act=_redirect("unix:///var/run/docker.sock"), words="unix:"),
    "a redirect to http+unix": Behaviour(
        act=_redirect("http+unix://%2Fvar%2Frun%2Fdocker.sock/x"), words="http+unix:"
    ),
    "a redirect to no host": Behaviour(act=_redirect("http://")),
    "a redirect to a port without end": Behaviour(act=_redirect("http://127.0.0.1:99999999999/")),
    "a redirect to bytes": Behaviour(act=_redirect("http://\udcff\udcfe/\udc80")),
    "a redirect of 60 kB": Behaviour(act=_redirect("/" + "a" * 60_000)),
    "a redirect without a place": Behaviour(act=_status("302 Found"), words="302"),
    "300 multiple choices": Behaviour(act=_status("300 Choices"), words="300"),
    # HTTP that is none
    "status 0": Behaviour(act=_odd_status(0)),
    "status 99": Behaviour(act=_odd_status(99)),
    "status 199": Behaviour(act=_odd_status(199)),
    "status 204": Behaviour(act=_raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    "status 206": Behaviour(act=_status("206 Partial", body=_IMAGE)),
    "status 304": Behaviour(act=_raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), words="304"),
    "status 600": Behaviour(act=_odd_status(600), words="600"),
    "status 999": Behaviour(act=_odd_status(999), words="999"),
    "status 1000": Behaviour(act=_odd_status(1000)),
    "status -1": Behaviour(act=_odd_status(-1)),
    "101 switching protocols": Behaviour(
        act=_raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + _IMAGE), words=""
    ),
    "HTTP/0.9": Behaviour(act=_raw(_IMAGE + b"\r\n\r\n"), words="no HTTP"),
    "HTTP/3.0": Behaviour(act=_raw(b"HTTP/3.0 200 OK\r\n\r\n"), words="no manifest"),
    "SSH": Behaviour(act=_raw(b"SSH-2.0-OpenSSH_9.2\x1b[31m\r\n\r\n"), words="no HTTP"),
    "random bytes": Behaviour(act=_raw(bytes(range(256)) * 10), words="no HTTP"),
    "nothing": Behaviour(act=lambda talk: None),
    "a reset": Behaviour(act=_reset),
    "two lengths": Behaviour(
        act=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), words="no HTTP"
    ),
    "a length of 5000 digits": Behaviour(
        act=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}"), words=""
    ),
    "a length below zero": Behaviour(
        act=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"), words="no HTTP"
    ),
    "a length and chunks": Behaviour(
        act=_raw(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        ),
        words="",
    ),
    "more than the length": Behaviour(
        act=_raw(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\n{}" + b"x" * 100_000
        ),
        words="",
    ),
    "less than the length": Behaviour(act=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")),
    "a digest header of another kind": Behaviour(act=_header("Docker-Content-Digest: ../../etc/passwd")),
    "a digest header of 9 kB": Behaviour(act=_header("Docker-Content-Digest: sha256:" + "a" * 9000)),
    "a media type of 9 kB": Behaviour(act=_status("200 OK", body=b"{}", content_type="x/" + "y" * 9000)),
    "headers in no encoding": Behaviour(act=_header("X: \udcff\udcfe", "Docker-Content-Digest: \udcff")),
    "a Link header of 60 kB": Behaviour(act=_header("Link: " + ", <" * 20_000)),
    "no JSON": Behaviour(act=bodies(b"<html>")),
    "deep JSON": Behaviour(act=bodies(b"[" * 100_000)),
    "a long number": Behaviour(act=bodies(b'{"schemaVersion": ' + b"9" * 100_000 + b"}")),
    "no object": Behaviour(act=bodies(b"[]")),
    "an entry that is none": Behaviour(act=bodies(_index([None]))),
    "an entry without digest": Behaviour(act=bodies(_index([{"mediaType": OCI, "size": 1}]))),
    "an entry whose digest is a path": Behaviour(
        act=bodies(_index([{"mediaType": OCI, "size": 1, "digest": "../../x/manifests/latest"}])), words=""
    ),
    "entries that are no list": Behaviour(act=bodies(_index({"a": 1}))),
    "layers that are no list": Behaviour(act=bodies(_manifest(layers=5))),
    "a config that is no descriptor": Behaviour(act=bodies(_manifest(config=[]))),
    "a config of a negative size": Behaviour(
        act=bodies(_manifest(config={**json.loads(_IMAGE)["config"], "size": -1}))
    ),
}
