"""The limits that SECURITY.md states are those of the code."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

SECURITY = (Path(__file__).resolve().parents[3] / "SECURITY.md").read_text(encoding="utf-8")
UNITS = {"kB": 1000, "MB": 1000**2, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def rows():
    """Return each stated number with the dotted name of its constant."""
    table = SECURITY.partition("## Limits")[2].partition("\n## ")[0]
    for what, limit, constants in re.findall(r"^\| (.+?) \| (.+?) \| (`.+`) \|$", table, re.MULTILINE):
        numbers = re.findall(r"([\d,]+)(?: (kB|[KMGT]i?B)\b)?", limit)
        names = re.findall(r"`([\w.]+)`", constants)
        holder = ""
        for (number, unit), name in zip(numbers, names, strict=True):
            dotted = name if "." in name else f"{holder}.{name}"
            holder = dotted.rpartition(".")[0]
            yield pytest.param(
                dotted, int(number.replace(",", "")) * UNITS.get(unit, 1), id=f"{what}: {name}"
            )


@pytest.mark.parametrize(("dotted", "stated"), list(rows()))
def test_a_stated_limit_is_that_of_the_code(dotted, stated):
    parts = dotted.split(".")
    module = next(
        importlib.import_module(name)
        for length in range(len(parts) - 1, 0, -1)
        if _exists(name := "multibuild." + ".".join(parts[:length]))
    )
    value = module
    for part in dotted.removeprefix(module.__name__.removeprefix("multibuild.") + ".").split("."):
        value = getattr(value, part)
    assert value == stated


def _exists(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_the_table_has_rows():
    assert len(list(rows())) > 30
