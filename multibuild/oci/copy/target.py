"""Ask a target what it has before something is written to it.

Some registries answer 403 or 401 for what is absent, a repository or a tag (ECR, Artifactory's virtual repositories,
ACR): there it counts as absent. If the login may not write either, writing says so.
"""

from __future__ import annotations

from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.manifests.read_manifest import UnusableManifest
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store

_ABSENT = frozenset({"not-found", "denied", "unauthorized"})


def stored_descriptor(store: Store, reference: Reference) -> Descriptor | None:
    """Return the descriptor of what the target has under a tag or digest, None for nothing."""
    try:
        return store.head(reference)
    except RegistryError as error:
        if error.kind in _ABSENT:
            return None
        raise


def stored_manifest(store: Store, reference: Reference) -> Manifest | None:
    """Return what the target has under a tag or digest, whatever it is; None for nothing."""
    try:
        return store.manifest(reference)
    except RegistryError as error:
        if isinstance(error, UnusableManifest) and error.kind == "invalid":
            return error.manifest
        if error.kind in _ABSENT:
            return None
        raise


def has_blob(store: Store, repository: str, digest: str) -> bool:
    """Whether the target has a blob."""
    try:
        return store.has_blob(repository, digest)
    except RegistryError as error:
        if error.kind in _ABSENT:
            return False
        raise
