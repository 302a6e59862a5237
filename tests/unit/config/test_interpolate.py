import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.git import GitFacts, without_credentials
from multibuild.config.interpolate import InterpolationError, Interpolator


class NoGit(GitFacts):
    """Fails when git is called."""

    def _git(self, *arguments: str) -> str:
        raise AssertionError(arguments)


def git(folder: Path, *arguments: str, when: str = "1700000000 +0000") -> None:
    environ = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
    environ |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}
    environ |= {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when, "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, env={**os.environ, **environ}
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--initial-branch", "main")
    git(tmp_path, "commit", "--allow-empty", "-m", "one")
    return tmp_path


def interpolated(text: str, facts: GitFacts, **environ: str) -> str:
    now = datetime(2026, 2, 3, 4, tzinfo=UTC)
    return Interpolator(environ=environ, git=facts, now=now).interpolate(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $ and $HOME", "plain $ and $HOME"),
        ("${A}-${EMPTY}-${A}", "1--1"),
        ("${NO:-x}${EMPTY:-y}${A:-z}", "xy1"),
        ("${NO:-}", ""),
        ("${NO:-${A}}", "1"),
        ("${NO:-${NEITHER:-deep}}!", "deep!"),
        ("$${A} costs $$5", "${A} costs $5"),
        ("${A:?needed}", "1"),
        ("${date}", "2026-02-03"),
    ],
)
def test_variables_without_git_do_not_call_git(tmp_path, text, expected):
    assert interpolated(text, NoGit(tmp_path), A="1", EMPTY="") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NO}", "the environment variable NO is not set"),
        ("${NO:?say which}", "NO is not set: say which"),
        ("${EMPTY:?}", "EMPTY is not set: it is needed"),
        ("${A", "no closing brace"),
        ("${}", "cannot be read"),
        ("${A-x}", "cannot be read"),
        ("${git.shaa}", "there is no ${git.shaa}"),
    ],
)
def test_a_text_that_cannot_be_interpolated_is_an_error(tmp_path, text, message):
    with pytest.raises(InterpolationError) as caught:
        interpolated(text, NoGit(tmp_path), A="1", EMPTY="")
    assert message in caught.value.message


def record(text: str, folder: Path, **environ: str) -> str:
    now = datetime(2026, 2, 3, 4, tzinfo=UTC)
    return Interpolator(environ=environ, git=NoGit(folder), now=now).interpolate_record(text)


@pytest.mark.parametrize("value", ["x,ref=evil.example/x", "x,mode=max", "x,", 'x"', "x\ny=z", "x\ry=z"])
@pytest.mark.parametrize(
    "text",
    [
        "type=registry,ref=r.example/x:${V}",
        "type=registry,ref=r.example/x:${V},mode=max",
        "ref=${V}",
        "type=${V}",
        "type=registry,ref=${A}${V}",
        "type=registry,ref=${NONE:-r.example/x:${V}}",
        'type=local,"dest=cache/${V}"',
        "${A}=${V}",
    ],
)
def test_a_variable_ends_no_attribute(tmp_path, text, value):
    if '"dest' in text and "," in value:
        assert record(text, tmp_path, V=value, A="a") == text.replace("${V}", value)
        return
    with pytest.raises(InterpolationError, match=r"V has a (comma|quote|line)") as caught:
        record(text, tmp_path, V=value, A="a")
    assert value not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${V}", "type=gha,mode=max"),
        ("${V},scope=x", "type=gha,mode=max,scope=x"),
        ("scope=x,${V}", "scope=x,type=gha,mode=max"),
        ("${NONE:-type=gha,scope=x}", "type=gha,scope=x"),
        ("type=gha,scope=${NONE:-x,mode=max}", "type=gha,scope=x,mode=max"),
        ("type=registry,ref=r.example/x:${TAG}", "type=registry,ref=r.example/x:feature-1"),
        ('type=local,"dest=a,b/${TAG}",mode=max', 'type=local,"dest=a,b/feature-1",mode=max'),
        ("$$V,${TAG}", "$V,feature-1"),
    ],
)
def test_what_a_variable_may_be_in_a_list_of_attributes(tmp_path, text, expected):
    assert record(text, tmp_path, V="type=gha,mode=max", TAG="feature-1") == expected


def test_git_variables_are_interpolated(repository):
    git(repository, "tag", "v1.9.0")
    git(repository, "tag", "v1.10.2-rc.1+build.5")
    git(repository, "remote", "add", "origin", "https://user:secret@example.org/a.git")
    facts = GitFacts(repository)
    assert len(facts.sha) == 40
    assert interpolated("${git.short_sha}", facts) == facts.sha[:7]
    assert interpolated("${git.branch} ${git.tag} ${git.url}", facts) == (
        "main v1.10.2-rc.1+build.5 https://example.org/a.git"
    )
    assert interpolated("${git.semver} ${git.semver.major} ${git.semver.minor}", facts) == "1.10.2-rc.1 1 10"
    assert facts.commit_time == 1700000000


def test_a_tag_that_is_no_version_has_no_semver(repository):
    git(repository, "tag", "nightly")
    assert interpolated("${git.tag}/${git.semver:-none}", GitFacts(repository)) == "nightly/none"


def test_without_a_repository_everything_is_empty(tmp_path):
    facts = GitFacts(tmp_path)
    assert interpolated("${git.sha}${git.branch}${git.tag}${git.url}${git.semver.minor}", facts) == ""
    assert facts.commit_time is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:secret@example.org/a", "https://example.org/a"),
        ("https://token@example.org:8443/a", "https://example.org:8443/a"),
        ("ssh://git@example.org/a", "ssh://git@example.org/a"),
        ("ssh://git:secret@example.org/a", "ssh://example.org/a"),
        ("git@example.org:a", "git@example.org:a"),
    ],
)
def test_credentials_are_removed_from_a_url(url, expected):
    assert without_credentials(url) == expected
