"""An engine that is asked before anybody needs the answers: docker takes as long for them as Python for imports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from multibuild.engine.docker import BuilderInfo, DockerEngine, EngineInfo

_OTHERWISE = re.compile(r"--(?:help|dry-run|if-changed|verbose)\Z|-[a-z]*v")
"""Flags with which no engine may be needed, or every command is told of as it is run."""


class EngineAskedAhead(DockerEngine):
    """A DockerEngine whose first answers are on their way as soon as it is made."""

    @classmethod
    def for_flags(cls, words: Sequence[str]) -> EngineAskedAhead | None:
        """Make it for the flags of a build, which nobody has checked yet; None where they may not want it."""
        return None if any(_OTHERWISE.match(word) for word in words) else cls()

    def __init__(self) -> None:
        """Ask one after the other: `info` tells where the plugin is, the builders whether an image matters."""
        super().__init__()
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._info: Future[EngineInfo] | None = self._pool.submit(super().info)
        self._builders: Future[tuple[BuilderInfo, ...]] | None = self._pool.submit(super().builders)
        self._image: Future[bool | None] | None = self._pool.submit(self._has_buildkit, self._builders)
        self._pool.shutdown(wait=False)

    def forget(self) -> None:
        """Ask no more, and end what is being asked: the command is over."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._questions.end()

    def info(self) -> EngineInfo:
        """Give the first answer once; after that ask anew."""
        ahead, self._info = self._info, None
        return ahead.result() if ahead is not None else super().info()

    def builders(self) -> tuple[BuilderInfo, ...]:
        """Give the first answer once; after that ask anew."""
        ahead, self._builders = self._builders, None
        return ahead.result() if ahead is not None else super().builders()

    def has_image(self, image: str) -> bool:
        """Give the first answer once, where it is of that image; after that ask anew."""
        from multibuild.host.choose_builder import BUILDKIT_IMAGE

        ahead, self._image = self._image, None
        known = ahead.result() if ahead is not None and image == BUILDKIT_IMAGE else None
        return super().has_image(image) if known is None else known

    def _has_buildkit(self, builders: Future[tuple[BuilderInfo, ...]]) -> bool | None:
        """Ask for the image on which `builder: auto` depends where no builder of ours is there yet."""
        from multibuild.host.choose_builder import BUILDKIT_IMAGE, OWN_NAME

        if any(builder.name == OWN_NAME for builder in builders.result()):
            return None
        return super().has_image(BUILDKIT_IMAGE)
