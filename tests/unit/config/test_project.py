from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.project import LoadedProject, load_project
from multibuild.errors import ConfigError, UsageError

NOW = datetime(2026, 2, 3, 4, tzinfo=UTC)
BASE = "version: 1\nimage: r.example.org/team/{name}\nplatforms: [amd64, arm64]\n"


def load(folder: Path, text: str, *, names=(), environ=None, from_bake=None, **flags) -> LoadedProject:
    file = folder / "multibuild.yaml"
    file.write_text(text)
    return load_project(
        file,
        environ=environ or {},
        overrides=Overrides(**flags),
        now=NOW,
        names=names,
        from_bake=from_bake,
    )


def image(folder: Path, text: str, name: str = "app", **flags):
    (found,) = [item for item in load(folder, text, **flags).images if item.name == name]
    return found


def problems(folder: Path, text: str, **flags) -> list[str]:
    """Return each problem without the name of the file: LINE:COLUMN: key: message."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **flags)
    lines = caught.value.message.splitlines()
    hint = f" ({caught.value.hint})" if len(lines) == 1 and caught.value.hint else ""
    return [line.removeprefix(f"{folder / 'multibuild.yaml'}:") + hint for line in lines]


def test_a_file_without_images_is_one_image_without_a_name(tmp_path):
    project = load(tmp_path, "version: 1\nimage: a/b\nplatforms: [amd64]\n")
    (loaded,) = project.images
    assert (project.several, project.together, loaded.name, loaded.dependencies) == (False, "all", "", {})


def test_images_share_the_top_level(tmp_path):
    project = load(tmp_path, BASE + "images: {app: {target: a}, worker: {contexts: {app: image:app}}}\n")
    app, worker = project.images
    assert project.several
    assert (app.name, app.config.image, app.config.target) == ("app", "r.example.org/team/app", "a")
    assert (worker.config.contexts, worker.dependencies) == ({}, {"app": "app"})


def test_an_image_is_chosen_with_those_that_it_is_built_from(tmp_path):
    text = BASE + "images: {a: , b: {contexts: {x: image:a}}, c: {contexts: {x: image:b}}, d: }\n"
    assert [item.name for item in load(tmp_path, text, names=["c"]).images] == ["a", "b", "c"]
    with pytest.raises(UsageError, match="no image 'e'"):
        load(tmp_path, text, names=["e"])
