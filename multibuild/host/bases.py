"""The images a Dockerfile starts from, and whether their registries answer."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from multibuild.errors import MultibuildError

if TYPE_CHECKING:
    from multibuild.config.models import Config

PATIENCE = 1.2
"""Seconds that all registries together have: doctor is for somebody who waits."""

_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
_ARG = re.compile(r"^\s*ARG\s+([A-Za-z_]\w*)(?:=(.*?))?\s*$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")


def base_images(dockerfile: str, args: Mapping[str, str]) -> tuple[str, ...]:
    """Give what FROM lines name outside the file, each once; what an unknown variable names is left out."""
    known: dict[str, str] = {}
    stages: set[str] = set()
    found: dict[str, None] = {}
    for line in dockerfile.replace("\\\n", " ").splitlines():
        if not stages and not found and (arg := _ARG.match(line)):
            known[arg[1]] = args.get(arg[1], (arg[2] or "").strip("\"'"))
        elif start := _FROM.match(line):
            image = _VARIABLE.sub(lambda use: known.get(use[1] or use[3]) or use[2] or "$", start[1])
            if image.lower() not in stages and image != "scratch" and "$" not in image:
                found[image] = None
            if start[2]:
                stages.add(start[2].lower())
    return tuple(found)


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
