"""Plan an ad hoc merge: a pure function from sources as read and the user's options to the index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.oci.image import NoPlatform
from multibuild.oci.manifest import DOCKER_LIST, Manifest, as_mapping
from multibuild.oci.manifests.identity import ZSTD_ANNOTATION, EntryIdentity
from multibuild.oci.reference import Reference
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexBase, IndexChild, compose

MediaType = Literal["oci", "docker"]
T = TypeVar("T")


@frozen
class Source:
    """One source as read: a manifest is one child, an index one per image entry, flattened.

    `text` is what the user typed; `base` the index itself, where the source is one.
    """

    text: str
    reference: Reference
    children: tuple[IndexChild, ...]
    base: Manifest | None = None

    @property
    def references(self) -> tuple[Reference, ...]:
        """Each digest that an index of its children can list, in the source's repository."""
        digests = [digest for child in self.children for digest in child.digests]
        digests += [self.base.digest] if self.base is not None else []
        return tuple(self.reference.with_digest(digest) for digest in digests)


@frozen
class MergeOptions:
    """The fields of entries and index that the user sets; sources and platforms as typed."""

    platform_of: tuple[tuple[str, Platform], ...] = ()
    also_as: tuple[tuple[str, Platform], ...] = ()
    os_version: tuple[tuple[str, str], ...] = ()
    os_features: tuple[tuple[str, tuple[str, ...]], ...] = ()
    features: tuple[tuple[str, tuple[str, ...]], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    entry_annotations: tuple[tuple[Platform, str, str], ...] = ()
    only: tuple[Platform, ...] = ()
    media_type: MediaType | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed."""
        return self == MergeOptions()


def read_pairs(texts: Iterable[str], flag: str) -> tuple[tuple[str, str], ...]:
    """Split `SOURCE=VALUE`; UsageError naming the flag."""
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{flag} {text}: is not SOURCE=VALUE", hint=f"like {flag} app:arm64=…")
        pairs.append((name, value))
    return tuple(pairs)


def read_annotations(
    texts: Iterable[str],
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[Platform, str, str], ...]]:
    """Split `[PLATFORM:]KEY=VALUE` into those of the index and those of entries; UsageError for anything else.

    buildx's `index:KEY` and `manifest-descriptor[PLATFORM]:KEY` are the same; what would change an image is refused.
    """
    index, entries = [], []
    for text in map(_without_type, texts):
        name, equals, value = text.partition("=")
        before, colon, key = name.partition(":")
        is_entry = bool(colon) and "/" in before
        if not equals or not (key if is_entry else name):
            raise UsageError(
                f"--annotation {text}: is not [PLATFORM:]KEY=VALUE",
                hint="like org.opencontainers.image.title=app or linux/arm64:org.example.note=x",
            )
        if is_entry:
            entries.append((Platform.parse_verbatim(before), key, value))
        else:
            index.append((name, value))
    return tuple(index), tuple(entries)


def _without_type(text: str) -> str:
    """Return an annotation of `docker buildx imagetools create` as `merge` spells it, and any other as it is."""
    match = re.match(r"(index|manifest|index-descriptor|manifest-descriptor)(?:\[([^\]]*)\])?:(?=[^=])", text)
    if match is None:
        return text
    kind, platform = match[1], match[2]
    if kind == "index" and platform is None:
        return text[match.end() :]
    if kind == "manifest-descriptor" and platform:
        return f"{Platform.parse(platform)}:{text[match.end() :]}"
    raise UsageError(
        f"--annotation {text}: `merge` annotates the index and its entries",
        hint="write KEY=VALUE or PLATFORM:KEY=VALUE; manifests are annotated when they are built: `annotations`",
    )


def merge(sources: Sequence[Source], options: MergeOptions, *, onto: Source | None = None) -> Manifest:
    """Compose the index of `sources`; with `onto`, of that index and the sources (`--append`).

    A source that is an index and stands alone keeps its bytes when nothing is to be changed, and its annotations
    and subject when something is; so does `onto`. What would say the same in other bytes is not written anew. Raises
    UsageError for an option about a source or platform that does not exist,
    and what `compose` raises.
    """
    single = sources[0].base if len(sources) == 1 and onto is None else None
    if single is not None and options.is_empty:
        for child in sources[0].children:
            _require_readable(child)
        return single
    base = onto.base if onto is not None else single
    document: dict[str, Any] = base.document if base is not None else {}
    was_docker = base is not None and base.media_type == DOCKER_LIST
    children = plan_children(sources, options, onto=onto)
    kind = str(document.get("artifactType", ""))
    keeps_docker = was_docker and not options.annotations and not options.entry_annotations
    media_type = options.media_type or ("docker" if keeps_docker and _all_docker(children) else "oci")
    composed = compose(
        _mark_zstd(children) if media_type == "oci" else children,
        annotations={**as_mapping(document.get("annotations")), **dict(options.annotations)},
        media_type=media_type,
        base=IndexBase(subject=as_mapping(document.get("subject")), artifact_type=kind),
    )
    return base if base is not None and _says_the_same(base, composed) else composed


def _says_the_same(one: Manifest, other: Manifest) -> bool:
    """Whether two indexes differ in nothing but the order of names, white space and how characters are written."""
    return (one.media_type, one.document) == (other.media_type, other.document)


def plan_children(
    sources: Sequence[Source], options: MergeOptions, *, onto: Source | None = None
) -> tuple[IndexChild, ...]:
    """Return the children in the order of the sources, with their options applied.

    With `onto`, a child replaces the entries of its identity there, and those of its `also_as`; others are appended.
    Raises the problem of a child that cannot be merged.
    """
    _require_sources(sources, options)
    children: list[IndexChild] = []
    same: dict[str, list[IndexChild]] = {}
    for source in sources:
        for child in source.children:
            planned = _with_options(source, child, options)
            of_digest = same.setdefault(planned.image.digest, [])
            if planned not in of_digest and _is_chosen(planned, options.only):
                _require_mergeable(planned)
                children.append(planned)
                of_digest.append(planned)
    if onto is not None:
        children = _append(onto.children, children)
    return _annotate(children, options)


def _require_readable(child: IndexChild) -> None:
    """Raise the problem of a child, but for a missing platform: an index that stays as it is need not say it."""
    if child.problem is not None and not isinstance(child.problem, NoPlatform):
        raise child.problem


def _require_mergeable(child: IndexChild) -> None:
    """Raise the problem of a child; `--platform-of` says the platform that a config does not."""
    _require_readable(child)
    if child.problem is not None and child.platform is None:
        raise child.problem


def _append(entries: Sequence[IndexChild], children: Sequence[IndexChild]) -> list[IndexChild]:
    """Put children in the place of the old entries that have their identities, else at the end.

    Only old entries are ever replaced: of two children of one identity the second follows the first.
    """
    children = [_with_known(child, entries) for child in children]
    new = {identity for child in children for identity in child.identities}
    replaced = [not new.isdisjoint(entry.identities) for entry in entries]
    at = {id(child): _place(child, entries) for child in _first_of_identity(children)}
    merged: list[IndexChild] = []
    for position, (entry, is_replaced) in enumerate(zip(entries, replaced, strict=True)):
        merged += [_as_listed(child, entries) for child in children if at.get(id(child)) == position]
        merged += [] if is_replaced else [entry]
    return [*merged, *(child for child in children if at.get(id(child)) is None)]


def _with_known(child: IndexChild, entries: Sequence[IndexChild]) -> IndexChild:
    """Return a child with what the old index says of the same image: a manifest alone names no attestation."""
    known = next((entry for entry in entries if entry.image.digest == child.image.digest), None)
    if known is None:
        return child
    return replace(
        child,
        attestations=child.attestations or known.attestations,
        annotations={**known.annotations, **child.annotations},
    )


def _first_of_identity(children: Sequence[IndexChild]) -> Iterator[IndexChild]:
    seen: set[EntryIdentity] = set()
    for child in children:
        if child.identities[0] not in seen:
            yield child
        seen.add(child.identities[0])


def _place(child: IndexChild, entries: Sequence[IndexChild]) -> int | None:
    """Return the position of the first old entry that a child replaces; None for a new one."""
    matches = (i for i, entry in enumerate(entries) if child.identities[0] in entry.identities)
    return next(matches, None)


def _as_listed(child: IndexChild, entries: Sequence[IndexChild]) -> IndexChild:
    """Return a child under each spelling of its platform that the old index has (`arm64` beside `arm64/v8`).

    podman and crane compare exact strings: of the two spellings one would keep the old image, or be lost.
    """
    same = [platform_of(entry) for entry in entries if child.identities[0] in entry.identities]
    listed = {platform_of(child), *child.also_as}
    others = [platform for platform in dict.fromkeys(same) if platform and platform not in listed]
    return replace(child, also_as=(*child.also_as, *others)) if len(set(same)) > 1 else child


def _mark_zstd(children: Sequence[IndexChild]) -> tuple[IndexChild, ...]:
    """Annotate a child that needs zstd where one beside it does not: clients tell them apart by nothing else."""
    every = {identity for child in children for identity in child.identities}

    def marked(child: IndexChild) -> IndexChild:
        beside = (replace(identity, is_zstd=False) in every for identity in child.identities)
        if not child.needs_zstd or not any(beside):
            return child
        return replace(child, annotations={**child.annotations, ZSTD_ANNOTATION: "true"})

    return tuple(marked(child) for child in children)


def platform_of(child: IndexChild) -> Platform | None:
    """Return the platform of a child's entry."""
    return child.platform or child.image.platform


def _all_docker(children: Sequence[IndexChild]) -> bool:
    return all("docker" in child.image.media_type and not child.attestations for child in children)


def _is_chosen(child: IndexChild, only: Sequence[Platform]) -> bool:
    platform = platform_of(child)
    return not only or (platform is not None and platform.normalised() in only)


def _with_options(source: Source, child: IndexChild, options: MergeOptions) -> IndexChild:
    def values(pairs: Iterable[tuple[str, T]]) -> list[T]:
        return [value for name, value in pairs if _is_named(name, source, child)]

    return replace(
        child,
        platform=[child.platform, *values(options.platform_of)][-1],
        also_as=(*child.also_as, *dict.fromkeys(values(options.also_as))),
        os_version=[child.os_version, *values(options.os_version)][-1],
        os_features=[child.os_features, *values(options.os_features)][-1],
        features=[child.features, *values(options.features)][-1],
    )


def _is_named(name: str, source: Source, child: IndexChild) -> bool:
    """Whether `name` is a source with one child, or `repository@digest` of this child."""
    if name == source.text and len(source.children) == 1:
        return True
    reference = _parse(name)
    if reference is None:
        return False
    whole = reference == source.reference and len(source.children) == 1
    return whole or (reference.name == source.reference.name and reference.digest == child.image.digest)


def _parse(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except UsageError:
        return None  # a layout, like oci:DIR


def _require_sources(sources: Sequence[Source], options: MergeOptions) -> None:
    """Raise UsageError for an option whose source is not among `sources`, or has several images."""
    flags: dict[str, Sequence[tuple[str, object]]] = {
        "--platform-of": options.platform_of,
        "--also-as": options.also_as,
        "--os-version": options.os_version,
        "--os-features": options.os_features,
        "--features": options.features,
    }
    for flag, name in ((flag, name) for flag, pairs in flags.items() for name, _ in pairs):
        if any(_is_named(name, source, child) for source in sources for child in source.children):
            continue
        several = [source for source in sources if name == source.text or _parse(name) == source.reference]
        if several:
            platforms = ", ".join(str(platform_of(child)) for child in several[0].children)
            raise UsageError(
                f"{flag} {name}: holds {len(several[0].children)} images ({platforms})",
                hint=f"name the one: {several[0].reference.name}@sha256:…",
            )
        raise UsageError(
            f"{flag} {name}: is none of the sources",
            hint=f"they are {', '.join(source.text for source in sources)}",
        )


def _annotate(children: Sequence[IndexChild], options: MergeOptions) -> tuple[IndexChild, ...]:
    """Add annotations to the entries of their platform: as written, else in normal form."""
    result = list(children)
    for platform, key, value in options.entry_annotations:
        exact = [i for i, child in enumerate(result) if platform_of(child) == platform]
        same = [i for i, child in enumerate(result) if _is_same(platform_of(child), platform)]
        for i in exact or same:
            result[i] = replace(result[i], annotations={**result[i].annotations, key: value})
        if not same:
            raise UsageError(
                f"--annotation {platform}:{key}: no entry is of {platform}",
                hint=f"there are {', '.join(str(platform_of(child)) for child in result)}",
            )
    return tuple(result)


def _is_same(one: Platform | None, other: Platform) -> bool:
    return one is not None and one.normalised() == other.normalised()
