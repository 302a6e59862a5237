"""Failures below HTTP: names that do not resolve, refused connections, TLS, proxies. The first row that fits counts."""

from __future__ import annotations

import re

from multibuild.frozen import frozen
from multibuild.oci.access.proxies import Proxy
from multibuild.oci.errors import ErrorKind, RegistryError
from multibuild.terminal import printable

_CA = "make its CA known: registries: {{'{host}': {{ca: FILE}}}}"
_CERT = "registries: {{'{host}': {{cert: FILE, key: FILE}}}}"
_RENEW = "its operator has to renew it; or is the clock of this machine wrong?"


@frozen
class Row:
    """A failure whose text has one of `words`, in any case. `text` and `hint` may name {host} and {name} (no port)."""

    words: tuple[str, ...]
    kind: ErrorKind
    text: str
    hint: str


ROWS: tuple[Row, ...] = (
    Row(
        words=("alert certificate required", "alert handshake failure", "alert no certificate"),
        kind="tls",
        text="{host} refuses the TLS connection; most likely it wants a client certificate",
        hint=_CERT,
    ),
    Row(
        words=(
            "alert bad certificate",
            "alert certificate expired",
            "alert certificate revoked",
            "alert certificate unknown",
            "alert unsupported certificate",
            "alert unknown ca",
            "alert access denied",
            "alert decrypt error",
        ),
        kind="tls",
        text="{host} does not accept this client certificate",
        hint=f"has it expired, is it of the right CA? {_CERT}",
    ),
    Row(
        words=("certificate has expired",),
        kind="tls",
        text="the certificate of {host} has expired",
        hint=_RENEW,
    ),
    Row(
        words=("certificate is not yet valid",),
        kind="tls",
        text="the certificate of {host} is not valid yet",
        hint="is the clock of this machine wrong?",
    ),
    Row(
        words=("hostname mismatch", "ip address mismatch", "doesn't match either of"),
        kind="tls",
        text="the certificate of {host} is for another name, not {name}",
        hint="use a name that is in its certificate (subjectAltName)",
    ),
    Row(
        words=("certificate_verify_failed", "certificate verify failed", "certificate"),
        kind="tls",
        text="the certificate of {host} is not trusted",
        hint=_CA,
    ),
    Row(
        words=(
            "wrong_version_number",
            "wrong version number",
            "record layer failure",
            "http_request",
            "packet length too long",
        ),
        kind="tls",
        text="{host} speaks plain http, not TLS",
        hint="if that is meant: registries: {{'{host}': {{insecure: true}}}}",
    ),
    Row(
        words=(
            "unsupported_protocol",
            "unsupported protocol",
            "alert protocol version",
            "dh_key_too_small",
            "ca_md_too_weak",
            "ee_key_too_small",
            "no_protocols_available",
        ),
        kind="tls",
        text="{host} offers only TLS or certificates too old to be safe",
        hint="its operator has to set up TLS 1.2 or newer",
    ),
    Row(
        words=("unrecognized name", "unrecognized_name", "alert internal error"),
        kind="tls",
        text="{host} has no certificate for the name {name}",
        hint="is the name right? its operator has to add it (SNI)",
    ),
    Row(
        words=(
            # getaddrinfo of glibc, musl, BSD
            "name or service not known",
            "nodename nor servname",
            "no address associated",
            "temporary failure in name resolution",
            "name does not resolve",
            "try again",
        ),
        kind="unreachable",
        text="there is no host {name}: its name does not resolve",
        hint="is the name right, and is there a network?",
    ),
)


def error_of_transport(host: str, action: str, error: Exception) -> RegistryError:
    """Return the error for a failure below HTTP."""
    text = re.sub(r"\[Errno -?\d+\] ", "", str(error))
    lowered = text.lower()
    values = {"host": host, "name": name_of(host)}
    row = next((row for row in ROWS if any(word in lowered for word in row.words)), None)
    is_talking = "disconnected" not in text and "closed" not in text
    if row is None and type(error).__name__ == "RemoteProtocolError" and is_talking:
        return RegistryError(
            "unreachable",
            f"{action}: {host} speaks no HTTP that a client can read: {printable(text)[:200]}",
            hint="is it a registry, and is the port right?",
        )
    if row is None:
        row = Row(
            words=(),
            kind="unreachable",
            text="{host} cannot be reached",
            hint="is it running, and is the name right?",
        )
    reason = row.text.format(**values) + (
        f": {printable(text)[:200] or type(error).__name__}" if not row.words else ""
    )
    result = RegistryError(row.kind, f"{action}: {reason}", hint=row.hint.format(**values))
    result.connected = "Connect" not in type(error).__name__
    return result


def error_of_proxy(proxy: Proxy, host: str, action: str, reason: str) -> RegistryError:
    """Return the error for a proxy that fails; `reason` starts with the status where it answered with one.

    None of them has a status: it would be taken for the registry's.
    """
    status = reason[:3] if reason[:3].isdecimal() and reason[3:4] in {"", " "} else ""
    lowered = reason.lower()
    kind: ErrorKind = "unreachable"
    verb, hint = (
        "cannot be used",
        f"is it running, is {proxy.variable} right? NO_PROXY lists the hosts that need none",
    )
    if status == "407" or "wants a login" in reason or "refuses the login" in reason:
        kind, verb = "invalid", "wants another login" if proxy.login else "wants a login"
        hint = f"in {proxy.variable}, before the host: USER:PASSWORD and an @"
    elif status in {"401", "403", "405", "451"} or "does not allow" in reason:
        kind, verb = "invalid", f"does not allow connections to {host}"
        hint = "ask its operator to allow the registry, or list it in NO_PROXY if it can be reached without"
    elif status.startswith("4"):
        kind = "invalid"
    elif status or "host" in lowered:
        verb = f"does not reach {host}"
    elif "wrong_version_number" in lowered or "record layer" in lowered:
        kind, hint = "tls", f"it speaks plain http: {proxy.variable} has to begin with http://"
    elif "certificate" in lowered or "ssl" in lowered:
        kind, hint = "tls", "SSL_CERT_FILE names a file with its authority"
    place = f"the proxy {proxy.address} of {proxy.variable}"
    text = re.sub(r"\[Errno -?\d+\] ", "", printable(reason))[:200]
    error = RegistryError(kind, f"{action}: {place} {verb} ({text})", hint=hint)
    error.connected = False
    return error


def name_of(host: str) -> str:
    """Return a host without its port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
