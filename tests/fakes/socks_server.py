"""A SOCKS 5 proxy that always leads to one backend, whatever the target; it records targets (RFC 1928, RFC 1929)."""

import ipaddress
import socket
import socketserver
import threading

from fakes.tunnel import pipe


class SocksServer:
    """`with SocksServer(host) as proxy:` serves at `proxy.host`. `reply` other than 0 refuses every connection."""

    def __init__(self, backend, *, login=None, reply=0):
        self.targets: list[tuple[str, int]] = []
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                if not self._logged_in():
                    return
                *_, kind = self.rfile.read(4)
                owner.targets.append((self._name(kind), int.from_bytes(self.rfile.read(2), "big")))
                self.wfile.write(bytes([5, reply, 0, 1]) + bytes(6))
                if reply:
                    return
                name, _, port = backend.partition(":")
                with socket.create_connection((name, int(port)), 30) as onward:
                    threading.Thread(target=pipe, args=(onward, self.connection), daemon=True).start()
                    pipe(self.connection, onward)

            def _logged_in(self):
                methods = self.rfile.read(self.rfile.read(2)[1])
                wanted = 0 if login is None else 2
                self.wfile.write(bytes([5, wanted if wanted in methods else 255]))
                if login is None:
                    return True
                name = self.rfile.read(self.rfile.read(2)[1])
                password = self.rfile.read(self.rfile.read(1)[0])
                self.wfile.write(bytes([1, (name, password) != login]))
                return (name, password) == login

            def _name(self, kind):
                if kind == 3:
                    return self.rfile.read(self.rfile.read(1)[0]).decode()
                return str(ipaddress.ip_address(self.rfile.read(4 if kind == 1 else 16)))

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
