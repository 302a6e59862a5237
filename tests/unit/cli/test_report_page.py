"""`report --html FILE`: the page's links to the logs, and a FILE that cannot be written."""

import re
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from unit.report.sample_runs import broken, plan, report_of

from multibuild.cli.startup import main
from multibuild.journal.runs import State

MIPS = "linux/mips64le"


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "a state")
    run = state.new_run(datetime.now(UTC))
    run.save_report(report_of(plan(MIPS), *broken(MIPS, 1, 2)), {})
    (run.logs / "linux-mips64le.1.log").write_text("cc: error")
    return state.path


def test_links_lead_to_the_logs(state, tmp_path):
    page = tmp_path / "pages" / "report.html"
    page.parent.mkdir()
    assert main(["report", "--html", str(page), "--state-dir", str(state)]) == 0
    links = re.findall(r'href="([^#"]+)"', page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (page.parent / unquote(link)).is_file()


def test_a_file_that_cannot_be_written_is_a_usage_error(state, tmp_path, capsys):
    assert main(["report", "--html", str(tmp_path / "none" / "x.html"), "--state-dir", str(state)]) == 2
    assert "x.html cannot be written: No such file or directory" in capsys.readouterr().err
