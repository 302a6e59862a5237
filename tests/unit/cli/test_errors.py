"""The catalogue: what people get wrong in config and command line. An error, a hint, the right exit code.

What needs an engine or a registry to go wrong is in tests/e2e/test_errors.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.mistakes import UNPRIVILEGED, check, error

from multibuild.cli.startup import main
from multibuild.cli.streams import copy_report
from multibuild.errors import EnvironmentFault

ROOT = Path(__file__).resolve().parents[3]
BASE = "version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64, linux/arm64]\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)

# Config text → expected error. The place is FILE:LINE:COLUMN.
WRITTEN_AS_TEXT = {
    "a typo in a key": (BASE + "tgas: [a]\n", error(2, ":4:1: tgas", hint="'tags'")),
    "a typo in a key of a platform": (
        BASE.replace("linux/arm64", "{name: linux/arm64, requierd: false}"),
        error(2, ":3:46:", "platforms.1.requierd", hint="'required'"),
    ),
    "a key of another tool": (BASE + "entrypoint: x\n", error(2, "entrypoint", hint="multibuild schema")),
    "a tab before a key": ("version: 1\n\timage: x\n", error(2, ":2:1:", hint="indent with spaces")),
    "a tab inside a mapping": (BASE + "args:\n\tA: b\n", error(2, ":5:1:", hint="indent with spaces")),
    "a quote that is never closed": (BASE + "args: {A: 'x\n", error(2, "not YAML", hint="never closed")),
    "a colon in a text": (BASE + "target: a: b\n", error(2, ":4:10:", hint="quotes")),
    "an alias nobody defines": ("image: *x\n", error(2, ":1:8:", "'x'", hint="quotes")),
    "a bomb of aliases": (BOMB, error(2, "more than 50000 values", hint="aliases")),
    "an alias of itself": ("a: &a [*a]\n", error(2, "contains itself", hint="write the value out")),
    "bad indentation": ("version: 1\n  image: x\n", error(2, ":2:", hint="indentation")),
    "a variable without quotes": (
        "version: 1\nimage: r/a\nplatforms: [amd64]\ntags: [{a: b}: c]\n",
        error(2, ":4:8", hint="quotes"),
    ),
    "a file that is empty": ("", error(2, "is empty", hint="multibuild init")),
    "a list instead of a mapping": ("- linux/amd64\n", error(2, ":1:1:", "a list", hint="version: 1")),
    "text that is not UTF-8": (b"\xff\xfe\x00", error(2, "not UTF-8", hint="save it as UTF-8")),
    "a key written twice": (BASE + "image: y\n", error(2, ":4:1: image", hint="keep one")),
    "no version": (BASE.replace("version: 1\n", ""), error(2, "version: is required", hint="version: 1")),
    "a version of the future": (BASE.replace(": 1", ": 2"), error(2, "must be 1", hint="version: 1")),
    "a version in quotes": (BASE.replace(": 1", ": '1'"), error(2, "version", hint="without quotes")),
    "no image": (BASE.replace("image: r.example.org/app\n", ""), error(2, "image", hint="registry.example")),
    "an image with a tag": (
        BASE.replace("/app", "/app:1"),
        error(2, "'r.example.org/app:1'", hint="1 under tags"),
    ),
    "an image with capitals": (BASE.replace("/app", "/App"), error(2, "capitals", hint="r.example.org/app")),
    "an image with https://": (
        BASE.replace("r.ex", "https://r.ex"),
        error(2, "'https://r.example.org/app'", hint="registry.example.org/team/app"),
    ),
    "a platform that does not exist": (
        BASE.replace("arm64", "vax"),
        error(2, ":3:26:", "'linux/vax'", hint="known architectures: amd64"),
    ),
    "a platform nearly right": (BASE.replace("arm64", "amr64"), error(2, "'linux/amr64'", hint="'arm64'")),
    "a platform twice, in two spellings": (
        BASE.replace("linux/arm64", "x86_64"),
        error(2, "linux/amd64 is already listed as platforms.0", hint="remove one"),
    ),
    "no platforms": (BASE.replace("linux/amd64, linux/arm64", ""), error(2, "platforms", hint="linux/amd64")),
    "platforms left blank": (BASE.partition("[")[0] + "\n", error(2, "platforms", hint="give it a value")),
    "platforms as a text": (
        BASE.replace("[linux/amd64, linux/arm64]", "linux/amd64,linux/arm64"),
        error(2, "must be a list", hint="[linux/amd64, linux/arm64]"),
    ),
    "a number for a platform": (BASE.replace("linux/arm64", "386"), error(2, "'386'", hint="linux/arm64")),
    "a tag that is no tag": (BASE + "tags: [feature/X]\n", error(2, "'feature/X'", hint="feature-X")),
    "a tag that is a number": (BASE + "tags: [1.10]\n", error(2, "tags.0", "1.10", hint='"1.10"')),
    "tags that all come out empty": (
        BASE + "tags: ['${git.tag}']\n",
        error(2, "no tag is left", hint=":-dev"),
    ),
    "a word for a boolean": (BASE + "fail_fast: maybe\n", error(2, "true or false", "'maybe'", hint="true")),
    "args as a list": (BASE + "args: [A=b]\n", error(2, "args: must be a mapping", hint="{KEY: value}")),
    "a boolean argument": (BASE + "args: {A: true}\n", error(2, "args.A", hint='"true"')),
    "a mapping for a text": (BASE + "labels: {a: {b: c}}\n", error(2, "labels.a", hint="a: text")),
    "a command as a text": (
        BASE + "test: {run: app --version}\n",
        error(2, "test.run", hint="[app, --version]"),
    ),
    "a word for a number": (
        BASE + "retry: {attempts: many}\n",
        error(2, "retry.attempts", hint="attempts: 3"),
    ),
    "no attempts": (BASE + "retry: {attempts: 0}\n", error(2, "at least 1", hint="attempts: 1")),
    "a bad duration": (BASE + "timeout: 5 minutes\n", error(2, ":4:1: timeout", "'5 minutes'", hint="5m")),
    "a duration of nothing": (BASE + "timeout: 0s\n", error(2, "more than nothing", hint="90s")),
    "an unknown choice": (BASE + "media_type: ocu\n", error(2, "oci or docker", hint="'oci'")),
    "an unknown network": (BASE + "network: hots\n", error(2, "network", hint="'host'")),
    "an unknown outlet": (BASE + "publish: {to: oic:x}\n", error(2, "publish.to", "'oic:x'", hint="oci:x")),
    "a staging name for all": (
        BASE + "publish: {staging: 'x'}\n",
        error(2, "under one name", hint="{arch} or {slug}"),
    ),
    "a flag multibuild passes": (BASE + "build_flags: [--push]\n", error(2, "--push", hint="publish")),
    "annotations of a Docker list": (
        BASE + "media_type: docker\nannotations: {a: b}\n",
        error(2, "annotations", "cannot hold them", hint="media_type: oci"),
    ),
    "a registry as a URL": (
        BASE + "registries: {'https://r:5000/': {insecure: true}}\n",
        error(2, "host[:port]", hint="like r:5000"),
    ),
    "a secret written out": (BASE + "secrets: [hunter2]\n", error(2, "secrets.0", hint="id=token,env=TOKEN")),
    "an unknown built-in": (
        BASE + "tags: ['${git.describe}']\n",
        error(2, "${git.describe}", hint="git.sha"),
    ),
    "a variable that is not set": (
        BASE + "tags: ['${UNSET_X}']\n",
        error(2, "UNSET_X", hint="${UNSET_X:-default}"),
    ),
    "a variable that must be set": (
        BASE + "tags: ['${UNSET_X:?the release to build}']\n",
        error(2, "UNSET_X", "the release to build", hint="set UNSET_X"),
    ),
    "a brace that is never closed": (BASE + "tags: ['${git.sha']\n", error(2, "'${git.sha'", hint="$$")),
    "a profile that is not there": (
        BASE + "builder: ./mine.yaml\n",
        error(2, "mine.yaml", hint="container, fleet"),
    ),
    "no builder at all": (BASE + "builder: ''\n", error(2, "builder", hint="auto")),
    "a context that is not there": (
        BASE + "context: source\n",
        error(2, "/source", hint="relative to the config"),
    ),
    "a Dockerfile that is not there": (
        BASE + "dockerfile: Dokcerfile\n",
        error(2, "/Dokcerfile", hint="Dockerfile"),
    ),
    "a target that is not there": (BASE + "target: runtine\n", error(2, "'runtine'", hint="build, runtime")),
    "a secret file that is not there": (
        BASE + "secrets: ['id=npmrc,src=.npmrc']\n",
        error(2, "/.npmrc", "npmrc", hint="env=NAME"),
    ),
    "a CA that is not there": (
        BASE + "registries: {r.example.org: {ca: ca.pem}}\n",
        error(2, "ca.pem", hint="PEM"),
    ),
}

WRITTEN = {
    mistake: (text if isinstance(text, bytes) else str(text).encode(), expected)
    for mistake, (text, expected) in WRITTEN_AS_TEXT.items()
}

# Arguments → expected error, in a valid project.
TYPED = {
    "a command nearly right": (("pln",), error(2, "'pln'", hint="plan")),
    "a command that is none": (("frobnicate",), error(2, "'frobnicate'", hint="multibuild --help")),
    "an option nearly right": (("plan", "--jbos", "2"), error(2, "--jbos", hint="--jobs")),
    "an option of another command": (
        ("runs", "--dry-run"),
        error(2, "--dry-run", hint="multibuild runs --help"),
    ),
    "an option without its value": (("plan", "--jobs"), error(2, "--jobs needs a value", hint="--help")),
    "a flag with a value": (("plan", "--json=yes"), error(2, "--json", hint="--help")),
    "an argument left out": (("inspect",), error(2, "REFERENCE", hint="multibuild inspect registry")),
    "an argument too many": (("plan", "now"), error(2, "now", hint="multibuild plan --help")),
    "--set without a value": (("plan", "--set", "jobs"), error(2, "key.path=value", hint="--set publish")),
    "--set of a key that is none": (("plan", "--set", "jobbs=2"), error(2, "jobbs", hint="'jobs'")),
    "--set of a platform that is none": (
        ("plan", "--set", "platforms.9.timeout=2m"),
        error(2, "no entry '9'", hint="linux/amd64, linux/arm64"),
    ),
    "a number of jobs that is none": (
        ("plan", "--jobs", "many"),
        error(2, "--jobs", "'many'", hint="like 4"),
    ),
    "a platform nearly right": (
        ("plan", "--platform", "linux/amd46"),
        error(2, "'linux/amd46'", hint="'amd64'"),
    ),
    "a platform not in the config": (
        ("plan", "--platform", "s390x"),
        error(2, "linux/s390x", hint="linux/amd64"),
    ),
    "a tag with a slash": (("plan", "--tag", "a/b"), error(2, "'a/b'", hint="a-b")),
    "another config that is not there": (
        ("plan", "-f", "multibiuld.yaml"),
        error(2, "multibiuld.yaml", hint="init"),
    ),
    "a directory for a config": (("plan", "-f", "src"), error(2, "src", "directory", hint="name the file")),
    "an unknown progress": (("all", "--progress", "tti"), error(2, "'tti'", hint="auto, tty, plain")),
    "a state inside the context": (
        ("all", "--state-dir", "state"),
        error(2, "state", hint="directory outside"),
    ),
    "a run before there is any": (("report",), error(2, "no runs", hint="multibuild all")),
    "a log that is not there": (("explain", "build.log"), error(2, "build.log", hint="standard input")),
    "an image with capitals": (
        ("inspect", "r.example.org/App"),
        error(2, "lower case", hint="host/repository:tag"),
    ),
    "a digest cut short": (("inspect", "r.example.org/a@sha256:12"), error(2, "'sha256:12'", hint="64 hex")),
    "a host that is none": (
        ("resolve", "r.example.org/app", "--host", "linux/vax"),
        error(2, "'vax'", hint="known architectures"),
    ),
    "a client that is none": (
        ("resolve", "r/a", "--client", "dcoker"),
        error(2, "dcoker", hint="containerd, docker"),
    ),
    "nothing to resolve": (("resolve",), error(2, "--index FILE", hint="multibuild resolve")),
    "an index that is none": (
        ("resolve", "--index", "Dockerfile"),
        error(2, "Dockerfile", hint="inspect REF --raw"),
    ),
    "nodes that are none": (
        ("resolve", "--index", "Dockerfile", "--nodes", "Dockerfile"),
        error(2, "Dockerfile", hint="kubectl get nodes -o json"),
    ),
    "a merge of nothing": (
        ("merge", "r.example.org/app:1"),
        error(2, "no source", hint="merge TARGET SOURCE"),
    ),
    "a layout that is not there": (
        ("merge", "r.example.org/app:1", "--from-oci", "out"),
        error(2, "out", hint="directory or an archive"),
    ),
    "init over a config": (("init",), error(2, "multibuild.yaml", "never overwrites", hint="--file")),
    "init without a Dockerfile": (
        ("init", "-f", "src/multibuild.yaml"),
        error(2, "no Dockerfile", hint="--dockerfile"),
    ),
    "init with a Dockerfile that is not there": (
        ("init", "-f", "new.yaml", "--dockerfile", "docker/Dockerfile"),
        error(2, "docker/Dockerfile", hint="--dockerfile"),
    ),
    "init for an image with a tag": (
        ("init", "-f", "new.yaml", "--image", "r.example.org/app:1"),
        error(2, "--image", "has a tag", hint="r.example.org/app"),
    ),
    "init for a stage that is not there": (
        ("init", "-f", "new.yaml", "--target", "runtine"),
        error(2, "'runtine'", hint="build, runtime"),
    ),
    "completion of an unknown shell": (("completion", "tcsh"), error(2, "tcsh", hint="bash, zsh or fish")),
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
        [*UNPRIVILEGED, sys.executable, "-m", "multibuild", "plan"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    check(
        error(2, "multibuild.yaml", "is not readable", hint="multibuild plan --help"),
        done.returncode,
        done.stderr,
    )


def test_a_report_that_cannot_be_copied_is_no_bug(tmp_path):
    with pytest.raises(EnvironmentFault) as raised:
        copy_report({"run": "x"}, tmp_path)
    assert str(tmp_path) in raised.value.message
    assert "multibuild report" in (raised.value.hint or "")
