"""The program: its commands, in the order in which its help lists them, with the examples that end each one's help."""

from __future__ import annotations

from typing import Annotated

import typer

from multibuild import __version__
from multibuild.cli.command import epilog, register
from multibuild.cli.commands.all import all_, build
from multibuild.cli.commands.clean import clean
from multibuild.cli.commands.completion import completion, schema
from multibuild.cli.commands.doctor import doctor
from multibuild.cli.commands.explain import explain
from multibuild.cli.commands.import_ import import_
from multibuild.cli.commands.init import init
from multibuild.cli.commands.inspect import inspect
from multibuild.cli.commands.matrix import matrix
from multibuild.cli.commands.merge import merge
from multibuild.cli.commands.plan import plan
from multibuild.cli.commands.report import report, runs
from multibuild.cli.commands.resolve import resolve
from multibuild.cli.commands.setup import setup
from multibuild.cli.commands.test import test
from multibuild.cli.commands.verify import verify

app = typer.Typer(
    name="multibuild",
    help="Build one Dockerfile for every architecture and publish one annotated index.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(ctx: typer.Context, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:  # shell completion parses like this
        print(f"multibuild {__version__}")
        raise typer.Exit


@app.callback(
    epilog=epilog("multibuild plan", "multibuild all", "multibuild inspect registry.example.org/app:1")
)
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Build one Dockerfile for every architecture and publish one annotated index."""


register(
    app,
    init,
    "multibuild init",
    "multibuild init --image registry.example.org/team/app",
    "multibuild init --dockerfile docker/Dockerfile --platform all",
)
register(app, doctor, "multibuild doctor", "multibuild doctor --json")
register(
    app,
    setup,
    "multibuild setup",
    "multibuild setup --dry-run",
    "multibuild setup --builder fleet.yaml",
)
register(app, plan, "multibuild plan", "multibuild plan --commands", "multibuild plan --json")
register(app, all_, "multibuild all", "multibuild all --platform linux/arm64 --tag test")
register(app, build, "multibuild build", "multibuild build --platform linux/arm64,linux/riscv64")
register(app, test, "multibuild test", "multibuild test --json")
register(app, verify, "multibuild verify", "multibuild verify busybox:1.37 --content all --json")
register(
    app,
    merge,
    "multibuild merge",
    "multibuild merge r.example/app:1 r.example/app-amd64:1 r.example/app-arm64:1",
    "multibuild merge r.example/app:1 a:1 b:1 --also-as b:1=linux/arm64/unknown",
)
register(app, inspect, "multibuild inspect registry.example.org/app:1", "multibuild inspect busybox --raw")
register(
    app,
    resolve,
    "multibuild resolve registry.example.org/app:1 --host linux/arm64",
    "kubectl get nodes -o json | multibuild resolve r.example/app:1 --nodes -",
    "multibuild resolve --index index.json --host linux/arm/v7 --client podman --json",
)
register(
    app,
    explain,
    "multibuild explain build.log",
    "docker buildx build . 2>&1 | multibuild explain -",
)
register(app, report, "multibuild report", "multibuild report 20260101-1200 --markdown")
register(app, runs, "multibuild runs", "multibuild runs --json")
register(
    app,
    matrix,
    "echo matrix=$(multibuild matrix --format github) >> $GITHUB_OUTPUT",
    "multibuild matrix --format gitlab > multibuild-matrix.yml",
    "multibuild matrix --shards 3",
)
register(
    app,
    import_,
    "multibuild import runs/* && multibuild merge",
    "multibuild import /mnt/arm64-state",
)
register(
    app,
    clean,
    "multibuild clean --dry-run",
    "multibuild clean --keep 5",
    "multibuild clean --only staged",
)
register(app, schema, "multibuild schema > multibuild.schema.json")
register(
    app,
    completion,
    "source <(multibuild completion bash)",
    "source <(multibuild completion zsh)",
    "multibuild completion fish > ~/.config/fish/completions/multibuild.fish",
)
