"""Logins and proxies of an environment, side by side with crane, a client written in Go with docker's own code.

Each row is given to both; what a registry or a proxy then gets from one, it gets from the other. Where we are more
careful, the row says so and why.
"""

import base64
import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import multibuild
from fakes.certificates import Authority, joined
from fakes.proxy_tables import BROKEN, CHOICES, EXCLUSIONS, P, Q
from fakes.recording_server import Answer, RecordingServer
from fakes.socks_server import SocksServer
from fakes.tunnel import Tunnel
from waiting import PATIENCE_S

from multibuild.errors import EnvironmentFault
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.limits import Budget, HttpLimits
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_session import RegistrySession
from multibuild.oci.registry_settings import RegistrySettings

HOST = "registry.test"
NAMES = ("registry.test", "index.docker.io", "registry-1.docker.io")
INDEX = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
)
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")
DOCKER_VARIABLES = (
    "DOCKER_CONFIG",
    "DOCKER_AUTH_CONFIG",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
)
ONCE = RetryPolicy(tries=1, unreachable_s=0.0)
ISSUED = "issued-by-the-service"


def clean_environment() -> dict[str, str]:
    """Return the environment without what is tested here."""
    names = {*DOCKER_VARIABLES, *PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES)}
    return {name: value for name, value in os.environ.items() if name not in names}


# -- logins


def auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def says(text: str, code: int = 0) -> str:
    """Return the script of a credential helper."""
    return f"#!/bin/sh\ncat > /dev/null\ncat <<'END'\n{text}\nEND\nexit {code}\n"


ME = {"auths": {HOST: auth("me:x")}}
NOT_FOUND = "credentials not found in native keychain"


@dataclass(frozen=True, kw_only=True)
class Row:
    """`config` is docker's config.json, None for none; `ours` is what we send where crane sends something else."""

    config: Any = None
    home: Any = None
    environ: Mapping[str, Any] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    host: str = HOST
    scheme: str = "bearer"
    ours: frozenset[str] | None = None


LOGIN = frozenset({"basic me:x"})
NONE = frozenset({"anonymous"})
FAILS = frozenset({"an error"})

ROWS = {
    # where logins are
    "nothing": Row(),
    "DOCKER_CONFIG": Row(config=ME),
    "the home's login, with DOCKER_CONFIG elsewhere": Row(home=ME, environ={"DOCKER_CONFIG": "empty"}),
    "the home's login, with DOCKER_CONFIG at a file": Row(
        home=ME, environ={"DOCKER_CONFIG": "docker/config.json"}
    ),
    "the home's login": Row(home=ME, environ={"DOCKER_CONFIG": ""}),
    "DOCKER_CONFIG before the home": Row(
        config={"auths": {HOST: auth("me:x")}}, home={"auths": {HOST: auth("h:y")}}
    ),
    # podman's: docker reads none of them
    "REGISTRY_AUTH_FILE": Row(
        files={"auth.json": ME}, environ={"REGISTRY_AUTH_FILE": "auth.json"}, ours=NONE
    ),
    "auth.json": Row(files={"containers/auth.json": ME}, environ={"XDG_RUNTIME_DIR": "."}, ours=NONE),
    # forms of an entry
    "basic": Row(config=ME, scheme="basic"),
    "a name and a password": Row(config={"auths": {HOST: {"username": "me", "password": "x"}}}),
    "auth before them": Row(config={"auths": {HOST: {**auth("me:x"), "username": "n", "password": "p"}}}),
    "colons": Row(config={"auths": {HOST: auth("me:a:b:")}}),
    "a newline": Row(config={"auths": {HOST: auth("me:x\n")}}),
    "NULs": Row(config={"auths": {HOST: auth("me:x\0\0")}}),
    "lines of base64": Row(config={"auths": {HOST: {"auth": "bWU6\r\neA==\n"}}}),
    "bytes": Row(config={"auths": {HOST: {"auth": base64.b64encode(b"me:\xff\xfe").decode()}}}),
    "no padding": Row(config={"auths": {HOST: {"auth": "bWU6eA"}}}),
    "no colon": Row(config={"auths": {HOST: auth("me")}}),
    "an identity token": Row(config={"auths": {HOST: {"identitytoken": "idt"}}}),
    "an identity token beside auth": Row(config={"auths": {HOST: {**auth("me:x"), "identitytoken": "idt"}}}),
    "a registry token": Row(config={"auths": {HOST: {"registrytoken": "given"}}}),
    "a registry token beside auth": Row(config={"auths": {HOST: {**auth("me:x"), "registrytoken": "given"}}}),
    "a registry token for basic": Row(config={"auths": {HOST: {"registrytoken": "given"}}}, scheme="basic"),
    "an empty entry": Row(config={"auths": {HOST: {}}}),
    "names in other cases": Row(config={"Auths": {HOST: {"Username": "me", "PASSWORD": "x"}}}),
    "no password": Row(config={"auths": {HOST: auth("me:")}}),
    # keys
    "https://": Row(config={"auths": {f"https://{HOST}": auth("me:x")}}),
    "https:// and /v1/": Row(config={"auths": {f"https://{HOST}/v1/": auth("me:x")}}),
    "http:// and /v2/": Row(config={"auths": {f"http://{HOST}/v2/": auth("me:x")}}),
    "a path": Row(config={"auths": {f"{HOST}/team": auth("me:x")}}),
    "a port": Row(config={"auths": {f"{HOST}:5443": auth("me:x")}}, host=f"{HOST}:5443"),
    "a login of another port": Row(config={"auths": {f"{HOST}:5443": auth("me:x")}}),
    "a login of no port": Row(config=ME, host=f"{HOST}:5443"),
    "a domain": Row(config={"auths": {"test": auth("me:x"), "*.test": auth("me:x")}}),
    "an exact key first": Row(config={"auths": {f"https://{HOST}/v1/": auth("old:y"), HOST: auth("me:x")}}),
    # Docker Hub
    "Docker Hub": Row(config={"auths": {"https://index.docker.io/v1/": auth("me:x")}}, host="docker.io"),
    "docker.io": Row(config={"auths": {"docker.io": auth("me:x")}}, host="docker.io"),
    "index.docker.io": Row(config={"auths": {"index.docker.io": auth("me:x")}}, host="docker.io"),
    "registry-1.docker.io": Row(config={"auths": {"registry-1.docker.io": auth("me:x")}}, host="docker.io"),
    # files
    "an empty file": Row(config=""),
    "null": Row(config="null"),
    "a list": Row(config="[]"),
    "broken JSON": Row(config='{"auths":'),
    "a byte order mark": Row(config="\ufeff" + json.dumps(ME)),
    "words after it": Row(config=json.dumps(ME) + " and more"),
    # helpers
    "a store": Row(config={"credsStore": "h"}, helpers={"h": says('{"Username":"me","Secret":"x"}')}),
    "a helper": Row(
        config={"credHelpers": {HOST: "h"}}, helpers={"h": says('{"Username":"me","Secret":"x"}')}
    ),
    "a helper of another host": Row(config={"credHelpers": {"x.test": "h"}}, helpers={"h": says("no", 1)}),
    # crane asks for the repository before the registry, and the store for that one; docker asks for the registry alone
    "a helper before a store": Row(
        config={"credsStore": "s", "credHelpers": {HOST: "h"}},
        helpers={"h": says('{"Username":"me","Secret":"x"}'), "s": says('{"Username":"s","Secret":"y"}')},
        ours=LOGIN,
    ),
    "an empty helper": Row(
        config={**ME, "credsStore": "s", "credHelpers": {HOST: ""}}, helpers={"s": says("no", 1)}, ours=LOGIN
    ),
    "a helper's token": Row(
        config={"credsStore": "h"}, helpers={"h": says('{"Username":"<token>","Secret":"idt"}')}
    ),
    "a helper without a login": Row(config={"credsStore": "h"}, helpers={"h": says(NOT_FOUND, 1)}),
    "a helper without, a file with": Row(config={**ME, "credsStore": "h"}, helpers={"h": says(NOT_FOUND, 1)}),
    "a helper with an empty login": Row(
        config={**ME, "credsStore": "h"}, helpers={"h": says('{"ServerURL":"","Username":"","Secret":""}')}
    ),
    "a helper that fails": Row(config={"credsStore": "h"}, helpers={"h": says("no", 1)}),
    "a helper that fails, a file with": Row(
        config={**ME, "credsStore": "h"}, helpers={"h": says("error", 1)}
    ),
    "a helper that prints junk": Row(config={"credsStore": "h"}, helpers={"h": says("junk")}),
    "a missing helper": Row(config={"credsStore": "gone"}),
    "Docker Hub's helper": Row(
        config={"credHelpers": {"https://index.docker.io/v1/": "h"}},
        helpers={"h": says('{"Username":"me","Secret":"x"}')},
        host="docker.io",
    ),
    "docker.io's helper": Row(
        config={"credHelpers": {"docker.io": "h"}}, helpers={"h": says("no", 1)}, host="docker.io"
    ),
    # An answer without a name is a mistake: an error says more than a refusal.
    "a helper without a name": Row(config={"credsStore": "h"}, helpers={"h": says("{}")}, ours=FAILS),
    # DOCKER_AUTH_CONFIG; crane reads it where it found a config of docker
    "the environment": Row(config={}, environ={"DOCKER_AUTH_CONFIG": ME}),
    "the environment before the file": Row(
        config={"auths": {HOST: auth("file:y")}}, environ={"DOCKER_AUTH_CONFIG": ME}
    ),
    # here, too, crane asks the store for the repository
    "the environment before a helper": Row(
        config={"credsStore": "gone"}, environ={"DOCKER_AUTH_CONFIG": ME}, ours=LOGIN
    ),
    "the environment of another host": Row(
        config=ME, environ={"DOCKER_AUTH_CONFIG": {"auths": {"x.test": auth("a:b")}}}
    ),
    "the environment with an address": Row(
        config={}, environ={"DOCKER_AUTH_CONFIG": {"auths": {f"https://{HOST}/v1/": auth("me:x")}}}
    ),
    "the environment with a helper": Row(
        config=ME, environ={"DOCKER_AUTH_CONFIG": {"auths": {HOST: auth("a:b")}, "credsStore": "gone"}}
    ),
    "the environment with a token": Row(
        config=ME, environ={"DOCKER_AUTH_CONFIG": {"auths": {HOST: {"identitytoken": "a"}}}}
    ),
    "the environment with a name and a password": Row(
        config=ME, environ={"DOCKER_AUTH_CONFIG": {"auths": {HOST: {"username": "a", "password": "b"}}}}
    ),
    "a broken environment": Row(config=ME, environ={"DOCKER_AUTH_CONFIG": "{"}),
    "an empty environment": Row(config=ME, environ={"DOCKER_AUTH_CONFIG": ""}),
    # docker needs no config.json for it (cli/config/configfile); crane looks for one first
    "the environment alone": Row(environ={"DOCKER_AUTH_CONFIG": ME}, ours=LOGIN),
}


class LoginRecorder:
    """A registry of any name, behind a proxy; it takes every login, and issues tokens to everyone."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        server = joined(
            folder, "server", *authority.issue("server", names=",".join(f"DNS:{name}" for name in NAMES))
        )
        self.authority = authority.certificate
        self.scheme = "bearer"
        self.server = RecordingServer(self._answer, tls=server)

    def _answer(self, seen):
        if seen.path == "/token":
            return Answer(body=json.dumps({"token": ISSUED}).encode())
        if not seen.authorization:
            realm = f"https://{seen.headers['Host']}/token"
            challenge = 'Basic realm="x"' if self.scheme == "basic" else f'Bearer realm="{realm}",service="s"'
            return Answer(401, headers={"WWW-Authenticate": challenge})
        return Answer(
            body=INDEX.encode(), headers={"Content-Type": "application/vnd.oci.image.index.v1+json"}
        )

    def logins(self) -> frozenset[str]:
        """Return the logins that came, "anonymous" where there were requests without any, and forget them."""
        seen, self.server.seen[:] = tuple(self.server.seen), []
        logins = {login for request in seen for login in _logins(request)}
        return frozenset(logins or ({"anonymous"} if seen else {"an error"}))


def _logins(request):
    scheme, _, value = request.authorization.partition(" ")
    if scheme == "Basic":
        yield f"basic {base64.b64decode(value).decode('latin-1')}"
    elif scheme == "Bearer" and value != ISSUED:
        yield f"bearer {value}"
    if token := request.form.get("refresh_token"):
        yield f"refresh {token}"


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    login_recorder = LoginRecorder(tmp_path_factory.mktemp("authority"))
    with login_recorder.server as server, Tunnel(server.host) as proxy:
        yield (
            login_recorder,
            {
                **clean_environment(),
                "HTTPS_PROXY": f"http://{proxy.host}",
                "SSL_CERT_FILE": str(login_recorder.authority),
            },
        )


def prepared(row: Row, folder: Path) -> dict[str, str]:
    """Write the files of a row; return its variables."""
    (folder / "bin").mkdir()
    for name, script in row.helpers.items():
        program = folder / "bin" / f"docker-credential-{name}"
        program.write_text(script)
        program.chmod(0o755)
    files = {"docker/config.json": row.config, "home/.docker/config.json": row.home, **row.files}
    for name, document in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if document is not None:
            path.write_text(document if isinstance(document, str) else json.dumps(document))
    environ = {
        "HOME": str(folder / "home"),
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "DOCKER_CONFIG": str(folder / "docker"),
    }
    for name, value in row.environ.items():
        if name == "DOCKER_AUTH_CONFIG":
            environ[name] = value if isinstance(value, str) else json.dumps(value)
        else:
            environ[name] = str(folder / value) if value else ""
    return environ


@pytest.mark.parametrize("case", ROWS)
def test_the_login_of_an_environment(case, recorder, readers, tmp_path, monkeypatch):
    row = ROWS[case]
    login_recorder, common = recorder
    environ = {**common, **prepared(row, tmp_path)}
    login_recorder.scheme = row.scheme
    crane(readers, "manifest", f"{row.host}/team/app:1", environ=environ)
    expected = login_recorder.logins()
    set_environment(monkeypatch, environ)
    fault = read_index(row.host, login_recorder.authority)
    ours = login_recorder.logins()
    if row.ours is None:
        assert ours == expected
    else:
        assert ours == row.ours
        assert ours != expected, "the row has nothing to say any more"
    assert (fault is not None) == (ours == FAILS)


def set_environment(monkeypatch, environ):
    """Set these variables, and none of the others that are tested here."""
    for name in os.environ.keys() - environ.keys():
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def read_index(host, authority):
    """Read the index as a command does; return the fault of the environment that stops it."""
    settings = {host: RegistrySettings(host=host, ca=authority)}
    with RegistrySession(settings, on_wait=lambda text: None, retry=ONCE) as registries:
        try:
            registries.of(host).manifest(Reference(host=host, repository="team/app", tag="1"))
        except EnvironmentFault as fault:
            return fault
    return None


@pytest.mark.parametrize(
    "case", ["DOCKER_CONFIG", "a helper's token", "a missing helper", "the environment alone"]
)
def test_the_command_sends_the_same_login(case, recorder, tmp_path):
    login_recorder, common = recorder
    row = ROWS[case]
    environ = {**common, **prepared(row, tmp_path)}
    done = multibuild("inspect", f"{row.host}/team/app:1", env=environ, cwd=tmp_path)
    expected = {"a missing helper": FAILS, "a helper's token": frozenset({"refresh idt"})}.get(case, LOGIN)
    assert login_recorder.logins() == expected
    assert done.code == (3 if expected == FAILS else 0), done.stderr


def crane(readers, *arguments, environ):
    """Run crane; what it sends is what counts."""
    libraries = f"{readers.prefix}/usr/lib/x86_64-linux-gnu:{readers.prefix}/lib/x86_64-linux-gnu"
    return subprocess.run(
        [f"{readers.prefix}/usr/bin/crane", *arguments],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        env={**environ, "LD_LIBRARY_PATH": libraries},
    )


# -- proxies


class Proxies:
    """Two HTTP proxies and a SOCKS proxy that refuse everything."""

    def __init__(self):
        self.first = RecordingServer(lambda seen: Answer(403))
        self.second = RecordingServer(lambda seen: Answer(403))
        self.socks = SocksServer(None, reply=2)

    def used(self) -> frozenset[str]:
        """Return what was asked of which proxy, and forget it."""
        asked = {
            f"{name} {seen.method} {_target(seen)}" for name, proxy in self._http() for seen in proxy.seen
        }
        asked |= {f"socks {name}:{port}" for name, port in self.socks.targets}
        for _, proxy in self._http():
            proxy.seen.clear()
        self.socks.targets.clear()
        return frozenset(asked)

    def _http(self):
        return ("first", self.first), ("second", self.second)

    def address(self, text: str) -> str:
        """Return a value of a variable with the addresses of these proxies."""
        for name, proxy in ((P, self.first), (Q, self.second)):
            text = text.replace(name, f"http://{proxy.host}")
        return text


def _target(seen):
    """Return what a proxy is asked for: the host alone of a request that it forwards, as the clients' paths differ."""
    return seen.target if seen.method == "CONNECT" else seen.target.split("/")[2]


@pytest.fixture(scope="module")
def proxies():
    recorders = Proxies()
    with recorders.first, recorders.second, recorders.socks:
        yield recorders


@pytest.fixture
def compare(proxies, readers, monkeypatch):
    """Return what crane and we ask proxies for, to read from a host with these variables."""

    def compare(host, environ, *, insecure=False):
        variables = {**clean_environment(), "DOCKER_CONFIG": "/nonexistent", **environ}
        flags = ["--insecure"] if insecure else []
        crane(readers, *flags, "manifest", f"{host}/app:1", environ=variables)
        theirs = {entry for entry in proxies.used() if not insecure or " CONNECT " not in entry}
        for name in (*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES)):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        failure = _read(host, insecure=insecure)
        return theirs, set(proxies.used()), failure

    return compare


def _read(host, *, insecure):
    """Ask a registry that is not there; return the error."""
    settings = RegistrySettings(host=host, insecure=insecure)
    budget = Budget(HttpLimits(connect_s=2.0, idle_s=2.0))
    with (
        Registry(settings, retry=ONCE, budget=budget) as registry,
        pytest.raises((RegistryError, EnvironmentFault)) as caught,
    ):
        registry.manifest(Reference(host=host, repository="app", tag="1"))
    return caught.value


@pytest.mark.parametrize(("environ", "scheme", "proxy"), CHOICES)
def test_the_proxy_of_an_environment(environ, scheme, proxy, proxies, compare):
    values = {name: proxies.address(value).replace("r.example.org", HOST) for name, value in environ.items()}
    theirs, ours, _ = compare(HOST, values, insecure=scheme == "http")
    assert ours == theirs
    assert bool(ours) == (proxy is not None)


def test_a_cgi_program_uses_no_proxy(proxies, compare):
    environ = {"HTTP_PROXY": proxies.address(P), "REQUEST_METHOD": "GET"}
    theirs, ours, failure = compare(HOST, environ, insecure=True)
    assert ours == theirs == set()
    assert isinstance(failure, EnvironmentFault)


def own_addresses() -> tuple[str, str]:
    """Return an IPv4 and an IPv6 address of this machine that are no loopback, where nothing listens at 443.

    A direct connection there is refused at once. Without any, one is taken that cannot be reached.
    """
    addresses = []
    for family, far, none in (
        (socket.AF_INET, "198.51.100.1", "198.51.100.1"),
        (socket.AF_INET6, "2001:db8::1", "2001:db8::1"),
    ):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((far, 9))
                addresses.append(probe.getsockname()[0])
            except OSError:
                addresses.append(none)
    return addresses[0], addresses[1]


@pytest.mark.parametrize(("no_proxy", "host", "port", "excluded"), EXCLUSIONS)
def test_hosts_without_a_proxy(no_proxy, host, port, excluded, proxies, compare):
    """The addresses of the table become this machine's, in the entry as in the host."""
    v4, v6 = own_addresses()
    first = v4.partition(".")[0]
    prefix = v6.split(":")[0]
    for old, new in (("10.1.2.3", v4), ("10.", f"{first}."), ("fd00::1", v6), ("fd00:", f"{prefix}:")):
        no_proxy = no_proxy.replace(old, new)
    host = host.replace("10.1.2.3", v4).replace("fd00::1", v6).replace("example.org", "example.test")
    no_proxy = no_proxy.replace("example.org", "example.test").replace("EXAMPLE.ORG", "EXAMPLE.TEST")
    place = f"[{host}]" if ":" in host else host
    registry = place if port == 443 else f"{place}:{port}"
    theirs, ours, _ = compare(registry, {"HTTPS_PROXY": proxies.address(P), "NO_PROXY": no_proxy})
    assert ours == theirs, f"{no_proxy} {registry}"


LOOPBACK = ("localhost:9", "127.0.0.1:9", "127.8.9.10:9", "[::1]:9")


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_without_a_proxy(host, proxies, compare):
    environ = {name: proxies.address(P) for name in ("HTTP_PROXY", "HTTPS_PROXY")}
    theirs, ours, _ = compare(host, environ)
    assert ours == theirs == set()


FORMS = (
    *("http://{first}", "HTTP://{first}", "{first}", "{first}/", "http://{first}/path?query"),
    *(
        "me:word@{first}",
        "http://me:w@rd@{first}",
        "socks5://{socks}",
        "socks5h://{socks}",
        "SOCKS5://{socks}",
    ),
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("insecure", [False, True])
def test_the_forms_of_a_proxy(form, insecure, proxies, compare):
    value = form.format(first=proxies.first.host, socks=proxies.socks.host)
    theirs, ours, _ = compare(HOST, {"HTTP_PROXY" if insecure else "HTTPS_PROXY": value}, insecure=insecure)
    if insecure and "socks" in form.lower():
        theirs = {entry for entry in theirs if entry.endswith(":80")}
    assert ours == theirs != set()


@pytest.mark.parametrize("login", ["me:word", "me", "me:", ":word", "m%40e:w%3Ard%2F", "me:a:b"])
def test_the_login_of_a_proxy(login, proxies, readers, monkeypatch):
    environ = {"HTTPS_PROXY": f"http://{login}@{proxies.first.host}"}
    crane(readers, "manifest", f"{HOST}/app:1", environ={**clean_environment(), **environ})
    theirs = {seen.headers.get("Proxy-Authorization") for seen in proxies.first.seen}
    proxies.used()
    monkeypatch.setenv("HTTPS_PROXY", environ["HTTPS_PROXY"])
    _read(HOST, insecure=False)
    assert {seen.headers.get("Proxy-Authorization") for seen in proxies.first.seen} == theirs != {None}
    proxies.used()


@pytest.mark.parametrize("value", [value for value, word in BROKEN.items() if word and "\0" not in value])
def test_a_broken_proxy_stops_us_where_crane_goes_past_it(value, proxies, compare):
    """Go's httpproxy takes a value that it cannot read for none at all: the request goes out without the proxy."""
    theirs, ours, failure = compare(HOST, {"HTTPS_PROXY": value})
    assert ours == theirs == set()
    assert isinstance(failure, EnvironmentFault)
    assert "HTTPS_PROXY" in failure.message
