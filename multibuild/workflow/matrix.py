"""The platforms of a config as jobs of a CI system. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.models import Config

GITHUB_RUNNER = "ubuntu-latest"
"""Where GitHub builds what names no runner."""

GITLAB_MATRIX = ".multibuild-matrix"
"""The hidden job that `--format gitlab` writes; the template's build job extends it."""


@frozen
class Job:
    """A job of CI: its platforms, a name fit for files, and the runner ("" where the config names none)."""

    platforms: tuple[Platform, ...]
    slug: str
    runner: str

    def row(self, runner: str) -> dict[str, str]:
        """Give the row of a matrix; `platform` is what `multibuild build --platform` takes."""
        return {
            "platform": ",".join(map(str, self.platforms)),
            "slug": self.slug,
            "runner": self.runner or runner,
        }


def make_jobs(
    config: Config,
    *,
    only: Sequence[Platform] | None = None,
    shards: int | None = None,
    seconds: Mapping[str, float] | None = None,
) -> tuple[Job, ...]:
    """Make one job per platform, or at most `shards` jobs; platforms of different runners share none.

    `seconds` is what platforms took before: shards are filled so that they take about as long. Raises UsageError
    for fewer shards than there are runners.
    """
    groups: dict[str, list[Platform]] = {}
    for entry in config.platforms:
        if only is None or entry.name in only:
            groups.setdefault(entry.runner or "", []).append(entry.name)
    if shards is None:
        return tuple(
            Job(platforms=(entry.name,), slug=entry.name.slug, runner=entry.runner or "")
            for entry in config.platforms
            if only is None or entry.name in only
        )
    if shards < len(groups):
        raise UsageError(
            f"--shards {shards}: the platforms name {len(groups)} different runners",
            hint=f"a job has one runner: write --shards {len(groups)} or more",
        )
    known = seconds or {}
    typical = max(known.values(), default=1.0)
    cost = {name: known.get(str(name), typical) for group in groups.values() for name in group}
    parts = [
        (runner, part)
        for runner, number in _shares(groups, shards).items()
        for part in _filled(groups[runner], number, cost)
    ]
    return tuple(
        Job(platforms=part, slug=f"shard-{number}", runner=runner)
        for number, (runner, part) in enumerate(parts, start=1)
    )


def _shares(groups: Mapping[str, Sequence[Platform]], shards: int) -> dict[str, int]:
    """Give every runner a shard, and each further one to whoever has most platforms per shard."""
    shares = dict.fromkeys(groups, 1)
    for _ in range(shards - len(groups)):
        most = max(groups, key=lambda runner: len(groups[runner]) / shares[runner])
        if len(groups[most]) > shares[most]:
            shares[most] += 1
    return shares


def _filled(
    platforms: Sequence[Platform], number: int, cost: Mapping[Platform, float]
) -> list[tuple[Platform, ...]]:
    """Put the longest first into the emptiest shard; in a shard they stay in the order of the config."""
    shards: list[list[Platform]] = [[] for _ in range(number)]
    for platform in sorted(platforms, key=lambda name: -cost[name]):
        min(shards, key=lambda shard: sum(cost[name] for name in shard)).append(platform)
    return [tuple(name for name in platforms if name in shard) for shard in shards if shard]


def github_matrix(jobs: Sequence[Job], runner: str = GITHUB_RUNNER) -> dict[str, Any]:
    """Give the value of `strategy.matrix` (contract §2)."""
    return {"include": [job.row(runner) for job in jobs]}


def gitlab_matrix(jobs: Sequence[Job], runner: str = "") -> dict[str, Any]:
    """Give a file to include: a hidden job with `parallel: matrix:`, whose variables are PLATFORM, SLUG, RUNNER."""
    rows = [{name.upper(): value for name, value in job.row(runner).items() if value} for job in jobs]
    return {GITLAB_MATRIX: {"parallel": {"matrix": rows}}}
