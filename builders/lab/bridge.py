"""A network bridge for an engine that must not share docker0.

`"bridge": "none"` would not do: builds then fail with `network bridge not found`, and dockerd removes docker0
when it starts, which takes the network from the engine that owns it.
"""

from __future__ import annotations

import fcntl
import socket
import struct

# linux/sockios.h and linux/if.h
_ADD_BRIDGE = 0x89A0
_DELETE_BRIDGE = 0x89A1
_SET_FLAGS = 0x8914
_NAME_SIZE = 16


def name(engine: str) -> str:
    """Return the interface's name, within the kernel's 15 characters."""
    return f"mblab-{engine}"[: _NAME_SIZE - 1]


def make(interface: str) -> None:
    """Create the bridge unless it exists; dockerd gives it a free address."""
    if not _exists(interface):
        _control(_ADD_BRIDGE, interface.encode() + b"\0")


def remove(interface: str) -> None:
    """Set it down and delete it, if it exists."""
    if _exists(interface):
        _control(_SET_FLAGS, struct.pack("16sh22x", interface.encode(), 0))
        _control(_DELETE_BRIDGE, interface.encode() + b"\0")


def _exists(interface: str) -> bool:
    return interface in {name for _, name in socket.if_nameindex()}


def _control(request: int, argument: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, request, argument)
