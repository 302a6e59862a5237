"""The proof of right, wrong and hostile images, in bounded time and memory."""

import gzip
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from typing import Any

import pytest
import zstandard
from e2e.conftest import REGISTRY, ROOT, TWELVE, docker, multibuild
from e2e.pushing import GZIP, Workbench, copy_image
from fakes.layers import tar
from fakes.programs import dynamic_program

from multibuild.qemu.probe_program import build_probe

MEGABYTES = 150
"""Limit for the proof of any image, in MiB of resident memory."""

MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""Measures between the test and the command: what a process had before its exec, its parent's memory, counts too."""

ARM64, AMD64 = build_probe("arm64"), build_probe("amd64")
BASE = f"{REGISTRY}/base:latest"


@dataclass
class Measured:
    code: int
    document: dict[str, Any]
    stderr: str
    seconds: float
    mebibytes: float

    @property
    def kinds(self):
        return [finding["kind"] for finding in self.document["findings"]]

    @property
    def details(self):
        return " ".join(finding["detail"] for finding in self.document["findings"])


def verify(reference, tmp_path, *options, limit=120):
    """Run `verify` and measure its peak memory."""
    memory = tmp_path / "memory"
    argv = [
        sys.executable,
        "-c",
        MEASURE,
        str(memory),
        "timeout",
        str(limit),
        sys.executable,
        "-m",
        "multibuild",
        "verify",
        reference,
        "--json",
        *options,
    ]
    began = time.monotonic()
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        process = subprocess.Popen(
            argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=err
        )
        process.wait()
        out.seek(0)
        err.seek(0)
        stdout, stderr = out.read(), err.read()
    assert process.returncode != 124, "it takes too long"
    assert "Traceback" not in stderr, stderr
    seconds = time.monotonic() - began
    return Measured(
        process.returncode, json.loads(stdout or "{}"), stderr, seconds, int(memory.read_text()) / 1024
    )


@pytest.fixture
def bench(repository, tmp_path):
    return Workbench(repository, tmp_path)


def dynamic(architecture, interpreter):
    """A program with PT_INTERP: the probe's header, one program header, the name."""
    head = bytearray(build_probe(architecture)[:64])
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    name = interpreter.encode() + b"\0"
    segment = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1)
    return bytes(head) + segment + name


LOADER = "/lib/ld-linux-aarch64.so.1"

GOOD = {
    "static": ([{"app": ARM64}], {"Entrypoint": ["/app"]}),
    "dynamic": ([{"app": dynamic("arm64", LOADER), LOADER[1:]: ARM64}], {"Entrypoint": ["/app"]}),
    "linked": (
        [{"app": dynamic_program("arm64", "libx.so.1"), "lib/libx.so.1": AMD64, "opt/libx.so.1": ARM64}],
        {"Entrypoint": ["/app"]},
    ),
    "script": ([{"bin/sh": ARM64, "run": b"#!/bin/sh\n"}], {"Cmd": ["/run"]}),
    "distroless-like": ([{"etc/passwd": b"root\n", "usr/bin/app": ARM64}], {"Entrypoint": ["app"]}),
    "hard link": ([{"bin/busybox": ARM64, "bin/sh": "= bin/busybox"}], {"Cmd": ["sh"]}),
    "absolute symlink": ([{"app": "-> /../../../usr/app", "usr/app": ARM64}], {"Cmd": ["/app"]}),
    "foreign test files": ([{"app": ARM64, "testdata/x86": AMD64}], {"Cmd": ["/app"]}),
    "no program": ([{"etc/config": b"text"}], {}),
    "tar with ../": ([{"../../bin/app": ARM64}], {"Cmd": ["/bin/app"]}),
    "replaced": ([{"app": AMD64}, {"app": ARM64}], {"Cmd": ["/app"]}),
    "removed": ([{"app": ARM64, "old": AMD64}, {".wh.old": b""}], {"Cmd": ["/app"]}),
}
BAD = {
    "foreign": ([{"app": AMD64}], {"Entrypoint": ["/app"]}, "/app is amd64"),
    "foreign loader": (
        [{"app": dynamic("arm64", LOADER), LOADER[1:]: AMD64}],
        {"Entrypoint": ["/app"]},
        "ld-linux-aarch64.so.1 is amd64",
    ),
    "foreign library": (
        [{"app": dynamic_program("arm64", "liby.so"), "lib/liby.so": "-> liby.so.1", "lib/liby.so.1": AMD64}],
        {"Entrypoint": ["/app"]},
        "/lib/liby.so.1 is amd64",
    ),
    "foreign shell": ([{"bin/sh": AMD64, "run": b"#!/bin/sh\n"}], {"Cmd": ["/run"]}, "/bin/sh is amd64"),
    "nothing right": ([{"usr/lib/x": AMD64, "run": b"text"}], {"Cmd": ["/none"]}, "no file in the image"),
    "symlink loop": ([{"a": "-> b", "b": "-> a", "x": AMD64}], {"Cmd": ["/a"]}, "no file in the image"),
    "../ foreign": ([{"../../bin/app": AMD64}], {"Cmd": ["/bin/app"]}, "/bin/app is amd64"),
}


def push_all(bench, images):
    """Push images as the entries of one index, all of them for arm64."""
    children = [
        bench.push([bench.layer(tar(files)) for files in layers], **section)
        for layers, section, *_ in images.values()
    ]
    bench.entries("latest", [("linux/arm64", child) for child in children])


@pytest.mark.parametrize("mode", ["entrypoint", "all"])
def test_right_images_pass(bench, tmp_path, mode):
    push_all(bench, GOOD)
    done = verify(f"{bench.image}:latest", tmp_path, "--content", mode)
    assert (done.code, done.document["ok"], done.document["findings"]) == (0, True, [])
    verdicts = [entry["content"]["status"] for entry in done.document["platforms"]]
    assert dict(zip(GOOD, verdicts, strict=True)) == dict.fromkeys(GOOD, "passed")
    assert done.mebibytes < MEGABYTES


@pytest.mark.parametrize("mode", ["entrypoint", "all"])
def test_wrong_images_fail(bench, tmp_path, mode):
    push_all(bench, BAD)
    done = verify(f"{bench.image}:latest", tmp_path, "--content", mode)
    assert (done.code, done.kinds) == (6, ["content"] * len(BAD))
    assert all(set(finding) == {"platform", "kind", "detail"} for finding in done.document["findings"])
    for (_, _, words), finding in zip(BAD.values(), done.document["findings"], strict=True):
        assert words in finding["detail"]
    assert done.mebibytes < MEGABYTES


DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def test_every_kind_of_layer_is_read(bench, tmp_path):
    """Compressed in each way, of OCI's and Docker's types, in many gzip members: foreign programs are found in all."""
    content = tar({"app": AMD64})
    packed = {
        "zstd": bench.blob(zstandard.compress(content), "application/vnd.oci.image.layer.v1.tar+zstd"),
        "plain": bench.blob(content, "application/vnd.oci.image.layer.v1.tar"),
        "docker": bench.blob(gzip.compress(content, 3), DOCKER_LAYER),
        "members": bench.blob(
            b"".join(gzip.compress(content[at : at + 700]) for at in range(0, len(content), 700)),
            DOCKER_LAYER,
        ),
        "nondistributable": bench.blob(
            gzip.compress(content, 2), "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        ),
    }
    children = [bench.push([layer], Cmd=["/app"]) for layer in packed.values()]
    bench.entries("latest", [("linux/arm64", child) for child in children])
    done = verify(f"{bench.image}:latest", tmp_path)
    assert (done.code, done.kinds) == (6, ["content"] * len(packed))
    assert all("/app is amd64" in finding["detail"] for finding in done.document["findings"])
    assert [entry["digest"] for entry in done.document["platforms"]] == [
        child["digest"] for child in children
    ]


def test_an_index_with_wrong_entries_fails(bench, tmp_path):
    """A missing child, a config of another architecture, a foreign program: each its own finding."""
    good = bench.push([bench.layer(tar({"app": ARM64}))], Cmd=["/app"])
    wrong = bench.push([bench.layer(tar({"app": AMD64}))], platform="linux/riscv64", Cmd=["/app"])
    bench.index("latest", **{"linux/arm64": good, "linux/ppc64le": good, "linux/riscv64": wrong})
    done = verify(f"{bench.image}:latest", tmp_path)
    kinds = {finding["platform"]: finding["kind"] for finding in done.document["findings"]}
    assert done.code == 6
    assert kinds == {"linux/ppc64le": "platform", "linux/riscv64": "content"}
    table = multibuild("verify", f"{bench.image}:latest", cwd=tmp_path)
    assert table.code == 6
    assert max(map(len, table.stdout.splitlines())) <= 80


def test_verify_without_a_reference_takes_the_config(state, repository, tmp_path):
    shutil.copytree(ROOT / "examples/hello", tmp_path / "hello")
    config = tmp_path / "hello/multibuild.yaml"
    config.write_text(config.read_text().replace(f"{REGISTRY}/hello", f"{REGISTRY}/{repository}"))
    done = multibuild("all", "-f", config, "--state-dir", state)
    assert done.code == 0, done.stderr
    for _ in range(2):
        document = multibuild("verify", "-f", config, "--state-dir", state, "--json").json
        assert document["ok"] is True
        assert [entry["platform"] for entry in document["platforms"]] == list(TWELVE)
        assert all(entry["content"]["status"] == "passed" for entry in document["platforms"])
    assert list((state / "layers").iterdir())


def test_a_missing_image_is_explained(bench, tmp_path):
    done = multibuild("verify", f"{bench.image}:nothing", cwd=tmp_path)
    assert done.code == 2
    assert "hint:" in done.stderr


def test_inspect_shows_the_proof(bench, tmp_path):
    bench.push([bench.layer(tar({"app": AMD64}))], tag="latest", Cmd=["/app"])
    reference = f"{bench.image}:latest"
    done = multibuild("inspect", reference, "--proof", cwd=tmp_path)
    assert done.code == 0
    assert "/app is amd64" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines()[3:])) <= 80
    assert multibuild("inspect", reference, "--proof", "--json", cwd=tmp_path).json["proof"]["ok"] is False


# -- large and hostile


def member(name, size, kind=tarfile.REGTYPE, mode=0o755):
    """Return the header of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type = size, mode, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def repeated(block, times, *, before=b"", after=b"", pack=gzip.compress):
    """Return a compressed tar that holds `block` many times over, without ever unpacking it.

    Frames of gzip and zstd may follow each other, and the same bytes pack the same.
    """
    return b"".join((pack(before), pack(block) * times, pack(after + bytes(1024))))


MIB = 1 << 20
APP = member("app", len(ARM64)) + ARM64 + bytes(-len(ARM64) % 512)


def test_a_layer_of_a_gigabyte_is_read_within_bounds(bench, tmp_path, record_property):
    layer = repeated(bytes(16 * MIB), 64, before=APP + member("data", 1 << 30))
    bench.push([bench.blob(layer)], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path, "--content", "all")
    assert (done.code, done.kinds) == (0, [])
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


def test_a_layer_that_does_not_compress_is_read_to_its_end(bench, tmp_path, record_property):
    """Incompressible bytes, with the foreign program last."""
    noise = os.urandom(MIB)
    plain = tmp_path / "layer"
    with plain.open("wb") as file:
        file.write(member("data", 200 * MIB))
        for _ in range(200):
            file.write(noise)
        file.write(tar({"app": AMD64}))
    layer = bench.blob(plain, "application/vnd.oci.image.layer.v1.tar")
    plain.unlink()
    bench.push([layer], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path)
    assert (done.code, done.kinds) == (6, ["content"])
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


def link(number):
    info = tarfile.TarInfo(f"links/{number}")
    info.type, info.linkname = tarfile.SYMTYPE, "x"
    return info.tobuf(tarfile.USTAR_FORMAT)


def deep(number):
    info = tarfile.TarInfo(f"{number}/" + "d/" * 1900)
    info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.PAX_FORMAT)


def sparse(size):
    """Return a sparse file whose map claims any size, in GNU's oldest form."""
    block = bytearray(member("sparse", 512, tarfile.GNUTYPE_SPARSE))
    block[386:410] = b"%011o " % 0 + b"%011o " % 512
    block[482] = 1
    block[483:495] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def zstd(data):
    return zstandard.compress(data, 3)


HOSTILE = {
    "bomb": (lambda: repeated(bytes(32 * MIB), 80, before=member("zeros", 5 << 29)), "times its size"),
    "zstd bomb": (
        lambda: repeated(bytes(32 * MIB), 80, before=member("zeros", 5 << 29), pack=zstd),
        "times its size",
    ),
    "a gigabyte of headers": (lambda: repeated(b"".join(map(link, range(1 << 10))), 1 << 11), "more than"),
    "pax": (
        lambda: repeated(bytes(MIB), 1 << 10, before=member("pax", 1 << 30, tarfile.XHDTYPE)),
        "header of",
    ),
    "a sparse map without end": (
        lambda: repeated(bytes(504) + b"\1" + bytes(7), 1 << 16, before=sparse(1 << 62)),
        "sparse",
    ),
    "an absurd size": (lambda: gzip.compress(member("app", 1 << 60)), "a file of"),
    "deep": (lambda: gzip.compress(b"".join(map(deep, range(2000))), 1), "more than"),
    "no tar": (lambda: gzip.compress(b"this is no tar archive" * 1000), "damaged tar header"),
    "cut short": (lambda: gzip.compress(member("app", MIB) + ARM64), "middle of a file"),
    "cut short in gzip": (lambda: gzip.compress(APP + bytes(1024))[:-20], "too early"),
    "an unknown type": (lambda: gzip.compress(APP), "cannot be looked into"),
}


def test_hostile_layers_end_in_clear_errors(bench, tmp_path, record_property):
    """All are in one index, so that the bounds hold for their sum too."""
    children = []
    for name, (make, _) in HOSTILE.items():
        odd = "application/octet-stream" if name == "an unknown type" else GZIP
        children.append(bench.push([bench.blob(make(), odd)], Cmd=["/app"]))
    bench.entries("latest", [("linux/arm64", child) for child in children])
    done = verify(f"{bench.image}:latest", tmp_path, "--content", "all")
    assert (done.code, done.kinds) == (6, ["content"] * len(HOSTILE))
    details = [finding["detail"] for finding in done.document["findings"]]
    for (name, (_, words)), detail in zip(HOSTILE.items(), details, strict=True):
        assert words in detail, name
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


def test_very_many_plain_files_pass(bench, tmp_path, record_property):
    files = b"".join(member(f"usr/share/{number}", 0, mode=0o644) for number in range(1000))
    bench.push([bench.blob(repeated(files, 200, before=APP))], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path)
    assert (done.code, done.document["findings"]) == (0, [])
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


def test_truncated_programs_are_ignored(bench, tmp_path):
    """A file too short for a header cannot be executed, so it is no program of a wrong architecture."""
    short = [AMD64[:length] for length in (4, 19, 20, 51, 63)]
    nonsense = []
    for where in (32, 40, 52, 54, 56):
        program = bytearray(AMD64[:64] + bytes(100))
        program[where : where + 8] = b"\xff" * 8
        nonsense.append(bytes(program))
    children = [bench.push([bench.layer(tar({"app": app}))], Cmd=["/app"]) for app in (*short, *nonsense)]
    bench.entries("latest", [("linux/arm64", child) for child in children])
    done = verify(f"{bench.image}:latest", tmp_path)
    assert done.kinds == ["content"] * len(nonsense)
    proofs = [entry["content"] for entry in done.document["platforms"]]
    assert [proof["status"] for proof in proofs] == ["passed"] * len(short) + ["failed"] * len(nonsense)
    assert all("no ELF file" in proof["detail"] for proof in proofs[: len(short)])


# -- wrong Dockerfiles, through the real engine


def outcome(project, state, dockerfile, platforms, **more):
    config = project(dockerfile=dockerfile, platforms=platforms, **more)
    return multibuild("all", "-f", config, "--state-dir", state, "--json")


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_a_shell_of_the_wrong_architecture_leaves_the_tag_where_it_was(project, state, registry, repository):
    copy_image("base", repository, "latest")
    before = registry.get(repository, "latest")
    dockerfile = (
        f"FROM --platform=linux/amd64 {BASE} AS tools\nFROM {BASE}\n"
        'COPY --from=tools /bin/busybox /bin/sh2\nCMD ["/bin/sh2", "-c", "true"]\n'
    )
    done = outcome(project, state, dockerfile, ["linux/arm64", "linux/amd64"])
    assert done.code == 6, done.stderr
    assert "/bin/sh2 is amd64" in done.stderr
    assert "no tag was moved" in done.stderr
    assert {row["platform"]: row["content"]["status"] for row in done.json["platforms"]} == {
        "linux/arm64": "failed",
        "linux/amd64": "passed",
    }
    assert registry.get(repository, "latest") == before


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_foreign_test_files_are_reported_and_let_pass(project, state):
    dockerfile = (
        f"FROM --platform=linux/amd64 {BASE} AS tools\nFROM {BASE}\n"
        'COPY --from=tools /bin/busybox /testdata/x86\nCMD ["/bin/busybox", "true"]\n'
    )
    done = outcome(project, state, dockerfile, ["linux/arm64"], verify={"content": "all"})
    assert done.code == 0, done.stderr
    content = done.json["platforms"][0]["content"]
    assert (content["status"], content["foreign"]) == ("passed", ["/testdata/x86: amd64"])


def base_of(bench, registry, platform):
    """Return a base image with one platform only: a child of the lab's base image, under a tag of its own."""
    digest = registry.images("base", "latest")[platform]["digest"]
    return f"{REGISTRY}/base@{digest}"


@pytest.mark.parametrize(("have", "want"), [("linux/arm/v7", "linux/arm64"), ("linux/386", "linux/amd64")])
def test_a_base_of_another_architecture_fails_early(project, state, registry, bench, have, want):
    done = outcome(project, state, f"FROM {base_of(bench, registry, have)}\nRUN true\n", [want])
    assert done.code == 4, done.stderr
    (attempt,) = done.json["platforms"][0]["attempts"]
    assert (attempt["class"], attempt["retry"]) == ("wrong-base-platform", "permanent")
    assert have in attempt["evidence"]
    assert not registry.exists(bench.repository, "latest")


@pytest.mark.parametrize(("have", "want"), [("linux/arm/v7", "linux/arm64"), ("linux/386", "linux/amd64")])
def test_an_index_without_the_platform_does_not_fall_back(
    project, state, registry, bench, have, want, record_property
):
    """containerd's matcher takes arm/v7 for arm64 and 386 for amd64 without a warning."""
    manifest = registry.get("base", registry.images("base", "latest")[have]["digest"])
    layers = [
        bench.blob(registry.blob("base", one["digest"]), one["mediaType"]) for one in manifest["layers"]
    ]
    config = json.loads(registry.blob("base", manifest["config"]["digest"]))
    child = bench.push(
        layers, platform=have, diff_ids=config["rootfs"]["diff_ids"], Cmd=["/bin/busybox", "true"]
    )
    bench.index("base", **{have: child})
    done = outcome(project, state, f"FROM {bench.image}:base\nLABEL a=b\n", [want])
    assert done.code in {4, 6}, done.stderr
    assert have in done.stderr or have in json.dumps(done.json)
    assert not registry.exists(bench.repository, "latest")
    record_property("verdict", f"exit {done.code}: {done.stderr[-300:]}")


@pytest.mark.one_driver(driver="docker", reason="only this driver takes images of the engine for a base")
def test_a_local_base_of_another_architecture(project, state, registry, bench):
    digest = registry.images("base", "latest")["linux/amd64"]["digest"]
    name = f"{REGISTRY}/{bench.repository}-local:1"
    docker("pull", "-q", "--platform", "linux/amd64", f"{REGISTRY}/base@{digest}")
    docker("tag", f"{REGISTRY}/base@{digest}", name)
    try:
        done = outcome(project, state, f"FROM {name}\nRUN true\n", ["linux/arm64"], pull=False)
    finally:
        docker("rmi", name)
    assert done.code == 4, done.stderr
    assert "linux/amd64" in json.dumps(done.json["platforms"][0]["attempts"])


# -- tests


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_test_runs_again_each_time(project, state, tmp_path):
    config = project(test={"run": ["/bin/busybox", "cat", "/machine"]})
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    times = []
    for _ in range(2):
        done = multibuild("test", "-f", config, "--state-dir", state, "--json")
        assert done.code == 0, done.stderr
        rows = done.json["platforms"]
        assert {row["platform"]: row["status"] for row in rows} == {
            "linux/amd64": "passed",
            "linux/arm64": "passed",
        }
        times.append((state / "latest" / "logs" / "linux-arm64.test.log").stat().st_mtime_ns)
        assert "aarch64" in (state / "latest" / "logs" / "linux-arm64.test.log").read_text()
    assert times[0] != times[1]
    report = multibuild("report", "--json", "-f", config, "--state-dir", state).json
    assert all(row["test"]["status"] == "passed" for row in report["platforms"])


ODD = (
    "two  words",
    "'quoted' \"twice\"",
    "$HOME ${PATH} $(id) `id`",
    "back\\slash\\",
    "<<EOF",
    "é漢🐘",
    "a\nb",
    "#",
    "",
)


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_test_settings_per_platform_apply(project, state):
    """One build, then `test`: skipped, overridden, in time, with and without a network, and with its output in the report."""
    words = hashlib.sha256("|".join(ODD).encode()).hexdigest()
    script = 'first="$1"; shift; printf %s "$first"; printf "|%s" "$@"'
    only_loopback = '[ "$(ls /sys/class/net)" = lo ]'

    def shell(script, *arguments):
        words = ["/bin/busybox", "sh", "-c", script, "sh", *arguments]
        return {"run": [word.replace("$", "$$") for word in words]}

    platforms = {
        "linux/amd64": {},
        "linux/s390x": {"skip": True},
        "linux/arm64": {"run": ["/bin/busybox", "sh", "-c", "echo one; echo two >&2; exit 3"]},
        "linux/riscv64": {"run": ["/bin/busybox", "sleep", "600"], "timeout": "3s"},
        "linux/arm/v7": shell(f"({script}) | sha256sum", *ODD),
        "linux/386": shell(only_loopback),
        "linux/ppc64le": {**shell(only_loopback), "network": True},
    }
    entries = [{"name": name, **({"test": test} if test else {})} for name, test in platforms.items()]
    test = {"run": ["/nothing"], "skip": ["linux/amd64"]}
    config = project(run="true", platforms=entries, test=test, jobs=4)
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    done = multibuild("test", "-f", config, "--state-dir", state, "--json")
    assert done.code == 5, done.stderr
    rows = {row["platform"]: row for row in done.json["platforms"]}
    assert {platform: row["status"] for platform, row in rows.items()} == {
        "linux/amd64": "skipped",
        "linux/s390x": "skipped",
        "linux/arm64": "failed",
        "linux/riscv64": "failed",
        "linux/arm/v7": "passed",
        "linux/386": "passed",
        "linux/ppc64le": "failed",
    }
    # BuildKit forwards two streams, without an order between them.
    *lines, ending = rows["linux/arm64"]["detail"].splitlines()
    assert (sorted(lines), ending) == (["one", "two"], "exit code: 3")
    assert rows["linux/riscv64"]["detail"] == "no end after 3 s"
    assert rows["linux/riscv64"]["seconds"] < 300
    for line in (
        "  one",
        "  two",
        "  exit code: 3",
        "the test failed on linux/arm64: exit code: 3; linux/riscv64: no end after 3 s; linux/ppc64le: exit code: 1",
    ):
        assert line in done.stderr
    logs = state / "latest" / "logs"
    assert words in (logs / "linux-arm-v7.test.log").read_text()
    assert "two" in (logs / "linux-arm64.test.log").read_text()


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_a_test_that_fails_moves_no_tag(project, state, registry, repository):
    config = project(test={"run": ["/bin/busybox", "grep", "x86_64", "/machine"]})
    done = multibuild("all", "-f", config, "--state-dir", state)
    assert done.code == 5
    assert "linux/arm64: test failed" in done.stdout + done.stderr
    assert "no tag was moved" in done.stderr
    assert not registry.exists(repository, "latest")


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_test_without_a_run_is_explained(project, state):
    done = multibuild("test", "-f", project(test={"run": ["true"]}), "--state-dir", state)
    assert done.code == 2
    assert "hint:" in done.stderr


@pytest.mark.one_driver(driver="docker", reason="emulators are the same for both")
def test_the_emulated_cpu_is_the_one_that_was_named(project, state):
    """An ARM of level 6 has no integer division: QEMU shows its CPU model in /proc/cpuinfo."""
    script = ["/bin/busybox", "grep", "-q", "ARMv6", "/proc/cpuinfo"]

    def config(**test):
        return project(platforms=["linux/arm/v6"], test={"run": script, **test})

    assert multibuild("all", "-f", config(emulator_cpu="arm1176"), "--state-dir", state).code == 0
    assert multibuild("test", "-f", config(), "--state-dir", state).code == 5
    wrong = multibuild("test", "-f", config(emulator_cpu="no-such-cpu"), "--state-dir", state)
    assert wrong.code == 5
    assert "no-such-cpu" in wrong.stderr
