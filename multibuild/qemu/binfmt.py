"""The kernel's binfmt_misc: its handlers, and the line that registers one (kernel binfmt-misc.rst)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from multibuild.architectures import Architecture
from multibuild.frozen import frozen

ROOT = Path("/proc/sys/fs/binfmt_misc")


@frozen
class Handler:
    """A registered handler; `magic` and `mask` in hex as the kernel prints them, `flags` like "POCF"."""

    name: str
    enabled: bool
    interpreter: str
    flags: str
    magic: str = ""
    mask: str = ""

    @property
    def works_in_containers(self) -> bool:
        """Whether flag F is set: the kernel keeps the interpreter open, so it also works in containers."""
        return "F" in self.flags


def is_mounted(root: Path = ROOT) -> bool:
    """Whether binfmt_misc is mounted at `root`."""
    return (root / "status").exists()


def is_enabled(root: Path = ROOT) -> bool:
    """Whether binfmt_misc as a whole is switched on."""
    status = root / "status"
    return status.exists() and status.read_text(encoding="ascii", errors="replace").strip() == "enabled"


def read_handlers(root: Path = ROOT) -> Mapping[str, Handler]:
    """Return every handler by name, in order of registration (which is when an entry gets its inode and times)."""
    entries = []
    for path in root.iterdir() if root.is_dir() else ():
        if path.name in {"register", "status"}:
            continue
        try:
            status, text = path.stat(), path.read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # removed in the meantime, or no handler
        entries.append((status.st_mtime_ns, status.st_ino, parse_handler(path.name, text)))
    return {handler.name: handler for _, _, handler in sorted(entries, key=lambda entry: entry[:2])}


def parse_handler(name: str, text: str) -> Handler:
    """Parse an entry's file: `enabled|disabled`, then `interpreter PATH`, `flags: POF`, `magic HEX`, `mask HEX`."""
    lines = text.splitlines()
    fields = dict(line.split(" ", 1) for line in lines[1:] if " " in line)
    return Handler(
        name=name,
        enabled=bool(lines) and lines[0] == "enabled",
        interpreter=fields.get("interpreter", ""),
        flags=fields.get("flags:", "").strip(),
        magic=fields.get("magic", ""),
        mask=fields.get("mask", ""),
    )


def matches_header(handler: Handler, header: bytes) -> bool:
    """Whether a handler is for files that begin with `header` (at least 40 bytes)."""
    try:
        magic, mask = bytes.fromhex(handler.magic), bytes.fromhex(handler.mask)
    except ValueError:
        return False  # nothing that the kernel prints
    mask = mask or b"\xff" * len(magic)
    if not magic or len(header) < len(magic):
        return False
    return all(byte & keep == want & keep for byte, keep, want in zip(header, mask, magic, strict=False))


def magic_and_mask(row: Architecture) -> tuple[bytes, bytes]:
    """Return the magic and mask of an architecture's executables.

    Bytes: 4 ELF magic, class, data, version, OS ABI, ABI version, 7 of padding, e_type, e_machine. The mask allows
    ET_EXEC and ET_DYN; EI_ABIVERSION is free for MIPS and loong64, where glibc sets it; 32-bit MIPS also requires the
    n32 flag (EF_MIPS_ABI2) to be clear (Debian qemu-user's binfmt.d).
    """
    order = row.elf.order
    mips = row.elf.machine == 8
    ident = b"\x7fELF" + bytes((1 if row.elf.bits == 32 else 2, 1 if order == "little" else 2, 1)) + bytes(9)
    magic = ident + (2).to_bytes(2, order) + row.elf.machine.to_bytes(2, order)
    free_abi = mips or row.name == "loong64"
    mask = b"\xff" * 7 + (b"\xfc" if not mips else b"\x00") + (b"\x00" if free_abi else b"\xff") + b"\xff" * 7
    mask += (0xFFFE).to_bytes(2, order) + b"\xff\xff"
    if mips and row.elf.bits == 32:
        magic += (1).to_bytes(4, order) + bytes(16)
        mask += b"\xff" * 4 + bytes(12) + (0x20).to_bytes(4, order)
    return magic, mask


def registration_line(row: Architecture, interpreter: Path) -> bytes:
    """Return the line to write to `register`: offset 0, flags F (works in containers), P and O like Debian's."""
    magic, mask = magic_and_mask(row)
    fields = (f"qemu-{row.qemu}", "M", "0", _escaped(magic), _escaped(mask), str(interpreter), "OPF")
    return (":" + ":".join(fields)).encode()


def _escaped(value: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in value)
