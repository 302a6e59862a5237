"""A whole `all` at registries with habits: BuildKit pushes there, then we read, copy and move tags there.

The build is the same in all rows, and cached. What a registry answers to BuildKit is BuildKit's to understand, so that
a habit bends our own requests alone; logins, tokens and redirects are for both.
"""

import base64
import json
import os
from pathlib import Path

import pytest
from e2e.conftest import multibuild
from fakes.registry_habits import HABITS
from fakes.registry_server import FakeRegistry, digest_of

pytestmark = pytest.mark.one_driver(
    driver="docker", reason="the habits are of the registry; it is the fastest"
)

PLATFORMS = ["linux/amd64", "linux/arm64"]
PAIR = ("me", "a-pass-word")

NAMES = (
    "Docker Hub: an index right after its manifests is refused",
    "Docker Hub: does not show yet what was just pushed",
    "distribution 2.2: 405 for HEAD of a manifest, as a target",
    "ECR: 403 for what is not there",
    "ACR: 401 for what is not there",
    "Harbor: 404 for an index right after its manifests",
    "GitLab: takes sha256-HEX for the digest",
    "Nexus: no HEAD, as a target",
    "Gitea 1.17: says mounted, and has no blob",
    "Pulp: 500 for a mount",
    "Nixery: no Docker-Content-Digest at all",
    "GCR: no index in an index",
    "distribution: a pull-through cache takes no pushes",
    "ECR: a tag that exists cannot be moved",
    "Docker Hub: 429 with Retry-After",
)
MET = {name: next(habit for habit in HABITS if str(habit) == name) for name in NAMES}


def ours(bend):
    """Return the bend for requests of multibuild alone."""

    def limited(registry, request, proceed):
        is_ours = request.headers.get("user-agent", "").startswith("multibuild/")
        return bend(registry, request, proceed) if is_ours else proceed()

    return limited


@pytest.fixture
def run(project, state):
    """Return a function that runs `all` for a fake registry: into one repository, and from there into another."""

    def run(fake, **environment):
        config = project(
            image=f"{fake.host}/team/app",
            destinations=[f"{fake.host}/mirror/app"],
            platforms=PLATFORMS,
            tags=["1", "latest"],
            run="echo the same > /in-all",
        )
        return multibuild("all", "-f", config, "--state-dir", state, "--json", env=environment)

    return run


def check_published(fake, done):
    """Check that each tag is the index of the report, and that all it lists is there with its bytes."""
    assert done.code == 0, done.stderr
    digest = done.json["index"]["digest"]
    for name in ("team/app", "mirror/app"):
        stored = fake.repository(name)
        assert {tag: stored.tags.get(tag) for tag in ("1", "latest")} == dict.fromkeys(
            ("1", "latest"), digest
        )
        entries = json.loads(stored.manifests[digest][1])["manifests"]
        assert [entry["platform"]["architecture"] for entry in entries][:2] == ["amd64", "arm64"]
        for entry in entries:
            content = stored.manifests[entry["digest"]][1]
            assert (digest_of(content), len(content)) == (entry["digest"], entry["size"])
            document = json.loads(content)
            for blob in (document["config"], *document["layers"]):
                assert digest_of(stored.blobs[blob["digest"]]) == blob["digest"]


@pytest.mark.parametrize("name", MET)
def test_all_meets_a_habit(name, run):
    habit = MET[name]
    with FakeRegistry() as fake:
        fake.bends = [ours(bend) for bend in habit.bends]
        done = run(fake)
        if not habit.words:
            check_published(fake, done)
            return
        assert done.code in {3, 7}, done.stderr  # 3: before the first build
        assert habit.words in done.stderr
        assert {"1", "latest"}.isdisjoint(fake.repository("team/app").tags)


def login(folder: Path, host: str) -> dict[str, str]:
    """Write a config of docker with a login; return the environment that leads to it."""
    own = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    folder.mkdir()
    if (own / "cli-plugins").exists():
        (folder / "cli-plugins").symlink_to(own / "cli-plugins")
    pair = base64.b64encode(":".join(PAIR).encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": pair}}}))
    return {
        "DOCKER_CONFIG": str(folder),
        "BUILDX_CONFIG": os.environ.get("BUILDX_CONFIG", str(own / "buildx")),
    }


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_all_with_a_login(scheme, run, tmp_path):
    with FakeRegistry(login=PAIR, scheme=scheme) as fake:
        done = run(fake, **login(tmp_path / "docker", fake.host))
        check_published(fake, done)
    assert PAIR[1] not in done.stderr + done.stdout


def test_all_where_blobs_are_elsewhere(run):
    with FakeRegistry() as storage, FakeRegistry() as fake:
        fake.blob_redirect = f"http://{storage.host}"
        storage.repositories = fake.repositories
        done = run(fake)
        check_published(fake, done)
        assert storage.requests("GET")
