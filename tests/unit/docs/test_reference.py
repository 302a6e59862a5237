"""The committed reference is up to date."""

import re
from datetime import UTC, datetime

import pytest

from docs.generate import FOLDER, PAGES
from docs.generator.config import config_page, profile_page
from docs.generator.markdown import table
from multibuild.cli.app import program
from multibuild.config.cli_overrides import Overrides
from multibuild.config.config import Config
from multibuild.config.project import load_project
from multibuild.failures.classes import CLASSES
from multibuild.journal.events import EVENTS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name):
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make docs`"


def test_every_reference_page_is_generated():
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)


@pytest.mark.parametrize("page", [config_page(), profile_page()], ids=["config", "profile"])
def test_every_key_is_described(page):
    for line in page.splitlines():
        cells = line.split(" | ")
        if line.startswith("| `") and len(cells) == 4:
            assert cells[1].strip(), line
            assert cells[3].strip(" |"), line


@pytest.mark.parametrize("text", re.findall("```yaml title=.*\n([^`]*)```", config_page()))
def test_an_example_is_a_config(text, tmp_path):
    path = tmp_path / "multibuild.yaml"
    path.write_text(text)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert load_project(path, environ={}, overrides=Overrides(), now=now).images


def test_every_key_is_there():
    page = config_page()
    assert all(f"| `{field.alias or name}` |" in page for name, field in Config.model_fields.items())


def test_every_class_and_command_is_there():
    assert all(f"| `{row.name}` |" in PAGES["failures.md"]() for row in CLASSES)
    names = [
        command.name or getattr(command.callback, "__name__", "") for command in program().registered_commands
    ]
    assert all(f"\n## {name}\n" in PAGES["commands.md"]() for name in names)
    assert all(f"| `{name}` |" in PAGES["journal.md"]() for name in EVENTS)


def test_a_bar_in_a_cell_is_escaped():
    assert table(("a",), [("x|y",)]).splitlines()[-1] == r"| x\|y |"
