"""An engine that is asked before anybody needs the answers: docker takes as long for them as Python for imports."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from multibuild.engine import BuilderInfo, DockerEngine, EngineInfo


class EngineAskedAhead(DockerEngine):
    """A DockerEngine whose first `info` and first `builders` are on their way as soon as it is made."""

    def __init__(self) -> None:
        """Ask both, one after the other: `info` tells where the plugin is."""
        super().__init__()
        pool = ThreadPoolExecutor(max_workers=1)
        self._info: Future[EngineInfo] | None = pool.submit(super().info)
        self._builders: Future[tuple[BuilderInfo, ...]] | None = pool.submit(super().builders)
        pool.shutdown(wait=False)

    def info(self) -> EngineInfo:
        """Give the first answer once; after that ask anew."""
        ahead, self._info = self._info, None
        return ahead.result() if ahead is not None else super().info()

    def builders(self) -> tuple[BuilderInfo, ...]:
        """Give the first answer once; after that ask anew."""
        ahead, self._builders = self._builders, None
        return ahead.result() if ahead is not None else super().builders()
