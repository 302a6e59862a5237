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

from builders.lab import (
    base,
    buildkit_image,
    commands,
    emulators,
    engine,
    mounts,
    packages,
    paths,
    process,
    registry,
    toolchains,
)
from builders.lab.forward import forward
from builders.lab.paths import Lab, LabError
from builders.lab.process import say


def main() -> int:
    """Run one command; 3 when the lab cannot be made ready, 130 when interrupted."""
    options = _arguments()
    # TERM ends a command as INT does, with its cleanup.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _act(paths.lab(), options)
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
        "readers", help="unpack skopeo, crane, oras and cosign, to check images with; prints their prefix"
    )
    commands.add_parser("ssh", help="unpack an ssh server and client, for tests; prints their prefix")
    commands.add_parser("toolchains", help="build images with compilers, for the examples that need them")
    commands.add_parser("buildkit-image", help="BuildKit's image, or a stand-in; prints which")
    second = commands.add_parser("engine", help="a further engine with its own data; up prints its socket")
    second.add_argument("name")
    second.add_argument("action", choices=("up", "down"))
    second.add_argument("--disk", metavar="SIZE", help="keep its data on a disk of its own, in memory: 200m")
    forwarder = commands.add_parser("forward", help="a TCP port to an engine's BuildKit")
    forwarder.add_argument("socket", type=Path)
    forwarder.add_argument("port", type=int)
    forwarder.add_argument("--tls", nargs=3, type=Path, metavar=("CERT", "KEY", "CA"))
    return parser.parse_args()


def _act(lab: Lab, options: argparse.Namespace) -> None:
    if options.command == "env":
        print("\n".join(exports(lab)))
    elif options.command == "status":
        _status(lab)
    elif options.command == "forward":
        asyncio.run(forward(options.socket, options.port, tuple(options.tls) if options.tls else None))
    elif options.command == "up" and _ready_without_lab(lab):
        say(f"ready: {lab.registry}")
    else:
        _need_root()
        with _lock(lab):
            _change(lab, options)


def _change(lab: Lab, options: argparse.Namespace) -> None:
    if options.command == "up":
        up(lab)
    elif options.command == "down":
        down(lab, purge=options.purge)
    elif options.command == "readers":
        print(packages.readers(lab))
    elif options.command == "ssh":
        print(packages.openssh(lab))
    elif options.command == "toolchains":
        toolchains.up(lab)
    elif options.command == "buildkit-image":
        print(buildkit_image.up(lab))
    elif options.action == "up":
        further = engine.Engine(lab=lab, name=options.name, disk=options.disk)
        if not packages.unpacked(lab):
            packages.unpack(lab)
        engine.up(further)
        print(further.socket)
    else:
        engine.down(engine.Engine(lab=lab, name=options.name))


def _need_root() -> None:
    if os.geteuid() != 0:
        raise LabError(
            "not everything the lab needs is here, and only root can start an engine and register emulators",
            "run it as root, or start Docker with the containerd image store, QEMU and a registry yourself",
        )


@contextlib.contextmanager
def _lock(lab: Lab) -> Iterator[None]:
    """Hold the lab for one command: a second `make all` waits for the first."""
    path = lab.home / "lock"
    while True:
        lab.home.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # `down --purge` may have deleted the file in the meantime.
            if path.exists() and path.samefile(f"/proc/self/fd/{lock.fileno()}"):
                yield
                return


def _ready_without_lab(lab: Lab) -> bool:
    """Whether everything is ready without the lab's own engine, or without the right to change it."""
    own = process.alive(engine.Engine(lab=lab, name=engine.FIRST).record) is not None
    if own and os.geteuid() == 0:
        return False
    complete = base.published(lab) >= set(base.PLATFORMS) and not emulators.missing()
    return complete and engine.is_usable() and commands.buildx_works()


def up(lab: Lab) -> None:
    """Start or install engine, registry, emulators and base image where they are missing."""
    first = engine.Engine(lab=lab, name=engine.FIRST)
    uses_machine_engine = process.alive(first.record) is None and engine.is_usable()
    if not packages.unpacked(lab):
        say(
            f"as root: unpacking {'QEMU and a registry' if uses_machine_engine else 'a Docker engine'} into {lab.home}"
        )
        packages.unpack(lab)
    if not uses_machine_engine:
        engine.up(first)
    commands.link(lab)
    host = None if uses_machine_engine else engine.address(first)
    if host is not None:
        os.environ["DOCKER_HOST"] = host
        say('another engine has the default socket: eval "$(python3 -m builders.lab env)" leads to this one')
    if not engine.is_usable():
        raise LabError("the docker command does not reach the engine", f"its log is {first.log}")
    registry.up(lab)
    emulators.up(lab)
    base.up(lab)
    buildkit_image.resume(lab)
    say(f"ready: {lab.registry}")


def down(lab: Lab, *, purge: bool) -> None:
    """Stop everything the lab started; remove its links, mounts and handlers."""
    for daemon in engine.running(lab):
        engine.down(daemon)
    registry.down(lab)
    buildkit_image.down(lab)
    emulators.down(lab)
    mounts.undo(lab)
    commands.unlink(lab)
    shutil.rmtree(lab.run, ignore_errors=True)
    if purge:
        _empty(lab.home)


def _empty(home: Path) -> None:
    """Delete everything of the lab; the home itself stays when it is a volume."""
    for part in home.iterdir():
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink()
    with contextlib.suppress(OSError):
        home.rmdir()


def exports(lab: Lab) -> tuple[str, ...]:
    """Return the lines that a shell evaluates to use the lab."""
    values = {
        "MULTIBUILD_LAB_REGISTRY": lab.registry,
        "MULTIBUILD_LAB_QEMU": str(lab.prefix / "usr" / "bin"),
    }
    first = engine.Engine(lab=lab, name=engine.FIRST)
    if process.alive(first.record) is not None:
        host = engine.address(first)
        values |= {"DOCKER_HOST": host} if host else {}
    return tuple(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def _status(lab: Lab) -> None:
    for daemon in engine.running(lab):
        pid = process.alive(daemon.record)
        print(f"{daemon.name:12} {f'running, pid {pid}, {daemon.socket}' if pid else 'stopped'}")
    absent = emulators.missing()
    print(f"{'docker':12} {'good enough' if engine.is_usable() else 'reaches no usable engine'}")
    print(f"{'registry':12} {lab.registry + (' answers' if registry.answers(lab) else ' does not answer')}")
    print(f"{'emulators':12} {'missing: ' + ', '.join(absent) if absent else 'all registered'}")
    print(f"{'base image':12} {len(base.published(lab))} platforms")


if __name__ == "__main__":
    sys.exit(main())
