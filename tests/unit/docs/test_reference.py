"""The committed reference is what the code gives now."""

import pytest

from docs.generate import FOLDER, PAGES
from docs.generator.config import config_page, profile_page
from docs.generator.markdown import table
from multibuild.buildx.failure_signatures import CLASSES
from multibuild.cli.app import program
from multibuild.config.models import Config
from multibuild.journal.events import EVENTS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_gives(name):
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make docs`"


def test_no_other_page_stands_beside_them():
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)


@pytest.mark.parametrize("page", [config_page(), profile_page()], ids=["config", "profile"])
def test_every_key_is_described(page):
    for line in page.splitlines():
        cells = line.split(" | ")
        if line.startswith("| `") and len(cells) == 4:
            assert cells[1].strip(), line
            assert cells[3].strip(" |"), line


def test_every_key_is_there():
    page = config_page()
    assert all(f"| `{field.alias or name}` |" in page for name, field in Config.model_fields.items())


def test_nothing_is_left_out():
    assert all(f"| `{row.name}` |" in PAGES["failures.md"]() for row in CLASSES)
    names = [
        command.name or getattr(command.callback, "__name__", "") for command in program().registered_commands
    ]
    assert all(f"\n## {name}\n" in PAGES["commands.md"]() for name in names)
    assert all(f"| `{name}` |" in PAGES["journal.md"]() for name in EVENTS)


def test_a_bar_in_a_cell_is_no_column():
    assert table(("a",), [("x|y",)]).splitlines()[-1] == r"| x\|y |"
