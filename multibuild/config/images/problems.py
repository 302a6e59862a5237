"""The problems of several images as a file has them: one in a shared key is one problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multibuild.config.images.merge import RUN_WIDE_KEYS, ImageValues
from multibuild.config.problems import Problem, example
from multibuild.config.yaml_document import KeyPath

REQUIRED = "is required"


class ImageProblems:
    """The problems of all images, each once."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._problems: dict[tuple[KeyPath, str], Problem] = {}
        self._missing: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._problems or self._missing)

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems by their keys in the file."""
        for problem in problems:
            self._problems.setdefault((problem.key, problem.message), problem)

    def add_invalid(self, problems: Iterable[Problem], image: ImageValues) -> None:
        """Add the problems of validation, by the keys of the image; none at a key that has one already."""
        reported = {key for key, _ in self._problems}
        for problem in problems:
            if problem.message == REQUIRED and len(problem.key) == 1:
                self._missing.setdefault(str(problem.key[0]), []).append(image.name)
                continue
            key = image.origin.source(problem.key)
            if key not in reported:
                self.add([Problem(key=key, message=problem.message, hint=problem.hint)])

    def reported(self) -> list[Problem]:
        """Return all problems, with those keys that images lack."""
        missing = (problem for key, names in self._missing.items() for problem in self._lacking(key, names))
        return [*self._problems.values(), *missing]

    def _lacking(self, key: str, names: Sequence[str]) -> Iterable[Problem]:
        if len(names) == len(self._names):
            everywhere = "" if key in RUN_WIDE_KEYS else ", at the top of the file for all images"
            hint = f"{example((key,))}{everywhere}"
            yield Problem(key=(key,), message=REQUIRED, hint=hint)
            return
        for name in names:
            hint = f"write {key} under images.{name}, or at the top of the file for all images"
            yield Problem(key=("images", name), message=f"has no {key}, which is required", hint=hint)
