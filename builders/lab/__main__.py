"""`python3 -m builders.lab COMMAND`: needs nothing but Python's standard library and Debian's apt."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from builders.lab import base, commands, emulators, engine, mounts, packages, process, registry
from builders.lab.forward import forward
from builders.lab.paths import Lab, LabError, lab
from builders.lab.process import say


def main() -> int:
    """Run one command; 3 when the lab cannot be made ready, 130 when interrupted."""
    given = _arguments()
    # TERM ends a command as INT does, so that nothing is left half-said.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _act(lab(), given)
    except LabError as error:
        print(f"lab: {error}\nlab: hint: {error.hint}", file=sys.stderr)
        return 3
    except (OSError, subprocess.SubprocessError) as error:
        print(f"lab: {error}\nlab: hint: `python3 -m builders.lab status` tells what runs", file=sys.stderr)
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
    down = commands.add_parser("down", help="stop what up started and undo what it changed")
    down.add_argument("--purge", action="store_true", help="also delete images, caches and packages")
    commands.add_parser("status", help="what runs")
    commands.add_parser("env", help="shell lines to export")
    commands.add_parser(
        "readers", help="unpack skopeo, crane and oras, to check images with; prints their prefix"
    )
    second = commands.add_parser("engine", help="a further engine with its own data; up prints its socket")
    second.add_argument("name")
    second.add_argument("action", choices=("up", "down"))
    second.add_argument("--disk", metavar="SIZE", help="keep its data on a disk of its own, in memory: 200m")
    forwarder = commands.add_parser("forward", help="a TCP port to an engine's BuildKit")
    forwarder.add_argument("socket", type=Path)
    forwarder.add_argument("port", type=int)
    forwarder.add_argument("--tls", nargs=3, type=Path, metavar=("CERT", "KEY", "CA"))
    return parser.parse_args()


def _act(here: Lab, given: argparse.Namespace) -> None:
    if given.command == "env":
        print("\n".join(exports(here)))
    elif given.command == "status":
        _status(here)
    elif given.command == "forward":
        asyncio.run(forward(given.socket, given.port, tuple(given.tls) if given.tls else None))
    elif given.command == "up" and _ready_without_us(here):
        say(f"ready: {here.registry}")
    else:
        _need_root()
        with _lock(here):
            _change(here, given)


def _change(here: Lab, given: argparse.Namespace) -> None:
    if given.command == "up":
        up(here)
    elif given.command == "down":
        down(here, purge=given.purge)
    elif given.command == "readers":
        print(packages.readers(here))
    elif given.action == "up":
        further = engine.Engine(lab=here, name=given.name, disk=given.disk)
        if not packages.unpacked(here):
            packages.unpack(here)
        engine.up(further)
        print(further.socket)
    else:
        engine.down(engine.Engine(lab=here, name=given.name))


def _need_root() -> None:
    if os.geteuid() != 0:
        raise LabError(
            "not everything the lab needs is here, and only root can start an engine and register emulators",
            "run it as root, or start Docker with the containerd image store, QEMU and a registry yourself",
        )


@contextlib.contextmanager
def _lock(here: Lab) -> Iterator[None]:
    """Change the lab one at a time: a second `make all` waits for the first."""
    path = here.home / "lock"
    while True:
        here.home.mkdir(parents=True, exist_ok=True)
        with path.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            # `down --purge` may have deleted the file we waited for.
            if path.exists() and path.samefile(f"/proc/self/fd/{held.fileno()}"):
                yield
                return


def _ready_without_us(here: Lab) -> bool:
    """Whether everything is there although the lab runs no engine of its own, or may not change it."""
    own = process.alive(engine.Engine(lab=here, name=engine.FIRST).record) is not None
    if own and os.geteuid() == 0:
        return False
    complete = base.published(here) >= set(base.PLATFORMS) and not emulators.missing()
    return complete and engine.good_enough() and commands.buildx_works()


def up(here: Lab) -> None:
    """Make engine, registry, emulators and base image ready; what is ready is left alone."""
    first = engine.Engine(lab=here, name=engine.FIRST)
    theirs = process.alive(first.record) is None and engine.good_enough()
    if not packages.unpacked(here):
        say(f"as root: unpacking {'QEMU and a registry' if theirs else 'a Docker engine'} into {here.home}")
        packages.unpack(here)
    if not theirs:
        engine.up(first)
    commands.link(here)
    host = None if theirs else engine.address(first)
    if host is not None:
        os.environ["DOCKER_HOST"] = host
        say('another engine has the default socket: eval "$(python3 -m builders.lab env)" leads to this one')
    if not engine.good_enough():
        raise LabError("the docker command does not reach the engine", f"its log is {first.log}")
    registry.up(here)
    emulators.up(here)
    base.up(here)
    say(f"ready: {here.registry}")


def down(here: Lab, *, purge: bool) -> None:
    """Stop everything the lab started and take back what it linked, mounted and registered."""
    for each in engine.running(here):
        engine.down(each)
    registry.down(here)
    emulators.down(here)
    mounts.undo(here)
    commands.unlink(here)
    shutil.rmtree(here.run, ignore_errors=True)
    if purge:
        _empty(here.home)


def _empty(home: Path) -> None:
    """Delete everything of the lab; the home itself stays when it is a volume."""
    for part in home.iterdir():
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink()
    with contextlib.suppress(OSError):
        home.rmdir()


def exports(here: Lab) -> tuple[str, ...]:
    """Give the lines a shell evaluates to use the lab."""
    values = {
        "MULTIBUILD_LAB_REGISTRY": here.registry,
        "MULTIBUILD_LAB_QEMU": str(here.prefix / "usr" / "bin"),
    }
    first = engine.Engine(lab=here, name=engine.FIRST)
    if process.alive(first.record) is not None:
        host = engine.address(first)
        values |= {"DOCKER_HOST": host} if host else {}
    return tuple(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def _status(here: Lab) -> None:
    for each in engine.running(here):
        pid = process.alive(each.record)
        print(f"{each.name:12} {f'running, pid {pid}, {each.socket}' if pid else 'stopped'}")
    absent = emulators.missing()
    print(f"{'docker':12} {'good enough' if engine.good_enough() else 'reaches no engine that will do'}")
    print(f"{'registry':12} {here.registry + (' answers' if registry.answers(here) else ' does not answer')}")
    print(f"{'emulators':12} {'missing: ' + ', '.join(absent) if absent else 'all registered'}")
    print(f"{'base image':12} {len(base.published(here))} platforms")


if __name__ == "__main__":
    sys.exit(main())
