import pytest
from fakes.layers import index_files

from multibuild.prove.content.merged_rootfs import RootFs


def root(*layers):
    return RootFs(map(index_files, layers))


def paths(*layers):
    return sorted(file.path for file in root(*layers).files())


BASE = {"etc": None, "etc/a": b"1", "etc/sub/b": b"2", "bin/c": b"3"}


@pytest.mark.parametrize(
    ("upper", "remaining"),
    [
        ({}, ["/bin/c", "/etc/a", "/etc/sub/b"]),
        ({"etc/.wh.a": b""}, ["/bin/c", "/etc/sub/b"]),
        ({"etc/.wh.sub": b""}, ["/bin/c", "/etc/a"]),
        ({".wh.etc": b""}, ["/bin/c"]),
        ({".wh.etc": b"", "etc/new": b""}, ["/bin/c", "/etc/new"]),
        ({"etc/new": b"", "etc/.wh..wh..opq": b""}, ["/bin/c", "/etc/new"]),
        ({".wh..wh..opq": b"", "new": b""}, ["/new"]),
        ({"etc/.wh.nothing": b"", "no/.wh.where": b""}, ["/bin/c", "/etc/a", "/etc/sub/b"]),
        ({".wh..wh.plnk": b"", ".wh..wh.aufs": b""}, ["/bin/c", "/etc/a", "/etc/sub/b"]),
        ({"etc": b"now a file"}, ["/bin/c", "/etc"]),
        ({"etc/a": None}, ["/bin/c", "/etc/sub/b"]),
        ({"etc": None}, ["/bin/c", "/etc/a", "/etc/sub/b"]),
        ({"./etc/../etc//a/": None, "/abs": b""}, ["/abs", "/bin/c", "/etc/sub/b"]),
        ({"etc/../../../out": b""}, ["/bin/c", "/etc/a", "/etc/sub/b", "/out"]),
    ],
)
def test_layers_are_applied_in_order(upper, remaining):
    assert paths(BASE, upper) == remaining


def test_a_parent_that_is_a_symlink_below_is_followed():
    assert paths({"usr/bin/a": b"", "bin": "-> usr/bin"}, {"bin/b": b"", "bin/.wh.a": b""}) == ["/usr/bin/b"]


def test_a_hard_link_may_target_a_lower_layer_and_outlives_its_target():
    tree = root({"a": b"#!/x\n"}, {"b": "= a", "c": "= nowhere"}, {".wh.a": b""})
    file = tree.find("/b")
    assert file is not None
    assert file.entry.script == ("/x",)
    assert tree.find("/a") is None
    assert tree.find("/c") is None


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        ("/d/file", "/", "/d/file"),
        ("file", "/d", "/d/file"),
        ("../d/./file", "/d", "/d/file"),
        ("/abs", "/", "/d/file"),
        ("/rel/file", "/", "/d/file"),
        ("/escape", "/", "/d/file"),
        ("/../../d/file", "/", "/d/file"),
        ("/d", "/", None),
        ("/loop", "/", None),
        ("/self/x", "/", None),
        ("/d/file/x", "/", None),
        ("/d/file/..", "/", None),
        ("/nothing", "/", None),
        ("/dangling", "/", None),
    ],
)
def test_paths_stay_inside_the_root(path, base, expected):
    tree = root(
        {
            "d/file": b"",
            "abs": "-> /d/file",
            "rel": "-> d",
            "escape": "-> ../../../d/file",
            "loop": "-> pool",
            "pool": "-> loop",
            "self": "-> self/self",
            "dangling": "-> /nothing",
        }
    )
    file = tree.find(path, base=base)
    assert (file.path if file else None) == expected


@pytest.mark.parametrize(("links", "resolves"), [(40, True), (41, False)])
def test_the_limit_of_symlinks_is_the_kernels(links, resolves):
    chain = {f"l{number}": f"-> l{number + 1}" for number in range(links)}
    assert (root({**chain, f"l{links}": b""}).find("/l0") is not None) is resolves


def test_a_deep_tree_is_listed():
    assert len(paths({"a/" * 1500 + "f": b""})) == 1
