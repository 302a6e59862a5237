"""Every command that README and docs give a reader is run, in order, a page at a time, in a directory of its own."""

import contextlib
import os
import re
import sys
import time
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, ROOT, docker
from pages import stand_ins
from pages.blocks import COMMANDS, read_page
from pages.names import mentioned, translated
from pages.reader import Reader, copy_start
from pages.services import service

PAGES = [
    page
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "builders/**/README.md",
        "docs/**/*.md",
        "examples/**/README.md",
    )
    for page in sorted(ROOT.glob(pattern))
]
PLAYED = [page for page in PAGES if read_page(page).blocks]


ON_A_CONTAINER = ("README.md", "docs/tutorial.md", "docs/how-to/private-registry.md")
"""What a new user reads first, and the page on which a builder needs settings of its own."""


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_reader_can_do_what_the_page_says(path, tmp_path):
    """On an account that has no builder yet: `builder: auto` makes one of BuildKit's image, or of its stand-in."""
    environment = surroundings(tmp_path)
    try:
        play(path, tmp_path, environment)
        builders = names_of_builders(environment)
    finally:
        remove_builders(environment)
    if str(path.relative_to(ROOT)) in ON_A_CONTAINER:
        assert any(name.startswith("multibuild") for name in builders)


def names_of_builders(environment):
    listed = docker("buildx", "ls", "--format", "{{.Name}}", env=environment).stdout
    return {name.rstrip("*") for name in listed.split()}


def remove_builders(environment):
    """Remove those that settings of the reader's own have named; `multibuild` is the engine's for all accounts."""
    for name in names_of_builders(environment):
        if name.startswith("multibuild-"):
            docker("buildx", "rm", "--force", name, check=False, env=environment)


def play(path, tmp_path, environment):
    page = read_page(path)
    copy_start(ROOT, page.start, tmp_path / "project")
    slug = re.sub("[^a-z0-9]+", "-", str(path.relative_to(ROOT)).lower()).strip("-")
    prefix = f"docs/{slug}-{os.getpid()}-{time.time_ns() % 10**8}"
    with contextlib.ExitStack() as stack:
        services = {name: stack.enter_context(service(name, tmp_path)) for name in mentioned(page.text)}

        def translate(text):
            return translated(text, registry=REGISTRY, prefix=prefix, services=services)

        translate_files(tmp_path / "project", translate)
        reader = Reader(folder=tmp_path / "project", environment=environment, translate=translate)
        reader.read(page)


def translate_files(folder, translate):
    """Translate names in the reader's copy as on the page; our own code stays unchanged."""
    places = [folder / "examples", folder / "docs/project"] if (folder / "tests").exists() else [folder]
    for file in (file for place in places for file in place.rglob("*")):
        if file.is_file():
            file.write_text(translate(file.read_text()))


def surroundings(folder: Path):
    """Return an environment with a home of the reader's own, docker's plugins, and this environment's programs first."""
    home = folder / "home"
    (home / ".docker").mkdir(parents=True)
    own = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    if (own / "cli-plugins").exists():
        (home / ".docker/cli-plugins").symlink_to(own / "cli-plugins")
    stand_ins.install(folder / "bin")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "GIT_", "CI", "GITHUB_", "GITLAB_", "DOCKER_CONFIG", "PYTEST_"))
    }
    return {
        **inherited,
        "HOME": str(home),
        "BUILDX_CONFIG": str(home / ".docker/buildx"),  # as without it: the suite's own is no reader's
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": str(_git_account(home)),
        "COLUMNS": "100",
    }


def _git_account(home):
    path = home / ".gitconfig"
    path.write_text("[user]\nname = Reader\nemail = reader@example.org\n[init]\ndefaultBranch = main\n")
    return path


def test_every_page_with_blocks_is_run():
    """Blocks on a page outside these folders would not run."""
    with_blocks = {
        path.relative_to(ROOT)
        for path in ROOT.rglob("*.md")
        if not {".venv", "node_modules"} & set(path.relative_to(ROOT).parts) and read_page(path).blocks
    }
    assert with_blocks == {path.relative_to(ROOT) for path in PLAYED}


@pytest.mark.parametrize("name", stand_ins.STAND_INS)
def test_a_stand_in_is_needed_by_a_page(name):
    commands = [
        block.text for path in PLAYED for block in read_page(path).blocks if block.language in COMMANDS
    ]
    assert any(re.search(rf"(?<![\w-]){name} ", text) for text in commands)
    assert stand_ins.STAND_INS[name].reason
