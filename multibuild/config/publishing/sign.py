"""The section `sign`: with what, and by which key, what is published is signed."""

# No `from __future__ import annotations`: pydantic would compile each annotation again.

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from multibuild.config.field_types import Seconds
from multibuild.config.problems import invalid
from multibuild.config.sections import Section
from multibuild.redact import redacted

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SERVICE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|pkcs11:)\S+\Z")
_KEY_HINT = (
    "a file (cosign.key), env:NAME, or the address of a key service (awskms://…, gcpkms://…, hashivault://…)"
)


def _check_key(value: str) -> str:
    """Refuse a key itself, which would be in the file; its value is in no message."""
    if "-----BEGIN" in value or "\n" in value:
        raise invalid(
            "is a key itself, and a config is no place for one", hint="write env:NAME, or name a file"
        )
    if "pin-value" in value:
        raise invalid("has the PIN of a token in it", hint="set COSIGN_PKCS11_PIN in the environment")
    if value.startswith("env:") and not _VARIABLE.match(_variable(value)):
        raise invalid("names no environment variable", hint="like env:COSIGN_KEY")
    if not value.strip() or (re.match(r"[a-z0-9+.-]+://", value) and not _SERVICE.match(value)):
        raise invalid("names no key", hint=_KEY_HINT)
    return value


def _variable(key: str) -> str:
    return key.removeprefix("env:").removeprefix("//")


class Sign(Section):
    """The signature of everything that is published, made before any tag moves. Either `key` or `keyless`."""

    with_: Literal["cosign"] = Field(default="cosign", alias="with")
    """The program, from PATH: cosign, version 2 or 3."""
    key: Annotated[str, AfterValidator(_check_key)] | None = None
    """The private key: a file, `env:NAME` for an environment variable that holds one, or the address of a key service
    (`awskms://…`). Its password is in COSIGN_PASSWORD."""
    keyless: bool = False
    """Sign with a certificate for the identity of the CI job instead of a key."""
    tlog: bool = True
    """Record each signature in the transparency log, which is public unless cosign is told otherwise."""
    timeout: Seconds = 300.0
    """How long one call of the program may take."""

    @model_validator(mode="after")
    def _has_one_identity(self) -> Self:
        hint = "write key: env:COSIGN_KEY, or keyless: true"
        if self.key is not None and self.keyless:
            raise invalid("there is a key, and keyless means to do without one", hint=hint, at=("keyless",))
        if self.key is None and not self.keyless:
            raise invalid("has neither key nor keyless", hint=hint)
        if self.keyless and not self.tlog:
            message = "keyless needs the log: a certificate lasts ten minutes, and the log proves the time"
            raise invalid(message, hint="remove it, or sign with a key", at=("tlog",))
        return self

    @property
    def variable(self) -> str | None:
        """The environment variable that holds the key; None for any other key."""
        return _variable(self.key) if self.key is not None and self.key.startswith("env:") else None

    @property
    def file(self) -> Path | None:
        """The file of the key, relative to the project; None for any other key."""
        is_file = self.key is not None and self.variable is None and not _SERVICE.match(self.key)
        return Path(self.key) if is_file and self.key is not None else None

    def key_argument(self, project: Path) -> str | None:
        """Return the key as cosign takes it; None without one."""
        if self.variable is not None:
            return f"env://{self.variable}"
        return str(project / self.file) if self.file is not None else self.key

    @property
    def identity(self) -> str:
        """Return who signs, for people: no secret is in it."""
        if self.key is None:
            return "the identity of the CI job"
        return f"the key in {self.variable}" if self.variable else f"the key {redacted(self.key)}"
