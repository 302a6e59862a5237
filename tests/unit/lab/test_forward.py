"""The forwarder, against an engine of a few lines."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest
from waiting import PATIENCE_S

from builders.lab.forward import forward
from builders.lab.paths import LabError


@contextlib.asynccontextmanager
async def forwarding(path: Path, status: str):
    """Serve a fake engine that upgrades (or not) and then echoes; give the TCP port that leads to it."""

    ended = asyncio.Event()

    async def engine(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"POST /grpc HTTP/1.1\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nUpgrade: h2c\r\n\r\n".encode())
        while data := await reader.read(100):
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        ended.set()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with await asyncio.start_unix_server(engine, str(path)):
        task = asyncio.create_task(forward(path, port))
        try:
            yield port
            await asyncio.wait_for(ended.wait(), PATIENCE_S)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def dial(port: int):
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.02)


async def test_bytes_go_both_ways_after_the_upgrade(tmp_path):
    async with forwarding(tmp_path / "s", "101 UPGRADED") as port:
        reader, writer = await dial(port)
        writer.write(b"PRI * HTTP/2.0")
        assert await asyncio.wait_for(reader.readexactly(14), PATIENCE_S) == b"PRI * HTTP/2.0"
        writer.close()
        await writer.wait_closed()


async def test_an_engine_that_does_not_upgrade_closes_the_connection(tmp_path):
    async with forwarding(tmp_path / "s", "404 Not Found") as port:
        reader, writer = await dial(port)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
        await writer.wait_closed()


async def test_a_taken_port_is_an_error_with_a_hint(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LabError, match="cannot serve"):
            await forward(tmp_path / "s", taken.getsockname()[1])
