import time
from dataclasses import replace

import pytest
from fakes.engine import ENGINE, builder

from multibuild.host.probe import ProbeResult
from multibuild.host.probe_cache import MAX_AGE_S, cache_entry, cached_results, environment_digest
from multibuild.platforms import Platform

AMD64, ARM64, S390X = (Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/s390x"))
BOTH = (ProbeResult(platform=AMD64, runs=True), ProbeResult(platform=ARM64, runs=True))


def facts(digest="m", results=BOTH, **more):
    return {"probed": {"b": {**cache_entry(digest, results, None), **more}}}


def test_the_results_of_an_unchanged_host_are_cached():
    assert cached_results(facts(), "b", "m", (ARM64,)) == (ProbeResult(platform=ARM64, runs=True),)


def test_a_changed_host_and_an_old_or_broken_entry_are_probed_again():
    assert cached_results(facts(), "b", "other", (ARM64,)) is None
    assert cached_results(facts(), "another", "m", (ARM64,)) is None
    assert cached_results(facts(), "b", "m", (ARM64, S390X)) is None
    assert cached_results(facts(time=time.time() - MAX_AGE_S - 1), "b", "m", (ARM64,)) is None
    assert cached_results(facts(time=time.time() + 999), "b", "m", (ARM64,)) is None
    failed = ProbeResult(platform=ARM64, runs=False)
    assert cached_results(facts(results=(failed,)), "b", "m", (ARM64,)) is None
    for broken in (None, {}, {"probed": None}, {"probed": {"b": {"runs": ["linux/??"]}}}):
        assert cached_results(broken, "b", "m", (ARM64,)) is None


GOOD = {"mark": "m", "time": 1.0, "runs": []}


@pytest.mark.parametrize(
    "entry",
    [7, [], None, "m", {}, {**GOOD, "runs": 7}, {**GOOD, "runs": [7]}, {**GOOD, "runs": [[]]}, {**GOOD, "time": "now"},
     {**GOOD, "time": float("nan")}, {**GOOD, "time": float("inf")}, {**GOOD, "mark": {}}],
)  # fmt: skip
def test_an_entry_of_another_shape_is_probed_again(entry):
    for document in ({"probed": {"b": entry}}, {"probed": entry}):
        assert cached_results(document, "b", "m", (ARM64,)) is None
    assert cache_entry("m", BOTH, entry)["time"] > 1.0


def test_a_cached_probe_keeps_its_time_and_a_new_one_gets_its_own():
    first = {"mark": "m", "time": 1.0, "runs": ["linux/amd64", "linux/arm64"]}
    assert cache_entry("m", BOTH[:1], first) == first
    assert cache_entry("n", BOTH, first)["time"] > 1.0
    assert cache_entry("m", (*BOTH, ProbeResult(platform=S390X, runs=True)), first)["time"] > 1.0


def test_the_digest_covers_engine_and_builder():
    container = builder("b")
    digest = environment_digest(ENGINE, container)
    assert digest == environment_digest(ENGINE, container)
    others = [
        environment_digest(replace(ENGINE, version="29.0.0"), container),
        environment_digest(replace(ENGINE, name="elsewhere"), container),
        environment_digest(ENGINE, builder("c")),
        environment_digest(ENGINE, replace(container, nodes=(replace(container.nodes[0], version="v1"),))),
    ]
    assert len({digest, *others}) == 5
