"""The exact commands of cosign: as versions 2 and 3 take them, for each kind of key and registry."""

import json
import os
from pathlib import Path

import pytest
from fakes.cosign import FakeCosign
from fakes.images import OCI_INDEX, put_image
from fakes.registry_server import FakeRegistry
from waiting import NEVER_S, PATIENCE_S

from multibuild.child_process import ChildStopped
from multibuild.config.publishing.sign import Sign
from multibuild.errors import VerificationFailed
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.publish.cosign import Cosign, CosignFailed, registry_flags
from multibuild.publish.move_tags import Publication
from multibuild.publish.require_signature import require_signature
from multibuild.publish.sign import Signer

INDEX = Manifest.of(
    json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode(), OCI_INDEX
)
HTTP = ("--allow-http-registry",)
PLAIN = ["sign", "--yes", "--timeout", "300s"]


@pytest.fixture
def registry():
    with FakeRegistry() as found:
        found.put("app", INDEX.content, INDEX.media_type)
        yield found


@pytest.fixture
def cosign(tmp_path, monkeypatch):
    fake = FakeCosign(tmp_path / "bin")
    fake.write_key(tmp_path / "cosign.key")
    monkeypatch.setenv("PATH", fake.path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return fake


def sign(registry, folder, section, settings=None):
    """Sign an empty index; everything is real but the program."""
    repository = Reference.parse(f"{registry.host}/app")
    with RegistrySession({}, on_wait=print) as session:
        publication = Publication(
            index=INDEX,
            destinations=(Destination(repository=repository, tags=()),),
            sources=(),
            stores=session,
            emit=lambda _event, /: None,
        )
        section = Sign.model_validate(section)
        registries = {registry.host: settings} if settings else {}
        Signer(
            sign=section,
            project=folder,
            registries=registries,
            cosign=Cosign(timeout_s=section.timeout),
            say=print,
        )(publication)
    return str(repository.with_digest(INDEX.digest))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"key": "cosign.key"}, [*PLAIN, "--key", "{folder}/cosign.key"]),
        ({"key": "env:COSIGN_KEY"}, [*PLAIN, "--key", "env://COSIGN_KEY"]),
        ({"key": "awskms:///alias/release"}, [*PLAIN, "--key", "awskms:///alias/release"]),
        ({"keyless": True}, [*PLAIN, "--fulcio-auth-flow", "token"]),
        (
            {"key": "cosign.key", "tlog": False, "timeout": "90s"},
            ["sign", "--yes", "--timeout", "90s", "--key", "{folder}/cosign.key", "--tlog-upload=false"],
        ),
    ],
    ids=["file", "variable", "service", "keyless", "no log"],
)
def test_a_signature(registry, cosign, tmp_path, monkeypatch, section, words):
    monkeypatch.setenv("COSIGN_KEY", (tmp_path / "cosign.key").read_text())
    reference = sign(registry, tmp_path, section)
    expected = [word.format(folder=tmp_path) for word in words]
    assert cosign.calls == [[*expected, *HTTP, reference]]


def test_version_3_without_the_log_needs_another_flag(registry, tmp_path, monkeypatch):
    cosign = FakeCosign(tmp_path / "bin", version=3)
    cosign.write_key(tmp_path / "cosign.key")
    monkeypatch.setenv("PATH", cosign.path)
    reference = sign(registry, tmp_path, {"key": "cosign.key", "tlog": False})
    key = ["--key", f"{tmp_path}/cosign.key"]
    log = ["--tlog-upload=false", "--use-signing-config=false"]
    assert cosign.calls == [[*PLAIN, *key, *log, *HTTP, reference]]


@pytest.mark.parametrize(("tlog", "more"), [(True, []), (False, ["--insecure-ignore-tlog=true"])])
def test_a_signature_that_may_be_there_already(registry, cosign, tmp_path, tlog, more):
    section = {"key": "cosign.key", "tlog": tlog}
    reference = sign(registry, tmp_path, section)
    done = len(cosign.calls)
    sign(registry, tmp_path, section)
    public = ["--key", "env://MULTIBUILD_COSIGN_PUBLIC_KEY"]
    assert cosign.calls[done:] == [
        ["public-key", "--key", f"{tmp_path}/cosign.key"],
        ["verify", *public, *more, *HTTP, reference],
    ]


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        (RegistrySettings(host="r.example"), ()),
        (RegistrySettings(host="localhost:5000"), HTTP),
        (RegistrySettings(host="127.0.0.1:5000"), HTTP),
        (RegistrySettings(host="r.lan:5000", insecure=True), (*HTTP, "--allow-insecure-registry")),
        (RegistrySettings(host="localhost:5000", ca=Path("/ca.pem")), ("--registry-cacert", "/ca.pem")),
        (
            RegistrySettings(host="r.example", ca=Path("/ca.pem"), cert=Path("/c.pem"), key=Path("/k.pem")),
            (
                *("--registry-cacert", "/ca.pem"),
                *("--registry-client-cert", "/c.pem", "--registry-client-key", "/k.pem"),
            ),
        ),
    ],
)
def test_a_registry(settings, flags):
    assert registry_flags(settings) == flags


def test_the_certificates_of_docker_are_cosigns_too(tmp_path, monkeypatch):
    folder = tmp_path / "docker/certs.d/r.example"
    folder.mkdir(parents=True)
    for name in ("ca.crt", "client.cert", "client.key"):
        (folder / name).touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert registry_flags(RegistrySettings(host="r.example")) == (
        *("--registry-cacert", str(folder / "ca.crt")),
        *("--registry-client-cert", str(folder / "client.cert")),
        *("--registry-client-key", str(folder / "client.key")),
    )


def test_a_signature_that_a_promotion_requires(registry, cosign, tmp_path):
    digest = put_image(registry, "app")
    reference = Reference.parse(f"{registry.host}/app@{digest}")
    (tmp_path / "cosign.pub").write_text("k")
    with pytest.raises(VerificationFailed, match="is not signed by"):
        require_signature(str(tmp_path / "cosign.pub"), reference, RegistrySettings(host=registry.host))
    assert cosign.calls == [["verify", "--key", f"{tmp_path}/cosign.pub", *HTTP, str(reference)]]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("hang", "cosign does not answer within 0.5s"),
        ("flood", "cosign prints more than 16"),
        ("kill", "cosign says: nothing, and ends with signal 9"),
        ("the key is revoked", "cosign says: the key is revoked"),
    ],
)
def test_a_program_that_fails(cosign, answer, words):
    cosign.answer(version=[answer])
    with pytest.raises(CosignFailed) as caught:
        Cosign(timeout_s=0.5 if answer == "hang" else PATIENCE_S).run(("version",))
    assert words in caught.value.message


def test_a_program_is_ended_when_the_run_is_interrupted(cosign):
    cosign.answer(version=["hang"])
    with pytest.raises(ChildStopped):
        Cosign(timeout_s=NEVER_S, is_stopped=lambda: bool(cosign.calls)).run(("version",))


def test_no_secret_of_its_environment_is_in_a_message(cosign):
    cosign.answer(version=["password hunter22 does not open c2VjcmV0 at https://me:hunter33@kms.example/"])
    environ = {
        **os.environ,
        "COSIGN_PASSWORD": "hunter22",
        "SIGNER": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n",
    }
    with pytest.raises(CosignFailed) as caught:
        Cosign(timeout_s=PATIENCE_S, environ=environ).run(("version",))
    assert caught.value.message == "cosign says: password *** does not open *** at https://***@kms.example/"


@pytest.mark.parametrize(
    ("words", "is_transient"),
    [
        # cosign 2.5.0 and 3.1.1, from runs of them
        ('accessing image: Get "https://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused', True),
        ('signing digest: Post "https://rekor.sigstore.dev/api/v1/log/entries": dial tcp: lookup rekor.sigstore.dev: no such host', True),
        ("signing digest: PUT https://r.example/v2/a/manifests/b: unexpected status code 503 Service Unavailable", True),
        ("signing digest: [POST /api/v1/log/entries][502] createLogEntryDefault", True),
        ("signing digest: context deadline exceeded", True),
        ("decrypt: encrypted: decryption failed", False),
        ("open cosign.key: no such file or directory", False),
        ("PUT https://r.example/v2/a/manifests/b: UNAUTHORIZED: authentication required; []", False),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", False),
    ],
)  # fmt: skip
def test_what_may_pass_is_told_from_what_stays(cosign, words, is_transient):
    cosign.answer(version=[words])
    with pytest.raises(CosignFailed) as caught:
        Cosign(timeout_s=PATIENCE_S, start=cosign.run).run(("version",))
    assert caught.value.is_transient is is_transient
