"""Children read and their content proved as soon as each is built, so that registry traffic overlaps with builds."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from multibuild.journal.events import Event, PlatformEnded
from multibuild.journal.local_children import ChildStores, child_reference
from multibuild.journal.runs import RunDirectory, State
from multibuild.oci.copy.consistency import VISIBILITY_TIMEOUT_S, wait_until_visible
from multibuild.oci.image import Child, read_child
from multibuild.oci.limits import RUN_LIMITS
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import StagedChild
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import MAX_PARALLEL_IMAGES, LayerCache

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.sections import Verify
    from multibuild.journal.recorder import Recorder
    from multibuild.prove.content.proof import ContentProof

Key = tuple[Reference, Platform]

MAX_PARALLEL_READS = 8
"""Children read at once; builds need the processors more."""

T = TypeVar("T")


class _ReaderClosed(Exception):
    """The reader was closed while a child was waited for, or a layer read."""


class ChildReader:
    """Reader of children and their content proofs, which waits for results already under way. Thread-safe.

    An error of a prefetch is dropped: the work is repeated when its result is requested.
    """

    def __init__(
        self,
        verify: Verify,
        registries: RegistrySession,
        run: RunDirectory,
        cache: LayerCache,
        proved: AbstractSet[str] = frozenset(),
    ) -> None:
        """Read children from `registries` or from `run`; `verify` configures their content proofs.

        Children with the digests `proved` are read, and not proved again unless that is requested.
        """
        self._proved = proved
        self.registries = registries
        self._verify = verify
        self._stores = ChildStores(registries, run)
        self._cache = cache
        self._read_pool = ThreadPoolExecutor(max_workers=MAX_PARALLEL_READS)
        # A pool of its own, as smoke tests wait for reads but not for proofs.
        self._proof_pool = ThreadPoolExecutor(max_workers=MAX_PARALLEL_IMAGES)
        self._children: dict[Key, Future[Child]] = {}
        self._proofs: dict[Key, Future[ContentProof]] = {}
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        for pool in (self._read_pool, self._proof_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def on_event(self, event: Event) -> None:
        """Prefetch a child as soon as its platform has ended."""
        match event:
            case PlatformEnded(status="succeeded" | "reused", digest=str(digest)):
                platform = Platform.literal(event.platform)
                staged = StagedChild(platform=platform, repository=event.repository, digest=digest)
                self.prefetch(staged, is_new=event.status == "succeeded")

    def prefetch(self, staged: StagedChild, *, is_new: bool = False) -> None:
        """Start to read a child, and then to prove its content.

        A new one was pushed a moment ago: some registries do not show it yet, which is waited for.
        """
        key = child_reference(staged.repository, staged.digest), staged.platform
        with suppress(
            RuntimeError
        ):  # no thread can be started: the work is done when its result is requested
            child = self._read_pool.submit(self._read_new if is_new else self._read, *key)
            self._children[key] = child
            if staged.digest in self._proved:
                return
            self._proofs[key] = self._proof_pool.submit(lambda: self._prove(*key, child.result()))

    def child(self, reference: Reference, platform: Platform) -> Child:
        """Return a child as it was pushed. Raises what `read_child` raises."""
        return _prefetched(self._children, (reference, platform)) or self._read(reference, platform)

    def proof(self, reference: Reference, platform: Platform, child: Child) -> ContentProof:
        """Return a child's content proof. Raises RegistryError for a layer that cannot be read."""
        return _prefetched(self._proofs, (reference, platform)) or self._prove(reference, platform, child)

    def _read(self, reference: Reference, platform: Platform) -> Child:
        return read_child(reference, self._stores.of(reference.host), platform)

    def _read_new(self, reference: Reference, platform: Platform) -> Child:
        children: list[Child] = []
        store = self._stores.of(reference.host)

        def check() -> None:
            if self._is_closed:
                raise _ReaderClosed
            child = self._read(reference, platform)
            for attestation in child.attestations:
                store.manifest(reference.with_digest(attestation.digest))
            children.append(child)

        wait_until_visible(check, timeout_s=VISIBILITY_TIMEOUT_S)
        return children[0]

    def _prove(self, reference: Reference, platform: Platform, child: Child) -> ContentProof:
        # Imported with the first child: builds would have to wait for it.
        from multibuild.prove.content.proof import ImageContent, prove_content

        store = self._stores.of(reference.host)
        return prove_content(
            ImageContent(config=child.config.raw, layers=child.layers),
            platform=platform,
            mode=self._verify.content,
            ignore=self._verify.ignore,
            open_layer=lambda digest: self._until_closed(store.blob(reference.repository, digest)),
            cache=self._cache,
        )

    def _until_closed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._is_closed:
                raise _ReaderClosed
            yield chunk


@contextmanager
def child_reader(
    loaded: LoadedConfig,
    state: State,
    run: RunDirectory,
    recorder: Recorder,
    *,
    proved: AbstractSet[str] = frozenset(),
) -> Iterator[ChildReader]:
    """Open the registries of a config and prefetch each child from there or from `run` when its build has ended.

    `proved` are the digests of children whose content was proved before.
    """
    cache = LayerCache(state.path / "layers")
    with (
        RegistrySession(
            loaded.config.registry_settings, on_wait=recorder.say, limits=RUN_LIMITS
        ) as registries,
        ChildReader(loaded.config.verify, registries, run, cache, proved) as reader,
        recorder.listening(reader.on_event),
    ):
        yield reader


def _prefetched(futures: dict[Key, Future[T]], key: Key) -> T | None:
    """Wait for a prefetch and return its result; None without one or after an error."""
    future = futures.pop(key, None)
    try:
        return future.result() if future is not None else None
    except Exception:  # of any kind: unless it was temporary, it is raised again when the work is repeated
        return None
