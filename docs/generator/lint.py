"""The page of the lint's rules, from their table."""

from __future__ import annotations

from docs.generator.markdown import code, page, table
from multibuild.lint.checks.downloads import DOWNLOADS, ONE_ARCHITECTURE
from multibuild.lint.finding import Rule
from multibuild.lint.rules import RULES

_LEVELS = """\
| level | meaning |
|---|---|
| `error` | certainly wrong on some platform that is built |
| `warning` | likely wrong, or right only because of what this file does not say |
| `hint` | right, and worth a thought; never fails |"""


def lint_page() -> str:
    """Return the page."""
    return page(
        "Lint rules",
        "`multibuild lint` reads Dockerfiles, without engine or registry, for mistakes that put the wrong"
        " architecture into an image. `plan`, `doctor`, `all` and `build` read those of the config. How to use it:"
        " [find wrong architectures](../how-to/lint.md).",
        "A rule reports at most the level in its row, and less where a build argument may make it right."
        " Scripts are followed as the shell of each platform runs them, so that a `case` on the architecture, a test, a"
        " substitution or a loop is no finding.",
        _LEVELS,
        "## Rules",
        table(("rule", "level", "`--fix`"), (_row(rule) for rule in RULES)),
        *(part for rule in RULES for part in _section(rule)),
        "## Downloads whose names are known",
        "What each calls an architecture; another name in its address is `arch-spelling`.",
        table(
            ("address", "amd64", "arm64", "from"),
            (
                (
                    code(row.address.pattern),
                    ", ".join(map(code, row.names["amd64"])),
                    ", ".join(map(code, row.names["arm64"])),
                    row.source,
                )
                for row in DOWNLOADS
            ),
        ),
        "## Downloads whose address names no architecture",
        "Each of these is for one architecture alone, although its address does not say so; the files of the others"
        " have a name beside it. On every other platform it is `fixed-arch-url`.",
        table(
            ("address", "architecture", "from"),
            (
                (code(address.pattern), code(architecture), source)
                for address, architecture, source in ONE_ARCHITECTURE
            ),
        ),
    )


def _row(rule: Rule) -> tuple[str, ...]:
    return f"[{code(rule.id)}](#{rule.id})", code(rule.level), "yes" if rule.fixable else ""


def _section(rule: Rule) -> tuple[str, ...]:
    return (
        f"## {rule.id}",
        f"{rule.meaning}.",
        f"{rule.why}.",
        f"Instead: {rule.fix}.",
        f"Source: {rule.source}.",
    )
