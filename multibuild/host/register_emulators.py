"""Registers the emulators that are missing: through the pinned binfmt image, or from QEMU on this host."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from multibuild.architectures import Architecture
from multibuild.elf.header import parse_elf
from multibuild.engine.engine import Engine
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.pull_images import pull_if_missing
from multibuild.journal.recorder import Say
from multibuild.qemu import binfmt
from multibuild.qemu.explain_probe import INSTALL_QEMU_HINT

Source = Literal["auto", "image", "host"]

WITHOUT_BINFMT_IMAGE = (
    f"without that image: {INSTALL_QEMU_HINT}, and `emulators: {{source: host}}`; or name your own registry's as "
    "`emulators.image`"
)


@frozen
class RegistrationPlan:
    """The emulators to register for `rows`: static QEMU programs of this host first, the others through the image."""

    source: Source
    image: str
    rows: tuple[Architecture, ...]
    from_host: Mapping[Architecture, Path]

    @property
    def planned_changes(self) -> tuple[str, ...]:
        """Describe the registrations, for a reader of `setup --dry-run`."""
        changes = [f"register {qemu} for {row.name}" for row, qemu in self.from_host.items()]
        names = [row.binfmt for row in self.rows if row.binfmt and row not in self.from_host]
        if names and self.source != "host":
            changes.append(f"run the privileged container {self.image} to register {', '.join(names)}")
        return tuple(changes)


def plan_registration(
    source: Source, image: str, rows: Sequence[Architecture], *, local: bool
) -> RegistrationPlan:
    """Plan by the config's source; `auto`: the host's own QEMU if the engine is `local`, then the image."""
    use_host = source != "image" and local and binfmt.is_mounted()
    handlers = binfmt.read_handlers()
    candidates = [row for row in rows if use_host and _handler(row) not in handlers]
    from_host = {row: qemu for row in candidates if (qemu := static_qemu(row)) is not None}
    return RegistrationPlan(source=source, image=image, rows=tuple(rows), from_host=from_host)


def _handler(row: Architecture) -> str:
    return f"qemu-{row.qemu}"


def register(plan: RegistrationPlan, engine: Engine, say: Say) -> tuple[str, ...]:
    """Carry out a plan; return the names of the handlers registered.

    With `auto` no failure is an error here: the probe shows what still does not run. Raises EnvironmentFault otherwise.
    """
    if plan.source == "host":
        return _register_from_host(plan, say)
    if plan.source == "image":
        return _register_by_image(engine, plan.image, plan.rows, say)
    registered: tuple[str, ...] = ()
    try:
        registered = _register_from_host(plan, say) if plan.from_host else ()
    except EnvironmentFault as error:
        say(error.message)
    others = [row for row in plan.rows if _handler(row) not in registered]
    try:
        return registered + _register_by_image(engine, plan.image, others, say)
    except EnvironmentFault as error:
        say(f"{error.message} ({error.hint})" if error.hint else error.message)
        return registered


def _register_by_image(engine: Engine, image: str, rows: Sequence[Architecture], say: Say) -> tuple[str, ...]:
    """Run the binfmt image, the only privileged container multibuild ever starts; return the names installed.

    The image's exit code is 0 even when nothing was installed: its JSON on stdout, and the probe after it, tell.
    Raises EnvironmentFault when it cannot be pulled or run.
    """
    names = [row.binfmt for row in rows if row.binfmt]
    if not names:
        return ()
    pull_if_missing(engine, image, say, without=WITHOUT_BINFMT_IMAGE)
    say(f"running the privileged container {image} to register {', '.join(names)}")
    try:
        answer = engine.run_privileged(image, ("--install", ",".join(names)))
    except EnvironmentFault as error:
        raise EnvironmentFault(error.message, hint=WITHOUT_BINFMT_IMAGE) from error
    try:
        return tuple(map(str, json.loads(answer)["emulators"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EnvironmentFault(
            f"{image} did not answer as the binfmt image does",
            hint=f"check emulators.image; {WITHOUT_BINFMT_IMAGE}",
        ) from error


def _register_from_host(plan: RegistrationPlan, say: Say) -> tuple[str, ...]:
    """Register the host's own QEMU binaries with flag F; return the names registered.

    Raises EnvironmentFault when binfmt_misc cannot be written. A missing QEMU is skipped: the probe tells.
    """
    root = binfmt.ROOT
    if not binfmt.is_mounted(root):
        raise EnvironmentFault(
            f"{root} is not mounted", hint=f"as root: mount -t binfmt_misc binfmt_misc {root}"
        )
    for row, qemu in plan.from_host.items():
        say(f"registering {qemu} for {row.name}")
        try:
            (root / "register").write_bytes(binfmt.registration_line(row, qemu))
        except OSError as error:
            raise EnvironmentFault(
                f"{root}/register: {error.strerror}",
                hint="run `multibuild setup` as root, or use `emulators: {source: image}`",
            ) from error
    return tuple(map(_handler, plan.from_host))


def static_qemu(row: Architecture) -> Path | None:
    """Return a static QEMU on PATH: flag F opens the interpreter alone, so a dynamic one cannot work."""
    for name in (f"qemu-{row.qemu}-static", f"qemu-{row.qemu}"):
        path = shutil.which(name)
        if path and _is_static(Path(path)):
            return Path(path).resolve()
    return None


def _is_static(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            header = parse_elf(file.read(4096))
    except OSError:
        return False  # it may be executable only
    return header is not None and header.interpreter is None
