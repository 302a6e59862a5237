"""Images that can be done without: pulled once, and not again soon where that failed."""

import os
import pwd
import time

import pytest
from fakes.engine import FakeEngine

from multibuild.host.pull_images import FAILED_PULL_TTL_S, try_pull

IMAGE = "registry.example.org/buildkit:1"


@pytest.fixture
def engine():
    """An engine that cannot pull."""
    engine = FakeEngine()
    engine.refusal = "access denied"
    return engine


def pulls(engine):
    return try_pull(engine, IMAGE, lambda _line: None, without="do without"), len(engine.calls)


def test_a_pull_that_failed_is_not_tried_again_for_a_day(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert [pulls(engine), pulls(engine)] == [(False, 1), (False, 1)]
    (marker,) = (tmp_path / "cache" / "multibuild").iterdir()
    before = time.time() - FAILED_PULL_TTL_S - 1
    os.utime(marker, (before, before))
    assert pulls(engine) == (False, 2)


def test_without_a_place_to_remember_it_the_run_goes_on(engine, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [pulls(engine), pulls(engine)] == [(False, 1), (False, 2)]


def test_without_a_home_the_run_goes_on(engine, monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert pulls(engine) == (False, 1)
