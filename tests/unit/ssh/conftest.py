import pytest


@pytest.fixture
def fake_ssh(tmp_path, monkeypatch):
    """Put a program of this name on PATH: `fake_ssh("echo …")` is its body; its arguments are in the file returned."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(body):
        program = folder / "ssh"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\n{body}\n')
        program.chmod(0o755)
        return folder / "arguments"

    return write
