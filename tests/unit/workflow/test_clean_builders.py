"""Builders that `clean --only builders` removes, and those that stay."""

import os
import stat

import pytest
from fakes.engine import FakeEngine, builder

from multibuild.host.own_builders import OwnBuilder, OwnBuilders
from multibuild.workflow.clean.clean_up import CleanOutcome, remove_builders

OURS = OwnBuilder(name="team", driver="docker-container", profile="team")


@pytest.fixture
def record(tmp_path):
    record = OwnBuilders(tmp_path)
    record.add(OURS)
    return record


def clean(record, engine, *, dry_run=False):
    outcome = CleanOutcome()
    remove_builders(record.all(), record, engine, outcome, dry_run=dry_run)
    return outcome


def test_a_builder_of_ours_is_removed_with_its_cache(record):
    engine = FakeEngine(existing=[builder("team")])
    assert clean(record, engine).removed == ["builder team and its cache"]
    assert engine.calls == ["remove team"]
    assert record.all() == ()


def test_a_builder_in_use_stays_and_stays_ours(record):
    engine = FakeEngine(existing=[builder("team")], running={"team": 1})
    outcome = clean(record, engine)
    assert outcome.stays == ["builder team: it builds for another run"]
    assert (outcome.removed, engine.calls) == ([], [])
    assert record.all() == (OURS,)


def test_the_name_of_a_remote_builder_is_removed_whatever_it_builds(tmp_path):
    record = OwnBuilders(tmp_path)
    record.add(OwnBuilder(name="far", driver="remote", profile="team"))
    engine = FakeEngine(existing=[builder("far", "remote")], running={"far": 2})
    assert clean(record, engine).removed == ["builder far"]
    assert engine.calls == ["remove far"]


def test_a_builder_that_another_made_anew_stays(record):
    engine = FakeEngine(existing=[builder("team", "remote")])
    assert "somebody else made it anew" in clean(record, engine).stays[0]
    assert engine.calls == []
    assert record.all() == ()


def test_a_dry_run_changes_nothing(record):
    engine = FakeEngine(existing=[builder("team")])
    assert clean(record, engine, dry_run=True).removed == ["builder team and its cache"]
    assert engine.calls == []
    assert record.all() == (OURS,)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_the_record_of_builders_is_private_whatever_the_umask(tmp_path, umask):
    folder = tmp_path / "state" / "multibuild" / "builders"
    previous = os.umask(umask)
    try:
        with OwnBuilders(folder).lock(print):
            OwnBuilders(folder).add(OURS)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not [path for path in (folder.parent, folder.parent.parent) if path.stat().st_mode & 0o022]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
