"""Why a platform's programs do or do not run on this machine, and the command that mends it. Pure but for the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.qemu import binfmt
from multibuild.qemu.probe_program import probe

SETUP = "`multibuild setup` registers what is missing"


@frozen
class Check:
    """One finding."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    hint: str = ""


@frozen
class Kernel:
    """What this machine's kernel has for foreign programs. `handlers` in the order they were registered."""

    mounted: bool = True
    enabled: bool = True
    handlers: Mapping[str, binfmt.Handler] = field(default_factory=dict)
    root: Path = binfmt.ROOT

    @classmethod
    def read(cls, root: Path = binfmt.ROOT) -> Kernel:
        """Read it."""
        return cls(
            mounted=binfmt.mounted(root),
            enabled=binfmt.enabled(root),
            handlers=binfmt.handlers(root),
            root=root,
        )

    def serving(self, platform: Platform) -> tuple[binfmt.Handler, ...]:
        """Give the handlers that take the platform's programs, the one the kernel tries first in front.

        fs/binfmt_misc.c: a new entry goes to the head of the list, and the first that is enabled and matches is taken.
        """
        program = probe(platform.architecture)
        return tuple(
            handler for handler in reversed(tuple(self.handlers.values())) if binfmt.serves(handler, program)
        )

    def taken(self, platform: Platform) -> binfmt.Handler | None:
        """Give the handler the kernel takes."""
        return next((handler for handler in self.serving(platform) if handler.enabled), None)


@frozen
class Machine:
    """What is asked of this machine: whether a path exists, and whether a platform's probe runs without a builder."""

    exists: Callable[[str], bool]
    runs: Callable[[Platform], bool]


def explain_failure(platform: Platform, said: str, kernel: Kernel, machine: Machine) -> tuple[str, str]:
    """Say why a platform's probe failed, and what mends it, in the order in which the kernel itself would stop.

    `said` is the builder's own words.
    """
    if not kernel.mounted:
        return "binfmt_misc is not mounted", f"as root: mount -t binfmt_misc binfmt_misc {kernel.root}"
    if not kernel.enabled:
        return "binfmt_misc is switched off", f"as root: echo 1 > {kernel.root}/status"
    said = said or "the probe failed"
    serving = kernel.serving(platform)
    taken = kernel.taken(platform)
    if taken is not None:
        enabled = [handler for handler in serving if handler.enabled and handler is not taken]
        broken = _shadowing(taken, enabled, kernel) or _unfit(taken, kernel, machine)
        return broken or _failing(platform, taken, said, kernel, machine)
    if serving:
        return (
            f"the handler {serving[0].name} is disabled",
            f"as root: echo 1 > {kernel.root}/{serving[0].name}",
        )
    own = "" if platform.row.embedded else ", and BuildKit brings none of its own"
    return f"no emulator is registered{own} ({said})", f"{SETUP}; or {HOST_QEMU}"


def _shadowing(
    taken: binfmt.Handler, below: Sequence[binfmt.Handler], kernel: Kernel
) -> tuple[str, str] | None:
    if not below:
        return None
    names = f"{taken.name} ({taken.interpreter}) shadows {below[0].name} ({below[0].interpreter})"
    return f"{names}: the kernel takes the one registered last", remove(taken, kernel)


def _unfit(taken: binfmt.Handler, kernel: Kernel, machine: Machine) -> tuple[str, str] | None:
    """Say what the handler itself lacks."""
    gone = "" if machine.exists(taken.interpreter) else f"its interpreter {taken.interpreter} is gone"
    if not taken.fixed:
        detail = f"the handler {taken.name} lacks flag F, so it does not work in containers"
        detail += f", and {gone}" if gone else ""
    elif gone:
        detail = f"the handler {taken.name} is of no use: {gone}"
    else:
        return None
    return detail, f"{remove(taken, kernel)}, then {SETUP}"


def _failing(
    platform: Platform, taken: binfmt.Handler, said: str, kernel: Kernel, machine: Machine
) -> tuple[str, str]:
    """Tell an emulator that fails everywhere from a builder that does not see it."""
    if machine.runs(platform):
        detail = f"{taken.interpreter} runs it on this machine, but not in the builder: {said}"
        return detail, "a builder may have a binfmt_misc of its own: restart it, or make it anew"
    return f"{taken.interpreter} runs and fails: {said}", f"{remove(taken, kernel)}, then {SETUP}"


def remove(handler: binfmt.Handler, kernel: Kernel) -> str:
    """Give the command that takes a handler away: ours to name, a person's to run."""
    return f"as root: echo -1 > {kernel.root}/{handler.name}"


def there(platform: Platform, image: str) -> str:
    """Say what mends a platform on a machine that is not ours to look at: a remote builder's, a cluster's."""
    if not platform.row.binfmt:
        return f"on the builder's machine: {HOST_QEMU}"
    return f"on the builder's machine: docker run --privileged --rm {image} --install {platform.row.binfmt}"


def shadowed(platforms: Sequence[Platform], kernel: Kernel) -> tuple[Check, ...]:
    """Warn of platforms that run through another handler than an older one was meant to: it works, perhaps by luck."""
    found = {}
    for platform in platforms:
        enabled = [handler for handler in kernel.serving(platform) if handler.enabled]
        if len({handler.interpreter for handler in enabled}) > 1:
            taken, below = enabled[0], enabled[1]
            found[taken.name] = Check(
                name=str(platform),
                status="warn",
                detail=f"{taken.name} ({taken.interpreter}) shadows {below.name} ({below.interpreter})",
                hint=f"if the other is wanted, {remove(taken, kernel)}",
            )
    return tuple(found.values())


def outdated(
    platforms: Sequence[Platform], kernel: Kernel, versions: Mapping[str, str], wanted: str
) -> tuple[Check, ...]:
    """Warn of handlers whose QEMU is older than that of the image `wanted`, one for each.

    The binfmt image never replaces a handler: where a distribution registered its own under the same name, it says
    "already registered" and leaves it (tonistiigi/binfmt cmd/binfmt/main.go).
    """
    found = {}
    asked = _release(wanted)
    for platform in platforms:
        taken = kernel.taken(platform)
        version = versions.get(taken.interpreter, "") if taken is not None else ""
        if taken is None or not asked or not version or _numbers(version) >= asked:
            continue
        found[taken.name] = Check(
            name=str(platform),
            status="warn",
            detail=f"{taken.interpreter} is QEMU {version}, older than that of {wanted}",
            hint=f"if it fails where that would not, {remove(taken, kernel)}, then {SETUP}",
        )
    return tuple(found.values())


def _release(image: str) -> tuple[int, ...]:
    """Read the QEMU release off a tag like `qemu-v10.2.3-68`; empty for any other tag."""
    found = re.search(r":qemu-v(\d+(?:\.\d+)*)", image)
    return _numbers(found[1]) if found else ()


def _numbers(version: str) -> tuple[int, ...]:
    """Read "7.2.19 (Debian …)" as (7, 2, 19)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


HOST_QEMU = "install static QEMU: package qemu-user-static, or qemu-user on Debian 13 and newer"
