"""The report folded from plan and journal: its keys, and journals that stop anywhere."""

import json

import pytest
from fakes.images import OCI_INDEX
from unit.report.sample_runs import (
    CHILD,
    FAILURE,
    INDEX,
    STARTED,
    attempt,
    broken,
    built,
    plan,
    published,
    report_of,
    retried,
    step,
)

from multibuild.journal.journal import read_journal
from multibuild.report.report import make_report

ARM = "linux/arm64"
MIPS = "linux/mips64le"
END = (20, "run.ended", {"status": "succeeded"})
WHOLE = (
    STARTED,
    (1, "stage.started", {"stage": "build"}),
    *built(ARM, 1, 5),
    (5, "stage.ended", {"stage": "build", "seconds": 4.0}),
    (6, "child.read", {"platform": ARM, "manifest": "sha256:c", "bytes": 123}),
    (7, "test.ended", {"platform": ARM, "status": "passed", "seconds": 0.4, "detail": ""}),
    (8, "content.ended", {"platform": ARM, "status": "passed", "checked": 12, "foreign": [], "detail": ""}),
    *published(9),
    END,
)


def test_a_whole_run_has_all_keys():
    expected_attempt = {
        "number": 1, "seconds": 4, "outcome": "ok", "class": None, "retry": None, "evidence": "", "hint": None,
        "log": "logs/linux-arm64.1.log", "node": "n", "began": 1.0,
    }  # fmt: skip
    no_engine = dict.fromkeys(("docker", "buildx", "buildkit", "builder"))
    assert report_of(plan(ARM), *WHOLE) == {
        "schema": 1,
        "run": "20261124-154501-3f2a",
        "status": "succeeded",
        "image": "r.example/app",
        "tags": ["1", "latest"],
        "started": "2026-11-24T15:45:01.000+00:00",
        "seconds": 20.0,
        "fingerprint": "f" * 64,
        "index": {"digest": INDEX, "mediaType": OCI_INDEX, "size": 900, "entries": 2, "manifests": []},
        "published": [{"ref": "r.example/app:latest", "before": None, "after": INDEX, "status": "moved"}],
        "platforms": [
            {
                "platform": ARM,
                "status": "succeeded",
                "required": True,
                "digest": CHILD,
                "manifest": "sha256:c",
                "bytes": 123,
                "seconds": 4,
                "emulated": True,
                "node": "n",
                "attempts": [expected_attempt],
                "waits": [],
                "test": {"status": "passed", "seconds": 0.4},
                "content": {"status": "passed", "checked": 12, "foreign": []},
            }
        ],
        "steps": [{"platform": ARM, "name": "RUN make", "seconds": 2.0, "cached": False, "began": None}],
        "stages": [{"name": "build", "seconds": 4.0, "began": 1.0}],
        "environment": {"multibuild": "0.1", **no_engine, "emulators": {}},
        "error": None,
    }


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_a_journal_may_stop_anywhere(length):
    report = report_of(plan(ARM), *WHOLE[:length])
    assert report["status"] == "interrupted"
    assert [row["platform"] for row in report["platforms"]] == [ARM]
    json.dumps(report)


def test_an_attempt_without_an_end_was_cancelled():
    report = report_of(
        plan(ARM, MIPS), STARTED, attempt(ARM, 1, 2, 0)[0], (7, "stage.started", {"stage": "x"})
    )
    arm, mips = report["platforms"]
    (row,) = arm["attempts"]
    assert (row["outcome"], row["seconds"]) == ("cancelled", 5.0)
    assert row["log"] == "logs/linux-arm64.1.log"
    assert (arm["status"], arm["seconds"]) == ("cancelled", 5.0)
    assert (mips["status"], mips["attempts"]) == ("cancelled", [])


def test_a_failure_has_its_class():
    report = report_of(plan(ARM), STARTED, *broken(ARM, 1, 4), (5, "run.ended", {"status": "failed", "error": {"message": "m", "hint": None, "exit_code": 4}}))  # fmt: skip
    (row,) = report["platforms"]
    assert {key: row["attempts"][0][key] for key in FAILURE} == FAILURE
    assert (row["status"], row["digest"]) == ("failed", None)
    assert (report["status"], report["error"]["exit_code"]) == ("failed", 4)


def test_an_attempt_has_the_decision_after_its_failure():
    again = {"platform": ARM, "number": 1, "seconds": 5.2, "reason": "out-of-memory", "alone": True}
    enough = {"platform": ARM, "number": 2, "reason": "out-of-memory came 2 times"}
    events = (
        *attempt(ARM, 1, 1, 2, **FAILURE), (2, "attempt.waiting", again),
        *attempt(ARM, 2, 7, 8, **FAILURE), (8, "attempt.given_up", enough),
    )  # fmt: skip
    (row,) = report_of(plan(ARM), STARTED, *events)["platforms"]
    assert [one["then"] for one in row["attempts"]] == [
        "again after 5.2s, alone",
        "given up: out-of-memory came 2 times",
    ]


def test_a_decision_says_when_the_next_attempt_has_less_time():
    patience = "waits at most 40m 00s"
    again = {"platform": ARM, "number": 1, "seconds": 5.0, "reason": "qemu-crash", "patience": patience}
    (row,) = report_of(plan(ARM), STARTED, *attempt(ARM, 1, 1, 2, **FAILURE), (2, "attempt.waiting", again))[
        "platforms"
    ]
    assert row["attempts"][0]["then"] == "again after 5.0s, waits at most 40m 00s"


def test_a_retried_platform_has_all_its_attempts():
    (row,) = report_of(plan(ARM), STARTED, *retried(ARM, **FAILURE))["platforms"]
    assert [(one["number"], one["outcome"]) for one in row["attempts"]] == [(1, "failed"), (2, "ok")]


@pytest.mark.parametrize(
    "failure",
    [
        broken(MIPS, 1, 2),
        (),
        (*built(MIPS, 1, 2), (3, "test.ended", {"platform": MIPS, "status": "failed", "seconds": 1.0, "detail": "d"})),
        (*built(MIPS, 1, 2), (3, "content.ended", {"platform": MIPS, "status": "failed", "checked": 1, "foreign": ["/a: x"]})),
    ],
)  # fmt: skip
def test_published_without_an_optional_platform_is_partial(failure):
    report = report_of(
        plan(ARM, MIPS, optional={MIPS}), STARTED, *built(ARM, 1, 2), *failure, *published(9), END
    )
    assert report["status"] == "partial"


@pytest.mark.parametrize("status", ["reused", "carried"])
def test_reused_and_carried_platforms_are_in_the_index(status):
    ended = (2, "platform.ended", {"platform": MIPS, "status": status, "digest": CHILD, "reason": "why"})
    report = report_of(plan(MIPS, optional={MIPS}), STARTED, ended, END)
    assert (report["status"], report["platforms"][0]["reason"]) == ("succeeded", "why")


def test_platforms_keep_the_order_of_the_plan():
    report = report_of(plan(ARM, MIPS), STARTED, *built(MIPS, 1, 2), *built(ARM, 1, 3))
    assert [row["platform"] for row in report["platforms"]] == [ARM, MIPS]
    assert [step["platform"] for step in report["steps"]] == [ARM, MIPS]


def test_a_tag_that_was_rolled_back_has_one_row():
    moved = {"ref": "r:1", "before": "x", "after": "y", "status": "moved"}
    rolled_back = {**moved, "after": "x", "status": "put-back"}
    report = report_of(plan(), STARTED, (1, "tag.ended", moved), (2, "tag.ended", rolled_back))
    assert [(tag["ref"], tag["status"]) for tag in report["published"]] == [("r:1", "put-back")]


def test_a_tag_that_a_killed_run_may_have_moved_has_a_row():
    planned = {"before": "x", "after": "y"}
    ended = {"ref": "r:1", **planned, "status": "moved"}
    events = [(1, "tag.planned", {"ref": f"r:{number}", **planned}) for number in (1, 2)]
    report = report_of(plan(), STARTED, *events, (2, "tag.ended", ended))
    assert [(tag["ref"], tag["status"]) for tag in report["published"]] == [
        ("r:1", "moved"),
        ("r:2", "planned"),
    ]


def test_without_plan_or_journal_there_is_a_report():
    assert report_of({})["status"] == "interrupted"
    (row,) = report_of({}, STARTED, *broken(ARM, 1, 2))["platforms"]
    assert (row["platform"], row["status"]) == (ARM, "failed")


def test_events_without_fields_are_accepted(tmp_path):
    names = {name for _, name, _ in WHOLE}
    entry = {"time": "2026-11-24T15:45:01Z"}
    events = (
        {**entry, "name": name, "fields": fields} for name in names for fields in ({}, {"platform": ARM})
    )
    (tmp_path / "j").write_text("\n".join(map(json.dumps, events)))
    json.dumps(make_report("run", plan(ARM), read_journal(tmp_path / "j")))


def test_unknown_events_are_ignored():
    report = report_of(plan(ARM), *WHOLE[:-1], (10, "new.thing", {"x": 1}), END)
    assert report == report_of(plan(ARM), *WHOLE)


def test_a_clock_set_back_gives_no_negative_time():
    report = report_of(plan(ARM), (5, "run.started", {}), (0, "run.ended", {"status": "failed"}))
    assert report["seconds"] == 0.0


def ended_with(*steps):
    fields = {"platform": ARM, "status": "succeeded", "digest": CHILD, "seconds": 5.0, "steps": list(steps)}
    events = (*attempt(ARM, 1, 10, 15, outcome="ok"), (15, "platform.ended", fields))
    return report_of(plan(ARM), STARTED, *events)["steps"]


def test_a_step_begins_on_the_clock_of_the_run():
    expected = {"platform": ARM, "name": "RUN a", "seconds": 1.0, "cached": False}
    (result,) = ended_with(step("RUN a", 11.5, 1.0, vertex="v", base="b"))
    assert result == {**expected, "vertex": "v", "base": "b", "began": 11.5}


def test_a_step_that_another_build_began_keeps_its_beginning():
    steps = ended_with(step("RUN shared", 2, 9.0, vertex="v"), step("RUN own", 12, 1.0, vertex="w"))
    assert [step["began"] for step in steps] == [2.0, 12.0]


def test_steps_with_a_wrong_clock_begin_with_their_attempt():
    steps = ended_with(step("RUN a", 4000, 1.0, vertex="v"), step("RUN b", 4001, 1.0, vertex="w"))
    assert [step["began"] for step in steps] == [10.0, 11.0]


@pytest.mark.parametrize("started", [None, "", "soon", 7, "2026-11-24T15:45:01"])
def test_a_step_without_a_time_has_no_beginning(started):
    assert ended_with({**step("RUN a", 11, 1.0, vertex="v"), "started": started})[0]["began"] is None


def test_waits_between_attempts_are_listed():
    wait = (2, "attempt.waiting", {"platform": ARM, "number": 1, "seconds": 5.0, "reason": "network"})
    (row,) = report_of(plan(ARM), STARTED, *attempt(ARM, 1, 1, 2, **FAILURE), wait)["platforms"]
    assert row["waits"] == [{"began": 2.0, "number": 1, "seconds": 5.0, "reason": "network"}]


def test_a_stage_without_an_end_lasts_until_the_last_event():
    events = ((3, "stage.started", {"stage": "build"}), *built(ARM, 4, 9))
    assert report_of(plan(ARM), STARTED, *events)["stages"] == [
        {"name": "build", "seconds": 6.0, "began": 3.0}
    ]


def test_the_entries_of_the_index_are_kept_as_published():
    entry = {"digest": CHILD, "size": 7, "platform": {"os": "linux", "architecture": "arm64"}}
    (at, name, index), _ = published(3)
    report = report_of(plan(ARM), STARTED, (at, name, {**index, "manifests": [entry]}))
    assert report["index"]["manifests"] == [entry]
