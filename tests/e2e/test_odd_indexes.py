"""What we write is read by crane, skopeo, oras and buildx: builds of Windows, zstd beside gzip, nested, referrers."""

import json
import random

import pytest
from e2e.conftest import REGISTRY, docker, multibuild
from e2e.pushing import GZIP, INDEX, Workbench
from e2e.registries import ACCEPT, RealRegistry

from multibuild.oci.manifest import Manifest, digest_of
from multibuild.oci.manifests.identity import ZSTD_ANNOTATION
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import resolve
from multibuild.resolve.resolve import entries_of

HERE = RealRegistry(REGISTRY)
ZSTD = GZIP.replace("gzip", "zstd")
WINDOWS = {"os": "windows", "architecture": "amd64"}


@pytest.fixture
def bench(lab, tmp_path):
    return Workbench(f"e2e/odd-{random.randrange(10**8)}-{tmp_path.parent.name}", tmp_path)


def merged(bench, tag, *words):
    done = multibuild("merge", f"{bench.image}:{tag}", *words)
    assert done.code == 0, done.stderr
    return HERE.document(bench.repository, tag)["manifests"]


def check_readers(readers, ref):
    """All four read the same bytes as the registry has."""
    repository, tag = ref.removeprefix(f"{REGISTRY}/").rsplit(":", 1)
    digest = HERE.digest(repository, tag)
    answers = {
        "skopeo": readers.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{ref}").stdout,
        "crane": readers.crane("manifest", ref).stdout,
        "oras": readers.oras("manifest", "fetch", "--plain-http", ref).stdout,
        "buildx": docker("buildx", "imagetools", "inspect", "--raw", ref).stdout,
    }
    assert {name: digest_of(text.strip().encode()) for name, text in answers.items()} == dict.fromkeys(
        answers, digest
    )


def image(bench, name, platform="linux/amd64", media_type=GZIP):
    layer = {**bench.layer(name.encode() * 100), "mediaType": media_type}
    return bench.push([layer], platform=platform, Labels={"listed": name})


def put_index(bench, tag, *entries):
    HERE.put(bench.repository, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)})


def test_builds_of_windows(bench, readers):
    versions = ("10.0.17763.4974", "10.0.20348.2031")
    for version in versions:
        entry = {**image(bench, version, "windows/amd64"), "platform": {**WINDOWS, "os.version": version}}
        put_index(bench, version, entry)
    merged(bench, "1", f"{bench.image}:{versions[0]}")
    entries = merged(bench, "1", f"{bench.image}:{versions[1]}", "--append")
    assert [entry["platform"]["os.version"] for entry in entries] == list(versions)
    check_readers(readers, f"{bench.image}:1")


def test_zstd_beside_gzip_and_what_skopeo_takes(bench, readers):
    """skopeo prefers zstd since 1.12, by the annotation that merge writes; crane and docker take the first."""
    gzip, zstd = image(bench, "gzip"), image(bench, "zstd", media_type=ZSTD)
    put_index(bench, "gzip", {**gzip, "platform": {"os": "linux", "architecture": "amd64"}})
    put_index(bench, "zstd", {**zstd, "platform": {"os": "linux", "architecture": "amd64"}})
    merged(bench, "1", f"{bench.image}:gzip")
    entries = merged(bench, "1", f"{bench.image}:zstd", "--append")
    assert [entry.get("annotations") for entry in entries] == [None, {ZSTD_ANNOTATION: "true"}]
    check_readers(readers, f"{bench.image}:1")
    ref = f"docker://{bench.image}:1"
    flags = ("--override-os", "linux", "--override-arch", "amd64")
    config = json.loads(readers.skopeo(*flags, "inspect", "--config", "--tls-verify=false", ref).stdout)
    version = readers.skopeo("--version").stdout.split()[2]
    major, minor = (int(part) for part in version.split(".")[:2])
    client = "podman" if (major, minor) >= (1, 12) else "podman@4.4"
    index = Manifest.of(
        HERE.send("GET", f"{bench.repository}/manifests/1", headers={"Accept": INDEX})[1], INDEX
    )
    choices = resolve(entries_of(index), Platform.literal("linux/amd64"), (client, "crane", "docker"))
    picks = {name: choice.digest for name, choice in choices.items() if choice is not None}
    listed = {gzip["digest"]: "gzip", zstd["digest"]: "zstd"}
    assert config["config"]["Labels"]["listed"] == listed[picks[client]]
    assert (
        readers.crane("digest", "--platform", "linux/amd64", f"{bench.image}:1").stdout.strip()
        == picks["crane"]
    )
    assert (listed[picks["crane"]], listed[picks["docker"]]) == ("gzip", "gzip")


def test_an_index_within_an_index(bench, readers):
    """crane and oras follow it; verify does too."""
    for platform, tag in (("linux/amd64", "a"), ("linux/arm64", "b")):
        put_index(
            bench,
            tag,
            {
                **image(bench, tag, platform),
                "platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True)),
            },
        )
    merged(bench, "inner", f"{bench.image}:a", f"{bench.image}:b")
    merged(bench, "1", f"{bench.image}:inner", f"{bench.image}:a", "--no-flatten")
    check_readers(readers, f"{bench.image}:1")
    assert readers.crane("validate", "--remote", f"{bench.image}:1", check=False).returncode in {0, 1}
    done = multibuild("verify", f"{bench.image}:1", "--json")
    assert {row["platform"] for row in done.json["platforms"]} == {"linux/amd64", "linux/arm64"}
    assert {finding["kind"] for finding in done.json["findings"]} <= {"content"}


def test_what_oras_attached_is_found_at_the_target(bench, readers, tmp_path):
    """registry 2.8 has no API of referrers: oras writes the fallback tag at the source, we write it at the target."""
    subject = image(bench, "signed")
    platform = {"os": "linux", "architecture": "amd64"}
    put_index(bench, "1", {**subject, "platform": platform})
    note = tmp_path / "note.txt"
    note.write_text("a signature")
    readers.oras(
        *(
            "attach",
            "--plain-http",
            "--artifact-type",
            "application/example.signature",
            "--annotation",
            "org.x=y",
        ),
        *("--disable-path-validation", f"{bench.image}@{subject['digest']}", f"{note}:text/plain"),
    )
    target = Workbench(f"{bench.repository}-copy", tmp_path)
    done = multibuild("merge", f"{target.image}:1", f"{bench.image}:1", "--require-signatures", "--json")
    assert done.code == 0, done.stderr
    assert done.json["left_out"] == []
    found = json.loads(
        readers.oras(
            "discover", "--plain-http", "--format", "json", f"{target.image}@{subject['digest']}"
        ).stdout
    )
    (listed,) = found.get("referrers") or found["manifests"]
    assert listed["artifactType"] == "application/example.signature"
    tag = subject["digest"].replace(":", "-")
    (entry,) = HERE.document(target.repository, tag)["manifests"]
    _, stored = HERE.send(
        "GET", f"{target.repository}/manifests/{entry['digest']}", headers={"Accept": ACCEPT}
    )
    assert (entry["size"], entry["annotations"]["org.x"]) == (len(stored), "y")
    check_readers(readers, f"{target.image}:{tag}")
    check_readers(readers, f"{target.image}:1")


def test_an_image_whose_config_says_no_platform(bench, readers):
    blob = bench.blob(b'{"config": {"Cmd": ["/x"]}}', "application/vnd.oci.image.config.v1+json")
    layer = bench.layer(b"x")
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob,
        "layers": [layer],
    }
    HERE.put(bench.repository, "bare", document)
    refused = multibuild("merge", f"{bench.image}:1", f"{bench.image}:bare")
    assert refused.code == 6
    assert "--platform-of" in refused.stderr
    (entry,) = merged(bench, "1", f"{bench.image}:bare", "--platform-of", f"{bench.image}:bare=linux/arm64")
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}
    check_readers(readers, f"{bench.image}:1")
    digest = readers.crane("digest", "--platform", "linux/arm64", f"{bench.image}:1").stdout.strip()
    assert digest == entry["digest"]
