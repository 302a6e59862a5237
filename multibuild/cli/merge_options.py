"""The flags of `merge`."""

from __future__ import annotations

from typing import Annotated

import typer

PlatformOf = Annotated[
    list[str] | None, typer.Option("--platform-of", help="SOURCE=os/arch[/variant].", show_default=False)
]
AlsoAs = Annotated[
    list[str] | None, typer.Option("--also-as", help="SOURCE=platform: a further entry.", show_default=False)
]
OsVersion = Annotated[
    list[str] | None, typer.Option("--os-version", help="SOURCE=VERSION.", show_default=False)
]
OsFeatures = Annotated[
    list[str] | None, typer.Option("--os-features", help="SOURCE=a,b.", show_default=False)
]
Features = Annotated[
    list[str] | None,
    typer.Option("--features", help="SOURCE=a,b: of the CPU, in a Docker list.", show_default=False),
]
Annotations = Annotated[
    list[str] | None, typer.Option("--annotation", help="[PLATFORM:]KEY=VALUE.", show_default=False)
]
MediaType = Annotated[str | None, typer.Option("--media-type", help="oci or docker.", show_default=False)]
FromOci = Annotated[
    list[str] | None,
    typer.Option(
        "--from-oci", help="DIR[:TAG] or FILE[:TAG]: an OCI layout as a source.", show_default=False
    ),
]
Append = Annotated[bool, typer.Option("--append", help="Onto what TARGET holds now.")]
Flatten = Annotated[
    bool, typer.Option("--flatten/--no-flatten", help="Take the images out of an index that is a source.")
]
IgnoreMissing = Annotated[
    bool, typer.Option("--ignore-missing", help="Leave out sources that are not there.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the exact bytes, push nothing.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="A further tag of TARGET, or host/repository:tag.", show_default=False),
]
