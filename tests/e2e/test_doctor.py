"""doctor predicts what a build does, with every handler removed and broken in turn, and restored at once."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, ROOT, TWELVE, multibuild
from waiting import PATIENCE_S

BINFMT = Path("/proc/sys/fs/binfmt_misc")
PLATFORMS_OF = {
    "qemu-aarch64": ["linux/arm64"],
    "qemu-arm": ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
    "qemu-mips64el": ["linux/mips64le"],
}


def line(name, text, *, interpreter=None, flags=None):
    """Return the line that registers a handler again, from the kernel's description of it."""
    fields = dict(row.split(" ", 1) for row in text.splitlines()[1:])

    def escaped(value):
        return "".join(f"\\x{value[at : at + 2]}" for at in range(0, len(value), 2))

    chosen = flags if flags is not None else fields["flags:"].strip()
    where = interpreter or fields["interpreter"]
    return f":{name}:M:0:{escaped(fields['magic'])}:{escaped(fields['mask'])}:{where}:{chosen}"


@contextlib.contextmanager
def instead_of(name, text, replacement=None):
    """Remove a handler, register another instead, and always restore it."""
    (BINFMT / name).write_text("-1")
    try:
        if replacement:
            (BINFMT / "register").write_text(replacement)
        yield
    finally:
        if (BINFMT / name).exists():
            (BINFMT / name).write_text("-1")
        (BINFMT / "register").write_text(line(name, text))


def begin_builds(folder, *, apart, together):
    """Start builds of one RUN with plain docker: one for each platform of `apart`, one for all of `together`."""
    (folder / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN true\n")
    options = ("--no-cache", "--network", "none", "--provenance=false", "--output", "type=cacheonly")
    return {
        platforms: subprocess.Popen(
            ["docker", "buildx", "build", "--platform", platforms, *options, folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for platforms in (*apart, ",".join(together))
    }


def end_builds(builds):
    """Return platform → whether it was built."""
    ended = {platforms: process.wait(timeout=PATIENCE_S) == 0 for platforms, process in builds.items()}
    return {platform: built for platforms, built in ended.items() for platform in platforms.split(",")}


def doctor(state, config="examples/hello/multibuild.yaml", builder="default"):
    return multibuild("doctor", "--json", "-f", config, "--state-dir", state, "--builder", builder)


def resolve_hosts(found):
    return {row["platform"]: row["runs"] for row in found["platforms"]}


@pytest.mark.one_driver(
    driver="docker", reason="handlers are the kernel's, for every builder of this machine"
)
@pytest.mark.alone
@pytest.mark.parametrize("name", PLATFORMS_OF)
def test_doctor_reports_a_missing_handler(state, tmp_path, name):
    """All twelve platforms: the answers match builds that run at the same time."""
    lost = PLATFORMS_OF[name]
    with instead_of(name, (BINFMT / name).read_text()):
        builds = begin_builds(tmp_path, apart=lost, together=[p for p in TWELVE if p not in lost])
        done = doctor(state)
        built = end_builds(builds)
    assert done.code == 3
    assert resolve_hosts(done.json) == built == {platform: platform not in lost for platform in TWELVE}
    checks = {check["name"]: check for check in done.json["checks"]}
    for platform in lost:
        assert set(checks[platform]) == {"name", "status", "detail", "hint"}
        assert checks[platform]["status"] == "fail"
        assert "no emulator is registered" in checks[platform]["detail"]
        assert "multibuild setup" in checks[platform]["hint"]
    brings_none = {"qemu-loongarch64", "qemu-mips64el", "qemu-mipsel"}
    assert ("BuildKit brings none" in checks[lost[0]]["detail"]) == (name in brings_none)


RISCV64 = "qemu-riscv64"


@contextlib.contextmanager
def written(path, text, afterwards):
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(afterwards)


@contextlib.contextmanager
def shadow():
    """Register another handler for the same programs: the kernel takes the one that came last."""
    path = BINFMT / "another-riscv64"
    text = (BINFMT / RISCV64).read_text()
    with written(BINFMT / "register", line(path.name, text, interpreter="/bin/false", flags="F"), ""):
        try:
            yield
        finally:
            path.write_text("-1")


def replaced(**fields):
    text = (BINFMT / RISCV64).read_text()
    return instead_of(RISCV64, text, line(RISCV64, text, **fields))


BROKEN = {
    "without flag F": (lambda: replaced(flags="PO"), "lacks flag F", f"echo -1 > {BINFMT}/{RISCV64}"),
    "interpreter gone": (
        lambda: replaced(interpreter="/nowhere/qemu", flags="PO"),
        "/nowhere/qemu is gone",
        f"echo -1 > {BINFMT}/{RISCV64}",
    ),
    "one that fails": (
        lambda: replaced(interpreter="/bin/false", flags="F"),
        "/bin/false runs and fails",
        "multibuild setup",
    ),
    "shadowed": (
        shadow,
        "another-riscv64 (/bin/false) shadows qemu-riscv64",
        f"echo -1 > {BINFMT}/another-riscv64",
    ),
    "disabled": (
        lambda: written(BINFMT / RISCV64, "0", "1"),
        "the handler qemu-riscv64 is disabled",
        f"echo 1 > {BINFMT}/{RISCV64}",
    ),
    "all switched off": (
        lambda: written(BINFMT / "status", "0", "1"),
        "binfmt_misc is switched off",
        f"echo 1 > {BINFMT}/status",
    ),
}


@pytest.mark.one_driver(
    driver="docker", reason="handlers are the kernel's, for every builder of this machine"
)
@pytest.mark.alone
@pytest.mark.parametrize("way", BROKEN)
def test_doctor_reports_a_broken_handler(state, tmp_path, project, way):
    broken, words, command = BROKEN[way]
    platforms = ["linux/amd64", "linux/riscv64"]
    config = project(platforms=platforms)
    with broken():
        builds = begin_builds(tmp_path, apart=platforms[1:], together=platforms[:1])
        done = doctor(state, config)
        built = end_builds(builds)
    assert done.code == 3
    assert resolve_hosts(done.json) == built == {"linux/amd64": True, "linux/riscv64": False}
    checks = {check["name"]: check for check in done.json["checks"]}
    assert words in checks["linux/riscv64"]["detail"]
    assert command in checks["linux/riscv64"]["hint"]


@pytest.mark.alone
def test_all_stops_before_the_first_build(state, project, builder, registry, repository):
    """A required platform that cannot run is exit 3; an optional one is no failure."""

    def config(*, required):
        platforms = ["linux/amd64", {"name": "linux/riscv64", "required": required}]
        return project(platforms=platforms, emulators={"source": "none"})

    with written(BINFMT / RISCV64, "0", "1"):
        # Where binfmt_misc is not mounted, as in many containers, doctor reports that.
        look = f"{sys.executable} -m multibuild doctor --json -f {config(required=True)} --state-dir {state}"
        unmounted = subprocess.run(
            ["unshare", "-m", "sh", "-c", f"umount {BINFMT}; exec {look}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            timeout=PATIENCE_S,
        )
        stopped = multibuild("all", "--json", "-f", config(required=True), "--state-dir", state)
        optional = doctor(state, config(required=False), builder=builder)
    assert stopped.code == 3
    assert "linux/riscv64" in stopped.stderr
    assert [row["attempts"] for row in stopped.json["platforms"]] in ([], [[], []])
    assert not registry.exists(repository, "latest")
    seen = json.loads(unmounted.stdout)
    (check,) = (check for check in seen["checks"] if check["name"] == "linux/riscv64")
    assert (unmounted.returncode, check["detail"]) == (3, "binfmt_misc is not mounted")
    assert f"mount -t binfmt_misc binfmt_misc {BINFMT}" in check["hint"]
    assert optional.code == 0
    assert [c["status"] for c in optional.json["checks"] if c["name"] == "linux/riscv64"] == ["warn"]


def test_doctor_passes_where_everything_works(state, builder):
    done = doctor(state, builder=builder)
    assert done.code == 0
    assert resolve_hosts(done.json) == dict.fromkeys(TWELVE, True)
    rows = done.json["platforms"]
    assert all(set(row) == {"platform", "native", "runs", "emulator"} for row in rows)
    emulators = {row["platform"]: row["emulator"] for row in rows}
    assert [platform for platform, emulator in emulators.items() if emulator is None] == [
        row["platform"] for row in rows if row["native"]
    ]
    for emulator in filter(None, emulators.values()):
        assert set(emulator) == {"interpreter", "flags", "version"}
        assert "F" in emulator["flags"]
        assert emulator["version"][0].isdigit()
    table = multibuild("doctor", "-f", "examples/hello/multibuild.yaml", "--state-dir", state).stdout
    assert all(platform in table for platform in TWELVE)
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.one_driver(driver="docker", reason="it names its builder")
def test_a_dead_builder_is_not_reported_as_missing_emulators(state, project):
    done = doctor(state, project(), builder="nobody")
    (check,) = (check for check in done.json["checks"] if check["status"] == "fail")
    assert done.code == 3
    assert "nobody" in check["detail"]
    assert "docker buildx ls" in check["hint"]


@pytest.mark.one_driver(driver="docker-container", reason="registries are asked by doctor itself")
def test_what_needs_a_registry_is_named(project, state):
    dockerfile = "# syntax=docker/dockerfile:1\nFROM localhost:1/nobody:1\n"
    config = project(dockerfile=dockerfile, attestations={"sbom": True})
    done = doctor(state, config, builder="auto")
    checks = {check["name"]: check for check in done.json["checks"]}
    assert "docker/dockerfile:1" in checks["syntax"]["detail"]
    assert checks["sbom"]["status"] == "warn"
    assert checks["base localhost:1/nobody:1"]["status"] == "warn"
