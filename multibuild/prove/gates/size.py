"""A gate on the size of children: what a node pulls, as their manifests say. Nothing is pulled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.oci.image import read_image
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.manifests.identity import is_zstd
from multibuild.oci.reference import Reference
from multibuild.oci.store import Stores
from multibuild.plan.children import PlatformChild
from multibuild.platforms import Platform
from multibuild.prove.gates.outcome import GateOutcome, Status
from multibuild.terminal import human_bytes, one_line

if TYPE_CHECKING:
    from multibuild.config.gates.gate import Gate
    from multibuild.plan.plan import Plan


@frozen
class SizeGate:
    """A gate on the size, and what it needs of a run: the plan with its first tag, and the registries."""

    gate: Gate
    plan: Plan
    registries: Stores

    def check(self, children: Sequence[PlatformChild]) -> tuple[GateOutcome, ...]:
        """Compare children with `max`, and with what the first tag holds of their platforms.

        What cannot be read of the tag is an outcome, no error.
        """
        previous = PreviousSizes(tag=first_tag(self.plan), registries=self.registries)
        return tuple(self._outcome(child, previous) for child in children)

    def _outcome(self, child: PlatformChild, previous: PreviousSizes) -> GateOutcome:
        hint = None
        try:
            status, reason = self._compare(child, previous)
        except MultibuildError as error:
            status, reason, hint = "not-run", one_line(error.message), error.hint
        return GateOutcome(
            gate=self.gate.name,
            platform=child.planned.platform,
            required=self.gate.required,
            status=status,
            reason=reason,
            hint=hint,
        )

    def _compare(self, child: PlatformChild, previous: PreviousSizes) -> tuple[Status, str]:
        size, gate = child.child.total_bytes, self.gate
        if gate.max is not None and size > gate.max:
            return "failed", f"{_shown(size)}, more than {_shown(gate.max)}"
        if gate.growth is None:
            return "passed", human_bytes(size)
        before = previous.of(child.planned.platform)
        if not before:
            what = "has no such platform" if previous.exists else "is not there yet"
            return "passed", f"{human_bytes(size)}, nothing to compare with: {previous.tag} {what}"
        percent = (size - before) * 100 / before
        change = f"{human_bytes(size)}, {percent:+.1f}% against {previous.tag} ({human_bytes(before)})"
        if percent > gate.growth:
            return "failed", f"{change}, more than {gate.growth:g}%"
        return "passed", change


def first_tag(plan: Plan) -> Reference:
    """Return the first tag of `image`, which is what the size is compared with."""
    return Reference.parse(plan.image).with_tag(plan.tags[0])


class PreviousSizes:
    """What a tag holds now: an index, one image, or nothing; it is read once."""

    def __init__(self, *, tag: Reference, registries: Stores) -> None:
        self.tag = tag
        self._store = registries.of(tag.host)
        self._manifest: Manifest | None = None
        self._is_read = False

    @property
    def exists(self) -> bool:
        """Whether there is such a tag. Raises what reading raises."""
        return self._read() is not None

    def of(self, platform: Platform) -> int | None:
        """Return the bytes of a platform's image under the tag, None without one. Raises what reading raises."""
        manifest = self._read()
        if manifest is None:
            return None
        if not manifest.is_index:
            child = read_image(self.tag, manifest, self._store)
            return child.total_bytes if _is_same(child.config.platform, platform) else None
        entry = _entry_for(platform, manifest.entries)
        if entry is None:
            return None
        image = self._store.manifest(self.tag.with_digest(entry.digest))
        return len(image.content) + sum(layer.size for layer in image.descriptors_in("layers"))

    def _read(self) -> Manifest | None:
        if not self._is_read:
            exists = self._store.head(self.tag) is not None
            self._manifest = self._store.manifest(self.tag) if exists else None
            self._is_read = True
        return self._manifest


def _entry_for(platform: Platform, entries: Sequence[Descriptor]) -> Descriptor | None:
    """Return the entry of a platform: that with its very spelling first, and gzip before zstd, as builds make it."""
    same = [entry for entry in entries if entry.platform is not None and _is_same(entry.platform, platform)]
    images = [entry for entry in same if not entry.is_attestation]
    return min(
        images, key=lambda entry: (entry.platform != platform, is_zstd(entry.annotations)), default=None
    )


def _is_same(one: Platform, other: Platform) -> bool:
    return one.normalised() == other.normalised()


def _shown(size: int) -> str:
    """Return a size in words and exactly: rounded, a limit and what is over it may look the same."""
    return f"{human_bytes(size)} ({size} bytes)" if size >= 1000 else f"{size} bytes"
