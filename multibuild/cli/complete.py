"""What a shell may offer next: commands, options, and the platforms, tags and runs of the project at hand.

The shells' own parts are a few lines each and ask `multibuild complete` for words, one a line. No word means: offer
files. Nothing heavy is imported, and whatever is wrong with a config, completion stays silent.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from multibuild.errors import MultibuildError
from multibuild.frozen import frozen

BASH = """\
_multibuild() {
    local IFS=$'\\n'
    COMPREPLY=( $("$1" complete bash -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null) )
}
complete -o default -F _multibuild multibuild
"""

ZSH = """\
#compdef multibuild
_multibuild() {
    local -a found
    found=("${(@f)$(${words[1]} complete zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if (( ${#found[1]} )); then compadd -- $found; else _files; fi
}
if [ "$funcstack[1]" = "_multibuild" ]; then _multibuild "$@"; else compdef _multibuild multibuild; fi
"""

FISH = """\
function __multibuild_complete
    set -l found (multibuild complete fish -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c multibuild -f -a '(__multibuild_complete)'
"""

SCRIPTS: Mapping[str, str] = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@frozen
class Project:
    """What is read only when a word depends on it: the config named on the line, and its state."""

    file: Path
    state_dir: Path | None

    def listed(self, key: str) -> list[str]:
        """Give a list of the config as written; a platform by its name."""
        from multibuild.config.document import read_document

        try:
            found = read_document(self.file).values.get(key)
        except MultibuildError:
            return []
        entries = found if isinstance(found, list) else [found]
        names = (entry.get("name") if isinstance(entry, dict) else entry for entry in entries)
        return [name for name in names if isinstance(name, str) and "$" not in name]

    def runs(self) -> list[str]:
        """Give the runs, newest first."""
        from multibuild.journal.runs import State, default_state_dir

        path = self.state_dir or default_state_dir(self.file.resolve().parent, os.environ)
        return [run.id for run in State(path).runs()]

    def images(self) -> list[str]:
        """Give the config's image at each of its tags."""
        return [
            f"{image}:{tag}" for image in self.listed("image") for tag in self.listed("tags") or ["latest"]
        ]


def _platforms(project: Project) -> list[str]:
    """Those of the config; without any, those of the table."""
    from multibuild.platforms import ARCHITECTURES, Platform

    table = [f"linux/{row.name}" for row in ARCHITECTURES if row.name != "arm"]
    table[2:2] = ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
    try:
        own = [str(Platform.parse(name)) for name in project.listed("platforms")]
    except MultibuildError:
        own = []
    return [*own, *(name for name in table if name not in own)]


def _builders(_project: Project) -> list[str]:
    from multibuild.config.profiles import shipped_profiles_folder

    return ["auto", *sorted(path.stem for path in shipped_profiles_folder().glob("*.yaml"))]


def _clients(_project: Project) -> list[str]:
    from multibuild.resolve.clients import CLIENTS

    return list(CLIENTS)


def _words(*words: str) -> Callable[[Project], list[str]]:
    return lambda _project: list(words)


VALUES: Mapping[str, Callable[[Project], list[str]]] = {
    "--platform": _platforms,
    "--host": _platforms,
    "--client": _clients,
    "--builder": _builders,
    "--tag": lambda project: project.listed("tags"),
    "--diff": Project.images,
    "--jobs": _words("auto", "1", "2", "4", "8"),
    "--progress": _words("auto", "tty", "plain", "quiet", "json"),
    "--content": _words("entrypoint", "all"),
    "--media-type": _words("oci", "docker"),
    "--format": _words("github", "gitlab", "json"),
    "--only": _words("runs", "staged", "builders"),
    "run": lambda project: ["latest", *project.runs()],
    "reference": Project.images,
    "target": Project.images,
    "sources": Project.images,
    "shell": _words(*SCRIPTS),
}
"""Option or argument → what it may be. What is not here is a file, or anybody's guess."""

LISTS = frozenset({"--platform", "--host", "--client"})
"""Options that take comma lists."""


def complete(shell: str, words: Sequence[str]) -> list[str]:
    """Give what may stand in place of the last of `words` (for bash: of the one line, which it splits on its own)."""
    if shell == "bash":
        words = _split(words[0] if words else "")[1:]
    found = list(dict.fromkeys(_candidates(words or [""])))
    # bash replaces only what follows the last `=` or `:` of the word.
    skip = len(re.sub(r"[^=:]*\Z", "", words[-1])) if shell == "bash" and words else 0
    return [word[skip:] for word in found]


def _split(line: str) -> list[str]:
    """Split as a shell does; a quote that is still open ends with the line."""
    for closing in ("", '"', "'"):
        try:
            words = shlex.split(line + closing)
        except ValueError:
            continue
        return [*words, ""] if line[-1:].isspace() and not closing else words
    return line.split()


def _candidates(words: Sequence[str]) -> Iterable[str]:
    from typer.main import get_command

    from multibuild.cli.app import app

    group: Any = get_command(app)
    last = words[-1]
    if len(words) == 1:
        names = [name for name, command in group.commands.items() if not command.hidden]
        return [word for word in [*sorted(names), "--help", "--version"] if word.startswith(last)]
    command = group.commands.get(words[0])
    if command is None:
        return []
    return _of_command(command, words[1:-1], last)


def _of_command(command: Any, before: Sequence[str], last: str) -> Iterable[str]:
    options = {name: p for p in command.params if p.param_type_name == "option" for name in p.opts}
    project = _project(before)
    waiting = options.get(before[-1]) if before else None
    if waiting is not None and not waiting.is_flag:
        return _values(waiting.opts[0], project, last, "")
    name, equals, value = last.partition("=")
    if equals and name in options:
        return _values(options[name].opts[0], project, value, f"{name}=")
    if last.startswith("-"):
        names = [*options, *(name for p in options.values() for name in p.secondary_opts), "--help"]
        return [name for name in names if name.startswith("--") and name.startswith(last)]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    place = _positionals(before, options)
    if not arguments or (place >= len(arguments) and arguments[-1].nargs != -1):
        return []
    return _values(arguments[min(place, len(arguments) - 1)].name, project, last, "")


def _positionals(before: Sequence[str], options: Mapping[str, Any]) -> int:
    """Count the words that are neither options nor values of options."""
    count, skip = 0, False
    for word in before:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in options and not options[word].is_flag
        else:
            count += 1
    return count


def _values(name: str, project: Project, typed: str, prefix: str) -> list[str]:
    known = VALUES.get(name)
    if known is None:
        return []
    done, comma, rest = typed.rpartition(",") if name in LISTS else ("", "", typed)
    taken = set(done.split(","))
    words = [word for word in known(project) if word.startswith(rest) and word not in taken]
    return [f"{prefix}{done}{comma}{word}" for word in words]


def _project(before: Sequence[str]) -> Project:
    file, state = Path("multibuild.yaml"), None
    for option, value in pairwise(before):
        if option in {"-f", "--file"}:
            file = Path(value).expanduser()
        elif option == "--state-dir":
            state = Path(value).expanduser()
    return Project(file=file, state_dir=state)
