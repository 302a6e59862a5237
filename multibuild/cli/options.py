"""The options that several commands share. CLI flag = YAML key = field name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli.verbose import say_more

File = Annotated[Path, typer.Option("--file", "-f", help="The config file.")]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Where runs are kept.", show_default=False)
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", callback=say_more, help="Say every docker command and registry request."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what fails.")]
Json = Annotated[bool, typer.Option("--json", help="Machine output on stdout.")]
Platforms = Annotated[
    list[str] | None,
    typer.Option("--platform", help="Only these platforms (repeatable, comma lists).", show_default=False),
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="Replaces the config's tags.", show_default=False)
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="key.path=value: overrides the config.", show_default=False)
]
Builder = Annotated[str | None, typer.Option("--builder", help="A profile or builder.", show_default=False)]
Jobs = Annotated[
    str | None, typer.Option("--jobs", help="Builds at once: a number or auto.", show_default=False)
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop the others when one fails.")]
ProgressKind = Annotated[str, typer.Option("--progress", help="auto, tty, plain, quiet or json.")]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Copies report.json there.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, like plan.")]
Resume = Annotated[bool, typer.Option("--resume/--no-resume", help="Continue the newest unfinished run.")]
IfChanged = Annotated[
    bool,
    typer.Option("--if-changed", help="Nothing to do if config, context, bases and tags are as they were."),
]

DEFAULT_FILE = Path("multibuild.yaml")


def examples(*lines: str) -> str:
    """Make the end of a command's help; the mark keeps each example on its line, to be copied."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
