"""Docker's credentials: config.json, credential stores and helpers, identity tokens, through docker-py."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen

_LOOKUP_LOCK = threading.Lock()
"""Warning filters are global to the process, and a credential helper may prompt the user."""

_HUB_KEY = "https://index.docker.io/v1/"

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


def credentials_for(host: str) -> Credentials | None:
    """Return the login for `host`; None where there is none.

    Raises EnvironmentFault when docker's config is broken, or a configured credential helper is missing or fails.
    Messages of decoding errors are dropped: they can quote a secret that could not be decoded.
    """
    if not _may_hold_logins():
        return None
    from docker import auth
    from docker.errors import DockerException
    from docker.utils.config import find_config_file

    path = find_config_file()
    if path is not None:
        _require_readable(Path(str(path)))
    try:
        with _LOOKUP_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # docker-py warns of a missing helper, then raises
            login = auth.load_config().resolve_authconfig(_HUB_KEY if host == "docker.io" else host)
    except DockerException as error:
        raise EnvironmentFault(
            f"the login for {host} cannot be read: {_first_line(error)}",
            hint="credsStore or credHelpers in docker's config.json names a helper: is it installed, does it work?",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise EnvironmentFault(
            f"the login for {host} cannot be read: it is not in docker's form", hint=f"`docker login {host}`"
        ) from None
    return _credentials(login) if login else None


def _may_hold_logins() -> bool:
    """Whether docker-py's config file can have logins: importing docker-py takes longer than a whole merge."""
    home = Path.home()
    folder = os.environ.get("DOCKER_CONFIG")
    paths = [Path(folder) / "config.json"] if folder else []
    paths += [home / ".docker" / "config.json", home / ".dockercfg"]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        return False
    try:
        text = path.read_text(encoding="utf-8").lower()
        return not isinstance(json.loads(text), dict) or "auth" in text or "cred" in text
    except (OSError, ValueError, RecursionError):
        return True  # `_require_readable` raises the error


def _credentials(login: Mapping[str, Any]) -> Credentials | None:
    token = login.get("IdentityToken")
    username = login.get("Username") or login.get("username") or ""
    secret = login.get("Password") or login.get("password") or ""
    if not (token or secret):
        return None
    return Credentials(username=str(username), secret=str(secret), identity_token=token or None)


def _require_readable(path: Path) -> None:
    """Raise EnvironmentFault for a config that docker-py would ignore, and with it the login."""
    if path.name != "config.json":
        return  # the legacy .dockercfg need not be JSON
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise EnvironmentFault(message, hint="mend its permissions") from None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise EnvironmentFault(f"{path} is not a JSON object", hint="mend or move it")


def _first_line(error: Exception) -> str:
    """Unwrap docker-py's message: "Credentials store error: StoreError('…')"."""
    lines = str(error).splitlines() or [type(error).__name__]
    wrapped = re.search(r"\w+Error\(['\"](.*?)['\"]\)", lines[0])
    return wrapped[1] if wrapped else lines[0]
