"""`merge TARGET SOURCE...`: one index out of images from anywhere, in one step."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from multibuild.cli.output import print_json
from multibuild.cli.runs import Request, registry_settings
from multibuild.errors import PublishFailed, UsageError
from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError
from multibuild.oci.layout import StoresWithLayouts, open_layout
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registries import RegistrySession
from multibuild.oci.store import Stores
from multibuild.platforms import Platform
from multibuild.publish.merge import (
    MediaType,
    MergeOptions,
    Source,
    merge,
    read_annotations,
    read_pairs,
)
from multibuild.publish.merge_sources import read_source
from multibuild.terminal import printable

if TYPE_CHECKING:
    from multibuild.publish.move_tags import Published


@frozen
class MergeFlags:
    """The flags of `merge TARGET SOURCE...`, as typed."""

    file: Path
    platform_of: tuple[str, ...] = ()
    also_as: tuple[str, ...] = ()
    os_version: tuple[str, ...] = ()
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    annotation: tuple[str, ...] = ()
    platform: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    media_type: str | None = None
    append: bool = False
    flatten: bool = True
    ignore_missing: bool = False
    dry_run: bool = False
    json: bool = False
    quiet: bool = False

    def options(self) -> MergeOptions:
        """Read them; UsageError for one that is not well formed."""
        if self.media_type not in {None, "oci", "docker"}:
            raise UsageError(f"--media-type {self.media_type}: is not known", hint="there are oci and docker")
        index, entries = read_annotations(self.annotation)
        chosen = [text for value in self.platform for text in value.split(",") if text.strip()]
        return MergeOptions(
            platform_of=_platforms(self.platform_of, "--platform-of"),
            also_as=_platforms(self.also_as, "--also-as"),
            os_version=read_pairs(self.os_version, "--os-version"),
            os_features=_lists(self.os_features, "--os-features"),
            features=_lists(self.features, "--features"),
            annotations=index,
            entry_annotations=entries,
            only=tuple(Platform.parse(text) for text in chosen),
            media_type=cast("MediaType | None", self.media_type),
        )


def _lists(texts: tuple[str, ...], flag: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (source, tuple(part for part in value.split(",") if part))
        for source, value in read_pairs(texts, flag)
    )


def _platforms(texts: tuple[str, ...], flag: str) -> tuple[tuple[str, Platform], ...]:
    return tuple((source, Platform.parse_verbatim(value)) for source, value in read_pairs(texts, flag))


def merge_ad_hoc(target: str, sources: list[str], flags: MergeFlags) -> int:
    """Compose, push, read back, move the tags; with `--dry-run` only print the bytes."""
    options = flags.options()
    destinations = goals(target, flags.tag)
    if not sources:
        raise UsageError(f"merge {target}: names no source", hint="merge TARGET SOURCE...")
    with (
        RegistrySession(registry_settings(flags.file), on_wait=_say(quiet=flags.quiet)) as session,
        tempfile.TemporaryDirectory(prefix="multibuild-oci-") as scratch,
    ):
        opened = {text: open_layout(path, Path(scratch)) for text, path in _layouts(sources).items()}
        registries = StoresWithLayouts(session, *(layout for layout, _ in opened.values()))
        named = {text: opened[text][1] if text in opened else None for text in sources}
        reading = session.start_map(lambda text: _read(text, registries, flags, named[text]), sources)
        # What is imported while registries answer costs no time.
        from multibuild.publish.move_tags import publish

        read = [source for source in reading() if source is not None]
        if not read:
            raise PublishFailed(f"none of {', '.join(sources)} exists")
        onto = _existing(target, registries) if flags.append else None
        index = merge(read, options, onto=onto)
        _tell(index, flags)
        if flags.dry_run:
            sys.stdout.buffer.write(index.content)
            return 0
        published = publish(
            index,
            destinations,
            sources=[place for source in (*read, *((onto,) if onto else ())) for place in source.places],
            registries=registries,
            emit=_emit(quiet=flags.quiet),
        )
    _show(published, flags)
    return 0


def goals(target: str, further: Sequence[str]) -> tuple[Destination, ...]:
    """Give where the index goes: TARGET first, then further tags of it, or `host/repository:tag` of others."""
    first = Reference.parse(target)
    tags: dict[Reference, list[str]] = {}
    for text in (target, *further):
        said = Reference.parse(text) if "/" in text or ":" in text else first.with_tag(text)
        if said.digest:
            raise UsageError(f"{text}: a digest cannot be published to", hint="name a tag")
        tags.setdefault(said.with_tag(None), []).append(said.tag or "latest")
    return tuple(
        Destination(repository=repository, tags=tuple(dict.fromkeys(names)))
        for repository, names in tags.items()
    )


def _read(text: str, registries: Stores, flags: MergeFlags, reference: Reference | None) -> Source | None:
    """Read a source; None for one that is not there and need not be."""
    try:
        return read_source(text, registries, reference=reference, flatten=flags.flatten)
    except RegistryError as error:
        if not flags.ignore_missing or error.kind != "not-found":
            raise
        _say(quiet=flags.quiet)(f"{text} is not there: left out")
        return None


def _layouts(sources: Sequence[str]) -> dict[str, str]:
    """Give the sources that are OCI layouts, with their paths."""
    kinds = ("oci:", "oci-archive:")
    return {text: text.partition(":")[2] for text in sources if text.startswith(kinds)}


def merge_last(flags: MergeFlags, *, state_dir: Path | None, verbose: bool) -> int:
    """Publish what the last run of the config built; UsageError for a flag that is about sources."""
    from multibuild.cli import runs

    stray = MergeFlags(
        file=flags.file,
        platform=flags.platform,
        tag=flags.tag,
        dry_run=flags.dry_run,
        json=flags.json,
        quiet=flags.quiet,
    )
    if flags != stray:
        raise UsageError(
            "without TARGET and SOURCE the config says what is merged",
            hint="`multibuild plan` shows it; --platform and --tag narrow it",
        )
    request = Request(
        file=flags.file,
        state_dir=state_dir,
        platforms=flags.platform,
        tags=flags.tag,
        json=flags.json,
        quiet=flags.quiet,
        verbose=verbose,
    )
    if flags.dry_run:
        _tell(index := _preview(request), flags)
        sys.stdout.buffer.write(index.content)
        return 0
    return runs.run(request, until="merge")


def _preview(request: Request) -> Manifest:
    from multibuild.cli.display import make_display
    from multibuild.cli.runs import chosen, load, state_of
    from multibuild.cli.supervise import supervise
    from multibuild.journal.recorder import Recorder
    from multibuild.workflow.merge_run import preview_last_run

    loaded = load(request)
    recorder = Recorder(None, make_display("quiet", quiet=True))
    state = state_of(request, loaded)
    return supervise(preview_last_run(loaded, chosen(request), state, recorder))


def _existing(target: str, registries: Stores) -> Source | None:
    """Read the index that is appended to; none yet is an empty one."""
    try:
        return read_source(target, registries)
    except RegistryError as error:
        if error.kind != "not-found":
            raise
        return None


def _tell(index: Manifest, flags: MergeFlags) -> None:
    """The digest and what will surprise somebody, to people."""
    if flags.quiet:
        return
    from multibuild.resolve.lint_index import lint

    print(f"{index.digest} {index.media_type}, {len(index.content)} bytes", file=sys.stderr)
    for finding in lint(index.entries, {}) if index.is_index else ():
        print(printable(f"{finding.kind}: {finding.detail}"), file=sys.stderr)


def _show(published: Published, flags: MergeFlags) -> None:
    from multibuild.resolve.lint_index import lint

    index = published.index
    if not flags.json:
        print("\n".join(f"{tag.reference}@{index.digest}  {tag.status}" for tag in published.tags))
        return
    document: dict[str, Any] = {
        "index": {
            "digest": index.digest,
            "mediaType": index.media_type,
            "size": len(index.content),
            "entries": len(index.entries),
        },
        "published": [
            {"ref": str(tag.reference), "before": tag.before, "after": tag.after, "status": tag.status}
            for tag in published.tags
        ],
        "findings": [{"kind": finding.kind, "detail": finding.detail} for finding in lint(index.entries, {})],
    }
    print_json(document)


class _say:  # noqa: N801 - a function that remembers one thing
    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, text: str, /) -> None:
        if not self._quiet:
            print(printable(text), file=sys.stderr)


class _emit:  # noqa: N801 - a function that remembers one thing
    def __init__(self, *, quiet: bool) -> None:
        self._say = _say(quiet=quiet)

    def __call__(self, name: str, /, **fields: Any) -> None:
        if name == "tag.planned":
            self._say(f"{fields['ref']} was {fields['before'] or 'not there'}")
