"""Registries in memory without HTTP: every call of a store can fail, or be the last one of the process."""

import threading

from fakes.registry_server import Repository, digest_of
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Descriptor, Manifest


class Killed(BaseException):
    """The process ended here: nothing catches this, and every later call of a store raises it again."""


class Fault:
    """What happens at the n-th call (from 1).

    "before": it fails and does nothing; "after": it is done, and fails; "forever": like "before", whenever the same
    call is made again; "killed before", "killed after": the process ends there.
    """

    def __init__(self, number, kind):
        self.number, self.kind = number, kind
        self.call = None

    def of(self, number, call):
        if number == self.number:
            self.call = call
            return self.kind
        if self.call is not None and self.kind.startswith("killed"):
            return "killed before"
        return "before" if self.kind == "forever" and call == self.call else None


NO_FAULT = Fault(0, "before")


class MemoryStores:
    """Stores by host, made when they are asked for; their calls are counted together."""

    def __init__(self):
        self.stores = {}
        self.fault = NO_FAULT
        self.calls = []
        self._lock = threading.Lock()

    def of(self, host):
        with self._lock:
            return self.stores.setdefault(host, MemoryStore(host, self))

    def start(self, fault=NO_FAULT):
        """Count from one again, with another fault."""
        self.fault, self.calls = fault, []

    def perform(self, call, action):
        with self._lock:
            self.calls.append(call)
            fault = self.fault.of(len(self.calls), call)
            if fault == "killed before":
                raise Killed
            if fault in {"before", "forever"}:
                raise RegistryError("unavailable", f"{' '.join(map(str, call))}: it fails")
            result = action()
            if fault == "killed after":
                raise Killed
            if fault == "after":
                raise RegistryError("unavailable", f"{' '.join(map(str, call))}: no answer")
            return result


class MemoryStore:
    """One registry, without referrers."""

    def __init__(self, host, stores):
        self.host = host
        self.repositories = {}
        self._stores = stores

    @property
    def impatient(self):
        return self

    # -- for tests

    def repository(self, name):
        return self.repositories.setdefault(name, Repository())

    def put(self, name, content, media_type, *, tag=None):
        digest = digest_of(content)
        self.repository(name).manifests[digest] = (media_type, content)
        if tag:
            self.repository(name).tags[tag] = digest
        return digest

    def put_blob(self, name, content):
        self.repository(name).blobs[digest_of(content)] = content
        return digest_of(content)

    # -- the protocol

    def _do(self, method, name, action):
        return self._stores.perform((method, self.host, name), action)

    def _find(self, reference):
        repository = self.repository(reference.repository)
        digest = reference.digest or repository.tags.get(reference.tag)
        if digest not in repository.manifests:
            return None
        media_type, content = repository.manifests[digest]
        return Manifest.of(content, media_type)

    def manifest(self, reference):
        found = self._do("manifest", reference, lambda: self._find(reference))
        if found is None:
            raise RegistryError("not-found", f"{reference} is not there")
        return found

    def head(self, reference):
        found = self._do("head", reference, lambda: self._find(reference))
        return found.descriptor if found else None

    def cached_descriptor(self, _reference):
        return None

    def put_manifest(self, reference, content, media_type):
        self._do(
            "put", reference, lambda: self.put(reference.repository, content, media_type, tag=reference.tag)
        )
        return ""

    def delete(self, reference):
        tags = self.repository(reference.repository).tags
        self._do("delete", reference, lambda: tags.pop(reference.tag))

    def has_blob(self, repository, digest):
        return self._do("has", digest, lambda: digest in self.repository(repository).blobs)

    def blob(self, repository, digest):
        yield self._do("blob", digest, lambda: self.repository(repository).blobs[digest])

    def mount(self, repository, digest, source):
        blobs = self.repository(source).blobs
        self._do("mount", digest, lambda: self.put_blob(repository, blobs[digest]))
        return True

    def link(self, _digest, _source):
        return False

    def upload(self, repository, descriptor: Descriptor, chunks):
        content = b"".join(chunks)
        assert digest_of(content) == descriptor.digest
        self._do("upload", descriptor.digest, lambda: self.put_blob(repository, content))

    def referrers(self, reference):
        return self._do("referrers", reference, lambda: ())
