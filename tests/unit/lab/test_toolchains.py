"""The images with compilers: which packages each adds, and the layout they are unpacked into."""

import subprocess

import pytest

from builders.lab import toolchains
from builders.lab.toolchains import TOOLCHAINS
from multibuild.dockerfile.parse import read_dockerfile
from multibuild.dockerfile.stages import used_stages


def stanza(name, *depends):
    return f"Package: {name}\nDepends: {', '.join(depends)}\nFilename: pool/{name}.deb\nSHA256: 00\n\n"


def test_an_image_adds_only_what_its_parents_do_not_have():
    wanted = {name for row in TOOLCHAINS for name in row.packages}
    text = "".join(stanza(name, "libc6", "zlib1g", "dpkg") for name in sorted(wanted)) + stanza("zlib1g")
    selected = toolchains.select(text.encode(), "amd64")
    names = {row: sorted(package.name for package in packages) for row, packages in selected.items()}
    assert names["debian"] == sorted([*TOOLCHAINS[0].packages, "zlib1g"])
    assert names["gcc"] == ["gcc", "libc6-dev", "make"]
    assert names["golang"] == ["golang-go"]


def test_images_for_the_native_architecture_only_are_not_selected_for_others():
    wanted = {name for row in TOOLCHAINS for name in row.packages}
    text = "".join(map(stanza, sorted(wanted)))
    assert set(toolchains.select(text.encode(), "mips64el")) == {"debian", "gcc"}


def test_every_image_is_a_stage_over_its_parent():
    stages = read_dockerfile(toolchains.dockerfile(), {}).stages
    for row in TOOLCHAINS:
        chain = used_stages(stages, row.name)[-1].chain
        assert chain[0].name == row.name
        assert chain[0].base == (row.parent or "scratch")
        assert chain[-1].base == "scratch"


@pytest.fixture
def deb(tmp_path):
    """A package with files in /lib and /usr/lib, built by dpkg-deb."""

    def build(name, *paths):
        root = tmp_path / f"{name}.root"
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(path)
        control = (
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: a\n"
        )
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(control)
        file = tmp_path / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--build", str(root), str(file)], check=True, capture_output=True)
        return file

    return build


def test_the_first_image_has_the_layout_of_an_installed_system(tmp_path, deb):
    root = tmp_path / "context/amd64/debian"
    debs = (
        deb("dash", "bin/dash", "usr/share/doc/dash/copyright"),
        deb("libc", "lib/a/libc.so", "usr/lib/a/b.so"),
    )
    toolchains.unpack(root, debs)
    assert (root / "lib").readlink().as_posix() == "usr/lib"
    assert (root / "bin/sh").read_text() == "bin/dash"
    assert {path.name for path in (root / "lib/a").iterdir()} == {"libc.so", "b.so"}
    assert not (root / "usr/share/doc").exists()
    assert not (root / "lib64").exists()


def test_a_further_image_has_nothing_beside_usr(tmp_path, deb):
    """A directory /lib over the first image's link would not be copied."""
    root = tmp_path / "context/amd64/gcc"
    toolchains.unpack(root, [deb("gcc", "usr/bin/gcc", "lib/cpp")])
    assert [path.name for path in root.iterdir()] == ["usr"]
    assert (root / "usr/bin/cc").readlink().as_posix() == "gcc"
