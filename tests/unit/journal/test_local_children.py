"""Children in the directories of runs: complete or absent, adopted by later runs, and removed."""

import os
from datetime import UTC, datetime

import pytest
from fakes.images import OCI_INDEX, descriptor, put_attested, put_index
from fakes.layouts import LayoutFiles

from multibuild.journal.local_children import (
    ChildStores,
    adopt,
    builder_reference,
    child_reference,
    export_folder,
    exported_digest,
    finalize,
    folder_of,
    holder_of,
    may_exist,
    remove_stale,
)
from multibuild.journal.runs import State
from multibuild.oci.errors import RegistryError
from multibuild.oci.local.check import check_whole
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.reference import Reference

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAME = "oci:children/linux-amd64"
OTHER = "sha256:" + "f" * 64


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def run(state):
    return state.new_run(NOW)


def export(run, platform="linux/amd64"):
    """Export an image as buildx does; return the folder and the digest."""
    folder = export_folder(platform.replace("/", "-"), run)
    index, _, _ = put_attested(LayoutFiles(folder), "any", platform, tag="latest")
    return folder, index


@pytest.fixture
def child(run):
    folder, digest = export(run)
    finalize(folder, digest)
    return digest


def layer(run):
    blobs = (run.children / "linux-amd64" / "blobs" / "sha256").iterdir()
    return next(path for path in blobs if path.read_bytes() == b"layer of linux/amd64")


def test_an_export_gets_its_final_name_when_it_was_verified(run):
    folder, digest = export(run)
    assert holder_of(NAME, digest, [run]) is None
    assert exported_digest(folder) == digest
    finalize(folder, digest)
    assert holder_of(NAME, digest, [run]) == run
    assert [path.name for path in run.children.iterdir()] == ["linux-amd64"]
    assert run.children.stat().st_mode & 0o777 == 0o700


def test_an_unfinished_export_has_no_digest(run):
    folder, _ = export(run)
    (folder / "index.json").unlink()
    assert exported_digest(folder) == ""


@pytest.mark.parametrize("damage", ["missing", "short", "altered"])
@pytest.mark.parametrize("index", range(7))
def test_damage_to_any_file_of_an_export_is_detected(run, damage, index):
    folder, digest = export(run)
    files = sorted((folder / "blobs" / "sha256").iterdir())
    assert len(files) == 7
    content = files[index].read_bytes()
    if damage == "missing":
        files[index].unlink()
    else:
        altered = bytes([content[0] ^ 1]) + content[1:]
        files[index].write_bytes(content[:-1] if damage == "short" else altered)
    with pytest.raises(OSError, match="not whole"):
        finalize(folder, digest)
    assert not folder_of(NAME, run).exists()


def test_an_export_of_another_digest_is_an_error(run):
    folder, _ = export(run)
    with pytest.raises(OSError, match="not whole"):
        finalize(folder, OTHER)


def test_a_later_run_adopts_a_child_by_hard_links(state, run, child):
    later = state.new_run(NOW)
    assert adopt(NAME, child, state.runs(), later)
    check_whole(OciLayout(folder_of(NAME, later)), child)
    assert layer(later).stat().st_ino == layer(run).stat().st_ino
    assert not list(later.children.glob(".*"))


def test_a_child_is_adopted_from_the_newest_run_that_has_it_complete(state, run, child):
    middle, later = state.new_run(NOW), state.new_run(NOW)
    adopt(NAME, child, [run], middle)
    layer(middle).unlink()
    assert holder_of(NAME, child, state.runs()) == run
    assert adopt(NAME, child, state.runs(), later)


def test_an_image_without_its_attestations_is_not_the_child(state, run):
    folder = export_folder("linux-amd64", run)
    digest, image, _ = put_attested(LayoutFiles(folder), "any", "linux/amd64", tag="latest")
    finalize(folder, digest)
    assert not adopt(NAME, image, [run], state.new_run(NOW))


def test_a_missing_or_damaged_child_is_not_adopted(state, run, child):
    later = state.new_run(NOW)
    assert not adopt(NAME, OTHER, state.runs(), later)
    layer(run).write_bytes(b"")
    assert not adopt(NAME, child, state.runs(), later)
    assert not later.children.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"manifests": 5}', b'{"manifests": [{"digest": 1}]}', b'{"layers": [[]]}'],
)
def test_a_layout_without_an_image_is_no_error(state, run, content):
    folder = export_folder("linux-amd64", run)
    digest = LayoutFiles(folder).put("any", content, OCI_INDEX, tag="latest")
    folder.rename(folder.with_name("linux-amd64"))
    assert isinstance(adopt(NAME, digest, [run], state.new_run(NOW)), bool)


def test_the_depth_of_indexes_is_limited(run):
    files = LayoutFiles(export_folder("linux-amd64", run))
    digest = put_index(files, "any", [])
    for _ in range(50):
        digest = put_index(files, "any", [descriptor(files, "any", digest)], tag="latest")
    with pytest.raises(OSError, match="deep"):
        finalize(files.folder, digest)


def test_a_pipe_in_place_of_a_blob_is_not_read(state, run, child):
    path = layer(run)
    path.unlink()
    os.mkfifo(path)
    assert not adopt(NAME, child, [run], state.new_run(NOW))


@pytest.mark.parametrize("name", ["a blob", "blobs", "the child"])
def test_a_link_out_of_an_imported_child_is_not_followed(state, run, child, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    folder = run.children / "linux-amd64"
    path = {"a blob": layer(run), "blobs": folder / "blobs", "the child": folder}[name]
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    elsewhere.chmod(0o500)
    later = state.new_run(NOW)
    assert not adopt(NAME, child, [run], later)
    assert elsewhere.stat().st_mode & 0o777 == 0o500
    assert not later.children.exists()


def test_a_child_that_changes_after_it_was_looked_at_is_not_copied(run, child, tmp_path):
    file = layer(run)
    file.write_bytes(b"LAYER of linux/amd64")
    source, target = OciLayout(run.children / "linux-amd64"), OciLayout(tmp_path / "target")
    digest = f"sha256:{file.name}"
    assert not target.link(digest, source)
    assert list((tmp_path / "target/blobs/sha256").iterdir()) == []


def test_stale_children_are_removed_from_other_runs_only(state, run, child):
    folder, other = export(run, "linux/arm64")
    finalize(folder, other)
    export_folder("linux-s390x", run)
    later = state.new_run(NOW)
    remove_stale(state.runs(), later)
    assert sorted(path.name for path in run.children.iterdir()) == ["linux-amd64", "linux-arm64"]
    adopt(NAME, child, [run], later)
    export_folder("linux-s390x", later)
    remove_stale(state.runs(), later)
    assert [path.name for path in run.children.iterdir()] == ["linux-arm64"]
    assert sorted(path.name for path in later.children.iterdir()) == [".linux-s390x", "linux-amd64"]


def test_without_children_nothing_is_removed(state, run):
    remove_stale(state.runs(), run)
    assert not run.children.exists()


def test_a_child_may_exist_in_a_registry_or_its_directory(run, child):
    assert may_exist(child_reference(NAME, child), run)
    assert not may_exist(child_reference("oci:children/linux-arm64", child), run)
    assert may_exist(child_reference("registry.invalid/app", child), run)


def test_child_stores_are_layouts_or_registries(run, child):
    class Nowhere:
        def of(self, host):
            raise RegistryError("unreachable", host)

    stores = ChildStores(Nowhere(), run)
    reference = child_reference(NAME, child)
    assert stores.of(reference.host).manifest(reference).digest == child
    with pytest.raises(RegistryError, match=r"registry\.invalid"):
        stores.of("registry.invalid")


def test_references_of_children(run, child):
    plain = f"registry.example.org/app@{child}"
    assert child_reference("registry.example.org/app", child) == Reference.parse(plain)
    assert builder_reference(Reference.parse(plain), run) == plain
    folder = os.path.realpath(run.children / "linux-amd64")
    assert builder_reference(child_reference(NAME, child), run) == f"oci-layout://{folder}@{child}"


@pytest.mark.parametrize(
    "name", ["oci:children/", "oci:children/../x", "oci:children/.x", "oci:children/a/b", "oci:/etc", "app"]
)
def test_a_name_outside_the_children_is_an_error(run, name):
    with pytest.raises(RegistryError, match="no child of a run"):
        folder_of(name, run)
