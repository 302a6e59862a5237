"""The catalogue of mistakes: those that only a real docker can show. In seconds, with the next step."""

import shutil
import socket
import subprocess
import sys

import pytest
from e2e.conftest import REGISTRY, ROOT, docker, free_port, multibuild
from e2e.pushing import Workbench
from fakes.mistakes import UNPRIVILEGED, check, error
from waiting import PATIENCE_S


def fails(expected, *arguments, **more):
    done = multibuild(*arguments, **more)
    check(expected, done.code, done.stderr)
    return done


@pytest.fixture
def closed_socket(tmp_path):
    """Return an engine's socket without access to it, as without the docker group."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        yield path


@pytest.mark.one_driver(driver="docker", reason="it ends before a builder is asked")
@pytest.mark.parametrize("command", ["all", "setup"])
def test_a_user_without_the_docker_group_gets_a_hint(project, state, closed_socket, command):
    config = project()
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "multibuild", command, "-f", config, "--state-dir", state],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={
            "DOCKER_HOST": f"unix://{closed_socket}",
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            "PYTHONPATH": str(ROOT),
        },
    )
    check(error(3, "permission denied", "socket", hint="usermod -aG docker"), done.returncode, done.stderr)


def where_docker_points(tmp_path):
    """Return environment → expected failure, for engines that do not exist."""
    nowhere, port = tmp_path / "desktop" / "docker.sock", free_port()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "bin").mkdir()
    (tmp_path / "alone").mkdir()
    shutil.copy(shutil.which("docker") or "", tmp_path / "alone" / "docker")
    return {
        "Docker Desktop stopped": (
            {"DOCKER_HOST": f"unix://{nowhere}"},
            error(3, str(nowhere), hint="Docker Desktop"),
        ),
        "an engine on another machine": (
            {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"},
            error(3, f"127.0.0.1:{port}", hint="DOCKER_HOST"),
        ),
        "a context that is gone": ({"DOCKER_CONTEXT": "gone"}, error(3, '"gone"', hint="docker context ls")),
        "a broken config.json": (
            {"DOCKER_CONFIG": str(tmp_path / "broken")},
            error(3, "config", hint="config.json"),
        ),
        "no docker at all": (
            {"PATH": str(tmp_path / "bin")},
            error(3, "no docker command", hint="install Docker"),
        ),
        "docker without buildx": (
            {"PATH": str(tmp_path / "alone"), "DOCKER_CONFIG": str(tmp_path / "none")},
            error(3, "no buildx plugin", hint="docker-buildx"),
        ),
    }


@pytest.mark.one_driver(driver="docker", reason="it ends before a builder is asked")
def test_unreachable_engines_are_explained(tmp_path, project, state):
    config = project()
    for environment, expected in where_docker_points(tmp_path).values():
        fails(expected, "setup", "-f", config, "--state-dir", state, env=environment)


BASE = f"FROM {REGISTRY}/base:latest\n"
BUILDS = {
    "an instruction misspelt": (BASE + "RNU true\n", error(4, "line 2", "RNU", hint="mend the Dockerfile")),
    "an image that is not there": (
        f"FROM {REGISTRY}/e2e/nothing:1\n",
        error(4, f"{REGISTRY}/e2e/nothing:1", "not found", hint="name and tag"),
    ),
    "a file that is not there": (BASE + "COPY nothing /\n", error(4, "/nothing", hint=".dockerignore")),
    "a command that fails": (
        BASE + "RUN frobnicate\n",
        error(4, "frobnicate: not found", hint="install it"),
    ),
}


@pytest.mark.parametrize("mistake", BUILDS)
def test_a_mistake_in_a_dockerfile_is_explained(project, state, mistake):
    text, expected = BUILDS[mistake]
    config = project(dockerfile=text, platforms=["linux/amd64"])
    done = fails(expected, "build", "-f", config, "--state-dir", state)
    assert "(" in done.stderr.splitlines()[-2]  # the class of the failure


@pytest.mark.one_driver(driver="docker", reason="it ends before a builder is asked")
def test_a_dockerfile_without_from_is_explained(project, state):
    config = project(dockerfile="RUN true\n", platforms=["linux/amd64"])
    fails(error(2, "no FROM line", hint="first instruction"), "build", "-f", config, "--state-dir", state)


@pytest.mark.one_driver(driver="docker", reason="it ends before a builder is asked")
def test_an_unknown_builder_is_explained(project, state):
    config = project(builder="nobody-made-this")
    fails(
        error(3, "'nobody-made-this'", hint="docker buildx ls"), "build", "-f", config, "--state-dir", state
    )


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_a_missing_secret_is_explained(project, state):
    config = project(secrets=["id=token,env=NOBODY_SETS_THIS"])
    fails(error(2, "NOBODY_SETS_THIS is not set", hint="token"), "all", "-f", config, "--state-dir", state)
    assert not state.exists()


@pytest.mark.one_driver(driver="docker-container", reason="what fails is on this side of the builder")
def test_a_report_that_cannot_be_written_is_explained(project, state, tmp_path):
    config, nowhere = project(), tmp_path / "nowhere" / "report.json"
    fails(
        error(2, str(nowhere), hint="make it"), "all", "-f", config, "--state-dir", state, "--report", nowhere
    )
    assert not state.exists()


@pytest.mark.one_driver(driver="docker-container", reason="what fails is on this side of the builder")
def test_an_archive_that_cannot_be_written_is_explained(project, state):
    config = project(platforms=["linux/amd64"], publish={"to": "oci:/proc/nobody"})
    fails(error(7, "/proc/nobody", hint="written"), "all", "-f", config, "--state-dir", state)


@pytest.mark.one_driver(driver="docker-container", reason="what fails is on this side of the builder")
def test_an_unknown_registry_host_is_explained(project, state):
    config = project(image="registry.invalid/app")
    fails(error(3, "registry.invalid", hint="name right"), "all", "-f", config, "--state-dir", state)


@pytest.mark.one_driver(driver="docker-container", reason="what fails is on this side of the builder")
def test_a_full_disk_is_explained(project, tmp_path):
    """A state directory of one page: something of every run does not fit."""
    full = tmp_path / "full"
    full.mkdir()
    config = project()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", full], check=True, timeout=PATIENCE_S)
    try:
        fails(error(3, "No space left", hint="free disk space"), "all", "-f", config, "--state-dir", full)
    finally:
        subprocess.run(["umount", full], check=True, timeout=PATIENCE_S)


@pytest.mark.one_driver(driver="docker-container", reason="what fails is on this side of the builder")
def test_a_read_only_state_directory_is_explained(project, tmp_path):
    config, state = project(), tmp_path / "closed" / "state"
    state.parent.mkdir(mode=0o500)
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "multibuild", "all", "-f", config, "--state-dir", state],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "PYTHONPATH": str(ROOT)},
    )
    check(error(3, str(state), "Permission denied", hint="--state-dir"), done.returncode, done.stderr)


def test_no_mistake_left_anything_in_the_engine():
    assert "nobody-made-this" not in docker("buildx", "ls").stdout


def test_a_base_without_the_platform_is_explained(project, state, repository, tmp_path):
    bench = Workbench(f"{repository}-base", tmp_path)
    bench.index("1", **{"linux/amd64": bench.push([], platform="linux/amd64")})
    config = project(dockerfile=f"FROM {bench.image}:1\nLABEL a=b\n", platforms=["linux/s390x"])
    expected = error(4, "linux/s390x (base-without-platform)", f"{bench.image}:1", hint="platform")
    fails(expected, "build", "-f", config, "--state-dir", state)
