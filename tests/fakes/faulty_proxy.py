"""A proxy between BuildKit and the registry that fails on demand, like networks and registries."""

import contextlib
import http.client
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

# Code and message as registry 2.8 sends them.
_ERRORS = {
    400: ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"),
    401: ("UNAUTHORIZED", "authentication required"),
    403: ("DENIED", "requested access to the resource is denied"),
    429: ("TOOMANYREQUESTS", "too many requests"),
}


@dataclass
class Rule:
    """Requests that match fail while `times` lasts.

    `message`: of a status, in the registry's own JSON; `html` instead of that, as a proxy before a registry answers.
    `action`: a status, or "reset" (in mid-body), "lost" (done, unanswered), "hang", or "drip" (slow both ways).
    """

    method: str
    path: str
    action: int | str
    times: int = 10**9
    headers: dict[str, str] = field(default_factory=dict)
    code: str = ""
    message: str = ""
    html: bool = False
    hits: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def matches(self, method: str, path: str) -> bool:
        if self.cancelled.is_set() or self.hits >= self.times or method != self.method:
            return False
        if not re.search(self.path, path):
            return False
        self.hits += 1
        return True


@dataclass
class Trigger:
    """Calls `act` at the request with `number` (from 1) among those that match.

    Before forwarding it (which is then dropped if `lost`), or with `answered` after that, dropping the response.
    """

    number: int
    act: Callable[[], None]
    match: str = ""
    answered: bool = False
    lost: bool = True
    hits: int = 0

    def fires(self, request: str) -> bool:
        if not re.search(self.match, request):
            return False
        self.hits += 1
        return self.hits == self.number


class FaultyProxy:
    """Forwards to the registry on localhost:`upstream`; `rules` are its faults.

    `log` records every request, `manifests` every manifest that was put: (repository, reference, content).
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.rules: list[Rule] = []
        self.triggers: list[Trigger] = []
        self.log: list[str] = []
        self.manifests: list[tuple[str, str, bytes]] = []
        self.requires_tokens = False
        self.tokens: set[str] = set()
        self.token_count = 0
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
            rule.cancelled.set()
        self._server.shutdown()
        self._server.server_close()

    def at(self, number: int, act: Callable[[], None], **more: object) -> Trigger:
        self.triggers.append(Trigger(number, act, **more))  # type: ignore[arg-type]
        return self.triggers[-1]

    def _pick(self, method: str, path: str) -> tuple[Rule | None, Trigger | None]:
        with self._lock:
            self.log.append(f"{method} {path}")
            fired = [trigger for trigger in self.triggers if trigger.fires(f"{method} {path}")]
            return next((rule for rule in self.rules if rule.matches(method, path)), None), next(
                iter(fired), None
            )

    def expire_tokens(self) -> None:
        """Expire every token issued so far."""
        self.tokens.clear()

    def _new_token(self) -> str:
        with self._lock:
            self.token_count += 1
            token = f"token-{self.token_count}"
            self.tokens.add(token)
        return token

    def _record_manifest(self, path: str, content: bytes) -> None:
        if match := re.fullmatch(r"/v2/(.+)/manifests/([^/?]+)", path):
            with self._lock:
                self.manifests.append((match[1], match[2], content))

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            # A TLS hello gets an HTTP response, so that the engine detects plain http and falls back to it.
            default_request_version = "HTTP/1.0"

            def _serve(self) -> None:
                if proxy.requires_tokens and not self._authorized():
                    return
                rule, trigger = proxy._pick(self.command, self.path)
                if trigger is not None and not trigger.answered:
                    trigger.act()
                    if trigger.lost:
                        self._reset()
                        return
                    trigger = None
                if rule is not None and isinstance(rule.action, int):
                    self._drain()
                    self._refuse(rule)
                elif rule is not None and rule.action == "reset":
                    for _ in itertools.islice(self._body(step=1000), 2):
                        pass
                    self._reset()
                elif rule is not None and rule.action == "lost":
                    self._ask_upstream()
                    self._reset()
                elif rule is not None and rule.action == "hang":
                    rule.cancelled.wait(60)
                    self._reset()
                else:
                    self._forward(drip=rule is not None, trigger=trigger)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def _authorized(self) -> bool:
                """Issue tokens, and refuse requests without a valid one (distribution, token authentication)."""
                if self.path.startswith("/token"):
                    body = f'{{"token":"{proxy._new_token()}","expires_in":3600}}'.encode()
                    self._answer(200, {"Content-Type": "application/json"}, body)
                    return False
                if self.headers.get("Authorization", "").removeprefix("Bearer ") in proxy.tokens:
                    return True
                self._drain()
                scope = re.sub(r"^/v2/(.+)/(?:manifests|blobs)/.*$", r"repository:\1:pull,push", self.path)
                realm = f'Bearer realm="http://{proxy.host}/token",service="lab",scope="{scope}"'
                body = b'{"errors":[{"code":"UNAUTHORIZED","message":"token expired"}]}'
                self._answer(401, {"WWW-Authenticate": realm}, body)
                return False

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _drain(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    self.close_connection = True

            def _refuse(self, rule: Rule) -> None:
                assert isinstance(rule.action, int)
                if rule.html:
                    page = f"<html><body><h1>{rule.action}</h1><hr>nginx</body></html>"
                    self._answer(rule.action, {"Content-Type": "text/html", **rule.headers}, page.encode())
                    return
                code, message = _ERRORS.get(rule.action, ("UNKNOWN", "unknown error"))
                error = {"code": rule.code or code, "message": rule.message or message}
                body = json.dumps({"errors": [error]}).encode()
                self._answer(rule.action, {"Content-Type": "application/json", **rule.headers}, body)

            def _reset(self) -> None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()

            def _body(self, step=65536, pause=0.0):
                for chunk in self._chunks(step):
                    time.sleep(pause)
                    yield chunk

            def _chunks(self, step):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        yield self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    remaining = int(self.headers.get("Content-Length") or 0)
                    while remaining:
                        chunk = self.rfile.read(min(remaining, step))
                        if not chunk:
                            return
                        remaining -= len(chunk)
                        yield chunk

            def _ask_upstream(self, *, drip: bool = False) -> tuple[http.client.HTTPResponse, bytes]:
                skipped = {"connection", "transfer-encoding", "accept-encoding"}
                headers = {key: value for key, value in self.headers.items() if key.lower() not in skipped}
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                has_body = chunked or int(self.headers.get("Content-Length") or 0)
                body: object = self._body(*((4096, 0.02) if drip else ())) if has_body else None
                if self.command == "PUT" and "/manifests/" in self.path:
                    body = b"".join(self._body())
                    if not chunked and len(body) != int(self.headers.get("Content-Length") or 0):
                        raise ConnectionError("the client is gone in mid-body: that is no request")
                    proxy._record_manifest(self.path, body)
                    headers["Content-Length"], chunked = str(len(body)), False
                upstream = http.client.HTTPConnection("127.0.0.1", proxy.upstream, timeout=60)
                with contextlib.closing(upstream):
                    upstream.request(
                        self.command,
                        self.path,
                        body=body,  # type: ignore[arg-type]
                        headers=headers,
                        encode_chunked=chunked,
                    )
                    with upstream.getresponse() as answer:
                        content = answer.read()
                return answer, content

            def _forward(self, *, drip: bool, trigger: Trigger | None) -> None:
                try:
                    answer, content = self._ask_upstream(drip=drip)
                except BaseException:
                    # A client that was killed in mid-body, also one of the run before: nothing was passed on.
                    if trigger is not None:
                        trigger.hits -= 1
                    raise
                if trigger is not None:
                    trigger.act()
                    self._reset()
                    return
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
