"""The commands: each parses, calls one function and prints. Heavy modules are imported by those that need them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli import first, fleet
from multibuild.cli import merge_options as m
from multibuild.cli import options as o
from multibuild.cli.options import examples as _examples

app = typer.Typer(
    name="multibuild",
    help="Build one Dockerfile for every architecture and publish one annotated index.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from multibuild import __version__

        print(f"multibuild {__version__}")
        raise typer.Exit


@app.callback(
    epilog=_examples("multibuild plan", "multibuild all", "multibuild inspect registry.example.org/app:1")
)
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and exit.")
    ] = False,
) -> None:
    """Build one Dockerfile for every architecture and publish one annotated index."""


first.add_init(app)
fleet.add_to(app)


@app.command("all", epilog=_examples("multibuild all", "multibuild all --platform linux/arm64 --tag test"))
def all_(
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    platform: o.Platforms = None,
    tag: o.Tags = None,
    set_: o.Sets = None,
    builder: o.Builder = None,
    jobs: o.Jobs = None,
    resume: o.Resume = False,
    fail_fast: o.FailFast = False,
    progress: o.ProgressKind = "auto",
    report: o.ReportFile = None,
    if_changed: o.IfChanged = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Build, test, prove, merge, move the tags.

    Sets up what is missing, builds every platform on its own, and moves no tag before everything holds.
    """
    _run("publish", locals())


@app.command(epilog=_examples("multibuild build", "multibuild build --platform linux/arm64,linux/riscv64"))
def build(
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    platform: o.Platforms = None,
    tag: o.Tags = None,
    set_: o.Sets = None,
    builder: o.Builder = None,
    jobs: o.Jobs = None,
    resume: o.Resume = False,
    fail_fast: o.FailFast = False,
    progress: o.ProgressKind = "auto",
    report: o.ReportFile = None,
    if_changed: o.IfChanged = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Build and push every platform's child; no tag is moved."""
    _run("build", locals())


def _run(until: str, given: dict[str, object]) -> None:
    from multibuild.cli import runs

    dry_run = bool(given.pop("dry_run"))
    request = runs.request_of(given)
    if dry_run:
        runs.show_plan(request, commands=False)
        return
    raise typer.Exit(runs.run(request, until=until))


@app.command(epilog=_examples("multibuild plan", "multibuild plan --commands", "multibuild plan --json"))
def plan(
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    platform: o.Platforms = None,
    tag: o.Tags = None,
    set_: o.Sets = None,
    builder: o.Builder = None,
    jobs: o.Jobs = None,
    json: o.Json = False,
    commands: Annotated[bool, typer.Option("--commands", help="The exact docker commands.")] = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Say what `all` would do; change nothing, start no engine."""
    from multibuild.cli import runs

    given = locals()
    given.pop("runs")
    runs.show_plan(runs.request_of({k: v for k, v in given.items() if k != "commands"}), commands=commands)


@app.command(epilog=_examples("multibuild doctor", "multibuild doctor --json"))
def doctor(
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    builder: o.Builder = None,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Say whether the platforms can be built here.

    Runs a tiny program of each through the builder; for what does not run it says why, and what mends it.
    """
    from multibuild.cli import machine, runs

    request = runs.Request(
        file=file, state_dir=state_dir, builder=builder, json=json, quiet=quiet, verbose=verbose
    )
    raise typer.Exit(machine.doctor(request))


@app.command(
    epilog=_examples("multibuild inspect registry.example.org/app:1", "multibuild inspect busybox --raw")
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


@app.command(
    epilog=_examples("multibuild explain build.log", "docker buildx build . 2>&1 | multibuild explain -")
)
def explain(
    log: Annotated[str, typer.Argument(help="A build log, or - for standard input.")],
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Say what a build log's failure is.

    Its class, whether it would be retried, and what to do.
    """
    from multibuild.cli import history

    raise typer.Exit(history.explain(log, json_output=json))


@app.command(epilog=_examples("multibuild report", "multibuild report 20260101-1200 --markdown"))
def report(
    run: Annotated[
        str | None, typer.Argument(help="A run's id, or its beginning; default the newest.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="For a CI summary.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page there.", show_default=False)
    ] = None,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Show the report of a run."""
    from multibuild.cli import history, runs

    request = runs.Request(file=file, state_dir=state_dir, json=json, quiet=quiet, verbose=verbose)
    raise typer.Exit(history.report(request, run, markdown=markdown, page=html))


@app.command("runs", epilog=_examples("multibuild runs", "multibuild runs --json"))
def runs_(
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """List past runs, newest first."""
    from multibuild.cli import history, runs

    request = runs.Request(file=file, state_dir=state_dir, json=json, quiet=quiet, verbose=verbose)
    raise typer.Exit(history.runs(request))


@app.command(epilog=_examples("multibuild schema > multibuild.schema.json"))
def schema(
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Print the JSON Schema of the config file."""
    from json import dumps

    from multibuild.config.schema import json_schema

    print(dumps(json_schema(), indent=2))


@app.command(epilog=_examples("multibuild verify", "multibuild verify busybox:1.37 --content all --json"))
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


@app.command("test", epilog=_examples("multibuild test", "multibuild test --json"))
def retest(
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    progress: o.ProgressKind = "auto",
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Test every child of the last run again.

    Runs the configured test at each exact digest, each time it is asked.
    """
    from multibuild.cli import runs
    from multibuild.cli import verify as command

    request = runs.Request(
        file=file, state_dir=state_dir, progress=progress, json=json, quiet=quiet, verbose=verbose
    )
    raise typer.Exit(command.test(request))


@app.command(
    epilog=_examples(
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


@app.command(
    epilog=_examples(
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


first.add_completion(app)
