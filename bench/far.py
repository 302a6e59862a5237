"""A distant registry: a TCP relay that delays every byte by half a round trip, each way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024


class Far:
    """`with Far(5000, seconds=0.05) as far:` relays `far.host` to localhost:5000."""

    def __init__(self, upstream: int, *, seconds: float) -> None:
        """`seconds` is the whole round trip."""
        self._upstream = upstream
        self._half = seconds / 2
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._relay, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection costs a round trip before its first byte goes.
        await asyncio.sleep(2 * self._half)
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        await asyncio.gather(
            self._delay(reader, downstream), self._delay(upstream, writer), return_exceptions=True
        )

    async def _delay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Copy in order, each chunk delayed by itself."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivery = asyncio.ensure_future(self._deliver(due, sink))
        with contextlib.suppress(OSError):
            while chunk := await source.read(CHUNK):
                due.put_nowait((self._loop.time() + self._half, chunk))
        due.put_nowait((self._loop.time() + self._half, b""))
        await delivery

    async def _deliver(self, due: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                when, chunk = await due.get()
                await asyncio.sleep(max(0.0, when - self._loop.time()))
                if not chunk:
                    break
                sink.write(chunk)
                await sink.drain()
            sink.close()
