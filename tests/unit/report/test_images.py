"""The report of several images: what belongs to the run and to each image, and the same as rows."""

from datetime import timedelta

import pytest
from unit.report.sample_runs import INDEX, RUN, START, broken, built, plan

from multibuild.journal.entry import JournalEntry, read_event
from multibuild.journal.shapes import REPORT_OF_IMAGES
from multibuild.json_types import has_shape
from multibuild.report.html.page import as_html
from multibuild.report.images import as_rows, make_run_report
from multibuild.report.markdown import as_markdown
from multibuild.report.summary import as_text

PLATFORMS = ("linux/amd64", "linux/arm64")
SUCCEEDED = (9, "run.ended", {"status": "succeeded", "error": None})
FAILED = (
    9,
    "run.ended",
    {"status": "failed", "error": {"message": "worker: no", "hint": "h", "exit_code": 4}},
)


def document(*names, optional=()):
    return {"schema": 2, "images": [{"name": name, **plan(*PLATFORMS, optional=optional)} for name in names]}


def entries(image, *rows):
    return [
        JournalEntry(time=START + timedelta(seconds=after), event=read_event(name, fields), image=image)
        for after, name, fields in rows
    ]


def good(began=1):
    return (
        (began, "stage.started", {"stage": "build"}),
        *built("linux/amd64", began, began + 1),
        *built("linux/arm64", began, began + 3),
        (began + 3, "stage.ended", {"stage": "build", "seconds": 3.0}),
    )


COMPOSED = {"digest": INDEX, "mediaType": "application/vnd.oci.image.index.v1+json", "size": 9, "entries": 2}


def moved(image, status="moved", after=INDEX):
    tag = {"ref": f"r.example/{image}:latest", "before": None, "after": after, "status": status}
    return ((5, "index.composed", COMPOSED), (6, "tag.ended", tag))


def report(*parts, end=SUCCEEDED, optional=(), names=("app", "worker")):
    journal = [
        *entries("", (0, "run.started", {"environment": {}})),
        *(entry for part in parts for entry in part),
    ]
    return make_run_report(
        RUN, document(*names, optional=optional), [*journal, *(entries("", end) if end else [])]
    )


def statuses(found):
    return found["status"], [image["status"] for image in found["images"]]


def test_an_image_has_its_own_rows_tags_and_index():
    found = report(
        entries("app", *good(), *moved("app")),
        entries("worker", *good(2), *moved("worker")),
        names=("app", "worker"),
    )
    assert found["schema"] == 2
    assert statuses(found) == ("succeeded", ["succeeded", "succeeded"])
    assert [image["published"][0]["ref"] for image in found["images"]] == [
        "r.example/app:latest",
        "r.example/worker:latest",
    ]
    assert all(
        [row["platform"] for row in image["platforms"]] == list(PLATFORMS) for image in found["images"]
    )
    assert "platforms" not in found
    assert not {"stages", "environment", "error", "seconds", "run"} & set(found["images"][0])
    assert has_shape(found, REPORT_OF_IMAGES)


def test_a_stage_lasts_from_its_first_image_to_its_last():
    found = report(entries("app", *good(1)), entries("worker", *good(4)))
    assert found["stages"] == [{"name": "build", "seconds": 6.0, "began": 1.0}]


def test_a_run_that_was_killed_lasts_until_the_last_event_of_any_image():
    assert report(entries("app", *good(1)), entries("worker", *good(4)), end=None)["seconds"] == 7.0
    assert report(entries("app", *good(1)), entries("worker", *good(4)))["seconds"] == 9.0


OLD = "sha256:" + "0" * 64
BAD = (*built("linux/amd64", 1, 2), *broken("linux/arm64", 1, 4))


@pytest.mark.parametrize(
    ("app", "worker", "end", "expected"),
    [
        (good(), BAD, FAILED, ("failed", ["built", "failed"])),
        ((*good(), *moved("app")), BAD, FAILED, ("partial", ["succeeded", "failed"])),
        ((*good(), *moved("app", "put-back")), (*good(), *moved("worker", "failed")), FAILED, ("failed", ["built"] * 2)),
        ((*good(), *moved("app", "unchanged")), (*good(), *moved("worker")), SUCCEEDED, ("succeeded", ["succeeded"] * 2)),
        ((*good(), *moved("app", "failed")), (*good(), *moved("worker", "unchanged", OLD)), FAILED, ("failed", ["built"] * 2)),
        (good(), good(), SUCCEEDED, ("succeeded", ["succeeded"] * 2)),
        (good(), built("linux/amd64", 1, 2), None, ("interrupted", ["built", "interrupted"])),
        ((), (), FAILED, ("failed", ["failed", "failed"])),
    ],
)  # fmt: skip
def test_the_status_of_a_run_and_of_its_images(app, worker, end, expected):
    assert statuses(report(entries("app", *app), entries("worker", *worker), end=end)) == expected


def test_an_optional_platform_that_failed_makes_its_image_partial():
    found = report(
        entries("app", *BAD, *moved("app")),
        entries("worker", *good(), *moved("worker")),
        optional={"linux/arm64"},
    )
    assert statuses(found) == ("partial", ["partial", "succeeded"])


def test_rows_name_image_and_platform():
    rows = as_rows(report(entries("app", *good(), *moved("app")), entries("worker", *BAD), end=FAILED))
    assert [row["platform"] for row in rows["platforms"]] == [
        "app linux/amd64",
        "app linux/arm64",
        "worker linux/amd64",
        "worker linux/arm64",
    ]
    text, markdown, page = as_text(rows), as_markdown(rows), as_html(rows)
    assert "worker linux/arm64: attempt 1 failed: step-failed" in text
    assert "| app linux/amd64 | succeeded |" in markdown
    assert "worker linux/arm64" in page
    assert max(map(len, text.splitlines()[:5])) <= 80


def test_a_heading_names_three_images():
    names = [f"image{number}" for number in range(20)]
    rows = as_rows(report(names=names, end=FAILED))
    assert rows["image"] == "image0, image1, image2 and 17 more"


def test_a_report_of_one_image_is_its_own_rows():
    found = make_run_report(RUN, plan(*PLATFORMS), entries("", (0, "run.started", {}), *good(), SUCCEEDED))
    assert found["schema"] == 1
    assert as_rows(found) is found


def test_the_summary_names_where_the_logs_of_the_images_are():
    def logs(*names):
        parts = [entries(name, *_with_logs_of(name, good())) for name in names]
        text = as_text(as_rows(report(*parts, names=names)))
        return next(line for line in text.splitlines() if line.startswith("logs:"))

    assert logs("app", "worker") == f"logs: runs/{RUN}/images/*/logs in the state directory"
    assert logs("app") == f"logs: runs/{RUN}/images/app/logs in the state directory"


def _with_logs_of(image, rows):
    return [
        (after, name, {**fields, "log": f"images/{image}/{fields['log']}"} if "log" in fields else fields)
        for after, name, fields in rows
    ]
