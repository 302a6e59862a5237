"""The catalogue: what people get wrong in config and command line. An error, a hint, the right exit code.

What needs an engine or a registry to go wrong is in tests/e2e/test_errors.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.mistakes import AS_ANYBODY, check, said

from multibuild.cli.startup import main
from multibuild.cli.streams import copy_report
from multibuild.errors import EnvironmentFault

ROOT = Path(__file__).resolve().parents[3]
BASE = "version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64, linux/arm64]\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)

# What is written → what is said. The place is FILE:LINE:COLUMN.
WRITTEN_AS_TEXT = {
    "a typo in a key": (BASE + "tgas: [a]\n", said(2, ":4:1: tgas", then="'tags'")),
    "a typo in a key of a platform": (
        BASE.replace("linux/arm64", "{name: linux/arm64, requierd: false}"),
        said(2, ":3:46:", "platforms.1.requierd", then="'required'"),
    ),
    "a key of another tool": (BASE + "entrypoint: x\n", said(2, "entrypoint", then="multibuild schema")),
    "a tab before a key": ("version: 1\n\timage: x\n", said(2, ":2:1:", then="indent with spaces")),
    "a tab inside a mapping": (BASE + "args:\n\tA: b\n", said(2, ":5:1:", then="indent with spaces")),
    "a quote that is never closed": (BASE + "args: {A: 'x\n", said(2, "not YAML", then="never closed")),
    "a colon in a text": (BASE + "target: a: b\n", said(2, ":4:10:", then="quotes")),
    "an alias nobody defines": ("image: *x\n", said(2, ":1:8:", "'x'", then="quotes")),
    "a bomb of aliases": (BOMB, said(2, "more than 50000 values", then="aliases")),
    "an alias of itself": ("a: &a [*a]\n", said(2, "contains itself", then="write the value out")),
    "bad indentation": ("version: 1\n  image: x\n", said(2, ":2:", then="indentation")),
    "a variable without quotes": (
        "version: 1\nimage: r/a\nplatforms: [amd64]\ntags: [{a: b}: c]\n",
        said(2, ":4:8", then="quotes"),
    ),
    "a file that is empty": ("", said(2, "is empty", then="multibuild init")),
    "a list instead of a mapping": ("- linux/amd64\n", said(2, ":1:1:", "a list", then="version: 1")),
    "text that is not UTF-8": (b"\xff\xfe\x00", said(2, "not UTF-8", then="save it as UTF-8")),
    "a key written twice": (BASE + "image: y\n", said(2, ":4:1: image", then="keep one")),
    "no version": (BASE.replace("version: 1\n", ""), said(2, "version: is required", then="version: 1")),
    "a version of the future": (BASE.replace(": 1", ": 2"), said(2, "must be 1", then="version: 1")),
    "a version in quotes": (BASE.replace(": 1", ": '1'"), said(2, "version", then="without quotes")),
    "no image": (BASE.replace("image: r.example.org/app\n", ""), said(2, "image", then="registry.example")),
    "an image with a tag": (
        BASE.replace("/app", "/app:1"),
        said(2, "'r.example.org/app:1'", then="1 under tags"),
    ),
    "an image with capitals": (BASE.replace("/app", "/App"), said(2, "capitals", then="r.example.org/app")),
    "an image with https://": (
        BASE.replace("r.ex", "https://r.ex"),
        said(2, "'https://r.example.org/app'", then="registry.example.org/team/app"),
    ),
    "a platform that does not exist": (
        BASE.replace("arm64", "vax"),
        said(2, ":3:26:", "'linux/vax'", then="known architectures: amd64"),
    ),
    "a platform nearly right": (BASE.replace("arm64", "amr64"), said(2, "'linux/amr64'", then="'arm64'")),
    "a platform twice, in two spellings": (
        BASE.replace("linux/arm64", "x86_64"),
        said(2, "linux/amd64 is already listed as platforms.0", then="remove one"),
    ),
    "no platforms": (BASE.replace("linux/amd64, linux/arm64", ""), said(2, "platforms", then="linux/amd64")),
    "platforms left blank": (BASE.partition("[")[0] + "\n", said(2, "platforms", then="give it a value")),
    "platforms as a text": (
        BASE.replace("[linux/amd64, linux/arm64]", "linux/amd64,linux/arm64"),
        said(2, "must be a list", then="[linux/amd64, linux/arm64]"),
    ),
    "a number for a platform": (BASE.replace("linux/arm64", "386"), said(2, "'386'", then="linux/arm64")),
    "a tag that is no tag": (BASE + "tags: [feature/X]\n", said(2, "'feature/X'", then="feature-X")),
    "a tag that is a number": (BASE + "tags: [1.10]\n", said(2, "tags.0", "1.10", then='"1.10"')),
    "tags that all come out empty": (
        BASE + "tags: ['${git.tag}']\n",
        said(2, "no tag is left", then=":-dev"),
    ),
    "a word for a boolean": (BASE + "fail_fast: maybe\n", said(2, "true or false", "'maybe'", then="true")),
    "args as a list": (BASE + "args: [A=b]\n", said(2, "args: must be a mapping", then="{KEY: value}")),
    "a boolean argument": (BASE + "args: {A: true}\n", said(2, "args.A", then='"true"')),
    "a mapping for a text": (BASE + "labels: {a: {b: c}}\n", said(2, "labels.a", then="a: text")),
    "a command as a text": (
        BASE + "test: {run: app --version}\n",
        said(2, "test.run", then="[app, --version]"),
    ),
    "a word for a number": (
        BASE + "retry: {attempts: many}\n",
        said(2, "retry.attempts", then="attempts: 3"),
    ),
    "no attempts": (BASE + "retry: {attempts: 0}\n", said(2, "at least 1", then="attempts: 1")),
    "a bad duration": (BASE + "timeout: 5 minutes\n", said(2, ":4:1: timeout", "'5 minutes'", then="5m")),
    "a duration of nothing": (BASE + "timeout: 0s\n", said(2, "more than nothing", then="90s")),
    "an unknown choice": (BASE + "media_type: ocu\n", said(2, "oci or docker", then="'oci'")),
    "an unknown network": (BASE + "network: hots\n", said(2, "network", then="'host'")),
    "an unknown outlet": (BASE + "publish: {to: oic:x}\n", said(2, "publish.to", "'oic:x'", then="oci:x")),
    "a staging name for all": (
        BASE + "publish: {staging: 'x'}\n",
        said(2, "under one name", then="{arch} or {slug}"),
    ),
    "a flag multibuild passes": (BASE + "build_flags: [--push]\n", said(2, "--push", then="publish")),
    "annotations of a Docker list": (
        BASE + "media_type: docker\nannotations: {a: b}\n",
        said(2, "annotations", "cannot hold them", then="media_type: oci"),
    ),
    "a registry as a URL": (
        BASE + "registries: {'https://r:5000/': {insecure: true}}\n",
        said(2, "host[:port]", then="like r:5000"),
    ),
    "a secret written out": (BASE + "secrets: [hunter2]\n", said(2, "secrets.0", then="id=token,env=TOKEN")),
    "an unknown built-in": (BASE + "tags: ['${git.describe}']\n", said(2, "${git.describe}", then="git.sha")),
    "a variable that is not set": (
        BASE + "tags: ['${UNSET_X}']\n",
        said(2, "UNSET_X", then="${UNSET_X:-default}"),
    ),
    "a variable that must be set": (
        BASE + "tags: ['${UNSET_X:?the release to build}']\n",
        said(2, "UNSET_X", "the release to build", then="set UNSET_X"),
    ),
    "a brace that is never closed": (BASE + "tags: ['${git.sha']\n", said(2, "'${git.sha'", then="$$")),
    "a profile that is not there": (
        BASE + "builder: ./mine.yaml\n",
        said(2, "mine.yaml", then="container, fleet"),
    ),
    "no builder at all": (BASE + "builder: ''\n", said(2, "builder", then="auto")),
    "a context that is not there": (
        BASE + "context: source\n",
        said(2, "/source", then="relative to the config"),
    ),
    "a Dockerfile that is not there": (
        BASE + "dockerfile: Dokcerfile\n",
        said(2, "/Dokcerfile", then="Dockerfile"),
    ),
    "a target that is not there": (BASE + "target: runtine\n", said(2, "'runtine'", then="build, runtime")),
    "a secret file that is not there": (
        BASE + "secrets: ['id=npmrc,src=.npmrc']\n",
        said(2, "/.npmrc", "npmrc", then="env=NAME"),
    ),
    "a CA that is not there": (
        BASE + "registries: {r.example.org: {ca: ca.pem}}\n",
        said(2, "ca.pem", then="PEM"),
    ),
}

WRITTEN = {
    mistake: (text if isinstance(text, bytes) else str(text).encode(), expected)
    for mistake, (text, expected) in WRITTEN_AS_TEXT.items()
}

# What is typed → what is said, in a project that is right.
TYPED = {
    "a command nearly right": (("pln",), said(2, "'pln'", then="plan")),
    "a command that is none": (("frobnicate",), said(2, "'frobnicate'", then="multibuild --help")),
    "an option nearly right": (("plan", "--jbos", "2"), said(2, "--jbos", then="--jobs")),
    "an option of another command": (
        ("runs", "--dry-run"),
        said(2, "--dry-run", then="multibuild runs --help"),
    ),
    "an option without its value": (("plan", "--jobs"), said(2, "--jobs needs a value", then="--help")),
    "a flag with a value": (("plan", "--json=yes"), said(2, "--json", then="--help")),
    "an argument left out": (("inspect",), said(2, "REFERENCE", then="multibuild inspect registry")),
    "an argument too many": (("plan", "now"), said(2, "now", then="multibuild plan --help")),
    "--set without a value": (("plan", "--set", "jobs"), said(2, "key.path=value", then="--set publish")),
    "--set of a key that is none": (("plan", "--set", "jobbs=2"), said(2, "jobbs", then="'jobs'")),
    "--set of a platform that is none": (
        ("plan", "--set", "platforms.9.timeout=2m"),
        said(2, "no entry '9'", then="linux/amd64, linux/arm64"),
    ),
    "a number of jobs that is none": (("plan", "--jobs", "many"), said(2, "--jobs", "'many'", then="like 4")),
    "a platform nearly right": (
        ("plan", "--platform", "linux/amd46"),
        said(2, "'linux/amd46'", then="'amd64'"),
    ),
    "a platform not in the config": (
        ("plan", "--platform", "s390x"),
        said(2, "linux/s390x", then="linux/amd64"),
    ),
    "a tag with a slash": (("plan", "--tag", "a/b"), said(2, "'a/b'", then="a-b")),
    "another config that is not there": (
        ("plan", "-f", "multibiuld.yaml"),
        said(2, "multibiuld.yaml", then="init"),
    ),
    "a directory for a config": (("plan", "-f", "src"), said(2, "src", "directory", then="name the file")),
    "an unknown progress": (("all", "--progress", "tti"), said(2, "'tti'", then="auto, tty, plain")),
    "a state inside the context": (
        ("all", "--state-dir", "state"),
        said(2, "state", then="directory outside"),
    ),
    "a run before there is any": (("report",), said(2, "no runs", then="multibuild all")),
    "a log that is not there": (("explain", "build.log"), said(2, "build.log", then="standard input")),
    "an image with capitals": (
        ("inspect", "r.example.org/App"),
        said(2, "lower case", then="host/repository:tag"),
    ),
    "a digest cut short": (("inspect", "r.example.org/a@sha256:12"), said(2, "'sha256:12'", then="64 hex")),
    "a host that is none": (
        ("resolve", "r.example.org/app", "--host", "linux/vax"),
        said(2, "'vax'", then="known architectures"),
    ),
    "a client that is none": (
        ("resolve", "r/a", "--client", "dcoker"),
        said(2, "dcoker", then="containerd, docker"),
    ),
    "nothing to resolve": (("resolve",), said(2, "--index FILE", then="multibuild resolve")),
    "an index that is none": (
        ("resolve", "--index", "Dockerfile"),
        said(2, "Dockerfile", then="inspect REF --raw"),
    ),
    "nodes that are none": (
        ("resolve", "--index", "Dockerfile", "--nodes", "Dockerfile"),
        said(2, "Dockerfile", then="kubectl get nodes -o json"),
    ),
    "a merge of nothing": (
        ("merge", "r.example.org/app:1"),
        said(2, "no source", then="merge TARGET SOURCE"),
    ),
    "a layout that is not there": (
        ("merge", "r.example.org/app:1", "--from-oci", "out"),
        said(2, "out", then="directory or an archive"),
    ),
    "init over a config": (("init",), said(2, "multibuild.yaml", "never overwrites", then="--file")),
    "init without a Dockerfile": (
        ("init", "-f", "src/multibuild.yaml"),
        said(2, "no Dockerfile", then="--dockerfile"),
    ),
    "init with a Dockerfile that is not there": (
        ("init", "-f", "new.yaml", "--dockerfile", "docker/Dockerfile"),
        said(2, "docker/Dockerfile", then="--dockerfile"),
    ),
    "init for an image with a tag": (
        ("init", "-f", "new.yaml", "--image", "r.example.org/app:1"),
        said(2, "--image", "has a tag", then="r.example.org/app"),
    ),
    "init for a stage that is not there": (
        ("init", "-f", "new.yaml", "--target", "runtine"),
        said(2, "'runtine'", then="build, runtime"),
    ),
    "completion of an unknown shell": (("completion", "tcsh"), said(2, "tcsh", then="bash, zsh or fish")),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project that is right, as the working directory; state goes elsewhere."""
    folder = tmp_path / "app"
    (folder / "src").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch AS build\nFROM build AS runtime\n")
    (folder / "multibuild.yaml").write_text(BASE)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


@pytest.mark.parametrize("mistake", WRITTEN)
def test_what_is_written_wrong(mistake, project: Path, capsys):
    text, expected = WRITTEN[mistake]
    (project / "multibuild.yaml").write_bytes(text)
    code = main(["plan"])
    out, err = capsys.readouterr()
    assert check(expected, code, err) == []
    assert "multibuild.yaml" in err or mistake == "a profile that is not there"
    assert out == ""


@pytest.mark.parametrize("mistake", TYPED)
def test_what_is_typed_wrong(mistake, project: Path, capsys):
    arguments, expected = TYPED[mistake]
    before = sorted(project.rglob("*"))
    code = main(list(arguments))
    out, err = capsys.readouterr()
    assert check(expected, code, err) == []
    assert out == ""
    assert sorted(project.rglob("*")) == before


def test_the_catalogue_has_forty_and_more():
    assert len(WRITTEN) + len(TYPED) > 80


def test_many_faults_are_one_screen(project: Path, capsys):
    (project / "multibuild.yaml").write_text(BASE + "".join(f"x{n}: 1\n" for n in range(40)))
    assert main(["plan"]) == 2
    err = capsys.readouterr().err
    assert "and 30 more" in err
    assert len(err.splitlines()) == 12


def test_a_secret_in_a_wrong_place_is_not_repeated(project: Path, capsys):
    (project / "multibuild.yaml").write_text(BASE + "secrets: [hunter2]\n")
    assert main(["plan"]) == 2
    assert "hunter2" not in capsys.readouterr().err


def test_an_escape_sequence_does_not_reach_the_terminal(project: Path, capsys):
    for arguments in (["\x1b[31mpln"], ["plan", "--\x1b]0;x\x07"], ["inspect", "r/\x1b[2Ja"]):
        assert main(arguments) == 2
        assert "\x1b" not in capsys.readouterr().err


def test_a_config_nobody_may_read(project: Path):
    (project / "multibuild.yaml").chmod(0)
    done = subprocess.run(
        [*AS_ANYBODY, sys.executable, "-m", "multibuild", "plan"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    check(
        said(2, "multibuild.yaml", "is not readable", then="multibuild plan --help"),
        done.returncode,
        done.stderr,
    )


def test_a_report_that_cannot_be_copied_is_no_bug(tmp_path):
    with pytest.raises(EnvironmentFault) as raised:
        copy_report({"run": "x"}, tmp_path)
    assert str(tmp_path) in raised.value.message
    assert "multibuild report" in (raised.value.hint or "")
