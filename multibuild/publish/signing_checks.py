"""What `doctor` says of signing: whether `all` can sign with the key that the config names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multibuild.config.load import LoadedConfig
from multibuild.config.referenced_files import check_signing as check_key
from multibuild.errors import MultibuildError
from multibuild.publish.cosign import Cosign
from multibuild.publish.sign import check_signing
from multibuild.qemu.explain_probe import Check


def signing_checks(images: Sequence[LoadedConfig], environ: Mapping[str, str]) -> tuple[Check, ...]:
    """Return a check of cosign and of each key; none for a config that signs nothing."""
    try:
        for loaded in images:
            check_key(loaded, environ)
        sections = [(loaded.config.sign, loaded.project) for loaded in images if loaded.config.sign]
        details = list(check_signing(sections, cosign=lambda limit: Cosign(timeout_s=limit, environ=environ)))
    except MultibuildError as error:
        return (Check(name="sign", status="fail", detail=error.message, hint=error.hint or ""),)
    return tuple(Check(name="sign", status="ok", detail=detail) for detail in details)
