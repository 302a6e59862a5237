"""Finding packages and the mirror in what apt says."""

from __future__ import annotations

import pytest

from builders.lab import packages
from builders.lab.paths import Lab, LabError

LIST = b"""Package: busybox
Filename: pool/b/busybox.deb
SHA256: 00

Package: busybox-static
Architecture: riscv64
Description: Standalone rescue shell
 Package: not-a-package
Filename: pool/b/busybox-static.deb
SHA256: aa11

Package: zsh
Filename: pool/z/zsh.deb
SHA256: ff
"""


def test_a_package_is_found_by_its_whole_name():
    package = packages.find(LIST, "busybox-static", "riscv64")
    assert (package.filename, package.sha256) == ("pool/b/busybox-static.deb", "aa11")


@pytest.mark.parametrize(("name", "filename"), [("busybox", "pool/b/busybox.deb"), ("zsh", "pool/z/zsh.deb")])
def test_the_first_and_the_last_package_are_found(name, filename):
    assert packages.find(LIST, name, "amd64").filename == filename


@pytest.mark.parametrize("name", ["box-static", "not-a-package", "busybox-stati"])
def test_a_package_that_is_not_there_is_an_error_with_a_hint(name):
    with pytest.raises(LabError, match=name) as caught:
        packages.find(LIST, name, "riscv64")
    assert caught.value.hint


DEPENDENT = b"""Package: gcc
Pre-Depends: libc6 (>= 2.34)
Depends: cpp (= 4:12), libc-dev | libc6-dev, python3:any, libasan8 (>= 12)
Filename: pool/g/gcc.deb
SHA256: 01

Package: cpp
Depends: gcc (>= 4), libc6
Filename: pool/c/cpp.deb
SHA256: 02

Package: libc6
Filename: pool/l/libc6.deb
SHA256: 03

Package: libc-dev
Filename: pool/l/libc-dev.deb
SHA256: 04

Package: python3
Filename: pool/p/python3.deb
SHA256: 05
"""


def test_a_closure_has_what_its_packages_depend_on_once():
    closure = packages.closure(DEPENDENT, ["gcc"], "amd64", without={"libasan8"})
    assert sorted(package.name for package in closure) == ["cpp", "gcc", "libc-dev", "libc6", "python3"]


def test_a_closure_stops_at_what_is_there_already():
    closure = packages.closure(DEPENDENT, ["gcc"], "amd64", without={"libasan8", "cpp", "libc6", "python3"})
    assert sorted(package.name for package in closure) == ["gcc", "libc-dev"]


def test_a_dependency_that_is_missing_is_an_error():
    with pytest.raises(LabError, match="libasan8"):
        packages.closure(DEPENDENT, ["gcc"], "amd64", without=())


def test_the_archive_is_the_one_with_component_main():
    addresses = (
        "'https://engine.example/linux/debian/dists/bookworm/InRelease' a 0 \n"
        "'https://engine.example/linux/debian/dists/bookworm/stable/binary-amd64/Packages.xz' a 0 \n"
        "'http://mirror.example/debian-security/dists/bookworm-security/main/binary-amd64/Packages.xz' b 0 \n"
        "'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' c 0 \n"
    )
    assert packages.site_in(addresses, "bookworm") == "http://mirror.example/debian"


def test_sources_may_say_stable():
    addresses = "'http://mirror.example/debian//dists/stable/main/binary-amd64/Packages.xz' c 0 \n"
    assert packages.site_in(addresses, "bookworm") == "http://mirror.example/debian"


def test_no_archive_is_none():
    assert packages.site_in("", "bookworm") is None


def test_every_architecture_of_the_base_image_has_a_package():
    from builders.lab import base

    offered = {architecture for names in packages.BUSYBOX.values() for architecture in names}
    assert set(base.PLATFORMS.values()) == offered


def test_a_prefix_counts_only_when_it_is_stamped(tmp_path):
    lab = Lab(home=tmp_path, run=tmp_path / "run")
    lab.prefix.mkdir()
    assert not packages.unpacked(lab)
    (lab.prefix / packages.STAMP).write_text("what an older lab needed")
    assert not packages.unpacked(lab)
