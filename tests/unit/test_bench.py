"""The benchmarks' own projects: work that is the same for every contestant, and a page that lists every case."""

import re

import pytest

from bench import empty_machine, images
from bench.__main__ import CASES
from bench.builds import Size
from bench.project import ROOT, TWELVE, refused_download
from multibuild.failures.classify import classify
from multibuild.failures.evidence import Evidence


def test_every_case_is_listed_with_a_target():
    table = (ROOT / "bench" / "README.md").read_text().partition("## Floors")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert [name for row in rows for name in re.findall("`([^`]+)`", row)][1:] == list(CASES)


@pytest.fixture
def failing(tmp_path):
    """Return the project of twelve images of which one fails, as it is written."""
    project = images._project(tmp_path / "images", Size(loops=10), fails=True)
    project.write()
    return project


def steps(project):
    return [
        line for line in (project.folder / "Dockerfile").read_text().splitlines() if line.startswith("RUN ")
    ]


def test_every_image_has_the_same_work_in_two_halves_between_which_one_fails(failing):
    shared, *own = steps(failing)
    assert len(own) == len(images.IMAGES)
    assert {step.count("-lt 5 ]") for step in (shared, *own)} == {2}
    (failed,) = (step for step in own if "exit 1" in step)
    assert f": {images.FAILING};" in failed
    assert [part.count("-lt 5 ]") for part in failed.split("exit 1")] == [1, 1]


def test_both_build_the_same_images_for_the_same_platforms_and_push_them(failing):
    document, bake = failing.document(), failing.bake_file()
    assert list(document["images"]) == list(bake["target"]) == bake["group"]["default"]["targets"]
    for name, target in bake["target"].items():
        assert target["target"] == document["images"][name]["target"] == name
        assert target["platforms"] == document["platforms"] == list(images.FOUR)
        assert "push=true" in target["output"][0]


def test_each_run_has_steps_that_no_cache_knows(failing):
    before = steps(failing)[0]
    failing.write()
    assert steps(failing)[0] != before


def test_a_download_that_is_refused_fails_as_networks_do():
    command = refused_download()
    host = command.partition("//")[2].removesuffix(":1/")
    failed = Evidence(
        message=f'failed to solve: process "/bin/sh -c {command}" did not complete successfully: exit code: 1',
        step=f"[2/2] RUN {command}",
        tail=(f"wget: can't connect to remote host ({host}): Connection refused",),
    )
    assert classify(failed).retry == "transient"


def test_a_change_is_to_the_source_of_one_platform(tmp_path):
    project = empty_machine._project(tmp_path / "one", Size(loops=1))
    project.write()
    sources = {platform: project.source(platform) for platform in TWELVE}
    assert len(set(sources.values())) == len(TWELVE)
    assert sources["linux/arm/v7"].name == "armv7"  # ${TARGETARCH}${TARGETVARIANT}
    before = {platform: source.read_text() for platform, source in sources.items()}
    dockerfile = (project.folder / "Dockerfile").read_text()
    project.change(empty_machine.CHANGED)
    project.write()
    after = {platform: source.read_text() for platform, source in sources.items()}
    assert [platform for platform in TWELVE if before[platform] != after[platform]] == [empty_machine.CHANGED]
    assert (project.folder / "Dockerfile").read_text() == dockerfile
