"""Which files an image's ENTRYPOINT and CMD execute, found as the kernel and the runtime would find them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multibuild.frozen import frozen
from multibuild.prove.content.libraries import find_library
from multibuild.prove.content.rootfs import Found, RootFs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What a container gets without PATH in its config (moby oci/caps and oci/defaults, containerd oci/spec_opts.go)."""

MOST_INTERPRETERS = 4
"""Scripts that may be each other's interpreter (fs/exec.c exec_binprm: ELOOP beyond it)."""

_MOST_WRAPPERS = 5
LONGEST_SCRIPT = 16 << 10
"""Characters of `sh -c SCRIPT` in which its first command is looked for: shlex takes their square in time."""
MOST_WORDS = 4096
"""Words of a command line that are looked at; a config of 4 MiB has room for a million."""
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_BEFORE_COMMAND = frozenset({"exec", "command"})
_SPLIT = re.compile(r"-[iv0]*S|--split-string(?:=|\Z)")
_ENV_OPTIONS_WITH_VALUE = frozenset({"-u", "--unset", "-C", "--chdir", "-a", "--argv0"})


@frozen
class Started:
    """What an image starts: `files` in order of need, each once. `problems` are for people: what was not found."""

    files: tuple[Found, ...]
    problems: tuple[str, ...]


def started_files(config: Mapping[str, Any], root: RootFs) -> Started:
    """Find the files that `config` (an OCI image config) starts in `root`.

    Certain: the first word of ENTRYPOINT + CMD, its "#!" and ELF interpreters. Best effort, and only where it is in
    the image: what a wrapper gets to start (`sh -c "app …"`, `env A=b app`, `tini -- app`, an entrypoint's CMD).
    """
    section = config.get("config")
    section = section if isinstance(section, Mapping) else {}
    entrypoint, command = _words(section.get("Entrypoint")), _words(section.get("Cmd"))
    search = _Search(root, _words(section.get("Env")), _text(section.get("WorkingDir")) or "/")
    argv = (*entrypoint, *command)[:MOST_WORDS]
    if not argv:
        return Started(files=(), problems=("the image has no ENTRYPOINT or CMD",))
    search.execute(argv[0])
    for wrapped in (*_wrapped(argv, _MOST_WRAPPERS), *((command,) if entrypoint and command else ())):
        if search.which(wrapped[0]) is not None:
            search.execute(wrapped[0])
    return Started(files=tuple(search.files.values()), problems=tuple(search.problems))


class _Search:
    """Collects the files one command needs."""

    def __init__(self, root: RootFs, environment: Sequence[str], directory: str) -> None:
        self.files: dict[str, Found] = {}
        self._linked: list[Found] = []
        self.problems: list[str] = []
        self._root = root
        self._directory = directory if directory.startswith("/") else f"/{directory}"
        variables = dict(line.split("=", 1) for line in environment if "=" in line)
        self._library_path = variables.get("LD_LIBRARY_PATH", "").split(":")
        self._path = variables.get("PATH", DEFAULT_PATH).split(":")

    def which(self, word: str) -> Found | None:
        """Find a command: by path if it has a slash, else the first executable file of PATH (execvp(3))."""
        if "/" in word:
            return self._root.find(word, base=self._directory)
        for directory in self._path:
            found = self._root.find(f"{directory or '.'}/{word}", base=self._directory)
            if found is not None and found.entry.executable:
                return found
        return None

    def execute(self, word: str) -> None:
        """Note the file a command is, and all that the kernel loads to run it."""
        found = self.which(word)
        if found is None:
            self.problems.append(f"'{word}' is not in the image")
        else:
            self._load(found, MOST_INTERPRETERS)
        while self._linked:
            self._libraries(self._linked.pop())

    def _load(self, found: Found, interpreters: int) -> None:
        if found.path in self.files or interpreters < 0:
            return
        self.files[found.path] = found
        if found.entry.elf is not None:
            self._linked.append(found)
            if found.entry.elf.interpreter:
                self._interpreter(found, found.entry.elf.interpreter, interpreters)
        elif found.entry.script:
            self._interpreter(found, found.entry.script[0], interpreters)
            self._from_env(found, interpreters)
        else:
            self.problems.append(f"{found.path} is neither an ELF file nor a script with an interpreter")

    def _libraries(self, found: Found) -> None:
        """Note the shared libraries a program needs: of each the first its loader could take, else a foreign one."""
        for name in found.entry.elf.needed if found.entry.elf is not None else ():
            library = find_library(name, found, self._root, self._library_path)
            if library is not None and library.path not in self.files:
                self.files[library.path] = library
                self._linked.append(library)

    def _interpreter(self, found: Found, name: str, interpreters: int) -> None:
        """Load an interpreter; the kernel takes its name as a path, never through PATH."""
        interpreter = self._root.find(name, base=self._directory)
        if interpreter is None:
            self.problems.append(f"{found.path} needs {name}, which is not in the image")
        else:
            self._load(interpreter, interpreters - 1)

    def _from_env(self, found: Found, interpreters: int) -> None:
        """Follow `#!/usr/bin/env python3` and `#!/usr/bin/env -S python3 -u`."""
        interpreter, *arguments = found.entry.script
        if _basename(interpreter) != "env" or not arguments:
            return
        command = _env_command(arguments[0].split())
        program = self.which(command[0]) if command else None
        if program is not None:
            self._load(program, interpreters - 1)
        elif command:
            self.problems.append(f"{found.path} needs '{command[0]}', which is not in the image")


def _wrapped(argv: Sequence[str], depth: int) -> Iterator[Sequence[str]]:
    """Give the commands that a command starts, as far as its words tell."""
    if depth == 0:
        return
    inner: list[Sequence[str]] = []
    name = _basename(argv[0])
    if name in _SHELLS:
        inner.append(_shell_command(argv[1:]))
    elif name == "env":
        inner.append(_env_command(argv[1:]))
    elif "--" in argv:
        inner.append(argv[argv.index("--") + 1 :])
    for command in inner:
        if command:
            yield command
            yield from _wrapped(command, depth - 1)


def _shell_command(arguments: Sequence[str]) -> Sequence[str]:
    """Give the first command of `sh -c SCRIPT`."""
    for place, word in enumerate(arguments[:-1]):
        if re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", word):
            return _first_command(arguments[place + 1])
    return ()


def _first_command(script: str) -> Sequence[str]:
    lexer = shlex.shlex(script[:LONGEST_SCRIPT], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set("();<>|&"):
                break
            words.append(word)
    except ValueError:
        if len(script) <= LONGEST_SCRIPT:
            return ()
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _BEFORE_COMMAND):
        del words[0]
    return () if words and set(words[0]) & set("$`*?[{~") else words


def _env_command(arguments: Sequence[str]) -> Sequence[str]:
    """Give the command in env's arguments: after its options and assignments."""
    words, splits = list(arguments), 0
    while words:
        if (split := _SPLIT.match(words[0])) and splits < _MOST_WRAPPERS:
            splits += 1
            # `-S "python3 -u"`, `-Spython3`, `--split-string=python3`: its text stands in place of the option.
            text = words[0][split.end() :]
            words = [*text.split(), *words[1:]] if text else [*" ".join(words[1:2]).split(), *words[2:]]
        elif words[0] in _ENV_OPTIONS_WITH_VALUE:
            del words[:2]
        elif words[0].startswith("-") or _ASSIGNMENT.match(words[0]):
            del words[0]
        else:
            break
    return words


def _basename(word: str) -> str:
    return word.rpartition("/")[2]


def _words(value: Any) -> tuple[str, ...]:
    """Read a list of strings from a config that anyone may have written; old ones hold one bare string."""
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
