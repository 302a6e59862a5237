"""Copy what belongs to an image and is not in it: signatures, attestations, SBOMs, which are optional by default."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

from multibuild.errors import PublishFailed
from multibuild.frozen import frozen
from multibuild.oci.copy.copier import Copier, Repository
from multibuild.oci.copy.referrers import (
    Referrer,
    add_to_fallback_tag,
    fallback_tag,
    list_referrers,
    read_referrer,
)
from multibuild.oci.copy.target import stored_descriptor
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import LimitExceeded
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference

SIGNATURE_SUFFIXES = ("sig", "att", "sbom")
"""Cosign's tags from before there were referrers: `sha256-<hex>.sig` (sigstore/cosign specs/SIGNATURE_SPEC.md)."""

_SIGNATURE_TYPES = ("signature", "cosign", "sigstore")
"""Words in the artifactType of signatures: Notary Project's, cosign's, and Sigstore's bundles."""

MAX_REFERRER_DEPTH = 4
"""Of referrers to referrers; the signature of an SBOM is two deep."""

MAX_REPORTED = 5
"""Lines about what was left out; one of them counts the rest."""


Step = Callable[[], object]
"""Copies what was found; raises LimitExceeded only."""

Lookup = Callable[[], Step | None]
"""Reads from the source alone; None where nothing was found. Raises LimitExceeded only."""

T = TypeVar("T")


def _ignore(_message: str, /) -> None:
    return None


@frozen
class CompanionPolicy:
    """What to do about companions. `report` gets a line for each that was left out.

    "optional": one that cannot be read or written is left out; "complete": nothing may be left out; "required": nor
    may an image be without a signature; "omit": none is copied. `hint` is what to do about what may not be left out.
    `note` gets the name of each companion that the target has afterwards.
    """

    mode: Literal["optional", "complete", "required", "omit"] = "optional"
    report: Callable[[str], None] = _ignore
    note: Callable[[str], None] = _ignore
    hint: str = "without --require-signatures they are left out"


OPTIONAL = CompanionPolicy()


@dataclass
class CompanionCopier:
    """Copies companions into one repository, from several threads; collects what was left out, and who is signed."""

    copier: Copier
    policy: CompanionPolicy
    _left_out: list[str] = field(default_factory=list)
    _signed: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, digest: str, source: Repository, depth: int = 0) -> tuple[Lookup, ...]:
        """Return what looks for the companions of a manifest, each by itself, in any order and at once.

        `depth` says how many referrers lie between it and an image.
        """
        if self.policy.mode == "omit":
            return ()
        if self.policy.mode == "optional":
            source = Repository(reference=source.reference, store=source.store.impatient)
        return (
            partial(self._find_referrers, digest, source, depth),
            *(partial(self._find_tag, digest, tag, source) for tag in signature_tags(digest)),
        )

    def finish(self, index: Manifest) -> None:
        """Report what was left out; PublishFailed for that, and for a missing signature, where they are required."""
        if self._left_out and self.policy.mode in {"complete", "required"}:
            raise PublishFailed(
                f"what belongs to the images must be copied: {self._left_out[0]}", hint=self.policy.hint
            )
        if self.policy.mode == "required":
            self._require_signed(index)
        lines = list(dict.fromkeys(self._left_out))
        for line in lines[:MAX_REPORTED]:
            self.policy.report(f"left out: {line}")
        if len(lines) > MAX_REPORTED:
            self.policy.report(
                f"left out: {len(lines) - MAX_REPORTED} more signatures, attestations or SBOMs"
            )

    def _require_signed(self, index: Manifest) -> None:
        images = (
            {entry.digest for entry in index.entries if not entry.is_attestation} if index.is_index else set()
        )
        unsigned = sorted(images - self._signed)
        if unsigned and index.digest not in self._signed:
            raise PublishFailed(
                f"{len(unsigned)} of {len(images)} images have no signature: {unsigned[0]}",
                hint=self.policy.hint,
            )

    def _find_referrers(self, digest: str, source: Repository, depth: int) -> Step | None:
        skip = partial(self._leave_out, f"what refers to {source.reference.name}@{digest}")
        found = list_referrers(digest, source, skip)
        return partial(self._copy_referrers, found, digest, source, depth) if found else None

    def _copy_referrers(self, found: Sequence[str], digest: str, source: Repository, depth: int) -> None:
        subject = f"what refers to {source.reference.name}@{digest}"
        copied = []
        for referrer in found:
            name = f"{source.reference.name}@{referrer}"
            one = self._attempt(name, partial(self._copy_referrer, referrer, digest, source, depth))
            copied += [one] if one is not None else []
        if copied:
            entries = [referrer.descriptor for referrer in copied]
            self._attempt(subject, partial(add_to_fallback_tag, digest, entries, self.copier.target))

    def _copy_companions_of(self, referrer: str, source: Repository, depth: int) -> None:
        """Copy what refers to a referrer: the signature of an SBOM."""
        if depth > MAX_REFERRER_DEPTH and self.policy.mode == "optional":
            return
        if depth > MAX_REFERRER_DEPTH:
            raise RegistryError("invalid", f"{referrer} is more than {MAX_REFERRER_DEPTH} referrers deep")
        for look in self.find(referrer, source, depth):
            step = look()
            if step is not None:
                step()

    def _copy_referrer(self, digest: str, subject: str, source: Repository, depth: int) -> Referrer | None:
        """Copy one referrer; return it where the target's fallback tag must list it."""
        referrer = read_referrer(digest, subject, source)
        if source.reference.name == self.copier.target.reference.name:
            is_listed = True
        elif self.copier.has_manifest(digest):
            is_listed = self._is_listed(digest, subject)
        else:
            is_listed = self.copier.copy_manifest(digest, source) == subject
        if any(word in referrer.manifest.artifact_type for word in _SIGNATURE_TYPES):
            self._note_signature(subject)
        self.policy.note(f"{self.copier.target.reference.name}@{digest}")
        self._copy_companions_of(digest, source, depth + 1)
        return None if is_listed else referrer

    def _is_listed(self, digest: str, subject: str) -> bool:
        """Whether the target's API lists a referrer that it had already."""
        target = self.copier.target
        listed = target.store.referrers(target.reference.with_digest(subject))
        return listed is not None and digest in {entry.digest for entry in listed}

    def _find_tag(self, digest: str, tag: str, source: Repository) -> Step | None:
        name = source.reference.with_tag(tag)
        try:
            # Not HEAD, which some proxies answer with 404 for what they have.
            signature = source.store.manifest(name)
        except LimitExceeded:
            raise
        except RegistryError as error:
            if error.kind != "not-found":
                self._leave_out(str(name), error)
            return None
        if signature.digest == digest:
            return None
        copy = partial(self._copy_tag, signature, digest, tag, source)
        return partial(self._attempt, str(name), copy)

    def _copy_tag(self, signature: Manifest, digest: str, tag: str, source: Repository) -> None:
        target = self.copier.target.reference.with_tag(tag)
        if source.reference.name != target.name and not self._has_all_of(signature, target):
            self.copier.copy_manifest(signature.digest, source, tag=tag)
        if tag.endswith(".sig"):
            self._note_signature(digest)
        self.policy.note(str(target))

    def _has_all_of(self, signature: Manifest, tag: Reference) -> bool:
        """Whether the target's tag holds every layer of a companion (each is a signature, others may be added).

        Two keys that sign the same text make the same layer; their signatures are its annotations. False for no such
        tag, RegistryError for one that holds something else: it must not be overwritten.
        """
        store = self.copier.target.store
        stored = stored_descriptor(store, tag)
        if stored is None or stored.digest == signature.digest:
            return stored is not None
        present = store.manifest(tag).descriptors_in("layers")
        if all(layer in present for layer in signature.descriptors_in("layers")):
            return True
        raise RegistryError("invalid", f"{tag} is there and is another one: it is not overwritten")

    def _attempt(self, name: str, action: Callable[[], T]) -> T | None:
        """Return what an action returns; an error that is not of our own limits leaves the companion out."""
        try:
            return action()
        except LimitExceeded:
            raise
        except PublishFailed as error:
            self._leave_out(name, error)
            return None

    def _leave_out(self, name: str, error: PublishFailed) -> None:
        if isinstance(error, LimitExceeded):
            raise error
        with self._lock:
            self._left_out.append(error.message if name in error.message else f"{name}: {error.message}")

    def _note_signature(self, digest: str) -> None:
        with self._lock:
            self._signed.add(digest)


def signature_tags(digest: str) -> tuple[str, ...]:
    """Return cosign's tags of a digest; none for sha512, whose digits are more than a tag can have."""
    if not digest.startswith("sha256:"):
        return ()
    return tuple(f"{fallback_tag(digest)}.{suffix}" for suffix in SIGNATURE_SUFFIXES)


def list_subject(index: Manifest, target: Repository, noted: str, policy: CompanionPolicy) -> None:
    """List a pushed index under its subject's fallback tag unless the registry `noted` the subject itself."""
    subject = index.subject
    if not subject or noted == subject or policy.mode == "omit":
        return
    try:
        add_to_fallback_tag(subject, [Referrer(manifest=index).descriptor], target)
    except RegistryError as error:
        if policy.mode == "complete":
            raise
        policy.report(f"left out: the index in the list of what refers to {subject}: {error.message}")
