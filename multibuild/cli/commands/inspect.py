"""`inspect`: an image or index in a registry, for people."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.cli.commands.verify import as_table as verification_table
from multibuild.cli.commands.verify import prove_reference
from multibuild.cli.request import Request, configs_if_any
from multibuild.cli.streams import print_bytes, print_json
from multibuild.frozen import frozen
from multibuild.oci.reference import Reference
from multibuild.terminal import columns, human_bytes, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from multibuild.oci.registry import Registry
    from multibuild.resolve.diff_index import Difference
    from multibuild.resolve.inspect_index import InspectedEntry, Inspection


@frozen
class InspectRequest(Request):
    """The flags of `inspect`."""

    reference: Annotated[str, Argument(help="An image or index.", autocompletion=completion.images)]
    raw: Annotated[bool, Option("--raw", help="The exact bytes.")] = False
    diff: Annotated[
        str | None,
        Option("--diff", help="What changed from it to this one.", autocompletion=completion.images),
    ] = None
    proof: Annotated[bool, Option("--proof", help="Look into every image, as verify does.")] = False


def inspect(request: InspectRequest) -> int:
    """Show an index for people.

    Its entries, sizes, attestations, annotations, and what looks wrong.
    """
    from multibuild.oci.errors import translate_read_errors
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.prove.content.layer_cache import LayerCache
    from multibuild.resolve.diff_index import compare
    from multibuild.resolve.inspect_index import inspect_reference

    reference = Reference.parse(request.reference)
    configs = configs_if_any(request.file)
    own = str(reference.with_tag(None))
    config = next((one for one in configs if one.image == own), next(iter(configs), None))
    settings = {host: one for each in configs for host, one in each.registry_settings.items()}
    with translate_read_errors(), RegistrySession(settings, on_wait=request.say) as registries:
        if request.raw:
            print_bytes(_raw(registries.of(reference.host), reference, request.say))
            return 0
        inspection = inspect_reference(reference, registries)
        other = (
            inspect_reference(Reference.parse(request.diff), registries) if request.diff is not None else None
        )
    if other is not None:
        changes = compare(inspection, other)
        if request.json:
            print_json(changes.document())
        else:
            print(as_diff(changes))
        return 0
    proof = (
        prove_reference(reference, config, content=None, cache=LayerCache(), say=request.say)
        if request.proof
        else None
    )
    if request.json:
        document = inspection.document()
        print_json(document if proof is None else {**document, "proof": proof.document()})
    else:
        print(as_table(inspection))
        if proof is not None:
            print(f"\nproof of {verification_table(proof)}")
    return 0


def _raw(registry: Registry, reference: Reference, say: Callable[[str], None]) -> bytes:
    """Return the bytes of a manifest; of a document that no client can use too, with a message what it is."""
    from multibuild.oci.manifests.read_manifest import NoDocument, UnusableManifest

    try:
        return registry.manifest(reference).content
    except UnusableManifest as error:
        if error.kind != "invalid" or isinstance(error, NoDocument):
            raise
        say(error.message)
        return error.manifest.content


def as_table(inspection: Inspection) -> str:
    """Return the entries, notes and findings within 80 columns."""
    lines = [
        inspection.reference,
        f"  {inspection.media_type}, {inspection.size} bytes",
        f"  {inspection.digest}",
    ]
    lines += [f"  artifact type {inspection.artifact_type}"] if inspection.artifact_type else []
    lines += ["  about", f"    {inspection.subject}"] if inspection.subject else []
    rows = [("PLATFORM", "SIZE", "ATTESTED", "TYPE", "DIGEST")]
    for entry in inspection.entries:
        size = human_bytes(entry.bytes) if entry.bytes is not None else "?"
        attested = "yes" if entry.attested else ""
        rows.append(
            (entry.platform or "-", size, attested, entry.kind, entry.digest.removeprefix("sha256:")[:12])
        )
    lines += ["", *columns(rows, right=frozenset({1}))]
    notes = [("annotations", inspection.annotations)]
    notes += [(entry.name or entry.digest, _notes(entry)) for entry in inspection.entries]
    for name, values in notes:
        lines += ["", name] if values else []
        lines += [line for key, value in values.items() for line in _wrapped(f"{key}: {value}", "  ")]
    for finding in inspection.findings:
        lines += ["", *_wrapped(f"{finding.kind}: {finding.detail}", "")]
    return "\n".join(lines)


def _notes(entry: InspectedEntry) -> dict[str, str]:
    """Return the fields of an entry beside its platform."""
    fields = {"os.version": entry.os_version, "os.features": ", ".join(entry.os_features)}
    return {key: value for key, value in fields.items() if value} | dict(entry.annotations)


def _wrapped(text: str, indent: str) -> list[str]:
    """Break a line between words at 80 columns; longer words stay whole."""
    return textwrap.wrap(
        one_line(text),
        80,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_diff(difference: Difference) -> str:
    """Return the changes within 80 columns; unchanged platforms are only counted."""
    changed = [change for change in difference.changes if change.kind != "same"]
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
    lines = [f"from {difference.before.reference}", f"to   {difference.after.reference}", ""]
    lines += columns(rows) if changed else []
    same = len(difference.changes) - len(changed)
    lines += [*([""] if changed else []), f"{same} of {len(difference.changes)} platforms are the same"]
    for key, pair in difference.annotations.items():
        lines += _wrapped(f"annotation {key}: {pair[0]} → {pair[1]}", "")
    return "\n".join(lines)


def _from_to(before: str, after: str) -> str:
    return before if before == after else " → ".join(text for text in (before, after) if text)


def _size(entry: InspectedEntry | None) -> str:
    return "" if entry is None or entry.bytes is None else human_bytes(entry.bytes)


def _short(entry: InspectedEntry | None) -> str:
    return "" if entry is None else entry.digest.removeprefix("sha256:")[:12]
