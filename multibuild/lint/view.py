"""A Dockerfile as the build of one platform sees it: its stages, what each instruction's variables are, what runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from multibuild.dockerfile.parse import PLATFORM_ARGS, Dockerfile, parse_source
from multibuild.dockerfile.source import Source, SourceInstruction, Text
from multibuild.dockerfile.stages import UsedStage, used_stages
from multibuild.errors import ConfigError, UsageError
from multibuild.frozen import frozen
from multibuild.lint.arch_names import UNKNOWN, alpine_of, debian_of, machine_of
from multibuild.lint.shell.evaluate import MAX_USES, follow
from multibuild.lint.shell.trace import Event, Machine, Trace, Use
from multibuild.lint.shell.values import NONE, Mark, Value, expand_dockerfile, unset_names
from multibuild.lint.steps import (
    Copied,
    Flag,
    ShellScript,
    arguments,
    copied,
    flags_of,
    is_posix_shell,
    is_windows,
    mount_of,
    scripts_of,
    variables,
)
from multibuild.platforms import Platform

MAX_VARIABLES = 300
"""Of a stage; each step keeps those before it."""

MAX_INSTRUCTIONS = 4000
MAX_PATHS = 100
"""Of a stage, that are followed back to the stages before."""

TARGET_ARGS = frozenset(name for name in PLATFORM_ARGS if name.startswith("TARGET"))


@frozen
class LintInput:
    """What a Dockerfile is built with. `explicit`: the platforms are those of a config, and so are the arguments.

    `bases` are the platforms of images, or why they are not known; none where no registry was asked.
    """

    platforms: tuple[Platform, ...]
    target: str | None = None
    args: Mapping[Platform, Mapping[str, str]] = field(default_factory=dict)
    bases: Mapping[str, frozenset[Platform] | str] = field(default_factory=dict)
    explicit: bool = False


class Parsed:
    """What does not depend on the platform: the source, and its scripts, each parsed once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._scripts: dict[int, tuple[ShellScript, ...]] = {}

    def scripts(self, instruction: SourceInstruction) -> tuple[ShellScript, ...]:
        """Return the scripts of a RUN."""
        if instruction.offset not in self._scripts:
            self._scripts[instruction.offset] = scripts_of(instruction)
        return self._scripts[instruction.offset]

    @cached_property
    def stages(self) -> tuple[tuple[SourceInstruction, ...], ...]:
        """The instructions of each stage, its FROM first."""
        groups: list[list[SourceInstruction]] = []
        for one in self.source.instructions:
            if one.word == "FROM":
                groups.append([])
            if groups:
                groups[-1].append(one)
        return tuple(map(tuple, groups))

    @cached_property
    def head(self) -> tuple[SourceInstruction, ...]:
        """The instructions before the first FROM."""
        first = next((i for i, one in enumerate(self.source.instructions) if one.word == "FROM"), None)
        return self.source.instructions[:first]


@dataclass
class Step:
    """An instruction with the variables before it, and what its scripts do."""

    instruction: SourceInstruction
    values: Mapping[str, Value]
    trace: Trace = field(default_factory=Trace)

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """Its flags."""
        return flags_of(self.instruction)[0]

    @cached_property
    def copied(self) -> Copied | None:
        """Its sources, for COPY and ADD."""
        return copied(self.instruction) if self.instruction.word in {"COPY", "ADD"} else None

    @property
    def taken_from(self) -> Iterator[str]:
        """The stages and images that it copies or mounts from."""
        if self.copied is not None and self.copied.source_stage is not None:
            yield self.copied.source_stage.text
        for flag in self.flags if self.instruction.word == "RUN" else ():
            if flag.name == "mount" and "from" in (parts := mount_of(flag)):
                yield parts["from"].text

    @cached_property
    def tees_sources(self) -> bool:
        """Whether it writes sources of apt with `tee`."""
        tees = (event for event in self.trace.events if event.name == "tee")
        return any("sources.list" in word.text for event in tees for word in event.words)


@dataclass(slots=True)
class StageView:
    """A stage that the target needs, with its steps; `index` is its number in the file.

    `is_cross`: its programs are those of another platform than the target's, as far as the file says. `posix`: its
    shell is one whose scripts are read here.
    """

    index: int
    used: UsedStage
    steps: list[Step]
    values: dict[str, Value] = field(default_factory=dict)
    declared: dict[str, Step] = field(default_factory=dict)
    environment: set[str] = field(default_factory=set)
    is_cross: bool = False
    posix: bool = True

    @property
    def is_image(self) -> bool:
        """Whether what it does is in the image."""
        return self.used.role == "image"

    def events(self) -> Iterator[tuple[Step, Event]]:
        """Yield the commands of its RUN lines."""
        for step in self.steps:
            for event in step.trace.events:
                yield step, event


@dataclass
class View:
    """The file as the build for `platform` sees it."""

    parsed: Parsed
    platform: Platform
    given: LintInput
    dockerfile: Dockerfile
    stages: list[StageView]
    globals: dict[str, Value]
    reaching: dict[tuple[int, int], bool] = field(default_factory=dict)
    """By the numbers of a stage and the offset of a RUN: whether what it writes gets into the image."""
    _image_paths: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def stage_named(self, name: str) -> StageView | None:
        """Return the stage that `--from=` names or counts."""
        name = name.lower()
        return next(
            (one for one in self.stages if name in {one.used.stage.name, str(one.index)} and name), None
        )

    @cached_property
    def copies(self) -> Mapping[int, tuple[str, ...]]:
        """The paths that other stages copy out of each stage, by its number."""
        found: dict[int, list[str]] = {}
        for stage in self.stages:
            for step in stage.steps:
                one = step.copied
                if one is None or one.source_stage is None:
                    continue
                source = self.stage_named(one.source_stage.text)
                if source is not None:
                    paths = [expand_dockerfile(text, step.values).text for text in one.sources]
                    found.setdefault(source.index, []).extend(paths)
        return {index: tuple(paths) for index, paths in found.items()}

    def image_paths(self, stage: StageView) -> tuple[str, ...]:
        """Return the paths of a stage that get into the image: copied into it, or into what is copied on from there.

        A tool that another stage copies to build with is none of them.
        """
        if stage.index not in self._image_paths:
            self._image_paths[stage.index] = ()
            self._image_paths[stage.index] = tuple(self._find_image_paths(stage))
        return self._image_paths[stage.index]

    def _find_image_paths(self, stage: StageView) -> Iterator[str]:
        heirs = {heir.index for heir in self.heirs(stage)}
        for other in self.stages:
            for step in other.steps:
                one = step.copied
                source = one and one.source_stage and self.stage_named(one.source_stage.text)
                if one is None or not source or source.index not in heirs:
                    continue
                for text in one.sources:
                    path = expand_dockerfile(text, step.values).text
                    if other.is_image:
                        yield path
                        continue
                    target = expand_dockerfile(one.destination, step.values).text
                    for onward in islice(self.image_paths(other), MAX_PATHS):
                        yield from _copied_on(path, target, onward)

    def serves_builds(self, stage: StageView) -> bool:
        """Whether what is taken out of a stage is taken by stages of the builder's platform alone."""
        lines = {heir.used.stage.line for heir in self.heirs(stage)}
        takers = [
            other
            for other in self.stages
            for step in other.steps
            for name in step.taken_from
            if (source := self.stage_named(name)) is not None and source.used.stage.line in lines
        ]
        return bool(takers) and all(taker.is_cross and not taker.is_image for taker in takers)

    def copied_from(self, stage: StageView) -> tuple[str, ...]:
        """Return the paths that are copied out of a stage, or of one that is FROM it."""
        return tuple(path for heir in self.heirs(stage) for path in self.copies.get(heir.index, ()))

    def heirs(self, stage: StageView) -> list[StageView]:
        """Return a stage with all that are FROM it."""
        return self._heirs[stage.used.stage.line]

    @cached_property
    def _heirs(self) -> Mapping[int, list[StageView]]:
        heirs: dict[int, list[StageView]] = {}
        for other in self.stages:
            for one in other.used.chain:
                heirs.setdefault(one.line, []).append(other)
        return heirs


def _copied_on(source: str, target: str, onward: str) -> Iterator[str]:
    """Yield what `COPY source target` brings to a path that is copied on from there, as a path of its source."""
    onward = onward.rstrip("/*") or "/"
    name = source.rstrip("/").rpartition("/")[2]
    folder = target.rstrip("/")
    places = {target} if not target.endswith(("/", ".")) else {folder, f"{folder}/{name}"}
    for place in places:
        if onward in (place, "/") or place.startswith(f"{onward}/"):
            yield source
        elif place and onward.startswith(f"{place}/"):
            # The source may be a folder, in which the path is.
            yield source.rstrip("/*") + onward[len(place) :]
        elif not place.startswith("/") and onward.endswith(f"/{place.removeprefix('./')}"):
            yield source


def automatic_arguments(platform: Platform) -> dict[str, str]:
    """Return the values of the automatic TARGET arguments."""
    return {
        "TARGETPLATFORM": str(platform),
        "TARGETOS": platform.os,
        "TARGETARCH": platform.architecture,
        "TARGETVARIANT": platform.variant,
    }


def view_for(parsed: Parsed, given: LintInput, platform: Platform) -> View:
    """Return the view of one platform; ConfigError for a file beyond the limits, or without the target's stage."""
    if len(parsed.source.instructions) > MAX_INSTRUCTIONS:
        raise ConfigError(
            f"the Dockerfile has more than {MAX_INSTRUCTIONS} instructions", hint="look at what wrote it"
        )
    args = given.args.get(platform, {})
    builder = {f"BUILD{part}": f"${{BUILD{part}}}" for part in ("PLATFORM", "OS", "ARCH", "VARIANT")}
    automatic = {**builder, **automatic_arguments(platform)}
    dockerfile = parse_source(parsed.source, args, automatic=automatic)
    reader = _ViewReader(parsed, given, platform, args)
    chains = used_stages(dockerfile.stages, given.target)
    by_line = {stage.line: index for index, stage in enumerate(dockerfile.stages)}
    stages = reader.stages(chains, by_line)
    return View(parsed, platform, given, dockerfile, stages, reader.globals)


class _ViewReader:
    def __init__(self, parsed: Parsed, given: LintInput, platform: Platform, args: Mapping[str, str]) -> None:
        self.parsed = parsed
        self.platform = platform
        self.args = args
        self.default_marks: frozenset[Mark] = NONE if given.explicit else frozenset({"argument"})
        self.automatic: dict[str, Value] = {
            name: Value(text, frozenset({"arch"})) for name, text in automatic_arguments(platform).items()
        }
        build: frozenset[Mark] = frozenset({"arch", "build", "meant"})
        self.automatic |= {name: Value(UNKNOWN, build) for name in PLATFORM_ARGS if name.startswith("BUILD")}
        self.globals: dict[str, Value] = {}
        for instruction in parsed.head:
            if instruction.word == "ARG":
                self._declare(instruction, self.globals, {**self.automatic, **self.globals}, None)

    def stages(self, chains: Sequence[UsedStage], by_line: Mapping[int, int]) -> list[StageView]:
        """Return the views of the stages in use, in the order of the file."""
        views: dict[int, StageView] = {}
        for used in chains:
            index = by_line[used.stage.line]
            parent = views.get(by_line[used.chain[1].line]) if len(used.chain) > 1 else None
            views[index] = self._stage(index, used, parent)
        return [views[index] for index in sorted(views)]

    def _stage(self, index: int, used: UsedStage, parent: StageView | None) -> StageView:
        view = StageView(index, used, [])
        if parent is not None:
            view.values, view.declared, view.environment = (
                parent.values,
                dict(parent.declared),
                set(parent.environment),
            )
            view.posix = parent.posix
        machine = self._machine(used)
        view.is_cross = "build" in machine.marks
        if parent is None:
            view.posix = not is_windows(used.root.base)
        for instruction in self.parsed.stages[index]:
            step = Step(instruction, view.values)
            view.steps.append(step)
            if instruction.word == "ARG":
                self._declare_in(view, step)
            elif instruction.word == "ENV":
                self._set(view, step)
            elif instruction.word == "SHELL":
                view.posix = is_posix_shell(instruction)
            elif instruction.word == "RUN" and view.posix:
                self._follow(step, machine)
            if instruction.word in _EXPANDED_WORDS:
                step.trace.undeclared += _uses(instruction.rest, step)
        return view

    def _follow(self, step: Step, machine: Machine) -> None:
        """Follow the scripts of a RUN, and note the variables of its mounts."""
        for one in self.parsed.scripts(step.instruction):
            trace = follow(one.source, step.values, machine, one.script)
            step.trace.events += trace.events
            step.trace.misses += trace.misses
            step.trace.undeclared += trace.undeclared
            step.trace.matched |= trace.matched
        for flag in step.flags:
            step.trace.undeclared += _uses(flag.value, step)

    def _declare_in(self, view: StageView, step: Step) -> None:
        values = dict(view.values)
        for name in self._declare(step.instruction, values, view.values, view.environment):
            view.declared[name] = step
        view.values = values if len(values) <= MAX_VARIABLES else view.values

    def _machine(self, used: UsedStage) -> Machine:
        platform = self.platform
        if used.runs_on == "build":
            return Machine(outputs=dict.fromkeys(_OUTPUTS, UNKNOWN), marks=frozenset({"build"}))
        marks: frozenset[Mark] = NONE
        if used.runs_on == "fixed":
            try:
                platform = Platform.parse(used.root.platform)
            except UsageError:
                return Machine(outputs=dict.fromkeys(_OUTPUTS, UNKNOWN), marks=frozenset({"build"}))
            # A stage for each platform, chosen by its name: that of the platform that is built is no other's.
            marks = frozenset({"build"}) if platform != self.platform else NONE
        answers = {
            "kernel": machine_of(platform),
            "debian": debian_of(platform),
            "alpine": alpine_of(platform),
        }
        answers["go"] = platform.architecture
        return Machine(outputs={command: answers[kind] for command, kind in _OUTPUTS.items()}, marks=marks)

    def _declare(
        self,
        instruction: SourceInstruction,
        into: dict[str, Value],
        scope: Mapping[str, Value],
        environment: set[str] | None,
    ) -> list[str]:
        names = []
        for one in arguments(instruction):
            names.append(one.name)
            if environment and one.name in environment:
                continue  # an ENV hides the ARG of its name
            if one.name in self.args:
                into[one.name] = Value(self.args[one.name])
            elif one.value is not None:
                expanded = expand_dockerfile(one.value, scope)
                into[one.name] = Value(
                    expanded.value.text, expanded.marks | self.default_marks, expanded.origin
                )
            elif one.name in self.globals and environment is not None:
                into[one.name] = self.globals[one.name]
            elif one.name in self.automatic:
                into[one.name] = self.automatic[one.name]
        return names

    def _set(self, view: StageView, step: Step) -> None:
        """Set an ENV's variables; all see the values before it."""
        values = dict(view.values)
        for one in variables(step.instruction):
            if one.value is not None:
                values[one.name] = expand_dockerfile(one.value, step.values).value
                view.environment.add(one.name)
        view.values = values if len(values) <= MAX_VARIABLES else view.values


def _uses(text: Text, step: Step) -> list[Use]:
    """Return the uses of automatic arguments without a value in a text that BuildKit expands."""
    return [Use(name, text, at) for name, at in islice(unset_names(text, step.values, TARGET_ARGS), MAX_USES)]


_EXPANDED_WORDS = frozenset({"ARG", "COPY", "ADD", "ENV", "WORKDIR", "USER", "VOLUME", "EXPOSE"})
"""Instructions whose words BuildKit expands (docs.docker.com/reference/dockerfile, environment replacement)."""

_OUTPUTS: Mapping[str, str] = {
    "uname -m": "kernel",
    "uname -p": "kernel",
    "uname -i": "kernel",
    "arch": "kernel",
    "dpkg --print-architecture": "debian",
    "dpkg-architecture -qDEB_HOST_ARCH": "debian",
    "dpkg-architecture -q DEB_HOST_ARCH": "debian",
    "dpkg-architecture -qDEB_BUILD_ARCH": "debian",
    "apk --print-arch": "alpine",
    "dpkg-architecture --query DEB_HOST_ARCH": "debian",
    "dpkg-architecture --query DEB_BUILD_ARCH": "debian",
    "uname --machine": "kernel",
    "go env GOARCH": "go",
    "rpm --eval %{_arch}": "kernel",
    "rpm -E %{_arch}": "kernel",
    "rpm --eval %_arch": "kernel",
    "rpm -E %_arch": "kernel",
}
"""Commands whose output is the architecture of the programs of their stage."""
