"""A proxy between BuildKit and the registry that fails on demand, the way networks and registries do."""

import contextlib
import http.client
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}


@dataclass
class Rule:
    """Requests that match fail while `times` lasts: a status, or "reset", "lost" (done, unanswered), "hang" or "drip"."""

    method: str
    path: str
    action: int | str
    times: int = 10**9
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0
    lifted: threading.Event = field(default_factory=threading.Event)

    def takes(self, method: str, path: str) -> bool:
        if self.lifted.is_set() or self.hits >= self.times or method != self.method:
            return False
        if not re.search(self.path, path):
            return False
        self.hits += 1
        return True


class FaultyProxy:
    """Forwards to the registry on localhost:`upstream`; `rules` say what goes wrong. `seen` notes every request."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.rules: list[Rule] = []
        self.seen: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    def rule(self, method: str, path: str, action: int | str, **more: object) -> Rule:
        self.rules.append(Rule(method, path, action, **more))  # type: ignore[arg-type]
        return self.rules[-1]

    @property
    def host(self) -> str:
        return f"localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for rule in self.rules:
            rule.lifted.set()
        self._server.shutdown()
        self._server.server_close()

    def _pick(self, method: str, path: str) -> Rule | None:
        with self._lock:
            self.seen.append(f"{method} {path}")
            return next((rule for rule in self.rules if rule.takes(method, path)), None)

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            # A TLS hello is answered in HTTP, so that the engine sees plain http and falls back to it.
            default_request_version = "HTTP/1.0"

            def _serve(self) -> None:
                rule = proxy._pick(self.command, self.path)
                if rule is not None and isinstance(rule.action, int):
                    self._drain()
                    self._refuse(rule)
                elif rule is not None and rule.action == "reset":
                    self.rfile.read(min(1000, int(self.headers.get("Content-Length") or 0)))
                    self._reset()
                elif rule is not None and rule.action == "lost":
                    self._ask_upstream()
                    self._reset()
                elif rule is not None and rule.action == "hang":
                    rule.lifted.wait(60)
                    self._reset()
                else:
                    self._forward(drip=rule is not None)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def _drain(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    self.close_connection = True

            def _refuse(self, rule: Rule) -> None:
                assert isinstance(rule.action, int)
                code = _CODES.get(rule.action, "UNKNOWN")
                body = f'{{"errors":[{{"code":"{code}","message":"injected"}}]}}'.encode()
                self.send_response(rule.action)
                for key, value in rule.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _reset(self) -> None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()

            def _body(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        yield self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    left = int(self.headers.get("Content-Length") or 0)
                    while left:
                        chunk = self.rfile.read(min(left, 65536))
                        if not chunk:
                            return
                        left -= len(chunk)
                        yield chunk

            def _ask_upstream(self) -> tuple[http.client.HTTPResponse, bytes]:
                upstream = http.client.HTTPConnection("127.0.0.1", proxy.upstream, timeout=60)
                skipped = {"connection", "transfer-encoding", "accept-encoding"}
                headers = {key: value for key, value in self.headers.items() if key.lower() not in skipped}
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                has_body = chunked or int(self.headers.get("Content-Length") or 0)
                with contextlib.closing(upstream):
                    upstream.request(
                        self.command,
                        self.path,
                        body=self._body() if has_body else None,
                        headers=headers,
                        encode_chunked=chunked,
                    )
                    with upstream.getresponse() as answer:
                        content = answer.read()
                return answer, content

            def _forward(self, *, drip: bool) -> None:
                answer, content = self._ask_upstream()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in {"connection", "transfer-encoding", "date", "server"}:
                        self.send_header(key, value)
                if answer.getheader("Content-Length") is None:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                step = 200 if drip else len(content) or 1
                for start in range(0, len(content), step):
                    self.wfile.write(content[start : start + step])
                    if drip:
                        time.sleep(0.02)

            def handle(self) -> None:
                try:
                    super().handle()
                except (OSError, http.client.HTTPException, ValueError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler
