"""`merge`: compose one index of images from anywhere, or of the last run's children."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated, Any, cast

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.cli.request import (
    Platforms,
    Request,
    Sets,
    chosen_platforms,
    comma_list,
    has_config,
    load_project,
    registry_settings,
    state_of,
)
from multibuild.cli.streams import print_index, print_json
from multibuild.cli.targets import announce_tags, destinations
from multibuild.errors import PublishFailed, UsageError
from multibuild.frozen import frozen
from multibuild.oci.reference import Destination, Reference
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from multibuild.config.project import LoadedProject
    from multibuild.journal.recorder import Recorder
    from multibuild.journal.runs import State
    from multibuild.oci.copy.companions import CompanionPolicy
    from multibuild.oci.manifest import Manifest
    from multibuild.oci.store import Stores
    from multibuild.publish.merge import MediaType, MergeOptions, Source
    from multibuild.publish.move_tags import Published


@frozen
class MergeRequest(Request):
    """The flags of `merge`."""

    target: Annotated[
        str | None,
        Argument(
            help="The tag to publish; none: the last run's; an image of a file of several: its.",
            autocompletion=completion.names_and_images,
        ),
    ] = None
    sources: Annotated[
        tuple[str, ...],
        Argument(
            help="Images or indexes, tags or digests; after an image of the file: further ones.",
            autocompletion=completion.names_and_images,
        ),
    ] = ()
    platform_of: Annotated[
        tuple[str, ...], Option("--platform-of", help="SOURCE=os/arch or SOURCE=os/arch/variant.")
    ] = ()
    also_as: Annotated[tuple[str, ...], Option("--also-as", help="SOURCE=platform: a further entry.")] = ()
    os_version: Annotated[tuple[str, ...], Option("--os-version", help="SOURCE=VERSION.")] = ()
    os_features: Annotated[tuple[str, ...], Option("--os-features", help="SOURCE=a,b.")] = ()
    features: Annotated[
        tuple[str, ...], Option("--features", help="SOURCE=a,b: of the CPU, in a Docker list.")
    ] = ()
    annotation: Annotated[tuple[str, ...], Option("--annotation", help="[PLATFORM:]KEY=VALUE.")] = ()
    media_type: Annotated[
        str | None,
        Option("--media-type", help="oci or docker.", autocompletion=completion.fixed("oci", "docker")),
    ] = None
    from_oci: Annotated[
        tuple[str, ...], Option("--from-oci", help="DIR[:TAG] or FILE[:TAG]: an OCI layout as a source.")
    ] = ()
    append: Annotated[bool, Option("--append", help="Onto what TARGET holds now.")] = False
    flatten: Annotated[
        bool, Option("--flatten/--no-flatten", help="Take the images out of an index that is a source.")
    ] = True
    ignore_missing: Annotated[
        bool, Option("--ignore-missing", help="Leave out sources that are not there.")
    ] = False
    signatures: Annotated[
        bool,
        Option(
            "--signatures/--no-signatures",
            help="Copy signatures and SBOMs, where they can be read.",
        ),
    ] = True
    require_signatures: Annotated[
        bool,
        Option(
            "--require-signatures",
            help="Fail where one cannot be copied, or is missing.",
        ),
    ] = False
    handed_over: Annotated[
        bool, Option("--handed-over", help="What build --hand-over left in the registry, no last run.")
    ] = False
    dry_run: Annotated[bool, Option("--dry-run", help="Print the exact bytes, push nothing.")] = False
    platforms: Platforms = ()
    sets: Sets = ()
    tags: Annotated[
        tuple[str, ...],
        Option(
            "--tag", help="A further tag of TARGET, or host/repository:tag.", autocompletion=completion.tags
        ),
    ] = ()

    def companions(self, report: Callable[[str], None]) -> CompanionPolicy:
        """Return what to do about signatures and the like; `report` gets a line for each that was left out."""
        from multibuild.oci.copy.companions import CompanionPolicy

        if self.require_signatures:
            return CompanionPolicy(mode="required", report=report)
        return CompanionPolicy(mode="optional" if self.signatures else "omit", report=report)

    def options(self) -> MergeOptions:
        """Return the parsed options; UsageError for a malformed one."""
        from multibuild.publish.merge import MergeOptions, read_annotations, read_pairs

        if self.media_type not in {None, "oci", "docker"}:
            raise UsageError(f"--media-type {self.media_type}: is not known", hint="there are oci and docker")
        index, entries = read_annotations(self.annotation)
        return MergeOptions(
            platform_of=_platforms(self.platform_of, "--platform-of"),
            also_as=_platforms(self.also_as, "--also-as"),
            os_version=read_pairs(self.os_version, "--os-version"),
            os_features=_lists(self.os_features, "--os-features"),
            features=_lists(self.features, "--features"),
            annotations=index,
            entry_annotations=entries,
            only=tuple(map(Platform.parse, comma_list(self.platforms))),
            media_type=cast("MediaType | None", self.media_type),
        )


def merge(request: MergeRequest) -> int:
    """Compose an index of images from anywhere.

    Pushes it and moves the tag. Without arguments, or with names of images in a file of several: of the last run's
    children, or of those that were handed over.
    """
    if names := _image_names(request):
        return _merge_last_run(replace(request, target=None, sources=(), images=names))
    if request.target is None:
        return _merge_last_run(request)
    return _merge_sources(request.target, request)


def _image_names(request: MergeRequest) -> tuple[str, ...]:
    """Return the arguments, if they name images of a file of several; () for a target and its sources."""
    from multibuild.config.images.names import is_name

    words = tuple(filter(None, (request.target, *request.sources)))
    if not words or not all(map(is_name, words)) or not has_config(request.file):
        return ()
    own = {loaded.name for loaded in load_project(Request(file=request.file)).images}
    return words if words[0] in own else ()


LAST_RUN_FLAGS = frozenset({*(field.name for field in fields(Request)), "dry_run"})
"""Flags that are valid without TARGET and SOURCE; all others are about sources."""


def _merge_last_run(request: MergeRequest) -> int:
    """Publish the children of the config's last run; UsageError for a flag that is about sources."""
    from multibuild.cli.commands.all import check_before_run, start

    for field in fields(request):
        if field.name not in LAST_RUN_FLAGS and getattr(request, field.name) != field.default:
            raise UsageError(
                "without TARGET and SOURCE the config says what is merged",
                hint="`multibuild plan` shows it; --platform and --tag narrow it",
            )
    project = load_project(request)
    if request.dry_run:
        _preview(request, project)
        return 0
    check_before_run(request, project, builds=False, publishes=True)
    return start(request, project, "merge")


def _merge_sources(target: str, request: MergeRequest) -> int:
    """Compose, push, read back and move the tags; with `--dry-run` only print the bytes."""
    from multibuild.oci.local.layout import StoresWithLayouts, open_layout
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.publish.merge import merge as compose
    from multibuild.publish.merge_sources import read_target

    options = request.options()
    if request.handed_over:
        raise UsageError(
            "--handed-over merges what the config says, without TARGET and SOURCE", hint="leave them out"
        )
    if request.sets:
        raise UsageError("--set changes the config, which TARGET and SOURCE do not need", hint="leave it out")
    if request.require_signatures and not request.signatures:
        raise UsageError(
            "--require-signatures and --no-signatures exclude each other", hint="leave one of them out"
        )
    targets = destinations_of(target, request.tags)
    sources = (*request.sources, *(f"oci:{path}" for path in request.from_oci))
    if not sources:
        raise UsageError(f"merge {target}: names no source", hint="merge TARGET SOURCE...")
    with RegistrySession(registry_settings(request.file), on_wait=request.say) as session:
        opened = {text: open_layout(path) for text, path in _layouts(sources).items()}
        registries = StoresWithLayouts(session, *(layout for layout, _ in opened.values()))
        references = {text: opened[text][1] if text in opened else None for text in sources}
        read_all = session.start_map(lambda text: _read(text, registries, request, references[text]), sources)
        # Imported while the registries respond.
        from multibuild.publish.move_tags import publish

        parts = [source for source in read_all() if source is not None]
        if not parts:
            raise PublishFailed(f"none of {', '.join(sources)} exists")
        onto = read_target(target, session) if request.append else None
        index = compose(parts, options, onto=onto)
        _describe(index, request)
        if request.dry_run:
            print_index(index.content)
            return 0
        left_out: list[str] = []
        published = publish(
            index,
            targets,
            sources=[ref for source in (*parts, *((onto,) if onto else ())) for ref in source.references],
            registries=registries,
            emit=announce_tags(request.say),
            companions=request.companions(left_out.append),
        )
    for line in left_out:
        request.say(line)
    _show(published, request, left_out)
    return 0


def _lists(texts: tuple[str, ...], flag: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    from multibuild.publish.merge import read_pairs

    return tuple((source, tuple(filter(None, value.split(",")))) for source, value in read_pairs(texts, flag))


def _platforms(texts: tuple[str, ...], flag: str) -> tuple[tuple[str, Platform], ...]:
    from multibuild.publish.merge import read_pairs

    return tuple((source, Platform.parse_verbatim(value)) for source, value in read_pairs(texts, flag))


def destinations_of(target: str, further: Sequence[str]) -> tuple[Destination, ...]:
    """Return the destinations: TARGET first, then further tags of it, or `host/repository:tag`."""
    first = Reference.parse(target)
    references = (
        Reference.parse(text) if "/" in text or ":" in text else first.with_tag(text)
        for text in (target, *further)
    )
    return destinations(references)


def _read(text: str, registries: Stores, request: MergeRequest, reference: Reference | None) -> Source | None:
    """Read a source; None for a missing one with `--ignore-missing`."""
    from multibuild.oci.errors import RegistryError
    from multibuild.publish.merge_sources import read_source

    try:
        return read_source(text, registries, reference=reference, flatten=request.flatten)
    except RegistryError as error:
        if not request.ignore_missing or error.kind != "not-found":
            raise
        request.say(f"{text} is not there: left out")
        return None


def _layouts(sources: Sequence[str]) -> dict[str, str]:
    """Return the sources that are OCI layouts, with their paths."""
    kinds = ("oci:", "oci-archive:")
    return {text: text.partition(":")[2] for text in sources if text.startswith(kinds)}


def _preview(request: MergeRequest, project: LoadedProject) -> None:
    """Print the index of each image, one after the other."""
    from multibuild.cli.display.display import make_display
    from multibuild.cli.supervise import supervise
    from multibuild.journal.recorder import Recorder

    recorder = Recorder(None, make_display("quiet", quiet=True))
    state = state_of(request, *project.images)
    indexes = supervise(_previews(request, project, state, recorder))
    for name, index in indexes.items():
        _describe(index, request, name)
        print_index(index.content)
        if name:
            print()


def _previews(
    request: MergeRequest, project: LoadedProject, state: State, recorder: Recorder
) -> Coroutine[object, object, dict[str, Manifest]]:
    """Compose the indexes of the last run's children, or of those that were handed over, by image."""
    from multibuild.workflow.merge.last_run import preview_last_run

    only = chosen_platforms(request)
    if not request.handed_over:
        return preview_last_run(project, only, state, recorder)
    from multibuild.engine.docker import DockerEngine
    from multibuild.journal.run_context import RunContext
    from multibuild.journal.runs import RunDirectory
    from multibuild.workflow.merge.handed_over_images import preview_handed_over

    context = RunContext(
        command="merge",
        engine=DockerEngine(),
        state=state,
        run=RunDirectory(state.path / "no-run"),  # of which a preview has nothing
        recorder=recorder,
        hand_over=True,
    )
    return preview_handed_over(project, only, context)


def _describe(index: Manifest, request: MergeRequest, name: str = "") -> None:
    """Print the digest and lint's findings to stderr, with the image's name in a file of several."""
    if request.quiet:
        return
    from multibuild.resolve.lint_index import lint

    image = f"{name}: " if name else ""
    print(f"{image}{index.digest} {index.media_type}, {len(index.content)} bytes", file=sys.stderr)
    for finding in lint(index.entries, {}) if index.is_index else ():
        print(f"{image}{finding.kind}: {finding.detail}", file=sys.stderr)


def _show(published: Published, request: MergeRequest, left_out: Sequence[str]) -> None:
    from multibuild.resolve.lint_index import lint

    index = published.index
    if not request.json:
        print("\n".join(f"{tag.reference}@{index.digest}  {tag.status}" for tag in published.tags))
        return
    document: dict[str, Any] = {
        "index": {
            "digest": index.digest,
            "mediaType": index.media_type,
            "size": len(index.content),
            "entries": len(index.entries),
        },
        "published": [tag.as_row() for tag in published.tags],
        "findings": [{"kind": finding.kind, "detail": finding.detail} for finding in lint(index.entries, {})],
        "left_out": list(left_out),
    }
    print_json(document)
