"""SIGKILL at thirty points of a run of three platforms: twenty-four of multibuild, six of docker.

Points come in chains: the resumed run is killed, too, a little further on, until the last one ends well. After
every kill: what was finished is taken over and not pushed again, and no tag ever pointed at an incomplete index.
"""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass

import pytest
from e2e.conftest import REGISTRY, finish, start
from e2e.test_failures import build_process
from fakes.faulty_proxy import FaultyProxy
from waiting import PATIENCE_S

PLATFORMS = ["linux/amd64", "linux/arm64", "linux/riscv64"]
TAGS = ["a", "b"]
CHILD = "PUT .*/manifests/(multibuild-linux-|sha256:)"
"""As a tag or by digest, by the driver; the index, by digest too, comes after all children."""

INDEX = "PUT .*/manifests/sha256:"


@dataclass(frozen=True)
class After:
    """The k-th event of this name is in the journal."""

    event: str
    k: int = 1


@dataclass(frozen=True)
class At:
    """The n-th request that matches has come and is not passed on; or was passed on, and not answered."""

    request: str
    n: int = 1
    answered: bool = False


Point = After | At

CHAINS: list[list[Point]] = [
    [After("run.started"), After("host.ready"), After("attempt.started"), After("platform.ended")],
    [After("platform.inputs", 2), At("POST .*/blobs/uploads/", 2), After("attempt.started", 3), After("attempt.ended")],
    [At(CHILD), At(CHILD, answered=True), At(CHILD, answered=True), After("child.read")],
    [At(CHILD, 2), After("platform.ended", 2), After("test.ended"), After("content.ended", 2)],
    [After("index.composed"), At(INDEX), At(INDEX, answered=True), After("tag.planned")],
    [At("PUT .*/manifests/a"), At("PUT .*/manifests/a", answered=True), At("PUT .*/manifests/b"), After("tag.ended")],
]  # fmt: skip

DOCKER_POINTS: list[dict[str, Point]] = [
    {platform: After("attempt.started", k) for k, platform in enumerate(PLATFORMS, start=1)},
    {
        "linux/amd64": At("PUT .*/manifests/multibuild-linux-amd64"),
        "linux/arm64": At("PUT .*/manifests/multibuild-linux-arm64", answered=True),
        "linux/riscv64": At("HEAD .*/manifests/multibuild-linux-riscv64"),
    },
]


def test_there_are_thirty_points():
    assert sum(len(chain) for chain in CHAINS) + sum(len(points) for points in DOCKER_POINTS) == 30


@pytest.fixture
def proxy():
    with FaultyProxy(int(REGISTRY.rpartition(":")[2])) as found:
        yield found


@pytest.fixture(params=[{}], ids=[""])
def config(request, project, proxy, repository):
    """A project whose steps are cached after the first test of all: what remains are pushes, proofs and tags."""
    return project(
        image=f"{proxy.host}/{repository}",
        run="echo killed > /x",
        platforms=PLATFORMS,
        tags=TAGS,
        test={"run": ["true"]},
        retry={"initial": "0.1s"},
        **request.param,
    )


def journals(state):
    return sorted(state.glob("runs/*/journal.jsonl"))


def events_of(journal):
    return [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]


def when(point, act, *, state, proxy, runs_before, running):
    """Call `act` at a point of the run that has just been started."""
    if isinstance(point, At):
        proxy.at(point.n, act, match=point.request, answered=point.answered)
        return

    def watch():
        while running.poll() is None:
            for journal in journals(state)[runs_before:]:
                if journal.read_text().count(f'"name":"{point.event}"') >= point.k:
                    act()
                    return
            time.sleep(0.001)

    threading.Thread(target=watch, daemon=True).start()


def killed_at(point, config, state, proxy):
    """Start (or resume) the project and kill it at a point; gives its events and the requests it made."""
    requests, runs_before = len(proxy.log), len(journals(state))
    running = start("all", "--resume", "-f", config, "--state-dir", state, "--progress", "quiet")
    when(point, running.kill, state=state, proxy=proxy, runs_before=runs_before, running=running)
    running.communicate(timeout=PATIENCE_S)
    proxy.triggers.clear()
    assert running.returncode == -signal.SIGKILL, f"the run ended before {point}"
    return events_of(journals(state)[-1]), proxy.log[requests:]


def ended_well(events, status):
    return {
        event["fields"]["platform"]
        for event in events
        if event["name"] == "platform.ended" and event["fields"]["status"] == status
    }


def assert_nothing_was_lost(finished, events, requests):
    """Check a resumed run: finished platforms are reused, neither built nor pushed again."""
    begun = {event["fields"]["platform"] for event in events if event["name"] == "attempt.started"}
    assert not begun & finished
    if begun or any(
        event["fields"].get("stage") == "build" for event in events if event["name"] == "stage.ended"
    ):
        assert ended_well(events, "reused") == finished
    slugs = [platform.replace("/", "-") for platform in finished]
    assert [
        request for request in requests if request.startswith("PUT") and request.endswith(tuple(slugs))
    ] == []


def assert_tags_were_whole(proxy, registry, repository):
    """Check that every index that was ever tagged had every platform, and that the tag holds one of them."""
    for _, reference, content in proxy.manifests:
        if reference in TAGS:
            entries = json.loads(content)["manifests"]
            images = [
                f"linux/{e['platform']['architecture']}" for e in entries if e["platform"]["os"] == "linux"
            ]
            assert images == PLATFORMS
            assert all(registry.exists(repository, entry["digest"]) for entry in entries)
    for tag in TAGS:
        if registry.exists(repository, tag):
            assert list(registry.images(repository, tag)) == PLATFORMS


@pytest.mark.parametrize("chain", CHAINS, ids=range(len(CHAINS)))
def test_multibuild_killed_and_resumed_and_killed_again(config, state, proxy, registry, repository, chain):
    finished: set[str] = set()
    for point in chain:
        events, requests = killed_at(point, config, state, proxy)
        assert_nothing_was_lost(finished, events, requests)
        finished |= ended_well(events, "succeeded")
        assert_tags_were_whole(proxy, registry, repository)
    requests = len(proxy.log)
    done = finish(start("all", "--resume", "-f", config, "--state-dir", state, "--json"))
    assert done.code == 0, done.stderr
    assert_nothing_was_lost(finished, events_of(journals(state)[-1]), proxy.log[requests:])
    assert {row["platform"] for row in done.json["platforms"] if row["status"] == "reused"} == finished
    assert_tags_were_whole(proxy, registry, repository)
    assert registry.get(repository, "a") == registry.get(repository, "b")


@pytest.mark.parametrize("config", [{"publish": {"staging": "tag"}}], ids=[""], indirect=True)
@pytest.mark.parametrize("points", DOCKER_POINTS, ids=["at the start", "while pushing"])
def test_a_killed_docker_client_is_restarted(config, state, proxy, registry, repository, points):
    """Each platform's client is killed once: each is retried, and the run succeeds."""
    running = start("all", "-f", config, "--state-dir", state, "--json")
    for platform, point in points.items():

        def kill(platform=platform):
            os.killpg(build_process(platform, config.parent), signal.SIGKILL)

        when(point, kill, state=state, proxy=proxy, runs_before=0, running=running)
    done = finish(running)
    assert done.code == 0, done.stderr
    tries = {row["platform"]: [a["class"] for a in row["attempts"]] for row in done.json["platforms"]}
    assert tries == {platform: ["killed", None] for platform in PLATFORMS}
    assert_tags_were_whole(proxy, registry, repository)
    assert registry.get(repository, "a") == registry.get(repository, "b")
