"""Rules on stages that run on the builder's platform, and on compiling under emulation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from multibuild.lint.checks.places import declaration, reaches_image, touches
from multibuild.lint.checks.targets import go_builds
from multibuild.lint.finding import Edit, Found, Level
from multibuild.lint.shell.trace import Event
from multibuild.lint.shell.values import Expanded, Origin, expand_dockerfile
from multibuild.lint.toolchains import Toolchain, compiles, toolchain_of_image
from multibuild.lint.view import StageView, Step, View

_MENTIONS = re.compile(r"TARGET(?:ARCH|PLATFORM|VARIANT)\b|\bxx-|/xx\b|\bTARGETPAIR\b")
_URL = re.compile(r"\b(?:https?|ftp)://")
MAX_SHOWN = 100
_READS_ENVIRONMENT = frozenset({"make", "cmake", "ninja", "meson", "configure"})
"""Compilers' helpers that may read a declared argument as a variable of the environment."""

_ARCH_ARGS = ("TARGETARCH", "TARGETPLATFORM")


def wrong_machine(view: View) -> Iterator[Found]:
    """Find the builder's architecture where the target's belongs: `uname -m` in a cross stage, $BUILDARCH."""
    yield from _builder_files(view)
    for stage in view.stages:
        for step, event in stage.events():
            for word in _telling(event):
                marks = word.marks | event.guard_marks
                # What a stage of the image says of itself is right for it: its --platform is what is to mend.
                if "build" not in marks or (stage.is_image and stage.is_cross and "meant" not in marks):
                    continue
                reaches = reaches_image(view, stage, step)
                if not reaches and ("meant" in marks or not stage.is_cross or not view.copied_from(stage)):
                    continue
                yield Found(
                    level="error" if reaches else "hint",
                    at=word.origin,
                    message=_message(stage, reaches=reaches),
                    fix="ask $TARGETARCH instead, after ARG TARGETARCH in the stage",
                    edits=_go_edit(view, stage, step, event, word),
                    branch=event.branch,
                    builder=True,
                )


def _builder_files(view: View) -> Iterator[Found]:
    """Find `COPY $BUILDPLATFORM/app` and `ADD …-$BUILDARCH` in the image."""
    for stage in view.stages:
        for step in stage.steps if stage.is_image else ():
            for text in step.copied.sources if step.copied is not None else ():
                word = expand_dockerfile(text, step.values)
                if "build" in word.marks:
                    yield Found(
                        level="error",
                        at=word.origin,
                        message="this is for the builder's architecture, and gets into the image",
                        fix="ask $TARGETARCH instead, after ARG TARGETARCH in the stage",
                        builder=True,
                    )


def _message(stage: StageView, *, reaches: bool) -> str:
    where = (
        f"{stage.used.label} runs on the builder's platform"
        if stage.is_cross
        else "BUILDARCH is the builder's"
    )
    if reaches:
        return f"this is for the builder's architecture, and gets into the image: {where}"
    return f"this is for the builder's architecture: {where}; right only for a tool of the build itself"


def _telling(event: Event) -> Iterator[Expanded]:
    """Yield the words of a command that choose an architecture: addresses, GOARCH, targets of compilers."""
    if event.name in {"echo", "printf", "test", "[", "[["}:
        return
    for name, word in event.assignments:
        if name in {"GOARCH", "CARGO_BUILD_TARGET"} and event.words:
            yield word
    for word in event.words[1:]:
        if _URL.search(word.text) or word.text.startswith(("--target", "--host=", "--arch", "-r")):
            yield word


def _go_edit(view: View, stage: StageView, step: Step, event: Event, word: Expanded) -> tuple[Edit, ...]:
    own = [key for key, value in event.assignments if value is word]
    if own != ["GOARCH"] or event.name != "go" or not word.origin.whole:
        return ()
    return (
        Edit(word.origin.start, word.origin.end, "$TARGETARCH"),
        *declaration(view, stage, step, "TARGETARCH"),
    )


def unused_arguments(view: View) -> Iterator[Found]:
    """Find TARGET arguments that a cross stage declares, and nothing in it uses."""
    for stage in view.stages:
        own = [
            step
            for step in stage.steps
            if step.instruction.word == "ARG" and any(stage.declared.get(name) is step for name in _ARCH_ARGS)
        ]
        if not own or not stage.is_cross or _is_target_aware(view, stage, own[0]):
            continue
        if any(event.name in _READS_ENVIRONMENT for _, event in stage.events()):
            continue
        compiled = list(_for_builder(view, stage))
        level: Level = "hint"
        message = "nothing in this stage uses it"
        if compiled:
            level, message = (
                compiled[0][2],
                f"nothing uses it, and {compiled[0][1].name} is built for the builder",
            )
        elif _has_opaque(stage):
            continue
        start = own[0].instruction.rest.offset(0)
        edits = next((edits for *_, edits in compiled if edits), ())
        yield Found(
            level=level,
            at=Origin(start, own[0].instruction.rest.offset(len(own[0].instruction.rest.text) - 1) + 1),
            message=f"{own[0].instruction.rest.text} is declared, but {message}",
            fix=f"tell the compiler: {compiled[0][1].advice}" if compiled else "use it, or remove the line",
            edits=edits,
            builder=stage.used.runs_on == "build",
        )


def untargeted(view: View) -> Iterator[Found]:
    """Find compilers in a cross stage that know nothing of the target."""
    for stage in view.stages:
        yield from _unexported(view, stage)
        if not stage.is_cross or any(name in stage.declared for name in _ARCH_ARGS):
            continue
        if _is_target_aware(view, stage, stage.steps[0]):
            continue
        for at, toolchain, level, edits in _for_builder(view, stage):
            yield Found(
                level=level,
                at=at,
                message=f"{stage.used.label} builds {toolchain.name} for the builder's own platform,"
                " whatever the image is for",
                fix=f"tell it: {toolchain.advice}",
                edits=edits,
                builder=stage.used.runs_on == "build",
            )
            break


def _unexported(view: View, stage: StageView) -> Iterator[Found]:
    """Find `GOARCH=$TARGETARCH; go build`: a variable of the shell alone, which the compiler does not see."""
    if not stage.is_cross or "GOARCH" in stage.environment or "GOARCH" in stage.declared:
        return
    for step in stage.steps:
        assigned = False
        for event in step.trace.events:
            words = [word.text for word in event.words]
            if words[:1] == ["set"] or any("GOARCH" in word for word in words):
                break
            own = any(name == "GOARCH" for name, _ in event.assignments)
            assigned = assigned or (own and not words)
            if not assigned or own or words[:2] != ["go", "build"]:
                continue
            yield Found(
                level="error" if reaches_image(view, stage, step) else "warning",
                at=event.words[0].origin,
                message="GOARCH is a variable of the shell alone: without export, Go builds for the builder's platform",
                fix="write export GOARCH, or the assignment right before go, without ; or &&",
                builder=stage.used.runs_on == "build",
            )
            break


def _is_target_aware(view: View, stage: StageView, after: Step) -> bool:
    """Whether a later line of the stage, or of one that is FROM it, mentions the target."""
    for heir in view.heirs(stage):
        for step in heir.steps:
            if heir is stage and step.instruction.line <= after.instruction.line:
                continue
            if step.instruction.word == "ARG" and "=" not in step.instruction.rest.text:
                continue
            if any(_MENTIONS.search(text) for text in _texts(step)):
                return True
    return False


def _texts(step: Step) -> Iterator[str]:
    """Yield the texts of an instruction without what its commands only show."""
    shown = [
        event.words[0].source.text[event.words[0].start : event.words[-1].end]
        for event in step.trace.events
        if event.name in {"echo", "printf"} and not event.redirects and not event.captured
    ]
    for text in (step.instruction.rest.text, *(one.body.text for one in step.instruction.heredocs)):
        rest = text
        for part in shown[:MAX_SHOWN]:
            rest = rest.replace(part, "")
        yield rest


def _for_builder(view: View, stage: StageView) -> Iterator[tuple[Origin, Toolchain, Level, tuple[Edit, ...]]]:
    """Yield the compilers of a stage whose result is the builder's: place, toolchain, level, edits."""
    targets = [value for _, _, value in go_builds(stage) if value is not None and value.text]
    for step, event in stage.events():
        toolchain = compiles(event)
        if toolchain is None or toolchain.portable or "arch" in event.guards:
            continue
        reaches = reaches_image(view, stage, step)
        if not reaches and (_is_tool(event) or view.serves_builds(stage)):
            continue
        if toolchain.name == "Go" and targets and not _is_tool(event):
            continue
        if toolchain.name == "Rust" and (event.value("CARGO_BUILD_TARGET") or _has_target(event)):
            continue
        if toolchain.name not in {"Go", "Rust"} and _has_target(event):
            continue
        certain = toolchain.certain and reaches
        level: Level = "error" if certain else "warning"
        yield event.words[0].origin, toolchain, level, _go_build_edit(view, stage, step, event)


def _is_tool(event: Event) -> bool:
    """Whether it fetches a program, most often for the build: `go install example.org/x@latest`, `cargo install x`."""
    if len(event.words) < 3 or event.words[1].text != "install":
        return False
    words = [word.text for word in event.words[2:]]
    if event.name == "cargo":
        return not any(word.startswith("--path") for word in words)
    return any("@" in word for word in words)


def _has_target(event: Event) -> bool:
    options = (
        "--target",
        "--host",
        "-a",
        "--arch",
        "-r",
        "--runtime",
        "-Dtarget",
        "-target",
        "--swift-sdk",
        "--triple",
        "--destination",
        "-DCMAKE_TOOLCHAIN_FILE",
        "-p:RuntimeIdentifier",
        "/p:RuntimeIdentifier",
    )
    return any(word.text.partition("=")[0] in options for word in event.words)


def _has_opaque(stage: StageView) -> bool:
    """Whether some command may read the environment in ways that are not seen here."""
    known = {
        "go",
        "cargo",
        "rustc",
        "apt-get",
        "apk",
        "mkdir",
        "cp",
        "mv",
        "rm",
        "chmod",
        "curl",
        "wget",
        "tar",
        "git",
        "cd",
        "set",
        "echo",
        "ls",
    }
    return any(event.name not in known for _, event in stage.events())  # fmt: skip


def _go_build_edit(view: View, stage: StageView, step: Step, event: Event) -> tuple[Edit, ...]:
    """Return the edit that tells `go build` its target: what Go calls architectures is what Docker does."""
    first = event.words[0]
    if first.text != "go" or event.words[1].text != "build" or event.value("GOARCH") is not None:
        return ()
    if not first.origin.whole or view.parsed.source.text[first.origin.start : first.origin.end] != "go":
        return ()
    return (
        Edit(first.origin.start, first.origin.start, "GOOS=$TARGETOS GOARCH=$TARGETARCH "),
        *declaration(view, stage, step, "TARGETOS", "TARGETARCH"),
    )


def emulated(view: View) -> Iterator[Found]:
    """Find compilers that run under emulation on every platform but the builder's own."""
    # A stage that others are FROM only prepares; the others compile.
    bases = {one.line for stage in view.stages for one in stage.used.chain[1:]}
    for stage in view.stages:
        if stage.is_cross:
            continue
        compiled = next(
            (
                (event.words[0].origin, tool)
                for _, event in stage.events()
                if (tool := compiles(event)) and not tool.native
            ),
            None,
        )
        at, toolchain = compiled or (None, None)
        if toolchain is None and stage.used.stage.line not in bases:
            toolchain = toolchain_of_image(stage.used)
        if toolchain is None:
            continue
        instruction = stage.steps[0].instruction
        where = f"in line {stage.used.root.line}" if stage.used.role == "builder" else "in a stage of its own"
        yield Found(
            level="hint",
            at=at or Origin(instruction.offset, instruction.offset + len("FROM")),
            message=f"{stage.used.label} builds {toolchain.name} under emulation on every platform but the"
            " builder's own: ten to twenty times as long",
            fix=f"write FROM --platform=$BUILDPLATFORM {where}; {toolchain.advice}",
        )


def foreign_programs(view: View) -> Iterator[Found]:
    """Find programs that the base or the package manager of a cross stage brought, copied into another stage."""
    for stage in view.stages:
        for step in stage.steps:
            one = step.copied
            source = (
                view.stage_named(one.source_stage.text)
                if one is not None and one.source_stage is not None
                else None
            )
            if one is None or source is None or not source.is_cross or stage.is_cross:
                continue
            if _runs_for(source, view):
                continue
            for text in one.sources:
                path = expand_dockerfile(text, step.values).text
                if not _is_brought(source, path):
                    continue
                start = text.offset(0)
                yield Found(
                    # It may be meant as a file of another platform: data of a test, a program for an emulator.
                    level="warning",
                    at=Origin(start, start + len(text.text)),
                    message=f"{path} is a program for the builder's platform: {source.used.label} runs there",
                    fix="install it in a stage of the target's platform: remove --platform in"
                    f" line {source.used.root.line}",
                    builder=source.used.runs_on == "build",
                )


def _runs_for(source: StageView, view: View) -> bool:
    """Whether a stage of a fixed platform happens to be of the platform that is built."""
    return source.used.root.platform == str(view.platform)


def _is_brought(source: StageView, path: str) -> bool:
    """Whether a path is that of a program or a package that the stage did not make itself."""
    if _PROGRAMS.match(path) and not path.endswith((".sh", ".py", ".pl")):
        return not any(touches(step, path) for step in source.steps)
    return bool(_PACKAGES.search(path)) and any(event.name in _INSTALLERS for _, event in source.events())


_PROGRAMS = re.compile(r"/(?:usr/)?(?:s?bin|lib(?:32|64)?)/(?!ssl/|python3/dist-packages/?\Z)")
_PACKAGES = re.compile(r"site-packages|dist-packages|/\.?venv\b|/usr/local/lib/python|/bundle\b|/gems\b")
"""Folders of Python and Ruby packages: many have parts for one architecture."""

_INSTALLERS = frozenset({"pip", "pip3", "uv", "poetry", "pipenv", "bundle", "gem"})
