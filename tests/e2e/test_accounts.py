"""Runs that start together, and accounts that share an engine: each builds on a builder that is configured for it."""

import contextlib
import json
import os

import pytest
from e2e.conftest import REGISTRY, finish, multibuild, start
from e2e.container_builders import Builder, account
from e2e.registries import another_registry

pytestmark = pytest.mark.one_driver(driver="docker-container", reason="it is of builders in containers")

PAIRS = int(os.environ.get("MULTIBUILD_E2E_PAIRS", "1"))
"""Of runs that start together, for each kind of them: `MULTIBUILD_E2E_PAIRS=10` is for a change of how builders are made."""


@pytest.fixture
def own(tmp_path):
    own = Builder(tmp_path)
    yield own
    own.remove()


def project_of(folder, image, text, **more):
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN echo {text} > /x\n")
    config = {"version": 1, "image": image, "platforms": ["linux/amd64", "linux/arm64"], **more}
    (folder / "multibuild.yaml").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("number", range(PAIRS))
@pytest.mark.parametrize("accounts", [1, 2])
def test_two_projects_that_start_together_without_a_builder_both_succeed(
    own, tmp_path, repository, accounts, number
):
    """As two jobs of one account do, or of two that share the engine only."""
    running = []
    for project in range(2):
        image = f"{REGISTRY}/{repository}-{project}"
        folder = project_of(tmp_path / f"project-{project}", image, f"{number} {project}")
        environ = account(tmp_path / f"account-{project % accounts}")
        running.append(start("all", "--builder", own.profile, "--json", cwd=folder, env=environ))
    ends = [finish(process) for process in running]
    assert [done.code for done in ends] == [0, 0], [done.stderr for done in ends]
    assert {row["node"] for done in ends for row in done.json["platforms"]} == {own.name}
    assert own.containers() == [own.container]


@contextlib.contextmanager
def accounts_with_authorities(tmp_path, repository):
    """Return of two accounts the project, the environment and the registry, each behind a CA of its own."""
    with contextlib.ExitStack() as stack:
        accounts = []
        for number in range(2):
            folder = tmp_path / f"project-{number}"
            folder.mkdir()
            registry = stack.enter_context(another_registry(folder, with_ca=True))
            image = f"{registry.host}/{repository}"
            settings = {registry.host: {"ca": "ca.pem"}}
            project_of(folder, image, number, registries=settings, test={"run": ["true"]})
            accounts.append((folder, account(tmp_path / f"account-{number}"), registry))
        yield accounts


def node_of(done):
    (node,) = {row["node"] for row in done.json["platforms"]}
    return node


def test_two_accounts_with_other_authorities_push_to_registries_behind_them(own, tmp_path, repository):
    """Each one's builder knows its own CA; the second does not build on the first one's container."""
    ours = ("all", "--builder", own.profile, "--json")
    nodes = []
    with accounts_with_authorities(tmp_path, repository) as accounts:
        for number, (folder, environ, registry) in enumerate(accounts):
            for _ in range(2):  # the second time on a builder that is there
                done = multibuild(*ours, cwd=folder, env=environ)
                assert done.code == 0, done.stderr
                assert ("made by another account" in done.stderr) == (number == 1), done.stderr
            assert registry.digest(repository, "latest") == done.json["index"]["digest"]
            nodes.append(node_of(done))
    assert nodes[0] == own.name
    assert nodes[1] != own.name


@pytest.mark.parametrize("number", range(PAIRS))
def test_two_accounts_with_other_authorities_may_start_together(own, tmp_path, repository, number):
    ours = ("all", "--builder", own.profile, "--json")
    with accounts_with_authorities(tmp_path, repository) as accounts:
        running = [start(*ours, cwd=folder, env=environ) for folder, environ, _ in accounts]
        ends = [finish(process) for process in running]
        assert [done.code for done in ends] == [0, 0], [done.stderr for done in ends]
        for done, (_, _, registry) in zip(ends, accounts, strict=True):
            assert registry.digest(repository, "latest") == done.json["index"]["digest"]
    assert own.name in {node_of(done) for done in ends}
    assert len({node_of(done) for done in ends}) == 2
