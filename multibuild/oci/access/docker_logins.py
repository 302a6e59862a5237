"""The login that docker would use for a registry: DOCKER_AUTH_CONFIG, a credential helper, or config.json."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from multibuild.oci.access.credential_helper import HELPER_TIMEOUT_S, CredentialHelper
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.docker_config import DockerConfig, config_path, environment_logins, key_of

ENVIRONMENT_LOGINS = "DOCKER_AUTH_CONFIG"


def _nothing(_message: str) -> None:
    return None


def credentials_for(
    host: str, *, timeout_s: float = HELPER_TIMEOUT_S, warn: Callable[[str], None] = _nothing
) -> Credentials | None:
    """Return the login for `host`; None where there is none. `warn` gets what docker would warn of.

    Raises EnvironmentFault when docker's config is broken, or a configured credential helper is missing or fails.
    """
    key = key_of(host)
    login = _from_environment(os.environ, key, warn)
    if login is not None:
        return login
    config = DockerConfig.read(config_path(os.environ))
    name = config.helper(key, host)
    if name:
        # A helper without a login means that there is none, whatever the file says (credentials/native_store.go).
        return CredentialHelper(name=name, host=host, timeout_s=timeout_s).login(key, warn)
    return config.login(key, host)


def _from_environment(
    environ: Mapping[str, str], key: str, warn: Callable[[str], None]
) -> Credentials | None:
    try:
        return environment_logins(environ.get(ENVIRONMENT_LOGINS, "")).get(key)
    except ValueError as error:
        # As docker: with a warning, it goes on with config.json.
        warn(f"{ENVIRONMENT_LOGINS} is not used: {error}")
        return None
