"""Steps that an earlier run did already."""

from datetime import UTC, datetime, timedelta

import pytest
from fakes.journals import write_events

from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.history import BuildHistory, read_history
from multibuild.buildx.vertex import Step
from multibuild.journal.events import PlatformEnded

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def ended(*steps, status="succeeded"):
    return PlatformEnded(platform="linux/arm64", status=status, digest="sha256:" + "a" * 64, steps=steps)


def ran(vertex, name="[2/3] RUN make", cached=False):
    return {"name": name, "seconds": 9.0, "cached": cached, "vertex": vertex, "base": ""}


def history_of(state, *runs):
    for day, events in enumerate(runs):
        write_events(state.new_run(NOW + timedelta(days=day)).journal_path, *events)
    current = state.new_run(NOW + timedelta(days=len(runs)))
    return read_history(state.runs_before(current), PlanFingerprints(platforms={}))


def test_the_vertices_of_run_steps_that_ran_are_in_the_history(state):
    steps = (
        ran("a"),
        ran("b", cached=True),
        ran("c", name="[3/3] COPY . ."),
        {"name": "[2/2] RUN old", "seconds": 1, "cached": False},
    )
    failed = ended(ran("d"), status="failed")
    older = PlatformEnded(platform="linux/s390x", status="succeeded", digest=None)
    assert history_of(state, [ended(*steps), failed], [older]).vertices == {"a"}


def planned_platform(plan_of, more=""):
    return plan_of(f"image: r.example/app\nplatforms: [linux/arm64]\n{more}").platforms[0]


def step(vertex="a", name="[2/3] RUN make", cached=False):
    return Step(name=name, seconds=9.0, cached=cached, vertex=vertex)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (step(), True),
        (step(vertex="b"), False),
        (step(cached=True), False),
        (step(name="[2/3] COPY . ."), False),
    ],
)
def test_a_run_step_with_the_same_vertex_ran_before(plan_of, one, expected):
    assert BuildHistory(vertices=frozenset({"a"})).ran_before(one, planned_platform(plan_of)) is expected


def test_with_the_same_inputs_every_run_step_ran_before(plan_of):
    planned = planned_platform(plan_of)
    assert BuildHistory(cached=frozenset({planned.platform})).ran_before(step(vertex="new"), planned)


def test_without_a_cache_by_config_nothing_is_said_to_have_run_before(plan_of):
    planned = planned_platform(plan_of, "no_cache: true")
    assert not BuildHistory(vertices=frozenset({"a"})).ran_before(step(), planned)
