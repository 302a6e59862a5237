"""What counts for the fingerprint of one target: what BuildKit may use for it, and nothing else where that is certain."""

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.specs import PLAIN

from multibuild.builds.fingerprint import fingerprint_platforms
from multibuild.builds.inputs import with_dependencies
from multibuild.platforms import Platform

DOCKERFILE = """\
# syntax=docker/dockerfile:1
# Three programs of one source.
ARG BASE=r.example.org/base:1
ARG GO=r.example.org/go:1
ARG FLAVOUR=plain
ARG DEBUG=${FLAVOUR}-debug

FROM ${GO} AS build
# The compiler.
COPY go.mod go.sum* /src/
RUN --mount=type=cache,target=/cache \\
    # both programs
    make all

FROM ${BASE} AS common
ARG FLAVOUR
COPY conf/ /conf/
RUN <<EOT
echo "$FLAVOUR"
# no comment: a line of the script
EOT

FROM common AS app
COPY --from=build --chmod=755 /app /app
COPY --exclude=*.md assets /assets
RUN --mount=type=bind,source=scripts,target=/s sh /s/app

FROM common AS worker
ARG DEBUG
COPY --from=0 /worker /worker
COPY worker.conf multibuild.yaml /etc/

FROM r.example.org/docs:1 AS docs
COPY --from=helper / /
ADD https://example.org/style.css /
COPY . /
"""
WITHOUT_DOCS = DOCKERFILE[: DOCKERFILE.index("FROM r.example.org/docs")]
FILES = {
    ".dockerignore": "*.o\n",
    "Dockerfile": DOCKERFILE,
    "README.md": "r",
    "assets/a.md": "a",
    "assets/deep/b.png": "b",
    "conf/a": "a",
    "extra/x": "x",
    "go.mod": "m",
    "main.o": "o",
    "multibuild.yaml": "version: 1\n",
    "scripts/app": "s",
    "worker.conf": "w",
}
DIGESTS = {"helper": None}


class Project:
    """A project with one Dockerfile. `triggers` are the images with ONBUILD."""

    def __init__(self, folder):
        self.folder = folder
        self.triggers = set()
        self.asked = []
        self.spec = {"target": "app"}
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")

    def change(self, old, new):
        text = (self.folder / "Dockerfile").read_bytes().decode()
        assert text.count(old) == 1
        self.write("Dockerfile", text.replace(old, new))

    def all_fingerprints(self, **spec):
        one = replace(PLAIN, **{**self.spec, **spec})

        def resolve(images):
            return {image: DIGESTS.get(image, f"digest of {image}") for image in images}

        def find_triggers(bases):
            known = frozenset(bases)
            self.asked = sorted((base.image, str(base.platform)) for base in known)
            return frozenset(base for base in known if base.image in self.triggers)

        specs = {one.platform: one}
        return fingerprint_platforms(self.folder, specs, resolve, find_triggers=find_triggers)

    def fingerprint(self, **spec):
        return self.all_fingerprints(**spec).platforms[PLAIN.platform]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def edit(old, new):
    return lambda project: project.change(old, new)


def write(name, text="other"):
    return lambda project: project.write(name, text)


def insert_stage(project):
    """Add a stage before all others: `--from=0` in another target then names another stage."""
    project.change("FROM ${GO} AS build", "FROM scratch AS first\nFROM ${GO} AS build")


UNUSED = {
    "another stage": edit("COPY --from=0 /worker /worker", "COPY --from=0 /worker /w"),
    "an image of another stage": edit("r.example.org/docs:1", "r.example.org/docs:2"),
    "the name of another stage": edit("AS worker", "AS daemon"),
    "a stage less": write("Dockerfile", WITHOUT_DOCS),
    "a stage more": edit("FROM r.example.org/docs:1", "FROM scratch AS more\nFROM r.example.org/docs:1"),
    "a stage before all others": insert_stage,
    "a global ARG of another stage": edit("DEBUG=${FLAVOUR}-debug", "DEBUG=no"),
    "a global ARG more": edit("ARG FLAVOUR=plain", "ARG FLAVOUR=plain\nARG ZZZ_MORE=1"),
    "an ARG of another stage": edit("ARG DEBUG\n", "ARG DEBUG=2\n"),
    "a comment": edit("# Three programs", "# Four programs"),
    "a comment more": edit("FROM common AS app", "# The app.\nFROM common AS app"),
    "a comment less": edit("# The compiler.\n", ""),
    "blank lines": edit("\nFROM common AS app", "\n \n\t\n\nFROM common AS app"),
    "no blank lines": edit("\n\nFROM common AS app", "\nFROM common AS app"),
    "a comment in the config": write("multibuild.yaml", "version: 1  # comment\n"),
    "a file that no COPY names": write("README.md"),
    "a file that another stage names": write("worker.conf"),
    "a new file": write("new"),
    "a new directory": lambda project: (project.folder / "new").mkdir(),
    "an ignored file": write("main.o"),
    "a name that only begins alike": write("assets2/x"),
    "the ignore file, where no file that counts differs": write(".dockerignore", "*.o\nREADME.md\n"),
    "a link elsewhere": lambda project: (project.folder / "link").symlink_to("README.md"),
    "a pipe elsewhere": lambda project: os.mkfifo(project.folder / "pipe"),
}


@pytest.mark.parametrize("change", UNUSED.values(), ids=UNUSED)
def test_what_the_target_cannot_use_changes_nothing(project, change):
    before = project.fingerprint()
    assert before.digest
    change(project)
    assert project.fingerprint() == before


def link_to(name, target):
    def apply(project):
        path = project.folder / name
        path.rename(project.folder / f"{name}.moved")
        path.symlink_to(target)

    return apply


USED = {
    "the target's stage": edit("/app /app", "/app /bin/app"),
    "the stage that it is FROM": edit("COPY conf/ /conf/", "COPY conf/ /etc/"),
    "the stage that it copies from": edit("    make all", "    make app"),
    "a flag": edit("--chmod=755", "--chmod=555"),
    "a line of a heredoc": edit('echo "$FLAVOUR"', 'echo "$FLAVOUR" again'),
    "what looks like a comment in a heredoc": edit("# no comment", "# a comment"),
    "a blank line in a heredoc": edit("EOT\necho", "EOT\n\necho"),
    "a comment within an instruction": edit("# both programs", "# all programs"),
    "a blank within an instruction": edit("COPY conf/ /conf/", "COPY conf/  /conf/"),
    "a blank at the end of an instruction": edit("COPY conf/ /conf/", "COPY conf/ /conf/ "),
    "other line ends": lambda project: project.write("Dockerfile", DOCKERFILE.replace("\n", "\r\n")),
    "a global ARG of its base": edit("base:1", "base:2"),
    "a global ARG of what it copies from": edit("go:1", "go:2"),
    "a global ARG that a stage declares": edit("FLAVOUR=plain", "FLAVOUR=rich"),
    "a stage FROM another one": edit("FROM common AS app", "FROM worker AS app"),
    "a base under the name of a stage": edit("FROM ${BASE} AS common", "FROM build AS common"),
    "a stage in the way of an image": edit(
        "FROM ${BASE} AS common", "FROM scratch AS other\nFROM other AS common"
    ),
    "another frontend": edit("docker/dockerfile:1", "docker/dockerfile:1.7"),
    "no frontend": edit("# syntax=docker/dockerfile:1\n", ""),
    "a check": edit("dockerfile:1\n", "dockerfile:1\n# check=error=true\n"),
    "an instruction less": edit("COPY --exclude=*.md assets /assets\n", ""),
    "a file": write("go.mod"),
    "a file of a directory": write("assets/deep/b.png"),
    "an excluded file": write("assets/a.md"),  # more than needed: what an exclusion matches is not looked at
    "a new file in a directory": write("conf/new"),
    "a new directory in a directory": lambda project: (project.folder / "conf/new").mkdir(),
    "a new file of a wildcard": write("go.sum"),
    "another file of a wildcard": write("go.sumsum"),
    "a mounted file": write("scripts/app"),
    "the mode of a directory": lambda project: (project.folder / "conf").chmod(0o700),
    "the ignore file, where it withholds a file": write(".dockerignore", "*.o\nconf/a\n"),
    "a link in a directory": lambda project: (project.folder / "assets/l").symlink_to("a.md"),
    "a directory as a link": link_to("assets", "assets.moved"),
    "a file as a link": link_to("go.mod", "go.mod.moved"),
}


@pytest.mark.parametrize("change", USED.values(), ids=USED)
def test_what_the_target_may_use_changes_its_fingerprint(project, change):
    before = project.fingerprint()
    change(project)
    assert project.fingerprint().digest != before.digest


ELSEWHERE = (
    edit("COPY --from=0 /worker /worker", "COPY --from=0 /worker /w"),
    write("README.md"),
    write("multibuild.yaml"),
)

UNCLEAR = {
    "ONBUILD in a stage": edit("FROM common AS app\n", "FROM common AS app\nONBUILD COPY . /x\n"),
    "ONBUILD in another stage": edit("ARG DEBUG\n", "ARG DEBUG\nONBUILD RUN true\n"),
    "another frontend": edit("docker/dockerfile:1", "r.example.org/frontend:1"),
    "a frontend of later versions": edit("docker/dockerfile:1", "docker/dockerfile:2"),
    "a frontend by an argument": lambda project: project.spec.update(args={"BUILDKIT_SYNTAX": "x"}),
    "another escape": edit("dockerfile:1\n", "dockerfile:1\n# escape=`\n"),
    "an instruction of later versions": edit("ARG DEBUG\n", "ARG DEBUG\nFETCH x\n"),
    "a flag of later versions": edit("COPY --from=build --chmod", "COPY --from=build --new=1 --chmod"),
    "a quoted flag": edit("--from=build", '--from="build"'),
    "a stage by a variable that only the builder knows": edit("FROM common AS app", "FROM $BUILDARCH AS app"),
    "--from with a variable": edit("--from=build", "--from=$GO"),
    "--from of a later stage": edit("--from=build", "--from=worker"),
    "--from of a later number": edit("--from=build", "--from=3"),
    "a mount from a number": edit("type=bind,source=scripts", "type=bind,from=0,source=scripts"),
    "two stages of one name": edit("FROM common AS worker", "FROM common AS build"),
    "a stage's name in other letters": edit("FROM common AS app", "FROM Common AS app"),
    "a target by its number": lambda project: project.spec.update(target="2"),
    "a doubtful heredoc": edit("RUN <<EOT", "RUN echo '<<A' <<EOT"),
    "a heredoc with a sign behind": edit("<<EOT\n", "<<EOT;\n"),
    "a date that names a stage": edit("ARG FLAVOUR=plain", "ARG FLAVOUR=plain\nARG SOURCE_DATE_EPOCH=app"),
    "a date that names the context": lambda project: project.spec.update(
        args={"SOURCE_DATE_EPOCH": "context"}
    ),
    "an argument of the scanner": edit(
        "ARG FLAVOUR=plain", "ARG FLAVOUR=plain\nARG BUILDKIT_SBOM_SCAN_CONTEXT=1"
    ),
    "provenance with the Dockerfile in it": lambda project: project.spec.update(provenance="max"),
    "a flag of buildx": lambda project: project.spec.update(build_flags=("--policy=filename=x",)),
    "very many global ARGs": edit(
        "ARG FLAVOUR=plain", "ARG FLAVOUR=plain\n" + "".join(f"ARG A{n}\n" for n in range(300))
    ),
    "a global ARG in single quotes": lambda project: project.change(
        "ARG BASE=r.example.org/base:1", "ARG X=build\nARG BASE='$X'"
    ),
    "two escapes at the end of a line": edit("# The compiler.", "RUN echo \\\\"),
    "a blank of another kind": edit("# Three programs", "# Three\N{NO-BREAK SPACE}programs"),
    "a base with triggers": lambda project: project.triggers.add("r.example.org/base:1"),
    "triggers of what it copies from": lambda project: project.triggers.add("r.example.org/go:1"),
    "triggers of a named context": lambda project: (
        project.spec.update(contexts={"x": "docker-image://r.example.org/x:1"})
        or project.triggers.add("r.example.org/x:1")
    ),
}


@pytest.mark.parametrize("change", UNCLEAR.values(), ids=UNCLEAR)
def test_everything_counts_where_it_is_not_clear_what_is_used(project, change):
    project.write("Dockerfile", WITHOUT_DOCS)
    change(project)
    before = project.fingerprint()
    assert before.digest
    for other in ELSEWHERE:
        other(project)
        after = project.fingerprint()
        assert after.digest not in {None, before.digest}
        before = after


ANY_FILE = {
    "the context": edit("COPY conf/ /conf/", "COPY . /conf/"),
    "the context by a mount": edit("type=bind,source=scripts", "type=bind"),
    "the context by a mount of a type in a variable": edit("type=bind,source=scripts", "type=$KIND"),
    "a wildcard": edit("COPY conf/ /conf/", "COPY *e* /conf/"),
    "a class of characters": edit("COPY conf/ /conf/", "COPY [a-zA-Z]* /conf/"),
    "a wildcard over directories": edit("COPY conf/ /conf/", "COPY --parents **/*e* /conf/"),
    "a variable": edit("COPY conf/ /conf/", "COPY $FLAVOUR /conf/"),
    "an escape": edit("COPY conf/ /conf/", "COPY con\\f /conf/"),
    "a parent": edit("COPY conf/ /conf/", "COPY conf/../assets /conf/"),
    "the JSON form": edit("COPY conf/ /conf/", 'COPY ["conf", ".", "/conf/"]'),
    "ADD": edit("COPY conf/ /conf/", "ADD ./ /conf/"),
    "a file that is not there": edit("COPY conf/ /conf/", "COPY nowhere /conf/"),
    "a link": lambda project: (
        (project.folder / "l").symlink_to("conf") or project.change("COPY conf/ /conf/", "COPY l /conf/")
    ),
    "a link on the way": lambda project: (
        (project.folder / "l").symlink_to("conf") or project.change("COPY conf/ /conf/", "COPY l/a /conf/")
    ),
    "a link that a wildcard finds": lambda project: (
        (project.folder / "lll").symlink_to("conf") or project.change("COPY conf/ /conf/", "COPY ll* /conf/")
    ),
}


@pytest.mark.parametrize("change", ANY_FILE.values(), ids=ANY_FILE)
def test_every_file_of_the_context_counts_where_a_path_may_be_any(project, change):
    project.write("Dockerfile", WITHOUT_DOCS)
    change(project)
    before = project.fingerprint()
    assert before.digest
    for name in ("README.md", "multibuild.yaml", "Dockerfile"):
        project.write(name, (project.folder / name).read_text() + "# more\n")
        after = project.fingerprint()
        assert after.digest not in {None, before.digest}
        before = after


PER_PLATFORM = """\
FROM r.example.org/base:1
ARG TARGETOS TARGETARCH
ARG TARGETVARIANT
COPY bin/$TARGETOS/${TARGETARCH}${TARGETVARIANT}/app /app
"""
BINARIES = {"linux/arm64": "arm64", "linux/arm/v7": "armv7", "linux/s390x": "s390x"}


@pytest.fixture
def per_platform(project):
    """Return a project with a file for each platform; its fingerprint is that of a platform."""
    project.write("Dockerfile", PER_PLATFORM)
    for name in (*BINARIES.values(), "armv6"):
        project.write(f"bin/linux/{name}/app", name)
    project.of = lambda name: (
        project.all_fingerprints(platform=Platform.parse(name), target=None)
        .platforms[Platform.parse(name)]
        .digest
    )
    return project


@pytest.mark.parametrize("platform", ["linux/arm64", "linux/arm/v7", "linux/s390x"])
def test_files_of_other_platforms_do_not_count(per_platform, platform):
    before = per_platform.of(platform)
    for name in {*BINARIES.values(), "armv6"} - {BINARIES[platform]}:
        per_platform.write(f"bin/linux/{name}/app", "other")
        assert per_platform.of(platform) == before
    per_platform.write(f"bin/linux/{BINARIES[platform]}/app", "other")
    assert per_platform.of(platform) not in {None, before}


def test_a_variant_that_builders_may_see_otherwise_is_any(per_platform):
    per_platform.write("bin/linux/amd64/app", "1")
    before = per_platform.of("linux/amd64/v2")
    per_platform.write("bin/linux/s390x/app", "other")
    assert per_platform.of("linux/amd64/v2") == before
    per_platform.write("bin/linux/amd64/app", "other")
    assert per_platform.of("linux/amd64/v2") not in {None, before}


OTHER_VALUES = {
    "not declared": edit("ARG TARGETOS TARGETARCH\n", ""),
    "declared behind": edit(
        "ARG TARGETOS TARGETARCH\nARG TARGETVARIANT\n" + PER_PLATFORM.splitlines()[-1],
        f"{PER_PLATFORM.splitlines()[-1]}\nARG TARGETOS TARGETARCH TARGETVARIANT",
    ),
    "declared in another stage": edit("ARG TARGETVARIANT\n", "ARG TARGETVARIANT\nFROM scratch\n"),
    "a default": edit("TARGETARCH\n", "TARGETARCH=arm64\n"),
    "a global default": edit("FROM r.", "ARG TARGETARCH=arm64\nFROM r."),
    "a build argument": lambda project: project.spec.update(args={"TARGETARCH": "arm64"}),
    "ENV": edit("COPY", "ENV TARGETARCH=arm64\nCOPY"),
    "ENV of the old form": edit("COPY", "ENV TARGETARCH arm64\nCOPY"),
    "ENV of another stage": edit("FROM r.", "FROM scratch AS x\nENV A=1 TARGETARCH=arm64\nFROM r."),
    "a longer name": edit("${TARGETARCH}${TARGETVARIANT}", "$TARGETARCHES"),
    "a default in place": edit("${TARGETARCH}", "${TARGETARCH:-arm64}"),
    "an escape": edit("${TARGETARCH}", "\\${TARGETARCH}"),
}


@pytest.mark.parametrize("change", OTHER_VALUES.values(), ids=OTHER_VALUES)
def test_a_value_that_is_not_certain_makes_every_file_count(per_platform, change):
    change(per_platform)
    before = per_platform.of("linux/s390x")
    per_platform.write("bin/linux/arm64/app", "other")
    assert per_platform.of("linux/s390x") not in {None, before}


def test_the_config_counts_where_a_target_takes_it(project):
    app, worker = project.fingerprint(), project.fingerprint(target="worker")
    project.write("multibuild.yaml", "version: 1 # more\n")
    assert project.fingerprint() == app
    assert project.fingerprint(target="worker").digest != worker.digest


def test_targets_are_independent(project):
    before = {target: project.fingerprint(target=target) for target in ("app", "worker")}
    project.change("ARG DEBUG\n", "ARG DEBUG=1\n")
    assert project.fingerprint(target="app") == before["app"]
    assert project.fingerprint(target="worker").digest != before["worker"].digest


def test_what_another_stage_fetches_is_no_input(project):
    assert project.fingerprint(target="docs").unknown == "what ADD fetches, base helper"
    assert project.fingerprint(target="app").unknown == ""


@pytest.mark.parametrize(
    "source",
    ["git@example.org:a/b.git", "https://example.org/a.git#v1", "ssh://h/a.git", "$URL", "u@h:a.git"],
)
def test_what_a_stage_fetches_has_no_fingerprint(project, source):
    project.change("COPY conf/ /conf/", f"ADD --checksum=sha256:1 {source} /conf/")
    assert project.fingerprint().unknown == "what ADD fetches"


def test_an_empty_image_has_no_digest_and_no_triggers(project):
    text = "FROM scratch\nCOPY --from=scratch / /\nRUN --mount=type=tmpfs,target=/t true\nCOPY conf /\n"
    project.write("Dockerfile", text)
    before = project.fingerprint(target=None)
    project.write("README.md", "other")
    assert project.fingerprint(target=None) == before
    assert before.digest
    assert project.asked == []


def test_a_file_with_very_many_paths_takes_the_whole_context(project):
    project.write("Dockerfile", "FROM scratch\n" + "".join(f"COPY conf /{n}\n" for n in range(300)))
    same = project.fingerprint(target=None)
    project.write("README.md", "other")
    assert project.fingerprint(target=None) == same
    project.write("Dockerfile", "FROM scratch\n" + "".join(f"COPY a{n}* /\n" for n in range(300)))
    before = project.fingerprint(target=None)
    project.write("README.md", "another")
    assert project.fingerprint(target=None) != before


def test_a_stage_for_each_platform_counts_for_that_alone(project):
    text = "FROM scratch AS b-arm-v7\nCOPY conf /\nFROM scratch AS b-arm64-\nCOPY assets /\n"
    project.write("Dockerfile", text + "FROM b-$TARGETARCH-${TARGETVARIANT}\n")
    arm64 = Platform.parse("linux/arm64")

    def both():
        specs = {
            platform: replace(PLAIN, platform=platform, dockerfile="Dockerfile", target=None)
            for platform in (PLAIN.platform, arm64)
        }
        fingerprints = fingerprint_platforms(project.folder, specs, dict.fromkeys)
        return [one.digest for one in fingerprints.platforms.values()]

    before = both()
    project.write("assets/a.md", "other")
    assert None not in before
    assert both()[0] == before[0]
    assert both()[1] != before[1]


def test_configs_of_bases_are_read_only_where_they_make_a_difference(project):
    project.fingerprint()
    platform = str(PLAIN.platform)
    assert project.asked == [("r.example.org/base:1", platform), ("r.example.org/go:1", platform)]
    project.write("Dockerfile", "FROM r.example.org/base:1\nCOPY . /\n")
    project.fingerprint(target=None)
    assert project.asked == []
    project.write("Dockerfile", "FROM --platform=$BUILDPLATFORM r.example.org/base:1\nCOPY conf /\n")
    project.fingerprint(target=None)
    assert project.asked == [("r.example.org/base:1", "None")]


@pytest.mark.parametrize(
    ("base", "is_reused"), [("FROM scratch\n", True), ("FROM scratch\nONBUILD COPY . /x\n", False)]
)
def test_triggers_of_another_image_of_the_file_count(project, base, is_reused):
    """The image that is built from `app` runs its triggers, which take files that its own Dockerfile does not name."""
    project.write("App", base)
    project.write("Dockerfile", "FROM app\nCOPY conf /\n")
    plan: Any = SimpleNamespace(dependencies={"app": "app"})

    def fingerprint():
        app = project.all_fingerprints(target=None, dockerfile="App")
        own = project.all_fingerprints(target=None, contexts={"app": "image:app"})
        return with_dependencies(own, plan, {"app": app})

    before = fingerprint()
    assert ("README.md" in before.names[PLAIN.platform]) is not is_reused
    project.write("README.md", "other")
    same = fingerprint().platforms[PLAIN.platform].digest == before.platforms[PLAIN.platform].digest
    assert same is is_reused
