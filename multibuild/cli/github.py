"""Outputs of a run for GitHub Actions: those of its step, the job's summary, annotations of failures.

The runner hands files to write to in environment variables and reads commands in the output (docs.github.com,
workflow commands). Output of builds and registries is escaped: it must not issue commands.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multibuild.cli.streams import live
from multibuild.redact import redacted
from multibuild.report.failure_lines import failed_proof
from multibuild.report.gates import gate_end, not_passed
from multibuild.terminal import one_line, printable

MAX_SUMMARY_BYTES = 1024 * 1024
"""GitHub rejects a longer summary of a step as a whole."""

MAX_EVIDENCE_LINES = 6


def announce(report: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Write outputs and summary where the runner asked for them, and annotations to stderr.

    A file that cannot be written is a warning: the run itself is over and its result stands.
    """
    from multibuild.report.images import as_rows
    from multibuild.report.markdown import as_markdown

    rows = as_rows(report)
    try:
        if path := environ.get("GITHUB_OUTPUT"):
            _append(path, outputs(report))
        if path := environ.get("GITHUB_STEP_SUMMARY"):
            _append(path, summary(as_markdown(rows)))
    except OSError as error:
        print(f"warning: {error.filename}: {error.strerror}", file=sys.stderr)
    if environ.get("GITHUB_ACTIONS") == "true":
        for line in annotate(rows):
            print(line, file=live(sys.stderr))


def _append(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8", errors="replace") as file:
        file.write(text)


def outputs(report: Mapping[str, Any]) -> str:
    """Return the outputs `digest` (of the index, empty without one) and `json`, in the form for several lines.

    `json` has no log lines: GitHub drops an output in which it sees a secret, and limits all of them to 1 MB.
    """
    if "images" in report:
        index: Mapping[str, Any] = {}
        images = [{"name": image["name"], **_image_output(image)} for image in report["images"]]
        document = {"run": report["run"], "status": report["status"], "images": images}
    else:
        index = report["index"] or {}
        document = {"run": report["run"], **_image_output(report)}
    # An unpredictable delimiter: a value must not contain it.
    delimiter = f"multibuild-{uuid.uuid4()}"
    text = json.dumps(document, separators=(",", ":"))
    return f"digest={one_line(index.get('digest') or '')}\njson<<{delimiter}\n{text}\n{delimiter}\n"


def _image_output(image: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: image[key] for key in ("status", "image", "tags", "index", "published")},
        "platforms": [
            {key: platform[key] for key in ("platform", "status", "digest", "node")}
            for platform in image["platforms"]
        ],
    }


def summary(markdown: str) -> str:
    """Cut a summary that GitHub would reject."""
    data = markdown.encode("utf-8", "replace")
    if len(data) <= MAX_SUMMARY_BYTES:
        return markdown
    tail = "\n\n… cut: `multibuild report` has the whole.\n"
    return data[: MAX_SUMMARY_BYTES - len(tail.encode())].decode("utf-8", "ignore") + tail


def annotate(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a command per platform and gate that failed, and one for a run that failed otherwise."""
    reported = False
    for platform in report["platforms"]:
        failure = _failure(platform)
        if failure is not None:
            reported = reported or platform["required"]
            level = "error" if platform["required"] else "warning"
            yield command(level, f"{platform['platform']}: {failure[0]}", failure[1])
        for gate in not_passed(platform):
            reported = reported or (gate["required"] and platform["required"])
            yield _gate(platform, gate)
    error = report.get("error")
    if error and not reported:
        yield command("error", "multibuild", "\n".join(filter(None, (error["message"], error.get("hint")))))


def _failure(platform: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the failure's class and evidence; None for a platform without a failure."""
    attempts = platform["attempts"]
    if platform["status"] == "failed" and attempts:
        last = attempts[-1]
        lines = str(last.get("evidence") or "").strip().splitlines()[-MAX_EVIDENCE_LINES:]
        text = "\n".join([*lines, str(last.get("hint") or "")]).strip()
        return str(last.get("class") or last["outcome"]), text
    for proof in ("test", "content"):
        if platform[proof]["status"] == "failed":
            detail = str(platform[proof].get("detail") or "see the report")
            return failed_proof(proof, platform[proof].get("class")), detail
    return None


def _gate(platform: Mapping[str, Any], gate: Mapping[str, Any]) -> str:
    level = "error" if gate["required"] and platform["required"] else "warning"
    lines = str(gate.get("detail") or "").splitlines()[-MAX_EVIDENCE_LINES:]
    text = "\n".join([*lines, str(gate.get("hint") or "")]).strip()
    return command(level, f"{platform['platform']}: {gate_end(gate)}", text or "see the report")


def command(level: str, title: str, message: str) -> str:
    """Return a workflow command; properties end at a comma or colon, the message at the line's end."""
    return annotation(level, {"title": title}, message)


def annotation(level: str, properties: Mapping[str, str], message: str) -> str:
    """Return a workflow command with several properties: file, line, col."""
    listed = ",".join(f"{name}={_escape(value, ':,')}" for name, value in properties.items())
    return f"::{level} {listed}::{_escape(message, '')}"


def _escape(text: str, more: str) -> str:
    """Escape as the runner unescapes: % first, then line ends, then the delimiters of a property (`more`).

    Without secrets: commands pass no filter.
    """
    escaped = redacted(printable(text)).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for character in more:
        escaped = escaped.replace(character, f"%{ord(character):02X}")
    return escaped
