"""The first config of a project that has a bake file: what it says loads, and says no more than it must."""

import os
from datetime import UTC, datetime

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.project import load_project
from multibuild.init.bake_starter import BakeStarter
from multibuild.init.starter import ImageName
from multibuild.platforms import Platform

WHOLE = {"image": "r.example/app", "tags": ["1"], "platforms": ["linux/arm64"]}
PLATFORMS = (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))


def starter(linked=(), **images):
    image = ImageName(name="registry.example.org/team", guess="a placeholder")
    return BakeStarter(
        files=("docker-bake.hcl",),
        images=images,
        image=image,
        platforms=PLATFORMS,
        linked=frozenset(linked),
    )


def load(tmp_path, made):
    path = tmp_path / "multibuild.yaml"
    path.write_text(made.text(), encoding="utf-8")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return load_project(path, environ=os.environ, overrides=Overrides(), now=now, from_bake=made.images)


@pytest.mark.parametrize(
    ("images", "lines"),
    [
        ({"app": WHOLE}, ()),
        ({"app": {**WHOLE, "platforms": ["linux/amd64"]}, "b": {"image": "r.example/b"}}, ("platforms:",)),
        ({"app": WHOLE, "tool": {"platforms": ["linux/amd64"]}}, ("image:",)),
        ({"tool": {"target": "tool"}}, ("image:", "platforms:")),
    ],
)
def test_only_what_the_definition_lacks_is_in_the_config(tmp_path, images, lines):
    made = starter(**images)
    keys = [line.partition(" ")[0] for line in made.text().splitlines() if not line.startswith("#")]
    assert keys == ["version:", *lines, "bake:"]
    assert [image.name for image in load(tmp_path, made).images] == list(images)


def test_images_without_a_tag_get_a_repository_of_their_own(tmp_path):
    loaded = load(tmp_path, starter(app=WHOLE, tool={"target": "tool"}))
    assert [image.config.image for image in loaded.images] == [
        "r.example/app",
        "registry.example.org/team/tool",
    ]


def test_a_name_that_yaml_reads_otherwise_is_quoted(tmp_path):
    made = starter(app=WHOLE)
    odd = BakeStarter(files=("a: b.hcl",), images=made.images, image=made.image, platforms=PLATFORMS)
    assert load(tmp_path, odd)


def test_of_images_with_one_tag_the_first_is_built():
    made = starter(
        linked=["base"],
        base={},
        migrate=WHOLE,
        other={**WHOLE, "tags": ["2"]},
        web={**WHOLE, "image": "r.example/web", "destinations": ["r.example/app"]},
        worker=WHOLE,
    )
    assert made.duplicates == {"web": "migrate", "worker": "migrate"}
    assert "bake: {files: [docker-bake.hcl], targets: [migrate, other]}" in made.text()
    assert "# Left out, as another one has the tag already: web (migrate), worker (migrate)." in made.text()


def test_many_images_are_counted():
    text = starter(**{f"i{number}": {**WHOLE, "tags": [f"v{number}"]} for number in range(50)}).text()
    assert "and 30 more" in text
    assert "i49" not in text
