"""The user's cosign: its commands, and how they are run: bounded, without a terminal, and with no secret in a message.

Version 2 stores a signature under the tag `sha256-<hex>.sig`, version 3 as a bundle that refers to the image
(sigstore/cosign specs/SIGNATURE_SPEC.md, specs/BUNDLE_SPEC.md). What it can do is probed: distributions build it as
version `devel`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from multibuild.child_process import ChildLimit, ChildResult, never, run_child
from multibuild.errors import EnvironmentFault
from multibuild.failures.classify import classify
from multibuild.failures.evidence import Evidence
from multibuild.frozen import frozen
from multibuild.oci.access.tls import authority_files, client_certificates, with_docker_certificates
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.redact import environment_secrets, redacted, redacted_command, without_secrets
from multibuild.terminal import one_line

logger = logging.getLogger(__name__)

MAX_COSIGN_BYTES = 16 * 1024 * 1024
"""What it may print: a document for each signature."""

MAX_SHOWN = 300
"""Characters of what it says at its end."""

MAX_END_BYTES = 64 * 1024
"""The end of what it prints, in which that is looked for: millions of lines take hundreds of megabytes."""

MAX_KEY_BYTES = 16 * 1024
"""Of a public key: one of RSA has 800 bytes."""

INSTALL_HINT = "install cosign (https://docs.sigstore.dev)"

_PUBLIC_KEY = "MULTIBUILD_COSIGN_PUBLIC_KEY"
"""The variable by which cosign gets the public half of the key: no file has to be removed."""

_PREFIX = re.compile(r"(?:Error|error during command execution): |(?:main\.go:\d+: )|signing \[[^][]*\]: ")
_SERVER_ERROR = re.compile(r"\]\[5\d\d\]")
"""What the transparency log's client says of its server: `[POST /api/v1/log/entries][502]`."""


class CosignFailed(Exception):
    """cosign did not do what it was to do; the message is in its own words, `is_transient` whether to try again.

    `has_ended`: it ended by itself, within its limits.
    """

    def __init__(self, message: str, *, is_transient: bool = False, has_ended: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.is_transient = is_transient
        self.has_ended = has_ended


@frozen
class Cosign:
    """cosign of PATH. Each call may take `timeout_s`, and ends soon after `is_stopped` says so.

    `start` runs a program as `run_child` does.
    """

    timeout_s: float
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    is_stopped: Callable[[], bool] = never
    start: Callable[..., ChildResult] = run_child

    def run(self, arguments: Sequence[str], *, more: Mapping[str, str] | None = None) -> str:
        """Run it with `more` variables and return what it printed on stdout.

        Raises CosignFailed when it fails, EnvironmentFault when it cannot be started, ChildStopped.
        """
        argv = ("cosign", *arguments)
        logger.info("+ %s", redacted_command(argv))
        environ = {**self.environ, **(more or {})}
        try:
            result = self.start(
                argv,
                environ=environ,
                timeout_s=self.timeout_s,
                max_bytes=MAX_COSIGN_BYTES,
                is_stopped=self.is_stopped,
            )
        except ChildLimit as error:
            raise CosignFailed(f"cosign {error}", has_ended=False) from None
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            raise EnvironmentFault(
                f"cosign {'is not on PATH' if is_missing else f'cannot be run: {error.strerror}'}",
                hint=INSTALL_HINT,
            ) from None
        if result.returncode:
            words = last_words(result, environ)
            raise CosignFailed(f"cosign says: {words}", is_transient=_is_transient(words))
        return result.stdout.decode(errors="replace")

    def version(self) -> str:
        """Return its version: "devel" where a distribution built it. Raises what `run` raises."""
        found = re.search(r"^GitVersion:\s*(\S+)", self.run(("version",)), re.MULTILINE)
        return one_line(found[1])[:MAX_SHOWN] if found else "of unknown version"

    def public_key(self, key: str) -> str:
        """Return the public half of a key, PEM: proof that the key can be used. Raises what `run` raises."""
        text = self.run(("public-key", "--key", key))
        if "-----BEGIN " not in text or "\0" in text or len(text) > MAX_KEY_BYTES:
            raise CosignFailed("cosign prints no public key")
        return text

    def is_signed(self, references: Sequence[str], public_key: str, flags: Sequence[str]) -> bool:
        """Whether all references have a signature that is valid for the public key (PEM); False if that is not known.

        Raises CosignFailed when it does not end, EnvironmentFault, ChildStopped.
        """
        try:
            argv = ("verify", "--key", f"env://{_PUBLIC_KEY}", *flags, *references)
            self.run(argv, more={_PUBLIC_KEY: public_key})
        except CosignFailed as error:
            if not error.has_ended:
                raise
            return False
        return True

    def has_signing_config(self) -> bool:
        """Whether `sign` reads the addresses of services from a signing config, as version 3 does by default."""
        return "--use-signing-config" in self.run(("sign", "--help"))


def registry_flags(settings: RegistrySettings) -> tuple[str, ...]:
    """Return the flags by which cosign reaches a registry as we do; its login is in docker's config for both.

    Of several files of authorities cosign takes the first.
    """
    settings = with_docker_certificates(settings)
    flags = ["--allow-http-registry"] if settings.is_plain_http else []
    flags += ["--allow-insecure-registry"] if settings.insecure else []
    for _, path in authority_files(settings)[:1]:
        flags += ["--registry-cacert", str(path)]
    for pair in client_certificates(settings)[-1:]:
        flags += ["--registry-client-cert", str(pair.cert), "--registry-client-key", str(pair.key)]
    return tuple(flags)


def last_words(result: ChildResult, environ: Mapping[str, str]) -> str:
    """Return what cosign says at its end, without the secrets of its environment, else how it ended."""
    end = result.stderr[-MAX_END_BYTES:]
    if len(end) < len(result.stderr) and b"\n" in end:
        end = end.partition(b"\n")[2]  # the first line is cut, and what is cut may be a half of a secret
    lines = [line for line in end.decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        code = result.returncode
        return f"nothing, and ends with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
    final = next((line for line in reversed(lines) if _PREFIX.match(line)), lines[-1])
    words = without_secrets(_PREFIX.sub("", final), environment_secrets(environ))
    return redacted(one_line(words))[-MAX_SHOWN:]


def _is_transient(words: str) -> bool:
    """Whether another try can help: the registry, the log or the network fails."""
    if _SERVER_ERROR.search(words):
        return True
    return classify(Evidence(message=words, step="", tail=())).retry in {"transient", "once"}
