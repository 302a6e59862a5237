"""What emulation cost: only equal steps are compared."""

import pytest
from unit.report.sample_runs import STARTED, compiled, many_images, plan, report_of, run_of

from multibuild.report.emulation_cost import emulation_cost
from multibuild.report.images import as_rows

AMD, ARM, S390X = "linux/amd64", "linux/arm64", "linux/s390x"
MAKE = "stage-1 2/3"


def cost_of(*events, names=(AMD, ARM)):
    return emulation_cost(report_of(plan(*names), STARTED, *events))


def test_each_emulated_step_is_compared_with_its_native_one():
    cost = cost_of(*compiled(AMD, 1), *compiled(ARM, 3), *compiled(S390X, 6), names=(AMD, ARM, S390X))
    rows = [(c.platform, c.position, c.seconds, c.native_seconds, c.ratio) for c in cost.comparisons]
    assert rows[:2] == [(S390X, MAKE, 24.0, 4.0, 6.0), (ARM, MAKE, 12.0, 4.0, 3.0)]
    assert cost.comparisons[0].name == "[stage-1 2/3] RUN make linux/amd64"
    assert cost.overhead == pytest.approx(20 + 8 + 0.1 + 0.04)


def test_shared_and_cross_compiled_steps_cost_no_emulation():
    cost = cost_of(*compiled(AMD, 1), *compiled(ARM, 3))
    assert {one.position for one in cost.comparisons} == {MAKE, "stage-1 3/3"}
    assert cost.native == 2


def test_a_step_too_short_to_tell_has_no_ratio():
    short = cost_of(*compiled(AMD, 1), *compiled(ARM, 3)).comparisons[-1]
    assert (short.position, short.native_seconds, short.ratio) == ("stage-1 3/3", 0.02, None)


def test_a_slower_native_step_has_no_overhead():
    cost = cost_of(*compiled(AMD, 1), *compiled(ARM, 0.5))
    assert (cost.comparisons[0].overhead, cost.overhead) == (0.0, 0.0)


def with_step(events, position, **changes):
    """Change the steps at a position, in the events of a platform."""

    def changed(steps):
        return [step | changes if position in step["name"] else step for step in steps]

    return with_fields(events, steps=changed)


def with_fields(events, **changes):
    """Change the fields that the events have, each by a function."""
    for at, name, fields in events:
        yield (
            at,
            name,
            {key: changes[key](value) if key in changes else value for key, value in fields.items()},
        )


@pytest.mark.parametrize("side", [AMD, ARM])
def test_cached_steps_are_not_compared(side):
    events = {AMD: compiled(AMD, 1), ARM: compiled(ARM, 3)}
    events[side] = tuple(with_step(events[side], MAKE, cached=True, seconds=0.0))
    cost = cost_of(*events[AMD], *events[ARM])
    assert ([one.position for one in cost.comparisons], cost.cached) == (["stage-1 3/3"], 1)


def test_another_command_at_the_same_position_is_not_the_same_step():
    other = with_step(compiled(ARM, 3), MAKE, name=f"[{MAKE}] RUN apt-get install -y gcc-12 && ldconfig")
    cost = cost_of(*compiled(AMD, 1), *other)
    assert ([one.position for one in cost.comparisons], cost.unmatched) == (["stage-1 3/3"], 1)


def test_a_platform_in_a_steps_name_is_no_part_of_its_position():
    other = with_step(compiled(ARM, 3), MAKE, name=f"[linux/arm64 {MAKE}] RUN make linux/arm64")
    assert cost_of(*compiled(AMD, 1), *other).comparisons[0].position == MAKE


def test_steps_of_another_node_are_not_compared():
    cost = cost_of(*compiled(AMD, 1), *with_fields(compiled(ARM, 3), node=lambda _node: "far"))
    assert (cost.comparisons, cost.unmatched) == ((), 4)


def test_without_a_native_platform_there_is_nothing_to_compare():
    cost = cost_of(*compiled(ARM, 3), *compiled(S390X, 6), names=(ARM, S390X))
    assert cost.comparisons == ()
    # Shared vertices ran on the build machine's own platform, and so did steps with the same base image.
    assert (cost.native, cost.unmatched) == (4, 4)


def test_a_failed_platform_is_not_compared():
    failed = with_fields(compiled(ARM, 3), status=lambda _status: "failed")
    assert cost_of(*compiled(AMD, 1), *failed).comparisons == ()


def test_steps_without_identity_are_not_compared():
    report = run_of(3)
    report["steps"] = [
        {key: one[key] for key in ("platform", "name", "seconds", "cached")} for one in report["steps"]
    ]
    assert emulation_cost(report).comparisons == ()


def test_the_costliest_step_comes_first():
    groups = emulation_cost(run_of(12)).by_step()
    assert [(group[0].position, len(group)) for group in groups] == [(MAKE, 11), ("stage-1 3/3", 11)]
    assert groups[0][0].platform == "linux/arm64/v12.0"


def test_images_are_compared_by_themselves_and_a_step_they_share_counts_once():
    one, two = (emulation_cost(as_rows(many_images(count))) for count in (1, 2))
    assert len(one.comparisons) > 0
    assert one.comparisons == two.comparisons
    assert {step.native_platform for step in two.comparisons} == {"service-01 linux/amd64"}
