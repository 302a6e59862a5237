"""Programs on PATH whose starts and ends are counted; at one of them the process that started the program is killed."""

import fcntl
import shlex

WRAPPER = """#!/bin/sh
exec 9>>{folder}/running
flock -s 9
note() {{
    echo "$1 {name}" >>{folder}/log
    test "$(wc -l <{folder}/log)" != "$(cat {folder}/kill)" || kill -KILL $PPID
}}
note start
{program} "$@"
code=$?
note end
exit $code
"""


class CountedPrograms:
    """Wrappers of programs; `bin` comes first on PATH. What a program does at a kill it does to the end."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir(parents=True)
        self.reset()

    def add(self, name, program):
        """Put a program on PATH, or the text of a script for a shell."""
        if isinstance(program, str):
            program, text = self.folder / f"{name}.sh", program
            self._write(program, f"#!/bin/sh\n{text}\n")
        folder, program = shlex.quote(str(self.folder)), shlex.quote(str(program))
        self._write(self.bin / name, WRAPPER.format(folder=folder, name=name, program=program))

    def reset(self, kill=0):
        """Start counting; `kill` is the number, from 1, of the start or end at which the parent is killed."""
        (self.folder / "kill").write_text(str(kill))
        (self.folder / "log").write_text("")

    @property
    def events(self):
        return (self.folder / "log").read_text().splitlines()

    def wait(self):
        """Wait until none runs: they may outlive the process that started them."""
        with (self.folder / "running").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)

    def _write(self, path, text):
        path.write_text(text)
        path.chmod(0o755)
