"""Registers the emulators that are missing: through the pinned binfmt image, or from QEMU on this host."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from multibuild.engine.docker import Engine
from multibuild.errors import EnvironmentFault
from multibuild.host.pull_images import fetch
from multibuild.journal.recorder import Say
from multibuild.platforms import Architecture
from multibuild.qemu import binfmt
from multibuild.qemu.explain import INSTALL_QEMU_HINT

Source = Literal["image", "host", "none"]


WITHOUT_BINFMT_IMAGE = (
    f"without that image: {INSTALL_QEMU_HINT}, and `emulators: {{source: host}}`; or name your own registry's as "
    "`emulators.image`"
)


def register_by_image(engine: Engine, image: str, rows: Sequence[Architecture], say: Say) -> tuple[str, ...]:
    """Run the binfmt image, the only privileged container multibuild ever starts. Gives the names installed.

    The image's exit code is 0 even when nothing was installed: its JSON on stdout, and the probe after it, tell.
    Raises EnvironmentFault when it cannot be pulled or run.
    """
    names = [row.binfmt for row in rows if row.binfmt]
    if not names:
        return ()
    fetch(engine, image, say, without=WITHOUT_BINFMT_IMAGE)
    say(f"running the privileged container {image} to register {', '.join(names)}")
    try:
        answer = engine.run_privileged(image, ("--install", ",".join(names)))
    except EnvironmentFault as error:
        raise EnvironmentFault(error.message, hint=WITHOUT_BINFMT_IMAGE) from error
    try:
        return tuple(json.loads(answer)["emulators"])
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentFault(
            f"{image} did not answer as the binfmt image does",
            hint=f"check emulators.image; {WITHOUT_BINFMT_IMAGE}",
        ) from error


def register_from_host(
    rows: Sequence[Architecture], say: Say, *, root: Path = binfmt.ROOT
) -> tuple[str, ...]:
    """Register QEMU binaries of this host, flag F, under names that no handler has. Gives the names registered.

    Raises EnvironmentFault when binfmt_misc cannot be written. A missing QEMU is skipped: the probe tells.
    """
    if not binfmt.is_mounted(root):
        raise EnvironmentFault(
            f"{root} is not mounted", hint=f"as root: mount -t binfmt_misc binfmt_misc {root}"
        )
    taken = binfmt.read_handlers(root)
    done = []
    for row in rows:
        qemu = static_qemu(row)
        name = f"qemu-{row.qemu}"
        if qemu is None or name in taken:
            continue
        say(f"registering {qemu} for {row.name}")
        try:
            (root / "register").write_bytes(binfmt.registration_line(row, qemu))
        except OSError as error:
            raise EnvironmentFault(
                f"{root}/register: {error.strerror}",
                hint="run `multibuild setup` as root, or use `emulators: {source: image}`",
            ) from error
        done.append(name)
    return tuple(done)


def register(
    source: Literal["auto", "image", "host"],
    image: str,
    rows: Sequence[Architecture],
    engine: Engine,
    say: Say,
    *,
    local: bool,
) -> tuple[str, ...]:
    """Register by the source the config names; `auto`: the host's own QEMU where it can be, then the image.

    `local` is whether the engine runs on this machine's kernel. Gives the names registered. With `auto` nothing is
    an error here: the probe tells what still does not run.
    """
    if source == "host":
        return register_from_host(rows, say)
    if source == "image":
        return register_by_image(engine, image, rows, say)
    done: tuple[str, ...] = ()
    if local and binfmt.is_mounted():
        try:
            done = register_from_host(rows, say)
        except EnvironmentFault as error:
            say(error.message)
    left = [row for row in rows if f"qemu-{row.qemu}" not in done]
    try:
        return done + register_by_image(engine, image, left, say)
    except EnvironmentFault as error:
        say(f"{error.message} ({error.hint})" if error.hint else error.message)
        return done


def would_register(
    source: Literal["auto", "image", "host"], image: str, rows: Sequence[Architecture], *, local: bool
) -> tuple[str, ...]:
    """Say what `register` would do, in words."""
    taken = binfmt.read_handlers()
    by_host = []
    for row in rows if source != "image" and local and binfmt.is_mounted() else ():
        qemu = static_qemu(row)
        if qemu is not None and f"qemu-{row.qemu}" not in taken:
            by_host.append((row, qemu))
    words = [f"register {qemu} for {row.name}" for row, qemu in by_host]
    covered = {row for row, _ in by_host}
    left = [row.binfmt for row in rows if row.binfmt and row not in covered]
    if left and source != "host":
        words.append(f"run the privileged container {image} to register {', '.join(left)}")
    return tuple(words)


def static_qemu(row: Architecture) -> Path | None:
    """Find a static QEMU on PATH: flag F opens the interpreter alone, so one with a loader of its own cannot work."""
    for name in (f"qemu-{row.qemu}-static", f"qemu-{row.qemu}"):
        found = shutil.which(name)
        if found and _is_static(Path(found)):
            return Path(found).resolve()
    return None


def _is_static(path: Path) -> bool:
    from multibuild.elf.header import parse_elf

    with path.open("rb") as file:
        header = parse_elf(file.read(4096))
    return header is not None and header.interpreter is None
