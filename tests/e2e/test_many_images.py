"""Four images for two platforms: a stage that they share runs once for each, and one that fails is all that is missing."""

import json
from collections import Counter

import pytest
from e2e.conftest import REGISTRY, docker, multibuild
from fakes.recording_server import Answer, RecordingServer

NAMES = ("app", "worker", "tools", "late")
DOCKERFILE = f"""FROM {REGISTRY}/base:latest AS shared
ARG TARGETARCH SITE
RUN wget -q -O /shared $SITE/shared/$TARGETARCH
FROM shared AS app
RUN echo app > /name
FROM shared AS worker
RUN echo worker > /name
FROM shared AS tools
RUN echo tools > /name
FROM shared AS late
ARG TARGETARCH SITE
RUN wget -q -O /late $SITE/late/$TARGETARCH
"""


class Downloads:
    """Files that steps download: `late/arm64` is not there before it is `complete`."""

    def __init__(self):
        self.is_complete = False

    def answer(self, seen):
        missing = seen.path.endswith("/late/arm64") and not self.is_complete
        return Answer(status=404 if missing else 200, body=b"" if missing else b"content\n")


@pytest.fixture
def downloads():
    return Downloads()


@pytest.fixture
def server(downloads):
    with RecordingServer(downloads.answer, address="0.0.0.0") as server:
        yield server


@pytest.fixture
def config(server, tmp_path, repository, builder):
    # This machine's address as steps see it: on the loopback they would reach themselves.
    gateway = docker(
        "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"
    ).stdout.strip()
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text("*\n")
    document = {
        "version": 1,
        "image": f"{REGISTRY}/{repository}/{{name}}",
        "platforms": ["linux/amd64", "linux/arm64"],
        "tags": ["1", "latest"],
        "builder": builder,
        # The repository is new, so that no cache has these steps.
        "args": {"SITE": f"http://{gateway}:{server.port}/{repository}"},
        "images": {name: {"target": name} for name in NAMES},
    }
    path = folder / "multibuild.yaml"
    path.write_text(json.dumps(document))
    return path


def attempts_of(state):
    """Return the attempts of the newest run, as its journal has them."""
    entries = map(json.loads, (state / "latest" / "journal.jsonl").read_text().splitlines())
    return Counter(
        (entry["image"], entry["fields"]["platform"])
        for entry in entries
        if entry["name"] == "attempt.started"
    )


@pytest.mark.one_driver(driver="docker-container", reason="BuildKit shares what runs, whoever started it")
def test_one_of_eight_fails_no_tag_moves_and_it_alone_is_built_again(
    config, downloads, server, repository, registry, state
):
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4, done.stderr
    assert {image["name"]: image["status"] for image in done.json["images"]} == {
        "app": "built",
        "worker": "built",
        "tools": "built",
        "late": "failed",
    }
    assert sorted(attempts_of(state).values()) == [1] * 8
    places = [(f"{repository}/{name}", tag) for name in NAMES for tag in ("1", "latest")]
    assert not any(registry.exists(*place) for place in places)
    downloaded = Counter(path.removeprefix(f"/{repository}/") for path in server.paths())
    assert (downloaded["shared/amd64"], downloaded["shared/arm64"]) == (1, 1)

    downloads.is_complete = True
    done = multibuild("all", "-f", config, "--state-dir", state, "--json", "--resume")
    assert done.code == 0, done.stderr
    assert attempts_of(state) == {("late", "linux/arm64"): 1}
    assert all(len(registry.images(*place)) == 2 for place in places)
    downloaded = Counter(path.removeprefix(f"/{repository}/") for path in server.paths())
    assert (downloaded["shared/amd64"], downloaded["shared/arm64"]) == (1, 1)
