"""The program and its commands."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, cast

import typer

from multibuild import __version__
from multibuild.cli.command import epilog, register

COMMANDS: dict[str, tuple[str, ...]] = {
    "init": (
        "multibuild init",
        "multibuild init --image registry.example.org/team/app",
        "multibuild init --dockerfile docker/Dockerfile --platform all",
    ),
    "doctor": ("multibuild doctor", "multibuild doctor --json"),
    "setup": ("multibuild setup", "multibuild setup --dry-run", "multibuild setup --builder fleet.yaml"),
    "lint": (
        "multibuild lint",
        "multibuild lint --fix docker/*.Dockerfile",
        "multibuild lint --format sarif > lint.sarif",
    ),
    "plan": ("multibuild plan", "multibuild plan --commands", "multibuild plan --json"),
    "all": ("multibuild all", "multibuild all --platform linux/arm64 --tag test"),
    "build": ("multibuild build", "multibuild build --platform linux/arm64,linux/riscv64"),
    "test": ("multibuild test", "multibuild test --json"),
    "verify": ("multibuild verify", "multibuild verify busybox:1.37 --content all --json"),
    "merge": (
        "multibuild merge",
        "multibuild merge r.example/app:1 r.example/app-amd64:1 r.example/app-arm64:1",
        "multibuild merge r.example/app:1 a:1 b:1 --also-as b:1=linux/arm64/unknown",
    ),
    "promote": (
        "multibuild promote r.example/app:1.2-rc1 r.example/app:1.2 :latest",
        "multibuild promote stage.example/app:1 r.example/app:1 --verify --signed-by cosign.pub",
        "multibuild promote r.example/app:1 mirror.example/app:1 --dry-run --json",
    ),
    "inspect": ("multibuild inspect registry.example.org/app:1", "multibuild inspect busybox --raw"),
    "resolve": (
        "multibuild resolve registry.example.org/app:1 --host linux/arm64",
        "kubectl get nodes -o json | multibuild resolve r.example/app:1 --nodes -",
        "multibuild resolve --index index.json --host linux/arm/v7 --client podman --json",
    ),
    "explain": ("multibuild explain build.log", "docker buildx build . 2>&1 | multibuild explain -"),
    "report": (
        "multibuild report",
        "multibuild report 20260101-1200 --markdown",
        "multibuild report app worker",
    ),
    "runs": ("multibuild runs", "multibuild runs --json"),
    "matrix": (
        "echo matrix=$(multibuild matrix --format github) >> $GITHUB_OUTPUT",
        "multibuild matrix --format gitlab > multibuild-matrix.yml",
        "multibuild matrix --shards 3",
        "multibuild matrix --by image --format github",
    ),
    "import": ("multibuild import runs/* && multibuild merge", "multibuild import /mnt/arm64-state"),
    "clean": ("multibuild clean --dry-run", "multibuild clean --keep 5", "multibuild clean --only staged"),
    "schema": ("multibuild schema > multibuild.schema.json",),
    "completion": (
        "source <(multibuild completion bash)",
        "source <(multibuild completion zsh)",
        "multibuild completion fish > ~/.config/fish/completions/multibuild.fish",
    ),
}
"""The commands in the order of the help, with the examples at the end of their help."""

FILES = {"build": "all", "import": "import_", "runs": "report", "schema": "completion"}
"""Files of the commands that are not in one of their own name."""


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
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(
        epilog=epilog("multibuild plan", "multibuild all", "multibuild inspect registry.example.org/app:1")
    )(top)
    for name in [command] if command in COMMANDS else COMMANDS:
        register(app, name, _function_of(name), COMMANDS[name])
    return app


def _function_of(name: str) -> Callable[..., int]:
    """Import a command: its file alone, as all of them would cost every start a hundredth of a second."""
    module = import_module(f"multibuild.cli.commands.{FILES.get(name, name)}")
    # `all` and `import` are names of Python.
    return cast("Callable[..., int]", getattr(module, f"{name}_" if name in {"all", "import"} else name))
