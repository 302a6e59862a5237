"""Copy what belongs to an image and is not in it: signatures, attestations, SBOMs, which are optional by default."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

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

SIGNATURE_SUFFIXES = ("sig", "att", "sbom")
"""Cosign's tags from before there were referrers: `sha256-<hex>.sig` (sigstore/cosign specs/SIGNATURE_SPEC.md)."""

_SIGNATURE_TYPES = ("signature", "cosign", "sigstore")
"""Words in the artifactType of signatures: Notary Project's, cosign's, and Sigstore's bundles."""

MAX_REFERRER_DEPTH = 3
"""Referrers of referrers: a signature of the attestation of an SBOM has two of them below it."""

MAX_REPORTED = 5
"""Lines about what was left out; one of them counts the rest."""


def _ignore(_message: str, /) -> None:
    return None


@frozen
class CompanionPolicy:
    """What to do about companions. `report` gets a line for each that was left out.

    "optional": one that cannot be read or written is left out; "required": nothing may be left out, and each image has
    a signature; "omit": none is copied.
    """

    mode: Literal["optional", "required", "omit"] = "optional"
    report: Callable[[str], None] = _ignore


OPTIONAL = CompanionPolicy()


@dataclass
class CompanionCopier:
    """Copies companions into one repository, from several threads; collects what was left out, and who is signed."""

    copier: Copier
    policy: CompanionPolicy
    _left_out: list[str] = field(default_factory=list)
    _signed: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def copy(self, digest: str, source: Repository) -> None:
        """Copy the companions of a manifest; raises LimitExceeded only."""
        if self.policy.mode == "omit":
            return
        source = Repository(reference=source.reference, store=source.store.impatient)
        self._copy_referrers(digest, source)
        for tag in signature_tags(digest):
            self._attempt(f"{source.reference.name}:{tag}", partial(self._copy_tag, digest, tag, source))

    def finish(self, index: Manifest) -> None:
        """Report what was left out; PublishFailed for that, and for a missing signature, where they are required."""
        if self.policy.mode == "required":
            self._require(index)
        lines = list(dict.fromkeys(self._left_out))
        for line in lines[:MAX_REPORTED]:
            self.policy.report(f"left out: {line}")
        if len(lines) > MAX_REPORTED:
            self.policy.report(
                f"left out: {len(lines) - MAX_REPORTED} more signatures, attestations or SBOMs"
            )

    def _require(self, index: Manifest) -> None:
        hint = "without --require-signatures they are left out"
        if self._left_out:
            raise PublishFailed(f"what belongs to the images must be copied: {self._left_out[0]}", hint=hint)
        images = (
            {entry.digest for entry in index.entries if not entry.is_attestation} if index.is_index else set()
        )
        unsigned = sorted(images - self._signed)
        if unsigned and index.digest not in self._signed:
            raise PublishFailed(
                f"{len(unsigned)} of {len(images)} images have no signature: {unsigned[0]}", hint=hint
            )

    def _copy_referrers(self, digest: str, source: Repository, depth: int = 0) -> None:
        """Copy what refers to a manifest, and what refers to that: an SBOM is signed as well."""
        subject = f"what refers to {source.reference.name}@{digest}"
        copied = []
        for referrer in list_referrers(digest, source, lambda error: self._leave_out(subject, error)):
            name = f"{source.reference.name}@{referrer}"
            one = self._attempt(name, partial(self._copy_referrer, referrer, digest, source, depth))
            copied += [one] if one is not None else []
        if copied:
            entries = [referrer.descriptor for referrer in copied]
            self._attempt(subject, partial(add_to_fallback_tag, digest, entries, self.copier.target))

    def _copy_referrer(self, digest: str, subject: str, source: Repository, depth: int) -> Referrer | None:
        """Copy one referrer, and then what refers to it; return it where the target's fallback tag must list it."""
        referrer = read_referrer(digest, subject, source)
        if source.reference.name == self.copier.target.reference.name:
            is_listed = True
        elif self.copier.has_manifest(digest):
            is_listed = self._is_listed(digest, subject)
        else:
            is_listed = self.copier.copy_manifest(digest, source) == subject
        if any(word in referrer.manifest.artifact_type for word in _SIGNATURE_TYPES):
            self._note_signature(subject)
        if depth < MAX_REFERRER_DEPTH:
            self._copy_referrers(digest, source, depth + 1)
        return None if is_listed else referrer

    def _is_listed(self, digest: str, subject: str) -> bool:
        """Whether the target's API lists a referrer that it had already."""
        target = self.copier.target
        listed = target.store.referrers(target.reference.with_digest(subject))
        return listed is not None and digest in {entry.digest for entry in listed}

    def _copy_tag(self, digest: str, tag: str, source: Repository) -> None:
        try:
            # Not HEAD, which some proxies answer with 404 for what they have.
            signature = source.store.manifest(source.reference.with_tag(tag))
        except RegistryError as error:
            if error.kind == "not-found":
                return
            raise
        if signature.digest == digest:
            return
        target = self.copier.target
        is_same = source.reference.name == target.reference.name
        if not is_same and stored_descriptor(target.store, target.reference.with_tag(tag)) is None:
            self.copier.copy_manifest(signature.digest, source, tag=tag)
        if tag.endswith(".sig"):
            self._note_signature(digest)

    def _attempt(self, name: str, action: Callable[[], Referrer | None]) -> Referrer | None:
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
        policy.report(f"left out: the index in the list of what refers to {subject}: {error.message}")
