"""Errors of registries: an expired login, the wrong scheme, an unknown CA and others, against real servers."""

import base64
import json
import ssl
import subprocess
import threading

import pytest
from fakes.mistakes import check, error
from fakes.recording_server import Answer, RecordingServer
from fakes.registry_server import FakeRegistry, Faults
from waiting import PATIENCE_S

from multibuild.cli.startup import main


@pytest.fixture(autouse=True)
def _no_logins(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def registry():
    with FakeRegistry() as fake:
        yield fake


def log_in(tmp_path, host, password):
    (tmp_path / "docker").mkdir()
    login = base64.b64encode(f"me:{password}".encode()).decode()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))


@pytest.fixture
def fails(capsys):
    def fails(expected, *arguments):
        code = main(list(arguments))
        out, err = capsys.readouterr()
        check(expected, code, err)
        assert out == ""
        return err

    return fails


@pytest.mark.parametrize("command", ["inspect", "resolve", "verify"])
def test_a_missing_image_is_a_usage_error(registry, fails, command):
    fails(error(2, f"{registry.host}/app:1", hint="the name and the tag"), command, f"{registry.host}/app:1")


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_missing_or_expired_login_hints_at_docker_login(tmp_path, fails, scheme, logged_in):
    with FakeRegistry(login=("me", "today's"), scheme=scheme) as registry:
        if logged_in:
            log_in(tmp_path, registry.host, "last-year's")
        err = fails(
            error(3, registry.host, hint=f"docker login {registry.host}"), "inspect", f"{registry.host}/app:1"
        )
    assert "last-year" not in err


def test_an_account_without_permission_hints_at_another_login(registry, fails):
    registry.faults = Faults({1: 403}, lasting=True)
    fails(error(3, "does not allow", hint="docker login"), "inspect", f"{registry.host}/app:1")


def test_a_registry_that_is_down_is_an_environment_fault(registry, fails):
    registry.server.shutdown()
    registry.server.server_close()
    fails(error(3, registry.host, "refused", hint="is it running"), "resolve", f"{registry.host}/app:1")


def test_merging_a_missing_image_fails(registry, fails):
    target, source = f"{registry.host}/app:1", f"{registry.host}/app-arm64:1"
    fails(error(7, source, hint="the name and the tag"), "merge", target, source)


def non_loopback(host):
    """Return an address of this machine that is no loopback, so that plain http is not the default."""
    return host.replace("127.0.0.1", "0.0.0.0")


def test_a_plain_http_registry_hints_at_insecure(registry, fails):
    host = non_loopback(registry.host)
    fails(error(3, host, "plain http", hint="insecure: true"), "inspect", f"{host}/app:1")


def test_an_unknown_ca_hints_at_the_setting_that_trusts_it(tmp_path, registry, fails):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=registry", "-addext", "subjectAltName=IP:0.0.0.0", "-days", "2",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE_S,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    host = non_loopback(registry.host)
    registry.server.socket = context.wrap_socket(registry.server.socket, server_side=True)
    fails(error(3, host, "certificate", hint="ca: FILE"), "inspect", f"{host}/app:1")
    # The hint works: with the CA the registry's response is read.
    (tmp_path / "multibuild.yaml").write_text(
        f"version: 1\nimage: {host}/app\nplatforms: [amd64]\nregistries: {{'{host}': {{ca: cert.pem}}}}\n"
    )
    fails(error(2, f"{host}/app:1", hint="the name and the tag"), "inspect", f"{host}/app:1")
    assert threading.active_count() < 50


def test_a_missing_credential_helper_is_an_environment_fault(tmp_path, registry, fails):
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"credsStore": "not-installed"}))
    fails(error(3, registry.host, hint="credsStore"), "inspect", f"{registry.host}/app:1")


def test_a_broken_docker_config_is_an_environment_fault(tmp_path, registry, fails):
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text("{")
    fails(error(3, "config.json", hint="mend or move it"), "inspect", f"{registry.host}/app:1")


# -- the environment: a proxy that is broken or down, for every command that asks a registry

COMMANDS = ("inspect", "resolve", "verify", "merge", "merge --dry-run")


def arguments(command, image):
    """Return the arguments of a command that asks the registry of `image`."""
    name, *flags = command.split()
    target = [image.replace(":1", ":2")] if name == "merge" else []
    return [name, *target, image, *flags]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "value", ["http://me:s3cret@p:port", "socks4://me:s3cret@p:1080", "http://[fd00::1", "%zz@"]
)
def test_a_broken_proxy_is_an_environment_fault(monkeypatch, fails, command, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    err = fails(error(3, "HTTPS_PROXY", hint="http://HOST:PORT"), *arguments(command, "registry.test/app:1"))
    assert "s3cret" not in err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_proxy_that_refuses_is_named_by_every_command(monkeypatch, fails, command):
    with RecordingServer(lambda seen: Answer(403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@{proxy.host}")
        code = 7 if command.startswith("merge") else 3
        expected = error(
            code, f"the proxy http://{proxy.host} of HTTPS_PROXY", "registry.test", hint="NO_PROXY"
        )
        err = fails(expected, *arguments(command, "registry.test/app:1"))
    assert "s3cret" not in err


def test_threads_print_no_tracebacks(tmp_path, monkeypatch, capfd):
    """Registries are asked in threads: what stops one of them is an error of the command."""
    (tmp_path / "multibuild.yaml").write_text(
        "version: 1\nimage: registry.test/app\nplatforms: [amd64, arm64]\n"
    )
    (tmp_path / "Dockerfile").write_text("FROM registry.test/base\nFROM registry.test/other\n")
    monkeypatch.setenv("PATH", "/nonexistent")
    for value in ("http://me:s3cret@p:port", "http://127.0.0.1:9"):
        monkeypatch.setenv("HTTPS_PROXY", value)
        main(["all", "--if-changed", "--state-dir", str(tmp_path.parent / "state")])
        main(["plan"])
    text = "".join(capfd.readouterr())
    assert "Traceback" not in text
    assert "s3cret" not in text


def test_a_login_page_is_told_by_every_command(fails):
    page = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
    with RecordingServer(lambda seen: Answer(200, page, {"Content-Type": "text/html"})) as portal:
        for command in COMMANDS:
            code = 7 if command.startswith("merge") else 3
            expected = error(code, f"{portal.host} answers with a web page, “Sign in”", hint="sign-on")
            fails(expected, *arguments(command, f"{portal.host}/app:1"))


def test_docker_auth_config_that_docker_does_not_read_is_warned_of_once(registry, fails, monkeypatch):
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", '{"auths": {}, "credsStore": "s3cret"}')
    err = fails(error(2, f"{registry.host}/app:1", hint="the name"), "inspect", f"{registry.host}/app:1")
    assert err.count("DOCKER_AUTH_CONFIG is not used") == 1
    assert "s3cret" not in err
