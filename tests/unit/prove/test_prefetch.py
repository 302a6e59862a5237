"""Prefetches of children: nothing is read twice, and an error of a prefetch is no error of the run."""

import base64
import json
import threading

import pytest
from fakes.images import put_image
from fakes.layers import tar
from fakes.registry_server import FakeRegistry, Faults
from waiting import comes

from multibuild.config.sections import Verify
from multibuild.journal.events import PlatformEnded
from multibuild.journal.local_children import child_reference
from multibuild.journal.runs import RunDirectory
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import StagedChild
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.prefetch import ChildReader
from multibuild.qemu.probe_program import build_probe

ARM64 = Platform.parse("linux/arm64")


class ReaderFixture:
    """A built child in a registry, and a reader."""

    def __init__(self, registry, folder):
        layer = tar({"app": build_probe("arm64")})
        digest = put_image(registry, "app", "linux/arm64", layer=layer, config={"Cmd": ["/app"]})
        self.registry = registry
        self.staged = StagedChild(platform=ARM64, repository=f"{registry.host}/app", digest=digest)
        self.key = child_reference(self.staged.repository, digest), ARM64
        self.session = RegistrySession({}, on_wait=print, retry=RetryPolicy(tries=1))
        cache = LayerCache(folder / "layers")
        self.reader = ChildReader(Verify(), self.session, RunDirectory(folder), cache)

    def prefetch(self):
        self.reader.prefetch(self.staged)

    def wait_for_requests(self, count):
        assert comes(lambda: len(self.registry.log) >= count)

    def read(self):
        child = self.reader.child(*self.key)
        return child, self.reader.proof(*self.key, child)


@pytest.fixture
def reading(tmp_path):
    with FakeRegistry() as registry:
        fixture = ReaderFixture(registry, tmp_path)
        with fixture.session, fixture.reader:
            yield fixture


REQUESTS = 3
"""For the manifest, the config and the only layer."""


def test_a_prefetched_child_is_not_requested_again(reading):
    reading.prefetch()
    child, proof = reading.read()
    assert child.image.platform == ARM64
    assert (proof.status, proof.checked) == ("passed", 1)
    assert len(reading.registry.log) == REQUESTS


def test_a_child_without_a_prefetch_is_read_on_request(reading):
    assert reading.registry.log == []
    _, proof = reading.read()
    assert proof.status == "passed"
    assert len(reading.registry.log) == REQUESTS


@pytest.mark.parametrize("request_number", range(1, REQUESTS + 1))
def test_a_failed_prefetch_is_repeated_on_request(reading, request_number):
    reading.registry.faults = Faults({request_number: 403})
    reading.prefetch()
    reading.wait_for_requests(request_number)
    _, proof = reading.read()
    assert (proof.status, proof.checked) == ("passed", 1)


def log_in(folder, password):
    login = base64.b64encode(f"robot:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {folder.name: {"auth": login}}}))


def test_a_login_that_expired_since_the_prefetch_is_read_again(tmp_path, monkeypatch):
    with FakeRegistry(login=("robot", "second"), scheme="basic") as registry:
        folder = tmp_path / registry.host
        folder.mkdir()
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        reading = ReaderFixture(registry, tmp_path)
        with reading.session, reading.reader:
            log_in(folder, "first")
            reading.prefetch()
            reading.wait_for_requests(2)
            log_in(folder, "second")
            _, proof = reading.read()
    assert proof.status == "passed"


def test_a_failure_on_request_is_an_error(reading):
    reading.registry.faults = Faults({1: 403}, lasting=True)
    reading.prefetch()
    with pytest.raises(RegistryError):
        reading.read()


def ended(reading, status):
    return PlatformEnded(
        platform="linux/arm64",
        status=status,
        repository=reading.staged.repository,
        digest=reading.staged.digest,
    )


def test_a_new_child_that_the_registry_does_not_show_yet_is_waited_for(reading):
    reading.registry.hidden[reading.staged.digest] = 2
    reading.reader.on_event(ended(reading, "succeeded"))
    _, proof = reading.read()
    assert proof.status == "passed"
    assert len(reading.registry.log) == REQUESTS + 2


def test_a_reused_child_that_is_gone_is_not_waited_for(reading):
    reading.registry.hidden[reading.staged.digest] = 10**6
    reading.reader.on_event(ended(reading, "reused"))
    with pytest.raises(RegistryError) as caught:
        reading.read()
    assert caught.value.kind == "not-found"
    assert len(reading.registry.log) == 2, "the prefetch, and the request"


def test_closing_the_reader_ends_a_wait(reading):
    reading.registry.hidden[reading.staged.digest] = 10**6
    reading.reader.on_event(ended(reading, "succeeded"))
    reading.wait_for_requests(1)
    asked = len(reading.registry.log)
    reading.reader.__exit__(None, None, None)
    assert comes(lambda: not _pool_threads())
    assert len(reading.registry.log) <= asked + 1, "one may be under way"


def test_closing_the_reader_ends_its_threads(reading, tmp_path):
    with reading.registry.lock:
        reading.prefetch()
        reading.reader.__exit__(None, None, None)
    assert comes(lambda: not _pool_threads())
    # The index of a layer that was read whole would be stored there.
    assert not (tmp_path / "layers").exists()


def _pool_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
