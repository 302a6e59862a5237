"""Section "Environment": versions, builder, emulators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.report.html.markup import Html, Section, code, facts, join, tag


def environment_section(report: Mapping[str, Any]) -> Section:
    """Return the section."""
    environment = report["environment"]
    rows = [("run", report["run"]), ("config fingerprint", report["fingerprint"] or "unknown")]
    rows += [
        (key, value)
        for key, value in environment.items()
        if value is not None and not isinstance(value, Mapping)
    ]
    pairs = [(name, code(str(value))) for name, value in rows]
    nested = [_nested(key, value) for key, value in environment.items() if isinstance(value, Mapping)]
    content = join((facts(pairs), *nested))
    return Section(anchor="environment", heading="Environment", content=content)


def _nested(name: str, values: Mapping[str, Any]) -> Html | None:
    """Return a list of one group of values, such as the emulator of each platform."""
    if not values:
        return None
    pairs = [(code(key), code(str(value))) for key, value in values.items()]
    return join((tag("h3", name.capitalize()), facts(pairs)))
