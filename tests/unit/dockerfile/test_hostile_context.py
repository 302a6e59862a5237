"""Contexts with what is no file: nothing is opened that could hang, and no tree is too deep."""

import os
import socket
from pathlib import Path

import pytest

from multibuild.dockerfile.context_digest import (
    MAX_HASHED_BYTES,
    content_digest,
    context_files,
    stat_digest,
)
from multibuild.dockerfile.ignore import Ignore


def digest(root, *lines):
    files = context_files(root, Ignore(lines))
    assert stat_digest(files)
    return content_digest(root, files)


def test_pipes_sockets_links_and_odd_names_are_hashed_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    os.mkfifo("pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    for name, target in (
        ("loop", "loop"),
        ("device", "/dev/zero"),
        ("itself", "."),
        ("link-\udcff", "\udcff"),
    ):
        Path(name).symlink_to(target)
    Path("\udcff\udcfe\n").touch()
    first = digest(tmp_path)
    assert first is not None
    Path("pipe").rename("pipe2")
    assert digest(tmp_path) not in (None, first)
    server.close()


def test_a_file_that_becomes_a_pipe_is_an_error(tmp_path):
    (tmp_path / "a").write_text("x")
    files = context_files(tmp_path, Ignore(()))
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError):
        content_digest(tmp_path, files)


def test_a_file_that_becomes_a_link_to_a_device_is_an_error(tmp_path):
    (tmp_path / "a").write_text("x")
    files = context_files(tmp_path, Ignore(()))
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to("/dev/zero")
    with pytest.raises(OSError):
        content_digest(tmp_path, files)


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_a_file_that_changes_its_size_is_hashed_as_it_is(tmp_path, size):
    (tmp_path / "a").write_bytes(b"x" * (2 << 20))
    files = context_files(tmp_path, Ignore(()))
    os.truncate(tmp_path / "a", size)
    assert content_digest(tmp_path, files) is not None
    assert stat_digest(files) != stat_digest(context_files(tmp_path, Ignore(())))


def test_a_sparse_file_beyond_all_measure_has_no_digest(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(MAX_HASHED_BYTES + 1)
    assert digest(tmp_path) is None


@pytest.fixture
def deep(tmp_path):
    """Return a tree of 1,200 directories; it is removed here, as rmtree is not up to it in every Python."""
    depths = [tmp_path.joinpath(*("d" * depth)) for depth in range(1, 1201)]
    for path in depths:
        path.mkdir()
    leaf = depths[-1] / "leaf"
    leaf.touch()
    yield tmp_path
    leaf.unlink()
    for path in reversed(depths):
        path.rmdir()


@pytest.mark.parametrize("lines", [(), ("d", "!**/leaf"), ("**/x",)])
def test_a_tree_may_be_deeper_than_pythons_stack(deep, lines):
    assert len(context_files(deep, Ignore(lines))) == 1201


def test_a_directory_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(OSError):
        context_files(tmp_path / "a", Ignore(()))
