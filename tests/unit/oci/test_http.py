"""Connections to a registry: TLS with a custom CA, proxies, plain http only where configured, limits."""

import socket
import time
from pathlib import Path

import fakes
import pytest
from fakes.hostile_registry import BEHAVIOURS, HostileRegistry
from fakes.images import OCI, OCI_INDEX, put_image
from fakes.registry_server import FakeRegistry, Faults
from fakes.tunnel import Tunnel

from multibuild.errors import EnvironmentFault
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.limits import Budget, HttpLimits
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

NAME = "registry.test"
CERTIFICATE = Path(fakes.__path__[0]) / "registry.test.pem"
QUICK = RetryPolicy(tries=2, initial_wait_s=0.01, max_wait_s=0.05, unreachable_s=0.1)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def read(text=f"{NAME}/app:1", **settings):
    reference = Reference.parse(text)
    with Registry(RegistrySettings(host=reference.host, **settings), retry=QUICK) as registry:
        return registry.manifest(reference)


@pytest.fixture
def remote(monkeypatch):
    """A registry with TLS under another name, behind the proxy of the environment."""
    with FakeRegistry(tls=CERTIFICATE) as registry, Tunnel(registry.host) as proxy:
        put_image(registry, "app", tag="1")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        yield registry, proxy


def test_a_custom_ca_works_through_a_proxy(remote):
    registry, proxy = remote
    assert read(ca=CERTIFICATE)
    assert proxy.targets == [f"{NAME}:443"]
    assert registry.requests("GET")


@pytest.mark.parametrize("name", ["a body at a byte a second", "a header line at a byte a second"])
def test_a_registry_with_tls_behind_a_proxy_must_make_progress_too(name, monkeypatch):
    budget = Budget(HttpLimits(window_s=0.2, min_bytes_per_s=5000))
    settings = RegistrySettings(host=NAME, ca=CERTIFICATE)
    with HostileRegistry(BEHAVIOURS[name].act, tls=CERTIFICATE) as registry, Tunnel(registry.host) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        with Registry(settings, retry=QUICK, budget=budget) as client:
            reference = Reference.parse(f"{NAME}/app:1")
            with pytest.raises(RegistryError, match=r"registry\.test is too slow.*5000 bytes a second"):
                client.manifest(reference)


def test_an_unknown_ca_is_an_error_with_the_setting_that_trusts_it(remote):
    registry, _ = remote
    with pytest.raises(RegistryError) as caught:
        read()
    assert caught.value.kind == "tls"
    assert "ca: FILE" in str(caught.value.hint)
    assert not registry.log


def test_no_proxy_bypasses_the_proxy(remote, monkeypatch):
    _, proxy = remote
    monkeypatch.setenv("NO_PROXY", NAME)
    with pytest.raises(RegistryError) as caught:
        read(ca=CERTIFICATE)
    assert caught.value.kind == "unreachable"
    assert not proxy.targets


def test_plain_http_is_not_used_unless_configured(monkeypatch):
    with FakeRegistry() as registry, Tunnel(registry.host) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        with pytest.raises(RegistryError) as caught:
            read()
        assert caught.value.kind == "tls"
        assert "insecure: true" in str(caught.value.hint)
        assert not registry.log


def test_plain_http_is_used_when_configured(monkeypatch, fake):
    put_image(fake, "app", tag="1")
    monkeypatch.setenv("HTTP_PROXY", f"http://{fake.host}")
    assert read(insecure=True)
    assert fake.log[0].path == f"http://{NAME}/v2/app/manifests/1"


def test_loopback_bypasses_the_proxy(monkeypatch, fake):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    put_image(fake, "app", tag="1")
    assert read(f"{fake.host}/app:1")


def test_loopback_with_a_ca_has_tls_that_is_verified():
    with FakeRegistry(tls=CERTIFICATE) as registry:
        put_image(registry, "app", tag="1")
        with pytest.raises(RegistryError) as caught:  # the certificate is for another name
            read(f"{registry.host}/app:1", ca=CERTIFICATE)
    assert caught.value.kind == "tls"


def test_an_unusable_ca_file_is_an_error(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(EnvironmentFault, match=r"ca\.pem"):
        Registry(RegistrySettings(host=NAME, ca=tmp_path / "ca.pem"))


def test_the_address_of_each_kind_of_registry():
    assert RegistrySettings(host="r.example.org:5000").address == "https://r.example.org:5000"
    assert RegistrySettings(host="r.example.org", insecure=True).address == "http://r.example.org"
    assert RegistrySettings(host="localhost:5000").address == "http://localhost:5000"
    assert RegistrySettings(host="localhost:5443", ca=CERTIFICATE).address == "https://localhost:5443"
    assert RegistrySettings(host="docker.io").address == "https://registry-1.docker.io"


def test_an_oversized_manifest_is_an_error(fake):
    digest = fake.put("a", b" " * (4 * 1024 * 1024 + 1), OCI)
    with pytest.raises(RegistryError, match="more than"):
        read(f"{fake.host}/a@{digest}")


def test_the_media_type_is_detected_where_the_registry_sends_a_generic_one(fake):
    digest = fake.put("a", b'{"manifests": []}', "application/json")
    manifest = read(f"{fake.host}/a@{digest}")
    assert manifest.media_type == OCI_INDEX


def test_a_registry_that_is_not_running_is_reported_quickly():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        start = time.monotonic()
        with Registry(RegistrySettings(host=host)) as registry_client, pytest.raises(RegistryError) as caught:
            registry_client.check_push("a")
    assert time.monotonic() - start < 30
    assert caught.value.kind == "unreachable"
    assert host in caught.value.message
    assert "running" in str(caught.value.hint)


def test_escape_sequences_in_a_registrys_message_are_removed(fake):
    fake.faults = Faults({1: 400})
    fake.error_message = "\x1b]0;owned\x07 its words"
    with pytest.raises(RegistryError, match="its words") as caught:
        read(f"{fake.host}/a:1")
    assert "\x1b" not in caught.value.message
