"""Why a platform's programs do or do not run on this machine, and the command that mends it. Pure but for the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from multibuild.host import binfmt
from multibuild.host.emulators import HOST_QEMU
from multibuild.host.probe_elf import probe
from multibuild.platforms import Platform

SETUP = "`multibuild setup` registers what is missing"

# What BuildKit's own image brings (moby/buildkit Dockerfile, stage binfmt; tonistiigi/binfmt:buildkit). Not mips64le's
# 32-bit sister, and loong64 only in newer ones: those need a handler of the host.
BUILDKIT_BRINGS = frozenset({"amd64", "386", "arm64", "arm", "riscv64", "ppc64le", "s390x"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One finding."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
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


def explain_failure(
    platform: Platform, said: str, kernel: Kernel, exists: Callable[[str], bool]
) -> tuple[str, str]:
    """Say why a platform's probe failed, and what mends it, in the order in which the kernel itself would stop.

    `said` is the builder's own words; `exists` asks for a path on this machine.
    """
    if not kernel.mounted:
        return "binfmt_misc is not mounted", f"as root: mount -t binfmt_misc binfmt_misc {kernel.root}"
    if not kernel.enabled:
        return "binfmt_misc is switched off", f"as root: echo 1 > {kernel.root}/status"
    said = said or "the probe failed"
    serving = kernel.serving(platform)
    taken = kernel.taken(platform)
    if taken is not None:
        return _about_handler(taken, serving, said, kernel, exists)
    if serving:
        return (
            f"the handler {serving[0].name} is disabled",
            f"as root: echo 1 > {kernel.root}/{serving[0].name}",
        )
    own = "" if platform.architecture in BUILDKIT_BRINGS else ", and BuildKit brings none of its own"
    return f"no emulator is registered{own} ({said})", f"{SETUP}; or {HOST_QEMU}"


def _about_handler(
    taken: binfmt.Handler,
    serving: Sequence[binfmt.Handler],
    said: str,
    kernel: Kernel,
    exists: Callable[[str], bool],
) -> tuple[str, str]:
    """Say what is wrong with the handler that the kernel takes."""
    remove = f"as root: echo -1 > {kernel.root}/{taken.name}"
    below = [handler for handler in serving if handler.enabled and handler is not taken]
    if below:
        names = f"{taken.name} ({taken.interpreter}) shadows {below[0].name} ({below[0].interpreter})"
        return f"{names}: the kernel takes the one registered last", remove
    gone = "" if exists(taken.interpreter) else f"its interpreter {taken.interpreter} is gone"
    detail = f"{taken.interpreter} runs and fails: {said}"
    if not taken.fixed:
        detail = f"the handler {taken.name} lacks flag F, so it does not work in containers"
        detail += f", and {gone}" if gone else ""
    elif gone:
        detail = f"the handler {taken.name} is of no use: {gone}"
    return detail, f"{remove}, then {SETUP}"


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
                hint=f"if the other is wanted, as root: echo -1 > {kernel.root}/{taken.name}",
            )
    return tuple(found.values())
