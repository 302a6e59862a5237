"""What differs between a builder that is there and the one a profile wants. Pure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from multibuild.engine.docker import BuilderInfo, BuilderNode, NewBuilder
from multibuild.frozen import frozen
from multibuild.host.buildkitd import same_configuration
from multibuild.host.own_builders import OwnBuilder


@frozen
class Drift:
    """A builder that is not as it is wanted; `differences` in words.

    `loses_cache` is whether making it anew would destroy its cache: BuildKit of the docker-container driver keeps it
    in a volume that can stay, a remote one is not ours, a deployment in a cluster goes with everything it holds.
    """

    wanted: NewBuilder
    differences: tuple[str, ...]
    loses_cache: bool

    def __str__(self) -> str:
        return f"{self.wanted.name}: {'; '.join(self.differences)}"


def drift_of(
    wanted: NewBuilder,
    found: BuilderInfo,
    made: OwnBuilder | None,
    read: Callable[[Path], bytes] = Path.read_bytes,
) -> Drift | None:
    """Compare; None when nothing differs. `read` gives the certificates that the wanted configuration names."""
    differences = []
    if found.driver != wanted.driver:
        differences.append(f"driver is {found.driver}, wanted {wanted.driver}")
    if len(found.nodes) != 1:
        differences.append(f"it has {len(found.nodes)} nodes, wanted 1: one builder per machine")
    for node in found.nodes[:1]:
        differences += _of_node(wanted, node, made, read)
    if not differences:
        return None
    return Drift(wanted=wanted, differences=tuple(differences), loses_cache=found.driver == "kubernetes")


def _of_node(
    wanted: NewBuilder, node: BuilderNode, made: OwnBuilder | None, read: Callable[[Path], bytes]
) -> list[str]:
    differences = []
    if wanted.endpoint is not None and node.endpoint != wanted.endpoint:
        differences.append(f"endpoint is {node.endpoint}, wanted {wanted.endpoint}")
    options = wanted.options
    for key in sorted({*options, *node.driver_opts}):
        here, there = options.get(key), node.driver_opts.get(key)
        if here != there:
            differences.append(f"{key} is {there or 'not set'}, wanted {here or 'not set'}")
    # A builder that was made without a file may have got the account's own default of buildx.
    had_one = made is not None and made.configured
    if (wanted.buildkitd or had_one) and not same_configuration(wanted.buildkitd, node.files, read):
        differences.append("buildkitd.toml differs")
    return differences
