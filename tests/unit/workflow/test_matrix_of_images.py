"""The jobs of several images build every unit once, each with a command that builds nothing else."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.project import load_project
from multibuild.errors import UsageError
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import choose_images, make_plan
from multibuild.platforms import Platform
from multibuild.workflow.matrix import MAX_JOBS, github_matrix, gitlab_matrix, make_jobs

ARM = {"name": "linux/arm64", "runner": "arm"}
FOUR = ["linux/amd64", ARM, "linux/arm/v7", "linux/riscv64"]
THREE_IMAGES = {
    "app": {},
    "worker": {"platforms": ["linux/amd64", ARM]},
    "debug": {"contexts": {"app": "image:app"}, "platforms": ["linux/amd64", ARM]},
}


@pytest.fixture
def project(tmp_path):
    """Return a function that loads a file of images: `project({name: keys}, *names)`."""

    def load(images, *names, platforms=FOUR):
        path = tmp_path / "multibuild.yaml"
        document = {"version": 1, "image": "r.example/{name}", "platforms": platforms, "images": images}
        path.write_text(json.dumps(document))
        now = datetime(2026, 1, 2, tzinfo=UTC)
        return load_project(path, environ={}, overrides=Overrides(), now=now, names=names)

    return load


def units(images):
    return {(loaded.name, entry.name) for loaded in images for entry in loaded.config.platforms}


def built(project, images, job):
    """Return what the command line of a job builds."""
    row = job.row("")
    chosen = project(images, *row["images"].split())
    only = [Platform.parse(name) for name in row["platform"].split(",")]
    plans = [
        make_plan(loaded, assumed_facts("auto"), only=only) for loaded in choose_images(chosen.images, only)
    ]
    return [(plan.name, platform) for plan in plans for platform in plan.specs]


def test_a_runner_builds_all_of_its_images(project):
    jobs = make_jobs(project(THREE_IMAGES).images)
    assert github_matrix(jobs)["include"] == [
        {
            "platform": "linux/amd64,linux/arm/v7,linux/riscv64",
            "slug": "shard-1",
            "runner": "ubuntu-latest",
            "images": "app worker debug",
        },
        {"platform": "linux/arm64", "slug": "shard-2", "runner": "arm", "images": "app worker debug"},
    ]


def test_jobs_by_platform_have_the_images_of_each(project):
    jobs = make_jobs(project(THREE_IMAGES).images, by="platform")
    assert [(job.slug, job.images, job.runner) for job in jobs] == [
        ("linux-amd64", ("app", "worker", "debug"), ""),
        ("linux-arm64", ("app", "worker", "debug"), "arm"),
        ("linux-arm-v7", ("app",), ""),
        ("linux-riscv64", ("app",), ""),
    ]


def test_images_that_are_built_from_each_other_stay_together(project):
    images = {**THREE_IMAGES, "top": {"contexts": {"x": "image:debug"}, "platforms": ["linux/amd64"]}}
    jobs = make_jobs(project(images, platforms=["linux/amd64", "linux/arm64"]).images, by="image")
    assert [job.images for job in jobs if not job.runner] == [("app", "debug", "top"), ("worker",)]


def test_jobs_by_image_are_named_by_it_unless_two_would_be(project):
    one_runner: dict[str, Any] = {"app": {}, "worker": {}}
    jobs = make_jobs(project(one_runner, platforms=["linux/amd64"]).images, by="image")
    assert [job.slug for job in jobs] == ["app", "worker"]
    jobs = make_jobs(project(one_runner).images, by="image")
    assert sorted(job.slug for job in jobs) == ["shard-1", "shard-2", "shard-3", "shard-4"]


def test_gitlab_has_the_images_as_a_variable(project):
    (matrix,) = gitlab_matrix(make_jobs(project(THREE_IMAGES).images), "docker").values()
    assert {row["IMAGES"] for row in matrix["parallel"]["matrix"]} == {"app worker debug"}


def test_chosen_images_alone_have_jobs(project):
    jobs = make_jobs(project(THREE_IMAGES, "worker").images, only=[Platform.parse("amd64")])
    assert [(job.images, str(job.platforms[0])) for job in jobs] == [(("worker",), "linux/amd64")]


def test_shards_are_balanced_by_what_all_images_of_a_platform_took(project):
    seconds = {("app", "linux/amd64"): 60.0, ("worker", "linux/amd64"): 60.0, ("app", "linux/riscv64"): 90.0}
    seconds |= {("app", "linux/arm/v7"): 20.0, ("debug", "linux/amd64"): 1.0}
    jobs = make_jobs(project(THREE_IMAGES).images, shards=3, seconds=seconds)
    assert [(job.slug, ",".join(map(str, job.platforms)), job.runner) for job in jobs] == [
        ("shard-1", "linux/amd64", ""),
        ("shard-2", "linux/arm/v7,linux/riscv64", ""),
        ("shard-3", "linux/arm64", "arm"),
    ]


def test_a_runner_that_one_image_names_is_that_of_what_it_is_built_from(project):
    images = {"app": {}, "debug": {"contexts": {"app": "image:app"}, "platforms": [ARM]}}
    jobs = make_jobs(project(images, platforms=["linux/arm64"]).images)
    assert [(job.images, job.runner) for job in jobs] == [(("app", "debug"), "arm")]


def test_different_runners_for_images_that_are_built_together_are_an_error(project):
    other = {"name": "linux/arm64", "runner": "other"}
    images = {"app": {}, "debug": {"contexts": {"app": "image:app"}, "platforms": [other]}}
    with pytest.raises(UsageError, match=r"app and debug are built together.*arm and other"):
        make_jobs(project(images, platforms=[ARM]).images)


@pytest.mark.parametrize("form", ["github", "gitlab"])
def test_no_matrix_has_more_jobs_than_the_ci_system_runs(form, project):
    images: dict[str, Any] = {f"image-{number}": {} for number in range(150)}
    jobs = make_jobs(project(images, platforms=FOUR).images, by="image", limit=MAX_JOBS[form])
    assert len(jobs) == MAX_JOBS[form]
    assert [job.slug for job in jobs[:2]] == ["shard-1", "shard-2"]
    assert sum(len(job.images) * len(job.platforms) for job in jobs) == 600


def test_more_runners_than_a_matrix_has_jobs_are_an_error(project):
    with pytest.raises(UsageError, match="name 2 different runners, and a matrix has at most 1 jobs"):
        make_jobs(project(THREE_IMAGES).images, limit=1)
    with pytest.raises(UsageError, match=r"--shards 1: .*2 different runners"):
        make_jobs(project(THREE_IMAGES).images, shards=1, limit=256)


def some_images(rng):
    """Return images with platforms and runners of their own, some of them built from an earlier one."""
    images: dict[str, Any] = {}
    for number in range(rng.randint(1, 6)):
        runners = [{"runner": runner} for runner in ("a", "b")]
        platforms: list[Any] = [
            {"name": name} | rng.choice([{}, *runners])
            for name in ("linux/amd64", "linux/arm64", "linux/riscv64")
            if name == "linux/amd64" or rng.random() < 0.6
        ]
        images[f"i{number}"] = {"platforms": platforms}
        if number and rng.random() < 0.3:
            below = f"i{rng.randrange(number)}"
            images[f"i{number}"] = {**images[below], "contexts": {"x": f"image:{below}"}}
    return images


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("by", [None, "runner", "platform", "image"])
def test_the_commands_of_all_jobs_build_each_unit_once(seed, by, project):
    rng = random.Random(seed)
    images = some_images(rng)
    loaded = project(images).images
    most = len(make_jobs(loaded, by=by))
    jobs = make_jobs(loaded, by=by, shards=rng.choice([None, most]))
    everything = [unit for job in jobs for unit in built(project, images, job)]
    assert sorted(everything, key=str) == sorted(units(loaded), key=str)
    assert len({job.slug for job in jobs}) == len(jobs)
