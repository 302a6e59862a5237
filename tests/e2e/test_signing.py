"""`sign` in whole runs: no tag without its signatures, whatever becomes of cosign or of multibuild meanwhile.

Where cosign has to fail, the program is a stand-in whose layouts in the registry are cosign's, and whose cryptography
is not.
"""

import os
import signal
import subprocess

import pytest
from e2e.conftest import REGISTRY, finish, multibuild, start
from e2e.registries import another_registry
from fakes.cosign import FakeCosign, is_signed
from waiting import PATIENCE_S

TAGS = ["1", "latest"]


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


@pytest.mark.one_driver(driver="docker", reason="what is signed does not depend on the builder")
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
    signing.communicate(timeout=PATIENCE_S)
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


@pytest.mark.one_driver(driver="docker", reason="what is signed does not depend on the builder")
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


@pytest.mark.one_driver(driver="docker", reason="what is signed does not depend on the builder")
def test_the_real_cosign_verifies_what_is_published_copied_and_promoted(
    project, readers, registry, repository, state, tmp_path, monkeypatch
):
    """Index and images in two registries, with a key pair and without a transparency log."""
    monkeypatch.setenv("COSIGN_PASSWORD", "the password")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cosign").symlink_to(readers.prefix / "usr" / "bin" / "cosign")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    flags = ("--key", tmp_path / "cosign.pub", "--insecure-ignore-tlog=true", "--allow-http-registry")
    subprocess.run(["cosign", "generate-key-pair"], cwd=tmp_path, check=True, capture_output=True)

    with another_registry(tmp_path) as elsewhere:
        names = (f"{REGISTRY}/{repository}", f"{elsewhere.host}/team/app")
        path = project(
            tags=TAGS,
            image=names[0],
            destinations=names[1:],
            sign={"key": str(tmp_path / "cosign.key"), "tlog": False},
        )
        done = multibuild("all", "-f", path, "--state-dir", state, "--json")
        assert done.code == 0, done.stderr
        digest = done.json["index"]["digest"]
        digests = [digest, *(row["manifest"] for row in done.json["platforms"])]
        refs = [f"{name}@{one}" for name in names for one in digests] + [f"{name}:latest" for name in names]

        copy = f"{elsewhere.host}/team/copy"
        readers.crane("copy", "--insecure", f"{names[0]}@{digest}", f"{copy}:1")
        for tag in readers.crane("ls", "--insecure", names[0]).stdout.split():
            if tag.startswith("sha256-"):
                readers.crane("copy", "--insecure", f"{names[0]}:{tag}", f"{copy}:{tag}")
        promoted = f"{elsewhere.host}/team/released"
        assert multibuild("promote", f"{names[0]}:1", f"{promoted}:1").code == 0

        for ref in (*refs, f"{copy}:1", *(f"{promoted}@{one}" for one in digests)):
            assert digest.partition(":")[0] in readers.cosign("verify", *flags, ref).stdout
        (tmp_path / "other").mkdir()
        subprocess.run(
            ["cosign", "generate-key-pair"], cwd=tmp_path / "other", check=True, capture_output=True
        )
        other = readers.cosign(
            "verify", "--key", tmp_path / "other" / "cosign.pub", *flags[2:], refs[0], check=False
        )
        assert other.returncode != 0
