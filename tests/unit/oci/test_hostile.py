"""Untrusted documents: whatever they contain, the result is an error with a message, never a traceback."""

import copy
import json
import random
from typing import Any

import pytest
from fakes.images import OCI, OCI_INDEX, descriptor, put_attested, put_index
from fakes.registry_server import FakeRegistry

from multibuild.cli.commands.inspect import as_table
from multibuild.errors import MultibuildError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.verify import Rules, verify
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source
from multibuild.publish.move_tags import publish
from multibuild.resolve.inspect_index import inspect_reference
from multibuild.resolve.lint_index import lint
from multibuild.resolve.resolve import resolve_hosts
from multibuild.workflow.clean.registries import reachable_digests

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 5, -1, float("inf"), "text", "latest", "linux", "v²"),
    *([], {}, [5], [None], [[]], {"a": 1}),
)
ROUNDS = 60


def mutate(document, rng):
    """Return a copy of the document with an odd value at a random place."""
    document = copy.deepcopy(document)
    fields = []
    queue = [document]
    while queue:
        node = queue.pop()
        keys = node if isinstance(node, dict) else range(len(node))
        fields += [(node, key) for key in keys]
        queue += [node[key] for key in keys if isinstance(node[key], dict | list)]
    node, key = rng.choice(fields)
    node[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return document


def complete_documents(registry):
    """Return an index, an image manifest and an image config with every field that is read."""
    child, image, _ = put_attested(registry, "app", "linux/arm/v7")
    manifests = registry.repository("app").manifests
    index, manifest = (json.loads(manifests[digest][1]) for digest in (child, image))
    about = {"subject": {"mediaType": OCI, "digest": image, "size": 3}, "annotations": {"a": "b"}}
    config = json.loads(registry.repository("app").blobs[manifest["config"]["digest"]])
    section = {"Entrypoint": ["sh"], "Cmd": ["x"], "Env": ["PATH=/bin"], "WorkingDir": "/"}
    config |= {"config": section, "os.version": "1", "os.features": ["a"]}
    return {**index, **about, "artifactType": "x"}, {**manifest, **about}, config


def uses(reference, registries):
    """Yield everything multibuild does with an untrusted image."""
    registry = registries.of(reference.host)

    def copy_image():
        source = read_source(str(reference), registries)
        index = merge([source], MergeOptions(annotations=(("q", "r"),)))
        lint(index.entries, {})
        destination = Destination(repository=Reference.parse(f"{reference.host}/copy"), tags=("1",))
        publish(
            index, [destination], sources=[source.reference], registries=registries, emit=lambda _event: None
        )

    yield lambda: as_table(inspect_reference(reference, registries))
    yield lambda: json.dumps(
        verify(reference, registries, rules=Rules(mode="all"), cache=LayerCache()).document()
    )
    yield lambda: resolve_hosts(registry.manifest(reference), ["linux/arm/v7", "linux/arm64"])
    yield lambda: reachable_digests(reference, [registry.manifest(reference).digest], registries)
    yield copy_image


@pytest.mark.parametrize("seed", range(4))
def test_an_odd_value_never_ends_in_a_traceback(seed):
    rng = random.Random(seed)
    no_retries = RetryPolicy(tries=1, initial_wait_s=0.0)
    with FakeRegistry() as fake, RegistrySession({}, on_wait=print, retry=no_retries) as registries:
        index, manifest, config = complete_documents(fake)
        for _ in range(ROUNDS):
            kind = rng.choice(("index", "manifest", "config"))
            blob = json.dumps(mutate(config, rng) if kind == "config" else config).encode()
            config_entry = {**manifest["config"], "digest": fake.put_blob("app", blob), "size": len(blob)}
            image = {**manifest, "config": config_entry}
            image = mutate(image, rng) if kind == "manifest" else image
            if kind == "index":
                fake.put("app", json.dumps(mutate(index, rng)).encode(), OCI_INDEX, tag="odd")
            else:
                digest = fake.put("app", json.dumps(image).encode(), OCI, tag="odd")
                if rng.random() < 0.5:
                    put_index(fake, "app", [descriptor(fake, "app", digest, "linux/arm/v7")], tag="odd")
            for use in uses(Reference.parse(f"{fake.host}/app:odd"), registries):
                try:
                    use()
                except MultibuildError as error:
                    assert error.message  # noqa: PT017 - any of ours is right, and nothing else
