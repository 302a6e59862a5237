"""Every relative link of every page leads to a file, and every anchor to a heading; tables have one width."""

import re
from pathlib import Path

import pytest
from pages.blocks import prose

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", "node_modules", ".pytest_cache"} & set(path.relative_to(ROOT).parts)
)
LINK = re.compile(r"!?\[[^\]\[]*\]\(([^()\s]+)\)")
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def slugs(path):
    """GitHub's anchors: lower case, punctuation away, blanks to hyphens, repetitions numbered."""
    anchors: set[str] = set()
    counts: dict[str, int] = {}
    for line in prose(path.read_text()).splitlines():
        heading = re.match(r"#{1,6} +(.*?) *#*$", line)
        if heading is None:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        times = counts.get(slug, 0)
        counts[slug] = times + 1
        anchors.add(f"{slug}-{times}" if times else slug)
    return anchors


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    broken = []
    for target in LINK.findall(CODE.sub("", prose(path.read_text()))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in slugs(there)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rows_of_a_table_have_its_columns(path):
    width = None
    for number, line in enumerate(prose(path.read_text()).splitlines(), 1):
        if not line.startswith("|"):
            width = None
            continue
        columns = len(re.findall(r"(?<!\\)\|", line))
        width = width or columns
        assert columns == width, f"line {number}"


def test_every_page_of_docs_is_linked_from_another():
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in LINK.findall(page.read_text())
        if not re.match(r"[a-z]+:", target)
    }
    assert [page.relative_to(ROOT) for page in (ROOT / "docs").rglob("*.md") if page not in linked] == []
