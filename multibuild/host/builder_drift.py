"""The differences between an existing builder and the one a profile describes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from multibuild.engine.builder_container import BuilderContainer
from multibuild.engine.engine import BuilderInfo, BuilderNode, NewBuilder
from multibuild.frozen import frozen
from multibuild.host.buildkitd_toml import listed_files, resolved_configuration, same_configuration
from multibuild.host.own_builders import OwnBuilder
from multibuild.redact import is_secret_name


@frozen
class Drift:
    """A builder that differs from its `target`; `differences` in words.

    `loses_cache` is whether recreating it would destroy its cache: BuildKit of the docker-container driver keeps it in
    a volume that can stay, a remote one is not ours, a deployment in a cluster goes with everything it holds.
    """

    target: NewBuilder
    differences: tuple[str, ...]
    loses_cache: bool

    def __str__(self) -> str:
        return f"{self.target.name}: {'; '.join(self.differences)}"

    @property
    def how_to_mend(self) -> str:
        """Describe what mends a builder that is left as it is."""
        name = self.target.name
        return f"{name} is used as it is: making it anew loses its cache; `multibuild setup --recreate` does"


def drift_of(
    target: NewBuilder,
    builder: BuilderInfo,
    own: OwnBuilder | None,
    read: Callable[[Path], bytes] = Path.read_bytes,
) -> Drift | None:
    """Return the drift; None when nothing differs. `read` reads the certificates the target's configuration names."""
    differences = []
    if builder.driver != target.driver:
        differences.append(f"driver is {builder.driver}, wanted {target.driver}")
    if len(builder.nodes) != 1:
        differences.append(f"it has {len(builder.nodes)} nodes, wanted 1: one builder per machine")
    for node in builder.nodes[:1]:
        differences += _node_differences(target, node, own, read)
    if not differences:
        return None
    return Drift(target=target, differences=tuple(differences), loses_cache=builder.driver == "kubernetes")


def _node_differences(
    target: NewBuilder, node: BuilderNode, own: OwnBuilder | None, read: Callable[[Path], bytes]
) -> list[str]:
    differences = []
    if target.endpoint is not None and node.endpoint != target.endpoint:
        differences.append(f"endpoint is {node.endpoint}, wanted {target.endpoint}")
    options = target.options
    for key in sorted({*options, *node.driver_opts}):
        expected, actual = options.get(key), node.driver_opts.get(key)
        if expected != actual:
            differences.append(_option_difference(key, actual, expected))
    # A builder that was made without a file may have got the account's own default of buildx.
    was_configured = own is not None and own.configured
    if (target.buildkitd or was_configured) and not same_configuration(
        target.buildkitd, listed_files(node.files), read
    ):
        differences.append("buildkitd.toml differs")
    return differences


def _option_difference(key: str, actual: str | None, expected: str | None) -> str:
    """Return how an option differs; of one that is named like a secret only whether it is set."""
    if is_secret_name(key) and actual and expected:
        return f"{key} is another one than wanted"
    shown = [
        ("set" if is_secret_name(key) else value) if value else "not set" for value in (actual, expected)
    ]
    return f"{key} is {shown[0]}, wanted {shown[1]}"


def is_container_of(builder: BuilderInfo, container: BuilderContainer) -> bool:
    """Whether a builder that this account lists describes the container that the engine has under its name."""
    node = builder.nodes[0]
    return (
        node.driver_opts.get("image", container.image) == container.image
        and node.driver_opts.get("network", container.network) == container.network
        and listed_files(node.files) == container.files
    )


def container_differences(
    target: NewBuilder, container: BuilderContainer, read: Callable[[Path], bytes] = Path.read_bytes
) -> tuple[str, ...]:
    """Return in words how a container that another account made differs from the one that `target` would get."""
    differences = []
    if target.image and container.image != target.image:
        differences.append(f"image is {container.image}, wanted {target.image}")
    network = target.options.get("network")
    if network and container.network != network:
        differences.append(f"network is {container.network}, wanted {network}")
    if not same_configuration(target.buildkitd, container.files, read):
        differences.append("buildkitd.toml differs")
    return tuple(differences)


def with_name_of_its_own(target: NewBuilder, read: Callable[[Path], bytes] = Path.read_bytes) -> NewBuilder:
    """Return the builder under a name that only the same image, options and configuration have."""
    settings = [target.options, resolved_configuration(target.buildkitd, read)]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=repr).encode()).hexdigest()
    return replace(target, name=f"{target.name}-{digest[:8]}")
