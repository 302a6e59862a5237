"""Proxies of the environment: which one a server needs, what a broken value says, and what a proxy that fails does."""

import base64
import socket
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import fakes
import pytest
from fakes.images import put_image
from fakes.proxy_tables import BROKEN, CHOICES, EXCLUSIONS, VALUES, P
from fakes.recording_server import Answer, RecordingServer
from fakes.registry_server import FakeRegistry
from fakes.socks_server import SocksServer
from fakes.tunnel import Tunnel

from multibuild.errors import EnvironmentFault
from multibuild.oci.access.proxies import Proxies, is_excluded
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

CERTIFICATE = Path(fakes.__path__[0]) / "registry.test.pem"
NAME = "registry.test"
ONCE = RetryPolicy(tries=1, unreachable_s=0.0)


def chosen(environ, url="https://r.example.org:443"):
    """Return the address of the proxy for a server, None for a direct connection."""
    scheme, _, place = url.partition("://")
    host, _, port = place.rpartition(":")
    proxy = Proxies.of(environ).of_url(scheme, host.strip("[]"), int(port))
    return proxy and proxy.address


# -- which variable


@pytest.mark.parametrize(("environ", "scheme", "proxy"), CHOICES)
def test_the_variable_of_a_request(environ, scheme, proxy):
    assert chosen(environ, f"{scheme}://r.example.org:443") == proxy


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_cgi_program_does_not_believe_http_proxy(name):
    with pytest.raises(EnvironmentFault, match=f"{name} .*REQUEST_METHOD"):
        chosen({name: P, "REQUEST_METHOD": "GET"}, "http://r.example.org:80")
    assert chosen({name: P, "REQUEST_METHOD": "GET"}, "http://localhost:5000") is None


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]"]
)
def test_loopback_is_never_proxied(host):
    assert chosen({"HTTPS_PROXY": P, "HTTP_PROXY": "broken:port"}, f"https://{host}:5000") is None
    assert chosen({"HTTPS_PROXY": P, "HTTP_PROXY": "broken:port"}, f"http://{host}:5000") is None


@pytest.mark.parametrize(
    "host", ["localhost.example.org", "127.0.0.1.example.org", "128.0.0.1", "0.0.0.0", "[::2]"]
)
def test_what_only_looks_like_loopback_is_proxied(host):
    assert chosen({"HTTPS_PROXY": P}, f"https://{host}:5000") == P


# -- NO_PROXY


@pytest.mark.parametrize(("no_proxy", "host", "port", "excluded"), EXCLUSIONS)
def test_no_proxy(no_proxy, host, port, excluded):
    assert is_excluded(no_proxy, host, port) == excluded


# -- values


@pytest.mark.parametrize("value", VALUES)
def test_the_forms_of_a_proxy(value):
    assert chosen({"HTTPS_PROXY": value}) == VALUES[value]


@pytest.mark.parametrize(
    ("value", "login"),
    [
        ("http://me:word@p", (b"me", b"word")),
        ("http://me@p", (b"me", b"")),
        ("http://me:@p", (b"me", b"")),
        ("http://:word@p", (b"", b"word")),
        ("http://m%40e:w%3Ard%2F%23@p", (b"m@e", b"w:rd/#")),
        ("http://me:a:b@p", (b"me", b"a:b")),
        ("http://me:w@rd@p", (b"me", b"w@rd")),
        ("http://me:%ff@p", (b"me", b"\xff")),
        ("http://p", None),
    ],
)
def test_the_login_of_a_proxy(value, login):
    proxy = Proxies.of({"HTTPS_PROXY": value}).of_url("https", "r.example.org", 443)
    assert proxy is not None
    assert proxy.login == login
    assert "word" not in repr(proxy)


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_broken_value_names_its_variable(variable, value):
    if BROKEN[value] is None:  # a host of this name may exist, though none is meant
        assert chosen({variable: value})
        return
    with pytest.raises(EnvironmentFault) as caught:
        chosen({variable: value})
    text = f"{caught.value.message} {caught.value.hint}"
    assert variable in caught.value.message
    assert str(BROKEN[value]) in caught.value.message
    assert "s3cret" not in text


def test_a_broken_value_does_not_matter_where_it_is_not_used():
    environ = {"HTTPS_PROXY": "http://p:port", "NO_PROXY": "example.org"}
    assert chosen(environ) is None
    assert chosen(environ, "http://q.test:80") is None


# -- requests


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def read(host=NAME, **settings):
    with Registry(RegistrySettings(host=host, **settings), retry=ONCE) as registry:
        return registry.manifest(Reference(host=host, repository="app", tag="1"))


def failure(host=NAME, **settings):
    with pytest.raises(RegistryError) as caught:
        read(host, **settings)
    text = f"{caught.value.message} {caught.value.hint}"
    assert "s3cret" not in text
    assert base64.b64encode(b"me:s3cret").decode() not in text
    return caught.value


@pytest.fixture
def registry():
    with FakeRegistry(tls=CERTIFICATE) as fake:
        put_image(fake, "app", tag="1")
        yield fake


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("login", ["", "me:s3cret@"])
def test_a_socks_proxy_gets_the_name(registry, monkeypatch, scheme, login):
    with SocksServer(registry.host, login=(b"me", b"s3cret") if login else None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{login}{proxy.host}")
        assert read(ca=CERTIFICATE)
        assert proxy.targets == [(NAME, 443)]


def test_plain_http_goes_through_a_socks_proxy_too(monkeypatch):
    with FakeRegistry() as fake, SocksServer(fake.host) as proxy:
        put_image(fake, "app", tag="1")
        monkeypatch.setenv("HTTP_PROXY", f"socks5://{proxy.host}")
        assert read(insecure=True)
        assert proxy.targets == [(NAME, 80)]
        assert fake.log[0].path.startswith("/v2/"), "not as to a proxy"


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("192.0.2.9:5443", ("192.0.2.9", 5443)),
        ("[2001:db8::9]:5443", ("2001:db8::9", 5443)),
        ("[2001:db8::9]", ("2001:db8::9", 443)),
    ],
)
def test_addresses_behind_a_proxy(monkeypatch, host, target):
    with SocksServer(None, reply=5) as socks:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5://{socks.host}")
        assert "refuses the connection" in failure(host).message
        assert socks.targets == [target]
    with RecordingServer(lambda seen: Answer(502)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        failure(host)
        name = f"[{target[0]}]" if ":" in target[0] else target[0]
        assert [seen.target for seen in proxy.seen] == [f"{name}:{target[1]}"]
        assert proxy.seen[0].headers["Host"] == f"{name}:{target[1]}"


def test_a_proxy_with_tls_is_spoken_to_with_tls(registry, monkeypatch):
    with RecordingServer(lambda seen: Answer(502), tls=CERTIFICATE) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://me:s3cret@{proxy.host}")
        error = failure(ca=CERTIFICATE)
    assert error.kind == "tls", "its certificate is for another name"
    assert f"https://{proxy.host}" in error.message


def test_a_proxy_without_tls_that_is_called_https_is_told(monkeypatch):
    with RecordingServer(lambda seen: Answer(502)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://{proxy.host}")
        assert "HTTPS_PROXY has to begin with http://" in str(failure().hint)


@pytest.mark.parametrize("login", ["", "me:s3cret@"])
def test_a_login_goes_to_the_proxy_alone(monkeypatch, login):
    expected = f"Basic {base64.b64encode(b'me:s3cret').decode()}" if login else None
    with RecordingServer(lambda seen: Answer(502)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{login}{proxy.host}")
        failure()
        assert [seen.headers.get("Proxy-Authorization") for seen in proxy.seen] == [expected]
    with FakeRegistry() as fake:
        put_image(fake, "app", tag="1")
        monkeypatch.setenv("HTTP_PROXY", f"http://{login}{fake.host}")
        assert read(insecure=True)
        assert all(entry.authorization == "" for entry in fake.log)


STATUSES = {
    400: "cannot be used",
    403: "does not allow connections to registry.test",
    404: "cannot be used",
    405: "does not allow",
    407: "wants a login",
    429: "cannot be used",
    500: "does not reach registry.test",
    502: "does not reach registry.test",
    503: "does not reach registry.test",
    504: "does not reach registry.test",
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_that_refuses_is_named(monkeypatch, variable, status):
    page = b"<html>s3cret</html>"
    with RecordingServer(lambda seen: Answer(status, page, reason="\x1b[31mNo")) as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.host}")
        error = failure()
    assert STATUSES[status] in error.message
    assert f"the proxy http://{proxy.host} of {variable}" in error.message
    assert str(status) in error.message
    assert error.hint
    assert error.status == 0, "a status would be taken for the registry's"
    assert "\x1b" not in error.message


def test_another_login_is_wanted_where_there_is_one(monkeypatch):
    with RecordingServer(lambda seen: Answer(407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@{proxy.host}")
        assert "wants another login" in failure().message
        monkeypatch.setenv("HTTP_PROXY", f"http://me:s3cret@{proxy.host}")
        assert "wants another login" in failure(insecure=True).message


@pytest.mark.parametrize("status", [403, 502, 503, 504])
def test_a_refusal_of_plain_http_may_be_the_proxys(monkeypatch, status):
    with RecordingServer(lambda seen: Answer(status)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        error = failure(insecure=True)
    assert f"the proxy http://{proxy.host} of HTTP_PROXY" in str(error.hint)


class Raw:
    """A server that sends bytes to whoever connects, after it got some, and closes."""

    def __init__(self, data):
        self._data = data
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts; closing does not
        self._socket.close()

    def _serve(self):
        with ExitStack() as stack:
            while True:
                try:
                    connection = stack.enter_context(closing(self._socket.accept()[0]))
                    connection.recv(65536)
                    connection.sendall(self._data)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    return


RAW = [b"", b"\x05", b"\x05\x00", b"\x04\x00", b"\x05\xff", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 \r\n\r\n",
       b"HTTP/1.1 2xx OK\r\n\r\n", b"HTTP/1.1 200", b"\xff" * 70_000, b"x" * 70_000, b"\r\n\r\n", b"HTTP/1.1 99 \xff\r\n\r\n",
       b"\x05\x00\x05\x00\x00\x03\xff", b"\x05\x02\x01"]  # fmt: skip


@pytest.mark.parametrize("data", RAW)
@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
@pytest.mark.parametrize("insecure", [False, True])
def test_a_proxy_that_talks_nonsense_is_named(monkeypatch, scheme, data, insecure):
    variable = "HTTP_PROXY" if insecure else "HTTPS_PROXY"
    with Raw(data) as proxy:
        monkeypatch.setenv(variable, f"{scheme}://me:s3cret@{proxy.host}")
        error = failure(insecure=insecure)
    assert f"{scheme}://{proxy.host} of {variable}" in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
@pytest.mark.parametrize("insecure", [False, True])
def test_a_proxy_that_is_down_is_named(monkeypatch, scheme, insecure):
    variable = "HTTP_PROXY" if insecure else "HTTPS_PROXY"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv(variable, f"{scheme}://{place}")
        error = failure(insecure=insecure)
    assert f"the proxy {scheme}://{place} of {variable} cannot be used" in error.message
    assert "refused" in error.message
    assert error.kind == "unreachable"


def test_a_proxy_whose_name_does_not_resolve_is_named(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://no-such-proxy.invalid:3128")
    assert "http://no-such-proxy.invalid:3128 of HTTPS_PROXY" in failure().message


def test_a_registry_behind_a_proxy_keeps_its_own_errors(monkeypatch):
    with FakeRegistry() as plain, Tunnel(plain.host) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        error = failure()
    assert error.kind == "tls"
    assert "proxy" not in error.message


def test_a_broken_proxy_stops_a_request_with_exit_3(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret@p:port")
    with pytest.raises(EnvironmentFault, match="HTTPS_PROXY") as caught:
        read()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("host", [f"{'a' * 64}.example.org", "r.example.org:99999"])
def test_a_name_that_no_resolver_takes_is_told(host):
    assert failure(host).kind == "unreachable"
