import json
import struct
from typing import Any

import pytest
from fakes.layers import Blobs, index_files

from multibuild.elf.header import parse_elf
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.layer_index import LayerIndex
from multibuild.prove.content.layer_tree import LayerEntry
from multibuild.prove.content.proof import ForeignFile, ImageContent, prove_content
from multibuild.qemu.probe_program import PROBE_CODE, build_probe

ARM64 = Platform.parse("linux/arm64")
AMD64 = Platform.parse("linux/amd64")
LOADER = "/lib/ld.so"


def with_loader(architecture, loader=LOADER):
    """Return a 64-bit little-endian program with a loader."""
    head = bytearray(build_probe(architecture))
    name = loader.encode() + b"\0"
    struct.pack_into("<I", head, 64, 3)
    struct.pack_into("<Q", head, 64 + 8, len(head))
    struct.pack_into("<Q", head, 64 + 32, len(name))
    return bytes(head) + name


class Image:
    """An image of layers, and its proof."""

    def __init__(self, *layers, platform="linux/arm64", **section):
        self.blobs = Blobs()
        self.layers = tuple(self.blobs.add(files) for files in layers)
        parsed = Platform.literal(platform)
        self.config: dict[str, Any] = {
            "os": parsed.os,
            "architecture": parsed.architecture,
            "config": section,
        }
        self.config |= {"variant": parsed.variant} if parsed.variant else {}

    def prove(self, platform=ARM64, mode="entrypoint", ignore=(), cache=None):
        return prove_content(
            ImageContent(config=self.config, layers=self.layers),
            platform=platform,
            mode=mode,
            ignore=ignore,
            open_layer=self.blobs.open,
            cache=cache,
        )


NATIVE, FOREIGN = build_probe("arm64"), build_probe("amd64")


@pytest.mark.parametrize("name", PROBE_CODE)
def test_every_architecture_proves_itself_and_no_other(name):
    image = Image({"app": build_probe(name)}, platform=f"linux/{name}", Cmd=["/app"])
    platform = Platform.parse(f"linux/{name}")
    assert image.prove(platform).status == "passed"
    other = "amd64" if name != "amd64" else "arm64"
    wrong = Image({"app": build_probe(other)}, platform=f"linux/{name}", Cmd=["/app"]).prove(platform)
    assert wrong.status == "failed"
    assert wrong.foreign == (ForeignFile(path="/app", architecture=other, needed=True, layer=1),)
    assert f"/app is {other}" in wrong.detail


@pytest.mark.parametrize(
    ("layers", "layer"),
    [
        ([{"app": NATIVE}, {"app": FOREIGN}, {"x": NATIVE}], 2),
        ([{"app": FOREIGN}, {"x": b""}, {"app": FOREIGN}], 3),
        ([{"app": FOREIGN}, {"y": NATIVE}, {"z": b""}], 1),
        ([{"usr/bin/app": FOREIGN}, {"bin": "-> usr/bin"}, {"x": b""}], 1),
        ([{"v2": b"", "x": NATIVE}, {"v/app": FOREIGN, "app": "-> v/app"}], 2),
    ],
)
def test_the_layer_that_has_a_foreign_file_is_named(layers, layer):
    proof = Image(*layers, Cmd=["/app"] if "bin" not in layers[1] else ["/bin/app"]).prove()
    assert [file.layer for file in proof.foreign] == [layer]


SHELL = {"bin/sh": NATIVE, "usr/bin/env": NATIVE, "usr/bin/python3": FOREIGN}


@pytest.mark.parametrize(
    ("files", "section", "needed"),
    [
        ({"app": FOREIGN}, {"Entrypoint": ["/app"]}, "/app"),
        ({"app": FOREIGN}, {"Entrypoint": ["/app"], "Cmd": ["--help"]}, "/app"),
        ({"usr/local/bin/app": FOREIGN, "bin/app": NATIVE}, {"Cmd": ["app"]}, "/usr/local/bin/app"),
        ({"opt/app": FOREIGN}, {"Cmd": ["app"], "Env": ["PATH=/sbin:/opt"]}, "/opt/app"),
        ({"srv/app": FOREIGN}, {"Cmd": ["./app"], "WorkingDir": "/srv"}, "/srv/app"),
        ({"srv/app": FOREIGN}, {"Cmd": ["app"], "WorkingDir": "/srv", "Env": ["PATH=/bin::/x"]}, "/srv/app"),
        ({"app": FOREIGN}, {"Entrypoint": "/app"}, "/app"),
        ({"v2/app": FOREIGN, "current": "-> v2", "run": "-> current/app"}, {"Cmd": ["/run"]}, "/v2/app"),
        ({"v2/app": FOREIGN, "bin/run": "-> ../../../v2/app"}, {"Cmd": ["run"]}, "/v2/app"),
        ({"v2/app": FOREIGN, "bin/run": "-> /v2/app"}, {"Cmd": ["run"]}, "/v2/app"),
        ({"bin/busybox": FOREIGN, "bin/sh": "= bin/busybox"}, {"Cmd": ["sh"]}, "/bin/sh"),
        ({"run.sh": b"#!/bin/sh\n", "bin/sh": FOREIGN}, {"Cmd": ["/run.sh"]}, "/bin/sh"),
        ({"run": b"#! /bin/sh -e\n", "bin/sh": "-> bb", "bin/bb": FOREIGN}, {"Cmd": ["/run"]}, "/bin/bb"),
        ({"run": b"#!/mid\n", "mid": b"#!/low\n", "low": FOREIGN}, {"Cmd": ["/run"]}, "/low"),
        ({"run": b"#!/usr/bin/env python3\n", **SHELL}, {"Cmd": ["/run"]}, "/usr/bin/python3"),
        ({"run": b"#!/usr/bin/env -S A=b python3 -u\n", **SHELL}, {"Cmd": ["/run"]}, "/usr/bin/python3"),
        ({"app": with_loader("arm64"), "lib/ld.so": FOREIGN}, {"Cmd": ["/app"]}, "/lib/ld.so"),
        ({"bin/sh": FOREIGN}, {"Cmd": ["/bin/sh", "-c", "true"]}, "/bin/sh"),
        (SHELL, {"Cmd": ["/bin/sh", "-c", "A=b exec python3 -m app && x"]}, "/usr/bin/python3"),
        (SHELL, {"Entrypoint": ["/bin/sh", "-ec", "python3; x"]}, "/usr/bin/python3"),
        ({"run": b"#!/usr/bin/env -Spython3 -u\n", **SHELL}, {"Cmd": ["/run"]}, "/usr/bin/python3"),
        (SHELL, {"Entrypoint": ["env", "-u", "X", "A=b", "python3"]}, "/usr/bin/python3"),
        (SHELL, {"Entrypoint": ["env", "-iS", "A=b python3 -u", "x"]}, "/usr/bin/python3"),
        (SHELL, {"Entrypoint": ["env", "--split-string=python3 -u"]}, "/usr/bin/python3"),
        ({"tini": NATIVE, **SHELL}, {"Entrypoint": ["/tini", "-g", "--", "python3"]}, "/usr/bin/python3"),
        ({"tini": NATIVE, **SHELL}, {"Entrypoint": ["/tini", "--"], "Cmd": ["python3"]}, "/usr/bin/python3"),
        ({"in": b"#!/bin/sh\n", **SHELL}, {"Entrypoint": ["/in"], "Cmd": ["python3"]}, "/usr/bin/python3"),
    ],
)
def test_a_foreign_file_that_is_executed_fails(files, section, needed):
    proof = Image({**files, "lib/native": NATIVE}, **section).prove()
    assert proof.status == "failed"
    assert [(file.path, file.needed) for file in proof.foreign] == [(needed, True)]
    assert Image({**files, "lib/native": NATIVE}, **section).prove(mode="all").status == "failed"


@pytest.mark.parametrize(
    "section",
    [
        {"Cmd": ["/bin/sh", "-c", "$APP --help"]},
        {"Cmd": ["/bin/sh", "-c", "echo 'unbalanced"]},
        {"Entrypoint": ["/bin/sh"], "Cmd": ["--flag"]},
        {"Entrypoint": ["sh", "-c"], "Cmd": []},
        {"Cmd": ["sh", "--"]},
        {"Cmd": ["sh"], "Env": None, "WorkingDir": None},
        {"Cmd": ["sh"], "Env": ["NOVALUE", 7]},
    ],
)
def test_commands_that_cannot_be_followed_are_ignored(section):
    proof = Image(SHELL, **section).prove()
    assert (proof.status, proof.checked, proof.foreign) == ("passed", 1, ())


def test_files_of_path_that_are_not_executable_are_skipped():
    readable = LayerEntry(path="usr/bin/app", kind="file", mode=0o644, elf=parse_elf(FOREIGN))
    image = Image({"bin/app": NATIVE}, {}, Cmd=["app"])
    cache = LayerCache()
    cache.get_or_read(image.layers[1].digest, lambda: LayerIndex(entries=(readable,)))
    proof = image.prove(cache=cache)
    assert (proof.status, proof.checked) == ("passed", 1)


def test_all_reports_foreign_files_that_are_not_needed():
    image = Image({"app": NATIVE, "lib/x86.so": FOREIGN, "lib/i386.so": build_probe("386")}, Cmd=["/app"])
    proof = image.prove(mode="all")
    assert (proof.status, proof.checked) == ("passed", 3)
    assert {(file.path, file.architecture, file.needed) for file in proof.foreign} == {
        ("/lib/x86.so", "amd64", False),
        ("/lib/i386.so", "386", False),
    }
    assert "not needed" in proof.detail
    assert image.prove().foreign == ()


def test_386_in_an_amd64_image_is_foreign_and_fails_only_when_needed():
    files = {"app": build_probe("amd64"), "app32": build_probe("386")}
    assert Image(files, platform="linux/amd64", Cmd=["/app"]).prove(AMD64, "all").status == "passed"
    assert Image(files, platform="linux/amd64", Cmd=["/app32"]).prove(AMD64, "all").status == "failed"


def test_all_fails_when_nothing_is_of_the_right_architecture():
    proof = Image({"lib/a": FOREIGN, "lib/b": FOREIGN, "c": FOREIGN, "d": FOREIGN}).prove(mode="all")
    assert (proof.status, len(proof.foreign)) == ("failed", 4)
    assert "no file in the image is linux/arm64" in proof.detail
    assert "and 1 more" in proof.detail


@pytest.mark.parametrize("section", [{}, {"Cmd": ["/nowhere"]}, {"Cmd": ["/text"]}])
def test_without_an_elf_entrypoint_all_files_are_checked(section):
    files = {"lib/a": FOREIGN, "text": b"hello"}
    assert Image(files, **section).prove().status == "failed"
    proof = Image({**files, "lib/b": NATIVE}, **section).prove()
    assert (proof.status, proof.checked) == ("passed", 2)


@pytest.mark.parametrize("mode", ["entrypoint", "all"])
def test_an_image_without_elf_files_says_so(mode):
    proof = Image({"data": b"text", "run": b"#!/bin/sh\n"}, Cmd=["/run"]).prove(mode=mode)
    assert (proof.status, proof.checked) == ("passed", 0)
    assert "no ELF file" in proof.detail
    assert "/run needs /bin/sh, which is not in the image" in proof.detail


def test_a_missing_loader_is_named():
    proof = Image({"app": with_loader("arm64", "/lib/ld-musl.so")}, Cmd=["/app"]).prove()
    assert proof.status == "passed"
    assert "/app needs /lib/ld-musl.so, which is not in the image" in proof.detail


@pytest.mark.parametrize("glob", ["/opt/*", "/opt", "opt/", "*/fw.bin", "/opt/*/fw.*"])
def test_ignored_files_are_not_checked(glob):
    image = Image({"app": NATIVE, "opt/x/fw.bin": FOREIGN}, Cmd=["/app"])
    proof = image.prove(mode="all", ignore=(glob,))
    assert (proof.status, proof.checked, proof.foreign) == ("passed", 1, ())
    assert image.prove(mode="all", ignore=("/op",)).checked == 2


def test_off_reads_nothing():
    image = Image({"app": FOREIGN}, Cmd=["/app"])
    assert image.prove(mode="off").status == "skipped"
    assert image.blobs.opened == []


@pytest.mark.parametrize(
    ("config", "platform", "passes"),
    [
        ("linux/arm64", "linux/arm64", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/amd64", "linux/arm64", False),
        ("windows/arm64", "linux/arm64", False),
        ("linux/arm/v7", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v6", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64/v3", "linux/amd64", False),
        ("linux/amd64", "linux/amd64/v3", True),
    ],
)
def test_the_config_must_state_the_platform(config, platform, passes):
    expected = Platform.literal(platform)
    proof = Image({"app": build_probe(expected.architecture)}, platform=config, Cmd=["/app"]).prove(expected)
    assert (proof.status == "passed") is passes
    assert passes or f"the image config says {config}" in proof.detail


def test_a_config_without_architecture_fails():
    image = Image({"app": NATIVE})
    image.config = {"config": None}
    assert "no architecture" in image.prove().detail


@pytest.mark.parametrize("platform", ["windows/amd64", "linux/wasm"])
def test_platforms_without_a_rule_are_skipped(platform):
    image = Image({"app": NATIVE}, platform=platform)
    assert image.prove(Platform.literal(platform)).status == "skipped"


def test_a_damaged_layer_is_a_failed_proof():
    image = Image(Cmd=["/app"])
    image.layers = (image.blobs.add_blob(b"\x1f\x8b" + bytes(100)),)
    proof = image.prove()
    assert proof.status == "failed"
    assert "damaged" in proof.detail


def test_layers_are_read_once_for_all_images():
    cache = LayerCache()
    image = Image({"app": NATIVE}, Cmd=["/app"])
    assert image.prove(cache=cache).status == "passed"
    assert image.prove(cache=cache).status == "passed"
    assert len(image.blobs.opened) == 1


def test_an_index_is_the_same_after_json_with_every_kind_of_entry():
    files = {
        "a": None,
        "a/app": with_loader("arm64"),
        "a/\udcff": b"#!/bin/sh -e\n",
        "l": "-> a/app",
        "h": "= a/app",
        ".wh.gone": b"",
        "a/.wh..wh..opq": b"",
        "text": b"plain",
    }
    index = index_files(files)
    assert len(index.entries) == 8
    assert LayerIndex.from_json(json.loads(json.dumps(index.as_json()))) == index
