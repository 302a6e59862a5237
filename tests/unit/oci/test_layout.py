"""An OCI layout as a store to publish to and to merge from."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from fakes.images import put_attested, put_image

from multibuild.errors import UsageError
from multibuild.oci.errors import RegistryError
from multibuild.oci.local.layout import OciLayout, StoresWithLayouts, open_layout
from multibuild.oci.manifest import Descriptor, digest_of
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.publish.local_output import LocalOutput, publish_locally
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source
from multibuild.publish.move_tags import publish


@pytest.fixture
def clients():
    with RegistrySession({}, on_wait=print) as session:
        yield session


@pytest.fixture
def publish_layout(fake, clients, tmp_path):
    """`publish_layout("oci")` publishes two platforms, one attested; returns (index, path, loaded archives)."""

    def write(kind):
        put_attested(fake, "app", "linux/amd64", tag="a")
        put_image(fake, "app", "linux/arm64", tag="b")
        sources = [read_source(f"{fake.host}/app:{tag}", clients) for tag in "ab"]
        index = merge(sources, MergeOptions())
        loaded: list[bytes] = []
        output = LocalOutput(
            kind=kind,
            path=tmp_path / "out",
            image=f"{fake.host}/app",
            tags=("1", "latest"),
            load=lambda archive: loaded.append(archive.read_bytes()),
            scratch=tmp_path / "scratch",
            annotations={"org.x": "y"},
        )
        references = [source.reference for source in sources]
        publish_locally(index, output, sources=references, registries=clients, emit=print)
        return index, tmp_path / "out", loaded

    return write


def test_a_layout_holds_everything_under_its_digest(publish_layout, fake):
    index, path, _ = publish_layout("oci")
    assert json.loads((path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    listed = json.loads((path / "index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in listed] == [index.digest] * 2
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in listed] == ["1", "latest"]
    assert listed[0]["annotations"]["io.containerd.image.name"] == f"{fake.host}/app:1"
    assert [entry["annotations"]["org.x"] for entry in listed] == ["y", "y"]
    files = list((path / "blobs" / "sha256").iterdir())
    assert all(digest_of(file.read_bytes()) == f"sha256:{file.name}" for file in files)
    source = fake.repository("app")
    expected = {*(entry.digest for entry in index.entries), index.digest, *source.blobs}
    assert {f"sha256:{file.name}" for file in files} == expected


def test_writing_again_changes_nothing(publish_layout):
    _, path, _ = publish_layout("oci")
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    publish_layout("oci")
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_an_archive_is_the_same_bytes_each_time(publish_layout):
    _, path, _ = publish_layout("oci-archive")
    first = path.read_bytes()
    publish_layout("oci-archive")
    assert path.read_bytes() == first
    with tarfile.open(path) as tar:
        assert {"oci-layout", "index.json"} <= set(tar.getnames())


def test_the_engine_loads_an_archive(publish_layout):
    _, path, loaded = publish_layout("docker")
    assert len(loaded) == 1
    assert not path.exists()


@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
@pytest.mark.parametrize("tag", ["", ":1", ":latest"])
def test_a_layout_can_be_merged_from(kind, tag, publish_layout, fake, clients):
    index, path, _ = publish_layout(kind)
    layout, reference = open_layout(f"{path}{tag}")
    stores = StoresWithLayouts(clients, layout)
    source = read_source("oci:out", stores, reference=reference)
    assert merge([source], MergeOptions()).digest == index.digest
    destination = Destination(repository=Reference.parse(f"{fake.host}/elsewhere"), tags=("1",))
    publish(index, [destination], sources=[source.reference], registries=stores, emit=print)
    assert fake.repository("elsewhere").tags == {"1": index.digest}


def test_what_is_not_a_layout_is_an_error(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="no"):
            open_layout(str(path))
    (tmp_path / "file").write_bytes(b"no archive")
    with pytest.raises(RegistryError, match="is no archive"):
        open_layout(str(tmp_path / "file"))


def test_the_error_for_a_missing_tag_lists_the_existing_ones(publish_layout):
    _, path, _ = publish_layout("oci")
    layout, reference = open_layout(f"{path}:2")
    with pytest.raises(RegistryError) as caught:
        layout.manifest(reference)
    assert "1, latest" in str(caught.value.hint)


def test_a_blob_that_does_not_match_its_digest_is_not_stored(tmp_path):
    layout = OciLayout(tmp_path / "out", image="r.io/app")
    blob = Descriptor(media_type="x", digest=digest_of(b"good"), size=4)
    with pytest.raises(RegistryError, match="do not match"):
        layout.upload("app", blob, iter([b"evil"]))
    assert not layout.has_blob("app", blob.digest)
    assert not list(Path(tmp_path / "out" / "blobs" / "sha256").iterdir())


def test_a_damaged_manifest_is_refused(publish_layout):
    index, path, _ = publish_layout("oci")
    (path / "blobs" / "sha256" / index.digest.removeprefix("sha256:")).write_bytes(b"{}")
    with pytest.raises(RegistryError, match="not what its name says"):
        OciLayout(path).manifest(Reference(host="oci", repository="x", tag="1"))


@pytest.mark.parametrize("damage", ["altered", "cut", "a link", "a pipe"])
def test_a_blob_that_an_earlier_output_left_damaged_is_replaced(publish_layout, tmp_path, damage):
    _, path, _ = publish_layout("oci")
    secret = tmp_path / "secret"
    secret.write_bytes(b"private")
    before = {file.name: file.read_bytes() for file in (path / "blobs" / "sha256").iterdir()}
    layer = next(file for file in (path / "blobs" / "sha256").iterdir() if file.read_bytes()[:5] == b"layer")
    layer.unlink()
    {
        "altered": lambda: layer.write_bytes(b"LAYER" + before[layer.name][5:]),
        "cut": lambda: layer.write_bytes(b"layer"),
        "a link": lambda: layer.symlink_to(secret),
        "a pipe": lambda: os.mkfifo(layer),
    }[damage]()
    publish_layout("oci")
    assert not layer.is_symlink()
    assert {file.name: file.read_bytes() for file in (path / "blobs" / "sha256").iterdir()} == before
    assert secret.read_bytes() == b"private"


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_nothing_is_published_through_a_link(publish_layout, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "out" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(RegistryError, match="symbolic link"):
        publish_layout("oci")
    assert list(elsewhere.iterdir()) == []


def test_blobs_of_sha512_are_read_and_written(tmp_path):
    layout = OciLayout(tmp_path / "out", image="r.io/app")
    digest = f"sha512:{hashlib.sha512(b'content').hexdigest()}"
    layout.upload("app", Descriptor(media_type="x", digest=digest, size=7), iter([b"cont", b"ent"]))
    assert b"".join(layout.blob("app", digest)) == b"content"
    layout.file_of(digest).write_bytes(b"CONTENT")
    with pytest.raises(RegistryError, match="do not match"):
        list(layout.blob("app", digest))


@pytest.mark.parametrize("size", [3, 5, 0])
def test_a_blob_of_another_size_is_not_stored(tmp_path, size):
    layout = OciLayout(tmp_path / "out", image="r.io/app")
    with pytest.raises(RegistryError, match="bytes than the"):
        layout.upload(
            "app", Descriptor(media_type="x", digest=digest_of(b"good"), size=size), iter([b"good"])
        )
    assert list((tmp_path / "out" / "blobs" / "sha256").iterdir()) == []
