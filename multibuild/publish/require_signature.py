"""Require a signature: the user's cosign verifies a digest before anything is published from it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from multibuild.errors import EnvironmentFault, VerificationFailed
from multibuild.oci.reference import Reference
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.publish.cosign import Cosign, CosignFailed, registry_flags

COSIGN_TIMEOUT_S = 300.0
"""cosign asks a registry, perhaps a transparency log and the service of a key."""


def require_signature(
    key: str,
    reference: Reference,
    settings: RegistrySettings,
    *,
    tlog: bool = True,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Verify `repository@digest` with a public key, as cosign takes it: a file, a KMS URI, `env://NAME`.

    Without `tlog` the signature need not be in the transparency log. Raises VerificationFailed (exit 6) when cosign
    refuses, EnvironmentFault (exit 3) when it cannot be run or does not end.
    """
    log = () if tlog else ("--insecure-ignore-tlog=true",)
    cosign = Cosign(timeout_s=COSIGN_TIMEOUT_S, environ=dict(os.environ if environ is None else environ))
    try:
        cosign.run(("verify", "--key", key, *log, *registry_flags(settings), str(reference)))
    except EnvironmentFault as error:
        raise EnvironmentFault(
            f"--signed-by: {error.message}", hint=f"{error.hint}, or promote without --signed-by"
        ) from None
    except CosignFailed as error:
        if not error.has_ended:
            raise EnvironmentFault(
                f"--signed-by: {error.message}", hint="run `cosign verify` by hand"
            ) from None
        raise VerificationFailed(
            f"{reference} is not signed by {key}: {error.message.removeprefix('cosign says: ')}",
            hint="nothing was written; `cosign verify --key` says more",
        ) from None
