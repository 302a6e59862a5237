"""A reader that follows a page, in order, in a directory of its own."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pages.blocks import COMMANDS, OUTPUT, Block, Page
from pages.output import missing_keys, missing_lines

TIMEOUT_S = 300.0
"""Limit for one block, on a busy machine."""

_SCRIPT = """\
cd "$(cat {memory}/directory)"
. {memory}/variables
set -aeuo pipefail
{commands}
pwd > {memory}/directory
export -p > {memory}/variables
"""


@dataclass(kw_only=True)
class Reader:
    """Works in `folder` with `environment`; `translate` turns the page's names into those of this machine."""

    folder: Path
    environment: Mapping[str, str]
    translate: Callable[[str], str]
    _printed: list[str] = field(default_factory=list)

    def read(self, page: Page) -> None:
        """Follow the page; AssertionError has the page's line and the output there."""
        memory = self._memory()
        memory.mkdir()
        (memory / "directory").write_text(str(self.folder))
        (memory / "variables").write_text("")
        for block in page.blocks:
            where = f"{page.path.name}:{block.line}"
            if block.language == COMMANDS:
                self._run(block, where)
            elif "title" in block.options or "into" in block.options:
                self._write(block, where)
            elif block.language in OUTPUT:
                self._compare(block, where)
            else:
                raise AssertionError(f"{where}: nothing runs, writes or compares this block")

    def _memory(self) -> Path:
        return self.folder.with_name("memory")

    def _run(self, block: Block, where: str) -> None:
        script = _SCRIPT.format(memory=shlex.quote(str(self._memory())), commands=self.translate(block.text))
        done = subprocess.run(
            ["bash", "-c", script],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        expected = int(block.options.get("exit", "0"))
        assert done.returncode == expected, (
            f"{where}: exit code {done.returncode}\n{block.text}\n{done.stdout}\n{done.stderr}"
        )
        assert "Traceback" not in done.stderr, f"{where}:\n{done.stderr}"
        self._printed = [done.stdout, done.stderr]

    def _write(self, block: Block, where: str) -> None:
        name = block.options.get("title") or block.options["into"]
        assert f"`{name}`" in block.before, f"{where}: the text before this block does not name {name}"
        current = Path((self._memory() / "directory").read_text().strip())
        path = current / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self.translate(block.text)
        if "into" in block.options:
            text = yaml.safe_dump({**self._so_far(path), **yaml.safe_load(text)})
        path.write_text(text)

    def _so_far(self, path: Path) -> dict[str, object]:
        """Return the reader's file; the smallest config on a page that shows only a part of it."""
        if path.exists():
            return dict(yaml.safe_load(path.read_text()))
        return {"version": 1, "image": self.translate("registry.example.org/team/app")}

    def _compare(self, block: Block, where: str) -> None:
        assert self._printed, f"{where}: no command before this output"
        expected = self.translate(block.text)
        if block.language == "json":
            missing = missing_keys(expected, self._printed[0])
        else:
            # A reader's terminal shows stdout and stderr together, in either order.
            candidates = (
                self._printed[0] + self._printed[1],
                self._printed[1] + self._printed[0],
            )
            missing = min((missing_lines(expected, printed) for printed in candidates), key=len)
        assert not missing, f"{where}: not printed: {missing}\n{self._printed[0]}\n{self._printed[1]}"


def copy_start(root: Path, start: str | None, folder: Path) -> None:
    """Copy a folder of this repository for the reader, or all of it except for products of a run."""
    if start is None:
        folder.mkdir()
        return
    shutil.copytree(root / start, folder, ignore=_products)
    if start == ".":
        # `make` finds the environment ready.
        (folder / ".venv").symlink_to(root / ".venv")


def _products(folder: str, names: list[str]) -> set[str]:
    """Return what runs leave in a checkout (.gitignore); other processes may be changing it."""
    hidden = {
        name for name in names if name.startswith(".") and name not in {".ci", ".dockerignore", ".gitignore"}
    }
    products = {"__pycache__", "dist", "out"} | {name for name in names if name.endswith(".egg-info")}
    return hidden | (products & set(names))
