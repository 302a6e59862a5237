"""Images that exceed limits, and files that hide others."""

import pytest
from fakes.layers import index_files

from multibuild.prove.content import executed_files, layer_index, merged_rootfs
from multibuild.prove.content.layer_index import LayerIndex, index_layer
from multibuild.prove.content.layer_tree import LayerEntry
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.prove.content.tar import Member
from multibuild.prove.content.tar_header import UnreadableLayer
from multibuild.qemu.probe_program import build_probe

PROGRAM = build_probe("arm64")


def text(path, mode=0o644):
    return Member(path=path, kind="file", target="", mode=mode, size=4, head=b"text")


def test_plain_files_take_eight_bytes():
    result = index_layer(text(f"usr/share/doc/{number}") for number in range(1000))
    assert (result.entries, len(result.plain), result.cost) == ((), 8000, 0)


def test_the_number_of_unknown_executables_is_limited():
    limit = layer_index._MAX_UNKNOWN_EXECUTABLES
    result = index_layer(text(f"bin/{number}", 0o755) for number in range(limit + 5))
    assert len(result.entries) == limit
    assert len(result.plain) == 5 * 8


@pytest.mark.parametrize(
    ("upper", "remaining"),
    [
        (index_layer(iter([text("./bin/app")])), ["/bin/other", "/opt/app"]),
        (index_layer(iter([text("opt")])), ["/bin/app", "/bin/other"]),
        (
            LayerIndex(entries=(LayerEntry(path="bin/app", kind="hardlink", target="text"),)),
            ["/bin/other", "/opt/app"],
        ),
    ],
    ids=["file", "directory", "hard link to a plain file"],
)
def test_a_plain_file_replaces_what_is_below_it(upper, remaining):
    lower = index_files(dict.fromkeys(("bin/app", "bin/other", "opt/app"), PROGRAM))
    assert sorted(file.path for file in RootFs([lower, upper]).files()) == remaining


def test_too_many_links_are_refused():
    def links():
        for number in range(10**6):
            yield Member(path=f"l/{number}", kind="symlink", target="x" * 4000, mode=0, size=0, head=b"")

    with pytest.raises(UnreadableLayer, match="more than"):
        index_layer(links())


def test_deep_paths_are_refused():
    deep = (LayerEntry(path=f"{number}" + "/d" * 1000, kind="directory") for number in range(1000))
    with pytest.raises(UnreadableLayer, match="directories"):
        RootFs([LayerIndex(entries=tuple(deep))])


def test_paths_that_symlinks_make_deep_are_refused():
    """Each member's own path is short; the path it resolves to is not."""
    entries = [LayerEntry(path="to", kind="symlink", target="/")]
    for number in range(100):
        entries += [
            LayerEntry(path=f"to/{'d' * 50}", kind="directory"),
            LayerEntry(path=f"link{number}", kind="symlink", target="/" + f"{'d' * 50}/" * (number + 1)),
            LayerEntry(path="to", kind="whiteout"),
            LayerEntry(path="to", kind="symlink", target=f"/link{number}"),
        ]
    layers = [LayerIndex(entries=(entry,)) for entry in entries]
    with pytest.raises(UnreadableLayer, match="path longer"):
        RootFs(layers)


def test_looking_up_a_library_by_name_counts_steps():
    root = RootFs([index_files({f"lib/{number}/libx.so.{number}": PROGRAM for number in range(100)})])
    before = root._steps
    assert len(list(root.files_named("libx.so"))) == 100
    assert root._steps == before + 100


def test_a_directory_of_libraries_is_listed_once():
    root = RootFs([index_files({"lib/arm-linux-gnueabihf/libx.so": PROGRAM, "lib/libx.so": PROGRAM})])
    listed = root.names_in("/lib", with_part="-linux-")
    assert listed == ("arm-linux-gnueabihf",)
    assert root.names_in("/lib", with_part="-linux-") is listed


def test_a_command_line_is_read_up_to_a_limit():
    assert executed_files._first_command("x" * 10**6) == ["x" * executed_files.MAX_SCRIPT_CHARACTERS]
    assert executed_files._first_command("app '" + "x" * 10**6 + "'") == ["app"]
    root = RootFs([index_files({"bin/env": PROGRAM, "bin/app": PROGRAM})])
    for between, files in ((1, ["/bin/env", "/bin/app"]), (executed_files.MAX_WORDS, ["/bin/env"])):
        config = {"config": {"Entrypoint": ["env", *["-i"] * between, "app"], "Env": ["PATH=/bin"]}}
        assert [result.path for result in executed_files.executed_files(config, root).files] == files


def test_endless_lookups_are_refused():
    far = "/".join(["."] * 2000)
    entries = tuple(
        LayerEntry(path=f"a/{number}", kind="symlink", target=f"../a/{far}") for number in range(2)
    )
    root = RootFs([LayerIndex(entries=entries)])
    looks = (root.find("/a/0/../a/1/" + far) for _ in range(merged_rootfs.MAX_STEPS // 1000))
    with pytest.raises(UnreadableLayer, match="too many"):
        any(looks)
