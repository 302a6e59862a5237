"""The images a Dockerfile starts from, and whether their registries answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from multibuild.build.dockerfile import read_dockerfile
from multibuild.errors import MultibuildError

if TYPE_CHECKING:
    from multibuild.config.models import Config

PATIENCE = 1.2
"""Seconds that all registries together have: doctor is for somebody who waits."""


def base_images(dockerfile: str, args: Mapping[str, str]) -> tuple[str, ...]:
    """Give what a Dockerfile pulls, each once; what an unknown variable names is left out."""
    return tuple(image for image in read_dockerfile(dockerfile, args).images if "$" not in image)


def unreachable(images: Sequence[str], config: Config) -> dict[str, str]:
    """Ask each image's registry for it; image → why it could not be had. Ends within PATIENCE seconds.

    The threads are daemons, as a name that nobody resolves keeps one for as long as the resolver likes.
    """
    from multibuild.publish.reference import Reference
    from multibuild.publish.session import RegistrySession

    answers: dict[str, str] = {}
    session = RegistrySession(config, say=lambda _text: None)

    def ask(image: str) -> None:
        try:
            reference = Reference.parse(image)
            there = session.of(reference.host).head(reference) is not None
            answers[image] = "" if there else f"{reference.host} does not have it"
        except MultibuildError as error:
            answers[image] = error.message

    threads = [threading.Thread(target=ask, args=(image,), daemon=True) for image in images]
    for thread in threads:
        thread.start()
    import time

    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"its registry did not answer within {PATIENCE} s"
    said = {image: answers.get(image, late) for image in images}
    return {image: words for image, words in said.items() if words}
