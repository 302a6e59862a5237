"""The report of runs of one image, byte for byte; the files beside this test were written once."""

import json
from pathlib import Path

import pytest
from unit.report.sample_runs import STARTED, broken, built, plan, published, report_of, retried

from multibuild.report.html.page import as_html
from multibuild.report.markdown import as_markdown
from multibuild.report.summary import as_text

GOLDEN = Path(__file__).parent / "golden"
ENDED = (9, "run.ended", {"status": "succeeded", "error": None})
FAILED = (9, "run.ended", {"status": "failed", "error": {"message": "no", "hint": "h", "exit_code": 4}})
RUNS = {
    "succeeded": (STARTED, *built("linux/amd64", 1, 2), *built("linux/arm64", 1, 4), *published(5), ENDED),
    "retried": (STARTED, *retried("linux/amd64", outcome="failed", evidence="reset", **{"class": "network"}), ENDED),
    "failed": (STARTED, *built("linux/amd64", 1, 2), *broken("linux/arm64", 1, 4), FAILED),
    "killed": (STARTED, *built("linux/amd64", 1, 2)),
}  # fmt: skip


def text_of(name: str) -> str:
    report = report_of(plan("linux/amd64", "linux/arm64", optional={"linux/arm64"}), *RUNS[name])
    pages = [as_text(report), as_markdown(report), as_html(report)]
    return "\n=====\n".join([json.dumps(report, indent=1), *pages]) + "\n"


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_one_image_has_the_report_it_always_had(name):
    assert text_of(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
