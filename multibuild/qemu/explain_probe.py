"""Why a platform's programs do or do not run on this machine, and the command that fixes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.qemu import binfmt
from multibuild.qemu.cpu_models import faster_cpu
from multibuild.qemu.probe_program import build_probe

SETUP_HINT = "`multibuild setup` registers what is missing"


@frozen
class Check:
    """One result of `multibuild doctor`."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    hint: str = ""


@frozen
class Kernel:
    """The state of this machine's binfmt_misc. `handlers` are in order of registration."""

    mounted: bool = True
    enabled: bool = True
    handlers: Mapping[str, binfmt.Handler] = field(default_factory=dict)
    root: Path = binfmt.ROOT

    @classmethod
    def read(cls, root: Path = binfmt.ROOT) -> Kernel:
        """Read the state of the binfmt_misc at `root`."""
        mounted, enabled = binfmt.is_mounted(root), binfmt.is_enabled(root)
        return cls(mounted=mounted, enabled=enabled, handlers=binfmt.read_handlers(root), root=root)

    def matching_handlers(self, platform: Platform) -> tuple[binfmt.Handler, ...]:
        """Return the handlers that match the platform's programs, in the order in which the kernel tries them.

        fs/binfmt_misc.c: a new entry goes to the head of the list, and the first enabled match is used.
        """
        program = build_probe(platform.architecture)
        return tuple(
            handler
            for handler in reversed(tuple(self.handlers.values()))
            if binfmt.matches_header(handler, program)
        )

    def active_handler(self, platform: Platform) -> binfmt.Handler | None:
        """Return the handler that the kernel uses."""
        return next((handler for handler in self.matching_handlers(platform) if handler.enabled), None)


@frozen
class LocalHost:
    """Checks on this machine: whether a path exists, and whether a platform's probe runs without a builder."""

    path_exists: Callable[[str], bool]
    runs: Callable[[Platform], bool]


def explain_failure(platform: Platform, message: str, kernel: Kernel, host: LocalHost) -> tuple[str, str]:
    """Return why a platform's probe failed and how to fix it, in the order in which the kernel itself would stop.

    `message` is the builder's own error text.
    """
    if not kernel.mounted:
        return "binfmt_misc is not mounted", f"as root: mount -t binfmt_misc binfmt_misc {kernel.root}"
    if not kernel.enabled:
        return "binfmt_misc is switched off", f"as root: echo 1 > {kernel.root}/status"
    message = message or "the probe failed"
    matching = kernel.matching_handlers(platform)
    active = kernel.active_handler(platform)
    if active is not None:
        others = [handler for handler in matching if handler.enabled and handler is not active]
        broken = _shadowing(active, others, kernel) or _unusable(active, kernel, host)
        return broken or _failing(platform, active, message, kernel, host)
    if matching:
        name = matching[0].name
        return f"the handler {name} is disabled", f"as root: echo 1 > {kernel.root}/{name}"
    own = "" if platform.row.in_buildkit else ", and BuildKit brings none of its own"
    return f"no emulator is registered{own} ({message})", f"{SETUP_HINT}; or {INSTALL_QEMU_HINT}"


def _shadowing(
    active: binfmt.Handler, others: Sequence[binfmt.Handler], kernel: Kernel
) -> tuple[str, str] | None:
    if not others:
        return None
    return f"{_shadows(active, others[0])}: the kernel takes the one registered last", _removal(
        active, kernel
    )


def _shadows(active: binfmt.Handler, other: binfmt.Handler) -> str:
    return f"{active.name} ({active.interpreter}) shadows {other.name} ({other.interpreter})"


def _unusable(active: binfmt.Handler, kernel: Kernel, host: LocalHost) -> tuple[str, str] | None:
    """Return what is wrong with the handler itself."""
    gone = "" if host.path_exists(active.interpreter) else f"its interpreter {active.interpreter} is gone"
    if not active.works_in_containers:
        detail = f"the handler {active.name} lacks flag F, so it does not work in containers"
        detail += f", and {gone}" if gone else ""
    elif gone:
        detail = f"the handler {active.name} is of no use: {gone}"
    else:
        return None
    return detail, f"{_removal(active, kernel)}, then {SETUP_HINT}"


def _failing(
    platform: Platform, active: binfmt.Handler, message: str, kernel: Kernel, host: LocalHost
) -> tuple[str, str]:
    """Distinguish an emulator that fails everywhere from a builder that does not see it."""
    if host.runs(platform):
        detail = f"{active.interpreter} runs it on this machine, but not in the builder: {message}"
        return detail, "a builder may have a binfmt_misc of its own: restart it, or make it anew"
    return f"{active.interpreter} runs and fails: {message}", f"{_removal(active, kernel)}, then {SETUP_HINT}"


def _removal(handler: binfmt.Handler, kernel: Kernel) -> str:
    """Return the command that removes a handler: multibuild names it, the user runs it."""
    return f"as root: echo -1 > {kernel.root}/{handler.name}"


def remote_fix(platform: Platform, image: str) -> str:
    """Return what provides an emulator on a machine out of reach: a remote builder's, a cluster's."""
    if not platform.row.binfmt:
        return f"on the builder's machine: {INSTALL_QEMU_HINT}"
    return f"on the builder's machine: docker run --privileged --rm {image} --install {platform.row.binfmt}"


def check_shadowing(platforms: Sequence[Platform], kernel: Kernel) -> tuple[Check, ...]:
    """Warn of platforms with handlers of two interpreters, of which the later one hides the earlier."""
    checks = {}
    for platform in platforms:
        enabled = [handler for handler in kernel.matching_handlers(platform) if handler.enabled]
        if len({handler.interpreter for handler in enabled}) > 1:
            checks[enabled[0].name] = Check(
                name=str(platform),
                status="warn",
                detail=_shadows(enabled[0], enabled[1]),
                hint=f"if the other is wanted, {_removal(enabled[0], kernel)}",
            )
    return tuple(checks.values())


def check_versions(
    platforms: Sequence[Platform], kernel: Kernel, versions: Mapping[str, str], image: str
) -> tuple[Check, ...]:
    """Warn of handlers whose QEMU is older than that of the configured binfmt image, one for each.

    The binfmt image never replaces a handler: where a distribution registered its own under the same name, it prints
    "already registered" and leaves it (tonistiigi/binfmt cmd/binfmt/main.go).
    """
    checks = {}
    release = _release(image)
    for platform in platforms:
        active = kernel.active_handler(platform)
        version = versions.get(active.interpreter, "") if active is not None else ""
        if active is None or not release or not version or _numbers(version) >= release:
            continue
        checks[active.name] = Check(
            name=str(platform),
            status="warn",
            detail=f"{active.interpreter} is QEMU {version}, older than that of {image}",
            hint=f"if it fails where that would not, {_removal(active, kernel)}, then {SETUP_HINT}",
        )
    return tuple(checks.values())


def check_cpu_models(
    platforms: Sequence[Platform], kernel: Kernel, versions: Mapping[str, str]
) -> tuple[Check, ...]:
    """Warn of handlers whose QEMU plays a slow CPU by default though an equal one is fast, one for each."""
    checks = {}
    for platform in platforms:
        active = kernel.active_handler(platform)
        version = versions.get(active.interpreter, "") if active is not None else ""
        faster = faster_cpu(platform.architecture, version)
        if active is None or faster is None:
            continue
        checks[active.name] = Check(
            name=str(platform),
            status="warn",
            detail=f"{active.interpreter} is QEMU {version}, with which programs took {faster.slow_down} times as "
            f"long: {faster.reason}",
            hint=f"use a newer QEMU, or write `ENV QEMU_CPU={faster.model}` in stages that are emulated",
        )
    return tuple(checks.values())


def _release(image: str) -> tuple[int, ...]:
    """Parse the QEMU release from a tag like `qemu-v10.2.3-68`; empty for any other tag."""
    match = re.search(r":qemu-v(\d{1,9}(?:\.\d{1,9})*)", image)
    return _numbers(match[1]) if match else ()


def _numbers(version: str) -> tuple[int, ...]:
    """Parse "7.2.19 (Debian …)" as (7, 2, 19)."""
    match = re.match(r"\d{1,9}(?:\.\d{1,9})*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


INSTALL_QEMU_HINT = "install static QEMU: package qemu-user-static, or qemu-user on Debian 13 and newer"
