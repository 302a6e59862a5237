"""The report page as a browser shows it: no network, no console message, readable on a phone, in the dark, by keyboard.

`MULTIBUILD_SCREENSHOTS=DIR` keeps the pictures, for people to look at.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from e2e.browser import Browser
from e2e.conftest import REGISTRY, multibuild
from unit.report.sample_runs import hostile_report, many_images, report_of, run_of

from multibuild.report.html.page import as_html
from multibuild.report.images import as_rows

DOCKERFILE = f"""
FROM --platform=$BUILDPLATFORM {REGISTRY}/base:latest AS cross
ARG TARGETARCH
RUN echo $TARGETARCH > /cross
FROM {REGISTRY}/base:latest
ARG TARGETARCH
COPY --from=cross /cross /cross
RUN i=0; while [ $i -lt 40 ]; do echo $i | sha256sum > /sum; i=$((i+1)); done
RUN case $TARGETARCH in \\
  s390x) sh -c 'kill -SEGV $$' || exit $? ;; \\
  riscv64) echo "main.c:12:5: error: <b>implicit</b> declaration"; exit 1 ;; esac
"""
PLATFORMS = (
    "linux/amd64",
    {"name": "linux/arm64", "also_as": ["linux/arm64/unknown"]},
    {"name": "linux/riscv64", "required": False},
    {"name": "linux/s390x", "required": False},
)
SCREENS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 360, "height": 740},
    "phone-dark": {"width": 360, "height": 740, "dark": True},
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def partial(tmp_path_factory, lab):
    """A real run: two platforms are published, one has a compile error, one crashes under emulation thrice.

    Gives its state and report; made once for all workers.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "page"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "report.json").exists():
            _run(folder)
    return folder / "state", json.loads((folder / "report.json").read_text())


def _run(folder):
    project = folder / "project"
    project.mkdir(exist_ok=True)
    (project / "Dockerfile").write_text(DOCKERFILE)
    config = {
        "version": 1,
        "image": f"{REGISTRY}/e2e/page-{os.getpid()}",
        "no_cache": True,
        "platforms": PLATFORMS,
        "retry": {"initial": "1s"},
        "test": {"run": ["cat", "/sum"]},
    }
    path = project / "multibuild.yaml"
    path.write_text(json.dumps(config))
    done = multibuild("all", "-f", path, "--state-dir", folder / "state", "--report", folder / "report.json")
    assert done.code == 0, done.stderr


@pytest.fixture(scope="module")
def pages(partial, tmp_path_factory):
    """Return every kind of page, by name: the real run's own file, and others made from reports."""
    folder = tmp_path_factory.mktemp("pages")
    documents = {
        "one": run_of(1),
        "twelve": run_of(12),
        "thirty": run_of(30),
        "hostile": hostile_report(),
        "nothing": report_of({}),
        "images": as_rows(many_images()),
        "two-images": as_rows(many_images(2)),
    }
    for name, report in documents.items():
        (folder / f"{name}.html").write_text(as_html(report), encoding="utf-8")
    paths = {name: folder / f"{name}.html" for name in documents}
    return {**paths, "partial": partial[0] / "latest" / "report.html"}


@pytest.fixture
def keep(tmp_path):
    folder = Path(os.environ.get("MULTIBUILD_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


NAMES = ("partial", "one", "twelve", "thirty", "hostile", "nothing", "images", "two-images")
SHOWN = "e => e.checkVisibility() && !e.closest('.unseen, .skip, thead')"
OVERFLOWING = f"""
[...document.querySelectorAll('body *')].filter({SHOWN}).filter(e => !e.closest('svg'))
  .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5)
  .map(e => e.outerHTML.slice(0, 120))
"""
# WCAG 2.2, relative luminance and contrast ratio; text lies on the nearest background that is not clear.
CONTRAST = """
(() => {
  const rgb = c => c.match(/[\\d.]+/g).map(Number);
  const lum = c => rgb(c).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (rgb(c).length < 4 || rgb(c)[3] > 0) return c; } return null; };
  const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const found = new Map();
  for (const e of document.querySelectorAll('body *')) {
    if (!own(e) || e.closest('svg title')) continue;
    const s = getComputedStyle(e), colour = e.closest('svg') ? s.fill : s.color;
    const back = e.closest('svg .stage-name') || e.matches('.stage-name')
      ? getComputedStyle(document.querySelector('.stage.even, .stage')).fill : ground(e);
    found.set(colour + ' on ' + back, ratio(colour, back));
  }
  return [...found].map(([pair, value]) => [pair, Math.round(value * 100) / 100]);
})()
"""


def test_the_checks_detect_each_kind_of_fault(browser, pages, tmp_path):
    """The page with a fault of each kind put in: a script, a picture from elsewhere, a style, a wide box, pale text."""
    bad = "<script>alert(1)</script><img src='http://127.0.0.1:9/x.png'><p style='color:red'>x</p>"
    box = "<style>.wide { width: 2000px; color: #aaa }</style><p class='wide'>wide</p>"
    whole = pages["one"].read_text(encoding="utf-8")
    refused, shown = tmp_path / "refused.html", tmp_path / "shown.html"
    refused.write_text(whole.replace("<nav", f"{bad}<nav"), encoding="utf-8")
    browser.look(refused)
    assert len(browser.complaints) >= 3
    assert all("Content Security Policy" in complaint for complaint in browser.complaints)
    allowed = "default-src *; style-src &#x27;unsafe-inline&#x27;"
    start, _, rest = whole.partition("default-src")
    shown.write_text(
        f'{start}{allowed}"{rest.partition(chr(34))[2]}'.replace("<nav", f"{bad}{box}<nav"), encoding="utf-8"
    )
    browser.look(shown, **SCREENS["phone"])
    assert "http://127.0.0.1:9/x.png" in browser.requests
    assert any("wide" in html for html in browser.evaluate(OVERFLOWING))
    assert any(ratio < 4.5 for _, ratio in browser.evaluate(CONTRAST))


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_each_screen_with_enough_contrast(browser, pages, keep, name, screen):
    path = pages[name]
    browser.look(path, **SCREENS[screen])
    browser.screenshot(keep / f"{name}-{screen}.png")
    assert browser.requests == [path.resolve().as_uri()]
    assert browser.complaints == []
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate(OVERFLOWING) == []
    contrast = browser.evaluate(CONTRAST)
    assert contrast
    assert [pair for pair in contrast if pair[1] < 4.5] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_unfolded_page_fits_a_phone(browser, pages, name):
    browser.look(pages[name], **SCREENS["phone"])
    browser.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert browser.evaluate(OVERFLOWING) == []


def test_bars_of_all_images_share_the_axis(browser, pages):
    browser.look(pages["images"])
    browser.evaluate("document.querySelectorAll('#timeline details').forEach(e => e.open = true)")
    spans = browser.evaluate(
        "[...document.querySelectorAll('#timeline :is(.axis, summary, td) svg')]"
        ".map(e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right].join(' '))"
    )
    assert len(spans) == 1 + 20 + 120
    assert len(set(spans)) == 1


def test_light_and_dark_differ(browser, pages):
    grounds = []
    for dark in (False, True):
        browser.look(pages["one"], dark=dark)
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_everything_is_reachable_by_keyboard_with_visible_focus(browser, pages):
    browser.look(pages["partial"])
    expected = browser.evaluate(
        "document.querySelectorAll('a, summary, [tabindex=\"0\"]').length"
        " - document.querySelectorAll('details:not([open]) :is(a, [tabindex=\"0\"])').length"
    )
    reached = []
    for _ in range(expected):
        browser.press("Tab", 9)
        reached.append(
            browser.evaluate(
                "(e => [e.tagName, getComputedStyle(e).outlineStyle, e.getBoundingClientRect().left >= 0])"
                "(document.activeElement)"
            )
        )
    assert {tag for tag, _, _ in reached} == {"A", "SUMMARY", "PRE"}
    assert all(outline != "none" and there for _, outline, there in reached)
    browser.evaluate("document.querySelector('details:not([open]) > summary').focus()")
    folded = browser.evaluate("document.querySelectorAll('details:not([open])').length")
    browser.press("Enter", 13, "\r")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == folded - 1


def nodes(browser):
    """Return (role, name) of everything in the accessibility tree."""
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"] and "role" in node
    ]


@pytest.mark.parametrize("screen", ["light", "phone"])
def test_a_screen_reader_has_the_same_content(browser, pages, partial, screen):
    browser.look(pages["partial"], **SCREENS[screen])
    tree = nodes(browser)
    roles = [role for role, _ in tree]
    assert {"banner", "main", "navigation", "contentinfo", "heading", "table"} <= set(roles)
    regions = {name for role, name in tree if role == "region"}
    assert {"Timeline", "What went wrong", "What emulation cost", "Index and tags"} <= regions
    bars = [name for role, name in tree if role in {"image", "img"}]
    assert [bar.partition(":")[0] for bar in bars] == [row["platform"] for row in partial[1]["platforms"]]
    assert "attempt 3 failed" in bars[3]
    assert "a wait of" in bars[3]
    headers = {name for role, name in tree if role == "columnheader"}
    assert {"Platform", "Status", "Test", "Digest"} <= headers
    assert roles.count("rowheader") >= 2 * len(bars)


def test_the_page_of_a_real_run(browser, pages, partial):
    browser.look(pages["partial"])
    body = browser.evaluate("document.body.innerText")
    report = partial[1]
    assert report["status"] == "partial"
    assert "<b>implicit</b> declaration" in body
    assert "qemu-crash" in body
    assert report["index"]["digest"] in body
    assert "also as linux/arm64" in body
    links = browser.evaluate("[...document.querySelectorAll('#failures a')].map(a => a.getAttribute('href'))")
    assert len(links) == 4
    assert all((pages["partial"].parent.resolve() / link).is_file() for link in links)
    # The cross-compiled step is native on every platform; the last two fail in their third RUN.
    kinds = (
        "[...document.querySelectorAll('.timeline tbody tr')].map(r => r.querySelectorAll('.step.%s').length)"
    )
    assert browser.evaluate(kinds % "native") == [3, 1, 1, 1]
    assert browser.evaluate(kinds % "emulated") == [0, 2, 2, 2]
    assert "ran natively on the build machine's own platform" in body


def test_a_page_in_another_directory_links_to_the_logs(browser, partial, tmp_path):
    page = tmp_path / "elsewhere" / "page.html"
    page.parent.mkdir()
    done = multibuild("report", "--html", page, "--state-dir", partial[0])
    assert done.code == 0, done.stderr
    browser.look(page)
    links = browser.evaluate(
        "[...document.querySelectorAll('#failures a')].map(a => new URL(a.href).pathname)"
    )
    assert len(links) == 4
    assert all(Path(link).is_file() for link in links)


def test_a_printed_page_is_unfolded_and_light(browser, pages, keep):
    browser.look(pages["partial"], dark=True, media="print", width=794, height=1123)
    browser.screenshot(keep / "partial-print.png")
    assert browser.evaluate(OVERFLOWING) == []
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.evaluate(
        "[...document.querySelectorAll('details > :not(summary)')].every(e => e.getBoundingClientRect().height > 0)"
    )
