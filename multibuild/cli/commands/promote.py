"""`promote`: publish what exists under other tags, repositories and registries, with the same bytes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.cli.request import (
    Platforms,
    Request,
    chosen_platforms,
    configs_if_any,
    has_config,
    load_project,
    registry_settings,
    state_of,
)
from multibuild.cli.streams import print_json
from multibuild.cli.targets import announce_tags, destinations
from multibuild.errors import UsageError, VerificationFailed
from multibuild.frozen import frozen
from multibuild.oci.reference import Reference
from multibuild.terminal import human_bytes, human_seconds

if TYPE_CHECKING:
    from multibuild.oci.copy.companions import CompanionPolicy
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.publish.move_tags import MovedTag
    from multibuild.workflow.promote import Promotion

PROGRESS_S = 2.0
"""A promotion that takes longer says how far it is, as often as this."""


@frozen
class PromoteRequest(Request):
    """The flags of `promote`."""

    source: Annotated[
        str, Argument(help="An image or index, by tag or digest.", autocompletion=completion.images)
    ]
    targets: Annotated[
        tuple[str, ...],
        Argument(
            help="host/repository:tag, or :tag of the source's repository.", autocompletion=completion.images
        ),
    ]
    platforms: Platforms = ()
    verify: Annotated[
        bool, Option("--verify", help="Prove the content first, as `verify` does (exit 6).")
    ] = False
    signed_by: Annotated[
        tuple[str, ...],
        Option("--signed-by", help="A public key: cosign must verify a signature by it first (exit 6)."),
    ] = ()
    signatures: Annotated[
        bool,
        Option(
            "--signatures/--no-signatures", help="Copy signatures, attestations, SBOMs and other referrers."
        ),
    ] = True
    allow_missing_signatures: Annotated[
        bool,
        Option("--allow-missing-signatures", help="Leave out those that cannot be copied, and say so."),
    ] = False
    dry_run: Annotated[bool, Option("--dry-run", help="Check, and say what would move; write nothing.")] = (
        False
    )


def promote(request: PromoteRequest) -> int:
    """Publish an image or index that exists under other tags.

    In this or another repository or registry, with the same bytes and what belongs to it: all tags move, or none.
    """
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.workflow.promote import plan_promotion, present_tags
    from multibuild.workflow.promote import promote as carry_out

    source = Reference.parse(request.source)
    targets = destinations(_target(text, source) for text in request.targets)
    companions = _Companions(request)
    with RegistrySession(registry_settings(request.file), on_wait=request.say) as registries:
        only = chosen_platforms(request) or ()
        promotion = plan_promotion(source, targets, registries, only=only)
        with progress(request.say, "checking"):
            _check(promotion, request, registries)
        if request.dry_run:
            tags = present_tags(promotion, registries)
        else:
            with progress(request.say, "copying") as observe:
                tags = carry_out(
                    promotion,
                    registries,
                    emit=announce_tags(request.say),
                    companions=companions.policy(),
                    observe=observe,
                ).tags
    for line in companions.left_out:
        request.say(line)
    _show(promotion, tags, companions, request)
    return 0


def _target(text: str, source: Reference) -> Reference:
    """Parse a target; UsageError for one word, which could be a tag as well as an image of Docker Hub."""
    if "/" not in text and ":" not in text:
        raise UsageError(
            f"{text}: is it a tag or an image?", hint=f"write :{text} for a tag of {source.name}"
        )
    return Reference.parse(f"{source.name}{text}" if text.startswith(":") else text)


class _Companions:
    """Collects what was copied beside the images and what was left out."""

    def __init__(self, request: PromoteRequest) -> None:
        if request.allow_missing_signatures and not request.signatures:
            raise UsageError(
                "--allow-missing-signatures and --no-signatures exclude each other",
                hint="leave one of them out",
            )
        self._request = request
        self._copied: list[str] = []
        self.left_out: list[str] = []

    def policy(self) -> CompanionPolicy:
        from multibuild.oci.copy.companions import CompanionPolicy

        may_miss = self._request.allow_missing_signatures
        return CompanionPolicy(
            mode="omit" if not self._request.signatures else "optional" if may_miss else "complete",
            report=self.left_out.append,
            note=self._copied.append,
            hint="--allow-missing-signatures leaves out what cannot be copied, and says so",
        )

    def document(self) -> dict[str, list[str]]:
        return {"copied": sorted(set(self._copied)), "left_out": self.left_out}


def _check(promotion: Promotion, request: PromoteRequest, registries: RegistrySession) -> None:
    """Require the signatures and the proof that the user asks for, before anything is written."""
    if request.signed_by:
        _require_signatures(promotion.source, request)
    if request.verify:
        _verify(promotion, request, registries)


def _require_signatures(source: Reference, request: PromoteRequest) -> None:
    """Have cosign verify the source with each key; a config says how, where there is one."""
    from multibuild.oci.registry_settings import RegistrySettings
    from multibuild.publish.require_signature import require_signature

    configs = configs_if_any(request.file)
    registries = {host: one for config in configs for host, one in config.registry_settings.items()}
    settings = registries.get(source.host) or RegistrySettings(host=source.host)
    tlog = all(config.sign.tlog for config in configs if config.sign is not None)
    for key in request.signed_by:
        require_signature(key, source, settings, tlog=tlog)


def _verify(promotion: Promotion, request: PromoteRequest, registries: RegistrySession) -> None:
    """Prove what is promoted, with the config's rules; VerificationFailed after printing what is wrong."""
    from multibuild.cli.commands.verify import as_table, config_of, rules_of
    from multibuild.oci.errors import translate_read_errors
    from multibuild.prove.content.layer_cache import LayerCache
    from multibuild.prove.verify import verify_manifest

    # --platform is about the source, not about the config.
    plain = Request(file=request.file, state_dir=request.state_dir)
    images = load_project(plain).images if has_config(request.file) else ()
    config = config_of(str(promotion.source), [loaded.config for loaded in images])
    state = state_of(plain, *images) if images else None
    with translate_read_errors():
        verification = verify_manifest(
            promotion.manifest,
            promotion.source,
            registries,
            rules=rules_of(config, None),
            cache=LayerCache(state.path / "layers" if state is not None else None),
        )
    if not verification.ok:
        print(as_table(verification), file=sys.stderr)
        raise VerificationFailed(
            f"{promotion.source} is not what it says; no tag was moved",
            hint=f"`multibuild verify {promotion.source}` says the same",
        )


@contextmanager
def progress(
    say: Callable[[str], None], what: str, every_s: float = PROGRESS_S
) -> Iterator[Callable[[int], None]]:
    """Report every few seconds how long `what` takes, and how much was uploaded; yields the counter of that."""
    began, total, lock, ended = time.monotonic(), [0], threading.Lock(), threading.Event()

    def count(size: int) -> None:
        with lock:
            total[0] += size

    def report() -> None:
        while not ended.wait(every_s):
            uploaded = f", {human_bytes(total[0])} uploaded" if total[0] else ""
            say(f"{what} for {human_seconds(time.monotonic() - began)}{uploaded}")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        ended.set()
        thread.join()


def _show(
    promotion: Promotion, tags: Sequence[MovedTag], companions: _Companions, request: PromoteRequest
) -> None:
    if not request.json:
        print("\n".join(f"{tag.reference}@{promotion.manifest.digest}  {tag.status}" for tag in tags))
        return
    document: dict[str, Any] = {
        "source": str(promotion.source),
        "digest": promotion.manifest.digest,
        "targets": [tag.as_row() for tag in tags],
        "companions": companions.document(),
    }
    print_json(document)
