"""The commands about an index, anybody's: `verify`, `merge`, `inspect`, `resolve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli import merge_options as m
from multibuild.cli import options as o

commands = typer.Typer()


@commands.command(
    epilog=o.examples("multibuild verify", "multibuild verify busybox:1.37 --content all --json")
)
def verify(
    reference: Annotated[
        str | None, typer.Argument(help="An image or index; default the config's image at its first tag.")
    ] = None,
    content: Annotated[
        str | None,
        typer.Option("--content", help="entrypoint or all; default the config's.", show_default=False),
    ] = None,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Prove that an index is what it says.

    Its children exist, agree with it, and hold programs of their platform.
    """
    from multibuild.cli import runs
    from multibuild.cli import verify as command

    request = runs.Request(file=file, state_dir=state_dir, json=json, quiet=quiet, verbose=verbose)
    raise typer.Exit(command.verify(request, reference, content=content))


@commands.command(
    epilog=o.examples(
        "multibuild merge",
        "multibuild merge r.example/app:1 r.example/app-amd64:1 r.example/app-arm64:1",
        "multibuild merge r.example/app:1 a:1 b:1 --also-as b:1=linux/arm64/unknown",
    )
)
def merge(
    target: Annotated[str | None, typer.Argument(help="The tag to publish; none: the last run's.")] = None,
    sources: Annotated[
        list[str] | None, typer.Argument(help="Images or indexes, tags or digests.", show_default=False)
    ] = None,
    platform_of: m.PlatformOf = None,
    also_as: m.AlsoAs = None,
    os_version: m.OsVersion = None,
    os_features: m.OsFeatures = None,
    features: m.Features = None,
    annotation: m.Annotations = None,
    media_type: m.MediaType = None,
    from_oci: m.FromOci = None,
    append: m.Append = False,
    flatten: m.Flatten = True,
    ignore_missing: m.IgnoreMissing = False,
    dry_run: m.DryRun = False,
    platform: o.Platforms = None,
    tag: m.Tags = None,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Compose an index of images from anywhere.

    Pushes it and moves the tag. Without arguments: of the last run's children.
    """
    from multibuild.cli import merge as merging

    flags = merging.MergeFlags(
        file=file,
        platform_of=tuple(platform_of or ()),
        also_as=tuple(also_as or ()),
        os_version=tuple(os_version or ()),
        os_features=tuple(os_features or ()),
        features=tuple(features or ()),
        annotation=tuple(annotation or ()),
        platform=tuple(platform or ()),
        tag=tuple(tag or ()),
        media_type=media_type,
        append=append,
        flatten=flatten,
        ignore_missing=ignore_missing,
        dry_run=dry_run,
        json=json,
        quiet=quiet,
    )
    layouts = [f"oci:{path}" for path in from_oci or ()]
    if target is None:
        raise typer.Exit(merging.merge_last(flags, state_dir=state_dir, verbose=verbose))
    raise typer.Exit(merging.merge_ad_hoc(target, [*(sources or ()), *layouts], flags))


@commands.command(
    epilog=o.examples("multibuild inspect registry.example.org/app:1", "multibuild inspect busybox --raw")
)
def inspect(
    reference: Annotated[str, typer.Argument(help="An image or index.")],
    raw: Annotated[bool, typer.Option("--raw", help="The exact bytes.")] = False,
    diff: Annotated[
        str | None, typer.Option("--diff", help="What changed from it to this one.", show_default=False)
    ] = None,
    proof: Annotated[bool, typer.Option("--proof", help="Look into every image, as verify does.")] = False,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Show an index for people.

    Its entries, sizes, attestations, annotations, and what looks wrong.
    """
    from multibuild.cli import images

    raise typer.Exit(images.inspect(reference, file=file, raw=raw, json_output=json, diff=diff, proof=proof))


@commands.command(
    epilog=o.examples(
        "multibuild resolve registry.example.org/app:1 --host linux/arm64",
        "kubectl get nodes -o json | multibuild resolve r.example/app:1 --nodes -",
        "multibuild resolve --index index.json --host linux/arm/v7 --client podman --json",
    )
)
def resolve(
    reference: Annotated[str | None, typer.Argument(help="An image or index.", show_default=False)] = None,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="os/arch[/variant] of a host (repeatable).", show_default=False),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(
            "--client", help="containerd, docker, docker-legacy, podman or crane.", show_default=False
        ),
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", help="An index in a file, or -.", show_default=False)
    ] = None,
    nodes: Annotated[
        Path | None,
        typer.Option("--nodes", help="Output of `kubectl get nodes -o json`, or -.", show_default=False),
    ] = None,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Say which entry of an index each client takes on a host."""
    from multibuild.cli import resolve as resolving

    flags = resolving.ResolveFlags(
        file=file,
        reference=reference,
        index=index,
        hosts=tuple(host or ()),
        nodes=nodes,
        clients=tuple(client or ()),
        json=json,
    )
    raise typer.Exit(resolving.resolve(flags))
