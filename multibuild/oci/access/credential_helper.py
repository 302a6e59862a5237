"""Credential helpers: programs named docker-credential-NAME (docker-credential-helpers, README).

Nothing that a helper prints is in a message: it can be the secret.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from multibuild.child_process import ChildLimit, ChildResult, run_child
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.go_json import first_value, go_text

_ASKING = threading.Lock()
"""A credential helper may prompt the user: one question at a time."""

_TOKEN_USER = "<token>"  # noqa: S105 - docker-credential-helpers: the secret is an identity token
_NOT_FOUND = b"credentials not found in native keychain"
"""docker-credential-helpers, credentials/error.go: the answer of a helper that has no login."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z")
"""A name without a path: docker would start `docker-credential-../x` from the working directory."""

HELPER_TIMEOUT_S = 60.0
"""A helper may ask a service, or the user."""

MAX_HELPER_BYTES = 1_000_000
"""What a helper may print; tokens of clouds have a few kB."""


def is_helper_name(name: str) -> bool:
    """Whether it is a name that docker-credential-NAME can have, without a path."""
    return _NAME.match(name) is not None


@frozen
class CredentialHelper:
    """A credential helper, asked for the login of `host`."""

    name: str
    host: str
    timeout_s: float = HELPER_TIMEOUT_S

    def login(self, key: str, warn: Callable[[str], None]) -> Credentials | None:
        """Run the helper; None where it has no login. `warn` gets what is odd about that.

        Raises EnvironmentFault when it is missing or fails.
        """
        with _ASKING:
            result = self._run(key)
        if _NOT_FOUND in result.stdout:
            return None
        if result.returncode:
            raise self._fault(_ending(result))
        try:
            username, secret = _parse(result.stdout)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._fault("answers, but not in the form of a credential helper") from None
        if username and not secret:
            # docker-credential-pass where gpg has no key, or nobody who types its passphrase (its issue 327)
            warn(
                f"docker-credential-{self.name} has a name for {self.host} and no password: is its store locked?"
            )
        return _credentials(username, secret)

    def _run(self, key: str) -> ChildResult:
        program = f"docker-credential-{self.name}"
        try:
            return run_child(
                [program, "get"], stdin=key.encode(), timeout_s=self.timeout_s, max_bytes=MAX_HELPER_BYTES
            )
        except ChildLimit as error:
            raise self._fault(str(error)) from None
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise self._fault("is not on PATH" if missing else f"cannot be run: {error.strerror}") from None

    def _fault(self, reason: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"the login for {self.host} cannot be read: docker-credential-{self.name} {reason}",
            hint="credsStore or credHelpers in docker's config.json names it: is it installed, does it work?",
        )


def _ending(result: ChildResult) -> str:
    code = result.returncode
    return f"fails ({f'signal {-code}' if code < 0 else f'exit code {code}'})"


def _parse(output: bytes) -> tuple[str, str]:
    """Return name and secret that a helper printed; ValueError, TypeError or KeyError for another form."""
    document: Any = first_value(output.decode())
    if not isinstance(document, dict):
        raise TypeError
    fields = {key.lower(): value for key, value in document.items()}
    return go_text(fields["username"]), go_text(fields["secret"])


def _credentials(username: str, secret: str) -> Credentials | None:
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credentials(username="", secret="", identity_token=secret)
    return Credentials(username=username, secret=secret)
