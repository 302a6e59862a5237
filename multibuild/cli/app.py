"""The program and its commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from multibuild import __version__
from multibuild.cli.command import epilog, name_of, register
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

COMMANDS: dict[Callable[..., int], tuple[str, ...]] = {
    init: (
        "multibuild init",
        "multibuild init --image registry.example.org/team/app",
        "multibuild init --dockerfile docker/Dockerfile --platform all",
    ),
    doctor: ("multibuild doctor", "multibuild doctor --json"),
    setup: ("multibuild setup", "multibuild setup --dry-run", "multibuild setup --builder fleet.yaml"),
    plan: ("multibuild plan", "multibuild plan --commands", "multibuild plan --json"),
    all_: ("multibuild all", "multibuild all --platform linux/arm64 --tag test"),
    build: ("multibuild build", "multibuild build --platform linux/arm64,linux/riscv64"),
    test: ("multibuild test", "multibuild test --json"),
    verify: ("multibuild verify", "multibuild verify busybox:1.37 --content all --json"),
    merge: (
        "multibuild merge",
        "multibuild merge r.example/app:1 r.example/app-amd64:1 r.example/app-arm64:1",
        "multibuild merge r.example/app:1 a:1 b:1 --also-as b:1=linux/arm64/unknown",
    ),
    inspect: ("multibuild inspect registry.example.org/app:1", "multibuild inspect busybox --raw"),
    resolve: (
        "multibuild resolve registry.example.org/app:1 --host linux/arm64",
        "kubectl get nodes -o json | multibuild resolve r.example/app:1 --nodes -",
        "multibuild resolve --index index.json --host linux/arm/v7 --client podman --json",
    ),
    explain: ("multibuild explain build.log", "docker buildx build . 2>&1 | multibuild explain -"),
    report: ("multibuild report", "multibuild report 20260101-1200 --markdown"),
    runs: ("multibuild runs", "multibuild runs --json"),
    matrix: (
        "echo matrix=$(multibuild matrix --format github) >> $GITHUB_OUTPUT",
        "multibuild matrix --format gitlab > multibuild-matrix.yml",
        "multibuild matrix --shards 3",
    ),
    import_: ("multibuild import runs/* && multibuild merge", "multibuild import /mnt/arm64-state"),
    clean: ("multibuild clean --dry-run", "multibuild clean --keep 5", "multibuild clean --only staged"),
    schema: ("multibuild schema > multibuild.schema.json",),
    completion: (
        "source <(multibuild completion bash)",
        "source <(multibuild completion zsh)",
        "multibuild completion fish > ~/.config/fish/completions/multibuild.fish",
    ),
}
"""The commands in the order of the help, with the examples at the end of their help."""


def _version(ctx: typer.Context, requested: bool) -> None:
    if requested and not ctx.resilient_parsing:  # shell completion parses like this
        print(f"multibuild {__version__}")
        raise typer.Exit


def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Build one Dockerfile for every architecture and publish one annotated index."""


def program(command: str = "") -> typer.Typer:
    """Return the program, with only `command` where it exists: creating options takes time."""
    app = typer.Typer(
        name="multibuild",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(
        epilog=epilog("multibuild plan", "multibuild all", "multibuild inspect registry.example.org/app:1")
    )(top)
    functions = {name_of(function): function for function in COMMANDS}
    for function in [functions[command]] if command in functions else COMMANDS:
        register(app, function, COMMANDS[function])
    return app
