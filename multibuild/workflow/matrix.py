"""The platforms and images of a config as jobs of a CI system. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig

GITHUB_RUNNER = "ubuntu-latest"
"""Runner of a GitHub job whose platforms have none in the config."""

GITLAB_MATRIX = ".multibuild-matrix"
"""The hidden job that `--format gitlab` writes; the template's build job extends it."""

MAX_JOBS: Final[Mapping[str, int]] = {"github": 256, "gitlab": 200}
"""Jobs of a matrix by format: docs.github.com/actions, usage limits, and docs.gitlab.com/ci/yaml, parallel:matrix."""

By = Literal["runner", "platform", "image"]
"""What jobs are split by."""

Unit = tuple[str, Platform]
"""What is built by itself: an image, "" in a file of one, for a platform."""

_DONE = "\0"
"""The runner of what needs no build: of no other unit, so that no job builds it beside its own."""

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


@frozen
class Job:
    """A CI job: what `multibuild build IMAGE... --platform` builds, a name fit for files, and the runner.

    `images` is empty in a file of one; `runner` is "" if the config has none.
    """

    platforms: tuple[Platform, ...]
    slug: str
    runner: str
    images: tuple[str, ...] = ()

    def row(self, runner: str) -> dict[str, str]:
        """Return the row of a matrix: arguments of `build`, `platform` with commas, `images` with spaces between."""
        row = {
            "platform": ",".join(map(str, self.platforms)),
            "slug": self.slug,
            "runner": self.runner or runner,
        }
        return {**row, "images": " ".join(self.images)} if self.images else row


@frozen
class _Part:
    """Units that stay in one job: `images` for `platforms` on a runner, and what their builds took together."""

    images: tuple[str, ...]
    platforms: tuple[Platform, ...]
    runner: str
    seconds: float

    @property
    def units(self) -> frozenset[Unit]:
        """Every image for every platform, also those that the config does not have."""
        return frozenset((image, platform) for image in self.images for platform in self.platforms)


def make_jobs(
    images: Sequence[LoadedConfig],
    *,
    only: Sequence[Platform] | None = None,
    by: By | None = None,
    shards: int | None = None,
    limit: int | None = None,
    seconds: Mapping[tuple[str, str], float] | None = None,
    done: AbstractSet[Unit] = frozenset(),
) -> tuple[Job, ...]:
    """Return the jobs that build all units but those `done`, each of them once, at most `shards` and at most `limit`.

    By default there is one job per runner, which builds all of its images; in a file of one image, one per platform.
    Images that are built from each other stay in one job. `seconds` is the past build time of each image's platform,
    to balance shards with. Raises UsageError for fewer jobs than runners, and for images that are built from each other
    on different runners.
    """
    by = by or ("runner" if images[0].name else "platform")
    runners = {unit: _DONE if unit in done else one for unit, one in _runners(images, only).items()}
    pending = {unit: runner for unit, runner in runners.items() if unit not in done}
    if not pending:
        return ()
    parts = _parts(images, pending, seconds or {}, by_image=by == "image")
    groups = _groups(parts, runners, by_image=by == "image")
    wanted = shards or (len(groups) if by == "runner" else len(parts))
    number = min(wanted, limit or wanted, len(parts))
    if number < len(groups):
        raise _too_few(number, groups, limited=number != shards)
    own_jobs = shards is None and number == len(parts)
    joined = parts if own_jobs else _shards(groups, number)
    names = _slugs(joined, by) if own_jobs else ()
    return tuple(
        Job(
            platforms=part.platforms,
            slug=names[place] if names else f"shard-{place + 1}",
            runner=part.runner,
            images=tuple(filter(None, part.images)),
        )
        for place, part in enumerate(joined)
    )


def _too_few(number: int, groups: Sequence[Sequence[_Part]], *, limited: bool) -> UsageError:
    needed = len(groups)
    names_all = needed == len({group[0].runner for group in groups})
    why = (
        f"name {needed} different runners"
        if names_all
        else f"need {needed} jobs, as images differ in runners"
    )
    if limited:
        hint = "make several matrices: choose images, or platforms with --platform"
        return UsageError(f"the platforms {why}, and a matrix has at most {number} jobs", hint=hint)
    return UsageError(
        f"--shards {number}: the platforms {why}",
        hint=f"a job has one runner: write --shards {needed} or more",
    )


def _runners(images: Sequence[LoadedConfig], only: Sequence[Platform] | None) -> dict[Unit, str]:
    """Return the runner of each chosen unit, "" for none: the same one for images that are built from each other."""
    own = {
        (loaded.name, entry.name): entry.runner or ""
        for loaded in images
        for entry in loaded.config.platforms
        if only is None or entry.name in only
    }
    families = _family_numbers(images)
    runners = dict(own)
    for units in _grouped(own, lambda unit: (families[unit[0]], unit[1])).values():
        named = {own[unit]: unit for unit in units if own[unit]}
        if len(named) > 1:
            names = " and ".join(image for image, _ in named.values())
            raise UsageError(
                f"{names} are built together, and name different runners for {units[0][1]}: {' and '.join(named)}",
                hint="an image is built where those are that it is built from: name one runner",
            )
        runners |= dict.fromkeys(units, next(iter(named), ""))
    return runners


def _family_numbers(images: Sequence[LoadedConfig]) -> dict[str, int]:
    """Return image → its family: images that are built from each other, directly or through others, have the same."""
    members = {number: [loaded.name] for number, loaded in enumerate(images)}
    families = {loaded.name: number for number, loaded in enumerate(images)}
    for loaded in images:
        for other in loaded.dependencies.values():
            family, joining = families[other], families[loaded.name]
            if family != joining:
                families |= dict.fromkeys(members[joining], family)
                members[family] += members.pop(joining)
    return families


def _parts(
    images: Sequence[LoadedConfig],
    runners: Mapping[Unit, str],
    seconds: Mapping[tuple[str, str], float],
    *,
    by_image: bool,
) -> tuple[_Part, ...]:
    """Return the smallest parts: a runner's images of one platform, or its platforms of one family of images."""
    families = _family_numbers(images)
    default = max(seconds.values(), default=1.0)

    def key(unit: Unit) -> tuple[str, Hashable]:
        return runners[unit], families[unit[0]] if by_image else unit[1]

    return tuple(
        _Part(
            images=tuple(dict.fromkeys(image for image, _ in units)),
            platforms=tuple(dict.fromkeys(platform for _, platform in units)),
            runner=runner,
            seconds=sum(seconds.get((image, str(platform)), default) for image, platform in units),
        )
        for (runner, _), units in _grouped(runners, key).items()
    )


def _groups(parts: Sequence[_Part], runners: Mapping[Unit, str], *, by_image: bool) -> list[list[_Part]]:
    """Return the parts by runner; any of a group may become one job, as `build` then builds these units alone.

    `build` builds each of its images for each of its platforms: where that would be more than a runner's units, only
    parts with the same images, or the same platforms, are in one group.
    """
    groups: list[list[_Part]] = []
    for own in _grouped(parts, lambda part: part.runner).values():
        units = _joined(own).units & runners.keys()
        if all(runners[unit] == own[0].runner for unit in units):
            groups.append(own)
            continue
        alike = _grouped(own, lambda part: frozenset[object](part.platforms if by_image else part.images))
        groups += alike.values()
    return groups


def _joined(parts: Sequence[_Part]) -> _Part:
    return _Part(
        images=tuple(dict.fromkeys(image for part in parts for image in part.images)),
        platforms=tuple(dict.fromkeys(platform for part in parts for platform in part.platforms)),
        runner=parts[0].runner,
        seconds=sum(part.seconds for part in parts),
    )


def _grouped(values: Iterable[_T], key: Callable[[_T], _K]) -> dict[_K, list[_T]]:
    """Return values by their keys, in the order in which these appear."""
    groups: dict[_K, list[_T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return groups


def _shards(groups: Sequence[Sequence[_Part]], number: int) -> tuple[_Part, ...]:
    """Return so many jobs, each of parts of one group."""
    shares = _share_counts(groups, number)
    return tuple(
        job for group, share in zip(groups, shares, strict=True) for job in _fill_shards(group, share)
    )


def _share_counts(groups: Sequence[Sequence[_Part]], shards: int) -> list[int]:
    """Return the shards of each group: one, and each further one where there are most parts per shard."""
    shares = [1] * len(groups)
    for _ in range(shards - len(groups)):
        busiest = max(range(len(groups)), key=lambda place: len(groups[place]) / shares[place])
        if len(groups[busiest]) > shares[busiest]:
            shares[busiest] += 1
    return shares


def _fill_shards(parts: Sequence[_Part], number: int) -> list[_Part]:
    """Return balanced shards: the slowest part first, into the emptiest shard; each in the config's order."""
    shards: list[list[_Part]] = [[] for _ in range(number)]
    for part in sorted(parts, key=lambda part: -part.seconds):
        min(shards, key=lambda shard: sum(one.seconds for one in shard)).append(part)
    return [_joined([part for part in parts if part in shard]) for shard in shards if shard]


def _slugs(parts: Sequence[_Part], by: By) -> tuple[str, ...]:
    """Return a name for each job, of its platform or first image; none where two would have the same."""
    names = [part.images[0] if by == "image" else part.platforms[0].slug for part in parts]
    return tuple(names) if by != "runner" and all(names) and len(set(names)) == len(names) else ()


def github_matrix(jobs: Sequence[Job], runner: str = GITHUB_RUNNER) -> dict[str, Any]:
    """Return the value of `strategy.matrix` (docs.github.com/actions, workflow syntax)."""
    return {"include": [job.row(runner) for job in jobs]}


def gitlab_matrix(jobs: Sequence[Job], runner: str = "") -> dict[str, Any]:
    """Return a file to include: a hidden job with `parallel: matrix:`, whose variables are the row's in capitals."""
    rows = [{name.upper(): value for name, value in job.row(runner).items() if value} for job in jobs]
    return {GITLAB_MATRIX: {"parallel": {"matrix": rows}}}
