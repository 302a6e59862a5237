"""The JSON Schema of `multibuild.yaml`, from the models and the docstrings of their fields."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from multibuild.config import sections
from multibuild.config.config import Config, ConfigFile
from multibuild.config.gates import gate
from multibuild.config.images.merge import MAX_IMAGES, RUN_WIDE_INNER, RUN_WIDE_KEYS
from multibuild.config.images.names import MAX_NAME
from multibuild.config.publishing import sign


def json_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12) for editors."""
    schema = ConfigFile.model_json_schema(by_alias=True)
    describe(Config, schema)
    describe(ConfigFile, schema)
    for name, definition in schema["$defs"].items():
        module = {"Gate": gate, "Sign": sign}.get(name, sections)
        describe(getattr(module, name), definition)
    entry = schema["properties"]["platforms"]["items"]
    schema["properties"]["platforms"]["items"] = {"anyOf": [{"type": "string"}, entry]}
    schema["properties"]["images"] |= _images(schema)
    schema["required"] = ["version"]
    schema["anyOf"] = [{"required": keys} for keys in (["image", "platforms"], ["images"], ["bake"])]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _images(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `images`: by name or pattern, any key of the top level that describes an image."""
    keys: dict[str, Any] = {
        key: {"$ref": f"#/properties/{key}"} for key in schema["properties"] if key not in RUN_WIDE_KEYS
    }
    test = schema["$defs"]["TestSettings"]["properties"]
    keys["test"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: {"$ref": f"#/$defs/TestSettings/properties/{key}"} for key in test},
    }
    for section, inner in RUN_WIDE_INNER.items():
        keys[section] |= {"not": {"anyOf": [{"required": [key]} for key in inner]}}
    return {
        "minProperties": 1,
        "maxProperties": MAX_IMAGES,
        "propertyNames": {"maxLength": MAX_NAME},
        "additionalProperties": {
            "type": ["object", "null"],
            "properties": keys,
            "additionalProperties": False,
        },
    }


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
