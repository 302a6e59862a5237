"""A docker-container builder from profile to removal."""

import json
import os
import time

import pytest
from e2e.conftest import REGISTRY, docker, finish, free_port, multibuild, start
from e2e.container_buildkit import buildkit_images

pytestmark = pytest.mark.one_driver(driver="docker-container", reason="its profiles name their builders")


@pytest.fixture
def images():
    with buildkit_images(2) as names:
        yield names


@pytest.fixture
def profile(tmp_path, images):
    """A profile of the test's own, and the builder's name."""
    name = f"mb-container-{os.getpid()}-{free_port()}"
    (tmp_path / "buildkitd.toml").write_text("[worker.oci]\n  max-parallelism = 4\n")
    document = {
        "driver": "docker-container",
        "name": name,
        "image": images[0],
        "buildkitd": "buildkitd.toml",
        "driver_opts": {"network": "host"},
    }
    path = tmp_path / "container.yaml"
    path.write_text(json.dumps(document))
    yield path, name
    docker("buildx", "rm", "--force", name, check=False)
    docker("volume", "rm", "--force", volume(name), check=False)


def volume(name):
    return f"buildx_buildkit_{name}0_state"


def made_at(name):
    return docker("volume", "inspect", "--format", "{{.CreatedAt}} {{.Mountpoint}}", volume(name)).stdout


def listed(name):
    lines = docker("buildx", "ls", "--format", "{{json .}}").stdout.splitlines()
    # buildx prints a builder once and once more for each of its nodes.
    return next(document for document in map(json.loads, lines) if document["Name"] == name)["Nodes"][0]


# The images' BuildKit is the engine's: a builder is in use, and not made anew, while anything builds.
@pytest.mark.alone
def test_a_container_builder_is_created_repaired_used_and_removed(
    profile, images, project, state, tmp_path, registry, repository
):
    path, name = profile
    config = project(
        run=f"echo {time.time_ns()} > /x",
        test={"run": ["true"]},
        registries={"box.example.org:5000": {"insecure": True}},
    )
    env = {"XDG_STATE_HOME": str(tmp_path / "account")}
    ours = ("-f", config, "--state-dir", state, "--builder", path)

    done = multibuild("setup", *ours, "--json", env=env)
    assert done.code == 0, done.stderr
    assert done.json["changes"] == [f"created the builder {name}"]
    assert "was not told" not in done.stderr  # the registry went into its buildkitd.toml
    before, disk = listed(name), made_at(name)
    again = multibuild("setup", *ours, "--json", env=env)
    assert (again.code, again.json["changes"], listed(name)) == (0, [], before)

    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "image": images[1]}))
    (tmp_path / "buildkitd.toml").write_text("[worker.oci]\n  max-parallelism = 2\n")
    mended = multibuild("setup", *ours, "--json", env=env)
    assert mended.code == 0, mended.stderr
    words = f"image is {images[0]}, wanted {images[1]}; buildkitd.toml differs"
    assert mended.json["changes"] == [f"mended the builder {name}: {words}"]
    assert listed(name)["DriverOpts"]["image"] == images[1]
    assert made_at(name) == disk  # the same volume, so the cache is there

    done = multibuild("all", *ours, "--json", env=env)
    assert done.code == 0, done.stderr
    assert {row["node"] for row in done.json["platforms"]} == {name}
    assert set(registry.images(repository, "latest")) == {"linux/amd64", "linux/arm64"}
    assert not registry.exists(repository, "multibuild-linux-arm64")  # pushed by digest

    cleaned = multibuild("clean", *ours, "--only", "builders", env=env)
    assert cleaned.stdout == f"removed builder {name} and its cache\n"
    assert docker("volume", "inspect", volume(name), check=False).returncode != 0
    assert name not in docker("buildx", "ls").stdout


def test_a_missing_builder_image_leaves_no_builder_behind(profile, project, state, tmp_path):
    path, name = profile
    path.write_text(json.dumps({**json.loads(path.read_text()), "image": "localhost:1/buildkit:none"}))
    env = {"XDG_STATE_HOME": str(tmp_path / "account")}
    done = multibuild("setup", "-f", project(), "--state-dir", state, "--builder", path, env=env)
    assert done.code == 3
    assert "localhost:1/buildkit:none" in done.stderr
    assert "builder: default" in done.stderr
    assert name not in docker("buildx", "ls").stdout


# Several accounts, and several runs, on one engine.


def account(folder, **more):
    """Return the environment of an account: builders and state of its own."""
    return {"XDG_STATE_HOME": str(folder / "state"), "BUILDX_CONFIG": str(folder / "buildx"), **more}


@pytest.fixture
def removed(profile):
    """Remove every builder of the test's name, of whatever account, with container and volume."""
    _, name = profile
    yield
    for container in docker("ps", "--all", "--format", "{{.Names}}").stdout.split():
        if container.startswith(f"buildx_buildkit_{name}"):
            docker("rm", "--force", "--volumes", container)
            docker("volume", "rm", "--force", f"{container}_state", check=False)


def test_two_accounts_with_other_settings_have_builders_of_their_own(
    profile, removed, project, tmp_path, state
):
    path, name = profile
    first, second = account(tmp_path / "first"), account(tmp_path / "second")
    nodes = []
    for number, environ in enumerate((first, second, first, second)):
        settings = {"box.example.org:5000": {"insecure": True}} if environ is second else {}
        config = project(run=f"echo {number} > /x", registries=settings)
        done = multibuild(
            "all",
            "-f",
            config,
            "--state-dir",
            tmp_path / f"runs-{number}",
            "--builder",
            path,
            "--json",
            env=environ,
        )
        assert done.code == 0, done.stderr
        assert ("made by another account" in done.stderr) == (environ is second), done.stderr
        (node,) = {row["node"] for row in done.json["platforms"]}
        nodes.append(node)
    assert nodes[0] == nodes[2] == name
    assert nodes[1] == nodes[3] != name
    container = docker("exec", f"buildx_buildkit_{nodes[1]}0", "cat", "/etc/buildkit/buildkitd.toml").stdout
    assert "box.example.org:5000" in container


def test_runs_that_start_together_make_one_builder(profile, removed, tmp_path, repository):
    """Half of them share an account's list of builders but not its state: as jobs of a CI host do."""
    path, _ = profile
    shared = str(tmp_path / "buildx")
    running = []
    for number in range(6):
        folder = tmp_path / f"project-{number}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN echo {number} > /x\n")
        config = {"version": 1, "image": f"{REGISTRY}/{repository}-{number}", "platforms": ["linux/amd64"]}
        (folder / "multibuild.yaml").write_text(json.dumps(config))
        environ = account(tmp_path / f"account-{number % 2}", BUILDX_CONFIG=shared)
        running.append(start("all", "--builder", path, "--json", cwd=folder, env=environ))
    for process in running:
        done = finish(process)
        assert done.code == 0, done.stderr


def test_a_builder_that_is_gone_is_made_again(profile, removed, project, state, tmp_path):
    path, name = profile
    environ = account(tmp_path / "account")
    config = project()
    ours = ("-f", config, "--state-dir", state, "--builder", path)
    assert multibuild("setup", *ours, env=environ).code == 0
    docker("rm", "--force", f"buildx_buildkit_{name}0")
    assert multibuild("all", *ours, env=environ).code == 0
    docker("buildx", "rm", name, env={"BUILDX_CONFIG": environ["BUILDX_CONFIG"]})
    done = multibuild("all", *ours, env=environ)
    assert done.code == 0, done.stderr
    assert f"creating the docker-container builder {name}" in done.stderr
