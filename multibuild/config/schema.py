"""The JSON Schema of `multibuild.yaml`, from the models."""

from __future__ import annotations

from typing import Any

from multibuild.config.models import Config


def json_schema() -> dict[str, Any]:
    """Give the schema (2020-12) as editors read it."""
    schema = Config.model_json_schema(by_alias=True)
    entry = schema["properties"]["platforms"]["items"]
    schema["properties"]["platforms"]["items"] = {"anyOf": [{"type": "string"}, entry]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
