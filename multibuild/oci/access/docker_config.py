"""Docker's config.json and DOCKER_AUTH_CONFIG, read as docker/cli reads them (cli/config/configfile/file.go).

No value of either is in a message: it can be the secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.oci.access.credential_helper import is_helper_name
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.go_json import field_of, first_value, go_text, split_value
from multibuild.regular_file import read_regular

MAX_DOCKER_CONFIG_BYTES = 1_000_000
"""What docker's config.json may have; thousands of logins."""

HUB_KEY = "https://index.docker.io/v1/"
"""Where logins of Docker Hub are, and nowhere else: docker reads no login for it under `docker.io`."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://")


def config_path(environ: Mapping[str, str]) -> Path | None:
    """Return the path of config.json; None for a user without a home.

    With DOCKER_CONFIG it is there and nowhere else, also where there is no such file.
    """
    folder = environ.get("DOCKER_CONFIG")
    try:
        return Path(folder) / "config.json" if folder else Path.home() / ".docker" / "config.json"
    except RuntimeError:
        return None


def key_of(host: str) -> str:
    """Return the name under which docker keeps the login of a registry."""
    return HUB_KEY if host == "docker.io" else host


@frozen
class DockerConfig:
    """Docker's config.json. Its methods raise EnvironmentFault where what they read is not in docker's form."""

    path: Path | None
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path | None) -> DockerConfig:
        """Read the file; without one there are no logins. Raises EnvironmentFault for a file that is unusable."""
        if path is None:
            return cls(path=None, document={})
        try:
            content = read_regular(path, MAX_DOCKER_CONFIG_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return cls(path=path, document={})
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            raise EnvironmentFault(message, hint="mend its permissions, or move it away") from None
        return cls(path=path, document=_parse(path, content))

    def helper(self, key: str, host: str) -> str:
        """Return the name of the helper for a registry, "" for none.

        An empty name in credHelpers is a choice too: that of no helper.
        """
        helpers = self._mapping("credHelpers", host)
        name = helpers[key] if key in helpers else field_of(self.document, "credsStore")
        if name is not None and not isinstance(name, str):
            raise self._fault(host)
        if name and not is_helper_name(name):
            raise EnvironmentFault(
                f"{self.path}: credsStore or credHelpers: that is no name of a credential helper",
                hint="`name` stands for the program docker-credential-name on PATH",
            )
        return name or ""

    def login(self, key: str, host: str) -> Credentials | None:
        """Return the login in the file itself: that of the key, else of the first address with this host."""
        entries = self._mapping("auths", host)
        names = [key, *(name for name in entries if hostname_of(name) == key)]
        entry = next((entries[name] for name in names if name in entries), None)
        try:
            return _entry(entry or {})
        except (ValueError, TypeError, AttributeError):
            # Messages of decoding errors can quote the secret.
            raise self._fault(host) from None

    def _mapping(self, name: str, host: str) -> Mapping[str, Any]:
        value = field_of(self.document, name)
        if value is not None and not isinstance(value, dict):
            raise self._fault(host)
        return value or {}

    def _fault(self, host: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"the login for {host} cannot be read: {self.path} is not in docker's form",
            hint=f"`docker login {host}`",
        )


def environment_logins(text: str) -> Mapping[str, Credentials]:
    """Return the logins of DOCKER_AUTH_CONFIG by key; ValueError with the reason where docker would not read it.

    It holds `{"auths": {HOST: {"auth": …}}}` and nothing else: no helpers, no tokens.
    """
    try:
        document, rest = split_value(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    document = {} if document is None else document
    if rest or not isinstance(document, dict):
        raise ValueError("it is not one JSON object")
    _require_fields(document, "auths")
    entries = field_of(document, "auths")
    if not isinstance(entries, dict | None):
        raise ValueError("its `auths` are no object")  # noqa: TRY004 - the reason of a text, not a wrong call
    return {key: _environment_login(entry) for key, entry in (entries or {}).items()}


def _environment_login(entry: Any) -> Credentials:
    if not isinstance(entry, dict):
        raise ValueError("an entry of `auths` is no object")  # noqa: TRY004 - the reason of a text, not a wrong call
    _require_fields(entry, "auth")
    auth = field_of(entry, "auth")
    try:
        username, secret = _pair(auth) if auth else ("", "")
    except (ValueError, TypeError, AttributeError):
        username = ""
    if not username:
        raise ValueError("an entry of `auths` has no `auth` that is USER:PASSWORD in base64")
    return Credentials(username=username, secret=secret)


def _require_fields(document: Mapping[str, Any], name: str) -> None:
    if any(key.lower() != name for key in document):
        raise ValueError(f"it has more than `{name}` where docker reads nothing else")


def hostname_of(key: str) -> str:
    """Return the registry of a key, which may be a URL or have a path (cli/config/credentials/file_store.go)."""
    scheme = _SCHEME.match(key)
    if scheme is None:
        return key.partition("/")[0]
    authority = re.split("[/?#]", key[scheme.end() :], maxsplit=1)[0]
    return authority.rpartition("@")[2].removesuffix(":")


def _parse(path: Path, content: bytes) -> Mapping[str, Any]:
    """Return the object of a config.json. Go reads the first value of a file, {} where there is none."""
    if content.startswith(_BYTE_ORDER_MARK):
        message = f"{path} starts with a byte order mark, which docker does not read"
        raise EnvironmentFault(message, hint="save it as UTF-8 without one")
    try:
        document = first_value(content.decode(errors="replace"))
    except (ValueError, RecursionError):
        document = ""
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise EnvironmentFault(f"{path} is not a JSON object", hint="mend or move it")
    return document


def _entry(entry: Mapping[str, Any]) -> Credentials | None:
    """Return the login of an entry of `auths`; ValueError, TypeError or AttributeError for another form."""
    texts = {
        name: go_text(field_of(entry, name))
        for name in ("auth", "username", "password", "identitytoken", "registrytoken")
    }
    username, secret = _pair(texts["auth"]) if texts["auth"] else (texts["username"], texts["password"])
    identity, registry = texts["identitytoken"] or None, texts["registrytoken"] or None
    if not (secret or identity or registry):
        return None
    return Credentials(username=username, secret=secret, identity_token=identity, registry_token=registry)


def _pair(auth: str) -> tuple[str, str]:
    """Return name and password of `auth`: padded base64 of `name:password`, and NULs at its ends are no part of it.

    Raises ValueError for another form.
    """
    plain = base64.b64decode(auth.replace("\r", "").replace("\n", ""), validate=True)
    username, colon, secret = plain.decode(errors="surrogateescape").partition(":")
    if not colon or not username:
        raise ValueError
    return username, secret.strip("\0")
