"""What emulation cost: only like is set against like."""

import pytest
from unit.report.story import STARTED, compiled, plan, report_of, run_of

from multibuild.report.emulation_cost import emulation_cost

AMD, ARM, S390X = "linux/amd64", "linux/arm64", "linux/s390x"
MAKE = "stage-1 2/3"


def compared(*told, names=(AMD, ARM)):
    return emulation_cost(report_of(plan(*names), STARTED, *told))


def test_each_emulated_step_beside_its_native_one():
    cost = compared(*compiled(AMD, 1), *compiled(ARM, 3), *compiled(S390X, 6), names=(AMD, ARM, S390X))
    said = [
        (one.platform, one.position, one.seconds, one.native_seconds, one.ratio) for one in cost.comparisons
    ]
    assert said[:2] == [(S390X, MAKE, 24.0, 4.0, 6.0), (ARM, MAKE, 12.0, 4.0, 3.0)]
    assert cost.comparisons[0].name == "[stage-1 2/3] RUN make linux/amd64"
    assert cost.overhead == pytest.approx(20 + 8 + 0.1 + 0.04)


def test_shared_and_cross_compiled_steps_cost_no_emulation():
    cost = compared(*compiled(AMD, 1), *compiled(ARM, 3))
    assert {one.position for one in cost.comparisons} == {MAKE, "stage-1 3/3"}
    assert cost.native == 2


def test_a_step_too_short_to_tell_has_no_ratio():
    short = compared(*compiled(AMD, 1), *compiled(ARM, 3)).comparisons[-1]
    assert (short.position, short.native_seconds, short.ratio) == ("stage-1 3/3", 0.02, None)


def test_a_native_step_that_took_longer_saves_nothing():
    cost = compared(*compiled(AMD, 1), *compiled(ARM, 0.5))
    assert (cost.comparisons[0].overhead, cost.overhead) == (0.0, 0.0)


def changed(told, place, **fields):
    """Change the steps at a place, in what a platform ended with."""
    for at, name, found in told:
        if "steps" in found:
            steps = [one | fields if place in one["name"] else one for one in found["steps"]]
            yield at, name, {**found, "steps": steps}
        else:
            yield at, name, found


@pytest.mark.parametrize("side", [AMD, ARM])
def test_what_came_out_of_the_cache_has_no_time_to_compare(side):
    told = {AMD: compiled(AMD, 1), ARM: compiled(ARM, 3)}
    told[side] = tuple(changed(told[side], MAKE, cached=True, seconds=0.0))
    cost = compared(*told[AMD], *told[ARM])
    assert ([one.position for one in cost.comparisons], cost.cached) == (["stage-1 3/3"], 1)


def test_another_command_at_the_same_place_is_not_the_same_step():
    other = changed(compiled(ARM, 3), MAKE, name=f"[{MAKE}] RUN apt-get install -y gcc-12 && ldconfig")
    cost = compared(*compiled(AMD, 1), *other)
    assert ([one.position for one in cost.comparisons], cost.unmatched) == (["stage-1 3/3"], 1)


def test_a_platform_in_a_steps_name_is_no_part_of_its_place():
    other = changed(compiled(ARM, 3), MAKE, name=f"[linux/arm64 {MAKE}] RUN make linux/arm64")
    assert compared(*compiled(AMD, 1), *other).comparisons[0].position == MAKE


def test_another_machine_is_nothing_to_compare_with():
    other = (
        (at, name, {**found, "node": "far"} if "node" in found else found)
        for at, name, found in compiled(ARM, 3)
    )
    cost = compared(*compiled(AMD, 1), *other)
    assert (cost.comparisons, cost.unmatched) == ((), 4)


def test_without_a_native_platform_there_is_nothing_to_compare():
    cost = compared(*compiled(ARM, 3), *compiled(S390X, 6), names=(ARM, S390X))
    assert cost.comparisons == ()
    # What both have in common ran on the build machine's own platform, and so did what began as the same image.
    assert (cost.native, cost.unmatched) == (4, 4)


def test_a_failed_platform_is_not_compared():
    failed = (
        (at, name, {**found, "status": "failed"} if "steps" in found else found)
        for at, name, found in compiled(ARM, 3)
    )
    assert compared(*compiled(AMD, 1), *failed).comparisons == ()


def test_steps_without_identity_are_not_compared():
    report = run_of(3)
    report["steps"] = [
        {key: one[key] for key in ("platform", "name", "seconds", "cached")} for one in report["steps"]
    ]
    assert emulation_cost(report).comparisons == ()


def test_the_dearest_step_comes_first():
    groups = emulation_cost(run_of(12)).by_step()
    assert [(group[0].position, len(group)) for group in groups] == [(MAKE, 11), ("stage-1 3/3", 11)]
    assert groups[0][0].platform == "linux/arm64/v12.0"
