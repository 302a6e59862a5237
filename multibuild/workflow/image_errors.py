"""The errors that end images of a run, each by itself and as the one error of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol, TypeVar

from multibuild.errors import NO_TAG_MOVED, MultibuildError
from multibuild.plan.plan import Plan

MAX_NAMED = 3
"""Images whose error is told; the report has all."""


class Planned(Protocol):
    """An image of a run, in any stage."""

    @property
    def plan(self) -> Plan:
        """Its plan, which has its name."""


P = TypeVar("P", bound=Planned)


class ImageErrors:
    """The errors of a run's images so far. Where `together` is "image", one lets the others be published.

    `names` are those of all images, in the order in which their errors are told.
    """

    def __init__(self, names: Iterable[str], *, together: Literal["all", "image"]) -> None:
        self._names = tuple(names)
        self._together = together
        self._errors: dict[str, MultibuildError] = {}

    def add(self, name: str, error: MultibuildError) -> None:
        """Add the error that ended an image."""
        self._errors[name] = error

    @contextmanager
    def collect(self, name: str) -> Iterator[None]:
        """Add the error that ends an image here; that of a file of one image, or of all images, "", is raised."""
        try:
            yield
        except MultibuildError as error:
            if not name:
                raise
            self.add(name, error)

    def batches(self, images: Sequence[P]) -> Iterator[tuple[str, Sequence[P]]]:
        """Yield what is published together, with the name for `collect`: all images, or each by itself."""
        if self._together == "image":
            yield from ((image.plan.name, (image,)) for image in images)
        elif images:
            yield "", images

    def require(self, images: Sequence[object]) -> None:
        """Raise the errors if none of the remaining images may be published."""
        if self._together == "all" or not images:
            self.raise_all()

    def raise_all(self) -> None:
        """Raise the errors as one, if there are any."""
        errors = {name: self._errors[name] for name in self._names if name in self._errors}
        if errors:
            raise together(errors, each_by_itself=self._together == "image")


def together(errors: Mapping[str, MultibuildError], *, each_by_itself: bool = False) -> MultibuildError:
    """Return the first image's error with the images' names in its message, and the other images' after it.

    Its exit code and hint are those of the first image. A file of one image has no name: its error is returned as it
    is. Of images that are published `each_by_itself`, only the tags of the image itself are known not to have moved.
    """
    first = next(iter(errors.values()))
    if "" in errors:
        return first
    messages = {name: error.message for name, error in list(errors.items())[:MAX_NAMED]}
    if each_by_itself:
        messages = {
            name: text.replace(NO_TAG_MOVED, f"no tag of {name} was moved") for name, text in messages.items()
        }
    named = [f"{name}: {text}" for name, text in messages.items()]
    more = len(errors) - MAX_NAMED
    named += [f"and {more} more image{'s' * (more != 1)}"] if more > 0 else []
    separator = "\n" if any("\n" in text for text in named) else "; "
    return first.with_message(separator.join(named))
