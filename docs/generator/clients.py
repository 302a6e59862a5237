"""The page of client rules: the docstring of each rule, and its answers for well-known cases."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from docs.generator.markdown import code, listed, page, table
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import (
    ARCHITECTURE_ALIASES,
    CLIENTS,
    PODMAN_VARIANT_ORDER,
    Entry,
    resolve,
)

# host, entries of the index: the cases people ask about.
CASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("linux/amd64", ("linux/amd64", "linux/arm64")),
    ("linux/amd64", ("linux/arm64", "linux/386")),
    ("linux/amd64/v3", ("linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4")),
    ("linux/amd64", ("linux/amd64/v2",)),
    ("linux/arm64", ("linux/arm64", "linux/arm64/unknown")),
    ("linux/arm64/unknown", ("linux/arm64", "linux/arm64/unknown")),
    ("linux/arm64", ("linux/arm64/unknown",)),
    ("linux/arm64/v8", ("linux/arm64/v8",)),
    ("linux/arm64", ("linux/arm/v7",)),
    ("linux/arm/v7", ("linux/arm/v5", "linux/arm/v6")),
    ("linux/arm/v6", ("linux/arm/v7",)),
    ("linux/mips64le", ("linux/mips64el",)),
    ("linux/s390x", ("linux/s390x", "linux/amd64")),
)


def clients_page() -> str:
    """Return the page."""
    return page(
        "Client rules",
        "How each client chooses an entry of an index. `multibuild resolve` follows these rules; the source of each is"
        " the client's own code. [How clients choose](../explanation/choosing.md) shows what follows from them.",
        *(f"## {name}\n\n{_documentation(rule)}" for name, rule in CLIENTS.items()),
        "## Aliases in containerd",
        "There are no other aliases: `mips64el`, `ppc64el` and `loongarch64` match no host.",
        table(
            ("written", "means"),
            (
                (code(name), code("/".join(filter(None, (architecture, variant)))))
                for name, (architecture, variant) in ARCHITECTURE_ALIASES.items()
            ),
        ),
        "## Variants that podman prefers",
        table(
            ("architecture", "first to last"), ((code(a), listed(v)) for a, v in PODMAN_VARIANT_ORDER.items())
        ),
        "## Cases",
        "The index holds the entries of the second column, in that order.",
        table(("host", "index", *CLIENTS), (_case(host, entries) for host, entries in CASES)),
    )


def _documentation(rule: object) -> str:
    return inspect.cleandoc(rule.__doc__ or "")


def _case(host: str, entries: Sequence[str]) -> tuple[str, ...]:
    index = [Entry(platform=Platform.literal(entry), digest=entry) for entry in entries]
    answers = resolve(index, Platform.literal(host))
    chosen = (code(answer.digest.removeprefix("linux/")) if answer else "none" for answer in answers.values())
    return (
        code(host.removeprefix("linux/")),
        listed(entry.removeprefix("linux/") for entry in entries),
        *chosen,
    )
