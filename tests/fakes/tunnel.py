"""A corporate proxy: CONNECT always leads to one backend, whatever the target."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Tunnel:
    """`with Tunnel(host) as proxy:` serves at `proxy.host`; `targets` records the requested hosts."""

    def __init__(self, backend):
        self.targets: list[str] = []
        tunnel = self

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self):
                tunnel.targets.append(self.path)
                name, _, port = backend.partition(":")
                with socket.create_connection((name, int(port)), 30) as onward:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=pipe, args=(onward, self.connection), daemon=True)
                    back.start()
                    pipe(self.connection, onward)
                    back.join(30)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def pipe(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
