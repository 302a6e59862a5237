"""The children that one stage of a run passes to the next."""

from __future__ import annotations

from multibuild.frozen import frozen
from multibuild.oci.image import Child
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform


@frozen
class StagedChild:
    """A child as it was built: its platform, the repository where it is staged, and its digest."""

    platform: Platform
    repository: str
    digest: str


@frozen
class PlatformChild:
    """A planned platform with its child as read back from where it is staged."""

    planned: PlannedPlatform
    reference: Reference
    child: Child


@frozen
class RememberedChild:
    """A child that an index of ours in the registry has, and that a build would make of the same inputs.

    `image` and `attestations` are as the index lists them, without annotations of the entry. `fingerprint` is the
    digest of what the child was built from. `is_proved`: it has passed every proof that the config asks for.
    """

    platform: Platform
    repository: str
    image: Descriptor
    attestations: tuple[Descriptor, ...]
    fingerprint: str
    is_proved: bool
