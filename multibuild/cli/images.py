"""`inspect`: an image in a registry, for people."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.cli.output import print_json
from multibuild.cli.runs import config_if_any
from multibuild.cli.verify import as_table as verified_table
from multibuild.cli.verify import prove_reference
from multibuild.oci.errors import translate_read_errors
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.resolve.diff_index import Difference, compare
from multibuild.resolve.inspect_index import InspectedEntry, Inspection, inspect_reference
from multibuild.terminal import columns, human_bytes, one_line, printable

if TYPE_CHECKING:
    from multibuild.config.models import Config
    from multibuild.prove.verify import Verification


def inspect(
    text: str, *, file: Path, raw: bool, json_output: bool, diff: str | None = None, proof: bool = False
) -> int:
    """Show an index or image: a table, the exact bytes, or JSON.

    With `diff` what changed from it to that one, with `proof` also what `verify` finds.
    """
    reference = Reference.parse(text)
    config = config_if_any(file)
    settings = config.registry_settings if config is not None else {}
    with (
        translate_read_errors(),
        RegistrySession(settings, on_wait=lambda said: print(said, file=sys.stderr)) as registries,
    ):
        if raw:
            sys.stdout.buffer.write(registries.of(reference.host).manifest(reference).content)
            return 0
        found = inspect_reference(reference, registries)
        other = inspect_reference(Reference.parse(diff), registries) if diff is not None else None
    if other is not None:
        compared = compare(found, other)
        if json_output:
            print_json(compared.document())
        else:
            print(as_diff(compared))
        return 0
    proven = _proof(reference, config) if proof else None
    if json_output:
        document = found.document()
        print_json(document if proven is None else {**document, "proof": proven.document()})
    else:
        print(as_table(found))
        if proven is not None:
            print(f"\nproof of {verified_table(proven)}")
    return 0


def _proof(reference: Reference, config: Config | None) -> Verification:
    return prove_reference(reference, config, content=None, memory=LayerCache())


def as_table(found: Inspection) -> str:
    """Lay it out within 80 columns."""
    lines = [found.reference, f"  {found.media_type}, {found.size} bytes", f"  {found.digest}"]
    lines += [f"  artifact type {found.artifact_type}"] if found.artifact_type else []
    lines += ["  about", f"    {found.subject}"] if found.subject else []
    rows = [("PLATFORM", "SIZE", "ATTESTED", "TYPE", "DIGEST")]
    for entry in found.entries:
        size = human_bytes(entry.bytes) if entry.bytes is not None else "?"
        attested = "yes" if entry.attested else ""
        rows.append(
            (entry.platform or "-", size, attested, entry.kind, entry.digest.removeprefix("sha256:")[:12])
        )
    lines += ["", *columns(rows, right=frozenset({1}))]
    notes = [("annotations", found.annotations)]
    notes += [(entry.platform or entry.digest, _notes(entry)) for entry in found.entries]
    for name, values in notes:
        lines += ["", name] if values else []
        lines += [line for key, value in values.items() for line in _wrapped(f"{key}: {value}", "  ")]
    for finding in found.findings:
        lines += ["", *_wrapped(f"{finding.kind}: {finding.detail}", "")]
    return "\n".join(printable(line) for line in lines)


def _notes(entry: InspectedEntry) -> dict[str, str]:
    """What an entry says beside its platform."""
    said = {"os.version": entry.os_version, "os.features": ", ".join(entry.os_features)}
    return {key: value for key, value in said.items() if value} | dict(entry.annotations)


def _wrapped(text: str, indent: str) -> list[str]:
    """Break a line between words at 80 columns; what is longer in one piece stays in one piece."""
    return textwrap.wrap(
        one_line(text),
        80,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_diff(found: Difference) -> str:
    """Lay out what changed within 80 columns; what is the same is only counted."""
    changed = [change for change in found.changes if change.kind != "same"]
    rows = [("PLATFORM", "CHANGE", "SIZE", "DIGEST")]
    for change in changed:
        rows.append(
            (
                change.platform or "-",
                change.kind,
                _from_to(_size(change.before), _size(change.after)),
                _from_to(_short(change.before), _short(change.after)),
            )
        )
    lines = [f"from {found.before.reference}", f"to   {found.after.reference}", ""]
    lines += columns(rows) if changed else []
    same = len(found.changes) - len(changed)
    lines += [*([""] if changed else []), f"{same} of {len(found.changes)} platforms are the same"]
    for key, pair in found.annotations.items():
        lines += _wrapped(f"annotation {key}: {pair[0]} → {pair[1]}", "")
    return "\n".join(printable(line) for line in lines)


def _from_to(before: str, after: str) -> str:
    return before if before == after else " → ".join(text for text in (before, after) if text)


def _size(entry: InspectedEntry | None) -> str:
    return "" if entry is None or entry.bytes is None else human_bytes(entry.bytes)


def _short(entry: InspectedEntry | None) -> str:
    return "" if entry is None else entry.digest.removeprefix("sha256:")[:12]
