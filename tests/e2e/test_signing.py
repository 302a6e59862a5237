"""`sign` in whole runs: no tag without its signatures, whatever becomes of cosign or of multibuild meanwhile.

The program is a stand-in whose layouts in the registry are cosign's, and whose cryptography is not.
"""

import os
import signal

import pytest
from e2e.conftest import REGISTRY, finish, multibuild, start
from fakes.cosign import FakeCosign, is_signed

TAGS = ["1", "latest"]
NO_BUILDER = "what is signed does not depend on the builder"


@pytest.fixture
def cosign(tmp_path, monkeypatch):
    fake = FakeCosign(tmp_path / "bin", version=3)
    monkeypatch.setenv("PATH", fake.path)
    monkeypatch.setenv("COSIGN_PASSWORD", "the password")
    return fake


@pytest.fixture
def config(project, cosign):
    """A project that signs in two repositories; its key is beside it."""

    def write(repository, **section):
        names = [f"{REGISTRY}/{repository}", f"{REGISTRY}/{repository}-mirror"]
        sign = {"key": "cosign.key", "tlog": False, **section}
        path = project(
            tags=TAGS, image=names[0], destinations=names[1:], sign=sign, verify={"content": "off"}
        )
        return path, names, cosign.write_key(path.parent / "cosign.key", password="the password")

    return write


def tags_of(registry, names):
    return {f"{name}:{tag}" for name in names for tag in TAGS if registry.exists(name.partition("/")[2], tag)}


def unsigned(report, names, public):
    """What should have a signature and has none; nothing is expected to be in an empty report."""
    digests = [report["index"]["digest"], *(row["manifest"] for row in report["platforms"])]
    assert len(digests) == 3
    return [f"{name}@{one}" for name in names for one in digests if not is_signed(f"{name}@{one}", public)]


@pytest.mark.one_driver(driver="docker", reason=NO_BUILDER)
def test_no_tag_moves_before_everything_is_signed(config, cosign, registry, repository, state):
    """cosign fails, multibuild is killed while it signs in the second repository, then a run completes both."""
    path, names, public = config(repository)
    run = ("all", "--resume", "-f", path, "--state-dir", state, "--json")

    cosign.answer(sign=["ok", "the key is revoked"])
    failed = multibuild(*run)
    assert failed.code == 7
    assert "cosign says: the key is revoked" in failed.stderr
    assert "the password" not in failed.stdout + failed.stderr
    assert tags_of(registry, names) == set()

    cosign.answer(sign=["hang"])
    signing = start(*run)
    while not (cosign.folder / "pid").exists():
        assert signing.poll() is None
    signing.send_signal(signal.SIGKILL)
    signing.communicate(timeout=60)
    os.kill(int((cosign.folder / "pid").read_text()), signal.SIGKILL)  # nothing is left to end it
    assert tags_of(registry, names) == set()

    cosign.answer()
    done = finish(start(*run))
    assert done.code == 0, done.stderr
    assert tags_of(registry, names) == {f"{name}:{tag}" for name in names for tag in TAGS}
    assert unsigned(done.json, names, public) == []
    digests = [done.json["index"]["digest"], *(row["manifest"] for row in done.json["platforms"])]
    assert [(one["repository"], one["digests"]) for one in done.json["signed"]] == [
        (name, digests) for name in names
    ]


@pytest.mark.one_driver(driver="docker", reason=NO_BUILDER)
def test_a_key_that_cannot_be_opened_is_found_before_anything_is_built(
    config, registry, repository, state, monkeypatch
):
    path, names, _ = config(repository)
    monkeypatch.setenv("COSIGN_PASSWORD", "another")
    for command in ("all", "doctor"):
        failed = multibuild(command, "-f", path, "--state-dir", state)
        assert failed.code == 3
        assert "decryption failed" in failed.stdout + failed.stderr
    assert not list(state.glob("runs/*/logs/*"))
    assert tags_of(registry, names) == set()
    (path.parent / "cosign.key").unlink()
    missing = multibuild("all", "-f", path, "--state-dir", state)
    assert missing.code == 2
    assert "sign.key: there is no file" in missing.stderr
