"""The JSON Schema of `multibuild.yaml`, from the models and the texts under their fields."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from multibuild.config import models, sections
from multibuild.config.models import Config


def json_schema() -> dict[str, Any]:
    """Give the schema (2020-12) as editors read it."""
    schema = Config.model_json_schema(by_alias=True)
    describe(Config, schema)
    for name, definition in schema["$defs"].items():
        describe(getattr(sections, name, None) or getattr(models, name), definition)
    entry = schema["properties"]["platforms"]["items"]
    schema["properties"]["platforms"]["items"] = {"anyOf": [{"type": "string"}, entry]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def describe(model: type[sections.Section], schema: dict[str, Any]) -> None:
    """Add the text under each field to its property.

    pydantic does this itself with `use_attribute_docstrings`, but then reads the sources at every start.
    """
    texts = _texts(model)
    for name, field in model.model_fields.items():
        if name in texts:
            prop = schema["properties"][field.alias or name]
            prop["description"] = texts[name]


def _texts(model: type[sections.Section]) -> dict[str, str]:
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            words = text.value if isinstance(text, ast.Expr) else None
            if isinstance(words, ast.Constant) and isinstance(words.value, str):
                found[field.target.id] = inspect.cleandoc(words.value)
    return found
