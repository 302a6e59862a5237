"""The children that one stage of a run passes to the next."""

from __future__ import annotations

from multibuild.frozen import frozen
from multibuild.oci.image import Child
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
