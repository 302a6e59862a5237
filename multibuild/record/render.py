"""A report for people: text for a terminal, Markdown for a CI summary, one self-contained page."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from multibuild.record.nodes import nodes_in_words
from multibuild.record.text import columns, human_bytes, human_seconds, one_line, printable, shortened

HEADINGS = ("PLATFORM", "STATUS", "TIME", "TRIES", "TEST", "CONTENT", "DIGEST")
EVIDENCE_LINES = 10
MOST_FOREIGN = 5
QUOTED = "    "
"""How lines begin that others wrote."""


def as_text(report: Mapping[str, Any], width: int = 80) -> str:
    """Give the summary: a table within `width` columns, what was published, why something failed, where logs are."""
    platforms = report["platforms"]
    lines = []
    if platforms:
        rows = [HEADINGS, *(_row(platform) for platform in platforms)]
        lines += columns(rows, width=width, right=frozenset({2, 3}))
    if any(not platform["required"] for platform in platforms):
        lines.append("? optional: the index is published without it when it fails")
    index = report["index"]
    if index:
        size = f"{index['entries']} entries, {index['size']} bytes, {index['mediaType']}"
        lines += ["", one_line(f"index {index['digest']}"), one_line(f"      {size}")]
    lines += [one_line(f"  {_arrow(tag)} {tag['ref']}  {tag['status']}") for tag in report["published"]]
    if nodes := nodes_in_words(report):
        lines += ["", *nodes]
    for platform in platforms:
        if not (trouble := _trouble(platform)):
            continue
        # What a build printed is cut, the log has it whole; what we say (a path, a hint) is not.
        lines += ["", *(shortened(line, width) if line.startswith(QUOTED) else line for line in trouble)]
    error = report.get("error")
    if error:
        lines += ["", *_error(error)]
    if any(platform["attempts"] for platform in platforms):
        lines += ["", one_line(f"logs: runs/{report['run']}/logs in the state directory")]
    lines += ["", one_line(_summary(report))]
    return "\n".join(lines).strip("\n")


def _summary(report: Mapping[str, Any]) -> str:
    return f"{report['status']} in {human_seconds(report['seconds'])}, run {report['run']}"


def _error(error: Mapping[str, Any]) -> list[str]:
    """Give the run's own error; it may have several lines, and the hint is as long as it is."""
    lines = printable(f"error: {error.get('message')}").splitlines()
    return [*lines, one_line(f"hint:  {error['hint']}")] if error.get("hint") else lines


def _row(platform: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        platform["platform"],
        platform["status"] + ("" if platform["required"] else "?"),
        human_seconds(platform["seconds"]),
        str(len(platform["attempts"]) or ""),
        _mark(platform["test"]["status"]),
        _mark(platform["content"]["status"]),
        (platform["digest"] or "").removeprefix("sha256:")[:12],
    )


def _mark(status: str) -> str:
    return {"passed": "ok", "skipped": "-"}.get(status, status)


def _arrow(tag: Mapping[str, Any]) -> str:
    return "→" if tag["status"] in {"moved", "unchanged"} else "!"


def _trouble(platform: Mapping[str, Any]) -> list[str]:
    """Say why a platform did not make it: each attempt's class, the last one's evidence, test and proof.

    One that made it after a failed attempt has its classes said in a line each. Lines are printable.
    """
    name = platform["platform"]
    failed = [attempt for attempt in platform["attempts"] if attempt.get("class")]
    lines = [
        f"{name}: attempt {attempt['number']} {attempt['outcome']}: {attempt['class']} ({attempt['retry']}), "
        f"{attempt['log']}"
        for attempt in failed
    ]
    if failed and platform["status"] == "failed":
        lines += [
            f"{QUOTED}{line}"
            for line in printable(failed[-1]["evidence"] or "").splitlines()[-EVIDENCE_LINES:]
        ]
        lines += [f"  hint: {failed[-1]['hint']}"] if failed[-1].get("hint") else []
    if platform.get("reason"):
        lines.append(f"{name}: {platform['status']}: {platform['reason']}")
    for what in ("test", "content"):
        proof = platform[what]
        if proof["status"] == "failed":
            said = printable(str(proof.get("detail", ""))).splitlines()[-EVIDENCE_LINES:]
            foreign = [str(file) for file in proof.get("foreign", ())]
            more = len(foreign) - MOST_FOREIGN
            lines += [f"{name}: {what} failed", *(f"{QUOTED}{line}" for line in said)]
            lines += [f"{QUOTED}foreign: {file}" for file in foreign[:MOST_FOREIGN]]
            lines += [f"{QUOTED}and {more} more"] if more > 0 else []
    return [one_line(line) for line in lines]


def as_markdown(report: Mapping[str, Any]) -> str:
    """Give the summary as Markdown (GitHub's flavour, which CI summaries take); what others wrote is escaped."""
    lines = [
        f"## {_cell(report['image'])}: {_cell(report['status'])} in {human_seconds(report['seconds'])}",
        "",
        "| " + " | ".join(heading.lower() for heading in HEADINGS) + " |",
        "|---|---|---:|---:|---|---|---|",
    ]
    lines += ["| " + " | ".join(map(_cell, _row(platform))) + " |" for platform in report["platforms"]]
    index = report["index"]
    if index:
        lines += ["", f"Index {_code(index['digest'])}, {_cell(str(index['entries']))} entries.", ""]
    lines += [f"- {_code(tag['ref'])}: {_cell(tag['status'])}" for tag in report["published"]]
    if nodes := nodes_in_words(report):
        lines += ["", *(f"- {_cell(line)}" for line in nodes)]
    said = [_trouble(platform) for platform in report["platforms"]]
    said += [_error(report["error"])] if report.get("error") else []
    for trouble in said:
        if trouble:
            lines += ["", *_fenced(trouble)]
    return "\n".join([*lines, "", f"Run {_code(report['run'])}."]) + "\n"


def _cell(text: str) -> str:
    """Escape for a cell: a backslash before what Markdown reads (CommonMark §2.4), entities for what HTML reads."""
    return html.escape(re.sub(r"([\\`*_\[\]|~#])", r"\\\1", one_line(text)), quote=False)


def _code(text: str) -> str:
    return "`" + one_line(text).replace("`", "'").replace("|", "\\|") + "`"


def _fenced(lines: list[str]) -> list[str]:
    """Fence lines with more backticks than any of them has in a row (CommonMark §4.5)."""
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
:root{{color-scheme:light dark;--text:#1b1f24;--page:#fff;--line:#d0d7de;--good:#1a7f37;--bad:#b42318;--other:#8a6d00}}
@media (prefers-color-scheme:dark){{:root{{--text:#e6edf3;--page:#0d1117;--line:#30363d;--good:#3fb950;--bad:#ff7b72;--other:#d29922}}}}
body{{font:16px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:75rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}}
caption{{text-align:left}}.scroll{{overflow-x:auto}}code{{word-break:break-all}}pre{{overflow-x:auto;padding:.6rem;border:1px solid var(--line)}}
.time{{position:relative;height:1rem;min-width:16rem;border-left:1px solid var(--line)}}
.time i{{position:absolute;top:0;height:100%;min-width:3px;border-radius:3px;background:var(--other)}}
.time i.ok{{background:var(--good)}}.time i.failed,.time i.timeout,.time i.stalled{{background:var(--bad)}}
</style></head><body><main><h1>{title}</h1><p>{summary}</p>{error}<h2>Platforms</h2>
<div class="scroll" role="region" aria-label="Platforms" tabindex="0"><table>
<caption>One row per platform; a bar per attempt, from the start of the run to its end.</caption>
<thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>{index}{trouble}
<h2>Stages</h2><ul>{stages}</ul><h2>Environment</h2><ul>{environment}</ul></main></body></html>
"""


def as_html(report: Mapping[str, Any]) -> str:
    """Give the report as one page that needs no network and no script; everything in it is escaped."""
    total = max(report["seconds"], 0.001)
    said = ["\n".join(_trouble(platform)) for platform in report["platforms"]]
    trouble = "".join(f"<pre>{_safe(text)}</pre>" for text in said if text)
    error = "\n".join(_error(report["error"])) if report.get("error") else ""
    headings = (*HEADINGS[:-1], "SIZE", HEADINGS[-1], "TIMELINE")
    return _PAGE.format(
        title=_safe(f"{report['image']}: {report['status']}"),
        summary=_safe(f"{_summary(report)}, started {report['started']}"),
        error=f"<pre>{_safe(error)}</pre>" if error else "",
        headings="".join(f'<th scope="col">{heading.capitalize()}</th>' for heading in headings),
        rows="".join(_table_row(platform, total) for platform in report["platforms"]),
        index=_index(report),
        trouble=f"<h2>What failed</h2>{trouble}" if trouble else "",
        stages="".join(
            f"<li>{_safe(stage['name'])}: {human_seconds(stage['seconds'])}</li>"
            for stage in report["stages"]
        ),
        environment="".join(
            f"<li>{_safe(key)}: {_safe(value)}</li>" for key, value in report["environment"].items()
        ),
    )


def _safe(text: object) -> str:
    return html.escape(printable(str(text)))


def _table_row(platform: Mapping[str, Any], total: float) -> str:
    name, *cells, digest = _row(platform)
    size = human_bytes(platform["bytes"]) if platform["bytes"] else ""
    columns_after = "".join(f"<td>{_safe(cell)}</td>" for cell in (*cells, size))
    return (
        f'<tr><th scope="row">{_safe(name)}</th>{columns_after}<td><code>{_safe(digest)}</code></td>'
        f"<td>{_timeline(platform, total)}</td></tr>"
    )


def _timeline(platform: Mapping[str, Any], total: float) -> str:
    """Draw each attempt where it lies in the run; the label says the same to those who do not see it."""
    bars, words = [], []
    for attempt in platform["attempts"]:
        left = min(100 * attempt.get("began", 0.0) / total, 100.0)
        size = min(100 * attempt["seconds"] / total, 100.0 - left)
        text = f"attempt {attempt['number']} {attempt['outcome']}, {human_seconds(attempt['seconds'])}"
        style = f"left:{left:.1f}%;width:{size:.1f}%"
        bars.append(f'<i class="{_safe(attempt["outcome"])}" style="{style}" title="{_safe(text)}"></i>')
        words.append(text)
    label = "; ".join(words) or "no attempt"
    return f'<div class="time" role="img" aria-label="{_safe(label)}">{"".join(bars)}</div>'


def _index(report: Mapping[str, Any]) -> str:
    index = report["index"]
    if not index and not report["published"]:
        return ""
    said = f"<p><code>{_safe(index['digest'])}</code>, {_safe(index['entries'])} entries</p>" if index else ""
    tags = "".join(
        f"<li><code>{_safe(tag['ref'])}</code>: {_safe(tag['status'])}</li>" for tag in report["published"]
    )
    return f"<h2>Index</h2>{said}<ul>{tags}</ul>"
