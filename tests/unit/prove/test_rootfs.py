import pytest
from fakes.layers import PLAIN, tar

from multibuild.prove.content.layer_index import index_layer
from multibuild.prove.content.layers import layer_members
from multibuild.prove.content.rootfs import RootFs


def root(*layers):
    return RootFs(index_layer(layer_members(iter([tar(files)]), PLAIN)) for files in layers)


def paths(*layers):
    return sorted(found.path for found in root(*layers).files())


BASE = {"etc": None, "etc/a": b"1", "etc/sub/b": b"2", "bin/c": b"3"}


@pytest.mark.parametrize(
    ("upper", "left"),
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
def test_layers_lie_one_over_the_other(upper, left):
    assert paths(BASE, upper) == left


def test_a_parent_that_is_a_symlink_below_is_followed():
    assert paths({"usr/bin/a": b"", "bin": "-> usr/bin"}, {"bin/b": b"", "bin/.wh.a": b""}) == ["/usr/bin/b"]


def test_a_hard_link_reaches_into_lower_layers_and_outlives_its_target():
    tree = root({"a": b"#!/x\n"}, {"b": "= a", "c": "= nowhere"}, {".wh.a": b""})
    found = tree.find("/b")
    assert found is not None
    assert found.entry.script == ("/x",)
    assert tree.find("/a") is None
    assert tree.find("/c") is None


@pytest.mark.parametrize(
    ("path", "base", "found"),
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
def test_paths_stay_inside_the_root(path, base, found):
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
    seen = tree.find(path, base=base)
    assert (seen.path if seen else None) == found


@pytest.mark.parametrize(("links", "found"), [(40, True), (41, False)])
def test_as_many_links_as_the_kernel_follows(links, found):
    chain = {f"l{number}": f"-> l{number + 1}" for number in range(links)}
    assert (root({**chain, f"l{links}": b""}).find("/l0") is not None) is found


def test_a_tree_of_any_depth_is_walked():
    assert len(paths({"a/" * 1500 + "f": b""})) == 1
