import time
from dataclasses import replace

from fakes.engine import ENGINE, builder

from multibuild.host.probe import Probed
from multibuild.host.probe_cache import LONGEST, mark_of, remembered, to_remember
from multibuild.platforms import Platform

AMD64, ARM64, S390X = (Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/s390x"))
RAN = (Probed(platform=AMD64, runs=True), Probed(platform=ARM64, runs=True))


def facts(mark="m", answers=RAN, **more):
    return {"probed": {"b": {**to_remember(mark, answers, None), **more}}}


def test_what_ran_and_has_not_changed_is_known():
    assert remembered(facts(), "b", "m", (ARM64,)) == (Probed(platform=ARM64, runs=True),)


def test_anything_else_is_probed():
    assert remembered(facts(), "b", "other", (ARM64,)) is None
    assert remembered(facts(), "another", "m", (ARM64,)) is None
    assert remembered(facts(), "b", "m", (ARM64, S390X)) is None
    assert remembered(facts(time=time.time() - LONGEST - 1), "b", "m", (ARM64,)) is None
    assert remembered(facts(time=time.time() + 999), "b", "m", (ARM64,)) is None
    assert remembered(facts(answers=(Probed(platform=ARM64, runs=False),)), "b", "m", (ARM64,)) is None
    for broken in (None, {}, {"probed": None}, {"probed": {"b": {"runs": ["linux/??"]}}}):
        assert remembered(broken, "b", "m", (ARM64,)) is None


def test_a_remembered_probe_keeps_its_time_and_a_new_one_has_its_own():
    first = {"mark": "m", "time": 1.0, "runs": ["linux/amd64", "linux/arm64"]}
    assert to_remember("m", RAN[:1], first) == first
    assert to_remember("n", RAN, first)["time"] > 1.0
    assert to_remember("m", (*RAN, Probed(platform=S390X, runs=True)), first)["time"] > 1.0


def test_the_mark_is_of_engine_and_builder():
    found = builder("b")
    mark = mark_of(ENGINE, found)
    assert mark == mark_of(ENGINE, found)
    others = [
        mark_of(replace(ENGINE, version="29.0.0"), found),
        mark_of(replace(ENGINE, name="elsewhere"), found),
        mark_of(ENGINE, builder("c")),
        mark_of(ENGINE, replace(found, nodes=(replace(found.nodes[0], version="v1"),))),
    ]
    assert len({mark, *others}) == 5
