"""Builders that are lost while the host is set up or a run goes on, with an engine in memory."""

from dataclasses import replace

import pytest
from fakes.engine import ENGINE, FakeEngine, listed_builder

from multibuild.config.profile_models import Profile
from multibuild.engine.engine import NewBuilder
from multibuild.host.make_builders import BuilderRestorer
from multibuild.host.own_builders import OwnBuilder, OwnBuilders
from multibuild.host.requirements import BuilderRequirements, HostRequirements
from multibuild.host.setup import prepare
from multibuild.platforms import Platform

AMD64 = Platform.parse("linux/amd64")
IMAGE = "registry.example.org/buildkit:1"
TEAM = Profile(driver="docker-container", name="team", image=IMAGE)
REQUIREMENTS = HostRequirements(
    builders=(BuilderRequirements(builder="p.yaml", profile=TEAM, platforms=(AMD64,)),),
    required=(AMD64,),
    emulators="none",
    emulator_image="binfmt",
)
LISTED = listed_builder(NewBuilder(name="team", driver="docker-container", image=IMAGE))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The record of an account that has made the builder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "account"))
    own = OwnBuilders.of({"XDG_STATE_HOME": str(tmp_path / "account")})
    own.add(OwnBuilder(name="team", driver="docker-container", profile="team"))
    return own


class LosingEngine(FakeEngine):
    """An engine whose builder is removed behind our back as soon as it was listed; `removed` says so to buildx."""

    def __init__(self, removed, **more):
        super().__init__(**more)
        self.removed = removed
        self.removed.touch()
        self.listings = 0

    def builders(self):
        self.listings += 1
        if self.listings == 2:
            self.existing = [listed for listed in self.existing if listed.name != "team"]
        return super().builders()

    def create_builder(self, new):
        super().create_builder(new)
        self.removed.unlink()


async def test_a_builder_that_is_lost_before_its_probe_is_made_again(own, tmp_path):
    removed, buildx = tmp_path / "removed", tmp_path / "buildx"
    buildx.write_text(
        f"#!/bin/sh\n[ ! -e {removed} ] || {{ echo 'ERROR: no builder \"team\" found'; exit 1; }}\n"
    )
    buildx.chmod(0o755)
    engine = LosingEngine(
        removed, facts=replace(ENGINE, buildx_path=str(buildx)), existing=[LISTED], images={IMAGE}
    )
    host = await prepare(REQUIREMENTS, engine, lambda _text: None)
    assert host.changes == ("created the builder team",)
    assert [(probe.platform, probe.runs) for probe in host.probes] == [(AMD64, True)]


def restorer(engine):
    messages: list[str] = []
    return BuilderRestorer(REQUIREMENTS, engine, messages.append), messages


def test_only_builders_of_ours_in_the_engine_are_made_again(own):
    own.add(OwnBuilder(name="far", driver="docker-container", profile="team", endpoint="ssh://arm"))
    own.add(OwnBuilder(name="pod", driver="kubernetes", profile="pod"))
    covers = restorer(FakeEngine())[0].covers
    assert [covers(name) for name in ("team", "far", "pod", "of-others")] == [True, False, False, False]


async def test_a_builder_that_was_removed_is_created(own):
    engine = FakeEngine(images={IMAGE})
    assert await restorer(engine)[0].restore("team")
    assert engine.calls == ["create team", "start team"]


async def test_a_builder_whose_container_is_gone_is_started(own):
    down = replace(LISTED, nodes=(replace(LISTED.nodes[0], status="inactive"),))
    engine = FakeEngine(existing=[down], images={IMAGE})
    assert await restorer(engine)[0].restore("team")
    assert engine.calls == ["start team"]


async def test_a_builder_whose_image_is_gone_too_is_explained(own):
    restore, messages = restorer(FakeEngine(refusal="manifest unknown"))
    assert not await restore.restore("team")
    assert messages[-1] == f"team could not be made again: pulling {IMAGE}: manifest unknown"


async def test_a_builder_of_another_name_is_not_made(own):
    engine = FakeEngine(images={IMAGE})
    restore, messages = restorer(engine)
    assert not await restore.restore("team-1234abcd")
    assert engine.calls == []
    assert "belong to another builder" in messages[-1]
