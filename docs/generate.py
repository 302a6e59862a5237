"""Write the reference pages from the code: `python -m docs.generate`. They are committed; a test compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from docs.generator.bake import bake_page
from docs.generator.clients import clients_page
from docs.generator.commands import commands_page
from docs.generator.config import config_page, profile_page
from docs.generator.journal import journal_page
from docs.generator.lint import lint_page
from docs.generator.report import report_page
from docs.generator.tables import exit_codes_page, failures_page, platforms_page

FOLDER: Final = Path(__file__).parent / "reference"

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "bake.md": bake_page,
    "clients.md": clients_page,
    "commands.md": commands_page,
    "config.md": config_page,
    "exit-codes.md": exit_codes_page,
    "failures.md": failures_page,
    "journal.md": journal_page,
    "lint.md": lint_page,
    "platforms.md": platforms_page,
    "profiles.md": profile_page,
    "report.md": report_page,
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
