"""The platforms of a config as jobs of a CI system. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.config import Config

GITHUB_RUNNER = "ubuntu-latest"
"""Runner of a GitHub job whose platforms have none in the config."""

GITLAB_MATRIX = ".multibuild-matrix"
"""The hidden job that `--format gitlab` writes; the template's build job extends it."""


@frozen
class Job:
    """A CI job: its platforms, a name fit for files, and the runner ("" if the config has none)."""

    platforms: tuple[Platform, ...]
    slug: str
    runner: str

    def row(self, runner: str) -> dict[str, str]:
        """Return the row of a matrix, whose `platform` is the argument of `multibuild build --platform`."""
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
    """Return one job per platform, or at most `shards` jobs, each for one runner.

    `seconds` is the past build time of each platform, to balance shards with. Raises UsageError for fewer shards
    than runners.
    """
    chosen = [entry for entry in config.platforms if only is None or entry.name in only]
    runners = {entry.name: entry.runner or "" for entry in chosen}
    if shards is None:
        return tuple(
            Job(platforms=(name,), slug=name.slug, runner=runner) for name, runner in runners.items()
        )
    groups: dict[str, list[Platform]] = {}
    for name, runner in runners.items():
        groups.setdefault(runner, []).append(name)
    if shards < len(groups):
        raise UsageError(
            f"--shards {shards}: the platforms name {len(groups)} different runners",
            hint=f"a job has one runner: write --shards {len(groups)} or more",
        )
    shards = min(shards, len(runners))
    seconds = seconds or {}
    default = max(seconds.values(), default=1.0)
    cost = {name: seconds.get(str(name), default) for name in runners}
    parts = [
        (runner, part)
        for runner, number in _share_counts(groups, shards).items()
        for part in _fill_shards(groups[runner], number, cost)
    ]
    return tuple(
        Job(platforms=part, slug=f"shard-{number}", runner=runner)
        for number, (runner, part) in enumerate(parts, start=1)
    )


def _share_counts(groups: Mapping[str, Sequence[Platform]], shards: int) -> dict[str, int]:
    """Return the shards of each runner: one, and each further one where there are most platforms per shard."""
    shares = dict.fromkeys(groups, 1)
    for _ in range(shards - len(groups)):
        busiest = max(groups, key=lambda runner: len(groups[runner]) / shares[runner])
        if len(groups[busiest]) > shares[busiest]:
            shares[busiest] += 1
    return shares


def _fill_shards(
    platforms: Sequence[Platform], number: int, cost: Mapping[Platform, float]
) -> list[tuple[Platform, ...]]:
    """Return balanced shards: the slowest platform first, into the emptiest shard; each in the config's order."""
    shards: list[list[Platform]] = [[] for _ in range(number)]
    for platform in sorted(platforms, key=lambda name: -cost[name]):
        min(shards, key=lambda shard: sum(cost[name] for name in shard)).append(platform)
    return [tuple(name for name in platforms if name in shard) for shard in shards if shard]


def github_matrix(jobs: Sequence[Job], runner: str = GITHUB_RUNNER) -> dict[str, Any]:
    """Return the value of `strategy.matrix` (docs.github.com/actions, workflow syntax)."""
    return {"include": [job.row(runner) for job in jobs]}


def gitlab_matrix(jobs: Sequence[Job], runner: str = "") -> dict[str, Any]:
    """Return a file to include: a hidden job with `parallel: matrix:`, whose variables are PLATFORM, SLUG, RUNNER."""
    rows = [{name.upper(): value for name, value in job.row(runner).items() if value} for job in jobs]
    return {GITLAB_MATRIX: {"parallel": {"matrix": rows}}}
