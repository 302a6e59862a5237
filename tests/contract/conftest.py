import pytest
from fakes.docker import FakeDocker


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A fake docker first on PATH; the environment is the seam, no code is patched."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = FakeDocker(folder)
    monkeypatch.setenv("PATH", fake.path)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return fake
