from datetime import UTC, datetime

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.errors import UsageError
from multibuild.platforms import Platform
from multibuild.workflow.matrix import github_matrix, gitlab_matrix, make_jobs

CONFIG = """
version: 1
image: registry.example.org/app
platforms:
  - linux/amd64
  - {name: linux/arm64, runner: ubuntu-24.04-arm}
  - linux/arm/v7
  - linux/riscv64
"""


def load(folder, text=CONFIG):
    path = folder / "multibuild.yaml"
    path.write_text(text)
    return load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def config(tmp_path):
    """Return the one image of a file."""
    return [load(tmp_path)]


def test_github_has_a_row_per_platform(config):
    assert github_matrix(make_jobs(config))["include"][:3] == [
        {"platform": "linux/amd64", "slug": "linux-amd64", "runner": "ubuntu-latest"},
        {"platform": "linux/arm64", "slug": "linux-arm64", "runner": "ubuntu-24.04-arm"},
        {"platform": "linux/arm/v7", "slug": "linux-arm-v7", "runner": "ubuntu-latest"},
    ]


def test_gitlab_has_variables(config):
    (matrix,) = gitlab_matrix(make_jobs(config), "docker").values()
    rows = matrix["parallel"]["matrix"]
    assert rows[1] == {"PLATFORM": "linux/arm64", "SLUG": "linux-arm64", "RUNNER": "ubuntu-24.04-arm"}
    assert "RUNNER" not in gitlab_matrix(make_jobs(config))[".multibuild-matrix"]["parallel"]["matrix"][0]


def test_only_the_chosen_platforms_have_jobs(config):
    assert [job.slug for job in make_jobs(config, only=(Platform.parse("riscv64"),))] == ["linux-riscv64"]


def test_shards_have_one_runner_each_and_are_balanced(config):
    seconds = {("", "linux/amd64"): 1.0, ("", "linux/arm/v7"): 60.0, ("", "linux/riscv64"): 50.0}
    jobs = make_jobs(config, shards=3, seconds=seconds)
    assert [(job.slug, ",".join(map(str, job.platforms)), job.runner) for job in jobs] == [
        ("shard-1", "linux/arm/v7", ""),
        ("shard-2", "linux/amd64,linux/riscv64", ""),
        ("shard-3", "linux/arm64", "ubuntu-24.04-arm"),
    ]


def test_no_shard_is_empty(config):
    jobs = make_jobs(config, shards=9)
    platforms = [platform for job in jobs for platform in job.platforms]
    assert sorted(platforms, key=str) == sorted((entry.name for entry in config[0].config.platforms), key=str)
    assert all(job.platforms for job in jobs)


@pytest.mark.parametrize("shards", [10**6, 10**9, 10**30])
def test_more_shards_than_platforms_are_one_for_each(config, shards):
    assert make_jobs(config, shards=shards) == make_jobs(config, shards=4)


def test_fewer_shards_than_runners_are_an_error(config):
    with pytest.raises(UsageError, match="2 different runners") as caught:
        make_jobs(config, shards=1)
    assert "--shards 2" in (caught.value.hint or "")


def test_runners_and_builders_are_no_part_of_the_canonical_config(tmp_path):
    canonical = load(tmp_path).canonical
    assert load(tmp_path, CONFIG.replace("ubuntu-24.04-arm", "other")).canonical == canonical
    text = CONFIG + "builder: fleet\nemulators: {source: none}\n"
    assert load(tmp_path, text).canonical == canonical


def test_what_needs_no_build_has_no_job(config):
    done = {("", Platform.parse(name)) for name in ("linux/amd64", "linux/arm64", "linux/riscv64")}
    assert [job.slug for job in make_jobs(config, done=done)] == ["linux-arm-v7"]
    assert [job.slug for job in make_jobs(config, done=done, shards=2)] == ["shard-1"]
    assert make_jobs(config, done=done | {("", Platform.parse("linux/arm/v7"))}) == ()


def test_no_job_builds_an_image_that_needs_no_build_beside_its_own(tmp_path):
    """`build a b --platform x,y` would build both for both."""
    from multibuild.config.project import load_project

    path = tmp_path / "multibuild.yaml"
    path.write_text(
        "version: 1\nimage: r.example.org/{name}\nplatforms: [linux/amd64, linux/arm64]\nimages: {a: {}, b: {}}\n"
    )
    now = datetime(2026, 1, 2, tzinfo=UTC)
    images = load_project(path, environ={}, overrides=Overrides(), now=now).images
    done = {("a", Platform.parse("linux/arm64"))}
    units = [
        (image, str(platform))
        for job in make_jobs(images, done=done)
        for image in job.images
        for platform in job.platforms
    ]
    assert sorted(units) == [("a", "linux/amd64"), ("b", "linux/amd64"), ("b", "linux/arm64")]
