"""A web server that answers as a test says, and records what it is sent."""

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    has_certificate: bool = False

    @property
    def path(self):
        return urlsplit(self.target).path

    @property
    def query(self):
        return parse_qs(urlsplit(self.target).query)

    @property
    def form(self):
        return {key: values[-1] for key, values in parse_qs(self.body.decode()).items()}

    @property
    def authorization(self):
        return self.headers.get("Authorization", "")


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


class RecordingServer:
    """`with RecordingServer(answer) as server:` serves at `server.host`; `answer` gets a Seen and returns an Answer.

    With `tls`, a PEM file of certificate and key, it has TLS, and with `client_ca` it wants client certificates, or takes
    them at least.
    """

    def __init__(
        self,
        answer: Callable[[Seen], Answer],
        *,
        address: str = "127.0.0.1",
        tls: Path | None = None,
        client_ca: Path | None = None,
        wants_certificate: bool = True,
    ) -> None:
        self.seen: list[Seen] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:  # a client that has gone, or one without a certificate
                    self.close_connection = True

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                has_certificate = isinstance(self.connection, ssl.SSLSocket) and bool(
                    self.connection.getpeercert()
                )
                seen = Seen(self.command, self.path, dict(self.headers), body, has_certificate)
                owner.seen.append(seen)
                reply = answer(seen)
                self.send_response(reply.status, reply.reason)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)

            do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_CONNECT = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            if client_ca is not None:
                context.verify_mode = ssl.CERT_REQUIRED if wants_certificate else ssl.CERT_OPTIONAL
                context.load_verify_locations(client_ca)
            # The handshake belongs to the thread of the connection: a client that fails it must not stop the server.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        self.host = f"{address}:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def paths(self, method: str | None = None) -> list[str]:
        return [seen.path for seen in self.seen if method in {None, seen.method}]
