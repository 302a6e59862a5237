"""`verify`: check a published index and the content of its children."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.cli.request import Request, has_config, load_project, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError, VerificationFailed
from multibuild.frozen import frozen
from multibuild.terminal import columns, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multibuild.config.config import Config
    from multibuild.oci.reference import Reference
    from multibuild.prove.content.layer_cache import LayerCache
    from multibuild.prove.verify import Rules, Verification

WIDTH = 80


@frozen
class VerifyRequest(Request):
    """The flags of `verify`."""

    references: Annotated[
        tuple[str, ...],
        Argument(
            metavar="[REFERENCE]...",
            help="Images or indexes, or names of images of the file; default all of the config, each at its first tag.",
            autocompletion=completion.names_and_images,
        ),
    ] = ()
    content: Annotated[
        str | None,
        Option(
            "--content",
            help="entrypoint or all; default the config's.",
            autocompletion=completion.fixed("entrypoint", "all"),
        ),
    ] = None


def verify(request: VerifyRequest) -> int:
    """Prove that an index is what it says.

    Its children exist, agree with it, and hold programs of their platform.
    """
    from multibuild.oci.reference import Reference
    from multibuild.prove.content.layer_cache import LayerCache

    texts = request.references
    images = load_project(request).images if not texts or has_config(request.file) else ()
    cache = LayerCache(state_of(request, *images).path / "layers" if images else None)
    configs = [loaded.config for loaded in images]
    published = {loaded.name: (published_as(loaded.config), loaded.config) for loaded in images}
    own = {name: image for name, image in published.items() if name}
    references = [own.get(text, (text, config_of(text, configs))) for text in texts]
    verifications = [
        prove_reference(Reference.parse(name), config, content=request.content, cache=cache, say=request.say)
        for name, config in references or published.values()
    ]
    ok = all(verification.ok for verification in verifications)
    if request.json:
        documents = [verification.document() for verification in verifications]
        print_json(documents[0] if len(documents) == 1 else {"ok": ok, "images": documents})
    elif not (request.quiet and ok):
        print("\n\n".join(map(as_table, verifications)))
    return 0 if ok else VerificationFailed.exit_code


def published_as(config: Config) -> str:
    """Return the first tag of a config's image."""
    return f"{config.image}:{config.tags[0]}"


def config_of(reference: str, configs: Sequence[Config]) -> Config | None:
    """Return the config of the image that a reference names, else of the first image; None without any."""
    own = (config for config in configs if reference.startswith((f"{config.image}:", f"{config.image}@")))
    return next(own, next(iter(configs), None))


def prove_reference(
    reference: Reference,
    config: Config | None,
    *,
    content: str | None,
    cache: LayerCache,
    say: Callable[[str], None],
) -> Verification:
    """Verify with a config's registry settings and rules."""
    from multibuild.oci.errors import translate_read_errors
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.prove.verify import verify as verify_reference

    rules = rules_of(config, content)
    settings = config.registry_settings if config is not None else {}
    with translate_read_errors(), RegistrySession(settings, on_wait=say) as registries:
        return verify_reference(reference, registries, rules=rules, cache=cache)


def rules_of(config: Config | None, content: str | None) -> Rules:
    """Return the config's rules, with the mode of `--content`; UsageError for a mode that is none."""
    from multibuild.prove.verify import Rules

    if content not in {None, "entrypoint", "all"}:
        raise UsageError(
            f"--content {content} is no mode", hint="write --content entrypoint or --content all"
        )
    base = Rules(mode=config.verify.content, ignore=config.verify.ignore) if config is not None else Rules()
    if content is None:
        return base
    return Rules(mode="all" if content == "all" else "entrypoint", ignore=base.ignore)


def as_table(verification: Verification) -> str:
    """Return the entries, each finding, and the notes within 80 columns."""
    problems = {(finding.platform, finding.kind) for finding in verification.findings}
    rows = [("PLATFORM", "CONTENT", "CHECKED", "DIGEST")]
    for entry in verification.entries:
        kinds = [kind for platform, kind in problems if platform == entry.platform]
        status = kinds[0] if kinds else "artifact" if entry.artifact else "-"
        status = entry.content.status if entry.content is not None else status
        checked = str(entry.content.checked) if entry.content is not None else ""
        rows.append((printable(entry.platform), status, checked, entry.digest.removeprefix("sha256:")[:12]))
    lines = [
        *_wrapped(verification.reference, ""),
        f"  {verification.digest}",
        "",
        *columns(rows, right=frozenset({2})),
    ]
    for finding in verification.findings:
        lines += [
            "",
            *_wrapped(f"{finding.platform or verification.reference}: {finding.kind}: {finding.detail}"),
        ]
    for detail, platforms in _notes(verification).items():
        lines += ["", *_wrapped(f"{', '.join(platforms)}: {detail}")]
    lines += ["", "everything is what it says" if verification.ok else f"{len(verification.findings)} wrong"]
    return "\n".join(lines)


def _notes(verification: Verification) -> dict[str, list[str]]:
    """Return the details of entries that passed, with their platforms."""
    notes: dict[str, list[str]] = {}
    for entry in verification.entries:
        if entry.content is not None and entry.content.status != "failed" and entry.content.detail:
            notes.setdefault(entry.content.detail, []).append(entry.platform)
    return notes


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(printable(text), WIDTH, subsequent_indent=indent) or [""]
