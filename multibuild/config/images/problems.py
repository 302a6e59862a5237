"""The problems of several images as a file has them: one in a shared key is one problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multibuild.config.images.merge import RUN_WIDE_KEYS, ImageValues
from multibuild.config.problems import Problem, example
from multibuild.config.yaml_document import KeyPath

REQUIRED = "is required"

MANY_PROBLEMS = 500
"""So many that those of further images are not looked for: an error lists a few."""


class ImageProblems:
    """The problems of all images, each once."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._problems: dict[tuple[KeyPath, str], Problem] = {}
        self._keys: set[KeyPath] = set()
        self._missing: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._problems or self._missing)

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems by their keys in the file."""
        for problem in problems:
            self._problems.setdefault((problem.key, problem.message), problem)
            self._keys.add(problem.key)

    def has(self, key: KeyPath) -> bool:
        """Whether there is a problem at a key of the file."""
        return key in self._keys

    @property
    def are_many(self) -> bool:
        """Whether there are more problems than anyone reads."""
        return len(self._problems) > MANY_PROBLEMS

    def add_invalid(self, problems: Iterable[Problem], image: ImageValues) -> None:
        """Add the problems of validation, by the keys of the image; none at a key that has one already."""
        sources = []
        for problem in problems:
            if problem.message == REQUIRED and len(problem.key) == 1:
                self._missing.setdefault(str(problem.key[0]), []).append(image.name)
                continue
            key = image.origin.source(problem.key)
            if not self.has(key):
                sources.append(Problem(key=key, message=problem.message, hint=problem.hint))
        self.add(sources)

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
