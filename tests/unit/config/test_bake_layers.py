"""What a config says beside a definition: platforms of linked targets, and keys that stand for refused ones."""

from datetime import UTC, datetime
from typing import Any

import pytest

from multibuild.bake.mapping import Refusal
from multibuild.config.cli_overrides import Overrides
from multibuild.config.images.linked_platforms import with_linked_platforms
from multibuild.config.project import load_project, read_bake
from multibuild.errors import ConfigError

NOW = datetime(2026, 2, 3, tzinfo=UTC)
TOP = {"platforms": ["amd64", "linux/arm64"]}
APP = {"contexts": {"b": "image:base"}}
AMD, ARM, RISCV = "linux/amd64", "linux/arm64", "linux/riscv64"
OPTIONAL = {"name": RISCV, "required": False}


@pytest.mark.parametrize(
    ("top", "bake", "entries", "expected"),
    [
        ({}, {"app": {**APP, "platforms": [AMD, RISCV]}, "base": {}}, {}, [AMD, RISCV]),
        (TOP, {"app": {**APP, "platforms": [AMD, RISCV]}, "base": {}}, {}, ["amd64", ARM, RISCV]),
        (TOP, {"app": {**APP, "platforms": [AMD]}, "base": {}}, {}, None),
        (TOP, {"app": {**APP, "platforms": [RISCV]}, "base": {"platforms": [AMD]}}, {}, [AMD]),
        (TOP, {"app": {**APP, "platforms": [RISCV]}, "base": {}}, {"base": {"platforms": [AMD]}}, None),
        ({}, {"app": APP, "base": {}}, {"app": {"platforms": [AMD, OPTIONAL]}}, [AMD, OPTIONAL]),
        (
            {},
            {"app": {**APP, "platforms": [RISCV]}, "web": APP, "base": {}},
            {"web": {"platforms": [OPTIONAL, "${X}", 5]}},
            [RISCV],
        ),
        (TOP, {"app": {"platforms": [RISCV]}, "base": {}}, {}, None),
        (TOP, {"app": APP, "base": APP}, {}, None),
    ],
)
def test_a_linked_target_has_the_platforms_of_those_that_need_it(top, bake, entries, expected):
    layers = {name: [top, keys, *([entries[name]] if name in entries else [])] for name, keys in bake.items()}
    assert with_linked_platforms(bake, ["base"], layers)["base"].get("platforms") == expected


def test_platforms_reach_through_linked_targets():
    bake: dict[str, dict[str, Any]] = {
        "app": {"contexts": {"r": "image:runtime"}, "platforms": [AMD, RISCV]},
        "base": {},
        "runtime": {"contexts": {"b": "image:base"}},
    }
    layers: dict[str, list[dict[str, Any]]] = {name: [{}, keys] for name, keys in bake.items()}
    result = with_linked_platforms(bake, ["base", "runtime"], layers)
    assert (result["base"]["platforms"], result["runtime"]["platforms"]) == ([AMD, RISCV], [AMD, RISCV])


def test_a_project_is_built_for_what_its_definition_needs(tmp_path):
    file = tmp_path / "multibuild.yaml"
    file.write_text("version: 1\nimage: r.example.org/{name}\nplatforms: [amd64]\nbake: {}\n")
    bake = {"app": {**APP, "platforms": [AMD, RISCV]}, "base": {}}
    request: dict[str, Any] = {"environ": {}, "overrides": Overrides(), "now": NOW, "from_bake": bake}
    loaded = load_project(file, **request, linked=["base"])
    assert [[str(e.name) for e in one.config.platforms] for one in loaded.images] == [[AMD, RISCV]] * 2
    with pytest.raises(
        ConfigError, match=r"yaml:4:1: bake\.app\.contexts\.b: app is built for linux/riscv64"
    ):
        load_project(file, **request)


INLINE = Refusal(target="app", key="dockerfile-inline", why="x", use_instead="y", replaced_by=("dockerfile",))
OUTPUT = Refusal(target="app", key="output", why="x", use_instead="y", replaced_by=("publish.to",))
CALL = Refusal(target="app", key="call", why="x", use_instead="y")


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("", []),
        ("images: {app: {dockerfile: Dockerfile.app}}", [INLINE]),
        ("images: {web: {dockerfile: Dockerfile.app}}", []),
        ("images: {'a*': {publish: {to: docker}}}", [OUTPUT]),
        ("images: {app: {publish: {on_missing: fail}}}", []),
        ("publish: {to: docker}", [OUTPUT]),
        ("dockerfile: Dockerfile.app", []),
        ("images: {app: , 'b*': [x]}\npublish:", []),
        ("images: [app]", []),
    ],
)
def test_what_images_say_stands_for_a_refused_key(text, replaced, tmp_path):
    file = tmp_path / "multibuild.yaml"
    file.write_text(f"version: 1\nbake: {{}}\n{text}\n")
    section = read_bake(file, environ={}, overrides=Overrides(), now=NOW)
    assert section is not None
    assert [one for one in (INLINE, OUTPUT, CALL) if section.replaces(one)] == replaced
