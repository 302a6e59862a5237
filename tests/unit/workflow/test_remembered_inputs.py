"""Which changes the annotations of `remember` tell apart: each that gets into an image, and none that does not."""

import json
import os
import shutil
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.remembered import NOW

from multibuild.builds.fingerprint import fingerprint_platforms
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.workflow.remember.annotations import inputs_annotations

DOCKERFILE = """\
# syntax=r.example.org/frontend:1
ARG BASE=r.example.org/base:1
FROM r.example.org/tools:1 AS tools
ARG VERSION
RUN make "$VERSION"
FROM ${BASE} AS app
COPY --from=tools /t /t
COPY --from=r.example.org/files:1 /f /f
RUN --mount=type=bind,from=r.example.org/mounted:1,target=/m cp /m/x /x
COPY --from=extra /file /file
COPY --from=other /file /other
COPY . /
FROM app AS debug
RUN touch /debug
FROM r.example.org/unused:1 AS unused
"""
IMAGES = ("frontend", "base", "tools", "files", "mounted", "other")
CONFIG: dict[str, Any] = {
    "version": 1,
    "image": "r.example.org/app",
    "tags": ["latest"],
    "remember": True,
    "target": "app",
    "args": {"VERSION": "1", "EMPTY": ""},
    "contexts": {"extra": "extra", "other": "docker-image://r.example.org/other:1"},
    "labels": {"a": "b"},
    "secrets": ["id=token,env=TOKEN"],
    "annotations": {"index": "1"},
    "builder": "./profile.yaml",
    "test": {"run": ["true"]},
    "platforms": ["linux/amd64", "linux/arm64", "linux/arm/v7"],
}
FILES = {
    ".hidden": "h",
    "data.bin": "0123456789" * 200,
    "deep/x/y/z": "z",
    "name with space": "s",
    "script.sh": "#!/bin/sh\n",
    "src/a.c": "int a;\n",
    "src/b/c.h": "int c;\n",
    "\N{LATIN SMALL LETTER U WITH DIAERESIS}": "u",
}
FOLDERS = ("deep", "deep/x/y", "empty", "src")
IGNORED = {"a.o": "o", "build/out": "o", "multibuild.yaml": "", "src/b.o": "o"}


class Inputs:
    """A project and its machine. `moved` are the digests of base images that differ, `gone` those that are not known."""

    def __init__(self, folder):
        self.folder = folder
        self.config = json.loads(json.dumps(CONFIG))
        self.environ = {}
        self.moved = {}
        self.text = None
        for name, text in (FILES | IGNORED).items():
            self.write(name, text)
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        self.write("extra/file", "extra")
        self.write("Dockerfile", DOCKERFILE)
        self.write(
            ".dockerignore",
            "*.o\n**/*.o\nbuild\nmultibuild.yaml\nprofile.yaml\nbuildkitd.toml\nextra\nDockerfile\n",
        )
        self.write("profile.yaml", "driver: docker-container\nname: mine\nbuildkitd: buildkitd.toml\n")
        self.write("buildkitd.toml", "debug = true\n")
        (folder / "script.sh").chmod(0o755)
        (folder / "link").symlink_to("script.sh")
        (folder / "src" / "up").symlink_to("../deep")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def annotations(self):
        """Return the annotations as a run would write them now: the index's, and those of entries by platform."""
        path = self.folder / "multibuild.yaml"
        path.write_text(self.text or json.dumps(self.config))
        loaded = load_config(path, environ=self.environ, overrides=Overrides(), now=NOW)
        plan = make_plan(loaded, assumed_facts("auto"))

        def resolve(images):
            return {
                image: self.moved.get(image.split("/")[-1].split(":")[0], f"digest of {image}")
                for image in images
            }

        fingerprints = fingerprint_platforms(plan.project, plan.specs, resolve)
        digests = {platform: one.digest for platform, one in fingerprints.platforms.items()}
        self.unknown = {one.unknown for one in fingerprints.platforms.values()}
        inputs = inputs_annotations(loaded, plan, digests)
        return inputs.index, {str(platform): text for platform, text in inputs.entries.items()}


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    before = os.umask(0o022)
    try:
        index, entries = Inputs(tmp_path_factory.mktemp("original")).annotations()
    finally:
        os.umask(before)
    assert index
    assert list(entries) == CONFIG["platforms"]
    return index, entries


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return Inputs(folder)


# What gets into an image: every entry differs.


def content(name, change):
    def apply(inputs):
        path = inputs.folder / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def flip(data, position):
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def chmod(name, bit):
    def apply(inputs):
        path = inputs.folder / name
        path.chmod(path.stat().st_mode ^ bit)

    return apply


def replace_by(name, make):
    def apply(inputs):
        path = inputs.folder / name
        path.unlink()
        make(path)

    return apply


def move(name, target):
    return lambda inputs: (inputs.folder / name).rename(inputs.folder / target)


def link(name, target):
    def apply(inputs):
        path = inputs.folder / name
        if path.is_symlink():
            path.unlink()
        path.symlink_to(target)

    return apply


def write(name, text):
    return lambda inputs: inputs.write(name, text)


def config(**more):
    return lambda inputs: inputs.config.update(more)


def inner(key, **more):
    return lambda inputs: inputs.config[key].update(more)


def moved(image, digest="moved"):
    return lambda inputs: inputs.moved.update({image: digest})


def line(number, change):
    def apply(inputs):
        lines = DOCKERFILE.splitlines()
        lines[number] = change(lines[number])
        inputs.write("Dockerfile", "\n".join(lines) + "\n")

    return apply


REBUILD: dict[str, object] = {}
for _name in FILES:
    REBUILD |= {
        f"first bit of {_name}": content(_name, partial(flip, position=0)),
        f"a bit in the middle of {_name}": content(_name, lambda data: flip(data, len(data) // 2)),
        f"last bit of {_name}": content(_name, partial(flip, position=-1)),
        f"a byte more in {_name}": content(_name, lambda data: data + b"\n"),
        f"a zero byte more in {_name}": content(_name, lambda data: data + b"\0"),
        f"a byte less in {_name}": content(_name, lambda data: data[:-1]),
        f"nothing in {_name}": content(_name, lambda _: b""),
        f"other line ends in {_name}": content(_name, lambda data: data.replace(b"\n", b"\r\n") + b"\r\n"),
        f"{_name} is gone": lambda inputs, name=_name: (inputs.folder / name).unlink(),
        f"{_name} has another name": move(_name, f"{_name}2"),
        f"{_name} is a link": replace_by(_name, lambda path: path.symlink_to("data.bin")),
        f"{_name} is a directory": replace_by(_name, lambda path: path.mkdir()),
    }
for _name in ("script.sh", "src/a.c", "data.bin", "src", "empty"):
    REBUILD |= {f"mode bit {1 << bit:o} of {_name}": chmod(_name, 1 << bit) for bit in range(12) if bit != 8}
REBUILD |= {
    "two files swapped": lambda inputs: [
        inputs.write("src/a.c", FILES["src/b/c.h"]),
        inputs.write("src/b/c.h", FILES["src/a.c"]),
    ],
    "a file in another directory": move("src/a.c", "deep/a.c"),
    "an empty directory is gone": lambda inputs: (inputs.folder / "empty").rmdir(),
    "a directory has another name": move("src", "source"),
    "a directory is a file": lambda inputs: [(inputs.folder / "empty").rmdir(), inputs.write("empty", "")],
    "a new file": write("new", "new"),
    "a new empty file": write("new", ""),
    "a new file in a directory": write("src/new", ""),
    "a new directory": lambda inputs: (inputs.folder / "new").mkdir(),
    "a new link": link("new", "nowhere"),
    "a name in other letters": move("script.sh", "Script.sh"),
    "a name in another normal form": move(
        "\N{LATIN SMALL LETTER U WITH DIAERESIS}", "u\N{COMBINING DIAERESIS}"
    ),
    "a link to another file": link("link", "src/a.c"),
    "a link to a file that does not exist": link("link", "nowhere"),
    "a link written otherwise": link("link", "./script.sh"),
    "a link with two slashes": link("src/up", "..//deep"),
    "a link with a slash at its end": link("src/up", "../deep/"),
    "a link to another directory": link("src/up", "../src"),
    "a link is gone": lambda inputs: (inputs.folder / "link").unlink(),
    "a link is a copy": replace_by("link", lambda path: path.write_text("#!/bin/sh\n")),
    "an exception of the ignore file": lambda inputs: inputs.write(
        ".dockerignore", (inputs.folder / ".dockerignore").read_text() + "!a.o\n"
    ),
    "one pattern less": lambda inputs: inputs.write(
        ".dockerignore", (inputs.folder / ".dockerignore").read_text().replace("build\n", "")
    ),
    "one pattern more": lambda inputs: inputs.write(
        ".dockerignore", (inputs.folder / ".dockerignore").read_text() + "src\n"
    ),
    "another ignore file": write("Dockerfile.dockerignore", "src\n"),
    "a byte of a named context": write("extra/file", "Extra"),
    "a new file of a named context": write("extra/new", ""),
    "a mode bit of a named context": chmod("extra/file", 0o100),
    "a file of a named context is gone": lambda inputs: (inputs.folder / "extra/file").unlink(),
    "a named context is another directory": lambda inputs: [
        inputs.write("src2/file", "2"),
        inputs.config["contexts"].update(extra="src2"),
    ],
    "a named context has another name": lambda inputs: inputs.config["contexts"].update(
        more=inputs.config["contexts"].pop("extra")
    ),
    "a named context more": inner("contexts", more="extra"),
    "a named context less": lambda inputs: inputs.config["contexts"].pop("extra"),
    "a named context is another image": inner("contexts", other="docker-image://r.example.org/base:1"),
    "a base is replaced by a directory": inner("contexts", **{"r.example.org/tools:1": "extra"}),
}
for _image in IMAGES:
    REBUILD[f"the digest of {_image}"] = moved(_image)
for _number in range(len(DOCKERFILE.splitlines())):
    REBUILD |= {
        f"a blank in line {_number + 1}": line(_number, lambda text: f"{text} "),
        f"another word in line {_number + 1}": line(_number, lambda text: f"{text}x"),
    }
REBUILD |= {
    "the Dockerfile has a line more": write("Dockerfile", DOCKERFILE + "\n"),
    "the Dockerfile has other line ends": write("Dockerfile", DOCKERFILE.replace("\n", "\r\n")),
    "another Dockerfile": lambda inputs: [
        inputs.write("Other", DOCKERFILE.replace("make", "make -s")),
        inputs.config.update(dockerfile="Other"),
    ],
    "another context": config(context="src"),
    "another target": config(target="debug"),
    "no target": lambda inputs: inputs.config.pop("target"),
    "another argument": inner("args", VERSION="2"),
    "an argument more": inner("args", MORE=""),
    "an argument less": lambda inputs: inputs.config["args"].pop("EMPTY"),
    "an argument that was empty": inner("args", EMPTY=" "),
    "an argument that names the base": inner("args", BASE="r.example.org/base:2"),
    "another name of an argument": lambda inputs: inputs.config["args"].update(
        version=inputs.config["args"].pop("VERSION")
    ),
    "another label": inner("labels", a="c"),
    "a label more": inner("labels", c=""),
    "no labels": lambda inputs: inputs.config.pop("labels"),
    "another name of a label": config(labels={"b": "b"}),
    "another secret id": config(secrets=["id=token2,env=TOKEN"]),
    "a secret from another variable": config(secrets=["id=token,env=TOKEN2"]),
    "a secret from a file": config(secrets=["id=token,src=token"]),
    "a secret more": config(secrets=["id=token,env=TOKEN", "id=b,env=B"]),
    "no secret": config(secrets=[]),
    "an agent": config(ssh=["default"]),
    "another network": config(network="host"),
    "no network": config(network="none"),
    "no cache": config(no_cache=True),
    "a flag": config(build_flags=["--add-host=a:1.2.3.4"]),
    "another flag": config(build_flags=["--shm-size=1g"]),
    "a bill of materials": config(attestations={"sbom": True}),
    "more provenance": config(attestations={"provenance": "max"}),
    "no provenance": config(attestations={"provenance": False}),
    "reproducible": config(reproducible=True),
    "an annotation of each manifest": inner("annotations", **{"manifest:a": "b"}),
    "a variable of an argument": lambda inputs: (
        inputs.config["args"].update(VERSION="${V:-1}${W:-}") or inputs.environ.update(W="x")
    ),
    "the engine's own builder": config(builder="default"),
    "a builder of another name": config(builder="other"),
    "a builder that is chosen": config(builder="auto"),
    "a shipped profile": config(builder="container"),
    "another image of BuildKit": write(
        "profile.yaml", "name: mine\nbuildkitd: buildkitd.toml\nimage: moby/buildkit:x\n"
    ),
    "another name in the profile": write("profile.yaml", "name: other\nbuildkitd: buildkitd.toml\n"),
    "an option of the driver": write(
        "profile.yaml", "name: mine\nbuildkitd: buildkitd.toml\ndriver_opts: {network: host}\n"
    ),
    "no settings of BuildKit": write("profile.yaml", "name: mine\n"),
    "another setting of BuildKit": write("buildkitd.toml", "debug = false\n"),
    "a node": write(
        "profile.yaml", "name: mine\nbuildkitd: buildkitd.toml\nnodes: [{}, {endpoint: 'ssh://h'}]\n"
    ),
}


def test_there_are_enough_changes():
    assert len(REBUILD) + len(INDEX_ONLY) + len(ONE_PLATFORM) + len(UNKNOWN) >= 300
    assert len(NO_CHANGE) >= 60


@pytest.mark.parametrize("change", REBUILD.values(), ids=REBUILD)
def test_what_gets_into_every_image_changes_every_entry(inputs, original, change):
    change(inputs)
    index, entries = inputs.annotations()
    assert index != original[0]
    assert [platform for platform, text in original[1].items() if entries.get(platform) == text] == []


# What is asked of the index or its children: nothing is built, and the index is not the same.

INDEX_ONLY = {
    "another annotation": inner("annotations", index="2"),
    "an annotation more": inner("annotations", more="1"),
    "an annotation of each entry": inner("annotations", **{"manifest-descriptor:a": "b"}),
    "another test": config(test={"run": ["false"]}),
    "a test with a network": config(test={"run": ["true"], "network": True}),
    "a test with another limit": config(test={"run": ["true"], "timeout": "1m"}),
    "no test": lambda inputs: inputs.config.pop("test"),
    "a gate": config(gates=[{"name": "scan", "run": ["true"]}]),
    "a limit of size": config(gates=[{"name": "size", "max": "250MB"}]),
    "a limit of growth": config(gates=[{"name": "size", "growth": "10%"}]),
    "all content": config(verify={"content": "all"}),
    "no proof of content": config(verify={"content": "off"}),
    "a path that is not proved": config(verify={"ignore": ["/x"]}),
    "a further entry": config(
        platforms=["linux/amd64", {"name": "linux/arm64", "also_as": ["linux/arm64/v8"]}, "linux/arm/v7"]
    ),
    "a version of the system": config(
        platforms=[{"name": "linux/amd64", "os_version": "1"}, "linux/arm64", "linux/arm/v7"]
    ),
    "a feature of the system": config(
        platforms=[{"name": "linux/amd64", "os_features": ["x"]}, "linux/arm64", "linux/arm/v7"]
    ),
    "an annotation of an entry": config(
        platforms=[{"name": "linux/amd64", "annotations": {"a": "b"}}, "linux/arm64", "linux/arm/v7"]
    ),
    "an optional platform": config(
        platforms=[{"name": "linux/amd64", "required": False}, "linux/arm64", "linux/arm/v7"]
    ),
    "another order": config(platforms=["linux/arm64", "linux/amd64", "linux/arm/v7"]),
    "a platform less": config(platforms=["linux/amd64", "linux/arm64"]),
    "a platform more": config(platforms=[*CONFIG["platforms"], "linux/s390x"]),
}


@pytest.mark.parametrize("change", INDEX_ONLY.values(), ids=INDEX_ONLY)
def test_what_is_asked_of_an_index_changes_it_and_builds_nothing(inputs, original, change):
    def built_from(text):
        return text.split(" ")[1:3]

    change(inputs)
    index, entries = inputs.annotations()
    assert index not in {"", original[0]}
    assert all(built_from(entries.get(name, text)) == built_from(text) for name, text in original[1].items())


ONE_PLATFORM = {
    "its argument": {"args": {"VERSION": "2"}},
    "its label": {"labels": {"x": "y"}},
    "its Dockerfile": {"dockerfile": "src/a.c"},
    "its target": {"target": "debug"},
    "its builder": {"builder": "default"},
    "its test": {"test": {"run": ["false"]}},
    "its skipped test": {"test": {"skip": True}},
    "the processor of its test": {"test": {"emulator_cpu": "max"}},
    "an annotation of its manifest": {"annotations": {"manifest:a": "b"}},
}


@pytest.mark.parametrize("change", ONE_PLATFORM.values(), ids=ONE_PLATFORM)
def test_what_is_of_one_platform_changes_its_entry_alone(inputs, original, change):
    inputs.config["platforms"][1] = {"name": "linux/arm64", **change}
    index, entries = inputs.annotations()
    assert index != original[0]
    assert [name for name, text in original[1].items() if entries.get(name) != text] == ["linux/arm64"]


# What cannot be known.


def make_socket(inputs):
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(inputs.folder)  # the path of a socket is short
        try:
            server.bind("sock")
        finally:
            os.chdir(before)


UNKNOWN = {
    "a socket": (make_socket, "context (sock is no file)"),
    "a pipe": (lambda inputs: os.mkfifo(inputs.folder / "src/pipe"), "context (src/pipe is no file)"),
    "a pipe of a named context": (
        lambda inputs: os.mkfifo(inputs.folder / "extra/pipe"),
        "context extra (pipe is no file)",
    ),
    "a URL as context": (
        config(context="https://example.org/a.git"),
        "context (not a directory of this machine)",
    ),
    "a URL as named context": (inner("contexts", extra="https://example.org/a.git"), "context extra (not a"),
    "a layout as context": (inner("contexts", extra="oci-layout://x"), "context extra (not a"),
    "a context that does not exist": (config(context="nowhere"), "context (. cannot be read)"),
    "a Dockerfile that does not exist": (config(dockerfile="Nowhere"), "Dockerfile"),
    "a URL as Dockerfile": (config(dockerfile="https://example.org/Dockerfile"), "Dockerfile"),
    "a base that cannot be resolved": (moved("base", None), "base r.example.org/base:1"),
    "a frontend that cannot be resolved": (moved("frontend", None), "base r.example.org/frontend:1"),
    "local bases": (config(pull=False), "local base images"),
    "a download": (write("Dockerfile", DOCKERFILE.replace("COPY . /", "ADD https://example.org/x /")), "ADD"),
    "labels of buildx": (None, "labels of BUILDX_GIT_LABELS"),
}


@pytest.mark.parametrize(("change", "unknown"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_known_has_no_annotation_and_is_named(inputs, monkeypatch, change, unknown):
    if change is None:
        monkeypatch.setenv("BUILDX_GIT_LABELS", "full")
    else:
        change(inputs)
    assert inputs.annotations() == ("", {})
    (text,) = inputs.unknown
    assert unknown in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_has_no_annotation_and_is_named(inputs):
    (inputs.folder / "src/a.c").chmod(0)
    assert inputs.annotations() == ("", {})
    assert "src/a.c cannot be read" in str(inputs.unknown)


def test_a_date_for_files_changes_every_entry(inputs, original, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert inputs.annotations()[1].keys() == original[1].keys()
    assert not set(inputs.annotations()[1].values()) & set(original[1].values())


# What gets into no image.


def rewritten(inputs):
    """Write all files again, in another order, as a checkout does."""
    saved = {name: (inputs.folder / name).read_bytes() for name in sorted(FILES, reverse=True)}
    for name, data in saved.items():
        mode = (inputs.folder / name).stat().st_mode
        (inputs.folder / name).unlink()
        (inputs.folder / name).write_bytes(data)
        (inputs.folder / name).chmod(mode)


def elsewhere(name):
    def apply(inputs):
        target = inputs.folder.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(inputs.folder, target, symlinks=True)
        inputs.folder = target

    return apply


def touch(name, seconds):
    return lambda inputs: os.utime(inputs.folder / name, (seconds, seconds), follow_symlinks=False)


def owned(name):
    def apply(inputs):
        groups = os.getgroups()
        owner = 12345 if os.geteuid() == 0 else -1
        os.chown(inputs.folder / name, owner, 12345 if owner > 0 else groups[-1], follow_symlinks=False)

    return apply


def environment(**more):
    return lambda inputs: inputs.environ.update(more)


def as_text(text):
    def apply(inputs):
        inputs.text = text(inputs.config)

    return apply


def absolute(inputs):
    inputs.config |= {"context": str(inputs.folder), "dockerfile": str(inputs.folder / "Dockerfile")}


def block_style(config):
    import yaml

    return "# a comment\n" + yaml.safe_dump(dict(reversed(config.items())), sort_keys=False)


NO_CHANGE = {
    "nothing": lambda _: None,
    "files written again in another order": rewritten,
    "another path": elsewhere("b"),
    "a longer path": elsewhere("some/where/else with a blank"),
    "a path in other letters": elsewhere("\N{LATIN SMALL LETTER E WITH ACUTE}"),
    "a comment in the config": as_text(lambda config: "# comment\n" + json.dumps(config)),
    "a comment at the end of the config": as_text(lambda config: json.dumps(config) + " # comment"),
    "the config in another style and order": as_text(block_style),
    "the config with blank lines": as_text(lambda config: json.dumps(config, indent=4) + "\n\n"),
    "ignored: new": write("new.o", "o"),
    "ignored: new in a directory": write("src/b/new.o", "o"),
    "ignored: another content": write("a.o", "other"),
    "ignored: gone": lambda inputs: (inputs.folder / "a.o").unlink(),
    "ignored: mode": chmod("a.o", 0o111),
    "ignored: a directory more": write("build/more/x", "x"),
    "ignored: a directory less": lambda inputs: shutil.rmtree(inputs.folder / "build"),
    "ignored: a socket": lambda inputs: os.mkfifo(inputs.folder / "pipe.o"),
    "a second name of a file": lambda inputs: (inputs.folder / "b.o").hardlink_to(
        inputs.folder / "script.sh"
    ),
    "jobs": config(jobs=7),
    "retries": config(retry={"attempts": 9}),
    "a limit of time": config(timeout="1h"),
    "a limit of silence": config(stall_timeout="5m"),
    "a limit after a crash": config(crash_timeout="5m"),
    "an end at the first failure": config(fail_fast=True),
    "the level of lint": config(lint={"fail": "never"}),
    "emulators": config(emulators={"source": "none"}),
    "caches": config(
        cache={"from": ["type=registry,ref=r/c:{slug}"], "to": ["type=registry,ref=r/c:{slug}"]}
    ),
    "another tag": config(tags=["1"]),
    "tags more": config(tags=["latest", "1"]),
    "a destination": config(destinations=["r.example.org/mirror"]),
    "another repository": config(image="r.example.org/other"),
    "staging": config(publish={"staging": "tag"}),
    "another rule for what is missing": config(publish={"on_missing": "fail"}),
    "a registry's settings": config(registries={"r.example.org": {"insecure": True}}),
    "a platform's limit": config(
        platforms=[{"name": "linux/amd64", "timeout": "1h"}, "linux/arm64", "linux/arm/v7"]
    ),
    "a platform's runner": config(
        platforms=[{"name": "linux/amd64", "runner": "x"}, "linux/arm64", "linux/arm/v7"]
    ),
    "another name of a platform": config(platforms=["x86_64", "aarch64", "armhf"]),
    "defaults written out": config(pull=True, network="default", context=".", dockerfile="Dockerfile"),
    "absolute paths": absolute,
    "an absolute named context": lambda inputs: inputs.config["contexts"].update(
        extra=str(inputs.folder / "extra")
    ),
    "the base of a stage that is not needed": moved("unused"),
    "a variable with the same value": lambda inputs: (
        inputs.config["args"].update(VERSION="${V}") or inputs.environ.update(V="1")
    ),
    "the order of arguments": config(args={"EMPTY": "", "VERSION": "1"}),
    "a profile with a comment": lambda inputs: inputs.write(
        "profile.yaml", "# mine\n" + (inputs.folder / "profile.yaml").read_text()
    ),
    "another name of the profile's file": lambda inputs: [
        (inputs.folder / "profile.yaml").rename(inputs.folder / "p.o"),
        (inputs.folder / "p.o").rename(inputs.folder / "build/p.yaml"),
        shutil.copy(inputs.folder / "buildkitd.toml", inputs.folder / "build"),
        inputs.config.update(builder="build/p.yaml"),
    ],
}
NO_CHANGE |= {
    f"time of {name}": touch(name, 10**9) for name in ("src/a.c", "src", "link", "Dockerfile", "extra/file")
}
NO_CHANGE |= {f"time of {name} before 1970": touch(name, -5) for name in ("script.sh",)}
NO_CHANGE |= {f"owner of {name}": owned(name) for name in ("src/a.c", "src", "link", "extra/file")}
NO_CHANGE |= {
    f"variable {name}": environment(**{name: "x"})
    for name in ("HOME", "USER", "CI", "LANG", "TZ", "GITHUB_SHA")
}


@pytest.mark.parametrize("change", NO_CHANGE.values(), ids=NO_CHANGE)
def test_what_gets_into_no_image_changes_nothing(inputs, original, change):
    change(inputs)
    assert inputs.annotations() == original


@pytest.mark.parametrize("place", ["driver_opts: {%s}", "nodes: [{driver_opts: {%s}}]"])
@pytest.mark.parametrize("option", ["env.NPM_TOKEN: %s", "'env.http_proxy': 'http://u:%s@proxy:3128'"])
def test_the_digest_of_a_secret_of_the_builder_is_not_published(inputs, place, option):
    """Who reads the index could try passwords until the digest is the same."""
    profile, seen = "name: mine\nbuildkitd: buildkitd.toml\n", set()
    for secret in ("hunter2", "hunter3"):
        inputs.write("profile.yaml", profile + place % (option % secret) + "\n")
        seen.add(json.dumps(inputs.annotations()))
    assert len(seen) == 1
    inputs.write("profile.yaml", profile + place % "network: host" + "\n")
    assert json.dumps(inputs.annotations()) not in seen


def test_a_config_that_is_sent_to_the_builder_counts_as_what_it_is(inputs):
    """The one needless build: of a file that `COPY . .` would take into the image, even its comments count."""
    inputs.write(".dockerignore", "*.o\n")
    inputs.text = json.dumps(inputs.config)
    before = inputs.annotations()
    inputs.text += " # comment"
    assert inputs.annotations() != before
