"""Images that are built from others: what their builds wait for."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from multibuild.builds.dependencies import DependencyMissing, ImageBuilds, RunChildren, dependencies_first
from multibuild.builds.fingerprint import Fingerprint, PlanFingerprints
from multibuild.builds.inputs import with_dependencies
from multibuild.builds.result import BuildResult
from multibuild.errors import NO_TAG_MOVED, BuildFailed, TestFailed
from multibuild.journal.runs import RunDirectory
from multibuild.oci.errors import RegistryError
from multibuild.platforms import Platform
from multibuild.workflow.image_errors import together

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
DIGEST = "sha256:" + "a" * 64


def result(platform, *, status="succeeded", repository="r.example/app"):
    digest = DIGEST if status in {"succeeded", "reused"} else ""
    return BuildResult(platform=platform, required=True, status=status, repository=repository, digest=digest)


@pytest.fixture
def builds(tmp_path):
    async def make(name, children, **dependencies):
        run = RunDirectory(tmp_path).of_image(name)
        return ImageBuilds(name=name, run=run, dependencies=dependencies, children=children)

    return make


@pytest.fixture
def first(plan_of):
    """Return a planned platform."""
    return plan_of("image: r.example/debug\nplatforms: [linux/amd64]").platforms[0]


async def test_a_build_waits_for_the_child_of_its_platform(builds, first):
    children = RunChildren()
    app, debug = await builds("app", children), await builds("debug", children, base="app")
    waiting = asyncio.create_task(debug.with_contexts(first))
    app.add(result(ARM64))
    await asyncio.sleep(0)
    assert not waiting.done()
    app.add(result(first.platform))
    assert (await waiting).spec.contexts["base"] == f"docker-image://r.example/app@{DIGEST}"


async def test_a_child_in_a_directory_is_a_layout(builds, first, tmp_path):
    children = RunChildren()
    app, debug = await builds("app", children), await builds("debug", children, base="app")
    app.add(result(first.platform, repository=f"oci:children/{first.slug}"))
    source = (await debug.with_contexts(first)).spec.contexts["base"]
    assert source == f"oci-layout://{tmp_path}/images/app/children/{first.slug}@{DIGEST}"


@pytest.mark.parametrize("status", ["failed", "cancelled", "skipped"])
async def test_a_platform_without_a_child_is_missing(builds, first, status):
    children = RunChildren()
    app, debug = await builds("app", children), await builds("debug", children, base="app")
    app.add(result(first.platform, status=status))
    with pytest.raises(DependencyMissing, match=f"app has no {first.platform}"):
        await debug.with_contexts(first)


@pytest.mark.parametrize("waits_before", [True, False])
async def test_what_is_not_built_any_more_is_not_waited_for(builds, first, waits_before):
    children = RunChildren()
    app, debug = await builds("app", children), await builds("debug", children, base="app")
    waiting = asyncio.create_task(debug.with_contexts(first))
    await asyncio.sleep(0 if waits_before else 0.01)
    app.close()
    with pytest.raises(DependencyMissing):
        await waiting
    with pytest.raises(DependencyMissing):
        await debug.with_contexts(first)


async def test_one_that_is_cancelled_leaves_the_others_waiting(builds, first):
    children = RunChildren()
    app, debug = await builds("app", children), await builds("debug", children, base="app")
    cancelled, waiting = (asyncio.create_task(debug.with_contexts(first)) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    app.add(result(first.platform))
    assert (await waiting).spec.contexts["base"]


def test_what_others_are_built_from_comes_first():
    def named(name, *sources):
        return SimpleNamespace(name=name, dependencies={f"c{source}": source for source in sources})

    plans = [named("a", "b", "c"), named("b", "d"), named("c"), named("d")]
    assert [plan.name for plan in dependencies_first(plans)] == ["d", "b", "c", "a"]


def fingerprints(**parts):
    return PlanFingerprints(platforms={AMD64: Fingerprint(parts=parts)})


DEBUG: Any = SimpleNamespace(dependencies={"base": "app"})


def test_what_goes_into_an_image_goes_into_those_built_from_it():
    own, same = fingerprints(context="x"), fingerprints(context="1")
    digests = {
        with_dependencies(own, DEBUG, {"app": other}).platforms[AMD64].digest
        for other in (same, fingerprints(context="2"), same)
    }
    assert len(digests) == 2
    assert own.platforms[AMD64].digest not in digests


def test_an_image_whose_inputs_are_unknown_makes_those_built_from_it_unknown():
    unknown = PlanFingerprints(platforms={AMD64: Fingerprint(parts={"context": ""}, unknown="context")})
    found = with_dependencies(fingerprints(context="x"), DEBUG, {"app": unknown}).platforms[AMD64]
    assert (found.digest, found.unknown) == (None, "image app")


def test_the_errors_of_images_are_one_error():
    errors = {
        "app": TestFailed("no test", hint="h"),
        "b": BuildFailed("x"),
        "c": BuildFailed("y"),
        "d": BuildFailed("z"),
    }
    found = together(errors)
    assert (type(found), found.hint) == (TestFailed, "h")
    assert found.message == str(found) == "app: no test; b: x; c: y; and 1 more image"
    assert errors["app"].message == "no test"
    each = together({"app": BuildFailed(f"x, {NO_TAG_MOVED}"), "b": BuildFailed("y")}, each_by_itself=True)
    assert each.message == "app: x, no tag of app was moved; b: y"
    refused = together(
        {"app": RegistryError("denied", "r.example refuses\nit", hint="h"), "b": BuildFailed("y")}
    )
    assert isinstance(refused, RegistryError)
    assert (refused.kind, refused.exit_code) == ("denied", 7)
    assert str(refused) == "app: r.example refuses\nit\nb: y"
    alone = BuildFailed("x")
    assert together({"": alone}) is alone
