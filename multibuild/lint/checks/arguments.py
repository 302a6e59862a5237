"""Rules on the automatic arguments: TARGETARCH and its kind, their declarations and their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from multibuild.dockerfile.parse import PLATFORM_ARGS
from multibuild.dockerfile.source import SourceInstruction
from multibuild.errors import UsageError
from multibuild.lint.checks.places import declaration, reaches_image
from multibuild.lint.finding import Edit, Found, Level
from multibuild.lint.shell.trace import Event, Use
from multibuild.lint.shell.values import Origin, Value, expand_dockerfile
from multibuild.lint.steps import Assigned, arguments, variables
from multibuild.lint.view import StageView, Step, View, automatic_arguments

_HARMLESS = frozenset({"GOARCH", "GOOS", "GOARM", "GOAMD64"})
"""Empty, they mean the platform of the stage itself."""
_OF_THE_BUILD = frozenset({"test", "vet", "run", "generate", "list", "tool", "mod", "fmt", "clippy", "check"})
"""What xx-go and xx-cargo do for the build alone: there the builder's own platform is right."""


def defaults(view: View) -> Iterator[Found]:
    """Find defaults of automatic arguments that hide another value of BuildKit's."""
    scope: dict[str, Value] = {}
    for instruction in view.parsed.head:
        if instruction.word == "ARG":
            for one in arguments(instruction):
                yield from _default(view, instruction, one, {**view.globals, **scope}, None)
    for stage in view.stages:
        for step in stage.steps:
            if step.instruction.word == "ARG":
                for one in arguments(step.instruction):
                    yield from _default(view, step.instruction, one, step.values, stage)


def _default(
    view: View,
    instruction: SourceInstruction,
    one: Assigned,
    scope: Mapping[str, Value],
    stage: StageView | None,
) -> Iterator[Found]:
    args = view.given.args.get(view.platform, {})
    if one.name not in PLATFORM_ARGS or one.value is None or one.name in args:
        return
    at = _span(instruction, one)
    edits = (Edit(at.start, at.end, ""),) if at.whole else ()
    if one.name.startswith("BUILD"):
        if "$" not in one.value.text:
            yield Found(
                level="warning",
                at=at,
                message=f"the default of {one.name} hides the builder's own value: the stages of the builder are then"
                f" always {one.value.text}, under emulation on other machines",
                fix=f"declare it without a default: ARG {one.name}",
                edits=edits,
            )
        return
    known = {**_automatic(view), **scope} if stage is None else scope
    value = expand_dockerfile(one.value, known)
    own = automatic_arguments(view.platform)[one.name]
    if _same(one.name, value.text, own):
        return
    is_used = _is_used_later(view, instruction, one.name)
    text = value.text if value.is_known else one.value.text
    yield Found(
        level="error" if is_used and value.is_known else "warning",
        at=at,
        message=f"the default of {one.name} hides the value that BuildKit sets: it is always '{text}'",
        fix=f"declare it without a default: ARG {one.name}",
        edits=edits,
    )


def _automatic(view: View) -> dict[str, Value]:
    return {name: Value(text) for name, text in automatic_arguments(view.platform).items()}


def _same(name: str, text: str, own: str) -> bool:
    if name != "TARGETPLATFORM" or text == own:
        return text == own
    from multibuild.platforms import Platform

    try:
        return str(Platform.parse(text)) == own
    except UsageError:
        return False


def _span(instruction: SourceInstruction, one: Assigned) -> Origin:
    """Return the place of `=default`."""
    rest = instruction.rest
    whole = rest.is_contiguous(one.sign, one.end)
    start = rest.offset(one.sign)
    return Origin(start, start + one.end - one.sign, whole=whole)


def _is_used_later(view: View, instruction: SourceInstruction, name: str) -> bool:
    later = view.parsed.source.text[instruction.rest.offset(len(instruction.rest.text)) :]
    # What a RUN starts may read the argument as a variable of its environment.
    return (
        re.search(rf"\$\{{?{name}\b|\bxx-|\bmake\b|\bcmake\b|\bnpm\b|\./\w|\b(?:ba)?sh\s", later) is not None
    )


def undeclared(view: View) -> Iterator[Found]:
    """Find uses of automatic arguments in stages that do not declare them."""
    for stage in view.stages:
        first: dict[str, tuple[Edit, ...]] = {}
        for step in stage.steps:
            for use in step.trace.undeclared:
                level = _level(stage, step, use)
                if level is None:
                    continue
                edits = first.setdefault(use.name, declaration(view, stage, step, use.name))
                start = use.source.offset(use.index)
                before = (
                    " (an ARG before the first FROM is for FROM lines only)"
                    if use.name in view.globals
                    else ""
                )
                yield Found(
                    level=level,
                    at=Origin(start, start + len(use.name) + 1),
                    message=f"{use.name} is empty here: {stage.used.label} does not declare it{before}",
                    fix=f"write ARG {use.name} in the stage, above this line",
                    edits=edits,
                )
            if step.instruction.word in {"CMD", "ENTRYPOINT"}:
                yield from _at_run_time(stage, step)
        yield from _helpers(view, stage)


def _helpers(view: View, stage: StageView) -> Iterator[Found]:
    """Find tonistiigi/xx without the argument that it reads: xx-info asks `uname -m` then (xx, src/xx-info)."""
    # A base that brings xx may set the argument itself.
    lines = {one.line for one in stage.used.chain}
    brought = any(
        one.copied is not None
        and one.copied.source_stage is not None
        and "xx" in one.copied.source_stage.text
        for other in view.stages
        if other.used.stage.line in lines
        for one in other.steps
    )
    for step, event in stage.events() if stage.is_cross and brought else ():
        names = ("TARGETPLATFORM", "TARGETARCH", "TARGETPAIR")
        if not event.name.startswith("xx-") or any(event.value(name) is not None for name in names):
            continue
        if len(event.words) > 1 and event.words[1].text in _OF_THE_BUILD:
            continue
        yield Found(
            level="error",
            at=event.words[0].origin,
            message=f"{event.name} reads TARGETPLATFORM, which {stage.used.label} does not declare",
            fix="write ARG TARGETPLATFORM in the stage, above this line",
            edits=declaration(view, stage, step, "TARGETPLATFORM"),
            builder=True,
        )
        return


def _level(stage: StageView, step: Step, use: Use) -> Level | None:
    """Return how bad an empty argument is; None where it is only shown."""
    word = step.instruction.word
    if word == "ENV":
        is_harmless = any(
            one.name in _HARMLESS and one.sign < use.index < one.end for one in variables(step.instruction)
        )
        return "warning" if is_harmless and not stage.is_cross else "error"
    if word != "RUN":
        # A caller may set what has such a default.
        return "warning" if word in {"ARG", "WORKDIR", "VOLUME", "USER", "EXPOSE"} else "error"
    event = next((one for one in step.trace.events if _holds(one, use)), None)
    if event is not None and event.name in {"echo", "printf"} and not event.redirects and not event.captured:
        return None
    if not stage.is_cross and event is not None and _harmless(event, use):
        return "warning"
    return "error"


def _holds(event: Event, use: Use) -> bool:
    words = [*event.words, *(word for _, word in event.assignments), *(word for _, word in event.redirects)]
    return any(word.source is use.source and word.start <= use.index < word.end for word in words)


def _harmless(event: Event, use: Use) -> bool:
    return any(
        name in _HARMLESS and word.start <= use.index < word.end and word.source is use.source
        for name, word in event.assignments
    )


def _at_run_time(stage: StageView, step: Step) -> Iterator[Found]:
    """Find automatic arguments in what a container starts: an ARG has no value there (docs: ARG, scope)."""
    rest = step.instruction.rest
    for match in re.finditer(r"\$\{?(TARGET(?:ARCH|PLATFORM|VARIANT|OS))\b", rest.text):
        if match[1] in stage.environment or not stage.is_image:
            continue
        start = rest.offset(match.start())
        yield Found(
            level="error",
            at=Origin(start, start + len(match[0])),
            message=f"{match[1]} has no value when the container starts: an ARG is for the build alone",
            fix=f"keep it with ENV, or give the file one name for all platforms in a RUN that knows {match[1]}",
        )


def _no_variant(view: View) -> Iterator[Found]:
    """Find GOARCH=arm without GOARM: a cross build is for ARMv7 then (go.dev/wiki/GoArm)."""
    if view.platform.architecture != "arm" or view.platform.variant not in {"v5", "v6"}:
        return
    for stage in view.stages:
        for step, event in stage.events():
            arch, arm = event.value("GOARCH"), event.value("GOARM")
            if [word.text for word in event.words[:2]] != ["go", "build"] or not stage.is_cross:
                continue
            if (
                arch is not None
                and arch.text == "arm"
                and arm is None
                and "GOARM" not in view.parsed.source.text
            ):
                yield Found(
                    level="error" if reaches_image(view, stage, step) else "warning",
                    at=event.words[0].origin,
                    message=f"GOARCH=arm without GOARM is for ARMv7, and does not run on {view.platform}",
                    fix="write GOARM=${TARGETVARIANT#v}, after ARG TARGETVARIANT",
                    builder=True,
                )


def wrong_variant(view: View) -> Iterator[Found]:
    """Find GOARM=$TARGETVARIANT: Go takes 7, not v7 (go.dev/wiki/GoArm)."""
    if view.given.explicit and view.platform.architecture != "arm":
        return
    yield from _no_variant(view)
    for stage in view.stages:
        for step in stage.steps:
            if step.instruction.word not in {"RUN", "ENV"}:
                continue
            texts = [step.instruction.rest, *(heredoc.body for heredoc in step.instruction.heredocs)]
            for text in texts:
                for match in re.finditer(r"\bGOARM=[\"']?(\$TARGETVARIANT\b|\$\{TARGETVARIANT\})", text.text):
                    start = text.offset(match.start(1))
                    at = Origin(start, start + len(match[1]), whole=text.is_contiguous(*match.span(1)))
                    yield Found(
                        level="error" if view.given.explicit else "warning",
                        at=at,
                        message="GOARM is a number, and TARGETVARIANT begins with a v: Go refuses v7",
                        fix="write GOARM=${TARGETVARIANT#v}",
                        edits=(Edit(at.start, at.end, "${TARGETVARIANT#v}"),) if at.whole else (),
                    )
