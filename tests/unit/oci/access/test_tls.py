"""TLS: client certificates and authorities from config and docker's folders, TLS on loopback, what fails in words."""

import socket
import threading
from pathlib import Path

import pytest
from fakes.certificates import Authority, joined, openssl
from fakes.images import OCI
from fakes.recording_server import Answer, RecordingServer
from fakes.registry_server import FakeRegistry
from fakes.tunnel import Tunnel

from multibuild.errors import EnvironmentFault
from multibuild.oci.access.connection_errors import ROWS, error_of_transport
from multibuild.oci.access.tls import with_docker_certificates
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

NAME = "registry.test"
ONCE = RetryPolicy(tries=1, unreachable_s=0.0)
MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}'
)
OK = Answer(body=MANIFEST, headers={"Content-Type": OCI})
LOCAL = "DNS:registry.test,DNS:localhost,IP:127.0.0.1"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An authority, a server's certificate of it, a client's, and one of another authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    server = joined(folder, "server", *authority.issue("server", names=LOCAL))
    return authority, server, authority.issue("client"), stranger.issue("other")


@pytest.fixture
def mutual(files):
    """A registry on loopback that wants client certificates."""
    authority, server, _, _ = files
    with RecordingServer(lambda seen: OK, tls=server, client_ca=authority.certificate) as registry:
        yield registry


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def read(host, **settings):
    with Registry(RegistrySettings(host=host, **settings), retry=ONCE) as registry:
        return registry.manifest(Reference(host=host, repository="a", tag="1"))


def failure(host, **settings):
    with pytest.raises(RegistryError) as caught:
        read(host, **settings)
    assert host in caught.value.message
    return caught.value


def certificates(folder: Path, host: str, **contents: Path | bytes) -> Path:
    """Make docker's folder for a registry: `ca_crt=FILE` becomes ca.crt."""
    own = folder / host
    own.mkdir(parents=True)
    for name, content in contents.items():
        (own / name.replace("_", ".")).write_bytes(
            content if isinstance(content, bytes) else content.read_bytes()
        )
    return own


# -- on loopback


def test_a_ca_for_a_registry_on_loopback_is_used(files):
    authority, server, _, _ = files
    with RecordingServer(lambda seen: OK, tls=server) as registry:
        assert read(registry.host, ca=authority.certificate)
        assert read(f"localhost:{registry.port}", ca=authority.certificate)


def test_tls_on_loopback_without_a_ca_is_told(files):
    """Python's server closes a connection that speaks no TLS; Go's and nginx' say so (test_answers)."""
    with RecordingServer(lambda seen: OK, tls=files[1]) as registry:
        assert failure(registry.host).kind == "unreachable"
        strange = files[3][0]
        assert failure(registry.host, ca=strange).kind == "tls"
        assert "ca: FILE" in str(failure(registry.host, ca=strange).hint)


def test_a_registry_on_loopback_without_tls_files_is_plain_http():
    assert RegistrySettings(host="localhost:5000").is_plain_http
    assert RegistrySettings(host="localhost:5000", insecure=True, ca=Path("/ca")).is_plain_http
    assert not RegistrySettings(host="localhost:5000", cert=Path("/c"), key=Path("/k")).is_plain_http


# -- client certificates


def test_a_client_certificate_of_the_config_is_presented(files, mutual):
    authority, _, (cert, key), _ = files
    assert read(mutual.host, ca=authority.certificate, cert=cert, key=key)


def test_without_a_client_certificate_it_is_told(files, mutual):
    error = failure(mutual.host, ca=files[0].certificate)
    assert error.kind == "tls"
    assert "client certificate" in error.message
    assert "cert: FILE, key: FILE" in str(error.hint)
    assert mutual.seen == []


def test_a_client_certificate_of_another_authority_is_told(files, mutual):
    authority, _, _, (cert, key) = files
    error = failure(mutual.host, ca=authority.certificate, cert=cert, key=key)
    assert error.kind == "tls"
    assert "does not accept this client certificate" in error.message


def test_the_folder_of_docker_is_read(files, mutual, tmp_path):
    authority, _, (cert, key), _ = files
    certificates(tmp_path, mutual.host, ca_crt=authority.certificate, client_cert=cert, client_key=key)
    settings = with_docker_certificates(RegistrySettings(host=mutual.host), {}, system=tmp_path)
    assert settings.certificates == tmp_path / mutual.host
    assert read(mutual.host, certificates=settings.certificates)


def test_a_certificate_of_the_config_comes_before_dockers(files, mutual, tmp_path):
    authority, _, (cert, key), (other, other_key) = files
    own = certificates(
        tmp_path, mutual.host, ca_crt=authority.certificate, client_cert=other, client_key=other_key
    )
    assert read(mutual.host, certificates=own, cert=cert, key=key)
    assert failure(mutual.host, certificates=own).kind == "tls"


def test_several_authorities_of_a_folder_are_trusted(files, tmp_path):
    authority, server, _, (other, _) = files
    own = certificates(tmp_path, NAME, a_crt=other, b_crt=authority.certificate, c_txt=b"notes")
    with RecordingServer(lambda seen: OK, tls=server) as registry:
        assert read(registry.host, certificates=own)


def test_a_client_certificate_goes_to_no_other_host(files):
    """Not to the blob store or mirror that the registry leads to, though its authority is trusted there too."""
    authority, server, (cert, key), _ = files
    settings = {"ca": authority.certificate, "cert": cert, "key": key}
    asking = {"tls": server, "client_ca": authority.certificate, "wants_certificate": False}
    with RecordingServer(lambda seen: OK, **asking) as other:
        location = {"Location": f"https://{other.host}/v2/a/manifests/1"}
        with RecordingServer(lambda seen: Answer(307, headers=location), **asking) as registry:
            assert read(registry.host, **settings)
        assert [seen.has_certificate for seen in registry.seen] == [True]
        assert [seen.has_certificate for seen in other.seen] == [False]
        assert read(other.host, **settings)
        assert other.seen[-1].has_certificate, "it asks for one, and gets it as a registry"


def test_a_token_service_of_the_registry_gets_its_client_certificate(files):
    """Which BuildKit does not send there (its issue 6416)."""
    authority, server, (cert, key), _ = files

    def answer(seen):
        if seen.path == "/token":
            return Answer(body=b'{"token": "t"}')
        realm = f"https://{seen.headers['Host']}/token"
        refusal = Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
        return OK if seen.authorization == "Bearer t" else refusal

    with RecordingServer(answer, tls=server, client_ca=authority.certificate) as registry:
        assert read(registry.host, ca=authority.certificate, cert=cert, key=key)
        assert "/token" in registry.paths()


def test_a_client_certificate_works_behind_a_proxy(files, mutual, monkeypatch):
    authority, _, (cert, key), _ = files
    with Tunnel(mutual.host) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        assert read(NAME, ca=authority.certificate, cert=cert, key=key)
        assert failure(NAME, ca=authority.certificate).kind == "tls"


# -- docker's folders


def test_where_the_folders_are(tmp_path):
    system, home = tmp_path / "system", tmp_path / "home"
    settings = RegistrySettings(host="r.example.org:5000")
    assert with_docker_certificates(settings, {"HOME": str(home)}, system=system) == settings
    certificates(system, "r.example.org:5000", hosts_toml=b"")
    assert with_docker_certificates(settings, {"HOME": str(home)}, system=system) == settings, (
        "nothing of TLS"
    )
    of_system = certificates(tmp_path / "other", "r.example.org:5000", ca_crt=b"x")
    assert with_docker_certificates(settings, {}, system=of_system.parent).certificates == of_system
    of_user = certificates(home / ".config" / "docker" / "certs.d", "r.example.org:5000", ca_crt=b"x")
    assert (
        with_docker_certificates(settings, {"HOME": str(home)}, system=of_system.parent).certificates
        == of_user
    )
    of_config = certificates(tmp_path / "xdg" / "docker" / "certs.d", "r.example.org:5000", ca_crt=b"x")
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert with_docker_certificates(settings, environ, system=of_system.parent).certificates == of_config
    long = RegistrySettings(host="a." * 200 + "test")
    assert with_docker_certificates(long, environ, system=of_system.parent) == long, "no folder has this name"
    other = RegistrySettings(host="r.example.org")
    assert with_docker_certificates(other, environ, system=of_system.parent) == other, (
        "the port is part of it"
    )


BROKEN = {
    "a certificate without its key": ({"client_cert": b"x"}, "without its key client.key"),
    # distribution/distribution issue 1371: the registry's own domain.crt and domain.key, put into the folder
    "a key without its certificate": ({"domain_key": b"x"}, "not there: domain.cert"),
    "a certificate that is none": ({"client_cert": b"x", "client_key": b"y"}, "no certificate and its key"),
    "an authority that is none": ({"ca_crt": b"x"}, "no usable certificate"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_files_that_are_unusable_are_named(tmp_path, case):
    contents, words = BROKEN[case]
    own = certificates(tmp_path, NAME, **contents)
    with pytest.raises(EnvironmentFault, match=words) as caught:
        Registry(RegistrySettings(host=NAME, certificates=own))
    assert str(own) in caught.value.message
    assert caught.value.hint


def test_a_key_of_another_certificate_is_named(files):
    _, _, (cert, _), (_, key) = files
    with pytest.raises(EnvironmentFault, match=rf"registries\.{NAME}\.cert.*no certificate and its key"):
        Registry(RegistrySettings(host=NAME, cert=cert, key=key))


def test_a_key_that_is_not_there_is_named(files, tmp_path):
    with pytest.raises(EnvironmentFault, match=r"gone\.key cannot be read"):
        Registry(RegistrySettings(host=NAME, cert=files[2][0], key=tmp_path / "gone.key"))


def test_an_encrypted_key_asks_nobody(files, tmp_path):
    """Python asks for the passphrase on the terminal by default, and waits."""
    encrypted = tmp_path / "encrypted.key"
    openssl("pkey", "-in", files[2][1], "-aes256", "-passout", "pass:s3cret", "-out", encrypted)
    with pytest.raises(EnvironmentFault, match="is encrypted"):
        Registry(RegistrySettings(host=NAME, cert=files[2][0], key=encrypted))


# -- words


def test_an_expired_certificate_is_told(files, tmp_path):
    authority = Authority(tmp_path)
    server = joined(tmp_path, "expired", *authority.issue("expired", names=LOCAL, days=-1))
    with RecordingServer(lambda seen: OK, tls=server) as registry:
        error = failure(registry.host, ca=authority.certificate)
    assert "has expired" in error.message
    assert "clock" in str(error.hint)


def test_a_certificate_of_another_name_is_told(files, tmp_path):
    authority = Authority(tmp_path)
    server = joined(tmp_path, "named", *authority.issue("named", names="DNS:other.example.org"))
    with RecordingServer(lambda seen: OK, tls=server) as registry:
        error = failure(registry.host, ca=authority.certificate)
    assert "for another name, not 127.0.0.1" in error.message


def test_a_server_without_tls_is_told(files):
    with FakeRegistry() as registry:
        error = failure(registry.host, ca=files[0].certificate)
    assert "speaks plain http" in error.message
    assert "insecure: true" in str(error.hint)


TEXTS = [
    ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)", "client certificate"),
    ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure (_ssl.c:1006)", "client certificate"),
    ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate (_ssl.c:2580)", "does not accept this"),
    ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2580)", "does not accept this"),
    ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:2580)", "does not accept this"),
    ("[SSL: TLSV1_ALERT_ACCESS_DENIED] tlsv1 alert access denied (_ssl.c:1006)", "does not accept this"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)", "expired"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid (_ssl.c:1)", "valid yet"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not", "another name"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch, certificate is", "another name"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)", "not trusted"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate", "not trusted"),
    ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "plain http"),
    ("[SSL] record layer failure (_ssl.c:1006)", "plain http"),
    ("[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol (_ssl.c:1006)", "too old"),
    ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version (_ssl.c:1006)", "too old"),
    ("[SSL: DH_KEY_TOO_SMALL] dh key too small (_ssl.c:1006)", "too old"),
    ("[SSL: TLSV1_UNRECOGNIZED_NAME] tlsv1 unrecognized name (_ssl.c:1006)", "no certificate for the name"),
    ("[Errno -2] Name or service not known", "does not resolve"),
    ("[Errno -3] Temporary failure in name resolution", "does not resolve"),
    ("[Errno 8] nodename nor servname provided, or not known", "does not resolve"),
    ("[Errno -5] No address associated with hostname", "does not resolve"),
    ("[Errno 111] Connection refused", "cannot be reached: Connection refused"),
    ("[Errno 113] No route to host", "cannot be reached: No route to host"),
    ("", "cannot be reached: ConnectionError"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), TEXTS)
def test_failures_below_http_in_words(text, words):
    error = error_of_transport("r.example.org:5443", "reading x", ConnectionError(text))
    assert words in error.message
    assert "r.example.org" in error.message
    assert error.hint
    assert "_ssl.c" not in error.message


def test_every_row_has_a_text():
    for row in ROWS:
        assert any(any(word in text.lower() for word in row.words) for text, _ in TEXTS), row.words


def test_a_server_that_closes_during_the_handshake_is_unreachable(files):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        assert failure(host, ca=files[0].certificate).kind == "unreachable"
