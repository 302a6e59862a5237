"""The JSON Schema of `multibuild.yaml`, from the models and the docstrings of their fields."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from multibuild.config import sections
from multibuild.config.config import Config


def json_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12) for editors."""
    schema = Config.model_json_schema(by_alias=True)
    describe(Config, schema)
    for name, definition in schema["$defs"].items():
        describe(getattr(sections, name), definition)
    entry = schema["properties"]["platforms"]["items"]
    schema["properties"]["platforms"]["items"] = {"anyOf": [{"type": "string"}, entry]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def describe(model: type[sections.Section], schema: dict[str, Any]) -> None:
    """Add the docstring of each field to its property.

    pydantic does this itself with `use_attribute_docstrings`, but then reads the sources at every start.
    """
    docs = _field_docs(model)
    for name, field in model.model_fields.items():
        if name in docs:
            prop = schema["properties"][field.alias or name]
            prop["description"] = docs[name]


def _field_docs(model: type[sections.Section]) -> dict[str, str]:
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            words = text.value if isinstance(text, ast.Expr) else None
            if isinstance(words, ast.Constant) and isinstance(words.value, str):
                docs[field.target.id] = inspect.cleandoc(words.value)
    return docs
