"""Wait until a registry shows what was pushed: some are eventually consistent."""

from __future__ import annotations

import time
from collections.abc import Callable

from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store

VISIBILITY_TIMEOUT_S = 20.0
"""How long a registry may take to show what was pushed."""

_UNCOMMITTED = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "NOT_FOUND"})
"""Codes of a refused index whose manifests were accepted a moment before (Nexus, Harbor, Docker Hub)."""


def put_index(store: Store, reference: Reference, index: Manifest) -> str:
    """Push an index, again while the registry does not know its manifests yet, for VISIBILITY_TIMEOUT_S.

    Returns what `Store.put_manifest` returns.
    """
    subjects: list[str] = []

    def push() -> RegistryError | None:
        try:
            subjects.append(store.put_manifest(reference, index.content, index.media_type))
        except RegistryError as error:
            is_uncommitted = not _UNCOMMITTED.isdisjoint(error.codes) or (
                error.status == 404 and not error.codes
            )
            if not is_uncommitted:
                raise _Refused(error) from error
            return error
        return None

    try:
        wait_until_visible(push, timeout_s=VISIBILITY_TIMEOUT_S)
    except _Refused as refused:
        raise refused.error from refused
    return subjects[0]


class _Refused(Exception):
    """A refusal that waiting does not change, also of kind not-found (a repository that must be created first)."""

    def __init__(self, error: RegistryError) -> None:
        super().__init__(error.message)
        self.error = error


def wait_until_visible(check: Callable[[], RegistryError | None], *, timeout_s: float) -> None:
    """Call `check` until it returns None; an error it returns, or a `not-found` it raises, is checked again.

    Raises the last of these after `timeout_s` seconds, and any other error of `check` at once.
    """
    deadline = time.monotonic() + timeout_s
    pause = 0.1
    while True:
        try:
            problem = check()
        except RegistryError as error:
            if error.kind != "not-found":
                raise
            problem = error
        if problem is None:
            return
        if time.monotonic() > deadline:
            raise problem
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
