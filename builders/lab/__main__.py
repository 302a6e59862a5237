"""`python3 -m builders.lab COMMAND`: needs nothing but Python's standard library and Debian's apt."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import shutil
import sys
from pathlib import Path

from builders.lab import base, emulators, engine, packages, process, registry
from builders.lab.forward import forward
from builders.lab.paths import REGISTRY, Lab, LabError, lab
from builders.lab.process import say


def main() -> int:
    """Run one command; 3 when the lab cannot be made ready."""
    given = _arguments()
    here = lab()
    try:
        if given.command == "env":
            print(
                f"export MULTIBUILD_LAB_REGISTRY={REGISTRY}\nexport MULTIBUILD_LAB_QEMU={here.prefix}/usr/bin"
            )
        elif given.command == "status":
            _status(here)
        elif given.command == "forward":
            asyncio.run(forward(given.socket, given.port, tuple(given.tls) if given.tls else None))
        else:
            _locked(here, given)
    except LabError as error:
        print(f"lab: {error}\nlab: hint: {error.hint}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m builders.lab", description="A real engine on a bare machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="make everything ready")
    down = commands.add_parser("down", help="stop what up started")
    down.add_argument("--purge", action="store_true", help="also delete images, caches and packages")
    commands.add_parser("status", help="what runs")
    commands.add_parser("env", help="shell lines to export")
    second = commands.add_parser("engine", help="a further engine with its own data")
    second.add_argument("name")
    second.add_argument("action", choices=("up", "down"))
    forwarder = commands.add_parser("forward", help="a TCP port to an engine's BuildKit")
    forwarder.add_argument("socket", type=Path)
    forwarder.add_argument("port", type=int)
    forwarder.add_argument("--tls", nargs=3, type=Path, metavar=("CERT", "KEY", "CA"))
    return parser.parse_args()


def _locked(here: Lab, given: argparse.Namespace) -> None:
    """Change the lab, one at a time: a second `make all` waits for the first."""
    if os.geteuid() != 0 and given.command == "up" and engine.good_enough() and registry.answers():
        return
    if os.geteuid() != 0:
        raise LabError(
            "there is no Docker engine with the containerd image store here, and only root can start one",
            "run it as root, or start Docker with the containerd image store and a registry on " + REGISTRY,
        )
    here.home.mkdir(parents=True, exist_ok=True)
    with (here.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if given.command == "up":
            up(here)
        elif given.command == "down":
            down(here, purge=given.purge)
        else:
            further = engine.Engine(lab=here, name=given.name)
            if given.action == "up":
                packages.unpacked(here) or packages.unpack(here)
                engine.up(further, default_socket=False)
                print(further.socket)
            else:
                engine.down(further)


def up(here: Lab) -> None:
    """Make engine, registry, emulators and base image ready; what is ready is left alone."""
    own = process.alive(here.run / f"{engine.FIRST}.json") is not None
    theirs = not own and engine.good_enough()
    if not packages.unpacked(here):
        say(f"as root: unpacking {'QEMU and a registry' if theirs else 'a Docker engine'} into {here.home}")
        packages.unpack(here)
    if not theirs:
        engine.up(engine.Engine(lab=here, name=engine.FIRST), default_socket=True)
    engine.link_commands(here)
    if not engine.good_enough():
        raise LabError(
            "the docker command does not reach the lab's engine",
            f"unset DOCKER_HOST and DOCKER_CONTEXT, or set DOCKER_HOST=unix://{here.run}/{engine.FIRST}.sock",
        )
    registry.up(here)
    emulators.up(here)
    base.up(here)
    say(f"ready: {REGISTRY}")


def down(here: Lab, *, purge: bool) -> None:
    """Stop everything the lab started and take back what it linked and registered."""
    for record in sorted(here.run.glob("*.json")):
        if record.name.removesuffix(".json") not in {"registry"} and not record.name.endswith(
            "-dockerd.json"
        ):
            engine.down(engine.Engine(lab=here, name=record.name.removesuffix(".json")))
    engine.down(engine.Engine(lab=here, name=engine.FIRST))
    registry.down(here)
    emulators.down(here)
    engine.unlink_commands(here)
    shutil.rmtree(here.run, ignore_errors=True)
    if purge:
        shutil.rmtree(here.home, ignore_errors=True)


def _status(here: Lab) -> None:
    for record in sorted(here.run.glob("*.json")):
        if not record.name.endswith("-dockerd.json"):
            pid = process.alive(record)
            print(f"{record.stem:12} {'running, pid ' + str(pid) if pid else 'stopped'}")
    print(f"{'engine':12} {'good enough' if engine.good_enough() else 'none that will do'}")
    print(f"{'registry':12} {REGISTRY + ' answers' if registry.answers() else 'does not answer'}")
    print(f"{'base image':12} {len(base.published())} platforms")


if __name__ == "__main__":
    sys.exit(main())
