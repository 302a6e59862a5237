"""A build spec with every field at its simplest value."""

from multibuild.plan.spec import BuildSpec
from multibuild.platforms import Platform

PLAIN = BuildSpec(
    platform=Platform.parse("linux/arm/v7"),
    context=".",
    dockerfile="Dockerfile",
    target=None,
    args={},
    contexts={},
    labels={},
    secrets=(),
    ssh=(),
    cache_from=(),
    cache_to=(),
    network="default",
    pull=True,
    no_cache=False,
    build_flags=(),
    provenance="min",
    sbom=False,
    media_type="oci",
    source_date_epoch=None,
)
