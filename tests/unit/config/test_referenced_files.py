from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.config.profiles import load_profile, shipped_profiles_folder
from multibuild.config.referenced_files import check_environment, check_files
from multibuild.config.schema import json_schema
from multibuild.errors import ConfigError


def check(
    folder: Path, added: str = "", platforms: str = "[amd64]", environ: Mapping[str, str] = {"B": "b"}
) -> None:
    file = folder / "multibuild.yaml"
    file.write_text(f"version: 1\nimage: a/b\nplatforms: {platforms}\n{added}\n")
    overrides = Overrides()
    loaded = load_config(file, environ=environ, overrides=overrides, now=datetime.now(UTC))
    check_files(loaded)
    check_environment(loaded, environ)


def test_existing_files_pass(tmp_path):
    (tmp_path / "Dockerfile").touch()
    (tmp_path / ".npmrc").touch()
    check(tmp_path, "secrets: ['id=a,src=.npmrc', 'id=b,env=B']\ncontexts: {x: 'docker-image://a'}")


@pytest.mark.parametrize("agent", ["default", "default=key", "default=key,other"])
def test_ssh_needs_an_agent_or_existing_keys(tmp_path, agent):
    (tmp_path / "Dockerfile").touch()
    added = f"ssh: ['{agent}']"
    with pytest.raises(ConfigError, match=r"ssh\.0: ") as caught:
        check(tmp_path, added)
    assert caught.value.exit_code == 2
    for name in ("key", "other"):
        (tmp_path / name).touch()
    check(tmp_path, added, environ={"SSH_AUTH_SOCK": "/somewhere"})


def test_the_error_for_a_missing_dockerfile_lists_those_nearby(tmp_path):
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile.app").touch()
    with pytest.raises(ConfigError) as caught:
        check(tmp_path)
    assert f"dockerfile: there is no file {tmp_path / 'Dockerfile'}" in caught.value.message
    assert caught.value.hint == "there is docker/Dockerfile.app"


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ("context: image:base", "4:1: context: there is no directory", "contexts: {NAME: image:base}"),
        ("context: src", "4:1: context: there is no directory", "relative to the config"),
        ("target: tets", "4:1: target: Dockerfile has no stage 'tets'", "perhaps you meant 'test'"),
        ("target: x", "4:1: target: Dockerfile has no stage 'x'", "its stages are build, test"),
        ("contexts: {a: 'x:y'}", "4:12: contexts.a: there is no", "relative to the config"),
    ],
)
def test_what_is_missing_is_said_with_its_place_and_the_nearest(more, message, hint, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch AS build\nFROM build AS test\n")
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, more)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_the_common_dockerfile_may_be_missing_when_every_platform_has_its_own(tmp_path):
    (tmp_path / "own").touch()
    check(tmp_path, platforms="[{name: amd64, dockerfile: own}]")
    with pytest.raises(ConfigError, match=r"platforms\.1\.dockerfile"):
        check(tmp_path, platforms="[{name: amd64, dockerfile: own}, {name: arm64, dockerfile: none}]")


@pytest.mark.parametrize("url", ["https://example.org/a.git", "git@example.org:a", "ssh://git@example.org/a"])
def test_a_remote_context_is_not_checked(tmp_path, url):
    check(tmp_path, f"context: {url}")


def test_all_missing_files_are_in_one_error(tmp_path):
    with pytest.raises(ConfigError) as caught:
        check(
            tmp_path,
            "context: no\nsecrets: ['id=a,src=gone']\ncontexts: {x: ./nowhere}\nregistries: {r.example.org: {ca: c, cert: d, key: e}}",
        )
    keys = [line.split(": ")[1] for line in caught.value.message.splitlines()]
    assert keys == [
        "contexts.x",
        "context",
        "dockerfile",
        "secrets.0",
        "registries.r.example.org.ca",
        "registries.r.example.org.cert",
        "registries.r.example.org.key",
    ]


def test_a_missing_profile_is_an_error(tmp_path):
    (tmp_path / "Dockerfile").touch()
    with pytest.raises(ConfigError, match="there is no profile"):
        check(tmp_path, "builder: ./none.yaml")
    check(tmp_path, "builder: some-existing-builder")


@pytest.mark.parametrize("path", sorted(shipped_profiles_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_profiles_are_valid(tmp_path, path):
    profile = load_profile(path.stem, tmp_path)
    assert (profile is None) == (path.stem == "local")
    if profile is not None and profile.buildkitd is not None:
        assert profile.buildkitd.is_absolute()


def test_auto_and_builder_names_are_no_profiles(tmp_path):
    assert load_profile("auto", tmp_path) is None
    assert load_profile("some-builder", tmp_path) is None


def test_a_custom_profile_is_read(tmp_path):
    (tmp_path / "b.toml").touch()
    (tmp_path / "p.yaml").write_text(
        "driver: remote\nname: farm\nbuildkitd: b.toml\ndriver_opts: {replicas: 2}\n"
        "nodes:\n  - endpoint: tcp://a:1\n    platforms: [aarch64]\n"
    )
    profile = load_profile("./p.yaml", tmp_path)
    assert profile is not None
    assert (profile.driver, profile.name, profile.buildkitd) == ("remote", "farm", tmp_path / "b.toml")
    assert profile.driver_opts == {"replicas": "2"}
    assert [str(platform) for platform in profile.nodes[0].platforms] == ["linux/arm64"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drivr: docker", ":1:1: drivr: is no key multibuild knows"),
        ("driver: podman", ":1:1: driver: must be"),
        ("driver: remote", "driver remote needs nodes"),
        ("driver: docker\nimage: x", ":2:1: image: driver docker takes none"),
        ("buildkitd: none.toml", ":1:1: buildkitd: there is no file"),
    ],
)
def test_a_problem_in_a_profile_is_an_error_with_its_location(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_profile("p.yaml", tmp_path)
    assert message in caught.value.message


def test_the_schema_describes_every_key():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["version"]
    assert [one["required"] for one in schema["anyOf"]] == [["image", "platforms"], ["images"], ["bake"]]
    assert schema["additionalProperties"] is False
    assert all("description" in key for key in schema["properties"].values())
    assert {"type": "string"} in schema["properties"]["platforms"]["items"]["anyOf"]
    assert "from" in schema["$defs"]["Cache"]["properties"]
