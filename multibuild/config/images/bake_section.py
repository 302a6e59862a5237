"""The `bake` section of a file: what is asked of a definition, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from multibuild.bake.mapping import Refusal
from multibuild.bake.request_errors import BakeRequestError
from multibuild.config.images.names import matches
from multibuild.config.problems import Problem, problems_of
from multibuild.config.sections import Bake
from multibuild.config.texts import Expansions, Texts
from multibuild.config.yaml_document import Document
from multibuild.errors import ConfigError
from multibuild.frozen import frozen


@frozen
class BakeSection:
    """The section, and the document that it is in."""

    bake: Bake
    document: Document

    def located(self, error: BakeRequestError) -> ConfigError:
        """Return an error of the request with the place of its key in the file."""
        return ConfigError(f"{self.document.location_of(error.key)}: {error.message}", hint=error.hint)

    def replaces(self, refusal: Refusal) -> bool:
        """Whether `images` say for the target what to do instead of what bake says.

        Where the result goes may stand at the top: bake's `output` has no key that lies over it.
        """
        images = self.document.values.get("images")
        entries = [
            entry
            for key, entry in (images.items() if isinstance(images, dict) else ())
            if matches(key, refusal.target)
        ]
        layers = [*entries, self.document.values] if refusal.key == "output" else entries
        return any(_has(layer, name.split(".")) for layer in layers for name in refusal.replaced_by)


def _has(values: Any, key: list[str]) -> bool:
    for part in key:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def bake_section(document: Document, expansions: Expansions) -> tuple[Bake | None, list[Problem]]:
    """Return the `bake` section, None where there is none or it cannot be read, and its problems."""
    if "bake" not in document.values:
        return None, []
    if not isinstance(document.values["bake"], dict):
        hint = "like bake: {files: [docker-bake.hcl]}"
        return None, [Problem(key=("bake",), message="must be a mapping", hint=hint)]
    texts = Texts(expansions)
    values = texts.interpolated(document.values["bake"], ("bake",))
    try:
        bake = Bake.model_validate(values)
    except ValidationError as error:
        reported = {problem.key for problem in texts.problems}
        inner = _problems(error, document)
        return None, [*texts.problems, *(p for p in inner if p.key not in reported)]
    return bake, texts.problems


def _problems(error: ValidationError, document: Document) -> Iterable[Problem]:
    inner = {key[1:]: text for key, text in document.texts.items() if key[:1] == ("bake",)}
    for problem in problems_of(error, Bake, Document(values={}, locations={}, texts=inner)):
        yield Problem(key=("bake", *problem.key), message=problem.message, hint=problem.hint)
