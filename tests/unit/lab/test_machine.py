"""What the lab decides before it touches the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.lab import base, bridge, commands, emulators, engine, mounts, notes, paths, registry
from builders.lab.engine import Engine
from builders.lab.paths import Lab, LabError

ARM = r":qemu-arm:M::\x7fELF\x01\x01:\xff\xff\xff\xff\xff\xff:/usr/bin/qemu-arm:POF"


@pytest.fixture
def lab(tmp_path):
    return Lab(home=tmp_path / "home", run=tmp_path / "run")


def test_the_registration_has_the_prefix_and_flag_f(lab):
    described = lab.prefix / "usr" / "share" / "qemu" / "binfmt.d" / "qemu-arm.conf"
    described.parent.mkdir(parents=True)
    described.write_text(ARM + "\n")
    line = emulators.registration(lab, "arm").decode()
    assert line == ARM.replace("/usr/bin/qemu-arm:POF", f"{lab.prefix}/usr/bin/qemu-arm:OPF")


def test_a_missing_description_says_how_to_get_it(lab):
    with pytest.raises(LabError, match="missing") as caught:
        emulators.registration(lab, "arm")
    assert "--purge" in caught.value.hint


@pytest.mark.parametrize(
    ("description", "usable"),
    [
        ("enabled\ninterpreter /gone/qemu-arm\nflags: POF\noffset 0\nmagic 7f\n", True),
        ("enabled\ninterpreter /gone/qemu-arm\nflags: OC\noffset 0\n", False),
        ("enabled\ninterpreter /bin/sh\nflags: \noffset 0\n", False),
        ("disabled\ninterpreter /bin/sh\nflags: F\noffset 0\n", False),
        ("", False),
    ],
)
def test_a_handler_counts_when_it_is_enabled_and_works_in_containers(description, usable):
    assert emulators.usable(description) is usable


@pytest.mark.parametrize("name", ["", "registry", "../x", "Two", "a-dockerd", "2", "toolongname"])
def test_an_engine_needs_a_plain_name(lab, name):
    with pytest.raises(LabError, match="cannot name an engine"):
        Engine(lab=lab, name=name)


def test_bridge_names_fit_the_kernel():
    assert len(bridge.name("ninechars")) <= 15
    assert bridge.name("ninechar1") != bridge.name("ninechar2")


@pytest.mark.parametrize(
    ("argv", "ours"),
    [
        ("dockerd --config-file={run}/two-dockerd.json", True),
        ("containerd --config {run}/two/containerd/containerd.toml", True),
        ("containerd --config {run}/twofold/containerd/containerd.toml", False),
        ("containerd --config {run}/engine/containerd/containerd.toml", False),
        ("containerd", False),
    ],
)
def test_only_this_engines_remains_are_its_own(lab, argv, ours):
    words = argv.format(run=lab.run).split()
    assert engine.refers_to(Engine(lab=lab, name="two"), words) is ours


def test_the_first_engine_is_stopped_last(lab):
    lab.run.mkdir()
    for name in ("engine", "zwei", "two"):
        (lab.run / f"{name}-dockerd.json").write_text("{}")
    assert [each.name for each in engine.running(lab)] == ["two", "zwei", "engine"]


def test_notes_are_kept_once(tmp_path):
    path = tmp_path / "deep" / "notes"
    assert notes.lines(path) == ()
    for line in ("a", "b", "a"):
        notes.add(path, line)
    assert notes.lines(path) == ("a", "b")


def test_links_of_others_stay(lab, tmp_path):
    lab.home.mkdir()
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.symlink_to(lab.prefix / "usr" / "bin" / "docker")
    theirs.symlink_to("/somewhere/else")
    for link in (ours, theirs, tmp_path / "gone"):
        notes.add(lab.home / "links", str(link))
    commands.unlink(lab)
    assert not ours.is_symlink()
    assert theirs.is_symlink()
    assert not (lab.home / "links").exists()


def test_nothing_noted_means_nothing_to_undo(lab):
    mounts.undo(lab)
    commands.unlink(lab)
    emulators.down(lab)


@pytest.mark.parametrize("port", ["zz", "0", "65536", "-1", "5000 "])
def test_a_port_must_be_one(monkeypatch, port):
    monkeypatch.setenv("MULTIBUILD_LAB_PORT", port)
    with pytest.raises(LabError, match="MULTIBUILD_LAB_PORT"):
        paths.lab()


def test_homes_do_not_share_a_run_directory(monkeypatch):
    monkeypatch.setenv("MULTIBUILD_LAB", "/a/lab")
    one = paths.lab()
    monkeypatch.setenv("MULTIBUILD_LAB", "/b/lab")
    other = paths.lab()
    assert one.run != other.run
    assert len(str(one.run / "ninechars.sock")) < 108


def test_the_registry_listens_to_this_machine_only_and_deletes(lab):
    settings = registry.settings(lab, Path("/storage"))
    assert settings["http"] == {"addr": "127.0.0.1:5000"}
    assert settings["storage"] == {"filesystem": {"rootdirectory": "/storage"}, "delete": {"enabled": True}}


def test_another_layout_is_another_base_image(lab, tmp_path):
    before = base.fingerprint(lab)
    binary = lab.prefix / "busybox" / "amd64" / "bin" / "busybox"
    binary.parent.mkdir(parents=True)
    binary.write_bytes(b"new")
    assert base.fingerprint(lab) != before
    assert base.fingerprint(lab) != base.fingerprint(Lab(home=lab.home, run=lab.run, port=5001))


@pytest.mark.parametrize("folder", ["bin", "usr/bin"])
def test_a_root_has_busybox_wherever_the_package_puts_it(tmp_path, folder):
    binary = tmp_path / "package" / folder / "busybox"
    binary.parent.mkdir(parents=True)
    binary.write_bytes(b"\x7fELF")
    root = tmp_path / "root"
    base.fill(root, tmp_path / "package")
    assert (root / "bin" / "sh").readlink() == Path("busybox")
    assert (root / "usr" / "bin" / "env").resolve() == root / "bin" / "busybox"
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "etc" / "passwd").read_text().startswith("root:x:0:0:")
