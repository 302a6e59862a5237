"""The pages that are tables of facts in the code: failure classes, exit codes, platforms."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from docs.generator.markdown import code, listed, page, table
from multibuild import errors
from multibuild.architectures import ARCHITECTURES, Architecture
from multibuild.failures.classes import CLASSES, Example, FailureClass
from multibuild.failures.signatures import EXIT_CODES, MESSAGE_SIGNATURES, OUTPUT_SIGNATURES, Signature

_RETRIES = """\
| retry | meaning |
|---|---|
| `transient` | tried again up to `retry.attempts`, each wait longer than the last |
| `once` | tried again up to the number of attempts in the table |
| `auth` | tried again once, with fresh credentials |
| `permanent` | not tried again: another attempt cannot help |"""

_WEIGHTS = {
    "cause": "anywhere in the step",
    "warning": "near its end, or with a consequence",
    "last": "near its end",
    "consequence": "if nothing else says why",
}


def failures_page() -> str:
    """Return the page of failure classes."""
    return page(
        "Failure classes",
        "When an attempt fails, its class is read from what BuildKit says and from the whole output of the step that"
        " failed. The class decides whether the platform is tried again. `multibuild explain LOG` does the same for any"
        " build log. The classes are in `report.json` as `platforms[].attempts[].class`.",
        _RETRIES,
        "## Classes",
        table(("class", "retry", "attempts", "example", "what to do"), map(_class, CLASSES)),
        "## What a command prints",
        "Sentences of the output of a failing `RUN`, and which of them counts where: a crash before the network, the"
        " network before an answer such as 404. What stands without bars is sought in lower case, the rest is a regular"
        " expression. A sentence about the network that names a loopback address (127.0.0.1, localhost) is the class"
        " `loopback`. The source is where the sentence comes from.",
        table(
            ("class", "tool", "sentence", "where", "source"),
            ((*_signature(row), _WEIGHTS[row.weight], row.source) for row in OUTPUT_SIGNATURES),
        ),
        "## What BuildKit says",
        "Sentences of BuildKit's own message, where no command of a step has failed; the first that matches decides.",
        table(
            ("class", "who", "sentence", "source"),
            ((*_signature(row), row.source) for row in MESSAGE_SIGNATURES),
        ),
        "## Exit codes of a failing RUN",
        "They count where no sentence does. 128 + n means that signal n ended it. A crash is the emulator's only under"
        " emulation.",
        table(("exit code", "class"), ((str(number), code(name)) for number, name in EXIT_CODES.items())),
    )


def _class(row: FailureClass) -> tuple[str, ...]:
    attempts = str(row.attempts) if row.retry in {"once", "auth"} else ""
    if row.alone_after_failures is not None:
        attempts += f"; alone on its node after {row.alone_after_failures}"
    if row.waits_minutes:
        attempts = "waits minutes, not seconds"
    return code(row.name), code(row.retry), attempts, _example(row.example), row.hint


def _example(example: Example | None) -> str:
    if example is None:
        return ""
    where = f"{code(example.step)}: " if example.step else ""
    return f"{where}{code(example.line.strip())}"


def _signature(row: Signature) -> tuple[str, ...]:
    return code(row.name), row.tool, code(row.pattern or row.word)


def exit_codes_page() -> str:
    """Return the page of exit codes."""
    classes = sorted(_errors(errors.MultibuildError), key=lambda kind: kind.exit_code)
    by_code: dict[int, list[str]] = {}
    for kind in classes:
        by_code.setdefault(kind.exit_code, []).append(inspect.cleandoc(kind.__doc__ or ""))
    rows = [
        ("0", 'Everything asked for was done. `resolve` exits 0 with an answer of "none" too.'),
        ("1", "A bug in multibuild: it names the file with the traceback."),
        *((str(number), " ".join(texts)) for number, texts in by_code.items()),
    ]
    return page(
        "Exit codes",
        "An error is one or two lines on stderr that name the thing, and a `hint:` with the next step. `verify` and"
        " `doctor` exit non-zero when they find a fault.",
        table(("code", "meaning"), rows),
    )


def _errors(base: type[errors.MultibuildError]) -> Iterator[type[errors.MultibuildError]]:
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:  # subclasses elsewhere depend on what else was imported
            yield kind
            yield from _errors(kind)


def platforms_page() -> str:
    """Return the page of platforms and aliases."""
    return page(
        "Platforms",
        "A platform is `os/architecture[/variant]`, in the normal form that containerd uses. `linux/` may be left out."
        " Other spellings are accepted where a platform is built (`platforms`, `--platform`); `also_as` keeps its"
        " text exactly.",
        "## Architectures",
        table(
            (
                "architecture",
                "also written",
                "variants clients look for",
                "QEMU",
                "binfmt image",
                "Debian",
                "ELF",
            ),
            map(_architecture, ARCHITECTURES),
        ),
        'QEMU is the suffix of the program (`qemu-aarch64`). An empty column "binfmt image" means that the image does'
        " not bring an emulator for it: install your distribution's `qemu-user-static` and use"
        " `emulators: {source: host}`.",
        "`armel` is `linux/arm/v5` here, because that is what Debian's `armel` programs need. containerd reads the same"
        " word as `linux/arm/v6`.",
        "## Variants with more than one spelling",
        table(
            ("architecture", "written", "normal form"),
            (
                (code(row.name), code(written) if written else "(none)", code(normal) if normal else "(none)")
                for row in ARCHITECTURES
                for written, normal in (*row.normal, *row.typed)
            ),
        ),
    )


def _architecture(row: Architecture) -> tuple[str, ...]:
    aliases = [f"{alias} → {variant}" if variant else alias for alias, variant in row.aliases]
    elf = f"{row.elf.bits}-bit, {row.elf.order} endian, machine {row.elf.machine}"
    return (
        code(row.name),
        listed(aliases),
        listed(row.variants),
        code(row.qemu),
        code(row.binfmt),
        code(row.debian),
        elf,
    )
