"""How many builds may run at once. Pure."""

from __future__ import annotations

from multibuild.plan.host_facts import MIB, HostFacts

MEMORY_PER_BUILD = 768 * MIB
"""Bytes that `jobs: auto` counts for an emulated build: some 14 MB per process, compilers much more."""

JOBS_PER_CPU = 3
"""Builds wait for the network much of their time; measured best with 2 cores and 12 small builds."""


def jobs_for(jobs: int | str, platforms: int, facts: HostFacts, *, machines: int = 1) -> int:
    """Return how many builds may run at once: `jobs` of the config, or for "auto" what processors and memory carry.

    Where only this machine builds, its load can be measured during the run, and memory alone sets the limit. Other
    `machines` are taken to carry as much as this one.
    """
    if isinstance(jobs, int):
        return max(1, jobs)
    by_memory = facts.memory // MEMORY_PER_BUILD or 1
    each = by_memory if facts.all_local else min(usual_jobs(facts), by_memory)
    return max(1, min(platforms, each * machines))


def usual_jobs(facts: HostFacts) -> int:
    """Return how many builds a machine's processors carry."""
    return max(2, facts.cpus * JOBS_PER_CPU)
