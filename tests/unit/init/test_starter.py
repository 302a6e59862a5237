"""The first config: multibuild reads it back as it was meant."""

from datetime import UTC, datetime

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.init.proposal import propose_platforms
from multibuild.init.starter import ImageName, StarterConfig, guess_image, yaml_scalar
from multibuild.platforms import Platform

BUILDER = Platform.parse("linux/amd64")
BASE = frozenset(
    map(Platform.parse, ("amd64", "arm64", "arm/v7", "arm/v5", "386", "s390x", "riscv64", "mips64le"))
)
OTHER_BASE = frozenset(map(Platform.parse, ("amd64", "arm64", "s390x", "386", "arm/v7", "arm/v5", "riscv64")))


def starter(**more):
    text = "FROM a AS x\nFROM b\nCOPY --from=x /x /x\n"
    return StarterConfig(
        image=ImageName(name="registry.example.org/team/app", guess="a guess"),
        proposal=propose_platforms(text, None, {"a": BASE, "b": OTHER_BASE}, BUILDER),
        **more,
    )


def loaded(tmp_path, text):
    path = tmp_path / "multibuild.yaml"
    path.write_text(text)
    return load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 1, tzinfo=UTC)).config


def test_the_starter_is_a_valid_config(tmp_path):
    config = loaded(tmp_path, starter().text())
    assert config.image == "registry.example.org/team/app"
    assert config.tags == ("latest",)
    assert [str(entry.name) for entry in config.platforms] == ["linux/amd64", "linux/arm64", "linux/arm/v7"]


def test_the_starter_is_valid_with_its_platforms_and_test_uncommented(tmp_path):
    text = starter().text().replace("  # - ", "  - ").replace("# test:", "test:")
    config = loaded(tmp_path, text)
    assert {entry.name for entry in config.platforms} == BASE & OTHER_BASE
    assert config.test is not None


def test_impossible_platforms_have_a_reason():
    assert "  #   linux/mips64le: not in b (line 2)\n" in starter().text()
    assert "a guess" in starter().text()


def test_only_keys_that_differ_from_their_defaults_are_written(tmp_path):
    plain = starter().text()
    assert not any(line.startswith(("context", "dockerfile", "target")) for line in plain.splitlines())
    config = loaded(tmp_path, starter(dockerfile="docker/My Dockerfile", context="src", target="1.0").text())
    assert (config.dockerfile, config.context, config.target) == ("docker/My Dockerfile", "src", "1.0")


@pytest.mark.parametrize(
    "text",
    ["a", "a b", "it's", "1.0", "-x", "a: b", "#a", "é", "${X}", "on", "No", "null", "0x10", "1_0", ".inf"],
)
def test_yaml_scalars_are_read_back_unchanged(tmp_path, text):
    import yaml

    assert yaml.safe_load(f"x: {yaml_scalar(text)}") == {"x": text}


@pytest.mark.parametrize(
    ("remote", "folder", "name"),
    [
        ("git@github.com:Team/My-App.git", "x", "ghcr.io/team/my-app"),
        ("https://github.com/team/app", "x", "ghcr.io/team/app"),
        ("https://user@gitlab.com/group/sub/app.git/", "x", "registry.gitlab.com/group/sub/app"),
        ("ssh://git@gitlab.com:22/group/app.git", "x", "registry.gitlab.com/group/app"),
        ("ssh://git@code.example.com/team/App.git", "x", "registry.example.org/app"),
        ("", "My Project_2", "registry.example.org/my-project_2"),
        ("/srv/git/app.git", "folder", "registry.example.org/folder"),
        ("", "---", "registry.example.org/app"),
        ("", "Ünïcode", "registry.example.org/n-code"),
    ],
)
def test_image_names_are_guessed(tmp_path, remote, folder, name):
    image = guess_image(remote, folder)
    assert image.name == name
    assert image.guess
    assert loaded(tmp_path, f"version: 1\nimage: {name}\nplatforms: [amd64]\n").image == name
