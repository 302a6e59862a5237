"""`inspect`: an image in a registry, for people."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.cli.verify import as_table as verified_table
from multibuild.cli.verify import prove_reference
from multibuild.prove.layer_memory import LayerMemory
from multibuild.publish.inspect import Inspection, look_at
from multibuild.publish.reference import Reference
from multibuild.publish.session import RegistrySession
from multibuild.record.text import columns, human_bytes, printable

if TYPE_CHECKING:
    from multibuild.config.models import Config
    from multibuild.prove.verify import Verification


def inspect(text: str, *, file: Path, raw: bool, json_output: bool, proof: bool = False) -> int:
    """Show an index or image: a table, the exact bytes, or JSON; with `proof` also what `verify` finds."""
    reference = Reference.parse(text)
    config = registries_of(file)
    with RegistrySession(config, say=lambda said: print(said, file=sys.stderr)) as registries:
        if raw:
            sys.stdout.buffer.write(registries.of(reference.host).manifest(reference).content)
            return 0
        found = look_at(reference, registries)
    proven = _proof(reference, config) if proof else None
    if json_output:
        document = found.document()
        print(json.dumps(document if proven is None else {**document, "proof": proven.document()}, indent=2))
    else:
        print(as_table(found))
        if proven is not None:
            print(f"\nproof of {verified_table(proven)}")
    return 0


def _proof(reference: Reference, config: Config | None) -> Verification:
    return prove_reference(reference, config, content=None, memory=LayerMemory())


def registries_of(file: Path) -> Config | None:
    """Read what a config says of registries, where there is one."""
    if not file.exists():
        return None
    from multibuild.cli.runs import Request, load

    return load(Request(file=file)).config


def as_table(found: Inspection) -> str:
    """Lay it out within 80 columns."""
    lines = [found.reference, f"  {found.media_type}, {found.size} bytes", f"  {found.digest}", ""]
    rows = [("PLATFORM", "SIZE", "ATTESTED", "TYPE", "DIGEST")]
    for entry in found.entries:
        size = human_bytes(entry.bytes) if entry.bytes is not None else "?"
        attested = "yes" if entry.attested else ""
        rows.append(
            (entry.platform or "-", size, attested, entry.kind, entry.digest.removeprefix("sha256:")[:12])
        )
    lines += columns(rows, right=frozenset({1}))
    if found.annotations:
        lines += ["", "annotations", *(f"  {key}: {value}" for key, value in found.annotations.items())]
    lines += [line for finding in found.findings for line in ("", f"{finding.kind}: {finding.detail}")]
    return "\n".join(printable(line) for line in lines)
