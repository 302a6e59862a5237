import os

import pytest

from multibuild.dockerfile.context_digest import PIECE_BYTES, content_digest, context_files, stat_digest
from multibuild.dockerfile.ignore import Ignore, read_ignore


@pytest.fixture
def tree(tmp_path):
    for name in ("a.txt", "b.log", "src/main.c", "src/deep/x.log", "node_modules/m/index.js", ".git/HEAD"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(root, *lines):
    return {file.name for file in context_files(root, Ignore(lines)) if (root / file.name).is_file()}


@pytest.mark.parametrize(
    ("lines", "ignored"),
    [
        ((), set()),
        (("*.log",), {"b.log"}),
        (("**/*.log",), {"b.log", "src/deep/x.log"}),
        (("**.log",), {"b.log", "src/deep/x.log"}),
        (("node_modules", ".git"), {"node_modules/m/index.js", ".git/HEAD"}),
        (("/src/",), {"src/main.c", "src/deep/x.log"}),
        (("src/**",), {"src/main.c", "src/deep/x.log"}),
        (("./a.txt", "# a.log", ""), {"a.txt"}),
        (("?.txt",), {"a.txt"}),
        (("[ab].*",), {"a.txt", "b.log"}),
        (("src", "!src/main.c"), {"src/deep/x.log"}),
        (("*", "!src/deep"), {"a.txt", "b.log", "src/main.c", "node_modules/m/index.js", ".git/HEAD"}),
        (("!a.txt", "*.txt"), {"a.txt"}),
        (("a[", "a.txt"), {"a.txt"}),
        (
            ("*", "!src/main.c", "**/src"),
            {"a.txt", "b.log", "src/deep/x.log", "node_modules/m/index.js", ".git/HEAD"},
        ),
        (("src", "!src/main.c", "src"), {"src/deep/x.log"}),
    ],
)
def test_patterns_are_read_as_buildkit_reads_them(tree, lines, ignored):
    assert names(tree) - names(tree, *lines) == ignored


def test_the_dockerfiles_own_ignore_file_takes_precedence(tree):
    (tree / ".dockerignore").write_text("a.txt\n")
    (tree / "Other.dockerignore").write_text("b.log\n")
    assert read_ignore(tree, tree / "Other").is_ignored(read_ignore(tree, tree / "Other").matches("b.log"))
    common = read_ignore(tree, tree / "Dockerfile")
    assert common.is_ignored(common.matches("a.txt"))
    assert not common.is_ignored(common.matches("b.log"))


def digest(root):
    return content_digest(root, context_files(root, Ignore(())))


def test_a_digest_depends_on_contents_modes_links_and_names_but_not_times(tree):
    digests = {digest(tree)}
    os.utime(tree / "a.txt", (1, 1))
    assert digest(tree) in digests
    for change in (
        lambda: (tree / "a.txt").write_text("other"),
        lambda: (tree / "a.txt").chmod(0o755),
        lambda: (tree / "a.txt").rename(tree / "c.txt"),
        lambda: (tree / "link").symlink_to("c.txt"),
        (tree / "empty").mkdir,
        lambda: (tree / "empty").chmod(0o700),
    ):
        change()
        assert digest(tree) not in digests
        digests.add(digest(tree))


def test_every_byte_of_a_large_file_changes_the_digest(tree):
    large = tree / "large"
    with large.open("wb") as file:
        file.truncate(2 * PIECE_BYTES + 1)
    digests = {digest(tree)}
    assert digest(tree) in digests
    for offset in (0, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES):
        with large.open("r+b") as file:
            file.seek(offset)
            file.write(b"x")
        assert digest(tree) not in digests
        digests.add(digest(tree))


def test_cancelled_hashing_ends_without_a_digest(tree):
    with (tree / "large").open("wb") as file:
        file.truncate(PIECE_BYTES)
    files = context_files(tree, Ignore(()))
    calls = []

    def is_cancelled():
        calls.append(True)
        return len(calls) > 3

    assert content_digest(tree, files, is_cancelled) is None
    # Twice for each of the three threads that were reading then, not once for each MiB.
    assert len(calls) < 10


def test_a_file_that_cannot_be_read_is_an_error(tree):
    files = context_files(tree, Ignore(()))
    (tree / "a.txt").unlink()
    with pytest.raises(OSError):
        content_digest(tree, files)


def test_the_stat_digest_changes_when_a_file_is_written_even_with_the_same_size_and_time(tree):
    before = context_files(tree, Ignore(()))
    times = (tree / "a.txt").stat()
    (tree / "a.txt").write_text("A.txt")
    os.utime(tree / "a.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stat_digest(context_files(tree, Ignore(()))) != stat_digest(before)
