"""The page without a browser: well-formed, escaped, self-contained, and with a text for everything drawn."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from unit.report.sample_runs import (
    FAILURE,
    NAMES,
    STARTED,
    attempt,
    built,
    hostile_report,
    many_images,
    older_report,
    partial_run,
    plan,
    report_of,
    run_of,
    traced_run,
)

from multibuild.report.html.bars import Scale, assign_lanes
from multibuild.report.html.markup import Html, join, prose, tag
from multibuild.report.html.page import as_html
from multibuild.report.images import as_rows

TAGS = """
    html head meta title style body header main nav section article footer h1 h2 h3 p div span small
    strong b a ul ol li dl dt dd code pre time table caption colgroup col thead tbody tr th td details summary svg defs
    pattern path rect line text
"""
ATTRIBUTES = """
    lang charset name content http-equiv id class role tabindex href datetime scope title open data-label
    aria-label aria-labelledby aria-hidden x y x1 x2 y1 y2 width height rx d fill patternunits
"""


class Page(HTMLParser):
    """A strict parser: every tag and attribute is in the list, and tags are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS.split()
        assert {name for name, _ in attrs} <= set(ATTRIBUTES.split())
        self.attributes += attrs
        if tag not in {"meta", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, attribute):
        return [value for name, value in self.attributes if name == attribute]

    def text(self):
        return "".join(text for _, text in self.texts)


def read(report, **options):
    page = Page()
    page.feed(as_html(report, **options))
    page.close()
    assert page.open == []
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert targets | set(page.values("aria-labelledby")) <= set(ids)
    return page


RUNS = {
    "nothing": report_of({}),
    "killed at once": report_of(plan(*NAMES), STARTED),
    "interrupted": report_of(plan(*NAMES), STARTED, attempt(NAMES[0], 1, 2, 9)[0], (8, "stage.started", {"stage": "build"})),
    "reused": report_of(plan(NAMES[0]), STARTED, (1, "platform.ended", {"platform": NAMES[0], "status": "reused", "digest": "sha256:a"})),
    "hostile": hostile_report(),
    "one": run_of(1),
    "thirty": run_of(30),
    "images": as_rows(many_images()),
    "a few images": as_rows(many_images(2)),
}  # fmt: skip


@pytest.mark.parametrize("report", RUNS.values(), ids=RUNS)
def test_any_run_has_a_whole_page(report):
    page = read(report)
    markup = re.sub(r"&\w+;[^<]*", "", as_html(report))
    assert not re.search(r"<script|javascript:|\bon\w+=|url\((?!#)|@import|\sstyle=", markup)
    assert all(value.startswith(("#", "./")) for value in page.values("href"))
    assert any(name == "h1" for name, _ in page.texts)
    assert sum(value == "img" for value in page.values("role")) == len(report["platforms"])


def test_the_policy_allows_the_one_style_sheet_and_nothing_else():
    text = as_html(partial_run())
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src &#x27;none&#x27;; style-src &#x27;sha256-{digest}&#x27;;" in text


def test_hostile_text_is_escaped():
    text = as_html(hostile_report())
    read(hostile_report())
    assert "&lt;script&gt;" in text
    assert "{title}" in text
    assert "\x1b" not in text
    assert text.count("</style>") == 1


def test_a_failure_has_class_evidence_hint_and_a_link_to_its_log():
    page = read(partial_run())
    text = page.text()
    assert "step-failed" in text
    assert "cc: error\nno <b>luck</b> | `here`" in text
    assert "look at the step" in text
    assert "./logs/linux-mips64le.1.log" in page.values("href")
    elsewhere = read(partial_run(), run_path="../state/runs/a b")
    assert "../state/runs/a%20b/logs/linux-mips64le.1.log" in elsewhere.values("href")


def test_platforms_in_the_index_are_no_failures():
    """A reason of a reused or carried platform is no failure; that of a cancelled one is."""
    is_failure = {}
    for status in ("reused", "carried", "cancelled"):
        ended = {"platform": NAMES[0], "status": status, "digest": None, "reason": "the reason why"}
        text = as_html(report_of(plan(NAMES[0]), STARTED, (1, "platform.ended", ended)))
        assert "the reason why" in text
        is_failure[status] = "What went wrong" in text
    assert is_failure == {"reused": False, "carried": False, "cancelled": True}


def test_an_attempt_that_a_kill_cut_short_is_not_drawn_as_failed():
    kinds = read(RUNS["interrupted"]).values("class")
    assert kinds.count("attempt cut") == 2  # the bar and the key
    assert "hatched" not in kinds


def test_a_bar_has_its_content_as_label():
    assert "linux/mips64le: attempt 1 failed, 7.0s from 2.0s" in read(partial_run()).values("aria-label")


def test_waits_and_queues_are_drawn_and_in_the_label():
    events = (
        (1, "stage.started", {"stage": "build"}),
        *attempt(NAMES[0], 1, 3, 4, **FAILURE),
        (4, "attempt.waiting", {"platform": NAMES[0], "number": 1, "seconds": 5.0, "reason": "network"}),
        *attempt(NAMES[0], 2, 9, 10, outcome="ok"),
    )
    page = read(report_of(plan(NAMES[0]), STARTED, *events))
    label = next(value for value in page.values("aria-label") if value.startswith(NAMES[0]))
    assert label == (
        "linux/amd64: queued for 2.0s; attempt 1 failed, 1.0s from 3.0s; attempt 2 ok, 1.0s from 9.0s; "
        "a wait of 5.0s after network"
    )
    kinds = page.values("class")
    assert kinds.count("wait") == kinds.count("queue") == 2  # in the bar and in the key


def test_steps_are_drawn_as_native_or_emulated():
    page = read(run_of(2))
    kinds = page.values("class")
    # Four RUN steps: all native on the native platform, two of the emulated one's (shared, cross-compiled).
    assert kinds.count("step native") == 4 + 2 + 1
    assert kinds.count("step emulated") == 2 + 1
    cells = [text for name, text in page.texts if name == "div"]
    assert (cells.count("emulated"), cells.count("cached")) == (2, 2)
    assert cells.count("native, shared by 2") == 2


def test_emulation_cost_is_in_figures():
    text = read(run_of(3)).text()
    assert "on linux/arm64/v3.0: 6.0s instead of 4.0s" in text
    assert "4 ran natively on the build machine's own platform" in text
    reused = report_of(plan("linux/arm64"), STARTED, *built("linux/arm64", 1, 2))
    assert "nothing to compare" in read(reused).text()


def test_aliases_and_attestations_of_an_image_are_marked():
    report = run_of(1)
    (image,) = report["index"]["manifests"]
    alias = {**image, "platform": {**image["platform"], "variant": "unknown"}}
    subject = {"vnd.docker.reference.digest": image["digest"]}
    unknown = {"os": "unknown", "architecture": "unknown"}
    attestation = {**image, "digest": "sha256:c", "annotations": subject, "platform": unknown}
    report["index"]["manifests"] = [image, alias, attestation]
    text = read(report).text()
    assert "linux/amd64/unknown" in text
    assert "also as linux/amd64" in text
    assert "1 attestation" in text
    assert "unknown/unknown" not in text


def test_a_report_of_an_older_version_is_still_shown():
    report = older_report()
    del report["index"]["manifests"]
    for row in report["platforms"]:
        del row["waits"]
    for one in (*report["steps"], *report["stages"]):
        one.pop("began", None)
    read(report)


def test_text_is_escaped_unless_it_is_markup():
    element = tag("p", "<b>", Html("<i></i>"), None, title='"', open="")
    assert element == '<p title="&quot;" open>&lt;b&gt;<i></i></p>'
    assert join(("a\x1b[1m&", tag("meta", charset="x"))) == 'a&amp;<meta charset="x">'


def test_backticks_of_a_hint_are_code():
    expected = 'run <code class="short">a &lt;b&gt;</code> &amp; <code class="short">c</code>'
    assert prose("run `a <b>` & `c`") == expected
    assert prose("one ` alone") == "one ` alone"


@pytest.mark.parametrize(
    ("began", "seconds", "span"),
    [(0, 50, (0, 50)), (-5, 10, (0, 5)), (90, 50, (90, 10)), (500, 1, (99.7, 0.3)), (10, 0, (10, 0.3))],
)
def test_a_bar_stays_on_its_axis(began, seconds, span):
    assert Scale(100).span(began, seconds) == pytest.approx(span)


@pytest.mark.parametrize("seconds", [0, 0.05, 1, 7, 60, 90, 3600, 50_000, 10**6])
def test_an_axis_has_a_few_round_ticks(seconds):
    ticks = Scale(seconds).ticks()
    assert len(ticks) <= 6
    assert all(0 < tick <= max(seconds, 0.001) for tick in ticks)


def test_concurrent_steps_share_a_bar():
    assert assign_lanes([(0, 4), (1, 2), (2, 5), (4, 6), (6, 7)]) == [0, 1, 1, 0, 0]
    assert assign_lanes([]) == []


def test_the_origin_of_a_foreign_file_is_shown_with_its_instruction_as_code():
    page = as_html(traced_run(21))
    text = page.partition("Where they come from:")[2].partition("</ul>")[0]
    assert text.count("<li>") == 20
    assert '/app is amd64: <code class="short">COPY --from=build</code> in line 9 (layer 2 of 2)' in text
    assert "line 3: &lt;why&gt; [a-rule]</li>" in text


def folded(page, section):
    """Return each image of a section that is a disclosure, and whether it is open."""
    html = page.partition(f'<section id="{section}"')[2].partition("</section>")[0]
    found = re.findall(r'<details class="image"( open)?><summary>.*?<b><code[^>]*>([^<]*)', html)
    return [(name, bool(is_open)) for is_open, name in found]


def test_images_are_disclosures_with_those_that_failed_first_and_open():
    page = as_html(as_rows(many_images()))
    timeline = folded(page, "timeline")
    assert len(timeline) == 20
    assert timeline[:4] == [
        ("service-07", True),
        ("service-08", False),
        ("service-12", False),
        ("service-01", False),
    ]
    assert not any(
        is_open for section in ("platforms", "index", "steps") for _, is_open in folded(page, section)
    )
    assert [len(folded(page, section)) for section in ("platforms", "index", "steps")] == [20, 18, 19]


def test_stages_of_images_that_overlap_are_not_drawn_over_each_other():
    stages = [("build", 1.0, 5.0), ("content", 2.0, 6.0), ("publish", 8.0, 2.0)]
    documents = [{"name": name, "began": began, "seconds": seconds} for name, began, seconds in stages]
    page = as_html({**as_rows(many_images(2)), "stages": documents, "seconds": 10.0})
    assert re.findall(r'class="stage-name">(\w+)', page) == ["build", "publish"]
    assert re.findall(r"<li>(\w+) <small>", page) == ["build", "content", "publish"]


def test_few_images_are_all_open():
    assert folded(as_html(as_rows(many_images(2))), "timeline") == [
        ("service-01", True),
        ("service-02", True),
    ]


def test_a_page_of_images_has_a_matrix_and_one_entry_for_what_was_skipped():
    page = read(as_rows(many_images()))
    assert "Images succeeded17 of 20" in page.text()
    failures = as_html(as_rows(many_images())).partition('id="failures"')[2].partition("</section>")[0]
    assert failures.count('class="message">service-07 failed') == failures.count(">service-08<") == 1
    assert failures.index("service-07 linux/ppc64le") < failures.index("service-12 linux/mips64le")
    assert len([label for label in page.values("aria-label") if label and "linux/" in label]) == 120


def test_steps_that_images_share_are_emulated_where_their_platform_is():
    """The sample's images have equal vertices; each is of one platform, which several images have."""
    in_legend = 1
    of_one, of_two = (
        as_html(as_rows(many_images(count))).count('class="step emulated"') - in_legend for count in (1, 2)
    )
    assert of_two == 2 * of_one > 0
