"""A server of files for steps that download: while it is broken, it resets every connection."""

import socket
import struct
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


class DownloadServer:
    """Serves `folder` on every address of this machine. `requests` counts them by what became of them."""

    def __init__(self, folder: Path, *, broken: bool) -> None:
        self.broken = threading.Event()
        if broken:
            self.broken.set()
        self.resets = 0
        self.answers = 0
        self._server = ThreadingHTTPServer(("0.0.0.0", 0), self._handler(folder))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(server, folder: Path) -> type[SimpleHTTPRequestHandler]:
        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self) -> None:
                if server.broken.is_set():
                    server.resets += 1
                    self._reset()
                else:
                    server.answers += 1
                    super().do_GET()

            def _reset(self) -> None:
                """End the connection with RST: with no time to linger, what was not sent is dropped."""
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()

            def handle(self) -> None:
                try:
                    super().handle()
                except (OSError, ValueError):  # of a connection that it has closed
                    self.close_connection = True

            def finish(self) -> None:
                try:
                    super().finish()
                except (OSError, ValueError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler
