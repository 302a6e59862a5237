"""Docker-container builders that are lost: between runs, during builds, during tests; ours and others'."""

import json
import os
import re
import signal
import time

import pytest
from e2e.conftest import REGISTRY, docker, multibuild
from e2e.container_builders import Builder
from fakes.faulty_proxy import FaultyProxy
from waiting import comes

pytestmark = pytest.mark.one_driver(driver="docker-container", reason="it is of builders in containers")

"""Limit for a condition that an idle machine meets within seconds."""


@pytest.fixture
def own(tmp_path):
    own = Builder(tmp_path)
    yield own
    own.remove()


@pytest.fixture
def proxy():
    with FaultyProxy(int(REGISTRY.rpartition(":")[2])) as proxy:
        yield proxy


def remove_container(own):
    docker("rm", "--force", own.container)


def remove_container_and_cache(own):
    docker("rm", "--force", own.container)
    docker("volume", "rm", "--force", f"{own.container}_state")


def remove_builder(own):
    own.buildx("rm", own.name)


def stop_builder(own):
    own.buildx("stop", own.name)


def kill_buildkit(own):
    """As the kernel does where memory is short; the engine then starts the container again by itself."""
    os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", own.container).stdout), signal.SIGKILL)


BETWEEN = (remove_container_and_cache, remove_builder, stop_builder)
DURING = (remove_container, remove_builder, stop_builder, kill_buildkit)


def events(state):
    journal = state / "latest" / "journal.jsonl"
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def has_event(state, name, **fields):
    return any(event["name"] == name and fields.items() <= event["fields"].items() for event in events(state))


def attempts(done):
    return {
        row["platform"]: [attempt["class"] or "ok" for attempt in row["attempts"]]
        for row in done.json["platforms"]
    }


@pytest.mark.parametrize("lose", BETWEEN, ids=lambda lose: lose.__name__)
def test_a_builder_of_ours_that_is_lost_between_runs_is_made_again(own, project, state, lose):
    ours = ("-f", project(test={"run": ["true"]}), "--state-dir", state, "--builder", own.profile)
    assert multibuild("all", *ours, env=own.env).code == 0
    lose(own)
    project(run=f"echo {time.time_ns()} > /x", test={"run": ["true"]})
    done = multibuild("all", *ours, "--json", env=own.env)
    assert done.code == 0, done.stderr
    assert attempts(done) == {"linux/amd64": ["ok"], "linux/arm64": ["ok"]}
    assert "QEMU" not in done.stderr


@pytest.mark.parametrize("lose", DURING, ids=lambda lose: lose.__name__)
def test_a_builder_of_ours_that_is_lost_during_builds_costs_what_it_was_building_a_retry(
    own, project, state, registry, repository, proxy, lose
):
    """It is lost while a manifest is pushed, after another platform has ended."""

    def act():
        assert comes(lambda: has_event(state, "platform.ended", status="succeeded"))
        lose(own)

    config = project(
        run=f"echo {time.time_ns()} > /x",
        image=f"{proxy.host}/{repository}",
        retry={"initial": "1s"},
        publish={"staging": "digest"},
    )
    proxy.at(2, act, match="PUT .*/manifests/")
    ours = ("-f", config, "--state-dir", state, "--builder", own.profile, "--json")
    done = multibuild("all", *ours, env=own.env)
    assert done.code == 0, done.stderr
    assert sorted(attempts(done).values()) == [["builder-gone", "ok"], ["ok"]]
    assert set(registry.images(repository, "latest")) == {"linux/amd64", "linux/arm64"}
    assert "QEMU" not in done.stderr
    if lose is not kill_buildkit:
        assert done.stderr.count(f"the builder {own.name} is gone: making it again") == 1


class After:
    """Acts at the first request that matches, and is lost, once the journal has an event."""

    answered, lost = False, True

    def __init__(self, state, event, act, *, match, **fields):
        self.act, self.fired = act, False
        self._has_begun = lambda: has_event(state, event, **fields)
        self._match = match

    def fires(self, request):
        if self.fired or not re.match(self._match, request) or not self._has_begun():
            return False
        self.fired = True
        return True


def test_a_builder_of_ours_that_is_lost_while_it_builds_many_platforms_in_one_process(
    own, project, state, registry, repository, proxy
):
    """As it does where everything is in its cache."""
    config = project(
        run=f"echo {time.time_ns()} > /x", image=f"{proxy.host}/{repository}", retry={"initial": "1s"}
    )
    ours = ("-f", config, "--state-dir", state, "--builder", own.profile, "--json")
    assert multibuild("all", *ours, env=own.env).code == 0
    begun = After(state, "wave.started", lambda: remove_builder(own), match="(HEAD|PUT|POST) ")
    proxy.triggers.append(begun)
    done = multibuild("all", *ours, env=own.env)
    assert done.code == 0, done.stderr
    assert begun.fired
    assert set(registry.images(repository, "latest")) == {"linux/amd64", "linux/arm64"}


@pytest.mark.parametrize("lose", [remove_container, remove_builder], ids=lambda lose: lose.__name__)
def test_a_builder_of_ours_that_is_lost_during_tests_is_made_again(
    own, project, state, registry, repository, proxy, lose
):
    begun = After(
        state, "stage.started", lambda: lose(own), match="(GET|HEAD) .*/manifests/sha256:", stage="test"
    )
    proxy.triggers.append(begun)
    config = project(
        run=f"echo {time.time_ns()} > /x",
        image=f"{proxy.host}/{repository}",
        test={"run": ["true"]},
        verify={"content": "off"},
        retry={"initial": "1s"},
    )
    ours = ("-f", config, "--state-dir", state, "--builder", own.profile, "--json")
    done = multibuild("all", *ours, env=own.env)
    assert done.code == 0, done.stderr
    assert begun.fired
    assert {row["test"]["status"] for row in done.json["platforms"]} == {"passed"}
    assert f"the builder {own.name} is gone: making it again" in done.stderr


def test_the_tests_of_a_run_are_run_again_where_its_builder_is_gone(own, project, state):
    config = project(test={"run": ["true"]}, builder=str(own.profile))
    ours = ("-f", config, "--state-dir", state)
    assert multibuild("all", *ours, env=own.env).code == 0
    remove_builder(own)
    done = multibuild("test", *ours, env=own.env)
    assert done.code == 0, done.stderr
    assert f"the builder {own.name} is gone: making it again" in done.stderr


def test_a_builder_of_others_that_is_removed_during_builds_is_named(own, project, state, repository, proxy):
    own.create_by_hand()
    proxy.at(1, lambda: remove_builder(own), match="PUT .*/manifests/")
    config = project(
        run=f"echo {time.time_ns()} > /x", image=f"{proxy.host}/{repository}", retry={"initial": "1s"}
    )
    ours = ("-f", config, "--state-dir", state, "--builder", own.name, "--json")
    done = multibuild("all", *ours, env=own.env)
    assert done.code == 4, done.stderr
    assert f'no builder "{own.name}" found' in done.stderr
    assert "the builder is gone" in done.stderr
    assert "QEMU" not in done.stderr
    assert multibuild("all", *ours, env=own.env).code == 3  # before the first build


def test_a_builder_of_others_whose_container_is_removed_is_started_by_buildx(
    own, project, state, repository, proxy
):
    own.create_by_hand()
    proxy.at(1, lambda: remove_container(own), match="PUT .*/manifests/")
    config = project(
        run=f"echo {time.time_ns()} > /x", image=f"{proxy.host}/{repository}", retry={"initial": "1s"}
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--builder", own.name, "--json", env=own.env)
    assert done.code == 0, done.stderr
    assert {name for names in attempts(done).values() for name in names} == {"builder-gone", "ok"}


def test_doctor_starts_nothing_where_the_container_of_a_builder_is_gone(own, project, state):
    ours = ("-f", project(), "--state-dir", state, "--builder", own.profile)
    assert multibuild("setup", *ours, env=own.env).code == 0
    remove_container(own)
    done = multibuild("doctor", *ours, "--json", env=own.env)
    assert done.code == 0, done.stdout
    (row,) = [check for check in done.json["checks"] if check["name"] == "builder"]
    assert f"start the builder {own.name}" in row["detail"]
    assert own.container not in docker("ps", "--all", "--format", "{{.Names}}").stdout


@pytest.fixture
def broken_image(tmp_path, repository):
    """An image whose BuildKit ends at once, with the words of a real one that has no such snapshotter."""
    folder, name = tmp_path / "broken", f"{REGISTRY}/{repository}:broken"
    folder.mkdir()
    (folder / "buildkitd").write_text(
        "#!/bin/sh\necho 'buildkitd: unknown snapshotter name: \"nosuch\"' >&2\nexit 1\n"
    )
    (folder / "buildkitd").chmod(0o755)
    (folder / "Dockerfile").write_text(
        f'FROM {REGISTRY}/base:latest\nCOPY buildkitd /usr/bin/\nENTRYPOINT ["/usr/bin/buildkitd"]\n'
    )
    docker("buildx", "build", "--builder", "default", "--load", "--tag", name, folder)
    yield name
    docker("image", "rm", "--force", name)


def test_a_buildkit_that_ends_at_once_is_explained_by_its_own_words(own, project, state, broken_image):
    own.write_profile(image=broken_image)
    done = multibuild("setup", "-f", project(), "--state-dir", state, "--builder", own.profile, env=own.env)
    assert done.code == 3
    assert 'unknown snapshotter name: "nosuch"' in done.stderr
    assert "buildkitd.toml" in done.stderr
    assert own.name not in own.buildx("ls").stdout
