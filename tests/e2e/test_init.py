"""First use: clone a project, `init`, `all`."""

import subprocess

import pytest
import yaml
from e2e.conftest import REGISTRY, docker, free_port, multibuild
from e2e.pushing import Workbench
from waiting import PATIENCE_S

pytestmark = pytest.mark.one_driver(driver="docker", reason="it builds nothing")

DOCKERFILE = f"""\
# syntax is the engine's own
ARG BASE={REGISTRY}/base:latest
FROM --platform=$BUILDPLATFORM ${{BASE}} AS assets
RUN mkdir /out && echo portable > /out/asset

FROM ${{BASE}} AS app
COPY --from=assets /out/asset /asset
COPY <<EOF /greeting
FROM a friend
EOF
RUN uname -m > /machine
CMD ["cat", "/machine"]
"""


def git(folder, *arguments):
    who = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")
    subprocess.run(
        ["git", "-C", folder, *who, *arguments], check=True, capture_output=True, timeout=PATIENCE_S
    )


@pytest.fixture
def clone(tmp_path):
    """Return a clone of a small project."""
    upstream, here = tmp_path / "upstream", tmp_path / "greeter"
    upstream.mkdir()
    (upstream / "Dockerfile").write_text(DOCKERFILE)
    (upstream / "README").write_text("Greets.\n")
    git(upstream, "init", "-q", "-b", "main")
    git(upstream, "add", "-A")
    git(upstream, "commit", "-q", "-m", "All there is")
    git(upstream, "tag", "v1.4.2")
    git(tmp_path, "clone", "-q", upstream, here)
    return here


def test_a_cloned_project_is_built_for_three_platforms_without_edits(clone, state, registry, repository):
    written = multibuild("init", "--image", f"{REGISTRY}/{repository}", cwd=clone)
    assert (written.code, written.stderr) == (0, "")
    assert "multibuild all" in written.stdout
    assert all(len(line) <= 80 for line in written.stdout.splitlines()[1:])
    done = multibuild("all", "--state-dir", state, cwd=clone)
    assert done.code == 0, done.stderr
    for tag in ("1.4.2", "latest"):
        assert list(registry.images(repository, tag)) == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    ran = docker(
        "run",
        "--rm",
        "--pull=always",
        "--platform=linux/arm64",
        f"{REGISTRY}/{repository}:1.4.2",
        check=False,
    )
    assert ran.stdout.strip().splitlines()[-1] == "aarch64"


def test_the_platforms_are_those_of_all_base_images(tmp_path, repository):
    """One base has twelve platforms, the other three, one of them as official images say it (arm64/v8)."""
    bench = Workbench(repository, tmp_path)
    children = {
        name: bench.push([], platform=name) for name in ("linux/amd64", "linux/arm64/v8", "linux/s390x")
    }
    bench.index("three", **children)
    bench.push([], platform="linux/s390x", tag="one")
    project = tmp_path / "app"
    (project / "docker").mkdir(parents=True)
    dockerfile = project / "docker" / "Dockerfile"
    dockerfile.write_text(
        f"FROM {REGISTRY}/base AS x\nFROM {bench.image}:three\nCOPY --from=x /bin/sh /bin/sh\n"
    )
    done = multibuild("init", "--json", cwd=project)
    assert done.code == 0, done.stderr
    assert done.json["platforms"] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert done.json["impossible"]["linux/riscv64"] == f"{bench.image}:three has no linux/riscv64 (line 2)"
    written = yaml.safe_load((project / "multibuild.yaml").read_text())
    assert (written["platforms"], written["dockerfile"]) == (done.json["platforms"], "docker/Dockerfile")
    # A base that is no index has the platform of its config.
    dockerfile.write_text(f"FROM {bench.image}:one\n")
    single = multibuild("init", "--json", "-f", "other.yaml", cwd=project)
    assert single.json["platforms"] == ["linux/s390x"]


def test_an_unreachable_registry_is_a_warning_and_a_guess(tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM localhost:{free_port()}/base:1\n")
    done = multibuild("init", "--json", cwd=tmp_path)
    assert done.code == 0
    assert done.json["platforms"] == ["linux/amd64", "linux/arm64"]
    assert "warning: what localhost:" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "cannot be reached" in (tmp_path / "multibuild.yaml").read_text()


def test_a_chosen_platform_must_be_possible(tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {REGISTRY}/base\n")
    refused = multibuild("init", "--platform", "linux/mips64", cwd=tmp_path)
    assert refused.code == 2
    assert "no base image has linux/mips64" in refused.stderr
    assert "possible: linux/amd64" in refused.stderr
    every = multibuild("init", "--platform", "all", "--json", cwd=tmp_path)
    assert len(every.json["platforms"]) == 12


def test_an_existing_config_is_never_overwritten(clone):
    (clone / "multibuild.yaml").write_text("mine\n")
    done = multibuild("init", cwd=clone)
    assert done.code == 2
    assert "never overwrites" in done.stderr
    assert (clone / "multibuild.yaml").read_text() == "mine\n"
