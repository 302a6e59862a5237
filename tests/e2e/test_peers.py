"""`merge` composes every index that docker manifest, imagetools create, crane index append and manifest-tool can.

The same index is made by the tool and by one `merge`, and read back from the registry: equal documents. Attestations
are last in ours and beside their images in others', so they are compared as sets.
"""

import contextlib
import io
import json
import os
import subprocess
import time

import pytest
from e2e.conftest import REGISTRY
from e2e.pushing import CONFIG, INDEX, MANIFEST, Workbench, push_manifest
from e2e.registries import RealRegistry
from waiting import PATIENCE_S

from multibuild.cli.startup import main
from multibuild.oci.manifest import digest_of

DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
HERE = RealRegistry(REGISTRY)
ATTESTED = {"vnd.docker.reference.type": "attestation-manifest"}


class Bench(Workbench):
    """Pushes images of one repository, by tag."""

    def image(self, tag, platform, *, docker=False, **more):
        """`more` goes into the config, like os.version; the tag stands for the descriptor."""
        system, architecture, variant = (*platform.split("/"), "")[:3]
        config = {"os": system, "architecture": architecture, **more}
        config |= {"variant": variant} if variant else {}
        layer = self.blob(b"layer", DOCKER_LAYER if docker else "application/vnd.oci.image.layer.v1.tar+gzip")
        described = self.blob(json.dumps(config).encode(), DOCKER_CONFIG if docker else CONFIG)
        kind = DOCKER_MANIFEST if docker else MANIFEST
        document = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": [layer]}
        return push_manifest(self.repository, tag, document)

    def ref(self, tag):
        return f"{self.image_name}:{tag}"

    @property
    def image_name(self):
        return f"{REGISTRY}/{self.repository}"


@pytest.fixture(scope="module")
def bench(tmp_path_factory, lab):
    new = Bench(f"e2e/peers-{os.getpid()}-{time.time_ns() % 10**8}", tmp_path_factory.mktemp("peers"))
    amd64 = new.image("a-amd64", "linux/amd64")
    arm64 = new.image("b-arm64", "linux/arm64")
    new.image("c-arm", "linux/arm/v7")
    new.image("d-mipsle", "linux/mipsle")
    new.image("e-loong64", "linux/loong64")
    new.image("f-windows", "windows/amd64", **{"os.version": "10.0.20348.1", "os.features": ["win32k"]})
    new.image("docker-a", "linux/amd64", docker=True)
    new.image("docker-b", "linux/arm64", docker=True)
    about = new.image("about", "unknown/unknown")
    entries = [
        {**amd64, "platform": {"architecture": "amd64", "os": "linux"}, "annotations": {"note": "kept"}},
        {**arm64, "platform": {"architecture": "arm64", "os": "linux"}},
        {
            **about,
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {**ATTESTED, "vnd.docker.reference.digest": amd64["digest"]},
        },
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, "annotations": {"title": "app"}}
    push_manifest(new.repository, "index", index)
    return new


@pytest.fixture
def theirs(request):
    """Return new tags: imagetools fails on a tag that held another kind of list (registry 2.8: 400)."""
    return f"theirs-{digest_of(request.node.name.encode())[7:19]}"


@pytest.fixture
def ours(theirs):
    return theirs.replace("theirs", "ours")


def merged(bench, tag, *arguments, code=0):
    """Run `merge` in this process."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        assert main(["merge", bench.ref(tag), *map(str, arguments)]) == code, output.getvalue()
    return output.getvalue()


def same(bench, theirs, ours):
    """Check that they are equal except for the order of attestations; return whether the bytes are equal too."""
    one, other = (_normal(HERE.document(bench.repository, tag)) for tag in (theirs, ours))
    assert one == other
    return HERE.digest(bench.repository, theirs) == HERE.digest(bench.repository, ours)


def _normal(document):
    entries = [{key: value for key, value in entry.items() if value} for entry in document["manifests"]]
    images = [e for e in entries if e.get("annotations", {}).items().isdisjoint(ATTESTED.items())]
    others = sorted((e for e in entries if e not in images), key=lambda e: e["digest"])
    return {**{key: value for key, value in document.items() if value}, "manifests": [*images, *others]}


# -- docker manifest: create, annotate (--os, --arch, --variant, --os-version, --os-features), push


def docker_manifest(bench, tmp_path, tag, sources, annotate=()):
    def run(*arguments):
        environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
        done = subprocess.run(
            ["docker", "manifest", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr

    run("create", "--insecure", bench.ref(tag), *map(bench.ref, sources))
    for source, *flags in annotate:
        run("annotate", bench.ref(tag), bench.ref(source), *flags)
    run("push", "--insecure", bench.ref(tag))


@pytest.mark.parametrize(
    ("sources", "annotate", "flags"),
    [
        (["docker-a", "docker-b"], [], [("--media-type", "", "docker")]),
        (["a-amd64", "b-arm64", "d-mipsle", "e-loong64"], [], []),
        (["f-windows"], [], []),
        (
            ["docker-a", "docker-b"],
            [("docker-b", "--os", "linux", "--arch", "arm64", "--variant", "unknown")],
            [("--platform-of", "docker-b", "linux/arm64/unknown"), ("--media-type", "", "docker")],
        ),
        (
            ["docker-a", "docker-b"],
            [("docker-a", "--os-version", "1.2", "--os-features", "a,b")],
            [
                ("--os-version", "docker-a", "1.2"),
                ("--os-features", "docker-a", "a,b"),
                ("--media-type", "", "docker"),
            ],
        ),
        (["c-arm"], [("c-arm", "--variant", "v6")], [("--platform-of", "c-arm", "linux/arm/v6")]),
    ],
)
def test_docker_manifest(sources, annotate, flags, bench, tmp_path, theirs, ours):
    docker_manifest(bench, tmp_path, theirs, sources, annotate)
    options = [
        word
        for flag, source, value in flags
        for word in (flag, f"{bench.ref(source)}={value}" if source else value)
    ]
    merged(bench, ours, *map(bench.ref, sources), *options)
    same(bench, theirs, ours)


# -- docker buildx imagetools create


def imagetools(bench, tag, *arguments):
    done = subprocess.run(
        ["docker", "buildx", "imagetools", "create", "-t", bench.ref(tag), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["a-amd64", "b-arm64"], ["a-amd64", "b-arm64"]),
        (["docker-a", "docker-b"], ["docker-a", "docker-b", "--media-type", "docker"]),
        (["a-amd64", "docker-b"], ["a-amd64", "docker-b"]),
        (["c-arm", "d-mipsle"], ["c-arm", "d-mipsle"]),
        (["index", "c-arm"], ["index", "c-arm"]),
        (["index", "--platform", "linux/amd64"], ["index", "--platform", "linux/amd64"]),
        (
            ["a-amd64", "b-arm64", "--annotation", "index:org.x=a,b=c"],
            ["a-amd64", "b-arm64", "--annotation", "org.x=a,b=c"],
        ),
        (
            ["a-amd64", "b-arm64", "--annotation", "manifest-descriptor[linux/arm64]:org.Y=1"],
            ["a-amd64", "b-arm64", "--annotation", "linux/arm64:org.Y=1"],
        ),
    ],
)
def test_imagetools_create(words, options, bench, theirs, ours):
    def named(words):
        return [bench.ref(word) if HERE.digest(bench.repository, word) else word for word in words]

    imagetools(bench, theirs, *named(words))
    merged(bench, ours, *named(options))
    same(bench, theirs, ours)


def test_imagetools_descriptor_files(bench, tmp_path, theirs, ours):
    """A descriptor file sets platform and annotations of one entry in imagetools."""
    arm64 = HERE.digest(bench.repository, "b-arm64")
    platform = {"os": "linux", "architecture": "arm64", "variant": "unknown", "os.version": "7"}
    file = tmp_path / "descriptor.json"
    file.write_text(json.dumps({"digest": arm64, "platform": platform, "annotations": {"note": "n"}}))
    imagetools(bench, theirs, "-f", file, bench.ref("a-amd64"))
    source = bench.ref("b-arm64")
    options = ("--platform-of", f"{source}=linux/arm64/unknown", "--os-version", f"{source}=7")
    merged(bench, ours, source, bench.ref("a-amd64"), *options, "--annotation", "linux/arm64/unknown:note=n")
    same(bench, theirs, ours)


def test_imagetools_append_and_copies(bench, theirs, ours):
    imagetools(bench, theirs, bench.ref("index"))
    merged(bench, ours, bench.ref("index"), "--tag", f"{ours}-2", "--tag", f"{bench.image_name}-x:1")
    assert same(bench, theirs, ours)
    assert HERE.digest(f"{bench.repository}-x", "1") == HERE.digest(bench.repository, f"{ours}-2")
    imagetools(bench, theirs, "--append", bench.ref("c-arm"))
    merged(bench, ours, bench.ref("c-arm"), "--append")
    one, other = (HERE.document(bench.repository, tag) for tag in (theirs, ours))
    assert one.pop("annotations", {}) == {}  # buildx drops them, merge keeps them
    assert other.pop("annotations") == {"title": "app"}
    assert _normal(one) == _normal(other)


# -- crane index append


@pytest.mark.parametrize(
    ("base", "sources", "crane", "options"),
    [
        (None, ["a-amd64", "b-arm64", "e-loong64"], [], []),
        (None, ["f-windows"], [], []),
        (None, ["docker-a", "docker-b"], ["--docker-empty-base"], ["--media-type", "docker"]),
        (None, ["index", "c-arm"], [], []),
        (None, ["index", "c-arm"], ["--flatten=false"], ["--no-flatten"]),
        ("index", ["c-arm", "d-mipsle"], [], []),
    ],
)
def test_crane_index_append(base, sources, crane, options, bench, readers, theirs, ours):
    words = [word for source in sources for word in ("-m", bench.ref(source))]
    command = ["index", "append", *([bench.ref(base)] if base else []), *words, *crane]
    readers.crane(*command, "-t", bench.ref(theirs))
    if base:
        merged(bench, ours, bench.ref(base))
    onto = ["--append"] if base else []
    merged(bench, ours, *map(bench.ref, sources), *options, *onto)
    same(bench, theirs, ours)


# -- manifest-tool, which Debian does not have: its YAML (docs of estesp/manifest-tool) as flags of merge


def test_manifest_tool(bench, ours):
    """image, tags, manifests[].platform with variant, osversion, osfeatures and features, --type, --ignore-missing."""
    sources = [bench.ref("docker-a"), bench.ref("docker-b"), bench.ref("not-there")]
    flags = {
        "--platform-of": "linux/arm64/v8",
        "--os-version": "2",
        "--os-features": "x,y",
        "--features": "sse4",
    }
    options = [word for flag, value in flags.items() for word in (flag, f"{sources[1]}={value}")]
    merged(
        bench, ours, *sources, *options, "--media-type", "docker", "--ignore-missing", "--tag", f"{ours}-1"
    )
    document = HERE.document(bench.repository, f"{ours}-1")
    assert document["mediaType"].endswith("manifest.list.v2+json")
    assert [entry["platform"] for entry in document["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {
            "architecture": "arm64",
            "os": "linux",
            "os.version": "2",
            "os.features": ["x", "y"],
            "variant": "v8",
            "features": ["sse4"],
        },
    ]
    merged(bench, ours, *sources, code=7)


# -- what none of them keeps


def test_what_only_merge_keeps(bench, ours):
    """Subject and artifactType of an index that is changed, and one digest under two platforms."""
    entry = {**bench.image("b-arm64", "linux/arm64"), "platform": {"os": "linux", "architecture": "arm64"}}
    subject = bench.image("a-amd64", "linux/amd64")
    document = {"schemaVersion": 2, "mediaType": INDEX, "artifactType": "x/y", "subject": subject}
    push_manifest(bench.repository, "typed", {**document, "manifests": [entry]})
    merged(bench, ours, bench.ref("typed"), "--also-as", f"{bench.ref('typed')}=linux/arm64/unknown")
    document = HERE.document(bench.repository, ours)
    assert (document["artifactType"], document["subject"]) == ("x/y", subject)
    assert [e["platform"].get("variant") for e in document["manifests"]] == [None, "unknown"]
    assert len({e["digest"] for e in document["manifests"]}) == 1
