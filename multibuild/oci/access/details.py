"""What a server says of a failure: errors in JSON of any registry, XML of object stores, web pages, plain text."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

from multibuild.frozen import frozen
from multibuild.redact import redacted
from multibuild.terminal import printable

MAX_DETAILS = 200
"""Characters of a server's own words in a message."""

_MAX_TITLE = 80
HEAD_CHARACTERS = 64 * 1024
"""Of a text, where a title, an element or a known phrase is looked for."""


@frozen
class Details:
    """What a server says of a failure, short and printable; `codes` are the registry's (distribution-spec)."""

    text: str = ""
    codes: tuple[str, ...] = ()
    is_page: bool = False


def page_title(content_type: str, body: bytes) -> str | None:
    """Return the title of a web page, "" for one without; None for an answer that is none."""
    head = body[:HEAD_CHARACTERS].decode(errors="replace").lstrip("\ufeff \t\r\n")
    lowered = head.lower()
    if not lowered.startswith(("<!doctype html", "<html", "<head", "<title")) and (
        "html" not in content_type.lower() or not lowered.startswith("<")
    ):
        return None
    start = lowered.find(">", lowered.find("<title")) + 1 if "<title" in lowered else -1
    end = lowered.find("</title", max(start, 0))
    if (
        len(lowered) != len(head) or start <= 0 or end < 0
    ):  # a letter whose small form is longer moves the rest
        return ""
    return _short(html.unescape(head[start:end]), _MAX_TITLE)


def details_of(content_type: str, body: bytes) -> Details:
    """Return what a body says: errors in JSON of any registry, XML of object stores, a page's title, or plain text."""
    title = page_title(content_type, body)
    if title is not None:
        return Details(text=f"a web page, “{title}”" if title else "a web page", is_page=True)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return Details(text=_short(_plain(content_type, body), MAX_DETAILS))
    codes, parts = [], list(_messages(document))
    errors = document.get("errors") if isinstance(document, dict) else None
    for error in errors if isinstance(errors, list) else ():
        codes.append(str(error.get("code", "")) if isinstance(error, dict) else "")
    return Details(
        text=_short("; ".join(dict.fromkeys(filter(None, parts))), MAX_DETAILS), codes=tuple(codes)
    )


_FIELDS = ("details", "detail", "message", "error_description", "error", "msg", "reason", "title")
"""Where services put their message: Docker Hub, GitHub, Quay, Keycloak (RFC 6749), Gitea, Nexus, RFC 9457."""


def _messages(document: Any) -> Iterator[str]:
    """Yield the messages of an error document; a registry's are errors[].code and message (distribution-spec)."""
    if isinstance(document, str):
        yield document
    if not isinstance(document, dict):
        return
    errors = document.get("errors")
    if isinstance(errors, list) and errors:
        for error in errors[:20]:
            if isinstance(error, dict):
                yield f"{_text(error.get('code'))} {_text(error.get('message'))}".strip()
            else:
                yield _text(error)
        return
    found = [_text(document.get(name)) for name in _FIELDS]
    yield next(filter(None, found), _text(errors))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return _text(value.get("message"))
    return (
        str(value)[: 2 * MAX_DETAILS] if isinstance(value, str | int) and not isinstance(value, bool) else ""
    )


def _plain(content_type: str, body: bytes) -> str:
    """Return the words of an XML error of an object store (`Code`, `Message`), or a short plain text; "" for others."""
    text = body[:HEAD_CHARACTERS].decode(errors="replace").lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        return ": ".join(filter(None, (_element(text, "Code"), _element(text, "Message"))))
    is_text = "text/plain" in content_type.lower() or not content_type
    return text if is_text and "\ufffd" not in text and "\0" not in text else ""


def _element(text: str, name: str) -> str:
    start = text.find(f"<{name}>")
    end = text.find("<", start + 1)
    return html.unescape(text[start + len(name) + 2 : end]) if 0 <= start < end else ""


def _short(text: str, limit: int) -> str:
    return redacted(" ".join(printable(text[: 10 * limit]).split()))[:limit]
