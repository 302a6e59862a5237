"""What a registry, or a proxy before it, answers to a push: an answer, not trouble on the way."""

from typing import Any

import pytest
from e2e.conftest import REGISTRY, multibuild
from fakes.faulty_proxy import FaultyProxy

IMMUTABLE = (
    "The image tag 'multibuild-linux-amd64' already exists in the 'app' repository and cannot be overwritten"
    " because the repository is immutable."
)
NO_REPOSITORY = "The repository with name 'team/app' does not exist in the registry with id '000000000000'"

STORAGE = (
    "adding 120 MiB of storage resource, which when updated to 10.1 GiB will exceed the configured upper limit of"
    " 10.0 GiB"
)
UPLOAD, MANIFEST = "/blobs/uploads/", "/manifests/"

Answer = tuple[str, int, dict[str, Any], str, int]
# Class → the request's path, the status and what comes with it, words of the error, attempts.
ANSWERS: dict[str, Answer] = {
    "too-large": (UPLOAD, 413, {"html": True}, "413 Request Entity Too Large", 1),
    "registry-answer": (MANIFEST, 400, {"html": True}, "400 Bad Request", 2),
    "registry-answer, in JSON": (
        MANIFEST, 400, {"code": "MANIFEST_INVALID", "message": "layers of three kinds"}, "layers of three kinds", 2,
    ),
    "registry-refuses": (
        MANIFEST, 405, {"code": "UNSUPPORTED", "message": "the mirror is read-only"}, "the mirror is read-only", 1,
    ),
    "immutable-tag": (MANIFEST, 400, {"code": "TAG_INVALID", "message": IMMUTABLE}, "is immutable", 1),
    "no-repository": (MANIFEST, 404, {"code": "NAME_UNKNOWN", "message": NO_REPOSITORY}, "does not exist", 1),
    "quota": (MANIFEST, 403, {"message": STORAGE}, "upper limit", 1),
}  # fmt: skip


@pytest.mark.one_driver(driver="docker-container", reason="BuildKit pushes, whatever started it")
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_to_a_push_is_not_asked_for_again(project, state, repository, name):
    """One attempt (two where nobody knows the answer), with the registry's own words in the error."""
    path, status, more, words, attempts = ANSWERS[name]
    with FaultyProxy(int(REGISTRY.rpartition(":")[2])) as proxy:
        rule = proxy.rule("PUT", path, status, **more)
        config = project(
            image=f"{proxy.host}/{repository}", platforms=["linux/amd64"], run=f"echo {repository}",
            retry={"initial": "0.1s"},
        )  # fmt: skip
        done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4, done.stderr
    assert rule.hits
    tries = done.json["platforms"][0]["attempts"]
    assert [attempt["class"] for attempt in tries] == [name.partition(",")[0]] * attempts, tries
    assert words in tries[-1]["evidence"]
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert words in error
