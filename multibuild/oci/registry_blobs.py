"""The blobs of a registry (distribution-spec, "Pulling blobs", "Pushing blobs"): streamed, mounted, looked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from multibuild.oci.access.auth import scope_of
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import Request, Response, is_transient
from multibuild.oci.limits import LimitExceeded
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.registry_requests import UNANSWERED, RegistryRequests

if TYPE_CHECKING:
    import httpx

    from multibuild.oci.store import Store

CHUNK_BYTES = 1024 * 1024
_NO_RANGE = 416


class RegistryBlobs(RegistryRequests):
    """The part of a registry that holds blobs."""

    def check_push(self, repository: str) -> None:
        """Raise RegistryError where pushing is not allowed: open an upload and cancel it; nothing is stored."""
        self._cancel_upload(self._reference(repository), self.begin_upload(repository))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob; it is opened where the registry refuses the question (`UNANSWERED`)."""
        name = self._reference(repository)
        action = f"looking into {name}"
        _require_digest(digest, action)
        try:
            self._send("HEAD", name, f"blobs/{digest}", f"looking for {digest}")
        except RegistryError as error:
            if error.kind == "not-found":
                return False
            if error.status not in UNANSWERED:
                raise
            return self._can_open(repository, digest, action)
        return True

    def _can_open(self, repository: str, digest: str, action: str) -> bool:
        try:
            stack, _ = self._open_blob(repository, digest, 0, action)
        except RegistryError as error:
            if error.kind == "not-found":
                return False
            raise
        stack.close()
        return True

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob as it is stored, resuming after a broken connection.

        Raises RegistryError at the end when the bytes do not match the digest, and earlier when there are more of them
        than any manifest states that this client read.
        """
        action = f"reading {digest[:19]}… of {self.host}/{repository}"
        _require_digest(digest, action)
        stated = self._blob_sizes.get(digest)
        self._http.budget.add_bytes(stated or 0, action)
        hasher = hashlib.new(digest.partition(":")[0])
        offset, failures = 0, 0
        while True:
            try:
                for chunk in self._stream(repository, digest, offset, action):
                    hasher.update(chunk)
                    offset += len(chunk)
                    self._require_stated(offset, stated, digest)
                    yield chunk
                break
            except RegistryError as error:
                # Opening the stream had its own retries.
                failures += 1
                if not offset or not is_transient(error) or failures >= self._http.retry.tries:
                    raise
        if hasher.hexdigest() != digest.partition(":")[2]:
            raise RegistryError("invalid", f"{action}: the bytes do not match the digest")

    def _require_stated(self, received: int, stated: int | None, digest: str) -> None:
        if stated is not None and received > stated:
            raise RegistryError(
                "invalid",
                f"{digest}: {self.host} sends more than the {stated} bytes that its manifest states",
                hint="clients refuse such an image: build it again",
            )

    def _stream(self, repository: str, digest: str, start: int, action: str) -> Iterator[bytes]:
        """Stream a blob from byte `start`; where the server ignores ranges, the bytes before it are skipped."""
        try:
            stack, response = self._open_blob(repository, digest, start, action)
        except RegistryError as error:
            if not start or error.status != _NO_RANGE:
                raise
            # go-containerregistry's registry takes no range without an end.
            stack, response = self._open_blob(repository, digest, 0, action)
        with stack:
            skip = start if response.status_code != 206 else 0
            for chunk in response.iter_raw(CHUNK_BYTES):
                remaining = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if remaining:
                    yield remaining

    def _open_blob(
        self, repository: str, digest: str, start: int, action: str
    ) -> tuple[ExitStack, httpx.Response]:
        """Open a blob from byte `start`, with retries; after a failure while reading, the caller resumes."""
        request = Request(
            method="GET",
            path=f"{repository}/blobs/{digest}",
            scope=scope_of("GET", repository),
            action=action,
            headers={"Range": f"bytes={start}-"} if start else {},
        )

        def open_stream() -> tuple[ExitStack, httpx.Response]:
            stack = ExitStack()
            return stack, stack.enter_context(self._http.open(request))

        return self._http.with_retries(open_stream)

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Mount a blob from another repository of this registry; False where it requires an upload instead.

        Whatever is no clear yes means an upload: registries without mounting answer 202, 4xx or 5xx, and some 201 about
        another blob.
        """
        if "mount" in self._missing_apis:
            return False
        try:
            response = self.impatient.begin_upload(repository, {"mount": digest, "from": source})
        except LimitExceeded:
            raise
        except RegistryError as error:
            if error.kind in {"unsupported", "unavailable"}:
                self._missing_apis.add("mount")
            return False
        stored = response.headers.get("docker-content-digest", digest)
        if response.status == 201 and stored == digest:
            return True
        self._cancel_upload(self._reference(repository), response)
        return False

    def begin_upload(self, repository: str, query: Mapping[str, str] = MappingProxyType({})) -> Response:
        """Open an upload; the query asks for a mount instead."""
        name = self._reference(repository)
        return self._send("POST", name, "blobs/uploads/", f"pushing to {name}", query=query)

    def link(self, digest: str, source: Store) -> bool:  # noqa: ARG002 - no shared file system
        """Return False: a registry shares no file system."""
        return False

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        """Upload a blob in one streaming request, without retries: the stream can be read only once."""
        name = self._reference(repository)
        response = self.begin_upload(repository)
        location = response.headers.get("location")
        if not location:
            raise RegistryError("invalid", f"pushing to {name}: {self.host} opens no upload")
        given, query = self._join(response, location), {"digest": descriptor.digest}
        url = self._http.own_url(given)
        if url is None:
            raise RegistryError(
                "invalid",
                f"pushing to {name}: {self.host} wants the upload sent to {self._host_of(given)[:80]}",
                hint="a layer goes only to the registry that it is for: is it the right one?",
            )
        headers = {"Content-Length": str(descriptor.size), "Content-Type": "application/octet-stream"}
        action = f"pushing a layer to {name}"
        self._send("PUT", name, url, action, query=query, headers=headers, content=chunks)

    def _cancel_upload(self, name: Reference, response: Response) -> None:
        """Cancel an upload, ignoring failures: registries expire it by themselves."""
        location = response.headers.get("location")
        with suppress(RegistryError):
            path = self._http.own_url(self._join(response, location)) if location else None
            if path:
                self._delete_upload(name, path)

    def _delete_upload(self, name: Reference, path: str) -> None:
        request = Request(
            method="DELETE",
            path=path,
            scope=scope_of("POST", name.repository),
            action=f"ending an upload to {name}",
            allow_status=frozenset(range(300, 600)),
        )
        self._http.send(request)


def _require_digest(digest: str, action: str) -> None:
    """Raise RegistryError for an invalid digest before it becomes part of a path."""
    if not is_digest(digest):
        raise RegistryError("invalid", f"{action}: '{digest[:80]}' is no digest")
