"""What the lint says is what a build does: wrong files fail the proof, and build and pass when `--fix` has mended them."""

import pytest
from e2e.conftest import REGISTRY, multibuild

from multibuild.qemu.probe_program import build_probe

BASE = f"{REGISTRY}/base:latest"
PLATFORMS = ["linux/amd64", "linux/arm64"]
WRONG = {
    "target-arg-default": f'FROM {BASE}\nARG TARGETARCH=amd64\nCOPY bin/$TARGETARCH/app /app\nENTRYPOINT ["/app"]\n',
    "fixed-final-platform": f'FROM --platform=linux/amd64 {BASE}\nENTRYPOINT ["/bin/busybox"]\n',
    "undeclared-target-arg": f'FROM {BASE}\nCOPY bin/$TARGETARCH/app /app\nENTRYPOINT ["/app"]\n',
}


@pytest.fixture
def files(tmp_path):
    """Write programs of both architectures, and one of amd64 where an empty argument leads."""
    folder = tmp_path / "project" / "bin"
    for place in ("amd64", "arm64", "."):
        (folder / place).mkdir(parents=True, exist_ok=True)
        program = folder / place / "app"
        program.write_bytes(build_probe("arm64" if place == "arm64" else "amd64"))
        program.chmod(0o755)
    return folder.parent


@pytest.mark.parametrize("rule", WRONG)
def test_a_wrong_file_fails_the_proof_and_builds_when_it_is_mended(project, state, files, rule):
    config = project(dockerfile=WRONG[rule], platforms=PLATFORMS, lint={"fail": "never"})
    done = multibuild("all", "-f", config, "--state-dir", state)
    assert done.code == 6, done.stderr
    assert "is amd64" in done.stderr

    config = project(dockerfile=WRONG[rule], platforms=PLATFORMS)
    done = multibuild("all", "-f", config, "--state-dir", state)
    assert done.code == 2, done.stderr
    assert f"[{rule}]" in done.stderr

    done = multibuild("lint", "-f", config, "--fix")
    assert done.code == 0, done.stderr
    done = multibuild("all", "-f", config, "--state-dir", state)
    assert done.code == 0, done.stderr


def test_a_base_pinned_to_one_platform_is_found_at_a_registry_of_this_machine(project, state, registry):
    digest = registry.images("base", "latest")["linux/amd64"]["digest"]
    pinned = BASE.rpartition(":")[0] + f"@{digest}"
    config = project(dockerfile=f"FROM {pinned}\nRUN true\n", platforms=PLATFORMS)
    done = multibuild("lint", "-f", config)
    assert done.code == 2, done.stderr
    assert "is pinned to a digest that has only linux/amd64 (wrong for linux/arm64)" in done.stdout
