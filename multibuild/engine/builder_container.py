"""The container behind a docker-container builder, as the engine has it.

buildx lists builders per account; the container belongs to the engine and is found by its name alone. Whoever starts a
builder of a name whose container exists gets that container, with the configuration of whoever made it (buildx,
driver/docker-container: Bootstrap only starts a container that it finds).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping

from multibuild.frozen import frozen

CONFIGURATION_FOLDER = "/etc/buildkit"
"""Where buildx puts the files of a configuration (its `Files`) inside the container."""

MAX_FILE_BYTES = 1024 * 1024
"""For a buildkitd.toml or a certificate; a longer one is cut."""


MAX_WORDS = 300
"""Characters of BuildKit's last line in an error."""


@frozen
class BuilderContainer:
    """Its `image` and `network` mode, and its configuration `files`: path below CONFIGURATION_FOLDER → content."""

    image: str
    network: str
    files: Mapping[str, bytes]


def container_name(node: str) -> str:
    """Return the name of the container of a builder's node (buildx, driver/docker-container)."""
    return f"buildx_buildkit_{node}"


def is_restarting(error: str) -> bool:
    """Whether docker or buildx says of a container that it is there and its BuildKit does not run: not yet, or again.

    The engine restarts a container whose BuildKit ended by itself (buildx, driver option `restart-policy`).
    """
    return "is restarting, wait until" in error or "failed to list workers: Unavailable" in error


def has_ended(error: str) -> bool:
    """Whether a builder did not start because its BuildKit ended: by what docker says, or by its `last_words`."""
    return "(buildkitd: " in error or is_restarting(error)


def node_error(inspected: str) -> str:
    """Return what `buildx inspect` prints of a node that does not answer; empty if all do."""
    errors = (line for line in inspected.splitlines() if line.startswith("Error:"))
    return next((line.partition(":")[2].strip() for line in errors), "")


def last_words(log: str) -> str:
    """Return why BuildKit ended, by its log, as the end of a sentence; empty if that does not say so."""
    reasons = [line.strip() for line in log.splitlines() if line.startswith("buildkitd: ")]
    return f" ({reasons[-1][:MAX_WORDS]})" if reasons else ""


def parse_container(inspected: str, archive: bytes, changes: str) -> BuilderContainer:
    """Return a container from the answers of `docker container inspect`, `cp` (of its configuration) and `diff`.

    Only what differs from the image was put there by buildx: an image may bring a configuration. Raises ValueError.
    """
    changed = {line[2:].removeprefix(f"{CONFIGURATION_FOLDER}/") for line in changes.splitlines()}
    try:
        document = json.loads(inspected)[0]
        return BuilderContainer(
            image=str(document["Config"]["Image"]),
            network=str(document["HostConfig"]["NetworkMode"]),
            files={path: content for path, content in _regular_files(archive) if path in changed},
        )
    except (LookupError, TypeError, tarfile.TarError) as error:
        raise ValueError(str(error)) from error


def _regular_files(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Read the files of an archive whose only top-level entry is their folder."""
    if not archive:
        return
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name.partition("/")[2], content.read(MAX_FILE_BYTES)
