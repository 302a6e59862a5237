"""The real engine, registry and QEMU. Nothing here may skip: without the lab these tests fail."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import PATIENCE_S
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = f"localhost:{os.environ.get('MULTIBUILD_LAB_PORT', '5000')}"
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
TWELVE = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/arm/v5",
    "linux/386",
    "linux/mips64le",
    "linux/mipsle",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "linux/loong64",
)


LOCKS = Path("/run/multibuild-e2e")

# An account for all suites on an engine, as their builders are on it: those of the developer are not touched.
ACCOUNT = LOCKS / hashlib.sha256(os.environ.get("DOCKER_HOST", "").encode()).hexdigest()[:8]
os.environ["BUILDX_CONFIG"] = str(ACCOUNT / "buildx")
os.environ["XDG_STATE_HOME"] = str(ACCOUNT / "state")

DRIVERS = {"docker": "default", "docker-container": "auto"}
"""Driver → the `builder:` that chooses it: on the engine's own, and on what most people have."""


@pytest.fixture(scope="session", autouse=True)
def lab():
    """Start the lab, or repair it after a kill: the commands are the same. Return what BuildKit's image is."""
    subprocess.run([sys.executable, "-m", "builders.lab", "up"], cwd=ROOT, check=True)
    return subprocess.run(
        [sys.executable, "-m", "builders.lab", "buildkit-image"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def pytest_generate_tests(metafunc):
    """Run what touches a builder on every driver, or where `one_driver` says why not, on the one it names."""
    if "driver" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("one_driver")
    drivers = [marker.kwargs["driver"]] if marker else list(DRIVERS)
    metafunc.parametrize("driver", drivers, scope="session")


def pytest_xdist_make_scheduler(config, log):
    """Let one worker run what shares a costly fixture, and start with that.

    Not `xdist_group`: pytest 9.2 ignores the names that pytest-xdist 3.8 gives to tests of a group.
    """
    return SharingScheduler(config, log)


class SharingScheduler(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        """Return the module and driver of a test whose module makes something for several; else the test."""
        path, _, test = nodeid.partition("::")
        if 'scope="module"' not in (ROOT / path).read_text():
            return nodeid
        driver = re.search(r"\[(docker-container|docker)\b", test)
        return f"{path} {driver and driver[1]}"


@pytest.fixture(scope="session")
def builder(driver):
    """Return the `builder:` of a config, or the value of --builder, that leads to the driver."""
    return DRIVERS[driver]


@contextlib.contextmanager
def machine(*, alone):
    """Hold the machine, with others or alone: handlers, the engine and the registry are shared.

    Suites in several worktrees, and workers of one suite, share a machine. The first lock is a turnstile: a test that
    needs the machine alone stops newcomers there while those inside finish.
    """
    LOCKS.mkdir(exist_ok=True)
    with (LOCKS / "turnstile").open("w") as turnstile, (LOCKS / "room").open("w") as room:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """`@pytest.mark.alone` is for tests that remove handlers, stop the engine or measure.

    Around the whole protocol, so that fixtures of wider scopes are created inside too.
    """
    with machine(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@dataclass
class Done:
    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self):
        return json.loads(self.stdout)


def start(*arguments, cwd=ROOT, env=None):
    return subprocess.Popen(
        [sys.executable, "-m", "multibuild", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, timeout=PATIENCE_S):
    began = time.monotonic()
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # else its builds outlive the test, and its builder counts as one in use
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        pytest.fail(f"no end after {timeout} s\n{stdout}\n{stderr}")
    assert "Traceback" not in stderr, stderr
    return Done(process.returncode, stdout, stderr, time.monotonic() - began)


def multibuild(*arguments, cwd=ROOT, env=None, timeout=PATIENCE_S):
    return finish(start(*arguments, cwd=cwd, env=env), timeout)


class Registry:
    """The lab's registry, read without our own client."""

    def get(self, repository, target, accept=INDEX_TYPES + ", " + MANIFEST_TYPES):
        request = urllib.request.Request(
            f"http://{REGISTRY}/v2/{repository}/manifests/{target}", headers={"Accept": accept}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def blob(self, repository, digest):
        with urllib.request.urlopen(
            f"http://{REGISTRY}/v2/{repository}/blobs/{digest}", timeout=PATIENCE_S
        ) as answer:
            return answer.read()

    def delete(self, repository, digest):
        request = urllib.request.Request(
            f"http://{REGISTRY}/v2/{repository}/manifests/{digest}", method="DELETE"
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            assert answer.status == 202

    def exists(self, repository, target):
        try:
            self.get(repository, target)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def tags(self, repository):
        with urllib.request.urlopen(
            f"http://{REGISTRY}/v2/{repository}/tags/list", timeout=PATIENCE_S
        ) as answer:
            return json.load(answer)["tags"] or []

    def images(self, repository, target):
        """Return the image entries: platform → descriptor."""
        entries = self.get(repository, target)["manifests"]
        images = [e for e in entries if "vnd.docker.reference.type" not in e.get("annotations", {})]
        return {
            "/".join(
                filter(
                    None, (e["platform"]["os"], e["platform"]["architecture"], e["platform"].get("variant"))
                )
            ): e
            for e in images
        }


@pytest.fixture(scope="session")
def registry():
    return Registry()


def own_repository(name):
    """Return a repository that nobody else publishes to: several workers run at once, examples too."""
    slug = re.sub("[^a-z0-9]+", "-", name.lower())
    return f"e2e/{slug[:60].strip('-')}-{os.getpid()}-{time.time_ns() % 10**8}"


@pytest.fixture
def repository(request):
    return own_repository(request.node.name)


@pytest.fixture
def project(tmp_path, repository, builder):
    """Write a project: `project(run="…", platforms=[…], more={…})` returns its config's path."""

    def write(
        *, run="uname -m > /machine", platforms=("linux/amd64", "linux/arm64"), dockerfile=None, **more
    ):
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        text = dockerfile or f"FROM {REGISTRY}/base:latest\nRUN {run}\n"
        (folder / "Dockerfile").write_text(text)
        config = {
            "version": 1,
            "image": f"{REGISTRY}/{repository}",
            "platforms": list(platforms),
            "builder": builder,
            **more,
        }
        path = folder / "multibuild.yaml"
        path.write_text(json.dumps(config))
        return path

    return write


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def docker(*arguments, check=True, env=None):
    done = subprocess.run(
        ["docker", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **(env or {})},
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@dataclass(frozen=True)
class Readers:
    """Debian's skopeo, crane, oras and cosign: clients that share no code with docker or multibuild."""

    prefix: Path

    def __call__(self, program, *arguments, check=True):
        libraries = f"{self.prefix}/usr/lib/x86_64-linux-gnu:{self.prefix}/lib/x86_64-linux-gnu"
        done = subprocess.run(
            [f"{self.prefix}/usr/bin/{program}", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def crane(self, *arguments, **options):
        return self("crane", *arguments, **options)

    def skopeo(self, *arguments, **options):
        return self("skopeo", "--insecure-policy", *arguments, **options)

    def oras(self, *arguments, **options):
        return self("oras", *arguments, **options)

    def cosign(self, *arguments, **options):
        return self("cosign", *arguments, **options)


@pytest.fixture(scope="session")
def readers(lab):
    done = subprocess.run(
        [sys.executable, "-m", "builders.lab", "readers"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Readers(Path(done.stdout.strip()))
