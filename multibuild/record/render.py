"""A report for people: text for a terminal, Markdown for a CI summary, one self-contained page."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from multibuild.record.text import columns, human_bytes, human_seconds, printable

HEADINGS = ("PLATFORM", "STATUS", "TIME", "TRIES", "SIZE", "TEST", "CONTENT", "CHILD")


def as_text(report: Mapping[str, Any], *, width: int = 80) -> str:
    """Give the summary: a table within `width` columns, what was published, and why something failed."""
    lines = columns(
        [HEADINGS, *(_row(platform) for platform in report["platforms"])],
        width=width,
        right=frozenset({2, 3, 4}),
    )
    if not report["platforms"]:
        lines = []
    index = report["index"]
    if index:
        lines += [
            "",
            f"index {index['digest']}",
            f"      {index['entries']} entries, {index['size']} bytes, {index['mediaType']}",
        ]
    lines += [f"  {_arrow(tag['status'])} {tag['ref']}  {tag['status']}" for tag in report["published"]]
    for platform in report["platforms"]:
        lines += _trouble(platform)
    lines += ["", f"{report['status']} in {human_seconds(report['seconds'])}, run {report['run']}"]
    return "\n".join(printable(line) for line in lines).strip("\n")


def _row(platform: Mapping[str, Any]) -> tuple[str, ...]:
    size = platform["bytes"]
    return (
        platform["platform"],
        platform["status"] + ("" if platform["required"] else "?"),
        human_seconds(platform["seconds"]),
        str(len(platform["attempts"]) or ""),
        human_bytes(size) if size else "",
        _mark(platform["test"]["status"]),
        _mark(platform["content"]["status"]),
        (platform["digest"] or "").removeprefix("sha256:")[:12],
    )


def _mark(status: str) -> str:
    return {"passed": "ok", "skipped": "-"}.get(status, status)


def _arrow(status: str) -> str:
    return "→" if status in {"moved", "unchanged"} else "!"


def _trouble(platform: Mapping[str, Any]) -> list[str]:
    """Give the last attempt's evidence, and what test and proof found, for a platform that did not make it."""
    lines: list[str] = []
    last = platform["attempts"][-1] if platform["attempts"] else None
    if platform["status"] == "failed" and last and last.get("class"):
        lines += ["", f"{platform['platform']}: {last['class']} ({last['retry']}), {last['log']}"]
        lines += [f"    {line}" for line in last["evidence"].splitlines()[-10:]]
        lines.append(f"  hint: {last['hint']}")
    for what in ("test", "content"):
        if platform[what]["status"] == "failed":
            lines += ["", f"{platform['platform']}: {what} failed"]
            lines += [f"    {line}" for line in str(platform[what].get("detail", "")).splitlines()[-10:]]
    return lines


def as_markdown(report: Mapping[str, Any]) -> str:
    """Give the summary as Markdown."""
    head = f"## {_cell(report['image'])}: {report['status']} in {human_seconds(report['seconds'])}\n"
    lines = [
        head,
        "| platform | status | time | tries | test | content | child |",
        "|---|---|---:|---:|---|---|---|",
    ]
    for platform in report["platforms"]:
        row = _row(platform)
        picked = (*row[:4], *row[5:])
        lines.append("| " + " | ".join(_cell(cell) for cell in picked) + " |")
    if report["index"]:
        lines += ["", f"Index `{report['index']['digest']}`, {report['index']['entries']} entries."]
    lines += [f"- `{tag['ref']}`: {tag['status']}" for tag in report["published"]]
    for platform in report["platforms"]:
        trouble = "\n".join(_trouble(platform)).strip()
        if trouble:
            lines += ["", "```text", printable(trouble).replace("```", "'''"), "```"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return html.escape(printable(text)).replace("|", "\\|")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>
:root{{color-scheme:light dark;--bar:#2f7ed8;--bad:#c0392b;--line:#8884}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line)}}
.scroll{{overflow-x:auto}}.bar{{height:1rem;background:var(--bar);border-radius:3px;min-width:2px}}
.failed .bar{{background:var(--bad)}}pre{{overflow-x:auto;padding:.6rem;border:1px solid var(--line)}}code{{word-break:break-all}}
</style></head><body><main><h1>{title}</h1><p>{summary}</p><h2>Platforms</h2><div class="scroll"><table>
<thead><tr>{headings}<th>time spent</th></tr></thead><tbody>{rows}</tbody></table></div>{index}{trouble}
<h2>Environment</h2><pre>{environment}</pre></main></body></html>
"""


def as_html(report: Mapping[str, Any]) -> str:
    """Give the report as one page without network; everything in it is escaped."""

    def safe(text: object) -> str:
        return html.escape(printable(str(text)))

    longest = max((platform["seconds"] for platform in report["platforms"]), default=0) or 1
    rows = "".join(
        f'<tr class="{safe(platform["status"])}">'
        + "".join(f"<td>{safe(cell)}</td>" for cell in _row(platform))
        + f'<td><div class="bar" style="width:{100 * platform["seconds"] / longest:.0f}%"></div></td></tr>'
        for platform in report["platforms"]
    )
    index = ""
    if report["index"]:
        tags = "".join(
            f"<li><code>{safe(tag['ref'])}</code>: {safe(tag['status'])}</li>" for tag in report["published"]
        )
        index = f"<h2>Index</h2><p><code>{safe(report['index']['digest'])}</code></p><ul>{tags}</ul>"
    said = ["\n".join(_trouble(platform)).strip() for platform in report["platforms"]]
    return _PAGE.format(
        title=safe(f"{report['image']}: {report['status']}"),
        summary=safe(f"run {report['run']}, started {report['started']}, {human_seconds(report['seconds'])}"),
        headings="".join(f"<th>{heading.lower()}</th>" for heading in HEADINGS),
        rows=rows,
        index=index,
        trouble="".join(f"<pre>{safe(text)}</pre>" for text in said if text),
        environment="\n".join(f"{safe(key)}: {safe(value)}" for key, value in report["environment"].items()),
    )
