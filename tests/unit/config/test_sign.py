"""The section `sign`: one key or the job's identity, never a key itself; and the key is there before anything is built."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import LoadedConfig, load_config
from multibuild.config.publishing.sign import Sign
from multibuild.config.referenced_files import check_signing
from multibuild.errors import ConfigError
from multibuild.plan.host_facts import recorded_facts
from multibuild.plan.plan import make_plan
from multibuild.plan.plan_document import plan_document

PROJECT = Path("/project")


def loaded(folder: Path, section: str) -> LoadedConfig:
    file = folder / "multibuild.yaml"
    file.write_text(f"version: 1\nimage: r.example/a\nplatforms: [linux/amd64]\n{section}\n")
    return load_config(file, environ={}, overrides=Overrides(), now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("section", "at", "words", "hint"),
    [
        ("sign: {with: notation, key: a}", ":4:8", "must be cosign", "with: cosign"),
        ("sign: {}", ":4:1", "has neither key nor keyless", "key: env:COSIGN_KEY"),
        ("sign: {keyless: false}", ":4:1", "has neither key nor keyless", "keyless: true"),
        ("sign: {key: a, keyless: true}", ":4:16", "there is a key", "key: env:COSIGN_KEY"),
        ("sign: {keyless: true, tlog: false}", ":4:23", "needs the log", "sign with a key"),
        ("sign: {keyles: true}", ":4:8", "is no key", "keyless"),
        ("sign: {key: 'env:1A'}", ":4:8", "names no environment variable", "env:COSIGN_KEY"),
        ("sign: {key: 'env:A B'}", ":4:8", "names no environment variable", "env:COSIGN_KEY"),
        ("sign: {key: ''}", ":4:8", "names no key", "cosign.key"),
        ("sign: {key: 'awskms:// x'}", ":4:8", "names no key", "cosign.key"),
        ("sign: {key: 'pkcs11:token=a?pin-value=1234'}", ":4:8", "has the PIN", "COSIGN_PKCS11_PIN"),
        ("sign: {key: a, timeout: soon}", ":4:16", "must be a duration", "5m"),
        ("sign: {key: a}\npublish: {to: 'oci:out'}", ":4:1", "publish.to is oci:out", "to: registry"),
        ("sign: {key: a}\npublish: {to: docker}", ":4:1", "publish.to is docker", "to: registry"),
    ],
)
def test_a_mistake_has_its_place_and_the_way_to_write_it(tmp_path, section, at, words, hint):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, section)
    assert f"multibuild.yaml{at}: sign" in caught.value.message
    assert words in caught.value.message
    assert hint in str(caught.value.hint)


def test_a_key_in_the_file_is_refused_and_not_shown(tmp_path):
    with pytest.raises(ConfigError, match="is a key itself") as caught:
        loaded(tmp_path, 'sign: {key: "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\\nc2VjcmV0\\n"}')
    assert "c2VjcmV0" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    ("key", "argument", "identity"),
    [
        ("cosign.key", "/project/cosign.key", "the key cosign.key"),
        ("/keys/a.key", "/keys/a.key", "the key /keys/a.key"),
        ("env:COSIGN_KEY", "env://COSIGN_KEY", "the key in COSIGN_KEY"),
        ("env://COSIGN_KEY", "env://COSIGN_KEY", "the key in COSIGN_KEY"),
        ("awskms:///alias/release", "awskms:///alias/release", "the key awskms:///alias/release"),
        ("hashivault://release", "hashivault://release", "the key hashivault://release"),
        ("pkcs11:token=a;object=b", "pkcs11:token=a;object=b", "the key pkcs11:token=a;object=b"),
    ],
)
def test_a_key_is_a_file_a_variable_or_a_service(key, argument, identity):
    sign = Sign.model_validate({"key": key})
    assert sign.key_argument(PROJECT) == argument
    assert sign.identity == identity


def test_without_a_key_the_job_signs():
    sign = Sign.model_validate({"keyless": True})
    assert sign.key_argument(PROJECT) is None
    assert sign.identity == "the identity of the CI job"


def test_a_variable_that_is_not_set_is_found_before_anything_is_built(tmp_path):
    config = loaded(tmp_path, "sign: {key: 'env:COSIGN_KEY'}")
    for environ in ({}, {"COSIGN_KEY": ""}):
        with pytest.raises(ConfigError, match=r"sign\.key: the environment variable COSIGN_KEY is not set"):
            check_signing(config, environ)
    check_signing(config, {"COSIGN_KEY": "k"})


def test_a_file_that_is_not_there_is_found_before_anything_is_built(tmp_path):
    config = loaded(tmp_path, "sign: {key: keys/a.key}")
    with pytest.raises(ConfigError, match=rf"sign\.key: there is no file {tmp_path}/keys/a\.key"):
        check_signing(config, {})
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a.key").touch()
    check_signing(config, {})


@pytest.mark.parametrize("section", ["", "sign: {keyless: true}", "sign: {key: 'awskms:///a'}"])
def test_what_needs_no_file_and_no_variable_is_not_looked_for(tmp_path, section):
    check_signing(loaded(tmp_path, section), {})


def test_a_config_that_signs_nothing_has_the_plan_and_the_fingerprint_that_it_had(tmp_path):
    plain = loaded(tmp_path, "")
    assert "sign" not in plain.canonical
    plan = make_plan(plain, recorded_facts(None, "auto"))
    assert "sign" not in plan_document(plan)
    signed = loaded(tmp_path, "sign: {key: 'env:A', timeout: 1m}")
    assert (
        loaded(tmp_path, "sign: {key: 'env:A', timeout: 2m}").canonical == signed.canonical != plain.canonical
    )
    assert plan_document(make_plan(signed, recorded_facts(None, "auto")))["sign"] == {
        "with": "cosign",
        "key": "env:A",
        "keyless": False,
        "tlog": True,
    }
