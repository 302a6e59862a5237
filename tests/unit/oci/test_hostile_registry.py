"""Registries that answer in every wrong way: each reading command ends with a clear error, in bounded time."""

import json
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from fakes.hostile_registry import BEHAVIOURS, HostileRegistry

from multibuild.builds.fingerprint import registry_digest
from multibuild.cli.commands.inspect import as_table
from multibuild.cli.commands.verify import as_table as verification_table
from multibuild.cli.error_handler import exit_code
from multibuild.oci.errors import translate_read_errors
from multibuild.oci.http import RetryPolicy
from multibuild.oci.limits import HttpLimits
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.verify import Rules, verify
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source
from multibuild.resolve.inspect_index import inspect_reference
from multibuild.resolve.resolve import resolve_hosts

QUICK = RetryPolicy(tries=2, initial_wait_s=0.01, max_wait_s=0.02, unreachable_s=0.05)
PATIENT = HttpLimits(idle_s=10.0, window_s=10.0)
IMPATIENT = HttpLimits(idle_s=0.2, window_s=0.1, min_bytes_per_s=5000, waiting_s=2.0)
DRIPPED = HttpLimits(idle_s=10.0, window_s=0.1, min_bytes_per_s=5000, waiting_s=10.0)
"""For what is slow by its rate: on a busy machine the first byte may take longer than impatience lasts."""

MAX_CPU_S = 60.0


def limits_for(behaviour):
    if not behaviour.slow:
        return PATIENT
    return DRIPPED if behaviour.words == "bytes a second" else IMPATIENT


def inspect(reference, registries):
    as_table(inspect_reference(reference, registries))


def resolve(reference, registries):
    resolve_hosts(registries.of(reference.host).manifest(reference), ["linux/arm64", "linux/amd64"])


def verify_content(reference, registries):
    verification = verify(reference, registries, rules=Rules(mode="all"), cache=LayerCache())
    json.dumps(verification.document())
    verification_table(verification)
    return 0 if verification.ok else 6


def merge_dry(reference, registries):
    merge([read_source(str(reference), registries)], MergeOptions(annotations=(("a", "b"),)))


def if_changed(reference, registries):
    registry_digest(registries, str(reference))


COMMANDS = {
    "inspect": (inspect, {0, 2, 3, 6}),
    "resolve": (resolve, {0, 3, 6}),
    "verify": (verify_content, {0, 3, 6}),
    "merge": (merge_dry, {0, 2, 3, 6}),
    "if-changed": (if_changed, {0}),
}


def commands_of(number, behaviour):
    """Return the commands that meet a behaviour.

    One with words fails the first request, which is the same of every command: one meets it besides `inspect`. Of slow
    ones, `resolve` and `--if-changed` make the first request alone, as `inspect` does.
    """
    others = [name for name in COMMANDS if not behaviour.slow or name not in {"resolve", "if-changed"}]
    others.remove("inspect")
    return ["inspect", *([others[number % len(others)]] if behaviour.words else others)]


ROWS = [
    (name, command)
    for number, (name, behaviour) in enumerate(BEHAVIOURS.items())
    for command in commands_of(number, behaviour)
]


def test_every_command_meets_many_behaviours_that_fail_the_first_request():
    met = Counter(command for name, command in ROWS if BEHAVIOURS[name].words)
    assert all(met[command] >= 8 for command in COMMANDS)


@pytest.mark.parametrize(("name", "command"), ROWS)
def test_a_hostile_registry_ends_in_a_clear_error(name, command, capsys):
    behaviour, (work, codes) = BEHAVIOURS[name], COMMANDS[command]
    with ExitStack() as stack:
        registry = stack.enter_context(HostileRegistry(behaviour.act))
        limits = limits_for(behaviour)
        session = RegistrySession({}, on_wait=lambda text: None, retry=QUICK, limits=limits)
        registries = stack.enter_context(session)
        reference = Reference.parse(f"{registry.host}/app:1")

        def run():
            with translate_read_errors():
                return work(reference, registries)

        before = time.process_time()
        code = exit_code(run)
        cpu = time.process_time() - before
    error = capsys.readouterr().err
    assert (code in codes, "bug" in error) == (True, False), f"{code}: {error}"
    assert cpu < MAX_CPU_S
    if behaviour.words and command in {"inspect", "resolve"}:
        assert behaviour.words in error
        assert registry.host.partition(":")[0] in error
    assert "\x1b" not in error
    assert len(registry.requests) < 2500
