"""The committed reference is up to date."""

import re
from datetime import UTC, datetime

import pytest
from unit.report.sample_runs import many_images, older_report, partial_run, traced_run

from docs.generate import FOLDER, PAGES
from docs.generator.config import config_page, profile_page
from docs.generator.markdown import table
from docs.generator.report import key_paths, report_keys
from multibuild.cli.app import program
from multibuild.config.cli_overrides import Overrides
from multibuild.config.config import Config
from multibuild.config.project import load_project
from multibuild.failures.classes import CLASSES
from multibuild.journal.events import EVENTS
from multibuild.report.images import RUN_WIDE


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


@pytest.mark.parametrize("run", [older_report, partial_run, traced_run], ids=lambda run: run.__name__)
def test_every_key_of_a_report_is_there(run):
    assert set(key_paths(run())) - set(report_keys()) == set()


def test_every_key_of_a_report_of_several_images_is_there():
    report = many_images()
    own = {key: report[key] for key in report if key != "images"}
    assert set(key_paths(own)) - set(report_keys()) == set()
    assert set(own) == {"schema", *RUN_WIDE}
    for image in report["images"]:
        assert set(key_paths(image)) - set(report_keys()) == {"name"}


def test_a_bar_in_a_cell_is_escaped():
    assert table(("a",), [("x|y",)]).splitlines()[-1] == r"| x\|y |"
