import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import LoadedConfig, load_config
from multibuild.errors import ConfigError

BASE = "version: 1\nimage: registry.example.org/team/app\nplatforms:\n  - linux/amd64\n  - name: aarch64\n    also_as: [linux/arm64/unknown]\n"
NOW = datetime(2026, 2, 3, 4, tzinfo=UTC)


def load(folder: Path, text: str = BASE, *, environ=None, **flags) -> LoadedConfig:
    file = folder / "multibuild.yaml"
    file.write_text(text)
    return load_config(file, environ=environ or {}, overrides=Overrides(**flags), now=NOW)


def load_error(folder: Path, text: str, **flags) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **flags)
    return caught.value


def problem(folder: Path, text: str) -> str:
    """Return the error without the name of the file: LINE:COLUMN: key: message."""
    return load_error(folder, text).message.removeprefix(f"{folder / 'multibuild.yaml'}:")


def test_three_keys_suffice_and_the_rest_has_defaults(tmp_path):
    loaded = load(tmp_path)
    config = loaded.config
    assert [str(entry.name) for entry in config.platforms] == ["linux/amd64", "linux/arm64"]
    assert str(config.platforms[1].also_as[0]) == "linux/arm64/unknown"
    assert loaded.project == tmp_path
    assert (config.tags, config.context, config.dockerfile, config.pull) == (
        ("latest",),
        ".",
        "Dockerfile",
        True,
    )
    assert (config.retry.attempts, config.retry.initial, config.retry.max) == (3, 5, 120)
    assert (config.timeout, config.stall_timeout, config.jobs) == (21600, None, "auto")
    assert config.crash_timeout == 60
    assert (config.attestations.provenance, config.verify.content, config.test) == ("min", "entrypoint", None)
    assert config.publish.output.kind == "registry"


@pytest.mark.parametrize(("text", "seconds"), [("off", None), ("2m", 120), ("90", 90), ("false", None)])
def test_the_time_after_a_crash_can_be_set_or_switched_off(tmp_path, text, seconds):
    loaded = load(tmp_path, f"{BASE}crash_timeout: {text}\n")
    assert loaded.config.crash_timeout == seconds
    assert loaded.canonical == load(tmp_path).canonical, "it changes no result"


def test_one_platform_may_have_any_cache(tmp_path):
    one = BASE.replace("  - linux/amd64\n", "")
    assert load(tmp_path, one + "cache: {to: ['type=gha']}\n").config.cache.to == ("type=gha",)


@pytest.mark.parametrize("key", ["cache", "attestations", "emulators", "retry", "verify", "publish"])
def test_a_missing_section_equals_an_empty_one(tmp_path, key):
    missing, empty = load(tmp_path), load(tmp_path, f"{BASE}{key}: {{}}\n")
    assert getattr(missing.config, key) == getattr(empty.config, key)
    assert missing.canonical == empty.canonical


FULL_EXAMPLE = """\
version: 1
image: registry.example.org/team/app
tags: ["${git.semver:-dev}", latest]
destinations: [mirror.example.net/team/app]
target: runtime
args: {VERSION: "${git.short_sha:-dev}", LEVEL: 1.10}
contexts: {base: docker-image://registry.example.org/base:1}
secrets: ["id=npmrc,src=.npmrc", "id=token,env=TOKEN"]
ssh: [default]
cache: {from: ["type=registry,ref=r/cache:{slug}"], to: ["type=registry,ref=r/cache:{slug},mode=max"]}
attestations: {provenance: false, sbom: false}
platforms:
  - linux/amd64
  - name: linux/mips64le
    required: false
    timeout: 1h30m
    args: {CGO_ENABLED: 0}
stall_timeout: off
verify: {content: off, ignore: []}
test: {run: ["app", "--version"], timeout: 2m, skip: [mips64el]}
publish: {staging: "{image}-{arch}:{tag}", to: oci:out}
registries: {"localhost:5000": {insecure: true}}
"""


def test_a_config_with_most_keys_is_loaded(tmp_path):
    config = load(tmp_path, FULL_EXAMPLE).config
    assert config.tags == ("dev", "latest")
    assert config.args == {"VERSION": "dev", "LEVEL": "1.10"}
    assert config.platforms[1].args == {"CGO_ENABLED": "0"}
    assert config.platforms[1].timeout == 5400
    assert (config.stall_timeout, config.verify.content, config.attestations.provenance) == (
        None,
        "off",
        False,
    )
    assert config.cache.from_ == ("type=registry,ref=r/cache:{slug}",)
    assert (config.publish.output.kind, config.publish.output.path) == ("oci", "out")
    first, second = config.platforms
    test = config.test_of(first)
    assert test is not None
    assert (test.run, test.timeout, test.network) == (("app", "--version"), 120, False)
    assert config.test_of(second) is None


def test_a_platforms_own_test_overrides_the_common_one(tmp_path):
    config = load(
        tmp_path,
        "version: 1\nimage: a/b\nplatforms: [amd64, {name: mips64le, test: {timeout: 5m, emulator_cpu: I6400}}]\n"
        "test: {run: [app], network: true}\n",
    ).config
    test = config.test_of(config.platforms[1])
    assert test is not None
    assert (test.run, test.timeout, test.emulator_cpu, test.network) == (("app",), 300, "I6400", True)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("tagz: [a]", "7:1: tagz: is no key multibuild knows"),
        ("cache: {form: [a]}", "7:9: cache.form: is no key multibuild knows"),
        ("tags: [1.10]", "7:8: tags.0: must be text, not the number 1.10"),
        ("args: {A: true}", "7:8: args.A: must be text, not the boolean true"),
        ("tags: latest", "7:1: tags: must be a list, not 'latest'"),
        ("labels:", "7:1: labels: must be a mapping, not empty"),
        ("tags: ['', '${git.semver}']", "7:1: tags: no tag is left: all came out empty"),
        ("retry: {attempts: 0}", "7:9: retry.attempts: must be at least 1, not the number 0"),
        ("timeout: off", "7:1: timeout: must be a duration, not 'off'"),
        ("jobs: true", "7:1: jobs: must be auto or a whole number from 1 on, not true"),
        ("media_type: ocu", "7:1: media_type: must be oci or docker, not 'ocu'"),
        ("args: {A: '${NOPE}'}", "7:8: args.A: the environment variable NOPE is not set"),
        (
            "publish: {staging: '{image}:x'}",
            "7:11: publish.staging: '{image}:x' would stage all platforms under one name",
        ),
        (
            "publish: {staging: '{image}:{arc}'}",
            "7:11: publish.staging: '{image}:{arc}' has a placeholder that does not exist",
        ),
        ("version: 1", "7:1: version: is written twice"),
        ("args: !x {}", "7:7: the tag '!x' means nothing here"),
        ("secrets: [hunter2]", "7:11: secrets.0: is not id=NAME[,src=FILE] or id=NAME[,env=VARIABLE]"),
        ("destinations: [registry.example.org/team/app]", None),
    ],
)
def test_a_problem_is_an_error_with_its_location(tmp_path, added, expected):
    expected = expected or "7:16: destinations.0: registry.example.org/team/app is already published to"
    assert problem(tmp_path, BASE + added + "\n") == expected


@pytest.mark.parametrize("image", ["localhost:5000/a", "[::1]:5000/a/b", "a", "Example.org/a__b/c-d.e"])
def test_valid_repositories_pass(tmp_path, image):
    assert load(tmp_path, f"version: 1\nimage: '{image}'\nplatforms: [amd64]\n").config.image == image


@pytest.mark.parametrize(
    "flag", ["--push", "--output=x", "-tx", "-o", "--build-arg", "--annotation", "--iidfile=f"]
)
def test_flags_multibuild_passes_itself_are_refused(tmp_path, flag):
    assert "is managed by multibuild" in problem(tmp_path, BASE + f"build_flags: [--ulimit, n=1, '{flag}']\n")


def test_other_build_flags_pass(tmp_path):
    assert load(tmp_path, BASE + "build_flags: [--ulimit, nofile=1024, --tags-file]\n").config.build_flags


def test_docker_media_types_have_no_attestations_and_no_annotations(tmp_path):
    docker = BASE + "media_type: docker\n"
    assert load(tmp_path, docker).config.attestations.provenance is False
    assert load(tmp_path, docker + "attestations: {sbom: false}\n").config.attestations.provenance is False
    assert "attestations.provenance: media_type docker" in problem(
        tmp_path, docker + "attestations: {provenance: min}\n"
    )
    assert "attestations.sbom: media_type docker" in problem(
        tmp_path, docker + "attestations: {sbom: true}\n"
    )
    assert "annotations: media_type docker" in problem(tmp_path, docker + "annotations: {a: b}\n")
    entry = "version: 1\nimage: a/b\nplatforms: [{name: amd64, annotations: {a: b}}]\nmedia_type: docker\n"
    assert "platforms.0.annotations: media_type docker" in problem(tmp_path, entry)


def test_all_problems_are_in_one_error_in_the_order_of_the_file(tmp_path):
    error = load_error(tmp_path, BASE + "args: {A: '${NOPE}'}\ntimeout: never\ntagz: [a]\n")
    keys = [text.split(": ")[1] for text in error.message.splitlines()]
    assert keys == ["args.A", "timeout", "tagz"]
    assert "(perhaps you meant 'tags')" in error.message.splitlines()[2]


def test_anchors_and_merge_keys_are_supported(tmp_path):
    config = load(
        tmp_path,
        "version: 1\nimage: a/b\nplatforms:\n  - &one {name: amd64, timeout: 1h, args: {A: 1}}\n"
        "  - {<<: *one, name: arm64}\n",
    ).config
    assert (config.platforms[1].timeout, config.platforms[1].args) == (3600, {"A": "1"})


def test_flags_override_the_file(tmp_path):
    config = load(
        tmp_path,
        BASE,
        tags=("1.0", "1.0"),
        builder="container",
        jobs="4",
        fail_fast=True,
        sets=(
            "publish.on_missing=carry",
            "args.V=1.10",
            "args.EMPTY=",
            "labels.org.example.a=b",
            "platforms.linux/amd64.required=false",
            "platforms.1.timeout=3m",
            "registries.localhost:5000.insecure=true",
            "destinations=[x/y]",
            "publish.staging={image}-{arch}:{tag}",
        ),
    ).config
    assert (config.tags, config.builder, config.jobs, config.fail_fast) == (("1.0",), "container", 4, True)
    assert (config.publish.on_missing, config.publish.staging) == ("carry", "{image}-{arch}:{tag}")
    assert config.args == {"V": "1.10", "EMPTY": ""}
    assert config.labels == {"org.example.a": "b"}
    assert (config.platforms[0].required, config.platforms[1].timeout) == (False, 180)
    assert config.registries["localhost:5000"].insecure
    assert config.destinations == ("x/y",)


@pytest.mark.parametrize("name", ["aarch64", "linux/arm64", "arm64", "linux/arm64/v8", "1"])
def test_set_selects_a_platform_in_any_spelling(tmp_path, name):
    text = "version: 1\nimage: a/b\nplatforms: [amd64, aarch64]\n"
    config = load(tmp_path, text, sets=(f"platforms.{name}.timeout=3m",)).config
    assert [entry.timeout for entry in config.platforms] == [None, 180]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"sets": ("tags.0=x",)}, "--set tags.0: tags: must be a list"),
        ({"sets": ("image.x=1",)}, "image is no mapping"),
        ({"sets": ("timeout=never",)}, "--set timeout: timeout: must be a duration"),
        ({"sets": ("args=[",)}, "--set args:1:2: is not YAML"),
    ],
)
def test_problems_of_flags_name_the_flag(tmp_path, flags, message):
    assert message in load_error(tmp_path, BASE, **flags).message


def test_a_registry_is_insecure_when_configured_or_on_loopback(tmp_path):
    config = load(tmp_path, BASE + "registries: {'r.example.org:5000': {insecure: true}}\n").config
    for host in ("r.example.org:5000", "localhost", "localhost:5000", "127.1.2.3:80", "[::1]:5000"):
        assert config.is_insecure(host)
    for host in ("r.example.org", "192.0.2.1:5000", "localhost.example.org"):
        assert not config.is_insecure(host)


@pytest.mark.parametrize("files", ["ca: ca.pem", "cert: c.pem, key: k.pem"])
def test_a_registry_on_loopback_with_files_for_tls_has_tls(tmp_path, files):
    config = load(tmp_path, BASE + f"registries: {{'localhost:5000': {{{files}}}}}\n").config
    assert not config.is_insecure("localhost:5000")
    assert config.registry_settings["localhost:5000"].address == "https://localhost:5000"
    assert config.is_insecure("localhost:5001")


@pytest.mark.parametrize(("name", "other"), [("cert", "key"), ("key", "cert")])
def test_a_client_certificate_has_two_files(tmp_path, name, other):
    error = load_error(tmp_path, BASE + f"registries: {{r.example.org: {{{name}: x.pem}}}}\n")
    assert f"registries.r.example.org.{name}" in error.message
    assert f"{other} is not there" in error.message


def test_the_canonical_form_is_the_same_for_the_same_result(tmp_path):
    text = "platforms: [{name: linux/arm64/v8, required: true}]\nimage: a/b\nversion: 1\n"
    same = "version: 1\nimage: a/b\nplatforms: [aarch64]\ntags: [latest]\njobs: 3\ntimeout: 9h\n"
    assert load(tmp_path, text).canonical == load(tmp_path, same).canonical
    assert load(tmp_path, text).canonical != load(tmp_path, text + "target: x\n").canonical
    assert json.loads(load(tmp_path, text).canonical)["image"] == "a/b"


def test_ca_files_are_relative_to_the_project(tmp_path):
    loaded = load(
        tmp_path, BASE + "registries: {r.example.org: {ca: certs/ca.pem, cert: c.pem, key: /k.pem}}\n"
    )
    options = loaded.config.registries["r.example.org"]
    assert (options.ca, options.cert) == (str(tmp_path / "certs/ca.pem"), str(tmp_path / "c.pem"))
    assert options.key == "/k.pem"
    assert str(tmp_path) not in loaded.canonical


def test_surrogate_pairs_in_json_escapes_are_joined(tmp_path):
    loaded = load(tmp_path, BASE + 'labels: {"animal": "\\ud83d\\udc18 é"}\n')
    assert loaded.config.labels["animal"] == "\U0001f418 é"
    assert "half a character" in load_error(tmp_path, BASE + 'labels: {"animal": "\\ud83d"}\n').message


def limited(limit):
    return f"version: 1\nimage: r.example/app\nplatforms: [{{name: arm64, {limit}}}]\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 2**29), ("2g", 2**31), ("1.5GB", 3 * 2**29), ("8388608", 2**23), ("8192k", 2**23)],
)
def test_memory_of_steps_is_in_bytes(tmp_path, text, size):
    assert load(tmp_path, limited(f"memory: {text}")).config.platforms[0].memory == size


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("memory: 5m", "must be from 6m to 1024t, not '5m'"),
        ("memory: 2 gigs", "must be a size of memory, not '2 gigs'"),
        ("memory: -1", "must be a size of memory, not '-1'"),
        ("memory: [1g]", "must be a size of memory, not a list"),
        ("cpus: 0", "0.01"),
        ("cpus: many", "number"),
    ],
)
def test_limits_that_mean_nothing_are_errors(tmp_path, limit, message):
    assert message in load_error(tmp_path, limited(limit)).message


def test_limits_of_steps_do_not_change_what_is_built(tmp_path):
    with_limits = load(tmp_path, limited("memory: 1g, cpus: 2"))
    assert with_limits.canonical == load(tmp_path, limited("required: true")).canonical
