"""The Dockerfile of a child that was built is read, unless it is not on this disk; platforms with one origin share a line."""

from types import SimpleNamespace

import pytest
from fakes.images import put_image
from fakes.registry_server import FakeRegistry

from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform
from multibuild.prove.content.proof import ContentProof, ForeignFile
from multibuild.prove.origin.built_child import origin_hint, origin_lines, origins_of
from multibuild.prove.origin.content_origin import Cause, ContentOrigin

ARM64, S390X = Platform.parse("linux/arm64"), Platform.parse("linux/s390x")
HISTORY = [{"created_by": "COPY app /app # buildkit"}]
FOREIGN = (ForeignFile(path="/app", architecture="amd64", needed=True, layer=1),)
FAILED = ContentProof(status="failed", foreign=FOREIGN)


@pytest.fixture
def registries():
    with RegistrySession({}, on_wait=print) as session:
        yield session


def child(history=HISTORY, **changes):
    """Return a child, by default of one layer; its build's inputs are those that a trace looks at."""
    spec = {
        "platform": ARM64, "context": ".", "dockerfile": "Dockerfile", "target": None, "args": {}, "contexts": {},
    }  # fmt: skip
    return SimpleNamespace(
        planned=SimpleNamespace(spec=SimpleNamespace(**spec | changes), platform=ARM64),
        child=SimpleNamespace(
            config=SimpleNamespace(raw={"history": history}), layers=("sha256:1",) * len(history)
        ),
    )


LAYER = "/app is amd64: in layer 1 of 1 (in its history `COPY app /app`)"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "/app is amd64: `COPY app /app` in line 2 (layer 1 of 1)"),
        (
            {"dockerfile": "arm/Dockerfile"},
            "/app is amd64: `COPY app /app` in line 3 of arm/Dockerfile (layer 1 of 1)",
        ),
        ({"target": "first"}, "/app is amd64: `COPY app /app` in line 2 (layer 1 of 1)"),
        ({"dockerfile": "missing"}, LAYER),
        ({"dockerfile": "folder"}, LAYER),
        ({"dockerfile": "https://example.org/Dockerfile"}, LAYER),
        ({"context": "https://github.com/example/app.git"}, LAYER),
        ({"target": "none"}, LAYER),
        ({"contexts": {"first": "elsewhere"}}, LAYER),
    ],
)
def test_the_dockerfile_of_the_build_is_read(tmp_path, registries, changes, says):
    (tmp_path / "Dockerfile").write_text("FROM scratch AS first\nCOPY app /app\n")
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm" / "Dockerfile").write_text("FROM scratch\n\nCOPY app /app\n")
    (tmp_path / "folder").mkdir()
    (one,) = origins_of(FAILED, child(**changes), tmp_path, registries)
    assert one.text == says


def test_a_child_of_another_build_has_no_dockerfile(registries):
    (one,) = origins_of(FAILED, child(), None, registries)
    assert one.text == LAYER


@pytest.mark.parametrize(
    "proof", [ContentProof(status="passed", foreign=FOREIGN), ContentProof(status="failed")]
)
def test_only_the_foreign_files_of_a_failed_proof_are_traced(tmp_path, registries, proof):
    assert origins_of(proof, child(), tmp_path, registries) == ()


@pytest.mark.parametrize(
    ("has_base", "triggers", "says"),
    [
        (True, ["COPY app /app"], "by `COPY app /app`, an ONBUILD of the base image {}/base:1"),
        (True, [], "in the base image {}/base:1"),
        (False, [], "in the base image {}/base:1"),
    ],
)
def test_the_registry_says_what_instructions_a_base_image_has(tmp_path, registries, has_base, triggers, says):
    foreign = ForeignFile(path="/app", architecture="amd64", needed=True, layer=2)
    proof = ContentProof(status="failed", foreign=(foreign,))
    with FakeRegistry() as registry:
        if has_base:
            put_image(registry, "base", "linux/arm64", tag="1", config={"OnBuild": triggers})
        (tmp_path / "Dockerfile").write_text(f"FROM {registry.host}/base:1\nCMD x\n")
        built = child([{"created_by": "COPY arm64/ / # buildkit"}, *HISTORY])
        (one,) = origins_of(proof, built, tmp_path, registries)
    assert one.text.startswith(f"/app is amd64: {says.format(registry.host)} (FROM in line 1; ")


def located(path, **more):
    return ContentOrigin(path=path, architecture="amd64", layer=1, layers=2, **more)


def test_platforms_with_the_same_origin_share_a_line():
    both = located("/app")
    assert origin_lines({ARM64: (both, located("/lib")), S390X: (both,)}) == [
        "  linux/arm64, linux/s390x: /app is amd64: in layer 1 of 2",
        "  linux/arm64: /lib is amd64: in layer 1 of 2",
    ]
    lines = origin_lines({ARM64: tuple(located(f"/{number}") for number in range(12))})
    assert (len(lines), lines[-1]) == (9, "  and 4 more")


def test_the_hint_names_the_rules():
    cause = Cause(rule="target-arg-default", line=3, message="m")
    assert (
        origin_hint({ARM64: (located("/app"),)}) == "legitimate foreign files can be named in `verify.ignore`"
    )
    assert origin_hint({ARM64: (located("/a", cause=cause), located("/b", cause=cause))}) == (
        "`multibuild lint` explains target-arg-default; legitimate foreign files can be named in `verify.ignore`"
    )
