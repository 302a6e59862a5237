"""Rules on names: an architecture that is called otherwise than the program or the download calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from multibuild.lint.arch_names import alpine_of, arch_names, debian_of, triple_arch_of
from multibuild.lint.checks.downloads import names_at
from multibuild.lint.checks.places import PRINTING, declaration_at, level_for
from multibuild.lint.checks.targets import go_builds, is_go_name
from multibuild.lint.finding import Edit, Found
from multibuild.lint.shell.trace import Miss
from multibuild.lint.shell.values import Expanded, expand_dockerfile
from multibuild.lint.steps import variables
from multibuild.lint.view import StageView, View

_TRIPLE = re.compile(
    r"(?<![\w-])(amd64|arm64|x64|x86|armhf|armel|armv8|386|ppc64le|ppc64el|mips64le|mipsle|loong64)-(?:[a-z0-9]+-)?linux-(?:gnu|musl|android)"
)
_RELEASE = re.compile(r"(?<=[._-])(amd64|arm64|x64|armhf|386|ppc64el|mips64le)-unknown-linux-(?:gnu|musl)")
_MUSL = re.compile(r"\bld-musl-(amd64|arm64)\.so")
_QEMU = re.compile(r"(?<![\w-])qemu-(amd64|arm64)(?:-static)?(?![\w-])")
_PATTERNS = (
    (_TRIPLE, "no toolchain's triple"),
    (_QEMU, "no program of QEMU's"),
    (_MUSL, "no loader of musl's"),
    (_RELEASE, "no triple"),
)
_URL = re.compile(r"\bhttps?://\S+")


def spelled(view: View) -> Iterator[Found]:
    """Find names that fit the platform, and are not those of the program that reads them."""
    for stage in view.stages:
        for word, branch in _words(stage):
            yield from _word(view, word, branch=branch)
        for step in stage.steps:
            for miss in step.trace.misses:
                if miss.subject.text not in step.trace.matched:
                    yield from _miss(view, miss)
        yield from _go_names(view, stage)
        yield from _debian_names(view, stage)
        yield from _option_names(view, stage)


def _words(stage: StageView) -> Iterator[tuple[Expanded, bool]]:
    for _, event in stage.events():
        if event.name in PRINTING or "arch" in event.guards:
            continue
        for word in (*event.words, *(word for _, word in event.assignments)):
            yield word, event.branch
    for step in stage.steps:
        one = step.copied
        for source in one.sources if one is not None else ():
            yield expand_dockerfile(source, step.values), False
        if step.instruction.word == "ENV":
            for pair in variables(step.instruction):
                if pair.value is not None:
                    yield expand_dockerfile(pair.value, step.values), False


def _word(view: View, word: Expanded, *, branch: bool) -> Iterator[Found]:
    url = _URL.search(word.text)
    downloads = list(_download(view, word, url, branch=branch)) if url is not None else []
    if downloads:
        yield from downloads
        return
    for pattern, what in _PATTERNS:
        match = pattern.search(word.text)
        if match is None or (pattern in {_TRIPLE, _RELEASE} and match[1] in triple_arch_of(view.platform)):
            continue
        names = list(arch_names(match[1]))
        if not names or not names[0].fits(view.platform):
            continue
        right = (
            "x86_64 or aarch64"
            if pattern not in {_TRIPLE, _RELEASE}
            else " or ".join(sorted(triple_arch_of(view.platform)))
        )
        yield Found(
            # Some releases are called after triples that do not exist.
            level="warning" if pattern is _RELEASE else level_for("error", word, *match.span()),
            at=word.origins[-1]
            if word.span(*match.span()) == word.origin and word.origins
            else word.span(*match.span()),
            message=f"{match[0]} is {what}: there it is called {right}",
            fix="choose the name in a case on $TARGETARCH: amd64 is x86_64 there, arm64 is aarch64",
            branch=branch or "branch" in word.marks,
        )
        return


def _download(view: View, word: Expanded, url: re.Match[str], *, branch: bool) -> Iterator[Found]:
    expected = names_at(url[0], view.platform.architecture)
    names = [name for name in arch_names(url[0]) if name.fits(view.platform)]
    if not expected or not names or any(name.text.lower() in expected for name in names):
        return
    first = names[0]
    begin, end = first.start + url.start(), first.end + url.start()
    at = word.span(begin, end)
    yield Found(
        level=level_for("error", word, begin, end),
        at=at,
        message=f"this download calls the architecture {' or '.join(expected)}, not {first.text}",
        fix="choose the name in a case on $TARGETARCH",
        branch=branch or "branch" in word.marks,
    )


def _miss(view: View, miss: Miss) -> Iterator[Found]:
    """Find a choice whose patterns name the platform as the asked text never does."""
    subject = miss.subject
    if "arch" not in subject.marks or not subject.text or not subject.is_known:
        return
    for pattern in miss.patterns:
        names = [name for name in arch_names(pattern.text) if name.fits(view.platform)]
        exact = pattern.text.lower() in {"linux/" + name.text.lower() for name in names} | {
            name.text.lower() for name in names
        }
        variant = re.fullmatch(r"linux/(?:arm64/v8|arm)", pattern.text)
        if not exact and not (variant and names):
            continue
        if view.platform.architecture == "arm" and not view.given.explicit:
            continue
        yield Found(
            level="error",
            at=pattern.origin,
            message=f"this never fits: {_asked(subject)} is {subject.text} there",
            fix=f"write {subject.text}, or both: {pattern.text}|{subject.text}",
        )
        return


def _asked(subject: Expanded) -> str:
    text = subject.source.text[subject.start : subject.end].strip("\"'")
    return text if len(text) < 40 else "what is asked"


def _go_names(view: View, stage: StageView) -> Iterator[Found]:
    """Find a GOARCH that Go does not know: x86_64, aarch64, armhf."""
    for _, event, value in go_builds(stage):
        if value is None or is_go_name(value.text) or "arch" in event.guards or value.origin is None:
            continue
        if not any(name.fits(view.platform) for name in arch_names(value.text)):
            continue
        edits: tuple[Edit, ...] = ()
        if value.origin.whole and "arch" in value.marks and "build" not in value.marks:
            edits = (
                Edit(value.origin.start, value.origin.end, "$TARGETARCH"),
                *declaration_at(view, value.origin, "TARGETARCH"),
            )
        yield Found(
            level="warning" if "argument" in value.marks else "error",
            at=value.origin,
            message=f"Go does not know GOARCH={value.text}: it calls it {view.platform.architecture}",
            fix="write GOARCH=$TARGETARCH, after ARG TARGETARCH",
            edits=edits,
            branch="branch" in value.marks,
        )


_X64 = {"amd64": "x64", "arm64": "arm64"}
_KERNEL = {"amd64": "x86_64", "arm64": "aarch64"}
_OPTIONS: Mapping[tuple[str, str], Mapping[str, str]] = {
    **{
        (tool, option): _X64
        for tool in ("npm", "yarn", "pnpm")
        for option in ("--cpu", "--arch", "--target_arch")
    },
    ("bun", "--target"): _X64,
    ("deno", "--target"): _KERNEL,
    ("pip", "--platform"): _KERNEL,
    ("pip3", "--platform"): _KERNEL,
    ("dnf", "--forcearch"): _KERNEL,
}
"""What options call architectures (Node's process.arch, PEP 600, `uname -m`).

Not `dotnet -r`: since .NET 8 the SDK takes linux-amd64 for linux-x64.
"""


def _option_names(view: View, stage: StageView) -> Iterator[Found]:
    """Find Docker's name in an option that calls the architecture otherwise: `npm --cpu=$TARGETARCH`."""
    own = view.platform.architecture
    for _, event in stage.events():
        for index, word in enumerate(event.words[1:], 1):
            option, equals, value = word.text.partition("=")
            if not equals:
                option, value = event.words[index - 1].text, word.text
            expected = _OPTIONS.get((event.name, option), {}).get(own)
            names = [name for name in arch_names(value) if name.fits(view.platform)]
            # A third name may be one that the program takes, too.
            if expected in {None, own} or not names or names[0].text != own or "arch" in event.guards:
                continue
            yield _other_name(word, names[0].text, event.name, expected, branch=event.branch)


def _debian_names(view: View, stage: StageView) -> Iterator[Found]:
    """Find Docker's name where Debian's or Alpine's is asked for, on the platforms where they differ."""
    for _, event in stage.events():
        if "arch" in event.guards:
            continue
        for index, word in enumerate(event.words[1:], 1):
            before = event.words[index - 1].text
            own = view.platform.architecture
            if (
                event.name == "dpkg"
                and before == "--add-architecture"
                and word.text == own != debian_of(view.platform)
            ):
                yield _other_name(word, own, "Debian", debian_of(view.platform), branch=event.branch)
            elif event.name == "apk" and before == "--arch" and word.text == own != alpine_of(view.platform):
                yield _other_name(word, own, "Alpine", alpine_of(view.platform), branch=event.branch)


def _other_name(word: Expanded, own: str, who: str, name: str, *, branch: bool) -> Found:
    return Found(
        level=level_for("error", word),
        at=word.origin,
        message=f"{who} calls {own} {name}",
        fix="choose the name in a case on $TARGETARCH",
        branch=branch,
    )
