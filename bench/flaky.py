"""A registry that fails now and then: a relay before the lab's that refuses some images with 429, as busy ones do."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

CHUNK = 1024 * 1024
TLS_HANDSHAKE = b"\x16"
"""The first byte of a ClientHello (RFC 8446, section 5.1)."""

BUSY_S = 0.5
"""Seconds for which a manifest that was refused once is refused: less than anybody's pause before another build."""

HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length", "host"})


class Flaky:
    """`with Flaky(5000, share=0.1) as flaky:` relays `flaky.host` to localhost:5000.

    A PUT of an image's manifest is refused with probability `share`, and then for BUSY_S: BuildKit repeats a 429 five
    times within ten milliseconds. Attestations and indexes are not refused: tools push different numbers of them.
    """

    def __init__(self, upstream: int, *, share: float) -> None:
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0),
            type("Handler", (Relay,), {"upstream": upstream, "share": share, "busy_until": {}}),
        )
        self._server.daemon_threads = True

    @property
    def host(self) -> str:
        return f"localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def is_image(body: bytes) -> bool:
    """Whether a manifest is that of an image with file systems, and no attestation or index."""
    try:
        layers = json.loads(body).get("layers", ())
    except (ValueError, AttributeError):
        return False
    return any("in-toto" not in str(layer.get("mediaType")) for layer in layers)


class Relay(BaseHTTPRequestHandler):
    """One connection to the registry at `upstream`."""

    upstream = 0
    share = 0.0
    busy_until: ClassVar[dict[str, float]] = {}
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        """Answer TLS in plain text, as servers in Go do: by that BuildKit knows that the registry has none."""
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            if self.rfile.peek(1)[:1] != TLS_HANDSHAKE:  # type: ignore[attr-defined]
                super().handle_one_request()
            else:
                self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def relay(self) -> None:
        body = self._body()
        if self.command == "PUT" and "/manifests/" in self.path and is_image(body) and self._is_busy():
            self._send(429, {"Content-Type": "application/json"}, REFUSAL)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=300)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP_BY_HOP}
        # The registry's own addresses in answers lead back to the relay.
        headers["Host"] = self.headers["Host"]
        connection.request(self.command, self.path, body=body, headers=headers)
        answer = connection.getresponse()
        self._send(
            answer.status,
            dict(answer.getheaders()),
            answer.read(),
            length=answer.getheader("Content-Length"),
        )
        connection.close()

    def _is_busy(self) -> bool:
        """Draw whether this path is refused from now on, unless it is."""
        now = time.monotonic()
        if now < self.busy_until.get(self.path, 0.0):
            return True
        if random.random() >= self.share:
            return False
        self.busy_until[self.path] = now + BUSY_S
        return True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Any:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, status: int, headers: dict[str, str], body: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in HOP_BY_HOP:
                self.send_header(key, value)
        # The answer to HEAD has the length of what it does not contain.
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        self.wfile.write(body)


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Relay, f"do_{_method}", Relay.relay)

REFUSAL = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}'
