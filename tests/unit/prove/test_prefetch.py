"""Children read ahead: what was begun is not done twice, and what went wrong then is no error."""

import base64
import json
import threading
import time

import pytest
from fakes.images import put_image
from fakes.layers import tar
from fakes.registry_server import FakeRegistry, Faults

from multibuild.config.sections import Verify
from multibuild.journal.local_children import child_reference
from multibuild.journal.runs import RunDirectory
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import RetryPolicy
from multibuild.oci.registries import RegistrySession
from multibuild.plan.children import StagedChild
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.prefetch import ChildReader
from multibuild.qemu.probe_program import build_probe

ARM64 = Platform.parse("linux/arm64")


@pytest.fixture
def registry():
    with FakeRegistry() as one:
        yield one


class Reading:
    """One built child, and a reader of it."""

    def __init__(self, registry, folder):
        layer = tar({"app": build_probe("arm64")})
        digest = put_image(registry, "app", "linux/arm64", layer=layer, config={"Cmd": ["/app"]})
        self.registry = registry
        self.result = StagedChild(platform=ARM64, repository=f"{registry.host}/app", digest=digest)
        self.key = child_reference(self.result.repository, digest), ARM64
        self.session = RegistrySession({}, on_wait=print, retry=RetryPolicy(tries=1))
        memory = LayerCache(folder / "layers")
        self.reader = ChildReader(Verify(), self.session, RunDirectory(folder), memory)

    def wait_for(self, count):
        """Wait until the registry has had so many requests."""
        end = time.monotonic() + 10
        while len(self.registry.log) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.registry.log) >= count

    def ask(self):
        child = self.reader.child(*self.key)
        return child, self.reader.proof(*self.key, child)


@pytest.fixture
def reading(registry, tmp_path):
    one = Reading(registry, tmp_path)
    with one.session, one.reader:
        yield one


REQUESTS = 3
"""Its manifest, its config and its one layer."""


def test_what_was_begun_is_waited_for_and_not_asked_again(reading):
    reading.reader.prefetch(reading.result)
    child, proof = reading.ask()
    assert child.image.platform == ARM64
    assert (proof.status, proof.checked) == ("passed", 1)
    assert len(reading.registry.log) == REQUESTS


def test_it_is_begun_without_anybody_asking(reading):
    reading.reader.prefetch(reading.result)
    reading.wait_for(REQUESTS)


def test_what_nobody_began_is_read_when_it_is_asked_for(reading):
    assert reading.registry.log == []
    _, proof = reading.ask()
    assert proof.status == "passed"
    assert len(reading.registry.log) == REQUESTS


@pytest.mark.parametrize("place", range(1, REQUESTS + 1))
def test_what_failed_ahead_of_time_is_done_anew(reading, place):
    reading.registry.faults = Faults({place: 403})
    reading.reader.prefetch(reading.result)
    reading.wait_for(place)
    _, proof = reading.ask()
    assert (proof.status, proof.checked) == ("passed", 1)


def log_in(folder, password):
    login = base64.b64encode(f"robot:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {folder.name: {"auth": login}}}))


def test_a_login_that_has_run_out_while_others_built_is_read_anew(tmp_path, monkeypatch):
    with FakeRegistry(login=("robot", "second"), scheme="basic") as registry:
        folder = tmp_path / registry.host
        folder.mkdir()
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        reading = Reading(registry, tmp_path)
        with reading.session, reading.reader:
            log_in(folder, "first")
            reading.reader.prefetch(reading.result)
            reading.wait_for(2)
            log_in(folder, "second")
            _, proof = reading.ask()
    assert proof.status == "passed"


def test_what_fails_then_too_is_an_error(reading):
    reading.registry.faults = Faults({1: 403}, lasting=True)
    reading.reader.prefetch(reading.result)
    with pytest.raises(RegistryError):
        reading.ask()


def test_leaving_ends_what_nobody_waits_for(reading, tmp_path):
    with reading.registry.lock:
        reading.reader.prefetch(reading.result)
        reading.reader.__exit__(None, None, None)
    end = time.monotonic() + 10
    while (left := _pool_threads()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left
    # Whole layers leave an index there.
    assert not (tmp_path / "layers").exists()


def _pool_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
