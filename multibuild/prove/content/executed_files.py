"""The files that an image's ENTRYPOINT and CMD execute, resolved as the kernel and the runtime resolve them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from multibuild.frozen import frozen
from multibuild.prove.content.find_library import find_library, library_directories
from multibuild.prove.content.merged_rootfs import MAX_PATH_CHARACTERS, ImageFile, RootFs
from multibuild.prove.content.tar_header import quoted, shown

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of a container whose config has none (moby oci/caps and oci/defaults, containerd oci/spec_opts.go)."""

MAX_INTERPRETERS = 4
"""Depth of scripts that are each other's interpreter (fs/exec.c exec_binprm: ELOOP beyond it)."""

_MAX_WRAPPERS = 5
MAX_SCRIPT_CHARACTERS = 16 << 10
"""Characters of `sh -c SCRIPT` in which its first command is looked for: shlex takes quadratic time."""
MAX_WORDS = 4096
"""Words of a command line that are read; a config of 4 MiB has room for a million."""
MAX_ARGUMENT_CHARACTERS = 128 << 10
"""Characters of a word or variable that are read: exec takes no more (MAX_ARG_STRLEN, include/uapi/linux/binfmts.h)."""
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
        self._library_path = _directories(variables.get("LD_LIBRARY_PATH", ""))
        self._path = _directories(variables.get("PATH", DEFAULT_PATH))

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
            self.problems.append(f"{quoted(word)} is not in the image")
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
            self.problems.append(
                f"{shown(file.path)} is neither an ELF file nor a script with an interpreter"
            )

    def _add_libraries(self, file: ImageFile) -> None:
        """Add a program's shared libraries: of each the first that its loader could use, else a foreign one."""
        needed = file.entry.elf.needed if file.entry.elf is not None else ()
        directories = library_directories(file, self._root, self._library_path) if needed else ()
        for name in needed:
            library = find_library(name, file, self._root, directories)
            if library is not None and library.path not in self.files:
                self.files[library.path] = library
                self._unlinked.append(library)

    def _load_interpreter(self, file: ImageFile, name: str, interpreters: int) -> None:
        """Load an interpreter; the kernel resolves its name as a path, never through PATH."""
        interpreter = self._root.find(name, base=self._directory)
        if interpreter is None:
            self.problems.append(f"{shown(file.path)} needs {shown(name)}, which is not in the image")
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
            self.problems.append(f"{shown(file.path)} needs {quoted(command[0])}, which is not in the image")


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
        if option.startswith("-") and "c" in option and option[1:].isascii() and option[1:].isalpha():
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
    before = 0
    while before < len(words) and (_ASSIGNMENT.match(words[before]) or words[before] in _BEFORE_COMMAND):
        before += 1
    words = words[before:]
    return () if words and set(words[0]) & set("$`*?[{~") else words


def _env_command(arguments: Sequence[str]) -> Sequence[str]:
    """Return the command in env's arguments, behind its options and assignments."""
    words: Iterator[str] = iter(arguments)
    splits = 0
    while (word := next(words, None)) is not None:
        if (split := _SPLIT.match(word)) and splits < _MAX_WRAPPERS:
            splits += 1
            # `-S "python3 -u"`, `-Spython3`, `--split-string=python3`: the text replaces the option.
            text = word[split.end() :] or next(words, "")
            words = chain(text.split(), words)
        elif word in _ENV_OPTIONS_WITH_VALUE:
            next(words, "")
        elif not word.startswith("-") and not _ASSIGNMENT.match(word):
            return (word, *words)
    return ()


def _directories(path: str) -> tuple[str, ...]:
    """Return the directories of a list like PATH, each once."""
    return tuple(dict.fromkeys(path.split(":")))


def _basename(word: str) -> str:
    return word.rpartition("/")[2]


def _words(value: Any) -> tuple[str, ...]:
    """Return the strings of an untrusted config's list; old configs hold one bare string."""
    if isinstance(value, str):
        return (value[:MAX_ARGUMENT_CHARACTERS],) if value else ()
    words = value if isinstance(value, list) else []
    return tuple(word[:MAX_ARGUMENT_CHARACTERS] for word in words if isinstance(word, str))


def _text(value: Any) -> str:
    return value[:MAX_PATH_CHARACTERS] if isinstance(value, str) else ""
