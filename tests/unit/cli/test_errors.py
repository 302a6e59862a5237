"""The catalogue of mistakes in config and command line: each is an error with a hint and exit code 2.

Mistakes that need an engine or a registry are in tests/e2e/test_errors.py.
"""

import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from fakes.mistakes import UNPRIVILEGED, check, error
from waiting import PATIENCE_S

from multibuild.cli.startup import main
from multibuild.cli.streams import copy_report
from multibuild.errors import EnvironmentFault

ROOT = Path(__file__).resolve().parents[3]
BASE = "version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64, linux/arm64]\n"
wrong = partial(error, 2)
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)

# Text appended to BASE → expected error. The location is FILE:LINE:COLUMN.
ADDED = {
    "a dash in a key": ("fail-fast: true", wrong("fail-fast", hint="perhaps you meant 'fail_fast'")),
    "a typo in a key": ("tgas: [a]", wrong(":4:1: tgas", hint="perhaps you meant 'tags'")),
    "a key of another tool": ("entrypoint: x", wrong("entrypoint", hint="multibuild schema")),
    "a tab inside a mapping": ("args:\n\tA: b", wrong(":5:1:", hint="indent with spaces")),
    "a quote that is never closed": ("args: {A: 'x", wrong("not YAML", hint="never closed")),
    "a colon in a text": ("target: a: b", wrong(":4:10:", hint="quotes")),
    "a key written twice": ("image: y", wrong(":4:1: image", hint="keep one")),
    "a tag that is no tag": ("tags: [feature/X]", wrong("'feature/X'", hint="feature-X")),
    "a tag that is a number": ("tags: [1.10]", wrong("tags.0", "1.10", hint='write it in quotes: "1.10"')),
    "tags that all come out empty": ("tags: ['${git.tag}']", wrong("no tag is left", hint=":-dev")),
    "a word for a boolean": ("fail_fast: maybe", wrong("true or false", "'maybe'", hint="true")),
    "args as a list": ("args: [A=b]", wrong("args: must be a mapping", hint="{KEY: value}")),
    "a boolean argument": ("args: {A: true}", wrong("args.A", hint='"true"')),
    "a mapping for a text": ("labels: {a: {b: c}}", wrong("labels.a", hint="a: text")),
    "a command as a text": ("test: {run: app --version}", wrong("test.run", hint="[app, --version]")),
    "a word for a number": ("retry: {attempts: many}", wrong("retry.attempts", hint="attempts: 3")),
    "no attempts": ("retry: {attempts: 0}", wrong("at least 1", hint="attempts: 1")),
    "a bad duration": ("timeout: 5 minutes", wrong(":4:1: timeout", "'5 minutes'", hint="5m")),
    "a duration of nothing": ("timeout: 0s", wrong("more than nothing", hint="90s")),
    "an unknown choice": ("media_type: ocu", wrong("oci or docker", hint="'oci'")),
    "an unknown network": ("network: hots", wrong("network", hint="'host'")),
    "an unknown destination": ("publish: {to: oic:x}", wrong("publish.to", "'oic:x'", hint="oci:x")),
    "a staging name for all": ("publish: {staging: 'x'}", wrong("under one name", hint="{arch} or {slug}")),
    "a flag multibuild passes": ("build_flags: [--push]", wrong("--push", hint="publish")),
    "a gate that checks nothing": (
        "gates: [{name: scan}]",
        wrong(":4:9: gates.0", "nothing to check", hint="max: 250MB"),
    ),
    "a gate of two kinds": ("gates: [{name: a, run: [x], max: 1MB}]", wrong("gates.0.max", hint="two gates")),
    "an unknown placeholder": (
        "gates: [{name: a, run: [x, '{reff}']}]",
        wrong(":4:28: gates.0.run.1", "'{reff}'", hint="'{ref}'"),
    ),
    "a placeholder of another key": (
        "gates: [{name: a, run: [x, '{name}']}]",
        wrong("'{name}'", hint="{ref}, {platform}, {image}, {slug}"),
    ),
    "a gate as a text": ("gates: [{name: a, run: trivy image}]", wrong("gates.0.run", hint="[trivy, image]")),
    "a gate without a program": ("gates: [{name: a, run: []}]", wrong("must not be empty", hint="run: [app")),
    "a gate with an empty program": ("gates: [{name: a, run: ['']}]", wrong("gates.0.run.0", hint="run: [")),
    "a gate with a wrong key": ("gates: [{name: a, mx: 3}]", wrong("gates.0.mx", hint="'max'")),
    "a gate without a name": ("gates: [{run: [x]}]", wrong("gates.0.name", "is required", hint="like name")),
    "a gate's name that is no file name": (
        "gates: [{name: a/b, run: [x]}]",
        wrong("'a/b' is no name of a gate", hint="scan"),
    ),
    "two gates of one name": (
        "gates: [{name: a, run: [x]}, {name: a, max: 1MB}]",
        wrong("gates.1.name", "'a' already", hint="rename"),
    ),
    "a size without a unit": ("gates: [{name: a, max: 250M}]", wrong("gates.0.max", "'250M'", hint="250MB")),
    "a size of nothing": ("gates: [{name: a, max: 0}]", wrong("more than nothing", hint="250MB")),
    "a growth that is no percentage": (
        "gates: [{name: a, growth: 10}]",
        wrong("gates.0.growth", "'10'", hint="10%"),
    ),
    "a timeout of a size": (
        "gates: [{name: a, max: 1MB, timeout: 1m}]",
        wrong("gates.0.timeout", hint="remove it"),
    ),
    "a gate on a platform that is not built": (
        "gates: [{name: a, max: 1MB, platforms: [linux/arm/v7]}]",
        wrong("gates.0.platforms.0: linux/arm/v7 is not built", hint="linux/amd64, linux/arm64"),
    ),
    "a reference without a registry": (
        "publish: {to: 'oci:out'}\ngates: [{name: a, run: [x, '{ref}']}]",
        wrong("gates.0.run", "no {ref}", "oci:out", hint="staging: tag"),
    ),
    "growth without a registry": (
        "publish: {to: docker}\ngates: [{name: a, growth: 1%}]",
        wrong("gates.0.growth", "publish.to is docker", hint="max: 250MB"),
    ),
    "annotations of a Docker list": (
        "media_type: docker\nannotations: {a: b}",
        wrong("annotations", "cannot hold them", hint="media_type: oci"),
    ),
    "a typo in an annotation's type": (
        "annotations: {'manifets:a': b}",
        wrong(":4:15: annotations.manifets:a", hint="perhaps you meant manifest"),
    ),
    "an annotation of a manifest of a Docker list": (
        "media_type: docker\nannotations: {'manifest:a': b}",
        wrong(":5:1: annotations", "cannot hold them", hint="media_type: oci"),
    ),
    "an annotation of a platform that is not built": (
        "annotations: {'manifest[linux/s390x]:a': b}",
        wrong(":4:15:", "linux/s390x is not among", hint="linux/amd64, linux/arm64"),
    ),
    "an annotation of a layout's index in a registry": (
        "annotations: {'index-descriptor:a': b}",
        wrong(":4:15:", "publish.to is registry", hint="oci:DIR"),
    ),
    "a memory in a Docker list": (
        "media_type: docker\nremember: true",
        wrong(":5:1: remember", "has no annotations", hint="media_type: oci"),
    ),
    "an annotation that remember writes": (
        "remember: true\nannotations: {'index:io.multibuild.inputs': b}",
        wrong(":5:15:", "`remember` writes this", hint="remember: false"),
    ),
    "a registry as a URL": (
        "registries: {'https://r:5000/': {insecure: true}}",
        wrong("host[:port]", hint="like r:5000"),
    ),
    "a secret written out": ("secrets: [hunter2]", wrong("secrets.0", hint="id=token,env=TOKEN")),
    "an unknown built-in": ("tags: ['${git.describe}']", wrong("${git.describe}", hint="git.sha")),
    "a variable that is not set": ("tags: ['${UNSET_X}']", wrong("UNSET_X", hint="${UNSET_X:-default}")),
    "a variable that must be set": (
        "tags: ['${UNSET_X:?the release to build}']",
        wrong("UNSET_X", "the release to build", hint="set UNSET_X"),
    ),
    "a brace that is never closed": ("tags: ['${git.sha']", wrong("'${git.sha'", hint="$$")),
    "a profile that is not there": (
        "builder: ./mine.yaml",
        wrong(":4:1: builder", "mine.yaml", hint="container, fleet"),
    ),
    "a boolean for a number": ("retry: {attempts: true}", wrong(":4:9:", "the boolean true", hint="like 1")),
    "a destination without its place": ("publish: {to: oci}", wrong("'oci'", hint="oci:DIR")),
    "a staging name that is no reference": (
        "publish: {staging: '{image}@{arch}'}",
        wrong("publish.staging", "no image reference", hint="{image}-{arch}:{tag}"),
    ),
    "a secret as a mapping": ("secrets: [{id: a, env: A}]", wrong("secrets.0", hint="'id=token,env=TOKEN'")),
    "a bad tag behind one that comes out empty": (
        "tags: ['${git.semver}', a b]",
        wrong(":4:25: tags.1: 'a b' is not a tag", hint="a-b"),
    ),
    "no builder at all": ("builder: ''", wrong("builder", hint="auto")),
    "a context that is not there": ("context: source", wrong("/source", hint="relative to the config")),
    "a Dockerfile that is not there": ("dockerfile: Dokcerfile", wrong("/Dokcerfile", hint="Dockerfile")),
    "a target that is not there": ("target: runtine", wrong("'runtine'", hint="perhaps you meant 'runtime'")),
    "a secret file that is not there": (
        "secrets: ['id=npmrc,src=.npmrc']",
        wrong("/.npmrc", "npmrc", hint="env=NAME"),
    ),
    "a cache that platforms overwrite": (
        "cache: {to: ['type=inline', 'type=registry,ref=r.example.org/c:1,mode=max']}",
        wrong(":4:29: cache.to.1", "2 platforms", hint="ref=r.example.org/c:1-{slug}"),
    ),
    "a limit that is no duration": ("crash_timeout: auto", wrong(":4:1: crash_timeout", hint="90s")),
    "a CA that is not there": ("registries: {r.example.org: {ca: ca.pem}}", wrong("ca.pem", hint="PEM")),
}

# Text of BASE, its replacement → expected error.
REPLACED = {
    "an image with a digest": ("/app", "/app@sha256:0", wrong("has a digest", hint="r.example.org/app")),
    "an image with a blank": (
        "/app",
        "/a b",
        wrong("/a b' is not the name of a repository", hint="registry.example.org/team/app"),
    ),
    "a platform without a name": (
        "linux/arm64",
        "{required: false}",
        wrong("platforms.1.name: is required", hint="linux/arm64"),
    ),
    "a platform twice, once in also_as": (
        "linux/arm64",
        "{name: s390x, also_as: [linux/amd64]}",
        wrong("platforms.1.also_as.0: linux/amd64 is already", hint="remove one"),
    ),
    "a further entry without a system": (
        "linux/arm64",
        "{name: linux/arm64, also_as: [arm64/unknown]}",
        wrong("platforms.1.also_as.0", "no operating system", hint="linux/arm64/unknown"),
    ),
    "a profile of a platform that is not there": (
        "linux/arm64",
        "{name: linux/arm64, builder: arm.yaml}",
        wrong(":3:46: platforms.1.builder", "arm.yaml", hint="container, fleet"),
    ),
    "true for a version": (": 1", ": true", wrong(":1:1: version", "the boolean true", hint="1")),
    "a typo in a key of a platform": (
        "linux/arm64",
        "{name: linux/arm64, requierd: false}",
        wrong(":3:46:", "platforms.1.requierd", hint="'required'"),
    ),
    "no version": ("version: 1\n", "", wrong("version: is required", hint="version: 1")),
    "a version of the future": (": 1", ": 2", wrong("must be 1", hint="version: 1")),
    "a version in quotes": (": 1", ": '1'", wrong("version", hint="without quotes")),
    "no image": ("image: r.example.org/app\n", "", wrong("image", hint="registry.example")),
    "an image with a tag": ("/app", "/app:1", wrong("'r.example.org/app:1' has a tag", hint="1 under tags")),
    "an image with capitals": ("/app", "/App", wrong("capitals", hint="r.example.org/app")),
    "an image with https://": (
        "r.ex",
        "https://r.ex",
        wrong("app' is not the name of a repository", hint="registry.example.org/team/app"),
    ),
    "a platform that does not exist": (
        "arm64",
        "vax",
        wrong(":3:26:", "'linux/vax'", hint="known architectures: amd64"),
    ),
    "a platform nearly right": ("arm64", "amr64", wrong("'linux/amr64' is not a platform", hint="'arm64'")),
    "a platform twice, in two spellings": (
        "linux/arm64",
        "x86_64",
        wrong("linux/amd64 is already listed as platforms.0", hint="remove one"),
    ),
    "no platforms": (
        "linux/amd64, linux/arm64",
        "",
        wrong("platforms: must not be empty", hint="linux/amd64"),
    ),
    "platforms as a text": (
        "[linux/amd64, linux/arm64]",
        "linux/amd64,linux/arm64",
        wrong("must be a list", hint="[linux/amd64, linux/arm64]"),
    ),
    "a number for a platform": (
        "linux/arm64",
        "386",
        wrong("platforms.1.name: must be a platform", "'386'", hint="linux/386"),
    ),
    "an annotation of the index under a platform": (
        "linux/arm64",
        "{name: linux/arm64, annotations: {'index:a': b}}",
        wrong("platforms.1.annotations.index:a", "no index of its own", hint="at the top"),
    ),
    "a platform in brackets under a platform": (
        "linux/arm64",
        "{name: linux/arm64, annotations: {'manifest[linux/arm64]:a': b}}",
        wrong("names a platform under a platform", hint="write manifest:a"),
    ),
}

# Text of the whole file → expected error.
WRITTEN = {
    "a file of comments": ("# nothing\n", wrong("1:1: the file is empty", hint="multibuild init")),
    "a list for a key": ("? [a]\n: b\n", wrong("a key must be text", hint="quotes")),
    "a tab before a key": ("version: 1\n\timage: x\n", wrong(":2:1: is not YAML", hint="indent with spaces")),
    "an alias nobody defines": ("image: *x\n", wrong(":1:8:", "'x'", hint="quotes")),
    "a bomb of aliases": (BOMB, wrong("more than 50000 values", hint="aliases")),
    "an alias of itself": ("a: &a [*a]\n", wrong("contains itself", hint="write the value out")),
    "bad indentation": ("version: 1\n  image: x\n", wrong(":2:", hint="indentation")),
    "a variable without quotes": (
        "version: 1\nimage: r/a\nplatforms: [amd64]\ntags: [{a: b}: c]\n",
        wrong(":4:8", hint="quotes"),
    ),
    "a document that is empty": ("---\n", wrong(":1:1: the file is empty", hint="multibuild init")),
    "a file that is empty": ("", wrong(":1:1: the file is empty", hint="multibuild init")),
    "a list instead of a mapping": (
        "- linux/amd64\n",
        wrong(":1:1: the file must be a mapping", hint="version: 1"),
    ),
    "text that is not UTF-8": ("ÿþ\x00", wrong("not UTF-8", hint="save it as UTF-8")),
    "platforms left blank": (BASE.partition("[")[0] + "\n", wrong("platforms", hint="give it a value")),
    "a bracket that is never closed": ("a: [\n", wrong(":2:1:", hint="quotes and indentation")),
    "a text instead of a mapping": ("just text\n", wrong(":1:1:", hint="version: 1")),
    "platforms left out": (
        BASE.partition("platforms")[0],
        wrong("platforms: is required", hint="linux/amd64"),
    ),
}
WRITTEN |= {mistake: (f"{BASE}{text}\n", expected) for mistake, (text, expected) in ADDED.items()}
WRITTEN |= {mistake: (BASE.replace(old, new), expected) for mistake, (old, new, expected) in REPLACED.items()}

# Words after `multibuild` → expected error, in a valid project.
TYPED = {
    "a command nearly right": ("pln", wrong("'pln'", hint="plan")),
    "a command that is none": ("frobnicate", wrong("'frobnicate'", hint="multibuild --help")),
    "an option nearly right": ("plan --jbos 2", wrong("--jbos", hint="--jobs")),
    "a common option before the command": (
        "--file multibuild.yaml plan",
        wrong("--file stands after the command", hint="multibuild plan --file"),
    ),
    "an option of another command": ("runs --dry-run", wrong("--dry-run", hint="multibuild runs --help")),
    "an option without its value": ("plan --jobs", wrong("--jobs needs a value", hint="--help")),
    "a flag with a value": ("plan --json=yes", wrong("--json", hint="--help")),
    "an argument left out": ("inspect", wrong("REFERENCE", hint="multibuild inspect registry")),
    "an argument too many": ("doctor now", wrong("now", hint="multibuild doctor --help")),
    "an image of a file of one": (
        "plan now",
        wrong("'now': the file has one image, without a name", hint="leave the name out"),
    ),
    "--set without a value": ("plan --set jobs", wrong("is not key.path=value", hint="--set publish")),
    "--set of a key that is none": (
        "plan --set jobbs=2",
        wrong("--set jobbs: jobbs: is no key multibuild knows", hint="'jobs'"),
    ),
    "--set of a platform that is none": (
        "plan --set platforms.9.timeout=2m",
        wrong("platforms has no entry '9'", hint="linux/amd64, linux/arm64"),
    ),
    "a number of jobs that is none": (
        "plan --jobs many",
        wrong("--jobs: jobs: must be auto or a whole number", "'many'", hint="like 4"),
    ),
    "a platform nearly right": ("plan --platform linux/amd46", wrong("'linux/amd46'", hint="'amd64'")),
    "a platform not in the config": ("plan --platform s390x", wrong("linux/s390x", hint="linux/amd64")),
    "a tag with a slash": ("plan --tag a/b", wrong("--tag: tags.0: 'a/b' is not a tag", hint="a-b")),
    "another config that is not there": (
        "plan -f multibiuld.yaml",
        wrong("multibiuld.yaml: there is no such file", hint="init"),
    ),
    "a config with the other ending": (
        "plan -f other.yaml",
        wrong("other.yaml: there is no such file", hint="--file other.yml"),
    ),
    "a profile with a name that is none": (
        "plan --builder ./named.yaml",
        wrong("named.yaml:1:1: name: cannot be 'a b'", hint="letters, digits"),
    ),
    **{
        f"another config that is not there, for {words}": (
            f"{words} -f multibiuld.yaml",
            wrong("multibiuld.yaml: there is no such file", hint="--file"),
        )
        for words in (
            "inspect r.example.org/a:1",
            "verify r.example.org/a:1",
            "lint",
            "resolve r.example.org/a:1",
            "merge r.example.org/a:1 r.example.org/b:1",
            "promote r.example.org/a:1 :2",
        )
    },
    "a directory for a config": (
        "plan -f src",
        wrong("src: cannot be read", "directory", hint="name the file"),
    ),
    "an unknown progress of a plan": (
        "all --dry-run --progress tti",
        wrong("'tti'", hint="auto, tty, plain"),
    ),
    "--set inside a list that the file does not have": (
        "plan --set tags.0=a",
        wrong("--set tags.0", hint="[a, b]"),
    ),
    "commands of a run": ("all --commands", wrong("--commands", hint="multibuild plan --commands")),
    "an unknown progress": ("all --progress tti", wrong("'tti'", hint="auto, tty, plain")),
    "a state inside the context": (
        "all --state-dir state",
        wrong("state", "inside the build context", hint="directory outside"),
    ),
    "a run before there is any": ("report", wrong("no runs", hint="multibuild all")),
    "a log that is not there": ("explain build.log", wrong("build.log", hint="standard input")),
    "an image with capitals": ("inspect r.example.org/App", wrong("lower case", hint="host/repository:tag")),
    "a digest cut short": ("inspect r.example.org/a@sha256:12", wrong("'sha256:12'", hint="64 hex")),
    "a host that is none": (
        "resolve r.example.org/app --host linux/vax",
        wrong("'vax'", hint="known architectures"),
    ),
    "no host at all": ("resolve r.example.org/app --host ''", wrong("--host", hint="linux/arm64")),
    "a client that is none": ("resolve r/a --client dcoker", wrong("dcoker", hint="containerd, docker")),
    "nothing to resolve": ("resolve", wrong("--index FILE", hint="multibuild resolve")),
    "an index that is none": ("resolve --index Dockerfile", wrong("Dockerfile", hint="inspect REF --raw")),
    "nodes that are none": (
        "resolve --index Dockerfile --nodes Dockerfile",
        wrong("Dockerfile", hint="kubectl get nodes -o json"),
    ),
    "a merge of nothing": ("merge r.example.org/app:1", wrong("no source", hint="merge TARGET SOURCE")),
    "a merge of what was handed over, with a target": (
        "merge r.example.org/app:1 r.example.org/a:1 --handed-over",
        wrong("--handed-over", "TARGET", hint="leave them out"),
    ),
    "a hand-over of what is unchanged": (
        "build --hand-over --if-changed",
        wrong("exclude each other", hint="--resume"),
    ),
    "a setting for a merge of sources": (
        "merge r.example.org/app:1 r.example.org/a:1 --set jobs=1",
        wrong("--set", "TARGET", hint="leave it out"),
    ),
    "a layout that is not there": (
        "merge r.example.org/app:1 --from-oci out",
        wrong("out", hint="directory or an archive"),
    ),
    "init over a config": ("init", wrong("multibuild.yaml", "never overwrites", hint="--file")),
    "init without a Dockerfile": ("init -f src/multibuild.yaml", wrong("no Dockerfile", hint="--dockerfile")),
    "init with a Dockerfile that is not there": (
        "init -f new.yaml --dockerfile docker/Dockerfile",
        wrong("docker/Dockerfile", hint="--dockerfile"),
    ),
    "init for an image with a tag": (
        "init -f new.yaml --image r.example.org/app:1",
        wrong("--image", "has a tag", hint="r.example.org/app"),
    ),
    "init for a stage that is not there": (
        "init -f new.yaml --target runtine",
        wrong("'runtine'", hint="build, runtime"),
    ),
    "completion of an unknown shell": ("completion tcsh", wrong("tcsh", hint="bash, zsh or fish")),
    "an argument of explain left out": ("explain", wrong("LOG", hint="multibuild explain build.log")),
    "an option that is none": ("plan --frobnicate", wrong("--frobnicate", hint="multibuild plan --help")),
    "a platform that does not exist": (
        "plan --platform linux/vax",
        wrong("'linux/vax' is not a platform", hint="riscv64"),
    ),
    "a list of no platforms": ("plan --platform ,", wrong("--platform", hint="linux/arm64")),
    "no jobs": ("plan --jobs 0", wrong("--jobs", "'0'", hint="like 4")),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A valid project as the working directory, with its state outside."""
    folder = tmp_path / "app"
    (folder / "src").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch AS build\nFROM build AS runtime\n")
    (folder / "multibuild.yaml").write_text(BASE)
    (folder / "other.yml").write_text(BASE)
    (folder / "named.yaml").write_text("name: a b\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


@pytest.mark.parametrize("mistake", WRITTEN)
def test_a_mistake_in_the_config_is_an_error(mistake, project: Path, capsys):
    text, expected = WRITTEN[mistake]
    (project / "multibuild.yaml").write_bytes(text.encode("latin-1"))
    code = main(["plan"])
    out, err = capsys.readouterr()
    assert check(expected, code, err) == []
    assert "multibuild.yaml" in err
    assert out == ""


@pytest.mark.parametrize("mistake", TYPED)
def test_a_mistake_in_the_command_line_is_an_error_that_changes_nothing(mistake, project: Path, capsys):
    arguments, expected = TYPED[mistake]
    before = sorted(project.rglob("*"))
    code = main(shlex.split(arguments))
    out, err = capsys.readouterr()
    assert check(expected, code, err) == []
    assert out == ""
    assert sorted(project.rglob("*")) == before


def test_the_catalogue_has_more_than_80_mistakes():
    assert len(WRITTEN) + len(TYPED) > 80


def test_many_problems_fit_one_screen(project: Path, capsys):
    (project / "multibuild.yaml").write_text(BASE + "".join(f"x{n}: 1\n" for n in range(40)))
    assert main(["plan"]) == 2
    err = capsys.readouterr().err
    assert "and 30 more" in err
    assert len(err.splitlines()) == 12


def test_a_malformed_secret_is_not_printed(project: Path, capsys):
    (project / "multibuild.yaml").write_text(BASE + "secrets: [hunter2]\n")
    assert main(["plan"]) == 2
    assert "hunter2" not in capsys.readouterr().err


def test_an_escape_sequence_does_not_reach_the_terminal(project: Path, capsys):
    for arguments in (["\x1b[31mpln"], ["plan", "--\x1b]0;x\x07"], ["inspect", "r/\x1b[2Ja"]):
        assert main(arguments) == 2
        assert "\x1b" not in capsys.readouterr().err


def test_a_config_without_read_permission(project: Path):
    (project / "multibuild.yaml").chmod(0)
    process = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "multibuild", "plan"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    check(
        error(2, "multibuild.yaml", "is not readable", hint="multibuild plan --help"),
        process.returncode,
        process.stderr,
    )


def test_a_report_that_cannot_be_copied_is_an_environment_fault(tmp_path):
    with pytest.raises(EnvironmentFault) as raised:
        copy_report({"run": "x"}, tmp_path)
    assert str(tmp_path) in raised.value.message
    assert "multibuild report" in (raised.value.hint or "")
