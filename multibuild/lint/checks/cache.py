"""The rule on cache mounts: BuildKit shares one between platforms, unless its id differs (moby/buildkit#2598)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from multibuild.dockerfile.source import Text
from multibuild.lint.checks.places import declaration
from multibuild.lint.finding import Edit, Found, Level
from multibuild.lint.shell.values import Origin, expand_dockerfile
from multibuild.lint.steps import Flag, mount_of
from multibuild.lint.toolchains import compiles
from multibuild.lint.view import StageView, Step, View

_SAFE = re.compile(
    r"pkg/mod|go-build|go-cache|\.npm\b|/npm|yarn|pnpm|/pip\b|/pip/|/uv\b|pypoetry|pipenv|\.m2\b|gradle|registry\b|cargo/git|\.cargo\b|nuget"
    r"|composer|ccache|sccache|\.bun\b|/apt\b|/apt/|lib/apt|/dnf|/yum|zypp|libdnf|\.cache\Z|\.cache/(?:go|yarn|pip|uv|node|typescript|golangci)|bundle|gems?\b|hex\b|\.mix\b"
)
"""Caches whose files are named after their content or their architecture."""

_RESULTS = frozenset(
    {"target", "build", "out", "dist", "obj", "bin", "_build", "node_modules", "cmake-build-release"}
)
"""Folders of results: of one platform, whatever their names."""

_ALPINE = re.compile(r"/(?:var/cache|etc)/apk\b")
"""Alpine's index in the cache is named after the repository alone: another platform's is taken for its own."""


def shared(view: View) -> Iterator[Found]:
    """Find cache mounts of results that all platforms share."""
    for stage in view.stages:
        for step in stage.steps:
            for flag in step.flags if step.instruction.word == "RUN" else ():
                if flag.name == "mount":
                    yield from _mount(view, stage, step, flag)


def _mount(view: View, stage: StageView, step: Step, flag: Flag) -> Iterator[Found]:
    parts = mount_of(flag)
    target = parts.get("target")
    if "type" not in parts or parts["type"].text != "cache" or target is None:
        return
    identity = parts.get("id", target)
    expanded = expand_dockerfile(identity, step.values)
    if "arch" in expanded.marks or "TARGET" in identity.text or not expanded.is_known:
        return
    path = expand_dockerfile(target, step.values).text.rstrip("/")
    level = _level(stage, step, path)
    if level is None:
        return
    start = identity.offset(0)
    yield Found(
        level=level,
        at=Origin(start, start + len(identity.text)),
        message=f"all platforms share this cache of {path}, and write into it at the same time",
        fix="give each platform its own: id=NAME-$TARGETPLATFORM, after ARG TARGETPLATFORM",
        edits=_edits(view, stage, step, flag, identity, has_id="id" in parts),
    )


def _level(stage: StageView, step: Step, path: str) -> Level | None:
    if _ALPINE.search(path):
        return None if stage.is_cross else "warning"
    if _SAFE.search(path):
        return None
    tools = [tool for event in step.trace.events if (tool := compiles(event)) is not None]
    if stage.is_cross and (not tools or all(tool.portable for tool in tools) or _names_target(step)):
        return None
    if path.rpartition("/")[2] in _RESULTS:
        return "warning"
    return "hint" if tools else None


def _names_target(step: Step) -> bool:
    """Whether the compiler has a folder for each target (cargo --target)."""
    return any(
        word.text.startswith("--target") for event in step.trace.events for word in event.words
    ) or any("CARGO_BUILD_TARGET" in event.values for event in step.trace.events)


def _edits(
    view: View, stage: StageView, step: Step, flag: Flag, identity: Text, *, has_id: bool
) -> tuple[Edit, ...]:
    declared = declaration(view, stage, step, "TARGETPLATFORM")
    value = identity if has_id else flag.value
    if not value.text or not value.is_contiguous(0, len(value.text)) or value.text[-1] in "\"'":
        return ()
    end = value.offset(len(value.text) - 1) + 1
    added = "-$TARGETPLATFORM" if has_id else f",id={identity.text}-$TARGETPLATFORM"
    return (Edit(end, end, added), *declared)
