"""The canonical form of configs with one image: a changed byte would build everything again in every project."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 2, 3, 4, tzinfo=UTC)

# SHA-256 of what the version before `images:` gave.
DIGESTS = {
    "examples/c-autotools/multibuild.yaml": "2c83cd2f96b1db0f1faa86fa98d44390c502539d58beea12516408d71ca278c4",
    "examples/c-cross/multibuild.yaml": "81585039cabb2a4c0a6b22960bc042606fbebe41460b64cbcaeff9e3919df4cc",
    "examples/go-cross/multibuild.yaml": "d975905526779a9d0cf2f01fdd5cbf9b42c50a2400a1bed37d0ab5e074bea9c1",
    "examples/hello/multibuild.yaml": "271b2589a39c414b3d2098aabdaa8308e768641496739947aa00deec81ba2c84",
    "examples/kube-proxy/multibuild.yaml": "9717c563838a664357578f7af7226718f4eff3f236c85cd78a16cddabc572b71",
    "examples/python-c-extension/multibuild.yaml": "8b9d538bcbf754ac69468c64210e13bb20c117eb2fa64633a7fc92171fbb632d",
    "tests/fuzz/seeds/configs/full.yaml": "7c344c18d1e0a64af560b4e7c836d95d53b5982e391801a406e0948700a0c626",
    "tests/fuzz/seeds/configs/merge.yaml": "208ed2c7362bdd2fc5ac51aa39ceedf84749876c30f21d7e6e5c0812369107c6",
    "every key": "380d245c7338ab25fd60e460fd5b3c218db9b3c954d65db527f29e534b5c1b45",
}
EVERY_KEY = """\
version: 1
image: registry.example.org/team/app
tags: ["${date}", latest]
destinations: [mirror.example.net/team/app]
context: sub
dockerfile: sub/Dockerfile
target: runtime
args: {VERSION: "${V:-1.10}", LEVEL: 1.10, BRACES: "{name} {slug}"}
pull: false
no_cache: true
network: none
build_flags: [--ulimit, nofile=1024]
contexts: {base: "docker-image://registry.example.org/base:1"}
labels: {org.example.a: b}
secrets: ["id=npmrc,src=.npmrc", "id=token,env=TOKEN"]
ssh: [default]
cache: {from: ["type=registry,ref=r/cache:{slug}"], to: ["type=registry,ref=r/cache:{slug},mode=max"]}
attestations: {provenance: max, sbom: true}
media_type: oci
reproducible: true
platforms:
  - linux/amd64
  - {name: arm64, also_as: [linux/arm64/unknown], required: false, timeout: 1h, args: {A: 1}, labels: {l: m},
     dockerfile: other, target: t, builder: b, runner: r, os_version: "1", os_features: [f], annotations: {x: y},
     test: {run: [x], timeout: 3s, skip: false, emulator_cpu: c, network: true}}
annotations: {org.example.c: d}
builder: local
emulators: {source: host}
jobs: 3
retry: {attempts: 2, initial: 1s, max: 1m}
timeout: 1h
stall_timeout: auto
crash_timeout: off
fail_fast: true
test: {run: [app, --version], timeout: 30s, skip: [linux/386], emulator_cpu: max, network: true}
verify: {content: all, ignore: ["/x/*"]}
lint: {fail: never, ignore: [fixed-arch-url]}
publish: {staging: tag, on_missing: carry, carry_from: "1", to: oci:out}
registries: {"localhost:5000": {insecure: true}, r.example.org: {ca: ca.pem}}
"""


def text_of(name: str) -> str:
    return EVERY_KEY if name == "every key" else (ROOT / name).read_text()


@pytest.mark.parametrize("name", DIGESTS)
def test_the_canonical_form_of_one_image_does_not_change(name, tmp_path):
    file = tmp_path / "multibuild.yaml"
    file.write_text(text_of(name))
    canonical = load_config(file, environ={"A": "b"}, overrides=Overrides(), now=NOW).canonical
    assert hashlib.sha256(canonical.encode()).hexdigest() == DIGESTS[name]


def test_every_config_of_one_image_in_the_tree_is_compared():
    files = {
        str(path.relative_to(ROOT))
        for path in ROOT.glob("examples/*/multibuild.yaml")
        if "\nimages:" not in path.read_text()
    }
    assert files <= DIGESTS.keys()
