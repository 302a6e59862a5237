"""A fuzz target: cases made from seeds by a seeded generator, each of which must end in a result or a clear error.

A case is a fault when it ends in anything but a result or a MultibuildError of an exit code other than 1, takes more
processor time than `cpu_s`, or makes this process grow by more than `memory_mb`. What else must hold (nothing written
outside a folder, the same answer as another reader) the target asserts itself.

Seeds lie in `seeds/<target>/`, a file each. A case that once was a fault becomes a seed.
"""

import importlib
import json
import pkgutil
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz
from multibuild.errors import MultibuildError

SEEDS = Path(__file__).parent / "seeds"

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**40, 0.5, 1e308, float("nan"), float("inf"),
    "", " ", "\x00", "\x1b[31mred", "::error::x", "##[error]x", "../../../etc/passwd", "/dev/zero", "ü" * 300,
    "\u202ereversed", "\ud800", "sha256:" + "a" * 64, "sha256:zz", "linux/amd64", "[", "{}", "a" * 5000,
    [], {}, [[]], [None], {"": None},
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Target:
    """`make` returns a case from a generator and the seeds; `run` reads it as the program does."""

    name: str
    make: Callable[[random.Random, Sequence[bytes]], bytes]
    run: Callable[[bytes], object]
    cpu_s: float = 2.0
    memory_mb: int = 200
    short_cases: int = 80
    """How many cases the short run makes: fewer where a case is a whole command."""


class Fault(AssertionError):
    """A case that did not end as it must."""


class _TooSlow(BaseException):
    """Raised by the timer; no handler for Exception may catch it."""


def targets() -> list[Target]:
    """Return every TARGET of the modules of this folder, by name."""
    modules = (
        importlib.import_module(f"fuzz.{module.name}") for module in pkgutil.iter_modules(fuzz.__path__)
    )
    found = [target for module in modules for target in getattr(module, "TARGETS", ())]
    return sorted(found, key=lambda target: target.name)


def seeds(target: Target) -> list[bytes]:
    """Return the seeds of a target in the order of their names; at least one."""
    files = sorted((SEEDS / target.name).iterdir())
    assert files, f"{target.name} has no seeds"
    return [file.read_bytes() for file in files]


def run_cases(target: Target, count: int, seed: int = 0) -> int:
    """Run every seed as it is, then `count` made cases; return how many. Raises Fault naming the case."""
    material = seeds(target)
    _reset_peak()
    before = _peak_mb()
    for number, case in enumerate(_cases(target, material, count, seed)):
        try:
            _run_one(target, case)
            _check_growth(target, before)
        except Fault as fault:
            place = f"{target.name}: case {number} of seed {seed}"
            raise Fault(f"{place}: {fault}: {case[:2000]!r}") from fault.__cause__
    return len(material) + count


def made_case(target: Target, number: int, seed: int = 0) -> bytes:
    """Return the case of a number, as run_cases counts: the seeds come first."""
    material = seeds(target)
    if number < len(material):
        return material[number]
    return target.make(random.Random(f"{target.name} {seed} {number - len(material)}"), material)


def _cases(target: Target, material: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    yield from material
    for number in range(count):
        yield target.make(random.Random(f"{target.name} {seed} {number}"), material)


def _run_one(target: Target, case: bytes) -> None:
    try:
        with _cpu_limit(target.cpu_s):
            target.run(case)
    except MultibuildError as error:
        if error.exit_code == 1:
            raise Fault(f"exit code 1: {error}") from error
    except _TooSlow as error:
        raise Fault(f"more than {target.cpu_s} s of processor time") from error
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error


def _check_growth(target: Target, before_mb: float) -> None:
    if _peak_mb() - before_mb > target.memory_mb:
        raise Fault(f"more than {target.memory_mb} MB")


@contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _TooSlow

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def _reset_peak() -> None:
    """Let the kernel measure the peak of this process anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


def mutated(generator: random.Random, data: bytes, words: Sequence[bytes] = (), changes: int = 4) -> bytes:
    """Return bytes with up to `changes` random edits; `words` are pieces that the format gives a meaning."""
    result = bytearray(data)
    for _ in range(generator.randint(1, changes)):
        at = generator.randint(0, len(result))
        match generator.randrange(7):
            case 0 if result:
                result[at % len(result)] ^= 1 << generator.randrange(8)
            case 1:
                del result[at : at + generator.randint(1, 40)]
            case 2:
                result[at:at] = generator.randbytes(generator.randint(1, 8))
            case 3 if words:
                result[at:at] = generator.choice(words)
            case 4:
                piece = bytes(result[at : at + generator.randint(1, 80)])
                result[at:at] = piece * generator.choice((1, 2, 50))
            case 5:
                result[at:at] = bytes([generator.randrange(256)]) * generator.choice((3, 200, 5000))
            case _:
                del result[at:]
    return bytes(result)


def mutated_json(generator: random.Random, document: Any, changes: int = 3) -> Any:
    """Return a JSON document with up to `changes` values replaced, removed, repeated or nested."""
    result = json.loads(json.dumps(document))
    for _ in range(generator.randint(1, changes)):
        places = list(_places(result))
        if not places:
            return deepcopy(generator.choice(ODD_VALUES))
        holder, key = generator.choice(places)
        match generator.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.extend([holder[key]] * generator.choice((1, 3, 200)))
            case 2:
                holder[key] = _nested(generator, holder[key])
            case 3:
                other, its_key = generator.choice(places)
                holder[key] = json.loads(json.dumps(other.get(its_key) if isinstance(other, dict) else None))
            case _:
                holder[key] = deepcopy(generator.choice(ODD_VALUES))
    return result


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in items:
        yield document, key
        yield from _places(value)


def _nested(generator: random.Random, value: Any) -> Any:
    for _ in range(generator.choice((1, 5, 100))):
        value = [value] if generator.random() < 0.5 else {"nested": value}
    return value
