"""Gates and signatures when programs, registries and multibuild itself fail: no tag ever has an unsigned index.

Children are built once; each test publishes them with `merge`, to two registries, signed by the real cosign.
`MULTIBUILD_KILLS=N` kills at N points instead of a few.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, ROOT, multibuild, start
from e2e.counted_programs import CountedPrograms
from e2e.counting_proxies import Counter, Counting
from e2e.pushing import INDEX
from e2e.registries import RealRegistry, another_registry
from waiting import PATIENCE_S

pytestmark = pytest.mark.one_driver(driver="docker", reason="what fails here only publishes")

KILLS = int(os.environ.get("MULTIBUILD_KILLS", "1"))
PLATFORMS = ("linux/amd64", "linux/arm64")
TAGS = ("v1", "latest")
PASSWORD = "the password of the key"
MAX_PEAK_KB = 150_000
MEASURE = """if True:
    import resource, subprocess, sys
    code = subprocess.call(sys.argv[2:])
    with open(sys.argv[1], "w") as file:
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=file)
    sys.exit(code)
"""
OLD = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


class Site:
    """Built children of one image, and the tags that they are published to. Each round has an index of its own."""

    def __init__(self, folder, repository, proxies, registries, counter, readers):
        self.folder, self.repository, self.proxies = folder, repository, proxies
        self.registries, self.counter, self.readers = registries, counter, readers
        self.state, self.round = folder / "state", 0
        self.programs = CountedPrograms(folder / "programs")
        self.cosign = readers.prefix / "usr" / "bin" / "cosign"
        self.programs.add("cosign", self.cosign)
        self.programs.add("gate", Path("true"))
        subprocess.run(
            [self.programs.bin / "cosign", "generate-key-pair"],
            cwd=folder,
            env={**os.environ, "COSIGN_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
        )
        config = {
            "version": 1,
            "image": f"{proxies[0].host}/{repository}",
            "destinations": [f"{proxies[1].host}/{repository}"],
            "platforms": PLATFORMS,
            "tags": TAGS,
            "builder": "default",
            "jobs": 1,
            "verify": {"content": "off"},
            "attestations": {"provenance": False},
            "annotations": {"round": "${ROUND:-0}"},
            "gates": [{"name": "look", "run": ["gate", "{platform}"], "timeout": "${GATE_TIMEOUT:-1m}"}],
            "sign": {"key": str(folder / "cosign.key"), "tlog": False, "timeout": "${SIGN_TIMEOUT:-1m}"},
        }
        (folder / "project").mkdir()
        self.config = folder / "project" / "multibuild.yaml"
        self.config.write_text(json.dumps(config))
        (folder / "project" / "Dockerfile").write_text(f"FROM {REGISTRY}/base:latest\nRUN true > /signed\n")

    def arguments(self, command):
        return (command, "-f", self.config, "--state-dir", self.state)

    @property
    def environment(self):
        return {
            "ROUND": str(self.round),
            "COSIGN_PASSWORD": PASSWORD,
            "PATH": f"{self.programs.bin}:{os.environ['PATH']}",
        }

    def refuse(self, text):
        """Put a script in the place of cosign when it is to sign."""
        self.programs.add(
            "cosign", f'case "$1 $2" in "sign --yes") ;; *) exec {self.cosign} "$@" ;; esac\n{text}'
        )

    def index(self):
        """Return the digest of the index that the newest run published."""
        return json.loads((self.state / "latest" / "report.json").read_text())["index"]["digest"]

    def reset(self):
        self.counter.reset()
        self.programs.reset()

    def merge_killed_at(self, kind, number):
        """Merge until the n-th request, which is passed on if n is even, or the n-th start or end of a program."""
        self.reset()
        if kind == "program":
            self.programs.reset(number)
        running = start(*self.arguments("merge"), env=self.environment)
        if kind == "request":
            self.counter.reset(number, "reset" if number % 2 else "lost", then=running.kill)
        running.communicate(timeout=PATIENCE_S)
        self.reset()
        return running.returncode

    def merge_measured(self, **more):
        """Merge; return how it ended and its most memory in kB, as no larger process starts it."""
        peak = self.folder / "peak"
        words = (sys.executable, "-m", "multibuild", *map(str, self.arguments("merge")))
        done = subprocess.run(
            [sys.executable, "-S", "-c", MEASURE, str(peak), *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment, **more},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            cwd=ROOT,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done, int(peak.read_text())

    def merge(self, **more):
        return multibuild(*self.arguments("merge"), env={**self.environment, **more})

    def names(self):
        """Yield each registry with the image's repository in it, and the host that it is published through."""
        yield self.registries[0], self.repository, self.proxies[0].host
        yield self.registries[1], self.repository, self.proxies[1].host

    def fresh(self):
        """Put the old index under every tag; no signature is there. Return the digests of the tags."""
        self.round += 1
        for registry, repository, _ in self.names():
            for tag in TAGS:
                registry.put(repository, tag, OLD)
            listed = json.loads(registry.send("GET", f"{repository}/tags/list")[1])["tags"]
            for signature in (tag for tag in listed if tag.startswith("sha256-")):
                digest = registry.digest(repository, signature)
                registry.send("DELETE", f"{repository}/manifests/{digest}")
        return self.tags()

    def tags(self):
        return {
            f"{host}/{repository}:{tag}": registry.digest(repository, tag)
            for (registry, repository, host), tag in itertools.product(self.names(), TAGS)
        }

    def unsigned(self, references):
        """Return what cosign says against references and the images of their indexes; empty if all are signed."""
        references = [*references]
        if not references:
            return ""
        images = {
            f"{host}/{repository}@{entry['digest']}"
            for registry, repository, host in self.names()
            for tag in TAGS
            if f"{host}/{repository}:{tag}" in references
            for entry in registry.document(repository, tag)["manifests"]
        }
        flags = ("--key", self.folder / "cosign.pub", "--insecure-ignore-tlog=true")
        done = self.readers.cosign("verify", *flags, *references, *sorted(images), check=False)
        return done.stderr if done.returncode else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory, lab, readers):
    folder, counter = tmp_path_factory.mktemp("site"), Counter()
    repository = f"e2e/signing-faults-{os.getpid()}-{time.time_ns() % 10**8}"
    with another_registry(tmp_path_factory.mktemp("second")) as second:
        registries = (RealRegistry(REGISTRY), second)
        ports = [int(registry.host.rpartition(":")[2]) for registry in registries]
        with Counting(ports[0], counter) as one, Counting(ports[1], counter) as other:
            site = Site(folder, repository, (one, other), registries, counter, readers)
            done = multibuild(*site.arguments("build"), env=site.environment)
            assert done.code == 0, done.stderr
            yield site


def assert_harmless(site, done):
    """Check that neither the output nor a file of the newest run has the password, or what a terminal obeys."""
    written = [path for path in (site.state / "latest").resolve().rglob("*") if path.is_file()]
    assert written
    for text in (done.stdout, done.stderr, *(path.read_text() for path in written)):
        assert PASSWORD not in text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


NOISE = f"head -c 1000000 {sys.executable}"
COSIGN = """case "$1 $2" in
version*) echo GitVersion: v3; exit ;;
public-key*) echo "-----BEGIN PUBLIC KEY-----"; exit ;;
*--help) exit ;;
esac
"""
MISBEHAVIOURS = {
    "sleep 600": "cosign does not answer within 5.0s",
    "exec yes >&2": "cosign prints more than 16",
    "yes | head -c 15000000 >&2; exit 1": "cosign says: y",
    "kill -KILL $PPID $$": "cosign says: nothing, and ends with signal 9",
    f"env >&2; {NOISE} >&2; printf '\nError: \\033]0;owned\\007%s is wrong\\033[31m\n' \"$COSIGN_PASSWORD\" >&2; exit 1": (
        "cosign says: *** is wrong"
    ),
}


def test_a_cosign_that_misbehaves_moves_no_tag_and_costs_little(site, driver):
    before = site.fresh()
    for script, words in MISBEHAVIOURS.items():
        site.programs.add("cosign", COSIGN + script)
        done, peak = site.merge_measured(SIGN_TIMEOUT="5s" if "sleep" in script else "1m")
        assert done.returncode == 7, done.stderr
        assert f"{site.proxies[0].host}/{site.repository}: 3 of 3 digests could not be signed" in done.stderr
        assert words in done.stderr
        assert_harmless(site, done)
        assert peak < MAX_PEAK_KB, script
        assert site.tags() == before
        print(f"{peak} kB: {words}")
    site.programs.add("cosign", "sleep 600")
    assert site.merge(SIGN_TIMEOUT="500ms").code == 3
    site.programs.add("cosign", site.cosign)


def test_gates_that_misbehave_move_no_tag_and_cost_little(site, driver):
    before = site.fresh()
    cases = f"""case $1 in
linux/amd64) env; {NOISE}; printf '\\033]0;owned\\007%s\\033[31m\n' "$COSIGN_PASSWORD"; kill -KILL $$ ;;
*) yes | tr -d '\n' ;;
esac"""
    site.programs.add("gate", cases)
    site.programs.add("cosign", COSIGN)  # the real one takes 120 MB
    done, peak = site.merge_measured(GATE_TIMEOUT="5s")
    site.programs.add("gate", Path("true"))
    site.programs.add("cosign", site.cosign)
    assert done.returncode == 3, done.stderr
    assert "the gate look could not be run on linux/amd64: ended by SIGKILL" in done.stderr
    assert "linux/arm64: no end after 5.0s; no tag was moved" in done.stderr
    assert_harmless(site, done)
    assert peak < MAX_PEAK_KB
    assert site.tags() == before
    print(f"{peak} kB")


FAULTS = (403, "reset", 401, 429, 500, "lost", "drip")


@pytest.mark.parametrize("fault", FAULTS[: max(KILLS - 1, 1)])
def test_a_signature_that_the_registry_does_not_take_moves_no_tag_and_is_made_by_the_next_run(
    site, driver, fault
):
    """The third of three; what is lost on the way, or only slow, is done again."""
    before = site.fresh()
    third = site.registries[0].digest(site.repository, "multibuild-linux-arm64")
    rule = site.proxies[0].rule("PUT", f"/manifests/{third.replace(':', '-')}$", fault)
    failed = site.merge()
    rule.cancelled.set()
    assert rule.hits
    name = f"{site.proxies[0].host}/{site.repository}"
    if fault not in {"lost", "drip"}:
        assert failed.code == 7
        assert f"error: {name}: 3 of 3 digests could not be signed, no tag was moved" in failed.stderr
        assert third.partition(":")[2] in failed.stderr
        assert site.tags() == before
        done = site.merge()
        assert done.code == 0, done.stderr
        assert f"{name}: 3 digests are signed, 1 of them now" in done.stderr
    assert site.unsigned(site.tags()) == ""


def kill_points(site):
    """Return every request and every start and end of a program in a merge that is killed nowhere."""
    for _ in range(1 if site.round else 2):  # the first of all copies the children to the second registry
        site.fresh()
        site.reset()
        done = site.merge()
        assert done.code == 0, done.stderr
    requests = [("request", number) for number in range(1, site.counter.last + 1)]
    return requests, [("program", number) for number, _ in enumerate(site.programs.events, start=1)]


def chosen(requests, programs):
    """Return the first KILLS points: two in the middle of tags and of signing, then programs, then the last requests."""
    few = [requests[-5], programs[-2]]
    return [*few, *(point for point in [*programs, *reversed(requests)] if point not in few)][:KILLS]


def test_a_kill_anywhere_leaves_no_unsigned_tag_and_the_next_run_moves_all_or_none(site, driver):
    mixtures = 0
    for kind, number in chosen(*kill_points(site)):
        before = site.fresh()
        assert site.merge_killed_at(kind, number) == -signal.SIGKILL, (kind, number)
        site.programs.wait()
        after = site.tags()
        moved = [tag for tag in after if after[tag] != before[tag]]
        assert site.unsigned(moved) == "", (kind, number)
        print(f"{kind} {number}: {len(moved)} tags had moved")
        if 0 < len(moved) < len(after):
            mixtures += 1
            site.refuse("echo 'Error: signing digest: the key is revoked' >&2; exit 1")
            refused = site.merge(ROUND=f"after {site.round}")  # of the old index everything may be signed
            site.programs.add("cosign", site.cosign)
            assert refused.code == 7
            assert "the key is revoked" in refused.stderr
            assert site.tags() == before
        done = site.merge()
        assert done.code == 0, done.stderr
        assert set(site.tags().values()) == {site.index()}
        assert site.unsigned(after) == ""
    assert mixtures
