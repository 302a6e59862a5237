"""The platforms of a bake target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.bake.target import BakeTarget, Unsupported
from multibuild.errors import UsageError
from multibuild.platforms import Platform


def platform_keys(_value: Sequence[str], target: BakeTarget) -> Mapping[str, Any]:
    """Return `platforms`, each once and in normal form."""
    return {"platforms": list(dict.fromkeys(str(_platform(text)) for text in target.platforms))}


def _platform(text: str) -> Platform:
    if text == "local":
        raise Unsupported(
            "has local, which depends on the machine", use_instead="the platform's name, like linux/amd64"
        )
    try:
        return Platform.parse(text)
    except UsageError as error:
        raise Unsupported(
            f"holds no platform: {error.message}", use_instead=error.hint or "os/architecture"
        ) from error
