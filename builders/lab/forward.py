"""A TCP port to the BuildKit inside dockerd: a real `remote` builder without a BuildKit image.

dockerd serves BuildKit's API itself: `POST /grpc` with an upgrade to h2c answers 101 and is then a raw gRPC stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

from builders.lab.paths import LabError

_UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"


async def forward(socket: Path, port: int, tls: tuple[Path, Path, Path] | None = None) -> None:
    """Forward 127.0.0.1:port to the engine until cancelled. `tls`: certificate, key and the CA of clients."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            upstream, downstream = await asyncio.open_unix_connection(str(socket))
            with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(downstream):
                downstream.write(_UPGRADE)
                answer = await upstream.readuntil(b"\r\n\r\n")
                if b" 101 " in answer.split(b"\r\n", 1)[0]:
                    await asyncio.gather(_copy(reader, downstream), _copy(upstream, writer))

    try:
        server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=_context(tls))
    except (OSError, OverflowError) as error:
        raise LabError(
            f"cannot serve 127.0.0.1:{port}: {error}", "is the port free, are the files PEM?"
        ) from None
    print(f"forwarding 127.0.0.1:{port} to {socket}", flush=True)
    async with server:
        await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


def _context(tls: tuple[Path, Path, Path] | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    certificate, key, authority = tls
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    return context
