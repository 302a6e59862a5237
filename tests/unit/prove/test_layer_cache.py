"""Layer indexes are cached in memory and on the disk, within limits."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from multibuild.elf.header import parse_elf
from multibuild.prove.content import layer_cache
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.layer_index import LayerIndex
from multibuild.prove.content.layer_tree import LayerEntry
from multibuild.qemu.probe_program import build_probe

INDEX = LayerIndex(entries=(LayerEntry(path="bin/app", kind="file", mode=0o755, script=("/bin/sh", "-e")),))


def must_not_read():
    raise AssertionError("it was read again")


def test_a_layer_is_read_once():
    cache = LayerCache()
    assert cache.get_or_read("sha256:a", lambda: INDEX) is INDEX
    assert cache.get_or_read("sha256:a", must_not_read) is INDEX


def test_the_next_run_reads_it_from_the_disk(tmp_path):
    LayerCache(tmp_path / "layers").get_or_read("sha256:a", lambda: INDEX)
    assert LayerCache(tmp_path / "layers").get_or_read("sha256:a", must_not_read) == INDEX


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[1]", b'[{"no": "entry"}]', b'{"entries": [{"path": "x"}]}']
)
def test_a_damaged_file_is_read_from_the_registry_again(tmp_path, content):
    LayerCache(tmp_path).get_or_read("sha256:a", lambda: INDEX)
    (stored,) = tmp_path.iterdir()
    stored.write_bytes(content)
    assert LayerCache(tmp_path).get_or_read("sha256:a", lambda: INDEX) is INDEX
    assert json.loads(stored.read_bytes())


def test_a_digest_is_not_used_as_a_path(tmp_path):
    LayerCache(tmp_path / "layers").get_or_read("../../out", lambda: INDEX)
    assert [path.name for path in tmp_path.iterdir()] == ["layers"]


def test_an_unwritable_folder_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert LayerCache(tmp_path / "file").get_or_read("sha256:a", lambda: INDEX) is INDEX


def test_a_failed_read_is_not_cached():
    cache = LayerCache()

    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        cache.get_or_read("sha256:a", fail)
    assert cache.get_or_read("sha256:a", lambda: INDEX) is INDEX


def test_two_threads_read_a_shared_layer_once():
    cache, reads, barrier = LayerCache(), [], threading.Barrier(4)

    def read():
        reads.append(1)
        return INDEX

    def work(_number):
        barrier.wait()
        return cache.get_or_read("sha256:a", read)

    with ThreadPoolExecutor(max_workers=4) as pool:
        assert list(pool.map(work, range(4))) == [INDEX] * 4
    assert len(reads) == 1


def test_the_least_recently_used_files_are_removed(tmp_path):
    entries = tuple(LayerEntry(path=f"{number:04000}", kind="file") for number in range(2000))
    index = LayerIndex(entries=entries)
    cache = LayerCache(tmp_path)
    for number in range(9):
        cache.get_or_read(f"sha256:{number}", lambda: index)
        for path in tmp_path.iterdir():
            status = path.stat()
            os.utime(path, (status.st_atime - 10, status.st_mtime - 10))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= layer_cache.MAX_DISK_BYTES
    LayerCache(tmp_path).get_or_read("sha256:8", must_not_read)
    LayerCache(tmp_path).get_or_read("sha256:0", lambda: INDEX)


def test_elf_headers_are_the_same_after_a_reload(tmp_path):
    index = LayerIndex(entries=(LayerEntry(path="app", kind="file", elf=parse_elf(build_probe("arm64"))),))
    LayerCache(tmp_path).get_or_read("sha256:a", lambda: index)
    assert LayerCache(tmp_path).get_or_read("sha256:a", must_not_read) == index


def link(folder, away):
    folder.rmdir()
    folder.symlink_to(away)


def for_all(folder, away):
    folder.chmod(0o777)


def for_a_group(folder, away):
    folder.chmod(0o770)


@pytest.mark.parametrize("change", [link, for_all, for_a_group])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, change):
    """Another's index of a layer would prove whatever it likes."""
    LayerCache(tmp_path / "away").get_or_read("sha256:a", lambda: INDEX)
    before = [path.read_bytes() for path in (tmp_path / "away").iterdir()]
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers").chmod(0o700)
    change(tmp_path / "layers", tmp_path / "away")
    other = LayerIndex(entries=())
    assert LayerCache(tmp_path / "layers").get_or_read("sha256:a", lambda: other) is other
    assert [path.read_bytes() for path in (tmp_path / "away").iterdir()] == before
    assert change is link or not any((tmp_path / "layers").iterdir())


@pytest.mark.parametrize("kind", ["link", "endless", "pipe", "folder", "huge", "deep", "NaN"])
def test_a_file_that_is_no_plain_index_is_read_from_the_registry_again(tmp_path, kind):
    LayerCache(tmp_path).get_or_read("sha256:a", lambda: INDEX)
    (stored,) = tmp_path.iterdir()
    if kind in {"huge", "deep", "NaN"}:
        stored.write_text(
            {"huge": "", "deep": "[" * 100_000, "NaN": '{"entries": [], "plain": "", "cost": NaN}'}[kind]
        )
        os.truncate(stored, 1 << 40) if kind == "huge" else None
    else:
        stored.unlink()
        match kind:
            case "pipe":
                os.mkfifo(stored)
            case "folder":
                stored.mkdir()
            case _:
                stored.symlink_to("/dev/zero" if kind == "endless" else "/etc/passwd")
    other = LayerIndex(entries=())
    assert LayerCache(tmp_path).get_or_read("sha256:a", lambda: other) is other


def test_files_of_others_are_never_removed(tmp_path):
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(2 * layer_cache.MAX_DISK_BYTES)
    os.utime(tmp_path / "model.bin", (1, 1))
    LayerCache(tmp_path).get_or_read("sha256:a", lambda: INDEX)
    LayerCache(tmp_path).get_or_read("sha256:b", lambda: INDEX)
    assert (tmp_path / "model.bin").exists()
    assert len(list(tmp_path.iterdir())) == 3


def test_folders_above_the_cache_are_writable_for_their_owner_alone(tmp_path):
    previous = os.umask(0)
    try:
        LayerCache(tmp_path / "a" / "state" / "layers").get_or_read("sha256:1", lambda: INDEX)
    finally:
        os.umask(previous)
    folders = [tmp_path / "a", tmp_path / "a" / "state", tmp_path / "a" / "state" / "layers"]
    assert not [path for path in folders if path.stat().st_mode & 0o022]
