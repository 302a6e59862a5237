"""The tags of a bake target: the image, its tags, and further repositories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multibuild.bake.target import Unsupported
from multibuild.errors import UsageError
from multibuild.oci.reference import Reference


def image_keys(names: Sequence[str]) -> Mapping[str, Any]:
    """Return `image`, `tags` and `destinations` of references; nothing where there are none.

    The first repository is the image. Unsupported where repositories do not have the same tags: one index goes to all
    destinations under the same ones.
    """
    written: dict[str, str] = {}
    tags: dict[str, list[str]] = {}
    for name in _one_by_one(names):
        reference = _reference(name)
        written.setdefault(reference.name, _without_tag(name))
        tags.setdefault(reference.name, []).append(reference.target)
    if not tags:
        return {}
    image, *others = [(written[name], list(dict.fromkeys(values))) for name, values in tags.items()]
    for other in others:
        _require_same_tags(image, other)
    keys: dict[str, Any] = {"image": image[0], "tags": image[1]}
    return {**keys, "destinations": [name for name, _ in others]} if others else keys


def _require_same_tags(image: tuple[str, list[str]], other: tuple[str, list[str]]) -> None:
    if set(image[1]) != set(other[1]):
        raise Unsupported(
            f"gives {image[0]} the tags {', '.join(image[1])}, and {other[0]} {', '.join(other[1])}",
            use_instead="give all repositories of a target the same tags, or write a second target that inherits"
            " this one for the other repository",
        )


def _one_by_one(names: Sequence[str]) -> Iterator[str]:
    """Yield the references; buildx takes several in one text."""
    for text in names:
        yield from (name.strip() for name in text.split(",") if name.strip())


def _reference(name: str) -> Reference:
    try:
        reference = Reference.parse(name)
    except UsageError as error:
        raise Unsupported(
            f"holds no image reference: {error.message}", use_instead=error.hint or "repository:tag"
        ) from error
    if reference.digest:
        raise Unsupported(f"holds a digest: {name}", use_instead="repository:tag")
    return reference


def _without_tag(name: str) -> str:
    """Return the repository as it is written: short names of Docker Hub stay short."""
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
