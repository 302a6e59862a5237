"""Right, wrong and hostile images, as anyone could push them: each gets its verdict, in bounded time and memory."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard
from e2e.conftest import REGISTRY, ROOT, TWELVE, docker, multibuild
from e2e.pushing import Workbench
from fakes.layers import tar

from multibuild.host.probe_elf import probe

MEGABYTES = 150
"""What looking into any image may take, in MiB of resident memory."""

ARM64, AMD64 = probe("arm64"), probe("amd64")
BASE = f"{REGISTRY}/base:latest"


@dataclass
class Measured:
    code: int
    found: dict[str, Any]
    stderr: str
    seconds: float
    mebibytes: float

    @property
    def kinds(self):
        return [finding["kind"] for finding in self.found["findings"]]

    @property
    def details(self):
        return " ".join(finding["detail"] for finding in self.found["findings"])


def verify(reference, tmp_path, *options, limit=120):
    """Run `verify` and watch its peak memory (VmHWM)."""
    argv = [sys.executable, "-m", "multibuild", "verify", reference, "--json", *options]
    began, peak = time.monotonic(), 0
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        process = subprocess.Popen(
            argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=err
        )
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)])
            assert time.monotonic() - began < limit, "it takes too long"
            time.sleep(0.02)
        code = process.wait()
        out.seek(0)
        err.seek(0)
        said, stderr = out.read(), err.read()
    assert "Traceback" not in stderr, stderr
    return Measured(code, json.loads(said or "{}"), stderr, time.monotonic() - began, peak / 1024)


@pytest.fixture
def bench(repository, tmp_path):
    return Workbench(repository, tmp_path)


def dynamic(architecture, interpreter):
    """A program with PT_INTERP: the probe's header, one program header, the name."""
    head = bytearray(probe(architecture)[:64])
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    name = interpreter.encode() + b"\0"
    segment = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1)
    return bytes(head) + segment + name


LOADER = "/lib/ld-linux-aarch64.so.1"

GOOD = {
    "static": ([{"app": ARM64}], {"Entrypoint": ["/app"]}),
    "dynamic": ([{"app": dynamic("arm64", LOADER), LOADER[1:]: ARM64}], {"Entrypoint": ["/app"]}),
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
    "foreign shell": ([{"bin/sh": AMD64, "run": b"#!/bin/sh\n"}], {"Cmd": ["/run"]}, "/bin/sh is amd64"),
    "nothing right": ([{"usr/lib/x": AMD64, "run": b"text"}], {"Cmd": ["/none"]}, "no file in the image"),
    "symlink loop": ([{"a": "-> b", "b": "-> a", "x": AMD64}], {"Cmd": ["/a"]}, "no file in the image"),
    "../ foreign": ([{"../../bin/app": AMD64}], {"Cmd": ["/bin/app"]}, "/bin/app is amd64"),
}


@pytest.mark.parametrize("mode", ["entrypoint", "all"])
@pytest.mark.parametrize("name", GOOD)
def test_a_right_image_passes(bench, tmp_path, name, mode):
    layers, section = GOOD[name]
    bench.push([bench.layer(tar(files)) for files in layers], tag="latest", **section)
    done = verify(f"{bench.image}:latest", tmp_path, "--content", mode)
    assert (done.code, done.found["ok"], done.found["findings"]) == (0, True, [])
    assert done.mebibytes < MEGABYTES


@pytest.mark.parametrize("mode", ["entrypoint", "all"])
@pytest.mark.parametrize("name", BAD)
def test_a_wrong_image_fails(bench, tmp_path, name, mode):
    layers, section, words = BAD[name]
    bench.push([bench.layer(tar(files)) for files in layers], tag="latest", **section)
    done = verify(f"{bench.image}:latest", tmp_path, "--content", mode)
    assert (done.code, done.kinds) == (6, ["content"])
    assert words in done.details
    (finding,) = done.found["findings"]
    assert set(finding) == {"platform", "kind", "detail"}


def test_zstd_layers_are_read(bench, tmp_path):
    media_type = "application/vnd.oci.image.layer.v1.tar+zstd"
    for program, code in ((ARM64, 0), (AMD64, 6)):
        layer = bench.blob(zstandard.compress(tar({"app": program})), media_type)
        bench.push([layer], tag="latest", Cmd=["/app"])
        assert verify(f"{bench.image}:latest", tmp_path).code == code


def test_an_index_that_lies(bench, tmp_path):
    """A missing child, a config of another architecture, a foreign program: each its own finding."""
    good = bench.push([bench.layer(tar({"app": ARM64}))], Cmd=["/app"])
    wrong = bench.push([bench.layer(tar({"app": AMD64}))], platform="linux/riscv64", Cmd=["/app"])
    bench.index("latest", **{"linux/arm64": good, "linux/ppc64le": good, "linux/riscv64": wrong})
    done = verify(f"{bench.image}:latest", tmp_path)
    found = {finding["platform"]: finding["kind"] for finding in done.found["findings"]}
    assert done.code == 6
    assert found == {"linux/ppc64le": "platform", "linux/riscv64": "content"}
    table = multibuild("verify", f"{bench.image}:latest", cwd=tmp_path)
    assert table.code == 6
    assert max(map(len, table.stdout.splitlines())) <= 80


def test_verify_without_a_reference_takes_the_config(state):
    done = multibuild("all", "-f", "examples/hello/multibuild.yaml", "--state-dir", state)
    assert done.code == 0, done.stderr
    for _ in range(2):
        found = multibuild(
            "verify", "-f", "examples/hello/multibuild.yaml", "--state-dir", state, "--json"
        ).json
        assert found["ok"] is True
        assert [entry["platform"] for entry in found["platforms"]] == list(TWELVE)
        assert all(entry["content"]["status"] == "passed" for entry in found["platforms"])
    assert list((state / "layers").iterdir())


def test_what_is_not_there_is_said(bench, tmp_path):
    done = multibuild("verify", f"{bench.image}:nothing", cwd=tmp_path)
    assert done.code == 7
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


class Endless(io.RawIOBase):
    """Zeros without end, for tarfile to copy from."""

    def read(self, size=-1):
        return bytes(size)


def member(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type = size, 0o755, kind
    return info


def packed(path, write):
    """Write a gzip tar file piece by piece."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        write(file)
    return path


def test_a_layer_of_a_gigabyte(bench, tmp_path, record_property):
    def write(file):
        with tarfile.open(fileobj=file, mode="w|") as archive:
            archive.addfile(member("app", len(ARM64)), io.BytesIO(ARM64))
            archive.addfile(member("data", 1 << 30), Endless())

    layer = bench.blob(packed(tmp_path / "layer", write))
    bench.push([layer], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path, "--content", "all")
    assert (done.code, done.kinds) == (0, [])
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


def test_a_gigabyte_that_does_not_compress(bench, tmp_path, record_property):
    """The same, with as many bytes on the wire."""
    noise = os.urandom(1 << 20)

    class Noise(io.RawIOBase):
        def read(self, size=-1):
            return noise[:size]

    def write(file):
        with tarfile.open(fileobj=file, mode="w|") as archive:
            archive.addfile(member("data", 1 << 30), Noise())
            archive.addfile(member("app", len(AMD64)), io.BytesIO(AMD64))

    plain = tmp_path / "layer"
    with plain.open("wb") as file:
        write(file)
    layer = bench.blob(plain, "application/vnd.oci.image.layer.v1.tar")
    plain.unlink()
    bench.push([layer], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path)
    assert (done.code, done.kinds) == (6, ["content"])
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


def bomb(file):
    with tarfile.open(fileobj=file, mode="w|") as archive:
        archive.addfile(member("zeros", 5 << 29), Endless())


def headers_of_a_gigabyte(file):
    """Two million links: a tar of headers alone."""
    blocks = bytearray()
    for number in range(1 << 10):
        info = member(f"links/{number}", 0, tarfile.SYMTYPE)
        info.linkname = "x"
        blocks += info.tobuf(tarfile.USTAR_FORMAT)
    for _ in range(1 << 11):
        file.write(bytes(blocks))


def pax_of_a_gigabyte(file):
    """One extended header that claims, and has, a gigabyte."""
    file.write(member("pax", 1 << 30, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT))
    for _ in range(1 << 10):
        file.write(bytes(1 << 20))


def deep_paths(file):
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for number in range(2000):
            archive.addfile(member(f"{number}/" + "d/" * 1900, 0, tarfile.DIRTYPE))


def nothing_but_text(file):
    file.write(b"this is no tar archive" * 1000)


def cut_short(file):
    file.write(member("app", 1 << 20).tobuf() + ARM64)


HOSTILE = {
    "bomb": (bomb, "times its size"),
    "headers": (headers_of_a_gigabyte, "more than"),
    "pax": (pax_of_a_gigabyte, "header of more than"),
    "deep": (deep_paths, "more than"),
    "no tar": (nothing_but_text, "damaged tar header"),
    "cut short": (cut_short, "middle of a file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_layer_ends_in_a_clear_error(bench, tmp_path, name, record_property):
    write, words = HOSTILE[name]
    layer = bench.blob(packed(tmp_path / "layer", write))
    bench.push([layer], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path, "--content", "all", limit=60)
    assert done.code == 6
    assert words in done.details
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


def test_many_plain_files_are_no_reason_to_fail(bench, tmp_path, record_property):
    def write(file):
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
            archive.addfile(member("app", len(ARM64)), io.BytesIO(ARM64))
            for number in range(150_000):
                info = member(f"usr/share/{number // 1000}/{number}", 0)
                info.mode = 0o644
                archive.addfile(info)

    bench.push([bench.blob(packed(tmp_path / "layer", write))], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path)
    assert (done.code, done.found["findings"]) == (0, [])
    assert done.mebibytes < MEGABYTES
    record_property("cost", f"{done.seconds:.1f} s, {done.mebibytes:.0f} MiB")


@pytest.mark.parametrize("length", [4, 19, 20, 51, 63])
def test_a_truncated_program_is_no_program(bench, tmp_path, length):
    """Too short for a header: nobody can execute it, so nothing of the right architecture is missing either."""
    bench.push([bench.layer(tar({"app": AMD64[:length]}))], tag="latest", Cmd=["/app"])
    done = verify(f"{bench.image}:latest", tmp_path)
    assert done.code == 0
    assert "no ELF file" in done.found["platforms"][0]["content"]["detail"]


@pytest.mark.parametrize("where", [32, 40, 52, 54, 56])
def test_a_header_of_nonsense_is_survived(bench, tmp_path, where):
    program = bytearray(AMD64[:64] + bytes(100))
    program[where : where + 8] = b"\xff" * 8
    bench.push([bench.layer(tar({"app": bytes(program)}))], tag="latest", Cmd=["/app"])
    assert verify(f"{bench.image}:latest", tmp_path).code == 6


# -- wrong Dockerfiles, through the real engine


def outcome(project, state, dockerfile, platforms, **more):
    config = project(dockerfile=dockerfile, platforms=platforms, **more)
    return multibuild("all", "-f", config, "--state-dir", state, "--json")


def test_a_shell_of_the_wrong_architecture(project, state, registry, repository):
    dockerfile = (
        f"FROM --platform=linux/amd64 {BASE} AS tools\nFROM {BASE}\n"
        'COPY --from=tools /bin/busybox /bin/sh2\nCMD ["/bin/sh2", "-c", "true"]\n'
    )
    done = outcome(project, state, dockerfile, ["linux/arm64"])
    assert done.code == 6, done.stderr
    assert "/bin/sh2 is amd64" in done.stderr
    assert not registry.exists(repository, "latest")


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
    """Give a base image that has one platform only: a child of the lab's own, under a tag of its own."""
    digest = registry.images("hello", "latest")[platform]["digest"]
    return f"{REGISTRY}/hello@{digest}"


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
    """The matcher of containerd takes arm/v7 for arm64 and 386 for amd64, in silence."""
    manifest = registry.get("hello", registry.images("hello", "latest")[have]["digest"])
    layers = [
        bench.blob(registry.blob("hello", one["digest"]), one["mediaType"]) for one in manifest["layers"]
    ]
    config = json.loads(registry.blob("hello", manifest["config"]["digest"]))
    child = bench.push(
        layers, platform=have, diff_ids=config["rootfs"]["diff_ids"], Cmd=["/bin/busybox", "true"]
    )
    bench.index("base", **{have: child})
    done = outcome(project, state, f"FROM {bench.image}:base\nLABEL a=b\n", [want])
    assert done.code in {4, 6}, done.stderr
    assert have in done.stderr or have in json.dumps(done.json)
    assert not registry.exists(bench.repository, "latest")
    record_property("verdict", f"exit {done.code}: {done.stderr[-300:]}")


def test_a_local_base_of_another_architecture(project, state, registry, bench):
    digest = registry.images("hello", "latest")["linux/amd64"]["digest"]
    name = f"{REGISTRY}/{bench.repository}-local:1"
    docker("pull", "-q", "--platform", "linux/amd64", f"{REGISTRY}/hello@{digest}")
    docker("tag", f"{REGISTRY}/hello@{digest}", name)
    try:
        done = outcome(project, state, f"FROM {name}\nRUN true\n", ["linux/arm64"], pull=False)
    finally:
        docker("rmi", name)
    assert done.code == 4, done.stderr
    assert "linux/amd64" in json.dumps(done.json["platforms"][0]["attempts"])


# -- tests


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


def test_a_test_that_fails(project, state):
    config = project(test={"run": ["/bin/busybox", "grep", "x86_64", "/machine"]})
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    done = multibuild("test", "-f", config, "--state-dir", state)
    assert done.code == 5
    assert "linux/arm64" in done.stderr
    assert "linux/amd64     passed" in done.stdout or "passed" in done.stdout


def test_test_without_a_run_says_what_to_do(project, state):
    done = multibuild("test", "-f", project(test={"run": ["true"]}), "--state-dir", state)
    assert done.code == 2
    assert "hint:" in done.stderr


def test_the_emulated_cpu_is_the_one_that_was_named(project, state):
    """An ARM of level 6 has no integer division: QEMU shows in /proc/cpuinfo which CPU it plays."""
    script = ["/bin/busybox", "grep", "-q", "ARMv6", "/proc/cpuinfo"]

    def config(**test):
        return project(platforms=["linux/arm/v6"], test={"run": script, **test})

    assert multibuild("all", "-f", config(emulator_cpu="arm1176"), "--state-dir", state).code == 0
    assert multibuild("test", "-f", config(), "--state-dir", state).code == 5
    wrong = multibuild("test", "-f", config(emulator_cpu="no-such-cpu"), "--state-dir", state)
    assert wrong.code == 5
    assert "no-such-cpu" in wrong.stderr
