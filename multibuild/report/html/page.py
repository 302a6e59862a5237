"""The whole page: a header with the run's result, then one section for each subject."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from multibuild.report.html.emulation import emulation_section
from multibuild.report.html.environment import environment_section
from multibuild.report.html.failures import failures_section
from multibuild.report.html.header import header_section
from multibuild.report.html.images import images_section
from multibuild.report.html.markup import Html, tag
from multibuild.report.html.platforms import platforms_section
from multibuild.report.html.published import published_section
from multibuild.report.html.savings import savings_section
from multibuild.report.html.steps import steps_section
from multibuild.report.html.timeline import timeline_section


def as_html(report: Mapping[str, Any], *, run_path: str = "") -> str:
    """Return the report as one page without network access and scripts, all text escaped.

    `run_path` is the path from the page to the run directory, for links to logs; empty if the page is in it.
    """
    candidates = (
        images_section(report),
        failures_section(report, run_path),
        timeline_section(report),
        platforms_section(report),
        emulation_section(report),
        savings_section(report),
        published_section(report),
        steps_section(report, run_path),
        environment_section(report),
    )
    sections = [section for section in candidates if section is not None]
    links = [tag("li", tag("a", section.heading, href=f"#{section.anchor}")) for section in sections]
    body = tag(
        "body",
        tag("a", "Skip to content", class_="skip", href="#content"),
        header_section(report),
        tag("nav", tag("ul", *links), aria_label="Sections"),
        tag("main", *(section.html() for section in sections), id="content", tabindex="-1"),
        tag("footer", tag("p", f"Written by multibuild. Run {report['run']}.")),
    )
    return f"<!doctype html>\n{tag('html', _head(report), body, lang='en')}\n"


def _head(report: Mapping[str, Any]) -> Html:
    """Return the head, whose policy allows nothing but this style sheet, by its hash."""
    names = ("style.css", "images.css") if report.get("groups") else ("style.css",)
    style = "".join(resources.files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names)
    sha256 = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{sha256}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{report['image']}: {report['status']}"),
        tag("style", Html(style)),
    )
