import base64
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import ENGINE, builder

from multibuild.host.buildkitd_toml import (
    buildkit_settings,
    listed_files,
    registry_warnings,
    same_configuration,
    with_registries,
)
from multibuild.oci.registry_settings import RegistrySettings

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
EXPECTED = """
[worker.oci]
  max-parallelism = 12
  gc = true
[registry."box:5000"]
  http = true
[registry."tls.box"]
  ca = ["/tmp/ca.pem"]
"""
FILES = {"buildkitd.toml": LISTED, "certs/tls.box/ca.pem": b"PEM"}
LISTED_FILES = {path: base64.b64encode(content).decode() for path, content in FILES.items()}


def read(path: Path) -> bytes:
    assert path == Path("/tmp/ca.pem")
    return b"PEM"


def test_another_spelling_of_the_toml_is_the_same_configuration():
    assert same_configuration(EXPECTED, FILES, read)


@pytest.mark.parametrize(
    "changed",
    [EXPECTED.replace("12", "4"), EXPECTED.replace("http = true", "http = false"), EXPECTED + "x = 1\n", ""],
)
def test_other_values_are_another_configuration(changed):
    assert not same_configuration(changed, FILES, read)


def test_another_certificate_is_another_configuration():
    assert not same_configuration(EXPECTED, FILES, lambda _path: b"NEW")


def test_registries_are_added_and_the_authors_own_stay():
    text = with_registries('[registry."a:1"]\n  mirrors = ["m"]\n', {"a:1": {"http": True}, "b:1": CA})
    assert text.count('[registry."a:1"]') == 1
    assert '[registry."b:1"]\n  ca = ["/etc/ssl/box.pem"]\n' in text
    assert with_registries("", {}) == ""


def test_the_settings_of_an_insecure_registry_and_of_one_with_a_ca():
    def settings_of(host, **options):
        return buildkit_settings(host, RegistrySettings(host=host, **options))

    authority = Path("/etc/ssl/box.pem")
    assert settings_of("box:5000", insecure=True) == {"http": True}
    assert settings_of("box:5000", ca=authority) == CA
    assert settings_of("box:5000") == settings_of("localhost:5000", insecure=True) == {}
    # BuildKit takes loopback for plain http, whatever CA it is given.
    assert settings_of("localhost:5000", ca=authority) == {"http": False, **CA}


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("docker", "daemon.json"),
        ("remote", "buildkitd.toml that the machine behind it has"),
        ("docker-container", "buildkitd.toml that it was made with"),
    ],
)
def test_a_warning_names_the_registry_and_where_its_settings_belong(driver, words):
    (warning,) = registry_warnings(builder("x", driver), ENGINE, {"box:5000": {"http": True}})
    assert "box:5000" in warning
    assert words in warning


def test_a_builder_with_the_settings_has_no_warning():
    plain = builder("x")
    configured = replace(plain, nodes=(replace(plain.nodes[0], files=LISTED_FILES),))
    assert registry_warnings(configured, ENGINE, {"box:5000": {"http": True}}) == ()
    engine = replace(ENGINE, insecure=("box:5000",))
    assert registry_warnings(builder("default", "docker"), engine, {"box:5000": {"http": True}}) == ()


def test_the_ca_of_the_engines_own_builder_belongs_in_certs_d():
    (warning,) = registry_warnings(builder("default", "docker"), ENGINE, {"tls.box": CA})
    assert "behind a CA of its own" in warning
    assert "/etc/docker/certs.d/tls.box/ca.crt" in warning


@pytest.mark.parametrize(
    "content",
    [
        b"registry = 1", b"registry = [1]", b"[registry]\nx = 1", b'[registry."x"]\nca = 1', b'[registry."x"]\nca = [1]',
        b'[registry."x"]\nkeypair = [1]', b'[registry."x"]\nkeypair = [{key = 1}]', b"\xff\xfe", b"a = " + b"[" * 5000,
        b"a = " + b"9" * 5000, b'[registry."x"]\nca = ["\\u0000"]',
    ],
)  # fmt: skip
def test_a_builders_configuration_of_another_shape_is_another_configuration(content):
    files = {"buildkitd.toml": base64.b64encode(content).decode()}
    assert not same_configuration(EXPECTED, listed_files(files), read)
    node = replace(builder("b", "docker-container").nodes[0], files=files)
    assert registry_warnings(
        replace(builder("b", "docker-container"), nodes=(node,)),
        ENGINE,
        {"registry.example.org": {"http": True}},
    )


@pytest.mark.parametrize("text", ["é", "A", "====", "%"])
def test_a_builders_file_that_is_not_base64_is_another_configuration(text):
    assert not same_configuration(EXPECTED, listed_files({"buildkitd.toml": text}), read)


PAIR = {"keypair": [{"key": "/etc/ssl/box.key", "cert": "/etc/ssl/box.cert"}]}


def test_a_client_certificate_is_written_as_buildkit_reads_it():
    settings = RegistrySettings(host="box", cert=Path("/etc/ssl/box.cert"), key=Path("/etc/ssl/box.key"))
    assert buildkit_settings("box:5000", settings) == PAIR
    assert buildkit_settings("localhost:5000", settings) == {"http": False, **PAIR}
    text = with_registries("", {"box:5000": {**CA, **PAIR}})
    assert tomllib.loads(text)["registry"]["box:5000"] == {**CA, **PAIR}


def test_the_client_certificate_of_the_engines_own_builder_belongs_in_certs_d():
    (warning,) = registry_warnings(builder("default", "docker"), ENGINE, {"tls.box": PAIR})
    assert "asking for a client certificate" in warning
    assert "/etc/docker/certs.d/tls.box/client.cert" in warning
    (warning,) = registry_warnings(builder("default", "docker"), ENGINE, {"tls.box": {**CA, **PAIR}})
    assert "ca.crt and the client certificate at" in warning
