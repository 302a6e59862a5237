"""The images a Dockerfile starts from, and whether their registries answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from multibuild.dockerfile.parse import read_dockerfile
from multibuild.errors import MultibuildError

if TYPE_CHECKING:
    from multibuild.config.models import Config
    from multibuild.platforms import Platform

PATIENCE = 1.2
"""Seconds that all registries together have: doctor is for somebody who waits."""

LONG_PATIENCE = 15.0
"""Seconds for reading indexes, once, when a config is written."""

Answer = TypeVar("Answer")


def base_images(dockerfile: str, args: Mapping[str, str]) -> tuple[str, ...]:
    """Give what a Dockerfile pulls, each once; what an unknown variable names is left out."""
    return tuple(image for image in read_dockerfile(dockerfile, args).images if "$" not in image)


def unreachable(images: Sequence[str], config: Config) -> dict[str, str]:
    """Ask each image's registry for it; image → why it could not be had. Ends within PATIENCE seconds."""
    from multibuild.oci.reference import Reference
    from multibuild.oci.registries import RegistrySession

    session = RegistrySession(config.registry_settings, on_wait=lambda _text: None)

    def ask(image: str) -> str:
        reference = Reference.parse(image)
        there = session.of(reference.host).head(reference) is not None
        return "" if there else f"{reference.host} does not have it"

    said = _asked(images, ask, PATIENCE)
    return {image: words for image, words in said.items() if words}


def platforms_of(images: Sequence[str]) -> dict[str, frozenset[Platform] | str]:
    """Ask each image's registry which Linux platforms it has; image → them, or why that is not known.

    Ends within LONG_PATIENCE seconds. A single image has the one its config says. What is no platform that a config
    can name is left out: an index of anyone's may say anything, and what is given here is written into a file.
    """
    from multibuild.oci.image import read_child
    from multibuild.oci.reference import Reference
    from multibuild.oci.registries import RegistrySession

    def ask(image: str) -> frozenset[Platform]:
        reference = Reference.parse(image)
        # Its own session: a thread that is late goes on with it when nobody waits any more.
        with RegistrySession({}, on_wait=lambda _text: None) as session:
            registry = session.of(reference.host)
            found = registry.manifest(reference)
            own = None if found.is_index else read_child(reference, registry, None).config.platform
        said = [own] if own is not None else []
        if found.is_index:
            said = [entry.platform for entry in found.entries if entry.platform and not entry.is_attestation]
        return frozenset(platform.normalised() for platform in said if _can_be_built(platform))

    return _asked(images, ask, LONG_PATIENCE)


def _can_be_built(platform: Platform) -> bool:
    from multibuild.platforms import architecture_named

    row = architecture_named(platform.architecture)
    named = row is not None and row.name == platform.architecture
    return platform.os == "linux" and named and platform.normalised().known_variant


def _asked(images: Sequence[str], ask: Callable[[str], Answer], patience: float) -> dict[str, Answer | str]:
    """Ask for all images at once; what cannot be answered, or not within `patience` seconds, is words.

    The threads are daemons, as a name that nobody resolves keeps one for as long as the resolver likes.
    """
    import time

    answers: dict[str, Answer | str] = {}

    def one(image: str) -> None:
        try:
            answers[image] = ask(image)
        except MultibuildError as error:
            # "reading IMAGE: why": the caller names the image itself.
            doing, _, why = error.message.partition(": ")
            answers[image] = why if doing.endswith(image) else error.message

    threads = [threading.Thread(target=one, args=(image,), daemon=True) for image in images]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"its registry did not answer within {patience:g} s"
    return {image: answers.get(image, late) for image in images}
