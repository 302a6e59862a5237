"""The files that an image's ENTRYPOINT and CMD execute, resolved as the kernel and the runtime resolve them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from multibuild.frozen import frozen
from multibuild.prove.content.find_library import find_library
from multibuild.prove.content.merged_rootfs import ImageFile, RootFs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of a container whose config has none (moby oci/caps and oci/defaults, containerd oci/spec_opts.go)."""

MAX_INTERPRETERS = 4
"""Depth of scripts that are each other's interpreter (fs/exec.c exec_binprm: ELOOP beyond it)."""

_MAX_WRAPPERS = 5
MAX_SCRIPT_CHARACTERS = 16 << 10
"""Characters of `sh -c SCRIPT` in which its first command is looked for: shlex takes quadratic time."""
MAX_WORDS = 4096
"""Words of a command line that are read; a config of 4 MiB has room for a million."""
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_BEFORE_COMMAND = frozenset({"exec", "command"})
_SPLIT = re.compile(r"-[iv0]*S|--split-string(?:=|\Z)")
_ENV_OPTIONS_WITH_VALUE = frozenset({"-u", "--unset", "-C", "--chdir", "-a", "--argv0"})


@frozen
class ExecutedFiles:
    """The files an image executes, in order of need, each once. `problems` are messages about missing files."""

    files: tuple[ImageFile, ...]
    problems: tuple[str, ...]


def executed_files(config: Mapping[str, Any], root: RootFs) -> ExecutedFiles:
    """Return the files that `config` (an OCI image config) executes in `root`.

    Certain: the first word of ENTRYPOINT + CMD, its "#!" and ELF interpreters. Best effort, and only where it is in
    the image: the command of a wrapper (`sh -c "app …"`, `env A=b app`, `tini -- app`, an entrypoint's CMD).
    """
    section = config.get("config")
    section = section if isinstance(section, Mapping) else {}
    entrypoint, command = _words(section.get("Entrypoint")), _words(section.get("Cmd"))
    resolver = _Resolver(root, _words(section.get("Env")), _text(section.get("WorkingDir")) or "/")
    argv = (*entrypoint, *command)[:MAX_WORDS]
    if not argv:
        return ExecutedFiles(files=(), problems=("the image has no ENTRYPOINT or CMD",))
    resolver.execute(argv[0])
    for inner in (*_inner_commands(argv, _MAX_WRAPPERS), *((command,) if entrypoint and command else ())):
        if resolver.which(inner[0]) is not None:
            resolver.execute(inner[0])
    return ExecutedFiles(files=tuple(resolver.files.values()), problems=tuple(resolver.problems))


class _Resolver:
    """Collector of the files that commands need."""

    def __init__(self, root: RootFs, environment: Sequence[str], directory: str) -> None:
        self.files: dict[str, ImageFile] = {}
        self._unlinked: list[ImageFile] = []
        self.problems: list[str] = []
        self._root = root
        self._directory = directory if directory.startswith("/") else f"/{directory}"
        variables = dict(line.split("=", 1) for line in environment if "=" in line)
        self._library_path = variables.get("LD_LIBRARY_PATH", "").split(":")
        self._path = variables.get("PATH", DEFAULT_PATH).split(":")

    def which(self, word: str) -> ImageFile | None:
        """Return a command's file: by path if it has a slash, else the first executable file of PATH (execvp(3))."""
        if "/" in word:
            return self._root.find(word, base=self._directory)
        for directory in self._path:
            file = self._root.find(f"{directory or '.'}/{word}", base=self._directory)
            if file is not None and file.entry.is_executable:
                return file
        return None

    def execute(self, word: str) -> None:
        """Add a command's file, and all that the kernel and the loader load to run it."""
        file = self.which(word)
        if file is None:
            self.problems.append(f"'{word}' is not in the image")
        else:
            self._load(file, MAX_INTERPRETERS)
        while self._unlinked:
            self._add_libraries(self._unlinked.pop())

    def _load(self, file: ImageFile, interpreters: int) -> None:
        if file.path in self.files or interpreters < 0:
            return
        self.files[file.path] = file
        if file.entry.elf is not None:
            self._unlinked.append(file)
            if file.entry.elf.interpreter:
                self._load_interpreter(file, file.entry.elf.interpreter, interpreters)
        elif file.entry.script:
            self._load_interpreter(file, file.entry.script[0], interpreters)
            self._load_env_command(file, interpreters)
        else:
            self.problems.append(f"{file.path} is neither an ELF file nor a script with an interpreter")

    def _add_libraries(self, file: ImageFile) -> None:
        """Add a program's shared libraries: of each the first that its loader could use, else a foreign one."""
        for name in file.entry.elf.needed if file.entry.elf is not None else ():
            library = find_library(name, file, self._root, self._library_path)
            if library is not None and library.path not in self.files:
                self.files[library.path] = library
                self._unlinked.append(library)

    def _load_interpreter(self, file: ImageFile, name: str, interpreters: int) -> None:
        """Load an interpreter; the kernel resolves its name as a path, never through PATH."""
        interpreter = self._root.find(name, base=self._directory)
        if interpreter is None:
            self.problems.append(f"{file.path} needs {name}, which is not in the image")
        else:
            self._load(interpreter, interpreters - 1)

    def _load_env_command(self, file: ImageFile, interpreters: int) -> None:
        """Follow `#!/usr/bin/env python3` and `#!/usr/bin/env -S python3 -u`."""
        interpreter, *arguments = file.entry.script
        if _basename(interpreter) != "env" or not arguments:
            return
        command = _env_command(arguments[0].split())
        program = self.which(command[0]) if command else None
        if program is not None:
            self._load(program, interpreters - 1)
        elif command:
            self.problems.append(f"{file.path} needs '{command[0]}', which is not in the image")


def _inner_commands(argv: Sequence[str], depth: int) -> Iterator[Sequence[str]]:
    """Return the commands that a command starts, as far as its words show."""
    command: Sequence[str] = ()
    name = _basename(argv[0])
    if name in _SHELLS:
        command = _shell_command(argv[1:])
    elif name == "env":
        command = _env_command(argv[1:])
    elif "--" in argv:
        command = argv[argv.index("--") + 1 :]
    if command and depth:
        yield command
        yield from _inner_commands(command, depth - 1)


def _shell_command(arguments: Sequence[str]) -> Sequence[str]:
    """Return the first command of `sh -c SCRIPT`."""
    for option, script in pairwise(arguments):
        if re.fullmatch(r"-[abd-zA-Z]*c[a-zA-Z]*", option):
            return _first_command(script)
    return ()


def _first_command(script: str) -> Sequence[str]:
    lexer = shlex.shlex(script[:MAX_SCRIPT_CHARACTERS], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set("();<>|&"):
                break
            words.append(word)
    except ValueError:
        if len(script) <= MAX_SCRIPT_CHARACTERS:
            return ()
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _BEFORE_COMMAND):
        del words[0]
    return () if words and set(words[0]) & set("$`*?[{~") else words


def _env_command(arguments: Sequence[str]) -> Sequence[str]:
    """Return the command in env's arguments, behind its options and assignments."""
    words, splits = list(arguments), 0
    while words:
        if (split := _SPLIT.match(words[0])) and splits < _MAX_WRAPPERS:
            splits += 1
            # `-S "python3 -u"`, `-Spython3`, `--split-string=python3`: the text replaces the option.
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
    """Return the strings of an untrusted config's list; old configs hold one bare string."""
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
