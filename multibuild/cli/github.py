"""What a run tells GitHub Actions: outputs of its step, the job's summary, annotations for what failed.

The runner hands files to write to in environment variables and reads commands in the output (docs.github.com,
workflow commands). Only `multibuild` writes here: what builds and registries said is escaped.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multibuild.report.failure_lines import failed_proof
from multibuild.terminal import printable

SUMMARY_LIMIT = 1024 * 1024
"""Bytes; GitHub refuses a longer summary of a step as a whole."""

EVIDENCE_LINES = 6


def announce(report: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Write outputs and summary where the runner asked for them, and annotations to stderr.

    A file that cannot be written is a warning: the run itself is over and its result stands.
    """
    from multibuild.report.markdown import as_markdown

    try:
        if path := environ.get("GITHUB_OUTPUT"):
            _append(path, outputs(report))
        if path := environ.get("GITHUB_STEP_SUMMARY"):
            _append(path, summary(as_markdown(report)))
    except OSError as error:
        print(f"warning: {error.filename}: {error.strerror}", file=sys.stderr)
    if environ.get("GITHUB_ACTIONS") == "true":
        for line in annotate(report):
            print(line, file=sys.stderr)


def _append(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8", errors="replace") as file:
        file.write(text)


def outputs(report: Mapping[str, Any]) -> str:
    """Give the outputs `digest` (of the index, empty without one) and `json`, in the form for several lines.

    `json` has no log lines: GitHub drops an output in which it sees a secret, and limits all of them to 1 MB.
    """
    index = report["index"] or {}
    document = {
        **{key: report[key] for key in ("run", "status", "image", "tags", "index", "published")},
        "platforms": [
            {key: platform[key] for key in ("platform", "status", "digest", "node")}
            for platform in report["platforms"]
        ],
    }
    # A value must not be able to end itself: the delimiter is one nobody can guess.
    mark = f"multibuild-{uuid.uuid4()}"
    text = json.dumps(document, separators=(",", ":"))
    return f"digest={index.get('digest') or ''}\njson<<{mark}\n{text}\n{mark}\n"


def summary(markdown: str) -> str:
    """Cut a summary that would be refused."""
    data = markdown.encode("utf-8", "replace")
    if len(data) <= SUMMARY_LIMIT:
        return markdown
    tail = "\n\n… cut: `multibuild report` has the whole.\n"
    return data[: SUMMARY_LIMIT - len(tail.encode())].decode("utf-8", "ignore") + tail


def annotate(report: Mapping[str, Any]) -> Iterator[str]:
    """Give a command per platform that failed, and one for a run that failed otherwise."""
    told = False
    for platform in report["platforms"]:
        trouble = _trouble(platform)
        if trouble is not None:
            told = told or platform["required"]
            level = "error" if platform["required"] else "warning"
            yield command(level, f"{platform['platform']}: {trouble[0]}", trouble[1])
    error = report.get("error")
    if error and not told:
        yield command("error", "multibuild", "\n".join(filter(None, (error["message"], error.get("hint")))))


def _trouble(platform: Mapping[str, Any]) -> tuple[str, str] | None:
    """Give what failed for a platform, and how that shows; None where nothing did."""
    attempts = platform["attempts"]
    if platform["status"] == "failed" and attempts:
        last = attempts[-1]
        lines = str(last.get("evidence") or "").strip().splitlines()[-EVIDENCE_LINES:]
        return str(last.get("class") or last["outcome"]), "\n".join(
            [*lines, str(last.get("hint") or "")]
        ).strip()
    for proof in ("test", "content"):
        if platform[proof]["status"] == "failed":
            return failed_proof(proof, platform[proof].get("class")), str(
                platform[proof].get("detail") or "see the report"
            )
    return None


def command(level: str, title: str, message: str) -> str:
    """Make a workflow command; properties end at a comma or colon, the message at the line's end."""
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(message, '')}"


def _escaped(text: str, more: str) -> str:
    """Escape as the runner reads it back: % first, then line ends, then what ends a property."""
    shown = printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for character in more:
        shown = shown.replace(character, f"%{ord(character):02X}")
    return shown
