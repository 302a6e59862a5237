"""The publisher alone, in a process that may be killed; it writes its events to a file like the journal."""

import json
from pathlib import Path

from multibuild.errors import PublishFailed
from multibuild.oci.http import RetryPolicy
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.publish.move_tags import publish

NO_RETRY = RetryPolicy(tries=1, initial_wait_s=0.0, unreachable_s=0.0)


class Clients:
    """One client per host, without retries, so that every fault counts."""

    def __init__(self):
        self.open = {}

    def of(self, host):
        if host not in self.open:
            self.open[host] = Registry(RegistrySettings(host=host), retry=NO_RETRY)
        return self.open[host]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for registry in self.open.values():
            registry.__exit__(None, None, None)


def run(content, media_type, source, names, tags, journal, previous_digests=None):
    """Publish; return the error's message, empty without one."""
    index = Manifest.of(content, media_type)
    destinations = [Destination(repository=Reference.parse(name), tags=tags) for name in names]
    with Clients() as clients, Path(journal).open("a", encoding="utf-8") as file:

        def emit(event, /):
            file.write(json.dumps([event.name, event.to_json()]) + "\n")
            file.flush()

        try:
            publish(
                index,
                destinations,
                sources=[Reference.parse(source).with_digest(entry.digest) for entry in index.entries],
                registries=clients,
                emit=emit,
                previous_digests=previous_digests or {},
            )
        except PublishFailed as error:
            return error.message
    return ""


def events(journal):
    path = Path(journal)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
