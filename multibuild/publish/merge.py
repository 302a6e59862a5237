"""Plans an ad hoc merge: from sources as read and the user's options to the index. Pure (contract §6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.oci.manifest import DOCKER_LIST, Manifest, as_mapping
from multibuild.oci.reference import Reference
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexBase, IndexChild, compose

MediaType = Literal["oci", "docker"]


@frozen
class Source:
    """One source as read: a manifest gives one child, an index one per image entry, flattened.

    `text` is what the user typed; `base` the index itself, where the source is one.
    """

    text: str
    reference: Reference
    children: tuple[IndexChild, ...]
    base: Manifest | None = None

    @property
    def places(self) -> tuple[Reference, ...]:
        """Where each digest is that an index of its children can name: the same repository."""
        digests = [digest for child in self.children for digest in child.digests]
        digests += [self.base.digest] if self.base is not None else []
        return tuple(self.reference.with_digest(digest) for digest in digests)


@frozen
class MergeOptions:
    """What the user wants said of the entries and the index; sources and platforms as typed."""

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
    def none(self) -> bool:
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
    """Split `[PLATFORM:]KEY=VALUE` into those of the index and those of entries; UsageError for anything else."""
    index, entries = [], []
    for text in texts:
        name, equals, value = text.partition("=")
        before, colon, key = name.partition(":")
        is_entry = bool(colon) and "/" in before
        if not equals or not (key if is_entry else name):
            raise UsageError(
                f"--annotation {text}: is not [PLATFORM:]KEY=VALUE",
                hint="like org.opencontainers.image.title=app or linux/arm64:org.example.note=x",
            )
        if is_entry:
            entries.append((Platform.literal(before), key, value))
        else:
            index.append((name, value))
    return tuple(index), tuple(entries)


def merge(sources: Sequence[Source], options: MergeOptions, *, onto: Source | None = None) -> Manifest:
    """Compose the index of `sources`; with `onto`, of that index and the sources (`--append`).

    A source that is an index and stands alone keeps its bytes when nothing is to be changed, and its annotations
    and subject when something is. Raises UsageError for a wish about a source or platform that is not here, and what
    `compose` raises.
    """
    single = sources[0].base if len(sources) == 1 and onto is None else None
    if single is not None and options.none:
        return single
    base = onto.base if onto is not None else single
    document: dict[str, Any] = base.document if base is not None else {}
    was_docker = base is not None and base.media_type == DOCKER_LIST
    children = plan_children(sources, options, onto=onto)
    kind = str(document.get("artifactType", ""))
    keeps_docker = was_docker and not options.annotations and not options.entry_annotations
    return compose(
        children,
        annotations={**as_mapping(document.get("annotations")), **dict(options.annotations)},
        media_type=options.media_type or ("docker" if keeps_docker and _all_docker(children) else "oci"),
        base=IndexBase(subject=as_mapping(document.get("subject")), artifact_type=kind),
    )


def plan_children(
    sources: Sequence[Source], options: MergeOptions, *, onto: Source | None = None
) -> tuple[IndexChild, ...]:
    """Give the children in the order of the sources, each with what was wished of it.

    With `onto`, a child whose platform is listed there already takes the old one's place, and that of entries it is
    to have besides; others come after.
    """
    _require_known(sources, options)
    children: list[IndexChild] = []
    for source in sources:
        for child in source.children:
            wished = _wished(source, child, options)
            if wished not in children and _is_chosen(wished, options.only):
                children.append(wished)
    old = list(onto.children) if onto is not None else []
    for child in children:
        said = platform_of(child)
        places = [place for place, entry in enumerate(old) if said and _same(platform_of(entry), said)]
        if onto is not None and places:
            old[places[0]] = child
        else:
            old.append(child)
        if onto is not None:
            old = [entry for entry in old if entry is child or platform_of(entry) not in child.also_as]
    return _annotated(old, options)


def platform_of(child: IndexChild) -> Platform | None:
    """Give the platform a child's entry will say."""
    return child.platform or child.image.platform


def _all_docker(children: Sequence[IndexChild]) -> bool:
    return all("docker" in child.image.media_type and not child.attestations for child in children)


def _is_chosen(child: IndexChild, only: Sequence[Platform]) -> bool:
    said = platform_of(child)
    return not only or (said is not None and said.normalised() in only)


def _wished(source: Source, child: IndexChild, options: MergeOptions) -> IndexChild:
    said = [value for name, value in options.platform_of if _names(name, source, child)]
    also = [value for name, value in options.also_as if _names(name, source, child)]
    versions = [value for name, value in options.os_version if _names(name, source, child)]
    os_features = [value for name, value in options.os_features if _names(name, source, child)]
    features = [value for name, value in options.features if _names(name, source, child)]
    return replace(
        child,
        platform=said[-1] if said else child.platform,
        also_as=(*child.also_as, *dict.fromkeys(also)),
        os_version=versions[-1] if versions else child.os_version,
        os_features=os_features[-1] if os_features else child.os_features,
        features=features[-1] if features else child.features,
    )


def _names(name: str, source: Source, child: IndexChild) -> bool:
    """Whether `name` is the source that gave one child, or `repository@digest` of this child."""
    if name == source.text and len(source.children) == 1:
        return True
    reference = _reference(name)
    if reference is None:
        return False
    whole = reference == source.reference and len(source.children) == 1
    return whole or (reference.name == source.reference.name and reference.digest == child.image.digest)


def _reference(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except UsageError:
        return None  # a layout, like oci:DIR


def _require_known(sources: Sequence[Source], options: MergeOptions) -> None:
    """Raise UsageError for a wish whose source is none of ours, or holds several images."""
    flags = {
        "--platform-of": [name for name, _ in options.platform_of],
        "--also-as": [name for name, _ in options.also_as],
        "--os-version": [name for name, _ in options.os_version],
        "--os-features": [name for name, _ in options.os_features],
        "--features": [name for name, _ in options.features],
    }
    for flag, names in flags.items():
        for name in names:
            if any(_names(name, source, child) for source in sources for child in source.children):
                continue
            several = [s for s in sources if name == s.text or _reference(name) == s.reference]
            if several:
                listed = ", ".join(str(platform_of(child)) for child in several[0].children)
                raise UsageError(
                    f"{flag} {name}: holds {len(several[0].children)} images ({listed})",
                    hint=f"name the one: {several[0].reference.name}@sha256:…",
                )
            raise UsageError(
                f"{flag} {name}: is none of the sources",
                hint=f"they are {', '.join(source.text for source in sources)}",
            )


def _annotated(children: Sequence[IndexChild], options: MergeOptions) -> tuple[IndexChild, ...]:
    """Put annotations onto the entries of their platform: as written, else in normal form."""
    done = list(children)
    for platform, key, value in options.entry_annotations:
        exact = [place for place, child in enumerate(done) if platform_of(child) == platform]
        normal = [place for place, child in enumerate(done) if _same(platform_of(child), platform)]
        for place in exact or normal:
            done[place] = replace(done[place], annotations={**done[place].annotations, key: value})
        if not (exact or normal):
            raise UsageError(
                f"--annotation {platform}:{key}: no entry is of {platform}",
                hint=f"there are {', '.join(str(platform_of(child)) for child in done)}",
            )
    return tuple(done)


def _same(one: Platform | None, other: Platform) -> bool:
    return one is not None and one.normalised() == other.normalised()
