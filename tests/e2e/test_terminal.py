"""The live table on a real terminal: tmux draws it, and its screen is read back.

`MULTIBUILD_SCREENSHOTS=DIR` keeps the screens as text and as pictures, for people to look at.
"""

import io
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.browser import Browser
from e2e.conftest import REGISTRY, ROOT, TWELVE
from e2e.programs import find_program
from waiting import PATIENCE_S

pytestmark = pytest.mark.one_driver(driver="docker-container", reason="a terminal shows every run alike")

# A step that prints repeatedly, a compile error on one platform, and escape sequences in both.
DOCKERFILE = f"""
FROM {REGISTRY}/base:latest
ARG TARGETARCH
RUN for i in $(seq 1 40); do printf 'CC src/module-%s.c \\033[31m\\033]0;title\\007\\n' $i; sleep 0.05; done
RUN case $TARGETARCH in riscv64) printf 'main.c:12:5: \\033[1merror: implicit declaration\\n'; exit 1 ;; esac
"""
STYLE = re.compile(r"\x1b\[[0-9;]*m|\x1b\([A-Z0-9]|\x0e|\x0f")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?3[0-7]m")
ROW = re.compile(r"^(linux/\S+) +(queued|building|succeeded|failed|reused)\b")


class Terminal:
    """A tmux server of its own with one window of `columns` × `lines`; what runs in it ends with it."""

    def __init__(self, folder, columns, lines):
        self._tmux = [find_program("tmux", package="tmux"), "-S", str(folder / "tmux.sock"), "-f", os.devnull]
        self._size = ["-x", str(columns), "-y", str(lines)]

    def run(self, argv, environ):
        # Where CI is set, lines are printed instead of a table.
        settings = ["-u", "CI", *(f"{name}={value}" for name, value in environ.items())]
        command = shlex.join(["env", *settings, *map(str, argv)]) + "; printf '\\n[ended %s]' $?; sleep 600"
        self._call("new-session", "-d", *self._size, command)

    def screen(self, *flags):
        return self._call("capture-pane", "-p", *flags)

    def wait(self, condition):
        """Wait until the text of the screen meets the condition; return that very screen, with its colours."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if condition(STYLE.sub("", screen := self.screen("-e"))):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"it did not come:\n{self.screen('-S', '-')}")

    def title(self):
        return self._call("display-message", "-p", "#{pane_title}").strip()

    def close(self):
        self._call("kill-server")

    def _call(self, *arguments):
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_terminal(columns, lines):
        opened.append(Terminal(tmp_path, columns, lines))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


@pytest.fixture
def keep(request, tmp_path):
    """Keep a screen (with its escape sequences) as text and as pictures on light and on dark."""

    def draw(name, screen, columns):
        folder = os.environ.get("MULTIBUILD_SCREENSHOTS")
        if not folder:
            return
        from rich.console import Console
        from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI
        from rich.text import Text

        Path(folder, f"{name}.txt").write_text(screen)
        browser = Browser(tmp_path / "browser")
        for kind, theme in (("light", DEFAULT_TERMINAL_THEME), ("dark", MONOKAI)):
            console = Console(record=True, width=columns, file=io.StringIO())
            console.print(Text.from_ansi(screen))
            picture = tmp_path / f"{name}.svg"
            picture.write_text(console.export_svg(title=name, theme=theme))
            browser.look(picture, width=columns * 13, height=900)
            browser.screenshot(Path(folder, f"{name}-{kind}.png"))
        browser.close()

    return draw


def rows_of(screen):
    return {found[1]: found[2] for found in map(ROW.match, screen.splitlines()) if found}


@pytest.mark.parametrize(("columns", "lines", "environ"), [(80, 24, {}), (200, 50, {"NO_COLOR": "1"})])
def test_the_table_follows_a_run(project, state, terminal, keep, columns, lines, environ):
    platforms = [name if name != "linux/riscv64" else {"name": name, "required": False} for name in TWELVE]
    config = project(dockerfile=DOCKERFILE, platforms=platforms, no_cache=True)
    screen = terminal(columns, lines)
    argv = (sys.executable, "-m", "multibuild", "all", "-f", config, "--state-dir", state)
    screen.run(argv, {"PYTHONPATH": ROOT, "TERM": "tmux-256color", **environ})

    shown = ("CC src/module-", "RUN for i in")
    during = screen.wait(
        lambda seen: set(rows_of(seen)) == set(TWELVE) and all(text in seen for text in shown)
    )
    keep(f"live-{columns}", during, columns)
    assert bool(COLOUR.search(during)) is ("NO_COLOR" not in environ)

    screen.wait(lambda seen: "[ended 0]" in seen)
    whole = screen.screen("-S", "-")
    keep(f"ended-{columns}", screen.screen("-e", "-S", "-"), columns)
    # Finished rows stay, with the reason beside the one that failed.
    final = dict.fromkeys(TWELVE, "succeeded") | {"linux/riscv64": "failed"}
    assert rows_of(whole.partition("PLATFORM")[0]) == final
    assert "error: implicit declaration" in whole
    assert max(map(len, whole.splitlines())) <= columns
    # A table that is redrawn in place leaves no second row of a platform.
    assert (
        sum(line.startswith("linux/s390x ") for line in whole.splitlines()) == 2
    )  # the table's, the summary's
    assert screen.title() != "title"


def test_the_summary_of_twelve_platforms_fits_one_screen(state, repository, terminal, keep):
    config = ROOT / "examples/hello/multibuild.yaml"
    screen = terminal(80, 24)
    argv = (
        sys.executable,
        "-m",
        "multibuild",
        "all",
        "-f",
        config,
        "--set",
        f"image={REGISTRY}/{repository}",
        "--state-dir",
        state,
    )
    screen.run(argv, {"PYTHONPATH": ROOT, "TERM": "tmux-256color"})
    screen.wait(lambda seen: "[ended 0]" in seen)
    keep("summary-80", screen.screen("-e", "-S", "-"), 80)
    _, heading, summary = screen.screen("-S", "-").partition("PLATFORM ")
    summary, _, _ = summary.partition("[ended 0]")
    assert heading
    assert f"→ {REGISTRY}/{repository}:latest" in summary.replace("\n", "")
    assert len(summary.rstrip().splitlines()) <= 24
