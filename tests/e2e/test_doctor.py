"""What doctor says is what a build does, with every handler removed and broken in turn, and put back at once."""

import contextlib
import json
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, TWELVE, docker, multibuild

pytestmark = pytest.mark.alone
BINFMT = Path("/proc/sys/fs/binfmt_misc")
PLATFORMS_OF = {
    "qemu-aarch64": ["linux/arm64"],
    "qemu-arm": ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
    "qemu-loongarch64": ["linux/loong64"],
    "qemu-mips64el": ["linux/mips64le"],
    "qemu-mipsel": ["linux/mipsle"],
    "qemu-ppc64le": ["linux/ppc64le"],
    "qemu-riscv64": ["linux/riscv64"],
    "qemu-s390x": ["linux/s390x"],
}


def line(name, text, *, interpreter=None, flags=None):
    """Make the line that registers a handler again, from what the kernel said of it."""
    fields = dict(row.split(" ", 1) for row in text.splitlines()[1:])

    def escaped(value):
        return "".join(f"\\x{value[at : at + 2]}" for at in range(0, len(value), 2))

    chosen = flags if flags is not None else fields["flags:"].strip()
    where = interpreter or fields["interpreter"]
    return f":{name}:M:0:{escaped(fields['magic'])}:{escaped(fields['mask'])}:{where}:{chosen}"


@contextlib.contextmanager
def instead_of(name, text, replacement=None):
    """Take a handler away, register another instead, and put it back whatever happens."""
    (BINFMT / name).write_text("-1")
    try:
        if replacement:
            (BINFMT / "register").write_text(replacement)
        yield
    finally:
        if (BINFMT / name).exists():
            (BINFMT / name).write_text("-1")
        (BINFMT / "register").write_text(line(name, text))


def doctor(state, config="examples/hello/multibuild.yaml"):
    return multibuild("doctor", "--json", "-f", config, "--state-dir", state)


def really_builds(folder, platform):
    """Try a build of one RUN, without our own code."""
    (folder / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN true\n")
    argv = ("buildx", "build", "--platform", platform, "--no-cache", "--output", "type=cacheonly", folder)
    return docker(*argv, check=False).returncode == 0


def answers(found):
    return {row["platform"]: row["runs"] for row in found["platforms"]}


@pytest.mark.parametrize("name", PLATFORMS_OF)
def test_a_handler_that_is_missing(state, tmp_path, name):
    lost = PLATFORMS_OF[name]
    text = (BINFMT / name).read_text()
    with instead_of(name, text):
        done = doctor(state)
        built = {platform: really_builds(tmp_path, platform) for platform in lost}
    assert done.code == 3
    runs = answers(done.json)
    assert {platform: runs[platform] for platform in lost} == built
    assert not any(built.values())
    assert all(runs[platform] for platform in TWELVE if platform not in lost)
    checks = {check["name"]: check for check in done.json["checks"]}
    for platform in lost:
        assert set(checks[platform]) == {"name", "status", "detail", "hint"}
        assert checks[platform]["status"] == "fail"
        assert "no emulator is registered" in checks[platform]["detail"]
        assert "multibuild setup" in checks[platform]["hint"]


def broken(name, text):
    """Ways to break a handler: what to register, and the words of the finding."""
    return {
        "without flag F": (line(name, text, flags="PO"), "lacks flag F", "echo -1"),
        "interpreter gone": (
            line(name, text, interpreter="/nowhere/qemu", flags="PO"),
            "/nowhere/qemu is gone",
            "echo -1",
        ),
        "one that fails": (line(name, text, interpreter="/bin/false", flags="F"), "/bin/false runs", "setup"),
    }


@pytest.mark.parametrize("way", ["without flag F", "interpreter gone", "one that fails"])
def test_a_handler_that_is_broken(state, tmp_path, way):
    name = "qemu-riscv64"
    text = (BINFMT / name).read_text()
    replacement, words, command = broken(name, text)[way]
    with instead_of(name, text, replacement):
        done = doctor(state)
        built = really_builds(tmp_path, "linux/riscv64")
    checks = {check["name"]: check for check in done.json["checks"]}
    assert answers(done.json)["linux/riscv64"] == built
    assert not built
    assert words in checks["linux/riscv64"]["detail"]
    assert command in checks["linux/riscv64"]["hint"]


def test_a_handler_that_is_disabled(state, tmp_path):
    path = BINFMT / "qemu-riscv64"
    path.write_text("0")
    try:
        done = doctor(state)
        built = really_builds(tmp_path, "linux/riscv64")
    finally:
        path.write_text("1")
    (check,) = (check for check in done.json["checks"] if check["name"] == "linux/riscv64")
    assert (answers(done.json)["linux/riscv64"], built) == (False, False)
    assert check["detail"] == "the handler qemu-riscv64 is disabled"
    assert check["hint"] == f"as root: echo 1 > {path}"


def test_a_handler_that_is_shadowed(state, tmp_path):
    text = (BINFMT / "qemu-riscv64").read_text()
    shadow = BINFMT / "another-riscv64"
    (BINFMT / "register").write_text(line(shadow.name, text, interpreter="/bin/false", flags="F"))
    try:
        done = doctor(state)
        built = really_builds(tmp_path, "linux/riscv64")
    finally:
        shadow.write_text("-1")
    (check,) = (check for check in done.json["checks"] if check["name"] == "linux/riscv64")
    assert (answers(done.json)["linux/riscv64"], built) == (False, False)
    assert "another-riscv64 (/bin/false) shadows qemu-riscv64" in check["detail"]
    assert check["hint"] == f"as root: echo -1 > {shadow}"


def test_all_is_well_again(state):
    done = doctor(state)
    assert done.code == 0
    assert answers(done.json) == dict.fromkeys(TWELVE, True)
    versions = {row["emulator"]["version"] for row in done.json["platforms"] if row["emulator"]}
    assert all(version and version[0].isdigit() for version in versions)


def test_what_needs_a_registry_is_named(project, state):
    dockerfile = "# syntax=docker/dockerfile:1\nFROM localhost:1/nobody:1\n"
    config = project(dockerfile=dockerfile, attestations={"sbom": True})
    done = doctor(state, config)
    checks = {check["name"]: check for check in done.json["checks"]}
    assert "docker/dockerfile:1" in checks["syntax"]["detail"]
    assert checks["sbom"]["status"] == "warn"
    assert checks["base localhost:1/nobody:1"]["status"] == "warn"
    assert json.dumps(checks)
