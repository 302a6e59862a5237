"""Reports for people: widths, escapes, and that nothing hostile survives."""

import re
from html.parser import HTMLParser

import pytest
from unit.record.story import CHILD, INDEX, STARTED, attempt, broken, built, events, plan, published

from multibuild.record.render import as_html, as_markdown, as_text
from multibuild.record.report import make_report

NAMES = ("linux/amd64", "linux/arm/v7", "linux/mips64le")
EVIL = "\x1b[2J<script>alert(1)</script>|`x`\n# head\n```\n![i](http://e) \"'&{0}{title} " + "w" * 300


def report_of(*told, optional=(), names=NAMES):
    return make_report("20261124-154501-3f2a", plan(*names, optional=optional), events(STARTED, *told))


@pytest.fixture
def partial():
    told = (*built(NAMES[0], 1, 4), *built(NAMES[1], 1, 64), *broken(NAMES[2], 2, 9), *published(70))
    return report_of(*told, (71, "run.ended", {"status": "succeeded"}), optional={NAMES[2]})


@pytest.fixture
def hostile():
    report = report_of(*broken(NAMES[0], 1, 2), *published(3))
    report |= {"image": EVIL, "status": EVIL, "environment": {EVIL: EVIL}, "run": EVIL, "started": EVIL}
    report["error"] = {"message": EVIL, "hint": EVIL, "exit_code": 1}
    report["index"]["digest"] = report["index"]["mediaType"] = EVIL
    report["published"][0] |= {"ref": EVIL, "status": EVIL}
    report["stages"] = [{"name": EVIL, "seconds": 1.0}]
    row = report["platforms"][0]
    row |= {"digest": EVIL, "node": EVIL, "reason": EVIL}
    row["attempts"][0] |= dict.fromkeys(("outcome", "class", "retry", "evidence", "hint", "log"), EVIL)
    row["test"] = {"status": "failed", "seconds": 0.0, "detail": EVIL}
    row["content"] = {"status": "failed", "checked": 1, "foreign": [EVIL] * 9}
    report["platforms"].append({**report["platforms"][1], "platform": EVIL, "status": EVIL})
    return report


def test_the_text_of_a_partial_run(partial):
    assert as_text(partial).splitlines() == [
        "PLATFORM        STATUS       TIME  TRIES  TEST  CONTENT  DIGEST",
        "linux/amd64     succeeded    3.0s      1  -     -        aaaaaaaaaaaa",
        "linux/arm/v7    succeeded  1m 03s      1  -     -        aaaaaaaaaaaa",
        "linux/mips64le  failed?      7.0s      1  -     -",
        "? optional: the index is published without it when it fails",
        "",
        f"index {INDEX}",
        "      2 entries, 900 bytes, application/vnd.oci.image.index.v1+json",
        "  → r.example/app:latest  moved",
        "",
        "linux/mips64le: attempt 1 failed: step-failed (permanent), logs/linux-mips64le.1.log",
        "    cc: error",
        "    no <b>luck</b> | `here`",
        "  hint: look at the step",
        "",
        "logs: runs/20261124-154501-3f2a/logs in the state directory",
        "",
        "partial in 1m 11s, run 20261124-154501-3f2a",
    ]


def test_the_widest_table_fits_80_columns():
    """Every cell at its longest: the digest, which is the last, is whole."""
    told = []
    for name in ("linux/mips64le", "linux/arm64/v8.9"):
        told += [
            (1, "platform.ended", {"platform": name, "status": "succeeded", "digest": CHILD, "seconds": 3599})
        ]
        told += [(2, "test.ended", {"platform": name, "status": "failed"})]
        told += [(2, "content.ended", {"platform": name, "status": "failed"})]
    rows = as_text(report_of(*told, optional={"linux/arm64/v8.9"}, names=("linux/arm64/v8.9",))).splitlines()
    assert max(map(len, rows)) <= 80
    assert rows[1].endswith("failed  failed   aaaaaaaaaaaa")


def test_an_interrupted_run_without_platforms():
    report = make_report("r", {}, ())
    assert as_text(report) == "interrupted in 0.0s, run r"
    assert "interrupted" in as_markdown(report)
    assert "interrupted" in as_html(report)


def test_the_error_and_its_hint_are_in_every_form():
    error = {"message": "the <registry> is away", "hint": "try later", "exit_code": 3}
    report = report_of((1, "run.ended", {"status": "failed", "error": error}))
    assert "error: the <registry> is away\nhint:  try later" in as_text(report)
    assert "error: the <registry> is away\nhint:  try later" in as_markdown(report)
    assert "error: the &lt;registry&gt; is away\nhint:  try later" in as_html(report)


def test_a_success_after_a_retry_says_what_was_retried():
    again = [(at, name, {**f, "number": 2} if "number" in f else f) for at, name, f in built(NAMES[0], 3, 4)]
    failed = attempt(NAMES[0], 1, 1, 2, **{"outcome": "failed", "class": "killed", "retry": "transient"})
    text = as_text(report_of(*failed, *again))
    assert "linux/amd64: attempt 1 failed: killed (transient), logs/linux-amd64.1.log" in text


def test_text_holds_nothing_a_terminal_obeys(hostile):
    text = as_text(hostile)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    table = text.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert "    and 4 more" in text


def test_markdown_tables_and_fences_hold(hostile):
    lines = as_markdown(hostile).splitlines()
    assert lines[2].startswith("| platform")
    for row in lines[4 : 4 + len(hostile["platforms"])]:
        assert len(re.findall(r"(?<!\\)\|", row)) == 8
        assert "<script" not in row
    fence = None
    for line in lines:
        found = re.match(r"`{3,}", line)
        if fence is None and found:
            fence = found.group()
            assert line == f"{fence}text"
        elif fence is not None and found and len(found.group()) >= len(fence):
            assert line == fence
            fence = None
        elif fence is None:
            assert "<script" not in re.sub(r"`[^`]*`", "", line)
            assert not line.startswith("# ")
    assert fence is None


def test_markdown_for_a_summary(partial):
    text = as_markdown(partial)
    assert text.startswith("## r.example/app: partial in 1m 11s\n\n| platform | status |")
    assert "| linux/mips64le | failed? | 7.0s | 1 | - | - |  |" in text
    assert f"Index `{INDEX}`, 2 entries." in text
    assert "- `r.example/app:latest`: moved" in text


class Page(HTMLParser):
    """Reads a page strictly: every tag known, closed in order, nothing loaded from elsewhere."""

    KNOWN = frozenset(
        [
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "main",
            "h1",
            "h2",
            "p",
            "div",
            "table",
            "caption",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "code",
            "pre",
            "ul",
            "li",
            "i",
        ]
    )
    ATTRIBUTES = frozenset(
        [
            "lang",
            "charset",
            "name",
            "content",
            "http-equiv",
            "class",
            "role",
            "aria-label",
            "tabindex",
            "scope",
            "style",
            "title",
        ]
    )

    def __init__(self):
        super().__init__()
        self.open = []
        self.bars = []
        self.labels = []

    def handle_starttag(self, tag, attrs):
        assert tag in self.KNOWN
        assert {name for name, _ in attrs} <= self.ATTRIBUTES
        if tag != "meta":
            self.open.append(tag)
        if tag == "i":
            self.bars.append(dict(attrs)["style"])
        self.labels += [value for name, value in attrs if name == "aria-label"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(text):
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def test_the_page_is_one_page_with_a_bar_per_attempt(partial):
    text = as_html(partial)
    page = read(text)
    assert page.bars == ["left:1.4%;width:4.2%", "left:1.4%;width:88.7%", "left:2.8%;width:9.9%"]
    assert "attempt 1 failed, 7.0s" in page.labels
    assert '<html lang="en">' in text
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"https?://|src=|href=|url\(", text)


def test_the_page_escapes_everything(hostile):
    text = as_html(hostile)
    read(text)
    assert "&lt;script&gt;" in text
    assert "{title}" in text
    assert "\x1b" not in text


def test_the_newest_report_of_an_older_version_is_still_shown(partial):
    """Keys beyond the contract may be missing in a report.json from elsewhere."""
    del partial["error"]
    for row in partial["platforms"]:
        for one in row["attempts"]:
            del one["began"], one["hint"]
            if one["outcome"] == "ok":
                del one["class"], one["retry"], one["evidence"]
    assert "step-failed" in as_text(partial)
    assert "step-failed" in as_markdown(partial)
    read(as_html(partial))
