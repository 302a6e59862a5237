import base64
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import ENGINE, builder

from multibuild.host.buildkitd import (
    registry_settings,
    same_configuration,
    unknown_registries,
    with_registries,
)

CA = {"ca": ["/etc/ssl/box.pem"]}
# As buildx 0.29 listed a builder that was made with `ca = ["/tmp/ca.pem"]` and one key per table.
LISTED = b"""
[registry]

  [registry."box:5000"]
    http = true

  [registry."tls.box"]
    ca = ["/etc/buildkit/certs/tls.box/ca.pem"]

[worker]

  [worker.oci]
    gc = true
    max-parallelism = 12
"""
WANTED = """
[worker.oci]
  max-parallelism = 12
  gc = true
[registry."box:5000"]
  http = true
[registry."tls.box"]
  ca = ["/tmp/ca.pem"]
"""
FILES = {
    "buildkitd.toml": base64.b64encode(LISTED).decode(),
    "certs/tls.box/ca.pem": base64.b64encode(b"PEM").decode(),
}


def read(path: Path) -> bytes:
    assert path == Path("/tmp/ca.pem")
    return b"PEM"


def test_another_spelling_is_the_same():
    assert same_configuration(WANTED, FILES, read)


@pytest.mark.parametrize(
    "changed",
    [WANTED.replace("12", "4"), WANTED.replace("http = true", "http = false"), WANTED + "x = 1\n", ""],
)
def test_other_values_are_not(changed):
    assert not same_configuration(changed, FILES, read)


def test_nor_is_another_certificate():
    assert not same_configuration(WANTED, FILES, lambda _path: b"NEW")


def test_registries_are_added_and_those_of_the_author_left():
    text = with_registries('[registry."a:1"]\n  mirrors = ["m"]\n', {"a:1": {"http": True}, "b:1": CA})
    assert text.count('[registry."a:1"]') == 1
    assert '[registry."b:1"]\n  ca = ["/etc/ssl/box.pem"]\n' in text
    assert with_registries("", {}) == ""


def test_what_a_config_says_of_a_registry():
    assert registry_settings({"insecure": True, "ca": None}) == {"http": True}
    assert registry_settings({"insecure": False, "ca": "/etc/ssl/box.pem"}) == CA
    assert registry_settings({"insecure": False, "ca": None}) == {}


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("docker", "daemon.json"),
        ("remote", "buildkitd.toml that the machine behind it has"),
        ("docker-container", "buildkitd.toml that it was made with"),
    ],
)
def test_a_builder_that_was_not_told_is_named_with_the_place(driver, words):
    (trouble,) = unknown_registries(builder("x", driver), ENGINE, {"box:5000": {"http": True}})
    assert "box:5000" in trouble
    assert words in trouble


def test_one_that_was_told_is_not():
    found = builder("x")
    told = replace(found, nodes=(replace(found.nodes[0], files=FILES),))
    assert unknown_registries(told, ENGINE, {"box:5000": {"http": True}}) == ()
    engine = replace(ENGINE, insecure=("box:5000",))
    assert unknown_registries(builder("default", "docker"), engine, {"box:5000": {"http": True}}) == ()


def test_a_ca_for_the_engine_has_a_place_of_its_own():
    (trouble,) = unknown_registries(builder("default", "docker"), ENGINE, {"tls.box": CA})
    assert "behind a CA of its own" in trouble
    assert "/etc/docker/certs.d/tls.box/ca.crt" in trouble
