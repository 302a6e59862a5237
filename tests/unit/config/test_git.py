"""Facts from git: no program of a repository's configuration runs, and a refusal of git is an error, never "empty"."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from waiting import NEVER_S, PATIENCE_S, comes

from multibuild.config.cli_overrides import Overrides
from multibuild.config.git import GitFacts, without_credentials
from multibuild.config.load import load_config
from multibuild.errors import ConfigError

IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A"}
IDENTITY |= {"GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}
SIGNED = """tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author A <a@example.org> 1700000000 +0000
committer A <a@example.org> 1700000000 +0000
gpgsig -----BEGIN {kind}-----
 aGVsbG8=
 -----END {kind}-----

signed
"""


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    process = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        input=stdin,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **IDENTITY},
    )
    return process.stdout.strip()


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("committed")
    git(folder, "init", "--initial-branch", "main", "--template=")
    (folder / "file").write_text("text")
    git(folder, "add", "file")
    git(folder, "commit", "-m", "one")
    git(folder, "tag", "v1.2.3")
    return folder


@pytest.fixture
def repository(committed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(committed, tmp_path / "app"))


def facts(folder: Path, timeout_s: float = 20.0) -> dict[str, object]:
    """Return every fact, or the error in its place."""
    source = GitFacts(folder, timeout_s=timeout_s)
    names = ("sha", "branch", "tag", "url", "semver", "commit_time")
    return {name: _fact(source, name) for name in names}


def _fact(source: GitFacts, name: str) -> object:
    try:
        return getattr(source, name)
    except ConfigError as error:
        return error


def loaded(folder: Path, text: str, **environ: str):
    file = folder / "multibuild.yaml"
    file.write_text(f"version: 1\nimage: a/b\nplatforms: [amd64]\n{text}\n")
    return load_config(file, environ=environ, overrides=Overrides(), now=datetime.now(UTC)).config


# -- nothing of a repository's configuration runs


def sign(folder: Path, kind: str) -> None:
    commit = git(folder, "hash-object", "-t", "commit", "-w", "--stdin", stdin=SIGNED.format(kind=kind))
    git(folder, "update-ref", "refs/heads/main", commit)


def lose_the_commit(folder: Path, url: str) -> None:
    """Make a partial clone whose commit is missing: git would fetch it from `url`."""
    git(folder, "config", "core.repositoryFormatVersion", "1")
    for key, value in {
        "extensions.partialClone": "origin",
        "remote.origin.url": url,
        "remote.origin.promisor": "true",
        "remote.origin.partialCloneFilter": "blob:none",
    }.items():
        git(folder, "config", key, value)
    commit = git(folder, "rev-parse", "HEAD")
    (folder / ".git/objects" / commit[:2] / commit[2:]).unlink()


# What is done to a repository → the configuration that names the program {mark}.
PROGRAMS = {
    "an OpenPGP signature": ("PGP SIGNATURE", {"log.showSignature": "true", "gpg.program": "{mark}"}),
    "an SSH signature": (
        "SSH SIGNATURE",
        {"log.showSignature": "true", "gpg.format": "ssh", "gpg.ssh.program": "{mark}"},
    ),
    "an X.509 signature": (
        "SIGNED MESSAGE",
        {"log.showSignature": "true", "gpg.format": "x509", "gpg.x509.program": "{mark}"},
    ),
    "ssh of a partial clone": ("ssh://example.org/a", {"core.sshCommand": "{mark}"}),
    "the pack program of a local partial clone": ("{folder}", {"remote.origin.uploadpack": "{mark}"}),
    "a remote helper of a partial clone": ("ext::{mark}", {"protocol.ext.allow": "always"}),
    "a named remote helper of a partial clone": ("x", {"remote.origin.vcs": "mark", "protocol.allow": "always"}),
    "the proxy of a partial clone": ("git://127.0.0.1:1/a", {"core.gitProxy": "{mark}"}),
    "the credentials of a partial clone": ("http://127.0.0.1:1/a", {"credential.helper": "!{mark}"}),
    "the password program of a partial clone": ("http://127.0.0.1:1/a", {"core.askPass": "{mark}"}),
    "a file system monitor": ("", {"core.fsmonitor": "{mark}"}),
    "hooks": ("", {"core.hooksPath": "{folder}/hooks"}),
    "filters": ("", {"filter.x.clean": "{mark}", "filter.x.smudge": "{mark}", "filter.x.process": "{mark}"}),
    "a diff program": ("", {"diff.external": "{mark}", "diff.x.textconv": "{mark}", "diff.x.command": "{mark}"}),
    "pagers": ("", {"core.pager": "{mark}", "pager.tag": "{mark}", "pager.log": "{mark}", "pager.config": "{mark}"}),
    "aliases": ("", {f"alias.{name}": "!{mark}" for name in ("tag", "log", "config", "rev-parse", "for-each-ref")}),
    "editors": ("", {"core.editor": "{mark}", "sequence.editor": "{mark}"}),
    "references of an alternate": ("", {"core.alternateRefsCommand": "{mark}"}),
    "a hook of the pack program": ("", {"uploadpack.packObjectsHook": "{mark}"}),
    "maintenance": ("", {"gc.auto": "1", "gc.recentObjectsHook": "{mark}", "maintenance.auto": "true"}),
    "columns": ("", {"column.ui": "always", "core.fsmonitor": "{mark}"}),
}  # fmt: skip


@pytest.mark.parametrize("included", [False, True], ids=["config", "included"])
@pytest.mark.parametrize("case", PROGRAMS)
def test_no_program_of_the_repository_runs(case, included, repository, tmp_path, monkeypatch):
    done, settings = PROGRAMS[case]
    traces = tmp_path / "ran"
    mark = tmp_path / "bin" / "git-remote-mark"
    mark.parent.mkdir()
    mark.write_text(f"#!/bin/sh\necho x >> {traces}\n")
    mark.chmod(0o755)
    monkeypatch.setenv("PATH", f"{mark.parent}:{os.environ['PATH']}")
    (repository / "hooks").mkdir()
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman", "post-checkout"):
        shutil.copy(mark, repository / "hooks" / hook)
    (repository / ".gitattributes").write_text("* filter=x diff=x\n")
    (repository / "file").write_text("changed")
    words = {"mark": str(mark), "folder": str(repository)}
    if done and done.isupper():
        sign(repository, done)
    elif done:
        lose_the_commit(repository, done.format(**words))
    target = tmp_path / "more" if included else repository / ".git/config"
    for key, value in settings.items():
        git(repository, "config", "--file", str(target), key, value.format(**words))
    if included:
        git(repository, "config", "include.path", str(target))
    facts(repository)
    assert not traces.exists()


def test_facts_are_read_from_a_signed_commit(repository):
    sign(repository, "PGP SIGNATURE")
    git(repository, "config", "log.showSignature", "true")
    assert GitFacts(repository).commit_time == 1700000000


def test_no_lock_and_no_index_is_written(repository):
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    facts(repository)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


# -- what git refuses is an error


def hide_git(folder, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")


def fake_git(script):
    def install(folder, monkeypatch):
        program = folder.parent / "fake" / "git"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return install


def damage(path, data):
    return lambda folder, monkeypatch: (folder / ".git" / path).write_bytes(data)


def replace_dot_git(text):
    def replace(folder, monkeypatch):
        shutil.rmtree(folder / ".git")
        (folder / ".git").write_text(text)

    return replace


def disown(folder, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


REFUSALS = {
    "another owner": (disown, "dubious ownership", "safe.directory"),
    "git is not installed": (hide_git, "there is no git", "install git"),
    "a hanging git": (fake_git("sleep 60 & wait"), "does not answer", "git"),
    "a git that prints without end": (fake_git("exec cat /dev/zero"), "prints more than", "git"),
    "a git that fails without a word": (fake_git("exit 3"), "exit code 3", "git"),
    "a git ended by a signal": (fake_git("kill -9 $$"), "signal 9", "git"),
    "a broken configuration": (damage("config", b"[core\n"), "bad config", "git"),
    "a configuration of the future": (
        damage("config", b"[core]\nrepositoryformatversion = 99\n"),
        "version",
        "git",
    ),
    "an unknown extension": (
        damage("config", b"[core]\nrepositoryformatversion=1\n[extensions]\nnew=1\n"),
        "extension",
        "git",
    ),
    "a HEAD that is none": (damage("HEAD", b"\x00\xff"), "not a git repository", ".git"),
    "a branch that is none": (damage("refs/heads/main", b"garbage\n"), "ref", "git"),
    "a worktree whose repository is gone": (
        replace_dot_git("gitdir: /nonexistent/x\n"),
        "not a git repository",
        ".git",
    ),
    "a .git that is no repository": (replace_dot_git("hello\n"), "invalid gitfile", "git"),
    "a bad environment": (
        lambda folder, monkeypatch: monkeypatch.setenv("GIT_DIR", "/nonexistent"),
        "not a git repository",
        "GIT_DIR",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_of_git_is_an_error_and_never_empty(case, repository, monkeypatch):
    prepare, message, hint = REFUSALS[case]
    prepare(repository, monkeypatch)
    value = facts(repository, timeout_s=0.5 if case == "a hanging git" else PATIENCE_S)["sha"]
    assert isinstance(value, ConfigError), value
    assert message in value.message
    assert hint in (value.hint or "")


@pytest.mark.parametrize("case", [case for case in REFUSALS if case != "a hanging git"])
@pytest.mark.parametrize("tag", ["v-${git.sha}", "v-${git.short_sha:-dev}", "${git.sha}"])
def test_a_refusal_names_the_place_in_the_config(case, tag, repository, monkeypatch):
    REFUSALS[case][0](repository, monkeypatch)
    with pytest.raises(ConfigError) as caught:
        loaded(repository, f"tags: ['{tag}']")
    assert f"{repository}/multibuild.yaml:4:8: tags.0: " in caught.value.message


def test_git_is_asked_once_after_a_refusal(repository, monkeypatch):
    log = repository.parent / "asked"
    fake_git(f"echo x >> {log}; exit 3")(repository, monkeypatch)
    with pytest.raises(ConfigError, match="exit code 3"):
        loaded(repository, "tags: ['${git.tag:-x}', '${git.sha:-x}', '${git.branch:-x}']")
    assert log.read_text() == "x\n"


def test_a_hanging_git_is_ended_with_what_it_started(repository, monkeypatch):
    alive = repository.parent / "alive"
    os.mkfifo(alive)
    fake_git(f"sleep {NEVER_S} > {alive} & wait")(repository, monkeypatch)
    # A reader of a FIFO sees its end once no process has it open for writing any more.
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    assert isinstance(facts(repository, timeout_s=0.5)["sha"], ConfigError)
    assert comes(lambda: _is_at_end(reader))
    os.close(reader)


def _is_at_end(reader: int) -> bool:
    try:
        return os.read(reader, 1) == b""
    except BlockingIOError:
        return False


def test_the_sentence_of_git_is_clean_short_and_without_login(repository, monkeypatch):
    words = "fatal: https://me:s3cret@example.org/ \\033[31m is red ::error::x " + "long " * 200
    fake_git(f"printf '{words}\\n' >&2; exit 128")(repository, monkeypatch)
    error = facts(repository)["sha"]
    assert isinstance(error, ConfigError)
    assert "s3cret" not in error.message
    assert "\x1b" not in error.message
    assert "example.org" in error.message
    assert len(error.message) < 500


def test_a_language_of_the_user_does_not_change_what_is_a_refusal(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    assert set(facts(tmp_path).values()) == {"", None}


def test_a_trace_of_git_is_no_refusal(repository, monkeypatch):
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("GIT_TRACE2", "1")
    assert facts(repository)["url"] == ""
    assert facts(repository)["tag"] == "v1.2.3"


# -- what git does not have is empty


@pytest.mark.parametrize("installed", [True, False])
def test_without_a_repository_facts_are_empty(installed, tmp_path, monkeypatch):
    if not installed:
        monkeypatch.setenv("PATH", "/nonexistent")
    assert set(facts(tmp_path).values()) == {"", None}
    assert loaded(tmp_path, "tags: ['${git.semver:-dev}', '${git.tag}']").tags == ("dev",)


def test_a_repository_without_a_commit_has_a_branch_alone(tmp_path):
    git(tmp_path, "init", "--initial-branch", "trunk")
    values = facts(tmp_path)
    assert values.pop("branch") == "trunk"
    assert set(values.values()) == {"", None}


def test_a_detached_head_has_no_branch(repository):
    git(repository, "checkout", "--detach")
    assert facts(repository)["branch"] == ""
    assert len(str(facts(repository)["sha"])) == 40


def test_bare_shallow_and_linked_checkouts_have_facts(repository, tmp_path):
    git(repository, "commit", "--allow-empty", "-m", "two")
    git(repository, "tag", "v2.0.0")
    git(tmp_path, "clone", "--bare", str(repository), "bare")
    git(tmp_path, "clone", "--depth", "1", f"file://{repository}", "shallow")
    git(repository, "worktree", "add", "--detach", str(tmp_path / "linked"))
    expected = facts(repository)
    for name in ("bare", "shallow", "linked"):
        values = facts(tmp_path / name)
        assert (values["sha"], values["tag"], values["commit_time"]) == (
            expected["sha"],
            "v2.0.0",
            expected["commit_time"],
        )


def test_a_broken_index_does_not_matter(repository):
    (repository / ".git/index").write_bytes(b"\0" * 100)
    assert facts(repository)["tag"] == "v1.2.3"


def test_a_directory_trusted_by_the_caller_is_read(repository, monkeypatch):
    disown(repository, monkeypatch)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    assert facts(repository)["tag"] == "v1.2.3"


# -- an empty value in a tag


@pytest.mark.parametrize(
    ("tag", "environ"),
    [
        ("v-${git.tag}", {}),
        ("v${git.semver.major}", {}),
        ("${git.semver}-debug", {}),
        ("a.${git.semver.major}.${git.semver.minor}", {}),
        ("v-${VERSION}", {"VERSION": ""}),
        ("${git.tag:-${VERSION}}-x", {"VERSION": ""}),
    ],
)
def test_a_variable_without_a_value_is_an_error_inside_a_tag(tag, environ, tmp_path):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"tags: ['{tag}', latest]", **environ)
    assert "multibuild.yaml:4:8: tags.0: " in caught.value.message
    assert "has no value" in caught.value.message
    assert ":-" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("${git.tag}", ("latest",)),
        ("${git.semver.major}.${git.semver.minor}", ("latest",)),
        ("v-${git.tag:-dev}", ("v-dev", "latest")),
        ("1.0${SUFFIX:-}", ("1.0", "latest")),
        ("${git.tag}${SUFFIX:-}", ("latest",)),
    ],
)
def test_a_tag_without_text_is_dropped_and_a_default_may_be_empty(tag, expected, tmp_path):
    assert loaded(tmp_path, f"tags: ['{tag}', latest]").tags == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://[half/a", "https://[half/a"),
        ("https://user:secret@[half/a", "https://[half/a"),
        ("https://user:sec/ret@example.org/a", "https://user:sec/ret@example.org/a"),
        ("HTTPS://user:secret@example.org?x=@", "HTTPS://example.org?x=@"),
        ("https://a@b:secret@example.org/@", "https://example.org/@"),
        ("://", "://"),
    ],
)
def test_a_url_that_is_none_loses_its_login_too(url, expected):
    assert without_credentials(url) == expected
