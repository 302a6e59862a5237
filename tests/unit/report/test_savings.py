"""What a run would have saved: cross-compiling, a node, a cache, and nothing that no figure shows."""

import json
from typing import Any

import pytest
from unit.report.sample_runs import CHILD, STARTED, attempt, compiled, plan, published, report_of, step

from multibuild.report.html.page import as_html
from multibuild.report.images import as_rows
from multibuild.report.markdown import as_markdown
from multibuild.report.savings import largest_savings
from multibuild.report.summary import as_text

AMD, ARM, S390X = "linux/amd64", "linux/arm64", "linux/s390x"


def saved(*events, names=(AMD, ARM, S390X), document=None):
    report = report_of(document or plan(*names), STARTED, *events)
    return {row["way"]: row for row in report.get("savings", ())}


def platform_of(platform, *steps, emulated=True):
    fields = {"platform": platform, "status": "succeeded", "digest": CHILD, "seconds": 60.0, "node": "n"}
    return (
        *attempt(platform, 1, 1, 61, outcome="ok"),
        (61, "platform.ended", {**fields, "emulated": emulated, "steps": list(steps)}),
    )


def ran(platform, name, seconds, **fields):
    made = step(name, 2.0, seconds, vertex=f"{name} {platform}", base=f"B {platform}")
    return {**made, **fields}


def test_measured_steps_show_what_cross_compiling_and_a_node_save():
    rows = saved(*compiled(AMD, 1), *compiled(ARM, 3), *compiled(S390X, 6))
    assert rows["cross-compile"] == {
        "way": "cross-compile",
        "subject": "stage-1",
        "seconds": 28.1,
        "basis": "measured",
        "steps": 4,
        "change": "FROM --platform=$BUILDPLATFORM … AS build",
    }
    assert (rows["native-node"]["subject"], rows["native-node"]["seconds"]) == (S390X, 20.1)
    assert rows["native-node"]["change"] == "nodes: [{endpoint: ssh://…, platforms: [linux/s390x]}]"
    assert "cache" not in rows


def test_the_stage_that_costs_most_is_named():
    steps = ("[fetch 2/2] RUN get", 1.0, 3.0), ("[compile 3/4] RUN make", 10.0, 90.0)
    native = [ran(AMD, name, seconds) for name, seconds, _ in steps]
    emulated = [ran(ARM, name, seconds) for name, _, seconds in steps]
    row = saved(*platform_of(AMD, *native, emulated=False), *platform_of(ARM, *emulated), names=(AMD, ARM))
    assert row["cross-compile"]["change"] == "FROM --platform=$BUILDPLATFORM … AS compile"
    assert row["cross-compile"]["seconds"] == 80.0
    assert row["native-node"]["seconds"] == 82.0


def test_steps_without_a_counterpart_are_estimated_by_the_slow_down_of_their_platform():
    native = platform_of(AMD, ran(AMD, "[2/3] RUN make", 10.0), emulated=False)
    emulated = platform_of(ARM, ran(ARM, "[2/3] RUN make", 40.0), ran(ARM, "[3/3] RUN other thing", 20.0))
    row = saved(*native, *emulated, names=(AMD, ARM))["native-node"]
    # 40 - 10, and 20 - 20 / 4.
    assert (row["seconds"], row["basis"], row["steps"]) == (45.0, "estimated", 2)


def test_without_a_measured_slow_down_nothing_is_promised():
    assert saved(*compiled(ARM, 3), *compiled(S390X, 6), names=(ARM, S390X)) == {}


def test_a_node_is_for_the_platform_that_gains_most():
    assert saved(*compiled(AMD, 1), *compiled(ARM, 9), *compiled(S390X, 6))["native-node"]["subject"] == ARM


@pytest.mark.parametrize("slowness", [1, 1.5])
def test_little_is_not_worth_a_line(slowness):
    assert saved(*compiled(AMD, 1), *compiled(ARM, slowness), names=(AMD, ARM)) == {}


def again(**changes):
    shared = {**ran(AMD, "[2/3] RUN make", 30.0), "vertex": "same", "ran_before": True, **changes}
    return platform_of(AMD, shared, emulated=False), platform_of("linux/386", shared, emulated=False)


def test_a_cache_saves_what_an_earlier_run_made_and_what_is_shared_once():
    row = saved(*again()[0], *again()[1], names=(AMD, "linux/386"))["cache"]
    assert (row["seconds"], row["basis"], row["steps"]) == (30.0, "recorded", 1)
    assert row["change"].startswith("cache: {from: [type=registry,ref=…/cache:{slug}], to: [")


@pytest.mark.parametrize("changes", [{"ran_before": False}, {"cached": True}, {"seconds": 4.0}])
def test_new_cached_and_short_steps_need_no_cache(changes):
    assert saved(*again(**changes)[0], names=(AMD,)) == {}


def test_who_has_a_cache_is_not_sent_for_one():
    document = plan(AMD)
    document["platforms"][0]["command"] = ["docker", "buildx", "build", "--cache-from=type=registry,ref=r/c"]
    assert saved(*again()[0], document=document) == {}


def everything():
    native = platform_of(AMD, ran(AMD, "[build 2/3] RUN make", 10.0, ran_before=True), emulated=False)
    emulated = platform_of(ARM, ran(ARM, "[build 2/3] RUN make", 100.0))
    return report_of(plan(AMD, ARM), STARTED, *native, *emulated, *published(70))


def test_a_terminal_shows_at_most_three_lines_of_it():
    lines = [line for line in as_text(everything()).splitlines() if "emulation" in line or "could" in line]
    assert lines == [
        "emulation cost 1m 30s, most in [build 2/3] on linux/arm64, 10.0×",
        "could save 1m 30s: FROM --platform=$BUILDPLATFORM; 1m 30s: a linux/arm64 node",
        "could save 10.0s: cache: {from: […], to: […]}",
    ]
    assert max(map(len, lines)) <= 80


def test_markdown_and_page_show_the_lines_to_write():
    markdown, page = as_markdown(everything()), as_html(everything())
    assert (
        "| with stage build cross-compiled | 1m 30s | measured: each step beside its native one |" in markdown
    )
    assert "`FROM --platform=$BUILDPLATFORM … AS build`" in markdown
    assert 'id="savings"' in page
    assert "nodes: [{endpoint: ssh://…, platforms: [linux/arm64]}]" in page


def test_of_several_images_each_way_has_its_largest_saving():
    one, other = everything()["savings"], [{**row, "seconds": 500.0} for row in everything()["savings"]]
    image: dict[str, Any] = {
        "status": "succeeded",
        "index": None,
        "published": [],
        "platforms": [],
        "steps": [],
    }
    run = dict.fromkeys(("schema", "run", "status", "started", "seconds", "stages", "environment", "error"))
    images = [
        {**image, "name": "a", "savings": one},
        {**image, "name": "b", "savings": other},
        {**image, "name": "c"},
    ]
    assert {row.seconds for row in largest_savings(as_rows({**run, "images": images}))} == {500.0}


def test_what_another_version_knows_is_passed_over():
    (row, *_) = everything()["savings"]
    report = {"savings": [{**row, "way": "new"}, {**row, "basis": "new"}, {**row, "new": 1}]}
    assert [saving.way for saving in largest_savings(report)] == [row["way"]]


def test_savings_are_json():
    assert [row["way"] for row in json.loads(json.dumps(everything()))["savings"]] == [
        "cross-compile",
        "native-node",
        "cache",
    ]
