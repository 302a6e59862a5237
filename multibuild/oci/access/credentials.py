"""Docker's credentials: config.json, credential stores and helpers, identity tokens.

Read as docker/cli does (cli/config/configfile, cli/config/credentials). Nothing that a helper prints, and no value of
config.json, is in a message: it can be the secret.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

from multibuild.child_process import ChildLimit, ChildResult, run_child
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.regular_file import read_regular

_LOOKUP_LOCK = threading.Lock()
"""A credential helper may prompt the user: one question at a time."""

_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105 - docker-credential-helpers: the secret is an identity token
_NOT_FOUND = b"credentials not found in native keychain"
"""docker-credential-helpers, credentials/error.go: the answer of a helper that has no login."""

_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z")
"""A name without a path: docker would start `docker-credential-../x` from the working directory."""

HELPER_TIMEOUT_S = 60.0
"""A helper may ask a service, or the user."""

MAX_HELPER_BYTES = 1_000_000
"""What a helper may print; tokens of clouds have a few kB."""

MAX_DOCKER_CONFIG_BYTES = 1_000_000
"""What docker's config.json may have; thousands of logins."""

MAX_LOGIN_AGE_S = 300.0
"""Logins of cloud credential helpers expire, some within the hour; builds may take hours."""


@frozen
class Credentials:
    """A login for one registry; `repr` shows no secret. `identity_token` replaces the password."""

    username: str
    secret: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)


class Login:
    """The credentials of one registry in a session, which may outlive them; safe from several threads."""

    def __init__(
        self, read: Callable[[], Credentials | None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the credentials for the first time; raises what `read` raises."""
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._credentials, self._read_at = read(), clock()

    def current(self) -> Credentials | None:
        """Return the credentials, read again when they are old."""
        with self._lock:
            if self._clock() - self._read_at > MAX_LOGIN_AGE_S:
                self._renew()
            return self._credentials

    def after_refusal(self, previous: Credentials | None) -> Credentials | None:
        """Return the credentials, read again unless they were since `previous` were returned."""
        with self._lock:
            if self._credentials == previous:
                self._renew()
            return self._credentials

    def _renew(self) -> None:
        with suppress(EnvironmentFault):  # the previous ones may still be valid
            self._credentials = self._read()
        self._read_at = self._clock()


def credentials_for(host: str, *, timeout_s: float = HELPER_TIMEOUT_S) -> Credentials | None:
    """Return the login for `host`; None where there is none.

    Raises EnvironmentFault when docker's config is broken, or a configured credential helper is missing or fails.
    """
    path = _config_path()
    config = _DockerConfig(path=path, document=_read_config(path), host=host)
    key = _HUB_KEY if host == "docker.io" else host
    name = config.helper(key)
    if name:
        with _LOOKUP_LOCK:
            login = _Helper(name=name, host=host, timeout_s=timeout_s).login(key)
        if login is not None:
            return login
    return config.login(key)


def _config_path() -> Path | None:
    """Return the path of config.json; None for a user without a home."""
    folder = os.environ.get("DOCKER_CONFIG")
    try:
        return Path(folder) / "config.json" if folder else Path.home() / ".docker" / "config.json"
    except RuntimeError:
        return None


def _read_config(path: Path | None) -> Mapping[str, Any]:
    """Read config.json; empty without one."""
    if path is None:
        return {}
    try:
        document = json.loads(read_regular(path, MAX_DOCKER_CONFIG_BYTES).decode())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise EnvironmentFault(message, hint="mend its permissions, or move it away") from None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise EnvironmentFault(f"{path} is not a JSON object", hint="mend or move it")
    return document


@frozen
class _DockerConfig:
    """Docker's config.json, asked for the login of `host`."""

    path: Path | None
    document: Mapping[str, Any]
    host: str

    def helper(self, key: str) -> str:
        """Return the name of the helper for a registry, "" for none."""
        helpers = self._mapping("credHelpers")
        name = helpers.get(key) or self.document.get("credsStore") or ""
        if not isinstance(name, str):
            raise self._fault()
        if name and not _HELPER_NAME.match(name):
            raise EnvironmentFault(
                f"{self.path}: credsStore or credHelpers: that is no name of a credential helper",
                hint="`name` stands for the program docker-credential-name on PATH",
            )
        return name

    def login(self, key: str) -> Credentials | None:
        """Return the login in the file itself."""
        entries = self._mapping("auths")
        names = [key, *(name for name in entries if _hostname(name) == self.host)]
        entry = next((entries[name] for name in names if name in entries), None)
        if entry is None:
            return None
        try:
            return _decoded(entry)
        except (ValueError, TypeError, AttributeError):
            # Messages of decoding errors can quote the secret.
            raise self._fault() from None

    def _mapping(self, key: str) -> Mapping[str, Any]:
        value = self.document.get(key)
        if value is not None and not isinstance(value, dict):
            raise self._fault()
        return value or {}

    def _fault(self) -> EnvironmentFault:
        return EnvironmentFault(
            f"the login for {self.host} cannot be read: {self.path} is not in docker's form",
            hint=f"`docker login {self.host}`",
        )


def _hostname(key: str) -> str:
    """Return the registry of an older key, which is a URL; Docker Hub has several names."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return "docker.io" if host == "index.docker.io" else host


def _decoded(entry: Mapping[str, Any]) -> Credentials | None:
    """Return the login of an entry of `auths`; ValueError, TypeError or AttributeError for another form."""
    if token := entry.get("identitytoken"):
        return _credentials("", "", token)
    if auth := entry.get("auth"):
        plain = base64.b64decode("".join(auth.split()), validate=True).decode()
        username, colon, secret = plain.partition(":")
        if not colon or not username:
            raise ValueError
        return _credentials(username, secret.strip("\0"))
    return _credentials(entry.get("username") or "", entry.get("password") or "")


def _credentials(username: str, secret: str, token: str | None = None) -> Credentials | None:
    if not all(isinstance(text, str) for text in (username, secret, token or "")):
        raise TypeError
    if not (token or secret):
        return None
    return Credentials(username=username, secret=secret, identity_token=token)


@frozen
class _Helper:
    """A credential helper, asked for the login of `host` (docker-credential-helpers, README)."""

    name: str
    host: str
    timeout_s: float

    def login(self, key: str) -> Credentials | None:
        """Run the helper; None where it has no login."""
        program = f"docker-credential-{self.name}"
        try:
            result = run_child(
                [program, "get"], stdin=key.encode(), timeout_s=self.timeout_s, max_bytes=MAX_HELPER_BYTES
            )
        except ChildLimit as error:
            raise self._fault(str(error)) from None
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise self._fault("is not on PATH" if missing else f"cannot be run: {error.strerror}") from None
        if _NOT_FOUND in result.stdout:
            return None
        if result.returncode:
            raise self._fault(_ending(result))
        try:
            return _answer(result.stdout)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._fault("answers, but not in the form of a credential helper") from None

    def _fault(self, reason: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"the login for {self.host} cannot be read: docker-credential-{self.name} {reason}",
            hint="credsStore or credHelpers in docker's config.json names it: is it installed, does it work?",
        )


def _ending(result: ChildResult) -> str:
    code = result.returncode
    return f"fails ({f'signal {-code}' if code < 0 else f'exit code {code}'})"


def _answer(output: bytes) -> Credentials | None:
    """Return the login that a helper printed; ValueError, TypeError or KeyError for another form."""
    document = json.loads(output)
    username, secret = document["Username"], document["Secret"]
    if username == _TOKEN_USER:
        return _credentials("", "", secret)
    return _credentials(username, secret)
