"""Sign what is published: the index and each of its images, in every repository, before any tag moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.child_process import ChildStopped
from multibuild.errors import NO_TAG_MOVED, EnvironmentFault, Interrupted, PublishFailed
from multibuild.frozen import frozen
from multibuild.journal.events import ImageSigned
from multibuild.oci.copy.children import MAX_PARALLEL_HEADS
from multibuild.oci.copy.companions import signature_tags
from multibuild.oci.copy.copier import Repository
from multibuild.oci.copy.referrers import list_referrers
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.oci.store import Stores
from multibuild.publish.cosign import Cosign, CosignFailed, registry_flags
from multibuild.retry_calls import Backoff, retry

if TYPE_CHECKING:
    from multibuild.config.publishing.sign import Sign
    from multibuild.plan.plan import Plan
    from multibuild.publish.move_tags import Publication

MAX_REFERENCES = 32
"""What one process signs: it opens the key once, and its time limit is for all of them."""

MAX_ATTEMPTS = 3
INITIAL_WAIT_S = 2.0

REPOSITORY_VARIABLE = "COSIGN_REPOSITORY"
"""The variable with which users keep signatures in a repository of their own (sigstore/cosign pkg/cosign/env)."""


@frozen
class Signer:
    """Signs the publications of one image. `registries` are settings by host, `sleep` waits before another attempt."""

    sign: Sign
    project: Path
    registries: Mapping[str, RegistrySettings]
    cosign: Cosign
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, publication: Publication) -> None:
        """Sign a pushed index and its images in every repository, and record it.

        What has a signature of the key already is left as it is. Raises PublishFailed for what cannot be signed,
        EnvironmentFault when cosign cannot be started, Interrupted.
        """
        digests = digests_to_sign(publication.index)
        for destination in publication.destinations:
            new = self._sign(destination.repository, digests, publication.stores)
            publication.emit(
                ImageSigned(repository=destination.repository.name, digests=digests, new=tuple(new))
            )

    def signed(self, repository: Reference, digests: Sequence[str], stores: Stores) -> frozenset[str]:
        """Return the digests that have a valid signature of the key; none where signing is keyless.

        Raises CosignFailed when cosign cannot use the key, EnvironmentFault when it cannot be started.
        """
        return frozenset(digests) - frozenset(self._unsigned(repository, digests, stores))

    def lacks_signature(self, repository: Reference, digests: Sequence[str], stores: Stores) -> bool:
        """Whether one of the digests has no signature of the key.

        Where the key or cosign is missing, and where signing is keyless, any signature counts.
        """
        if not self.sign.keyless:
            with suppress(CosignFailed, EnvironmentFault):
                return bool(self._unsigned(repository, digests, stores))
        return len(self._perhaps_signed(repository, digests, stores)) < len(digests)

    def _sign(self, repository: Reference, digests: Sequence[str], stores: Stores) -> list[str]:
        """Return the digests that had no valid signature before."""
        new: dict[str, None] = {}
        try:
            for batch in _batches(digests):
                retry(
                    lambda batch=batch: self._sign_batch(repository, batch, stores, new),  # type: ignore[misc]
                    self._backoff(repository),
                    sleep=self.sleep,
                )
        except ChildStopped:
            raise Interrupted("interrupted before any tag was moved") from None
        except CosignFailed as error:
            count = len(new) or len(digests)
            failed = f"{count} of {len(digests)} digests could not be signed, {NO_TAG_MOVED}"
            raise PublishFailed(
                f"{repository}: {failed}: {error.message}",
                hint=_hint(self.sign, error),
            ) from None
        return [digest for digest in digests if digest in new]

    def _sign_batch(
        self, repository: Reference, digests: Sequence[str], stores: Stores, new: dict[str, None]
    ) -> None:
        """Sign what has no valid signature, and add it to `new`: a failed attempt may have signed some of it."""
        unsigned = self._unsigned(repository, digests, stores)
        new.update(dict.fromkeys(unsigned))
        if not unsigned:
            return
        flags = (*self._log_flags(), *self._registry_flags(repository))
        self.cosign.run(sign_arguments(self.sign, self.project, flags, _names(repository, unsigned)))
        if missing := set(unsigned).difference(self._perhaps_signed(repository, unsigned, stores)):
            # A registry may show it late; cosign may be a script that does nothing.
            raise CosignFailed(
                f"cosign ends well, and {min(missing)} has no signature in the registry", is_transient=True
            )

    def _backoff(self, repository: Reference) -> Backoff[CosignFailed]:
        return Backoff(
            error=CosignFailed,
            is_transient=lambda error: error.is_transient and not self.cosign.is_stopped(),
            attempts=MAX_ATTEMPTS,
            initial=INITIAL_WAIT_S,
            before_wait=lambda error, wait: self.say(
                f"{repository}: {error.message}; signing again after {wait:.0f} s"
            ),
        )

    def _unsigned(self, repository: Reference, digests: Sequence[str], stores: Stores) -> list[str]:
        """Return the digests without a signature that the key made; of no key nobody knows which one that would be."""
        key = self.sign.key_argument(self.project)
        if key is None:
            return list(digests)
        candidates = self._perhaps_signed(repository, digests, stores)
        if not candidates:
            return list(digests)
        public_key = self.cosign.public_key(key)
        flags = (
            *([] if self.sign.tlog else ["--insecure-ignore-tlog=true"]),
            *self._registry_flags(repository),
        )

        def is_signed(some: Sequence[str]) -> bool:
            return self.cosign.is_signed(_names(repository, some), public_key, flags)

        signed = set(candidates) if is_signed(candidates) else {one for one in candidates if is_signed([one])}
        return [digest for digest in digests if digest not in signed]

    def _perhaps_signed(self, repository: Reference, digests: Sequence[str], stores: Stores) -> list[str]:
        """Return the digests of which there is anything that cosign could find: asking it takes a process."""
        with ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as pool:
            may_be = list(pool.map(lambda digest: self._may_be_signed(repository, digest, stores), digests))
        return [digest for digest, is_one in zip(digests, may_be, strict=True) if is_one]

    def _may_be_signed(self, repository: Reference, digest: str, stores: Stores) -> bool:
        """Whether there is anything that cosign could find, or that is not known."""
        store, errors = stores.of(repository.host), list[RegistryError]()
        try:
            if REPOSITORY_VARIABLE in self.cosign.environ or any(
                store.head(repository.with_tag(tag)) for tag in signature_tags(digest)[:1]
            ):
                return True
            return bool(
                list_referrers(digest, Repository(reference=repository, store=store), errors.append) or errors
            )
        except RegistryError:
            return True

    def _log_flags(self) -> tuple[str, ...]:
        """Return the flags that keep signatures out of the transparency log; version 3 has to be told twice."""
        if self.sign.tlog:
            return ()
        more = ("--use-signing-config=false",) if self.cosign.has_signing_config() else ()
        return ("--tlog-upload=false", *more)

    def _registry_flags(self, repository: Reference) -> tuple[str, ...]:
        host = repository.host
        return registry_flags(self.registries.get(host) or RegistrySettings(host=host))


def sign_arguments(
    sign: Sign, project: Path, flags: Sequence[str], references: Sequence[str]
) -> tuple[str, ...]:
    """Return the arguments that sign references by digest.

    Without a key cosign would wait for a login in a browser that nobody sees: it has the CI's token, or it fails.
    """
    key = sign.key_argument(project)
    identity = ("--key", key) if key is not None else ("--fulcio-auth-flow", "token")
    return ("sign", "--yes", "--timeout", f"{sign.timeout:.0f}s", *identity, *flags, *references)


def digests_to_sign(index: Manifest) -> tuple[str, ...]:
    """Return the digests of an index and its images, each once: clients verify either. Attestations are covered."""
    images = (entry.digest for entry in index.entries if not entry.is_attestation)
    return tuple(dict.fromkeys((index.digest, *images)))


def signer_of(plan: Plan, sign: Sign, say: Callable[[str], None]) -> Signer:
    """Return what verifies the signatures of a plan's images."""
    return Signer(
        sign=sign,
        project=plan.project,
        registries=plan.registries,
        cosign=Cosign(timeout_s=sign.timeout),
        say=say,
    )


def find_unsigned(
    plan: Plan, index: Manifest, stores: Stores, say: Callable[[str], None]
) -> Reference | None:
    """Return the first repository of a plan in which a published index or one of its images has no signature.

    None where everything has one, and where the config signs nothing.
    """
    if plan.sign is None:
        return None
    signer = signer_of(plan, plan.sign, say)
    repositories = [Reference.parse(target.repository) for target in plan.targets]
    digests = digests_to_sign(index)
    return next((one for one in repositories if signer.lacks_signature(one, digests, stores)), None)


def check_signing(signs: Iterable[tuple[Sign, Path]], *, cosign: Callable[[float], Cosign]) -> Iterator[str]:
    """Yield a sentence for each (section, project) whose key cosign can use; EnvironmentFault for one that it cannot.

    `cosign` makes one of a time limit in seconds.
    """
    for sign, project in dict.fromkeys(signs):
        program, key = cosign(sign.timeout), sign.key_argument(project)
        try:
            version = program.version()
            if key is not None:
                program.public_key(key)
        except CosignFailed as error:
            raise EnvironmentFault(
                f"sign: cosign cannot use {sign.identity}: {error.message}", hint=_hint(sign, error)
            ) from None
        yield f"cosign {version} signs with {sign.identity}"


def _hint(sign: Sign, error: CosignFailed) -> str:
    if sign.keyless:
        return (
            "it signs with the job's identity token: in GitHub Actions `permissions: {id-token: write}` gives the job"
            " one, elsewhere SIGSTORE_ID_TOKEN has it"
        )
    if "decrypt" in error.message:
        return "COSIGN_PASSWORD in the environment must be the password of the key"
    return "the next run signs what has no signature yet; `cosign sign` by hand says more"


def _names(repository: Reference, digests: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(repository.with_digest(digest)) for digest in digests)


def _batches(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), MAX_REFERENCES):
        yield digests[start : start + MAX_REFERENCES]
