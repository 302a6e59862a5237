"""Credentials as Docker has them: config.json, credential stores and helpers, identity tokens, through docker-py."""

from __future__ import annotations

from dataclasses import dataclass, field

from multibuild.errors import EnvironmentFault

_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A login for one registry; never shown. `identity_token` replaces the password where the registry gave one."""

    username: str
    secret: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)


def credentials_for(host: str) -> Credentials | None:
    """Find the login for `host`; None where there is none.

    Raises EnvironmentFault when a configured credential helper is missing or fails.
    """
    from docker import auth
    from docker.errors import DockerException

    try:
        found = auth.load_config().resolve_authconfig(_HUB_KEY if host == "docker.io" else host)
    except DockerException as error:
        raise EnvironmentFault(
            f"the login for {host} cannot be read: {str(error).splitlines()[0]}",
            hint="credsStore or credHelpers in docker's config.json names a helper: is it installed?",
        ) from error
    except (OSError, ValueError) as error:
        raise EnvironmentFault(
            f"docker's config.json cannot be read: {error}", hint="mend or move it"
        ) from error
    if not found:
        return None
    token = found.get("IdentityToken") or found.get("identitytoken")
    username = found.get("Username") or found.get("username") or ""
    secret = found.get("Password") or found.get("password") or ""
    if not (token or secret):
        return None
    return Credentials(username=username, secret=secret, identity_token=token or None)
