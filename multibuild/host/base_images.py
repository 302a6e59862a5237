"""The images a Dockerfile starts from, and whether their registries answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from multibuild.architectures import architecture_named
from multibuild.dockerfile.parse import read_dockerfile
from multibuild.dockerfile.stages import needed_images
from multibuild.errors import MultibuildError
from multibuild.oci.image import read_child
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.config import Config

DOCTOR_TIMEOUT_S = 1.2
"""For all registries together: the user of `doctor` waits for the answer."""

INIT_TIMEOUT_S = 15.0
"""For reading indexes, once, when a config is written."""

Answer = TypeVar("Answer")


def base_images(dockerfile: str, args: Mapping[str, str], target: str | None = None) -> tuple[str, ...]:
    """Return the images a build of `target` pulls, each once, without those that an unknown variable names."""
    images = needed_images(read_dockerfile(dockerfile, args), target)
    return tuple(image for image in images if "$" not in image)


def unreachable(images: Sequence[str], config: Config) -> dict[str, str]:
    """Ask registries for images within DOCTOR_TIMEOUT_S; return image → why it is not available."""
    session = RegistrySession(config.registry_settings, on_wait=lambda _text: None)

    def ask(image: str) -> str:
        reference = Reference.parse(image)
        exists = session.of(reference.host).head(reference) is not None
        return "" if exists else f"{reference.host} does not have it"

    reasons = _ask_all(images, ask, DOCTOR_TIMEOUT_S)
    return {image: reason for image, reason in reasons.items() if reason}


def platforms_of(
    images: Sequence[str], timeout_s: float = INIT_TIMEOUT_S
) -> dict[str, frozenset[Platform] | str]:
    """Ask each image's registry for its Linux platforms within `timeout_s`; return image → them, or an error.

    A single image has the platform of its config. A platform that a config cannot name is left out: the index is
    foreign data, and the result is written into a file.
    """

    def ask(image: str) -> frozenset[Platform]:
        reference = Reference.parse(image)
        # Its own session: a thread that is late still uses it after the deadline.
        with RegistrySession({}, on_wait=lambda _text: None) as session:
            registry = session.of(reference.host)
            manifest = registry.manifest(reference)
            own = None if manifest.is_index else read_child(reference, registry, None).config.platform
        platforms = [own] if own is not None else []
        if manifest.is_index:
            platforms = [
                entry.platform for entry in manifest.entries if entry.platform and not entry.is_attestation
            ]
        return frozenset(platform.normalised() for platform in platforms if _can_be_built(platform))

    return _ask_all(images, ask, timeout_s)


def _can_be_built(platform: Platform) -> bool:
    row = architecture_named(platform.architecture)
    is_canonical = row is not None and row.name == platform.architecture
    return platform.os == "linux" and is_canonical and platform.normalised().has_known_variant


def _ask_all(
    images: Sequence[str], ask: Callable[[str], Answer], timeout_s: float
) -> dict[str, Answer | str]:
    """Ask for all images at once; the answer is an error's text where there is none within `timeout_s`.

    The threads are daemons, as a host name without an answer blocks one for as long as the resolver waits.
    """
    answers: dict[str, Answer | str] = {}

    def ask_one(image: str) -> None:
        try:
            answers[image] = ask(image)
        except MultibuildError as error:
            # "reading IMAGE: why": the caller names the image itself.
            action, _, reason = error.message.partition(": ")
            answers[image] = reason if action.endswith(image) else error.message

    # MAX_IMAGES of a Dockerfile bounds their number.
    threads = [threading.Thread(target=ask_one, args=(image,), daemon=True) for image in images]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"its registry did not answer within {timeout_s:g} s"
    return {image: answers.get(image, late) for image in images}
