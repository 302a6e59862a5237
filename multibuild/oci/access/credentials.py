"""The login of one registry, and how long it is believed."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import field

from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.redact import REDACTED

MAX_LOGIN_AGE_S = 300.0
"""Logins of cloud credential helpers expire, some within the hour; builds may take hours."""


@frozen
class Credentials:
    """A login for one registry; `repr` shows no secret.

    `identity_token` is exchanged for tokens in place of the password; `registry_token` is sent as it is. Bytes of a
    password that are no UTF-8 are surrogates (PEP 383).
    """

    username: str
    secret: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)
    registry_token: str | None = field(default=None, repr=False)

    @property
    def basic(self) -> str | None:
        """The header of Basic authentication; None without a name and a password (distribution, auth/session.go)."""
        if not (self.username and self.secret):
            return None
        pair = f"{self.username}:{self.secret}".encode(errors="surrogateescape")
        return "Basic " + base64.b64encode(pair).decode()

    def redact(self, text: str) -> str:
        """Return a text of others without the secrets, which a server may repeat."""
        basic = (self.basic or "").removeprefix("Basic ")
        for secret in (basic, self.secret, self.identity_token, self.registry_token):
            text = text.replace(secret, REDACTED) if secret else text
        return text


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
