"""`clean` on the real registry, which deletes by digest only and from every tag."""

import json
import os
import time
import urllib.error
import urllib.request

import pytest
from e2e.conftest import REGISTRY, docker, free_port, multibuild
from waiting import PATIENCE_S

pytestmark = pytest.mark.one_driver(
    driver="docker-container", reason="what is tested happens in the registry, after the builds"
)

TWO = ("linux/amd64", "linux/arm64")


def tags(repository):
    """Return the tags; registry 2.8 answers 404 for a repository without any."""
    try:
        with urllib.request.urlopen(
            f"http://{REGISTRY}/v2/{repository}/tags/list", timeout=PATIENCE_S
        ) as answer:
            return set(json.load(answer)["tags"] or ())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return set()
        raise


def staged(done):
    return {row["digest"] for row in done.json["platforms"]}


def test_staged_children_are_removed_unless_a_tag_reaches_them(project, state, registry, repository):
    # Without provenance a child is the very manifest the index lists: the hardest case.
    tagged = {"staging": "tag"}
    config = project(
        platforms=TWO,
        run=f"echo {time.time_ns()} > /x",
        attestations={"provenance": False},
        publish=tagged,
    )
    first = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert first.code == 0, first.stderr
    config = project(
        platforms=TWO,
        run=f"echo {time.time_ns()} > /x",
        attestations={"provenance": "min"},
        publish=tagged,
    )
    second = multibuild("build", "-f", config, "--state-dir", state, "--json")
    assert second.code == 0, second.stderr
    assert tags(repository) == {"latest", "multibuild-linux-amd64", "multibuild-linux-arm64"}

    listed = multibuild("clean", "-f", config, "--state-dir", state, "--dry-run", "--json")
    assert listed.code == 0, listed.stderr
    assert tags(repository) == {"latest", "multibuild-linux-amd64", "multibuild-linux-arm64"}
    assert len(list((state / "runs").iterdir())) == 2

    done = multibuild("clean", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert done.json["removed"] == listed.json["removed"]
    assert tags(repository) == {"latest"}
    assert all(registry.exists(repository, digest) for digest in staged(first))
    assert not any(registry.exists(repository, digest) for digest in staged(second))
    assert list((state / "runs").iterdir()) == []
    assert not (state / "latest").is_symlink()
    verified = multibuild("verify", "-f", config, "--state-dir", state)
    assert verified.code == 0, verified.stderr
    assert multibuild("clean", "-f", config, "--state-dir", state).stdout == "nothing to remove\n"


@pytest.mark.one_driver(driver="docker", reason="clean asks registries")
def test_an_unreachable_registry_does_not_block_the_others(project, state, registry, repository):
    config = project(platforms=TWO[:1], run=f"echo {time.time_ns()} > /x")
    assert multibuild("build", "-f", config, "--state-dir", state).code == 0
    unreachable = f"localhost:{free_port()}/x"
    (run,) = (state / "runs").iterdir()
    elsewhere = run.with_name("19700101-000000-0000")
    elsewhere.mkdir()
    for name in ("plan.json", "journal.jsonl"):
        text = (run / name).read_text().replace(f"{REGISTRY}/{repository}", unreachable)
        (elsewhere / name).write_text(text)
    done = multibuild("clean", "-f", config, "--state-dir", state, "--json")
    assert done.code == 3
    assert unreachable.partition("/")[0] in done.stderr
    assert any(repository in line for line in done.json["removed"])
    assert f"what was staged in {unreachable}" in done.json["stays"]
    assert tags(repository) == set()
    assert elsewhere.is_dir()


def test_a_staging_tag_of_a_published_child_is_removed_alone(project, state, registry, repository):
    config = project(
        platforms=TWO,
        run=f"echo {time.time_ns()} > /x",
        attestations={"provenance": False},
        publish={"staging": "tag"},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    before = registry.get(repository, "latest")
    cleaned = multibuild("clean", "-f", config, "--state-dir", state)
    assert cleaned.code == 0, cleaned.stderr
    assert tags(repository) == {"latest"}
    assert registry.get(repository, "latest") == before
    assert all(registry.exists(repository, digest) for digest in staged(done))


def test_children_of_others_and_of_retained_runs_stay(project, state, tmp_path, registry, repository, driver):
    """On docker-container they are staged by digest: no tag leads to them."""
    config = project(platforms=TWO[:1], run=f"echo {time.time_ns()} > /x")
    ours = multibuild("build", "-f", config, "--state-dir", state, "--json")
    project(platforms=TWO[:1], run=f"echo {time.time_ns()} > /x")
    theirs = multibuild("build", "-f", config, "--state-dir", tmp_path / "theirs", "--json")
    cleaned = multibuild("clean", "-f", config, "--state-dir", state, "--keep", "1", "--json")
    assert (cleaned.code, cleaned.json["removed"]) == (0, []), cleaned.stderr
    cleaned = multibuild("clean", "-f", config, "--state-dir", state, "--only", "staged", "--json")
    assert cleaned.code == 0, cleaned.stderr
    assert not registry.exists(repository, staged(ours).pop())
    assert registry.exists(repository, staged(theirs).pop())
    assert tags(repository) == ({"multibuild-linux-amd64"} if driver == "docker" else set())
    assert len(list((state / "runs").iterdir())) == 1


@pytest.mark.one_driver(driver="docker", reason="its profile makes builders of driver remote")
def test_builders_of_setup_are_removed(project, state, tmp_path):
    name = f"mb-clean-{os.getpid()}-{free_port()}"
    profile = tmp_path / "remote.yaml"
    profile.write_text(
        f"driver: remote\nname: {name}\nnodes: [{{endpoint: 'tcp://127.0.0.1:{free_port()}'}}]\n"
    )
    config = project(platforms=TWO)
    env = {"XDG_STATE_HOME": str(tmp_path / "account")}
    ours = ("-f", config, "--state-dir", state, "--builder", profile)
    dead = multibuild("setup", *ours, env=env)  # made, although nothing answers there
    try:
        assert (dead.code, "nothing answers" in dead.stderr) == (3, True)
        listed = multibuild("clean", *ours, "--only", "builders", "--dry-run", env=env)
        assert listed.stdout == f"would remove builder {name}\n"
        assert name in docker("buildx", "ls").stdout
        other = multibuild("clean", "-f", config, "--state-dir", state, "--only", "builders", env=env)
        assert other.stdout == "nothing to remove\n", "its profile is another one"
        assert multibuild("clean", *ours, env=env).stdout == "nothing to remove\n", (
            "other projects use builders"
        )
        cleaned = multibuild("clean", *ours, "--only", "builders", env=env)
        assert cleaned.stdout == f"removed builder {name}\n"
        assert name not in docker("buildx", "ls").stdout
    finally:
        docker("buildx", "rm", "--force", name, check=False)
