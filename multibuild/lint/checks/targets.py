"""Rules on what a compiler or an installer is told to work for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from multibuild.lint.arch_names import UNKNOWN, ArchName, arch_names
from multibuild.lint.checks.places import (
    declaration_at,
    foreign_names,
    found_foreign,
    level_for,
    place_of,
    reaches_image,
    template,
)
from multibuild.lint.finding import Edit, Found, Level
from multibuild.lint.shell.trace import Event
from multibuild.lint.shell.values import Expanded, Origin, Value, expand_dockerfile
from multibuild.lint.steps import arguments, variables
from multibuild.lint.view import StageView, Step, View
from multibuild.platforms import Platform

GO_ARCHITECTURES = frozenset(
    [
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mipsle",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
        "wasm",
    ]
)
"""`go tool dist list`, Go 1.27."""

_CERTAIN: dict[str, frozenset[str]] = {
    "cargo": frozenset({"--target"}),
    "cross": frozenset({"--target"}),
    "rustc": frozenset({"--target"}),
    "dotnet": frozenset({"-r", "--runtime", "-a", "--arch", "-p:RuntimeIdentifier", "/p:RuntimeIdentifier"}),
    "npm": frozenset({"--arch", "--cpu", "--target_arch", "--target-arch"}),
    "yarn": frozenset({"--arch", "--cpu", "--target_arch"}),
    "pnpm": frozenset({"--arch", "--cpu", "--target_arch"}),
    "pip": frozenset({"--platform"}),
    "pip3": frozenset({"--platform"}),
    "uv": frozenset({"--python-platform"}),
    "bun": frozenset({"--target"}),
    "deno": frozenset({"--target"}),
    "zig": frozenset({"-target", "-Dtarget"}),
    "clang": frozenset({"-target", "--target"}),
    "clang++": frozenset({"-target", "--target"}),
    "configure": frozenset({"--host"}),
    **dict.fromkeys(("sh", "bash", "rustup-init"), frozenset({"--default-host"})),
    "debootstrap": frozenset({"--arch"}),
    "apk": frozenset({"--arch"}),
    **dict.fromkeys(("conda", "mamba", "micromamba"), frozenset({"--platform", "--subdir"})),
    **dict.fromkeys(("gcc", "g++"), frozenset({"-march"})),
}
"""Options that name the platform of the result, by command."""

_LIKELY: dict[str, frozenset[str]] = {
    "dpkg": frozenset({"--add-architecture"}),
    "cmake": frozenset(
        {"-DCMAKE_SYSTEM_PROCESSOR", "-DCMAKE_C_COMPILER", "-DCMAKE_CXX_COMPILER", "-DCMAKE_TOOLCHAIN_FILE"}
    ),
    "meson": frozenset({"--cross-file"}),
    "make": frozenset({"ARCH", "GOARCH", "CROSS_COMPILE", "CC", "HOST", "TARGET", "TARGET_ARCH"}),
    "mvn": frozenset({"-Dos.arch", "-Djavacpp.platform", "-Dos.detected.classifier"}),
    "bazel": frozenset({"--cpu", "--platforms", "--config"}),
    "docker": frozenset({"--platform"}),
    "crane": frozenset({"--platform"}),
    "skopeo": frozenset({"--override-arch"}),
    "mmdebstrap": frozenset({"--architectures"}),
    "dnf": frozenset({"--forcearch"}),
    "yum": frozenset({"--forcearch"}),
}
_ENVIRONMENT: dict[str, Level] = {
    "GOARCH": "error",
    "CARGO_BUILD_TARGET": "error",
    "CONDA_SUBDIR": "error",
    "RUSTUP_TOOLCHAIN": "error",
    "npm_config_arch": "error",
    "npm_config_target_arch": "error",
    "npm_config_cpu": "error",
    "CC": "warning",
    "CXX": "warning",
    "CROSS_COMPILE": "warning",
}
"""Variables that name the platform of the result, and how bad another one is."""

_COMPANIONS = {"amd64": "386", "arm64": "arm"}
_APT_SOURCE = re.compile(r"\bdeb(?:-src)?\s+\[[^\]]{0,200}\barch=([a-z0-9]+)[\s\]]")
_WRITTEN_SOURCE = re.compile(
    r"^deb(?:-src)?[ \t]+\[(?:[a-z-]+=[^\s\]]+[ \t]+)*arch=([a-z0-9]+)[\s\]]|^Architectures:[ \t]*([a-z0-9]+)[ \t]*$",
    re.MULTILINE,
)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*:([a-z0-9]+)(?:=\S*)?\Z")
_PACKAGE_SUFFIXES = (".deb", ".rpm", ".whl")
_RPM_NAME = re.compile(r"[^\s/:]+\.(x86_64|aarch64|ppc64le|s390x|i686)")
_TOOLCHAIN = re.compile(
    r"\+?(?:stable|beta|nightly|\d[\d.]*)(?:-[\d-]+)?-([a-z0-9_]+)-(?:[a-z0-9]+-)?linux-\w+"
)
_PACKAGE_MANAGERS = frozenset(
    {"dpkg", "apt-get", "apt", "rpm", "yum", "dnf", "microdnf", "zypper", "tdnf", "pip", "pip3"}
)
_SCOPED = re.compile(r"@[a-z0-9._-]+/((?:[a-z0-9]+-)*linux-[a-z0-9-]+)(?:@\S*)?")
_CROSS_TOOL = re.compile(
    r"(\w+)-(?:[a-z]+-)?(?:linux-)(?:gnu|musl)\w*-(?:gcc|g\+\+|cc|c\+\+|clang|strip|ld|as|ar|objcopy)\Z"
)
_TARGET_FIX = "name it after the platform: $TARGETARCH, or a case on it where the name is another"


def fixed(view: View) -> Iterator[Found]:
    """Find compilers and installers that work for one architecture."""
    has_own_tool = any(
        _fits_tool(event.name, view.platform) for stage in view.stages for _, event in stage.events()
    )
    for stage in view.stages:
        own_builds = _own_builds(stage, view)
        for step, event in stage.events():
            if "arch" in event.guards:
                continue
            if not (_adds_architecture(event) and _command_template(event) in own_builds):
                yield from _command(view, stage, step, event)
            if not has_own_tool:
                yield from _tool(view, event)
            for name, level in _ENVIRONMENT.items():
                for key, word in event.assignments:
                    if key != name or "build" in word.marks or _is_for_another_system(event, view):
                        continue
                    if name != "GOARCH" or _command_template(event) not in own_builds:
                        setting = _Setting(key, word, _own_level(stage, event, level))
                        yield from _variable(view, setting)
        yield from _from_environment(view, stage)
        yield from _written_sources(view, stage)


def _command_template(event: Event) -> str:
    """Return a command without the names of architectures: one that builds all, and chooses later, has each."""
    return template(" ".join(word.text for word in event.words))


def _own_builds(stage: StageView, view: View) -> set[str]:
    """Return the commands that are for the platform, too: a stage may build for all, and choose later."""
    own = set()
    for _, event in stage.events():
        is_set = any(name == "GOARCH" for name, _ in event.assignments)
        value = event.value("GOARCH") if is_set or event.name == "go" else None
        if value is not None and value.text == view.platform.architecture:
            own.add(_command_template(event))
        if _adds_architecture(event) and any(
            name.fits(view.platform) for name in arch_names(event.words[2].text)
        ):
            own.add(_command_template(event))
    return own


def _adds_architecture(event: Event) -> bool:
    return event.name == "dpkg" and len(event.words) > 2 and event.words[1].text == "--add-architecture"


def _is_for_another_system(event: Event, view: View) -> bool:
    """Whether a program is built for another system, to be handed out by the image: `GOOS=windows go build`."""
    system = event.value("GOOS")
    return system is not None and system.is_known and system.text not in {"", view.platform.os}


def _own_level(stage: StageView, event: Event, level: Level) -> Level:
    """Return a level, no error for a program that a builder's stage installs for itself."""
    installs = event.name == "go" and len(event.words) > 1 and event.words[1].text == "install"
    return "warning" if stage.is_cross and installs else level


@dataclass(frozen=True, slots=True)
class _Setting:
    """A variable that is set to a word, whose value begins at `shift`; `level` if that is foreign."""

    name: str
    word: Expanded
    level: Level
    shift: int = 0


def _from_environment(view: View, stage: StageView) -> Iterator[Found]:
    """Find such variables in ENV, in the default of an ARG, and in `export`."""
    for step in stage.steps:
        if step.instruction.word == "ARG":
            for one in arguments(step.instruction):
                if (
                    one.name in _ENVIRONMENT
                    and one.value is not None
                    and one.name not in view.given.args.get(view.platform, {})
                ):
                    word = expand_dockerfile(one.value, step.values)
                    level: Level = _ENVIRONMENT[one.name] if view.given.explicit else "warning"
                    yield from _variable(view, _Setting(one.name, word, level))
        if step.instruction.word == "ENV":
            yield from _from_env(view, step)
    for _, event in stage.events():
        is_kept = event.name == "export" or [word.text for word in event.words[:3]] == ["go", "env", "-w"]
        for word in event.words[1:] if is_kept and "arch" not in event.guards else ():
            name, equals, _ = word.text.partition("=")
            if equals and name in _ENVIRONMENT:
                setting = _Setting(name, word, _ENVIRONMENT[name], len(name) + 1)
                yield from _variable(view, setting)


def _from_env(view: View, step: Step) -> Iterator[Found]:
    """Find such variables in an ENV, unless there is a stage for each architecture, or it is for another system."""
    own = {
        one.name: expand_dockerfile(one.value, step.values)
        for one in variables(step.instruction)
        if one.value
    }
    system = own["GOOS"].value if "GOOS" in own else step.values.get("GOOS")
    is_elsewhere = system is not None and system.is_known and system.text not in {"", view.platform.os}
    for name in own.keys() & _ENVIRONMENT.keys():
        others = {text for stage in view.stages for text in _values_of(stage, name)}
        architectures = {one.architecture for text in others for one in arch_names(text)}
        if (is_elsewhere and name == "GOARCH") or view.platform.architecture in architectures:
            continue
        level: Level = "warning" if len(architectures) > 1 else _ENVIRONMENT[name]
        yield from _variable(view, _Setting(name, own[name], level))


def _values_of(stage: StageView, name: str) -> Iterator[str]:
    """Yield what the ENVs of a stage set a variable to."""
    for step in stage.steps if name in stage.environment else ():
        for one in variables(step.instruction) if step.instruction.word == "ENV" else ():
            if one.name == name and one.value is not None:
                yield expand_dockerfile(one.value, step.values).text


def _variable(view: View, setting: _Setting) -> Iterator[Found]:
    word = setting.word
    value = word.text[setting.shift :]
    names = foreign_names(value, view.platform)
    if not names:
        return
    at = place_of(word, names[0], setting.shift)
    edits: tuple[Edit, ...] = ()
    arch = names[0].text
    is_written_here = at.whole and view.parsed.source.text[at.start : at.end] == arch
    # Docker's architectures are Go's.
    if setting.name == "GOARCH" and value == arch and arch in GO_ARCHITECTURES and is_written_here:
        edits = (Edit(at.start, at.end, "$TARGETARCH"), *declaration_at(view, at, "TARGETARCH"))
    is_go = setting.name == "GOARCH"
    yield Found(
        level=level_for(setting.level, word, names[0].start + setting.shift, names[0].end + setting.shift),
        at=at,
        message=f"{setting.name} is for {arch}, whatever platform is built",
        fix="write GOARCH=$TARGETARCH, after ARG TARGETARCH" if is_go else _TARGET_FIX,
        edits=edits,
        branch="branch" in word.marks,
    )


def _command(view: View, stage: StageView, step: Step, event: Event) -> Iterator[Found]:
    name = event.name
    for table, level in ((_CERTAIN, "error"), (_LIKELY, "warning")):
        options = table.get(name)
        if options is not None:
            for word, shift in _values(event, options):
                yield from _option(view, word, shift, level, event)  # type: ignore[arg-type]
    if name in {"apt-get", "apt", "aptitude"}:
        yield from _packages(view, event, [_PACKAGE.fullmatch(word.text) for word in event.words])
    if name in {"npm", "yarn", "pnpm", "bun"}:
        yield from _packages(view, event, [_SCOPED.fullmatch(word.text) for word in event.words])
    if name in {"echo", "printf", "add-apt-repository"}:
        yield from _apt_source(view, stage, step, event)
    if name == "rustup" or (name == "cargo" and len(event.words) > 1 and event.words[1].text.startswith("+")):
        yield from _toolchain(view, event)
    if name in _PACKAGE_MANAGERS:
        yield from _package_files(view, stage, event)


def _toolchain(view: View, event: Event) -> Iterator[Found]:
    """Find Rust's own programs of another architecture: `rustup default stable-x86_64-unknown-linux-gnu`."""
    is_used = (
        event.name == "cargo" or event.words[1].text in {"default", "override"}
        if len(event.words) > 1
        else False
    )
    for word in event.words[1:]:
        match = _TOOLCHAIN.fullmatch(word.text)
        if match is not None and (names := foreign_names(match[1], view.platform)):
            yield found_foreign(
                word,
                names,
                "error" if is_used else "warning",
                "the compiler itself is a program for {name}, whatever platform is built",
                "name the channel alone: rustup takes the one of its own platform",
                branch=event.branch,
                shift=match.start(1),
            )


def _package_files(view: View, stage: StageView, event: Event) -> Iterator[Found]:
    """Find packages that are installed from a file of one architecture, unless a rule on its source names them."""
    words = [word.text for word in event.words[1:]]
    if stage.is_cross or any(
        word.startswith(("--force-arch", "--ignorearch", "-x", "--extract")) for word in words
    ):
        return
    is_rpm = event.name in {"yum", "dnf", "microdnf", "tdnf"}
    for word in event.words[1:]:
        file = word.text.rpartition("/")[2]
        named = _RPM_NAME.fullmatch(word.text) if is_rpm else None
        if named is None and (":" in word.text or not file.endswith(_PACKAGE_SUFFIXES)):
            continue
        shift = named.start(1) if named is not None else len(word.text) - len(file)
        names = foreign_names(word.text[shift:], view.platform)
        is_named_before = named is None and view.parsed.source.text.count(file) > 1
        if not names or is_named_before or _are_companions(names, view) or "build" in word.marks:
            continue
        yield found_foreign(
            word,
            names,
            "error" if stage.is_image else "warning",
            f"{event.name} refuses a package for {{name}} on any other platform",
            "name the package of the platform: $(dpkg --print-architecture), $(uname -m)",
            branch=event.branch,
            shift=shift,
        )


def _fits_tool(name: str, platform: Platform) -> bool:
    """Whether it is a cross compiler for the platform; a file that has them all chooses later."""
    match = _CROSS_TOOL.fullmatch(name)
    return match is not None and any(one.fits(platform) for one in arch_names(match[1]))


def _tool(view: View, event: Event) -> Iterator[Found]:
    match = _CROSS_TOOL.fullmatch(event.name)
    if match is not None and (names := foreign_names(match[1], view.platform)):
        yield found_foreign(
            event.words[0],
            names,
            "warning",
            "this compiles for {name}, whatever platform is built",
            _TARGET_FIX,
            branch=event.branch,
        )


def _values(event: Event, options: frozenset[str]) -> Iterator[tuple[Expanded, int]]:
    """Yield the values of options: the words, and where the value begins in each."""
    words = event.words
    for index, word in enumerate(words[1:], 1):
        name, equals, _ = word.text.partition("=")
        if equals and name in options:
            yield word, len(name) + 1
        elif not equals and word.text in options and word.text.startswith("-") and index + 1 < len(words):
            yield words[index + 1], 0


def _option(view: View, word: Expanded, shift: int, level: Level, event: Event) -> Iterator[Found]:
    names = foreign_names(word.text[shift:], view.platform)
    if event.name == "dpkg" and _are_companions(names, view):
        return
    if names and "build" not in word.marks:
        yield found_foreign(
            word,
            names,
            level,
            f"{event.name} works for {{name}} here, whatever platform is built",
            _TARGET_FIX,
            branch=event.branch,
            shift=shift,
        )


def _packages(view: View, event: Event, matches: list[re.Match[str] | None]) -> Iterator[Found]:
    """Find packages of another architecture: `libc6:amd64`, `@esbuild/linux-x64`."""
    for word, match in zip(event.words, matches, strict=True):
        names = foreign_names(match[1], view.platform) if match is not None else []
        if match is not None and names and not _are_companions(names, view):
            yield found_foreign(
                word,
                names,
                "warning",
                "this installs a package for {name}, whatever platform is built",
                "leave the architecture out: the packages are those of the stage's own platform",
                branch=event.branch,
                shift=match.start(1),
            )


def _are_companions(names: list[ArchName], view: View) -> bool:
    """Whether the platform runs programs of these architectures, too: i386 on amd64."""
    return bool(names) and {name.architecture for name in names} == {
        _COMPANIONS.get(view.platform.architecture)
    }


def _apt_source(view: View, stage: StageView, step: Step, event: Event) -> Iterator[Found]:
    """Find `deb [arch=amd64] …`: on other platforms apt takes nothing from there (sources.list(5))."""
    if stage.is_cross:
        return
    written = (
        step.tees_sources
        or event.name == "add-apt-repository"
        or any(".list" in word.text for _, word in event.redirects)
    )
    for word in event.words[1:] if written else ():
        match = _APT_SOURCE.search(word.text)
        if match is not None and (names := foreign_names(match[1], view.platform)):
            yield found_foreign(
                word,
                names,
                "error" if stage.is_image and reaches_image(view, stage, step) else "warning",
                "apt takes packages for {name} alone from this source",
                "write [arch=$(dpkg --print-architecture)], or leave arch= out",
                branch=event.branch,
                shift=match.start(1),
            )


def _written_sources(view: View, stage: StageView) -> Iterator[Found]:
    """Find such sources in the files that a `COPY <<EOF` writes."""
    for step in stage.steps if stage.is_image else ():
        if step.instruction.word != "COPY":
            continue
        for heredoc in step.instruction.heredocs:
            for match in _WRITTEN_SOURCE.finditer(heredoc.body.text):
                group = match.lastindex or 1
                if names := foreign_names(match[group], view.platform):
                    start = heredoc.body.offset(match.start(group))
                    yield Found(
                        level="error",
                        at=Origin(start, start + len(match[group])),
                        message=f"apt takes packages for {names[0].text} alone from this source",
                        fix="leave the architecture out: apt takes that of the stage's own platform",
                    )


def go_builds(stage: StageView) -> Iterator[tuple[Step, Event, Value | None]]:
    """Yield the `go build` and `go install` of a stage with their GOARCH."""
    for step, event in stage.events():
        if event.name == "go" and len(event.words) > 1 and event.words[1].text in {"build", "install"}:
            yield step, event, event.value("GOARCH")


def is_go_name(text: str) -> bool:
    """Whether Go calls an architecture so; an unknown text may be anything."""
    return UNKNOWN in text or not text or text in GO_ARCHITECTURES or not any(True for _ in arch_names(text))
