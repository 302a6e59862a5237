"""Reads children back and looks into them, each as soon as it is built: the way to the registry goes beside builds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from multibuild.journal.events import Event, PlatformEnded
from multibuild.journal.local_children import ChildStores, child_reference
from multibuild.journal.runs import RunDirectory, State
from multibuild.oci.image import Child, read_child
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession
from multibuild.plan.children import StagedChild
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import MAX_PARALLEL_IMAGES, LayerCache

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.sections import Verify
    from multibuild.journal.recorder import Recorder
    from multibuild.prove.content.proof import ContentProof

Key = tuple[Reference, Platform]

READS = 8
"""Children read ahead at the same time; builds want the processors more."""

T = TypeVar("T")


class _Left(Exception):
    """Nobody waits for what is being read."""


class ChildReader:
    """Gives children and their content proofs; what was begun earlier is waited for, not done twice.

    Safe from several threads. What goes wrong ahead of time is no error: it is done anew when it is asked for.
    """

    def __init__(
        self, verify: Verify, registries: RegistrySession, run: RunDirectory, cache: LayerCache
    ) -> None:
        """Read children from `registries`, or from `run`, and check their contents as `verify` says."""
        self.registries = registries
        self._verify = verify
        self._stores = ChildStores(registries, run)
        self._cache = cache
        self._reads = ThreadPoolExecutor(max_workers=READS)
        # Apart: tests wait for what is read, not for what is looked into.
        self._looks = ThreadPoolExecutor(max_workers=MAX_PARALLEL_IMAGES)
        self._children: dict[Key, Future[Child]] = {}
        self._proofs: dict[Key, Future[ContentProof]] = {}
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        for pool in (self._reads, self._looks):
            pool.shutdown(wait=False, cancel_futures=True)

    def on_event(self, event: Event) -> None:
        """Begin to read a child as soon as the journal tells of it."""
        match event:
            case PlatformEnded(status="succeeded" | "reused", digest=str(digest)):
                platform = Platform.literal(event.platform)
                self.begin(StagedChild(platform=platform, repository=event.repository, digest=digest))

    def begin(self, built: StagedChild) -> None:
        """Begin to read what was built, and to look into it after that."""
        key = child_reference(built.repository, built.digest), built.platform
        with suppress(RuntimeError):  # no more threads are to be had: then it is done when it is asked for
            child = self._reads.submit(self._read, *key)
            self._children[key] = child
            self._proofs[key] = self._looks.submit(lambda: self._prove(*key, child.result()))

    def child(self, reference: Reference, platform: Platform) -> Child:
        """Give a child as it was pushed; what `read_child` raises."""
        begun = _begun(self._children, (reference, platform))
        return begun or self._read(reference, platform)

    def proof(self, reference: Reference, platform: Platform, child: Child) -> ContentProof:
        """Give the proof of what is in a child; RegistryError for a layer that cannot be had."""
        begun = _begun(self._proofs, (reference, platform))
        return begun or self._prove(reference, platform, child)

    def _read(self, reference: Reference, platform: Platform) -> Child:
        return read_child(reference, self._stores.of(reference.host), platform)

    def _prove(self, reference: Reference, platform: Platform, child: Child) -> ContentProof:
        # Nobody needs it before the first child is there, and builds wait for imports.
        from multibuild.prove.content.proof import ImageContent, prove_content

        store = self._stores.of(reference.host)
        return prove_content(
            ImageContent(config=child.config.raw, layers=child.layers),
            platform=platform,
            mode=self._verify.content,
            ignore=self._verify.ignore,
            open_layer=lambda digest: self._wanted(store.blob(reference.repository, digest)),
            cache=self._cache,
        )

    def _wanted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._left:
                raise _Left
            yield chunk


@contextmanager
def child_reader(
    loaded: LoadedConfig, state: State, run: RunDirectory, recorder: Recorder
) -> Iterator[ChildReader]:
    """Open the registries of a config, and read children there or in `run`, each as soon as its build has ended."""
    cache = LayerCache(state.path / "layers")
    with (
        RegistrySession(loaded.config.registry_settings, on_wait=recorder.say) as registries,
        ChildReader(loaded.config.verify, registries, run, cache) as reader,
        recorder.listening(reader.on_event),
    ):
        yield reader


def _begun(futures: dict[Key, Future[T]], key: Key) -> T | None:
    """Wait for what was begun; None where nothing was, or where it went wrong."""
    future = futures.pop(key, None)
    try:
        return future.result() if future is not None else None
    except Exception:  # whatever it is: it comes again if it was not of that moment
        return None
