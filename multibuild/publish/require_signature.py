"""Require a signature: the user's cosign verifies a digest before anything is published from it."""

from __future__ import annotations

from multibuild.child_process import ChildLimit, ChildResult, run_child
from multibuild.errors import EnvironmentFault, VerificationFailed
from multibuild.oci.reference import Reference
from multibuild.terminal import one_line

COSIGN_TIMEOUT_S = 300.0
"""cosign asks a registry, perhaps a transparency log and the service of a key."""

MAX_COSIGN_BYTES = 16 * 1024 * 1024
"""What it may print: a document for each signature."""

MAX_SHOWN = 300
"""Characters of its last line."""


def cosign_command(key: str, reference: Reference) -> tuple[str, ...]:
    """Return the command that verifies `repository@digest` with a public key: a file, a KMS URI, `env://NAME`."""
    return ("cosign", "verify", "--key", key, str(reference))


def require_signature(key: str, reference: Reference) -> None:
    """Run cosign; VerificationFailed (exit 6) when it refuses, EnvironmentFault (exit 3) when it cannot be run."""
    try:
        result = run_child(
            cosign_command(key, reference), timeout_s=COSIGN_TIMEOUT_S, max_bytes=MAX_COSIGN_BYTES
        )
    except ChildLimit as error:
        raise EnvironmentFault(f"--signed-by: cosign {error}", hint="run `cosign verify` by hand") from None
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        raise EnvironmentFault(
            f"--signed-by: cosign {'is not on PATH' if is_missing else f'cannot be run: {error.strerror}'}",
            hint="install it (https://docs.sigstore.dev), or promote without --signed-by",
        ) from None
    if result.returncode:
        raise VerificationFailed(
            f"{reference} is not signed by {key}: {_last_line(result)}",
            hint="nothing was written; `cosign verify --key` says more",
        )


def _last_line(result: ChildResult) -> str:
    """Return what cosign says at its end, else how it ended."""
    lines = [line for line in result.stderr.decode(errors="replace").splitlines() if line.strip()]
    code = result.returncode
    ending = f"cosign ends with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
    return one_line(lines[-1])[-MAX_SHOWN:] if lines else ending
