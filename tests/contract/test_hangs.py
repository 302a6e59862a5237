"""Builds that crash under emulation and then never end."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime

import pytest
from contract.planning import NullDisplay, planned

from multibuild.builds.failover import Failover
from multibuild.builds.history import BuildHistory
from multibuild.builds.stage import NO_HISTORY, SharedBuilds, build_children
from multibuild.journal.events import AttemptEnded, AttemptWaiting
from multibuild.journal.journal import Journal
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import State

CONFIG = """
version: 1
image: localhost:5000/app
platforms: [{name: linux/arm64}]
retry: {attempts: 2, initial: 0.01s}
"""
CRASH = "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"
NOW = "2026-01-02T00:00:01Z"
LARGE = BuildHistory(context_bytes={"Dockerfile": 10**9})


def crashing(name="[2/2] RUN make", digest="sha256:r"):
    """Return what buildx prints of a step in which QEMU crashed, and that goes on without a word."""
    data = base64.b64encode(f"{CRASH}\n".encode()).decode()
    documents = [
        {"vertexes": [{"name": name, "digest": digest, "started": NOW}]},
        {"logs": [{"vertex": digest, "data": data}]},
    ]
    return "".join(json.dumps(document) + "\n" for document in documents)


def build(plan, tmp_path, history=NO_HISTORY, interrupt=None):
    run = State(tmp_path / "state").new_run(datetime.now(UTC))

    async def main(recorder):
        building = asyncio.create_task(
            build_children(
                plan,
                run,
                recorder,
                shared=SharedBuilds.of([plan], Failover.of(plan, recorder.say)),
                history=history,
            )
        )
        if interrupt is None:
            return await building
        while not any(CRASH in log.read_text() for log in run.logs.glob("*.log")):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        return ()

    with Journal(run.journal_path) as journal:
        results = asyncio.run(main(Recorder(journal, NullDisplay())))
    return results, run.events()


def ends(events):
    return [
        (event.platform, event.number, event.outcome, event.failure_class)
        for event in events
        if isinstance(event, AttemptEnded)
    ]


def test_a_timeout_after_a_crash_is_a_crash_and_is_not_spent_twice(docker, tmp_path):
    docker.answer("build", stderr=crashing(), seconds=3600)
    config = f"{CONFIG}timeout: 15s\ncrash_timeout: off\n"
    results, events = build(planned(tmp_path, docker, config), tmp_path)
    assert [end[2] for end in ends(events)] == ["timeout", "timeout"]
    first, second = results[0].attempts
    assert second.seconds < first.seconds
    (waiting,) = (event for event in events if isinstance(event, AttemptWaiting))
    assert (waiting.reason, str(waiting.patience)[:14]) == ("qemu-crash", "waits at most ")
    failure = first.failure
    assert failure.evidence.splitlines()[-1].startswith("hung, no end after ")
    assert CRASH in failure.evidence
    assert failure.hint.startswith("the step hung after the crash; ")


def test_a_stall_after_a_crash_is_a_crash(docker, tmp_path):
    docker.answer("build", stderr=crashing(), seconds=3600)
    config = f"{CONFIG}stall_timeout: 2s\ncrash_timeout: off\n"
    _, events = build(planned(tmp_path, docker, config), tmp_path)
    assert ends(events) == [("linux/arm64", n, "stalled", "qemu-crash") for n in (1, 2)]


def test_a_silent_step_is_ended_after_a_crash(docker, tmp_path):
    """Nothing of the step is seen here, so the silence is ten times as long."""
    docker.answer("build", stderr=crashing(), seconds=3600)
    began = time.monotonic()
    results, events = build(planned(tmp_path, docker, f"{CONFIG}crash_timeout: 0.2s\n"), tmp_path)
    assert time.monotonic() - began < 300
    assert ends(events) == [("linux/arm64", n, "stalled", "qemu-crash") for n in (1, 2)]
    assert "hung, no output for " in results[0].failure.evidence
    (waiting,) = (event for event in events if isinstance(event, AttemptWaiting))
    assert waiting.patience == "waits at most 0.1s after a crash"


def test_an_instruction_that_the_emulator_lacks_is_not_tried_again(docker, tmp_path):
    answer = crashing().replace(
        base64.b64encode(f"{CRASH}\n".encode()).decode(),
        base64.b64encode(b"qemu: uncaught target signal 4 (Illegal instruction) - core dumped\n").decode(),
    )
    docker.answer("build", stderr=answer, seconds=3600)
    _, events = build(planned(tmp_path, docker, f"{CONFIG}crash_timeout: 0.2s\n"), tmp_path)
    assert ends(events) == [("linux/arm64", 1, "stalled", "qemu-illegal-instruction")]


@pytest.mark.parametrize("code", [130, 137])
def test_a_build_that_was_killed_after_a_crash_has_crashed(docker, tmp_path, code):
    docker.answer("build", stderr=crashing(), code=code)
    _, events = build(planned(tmp_path, docker, CONFIG), tmp_path)
    assert ends(events) == [("linux/arm64", n, "failed", "qemu-crash") for n in (1, 2)]


def test_a_run_that_was_interrupted_after_a_crash_says_so(docker, tmp_path):
    docker.answer("build", stderr=crashing(), seconds=3600)
    _, events = build(planned(tmp_path, docker, CONFIG), tmp_path, interrupt=True)
    assert ends(events) == [("linux/arm64", 1, "cancelled", "qemu-crash")]


def test_a_platform_that_hangs_leaves_its_batch_and_the_others_go_on(docker, tmp_path):
    config = f"{CONFIG}crash_timeout: 0.2s\n".replace("{name: linux/arm64}", "linux/arm64, linux/riscv64")
    riscv = {"name": "[linux-riscv64 2/2] RUN make", "digest": "sha256:v", "started": NOW}
    docker.answer(
        "bake",
        stderr=json.dumps({"vertexes": [riscv]}) + "\n" + crashing("[linux-arm64 2/2] RUN make"),
        seconds=3600,
    )
    docker.answer("build")
    results, events = build(planned(tmp_path, docker, config), tmp_path, LARGE)
    assert [result.status for result in results] == ["succeeded", "succeeded"]
    assert sorted(ends(events)) == [
        ("linux/arm64", 1, "stalled", "qemu-crash"),
        ("linux/arm64", 2, "ok", None),
        ("linux/riscv64", 1, "cancelled", None),
        ("linux/riscv64", 2, "ok", None),
    ]
    assert [call[1] for call in docker.calls()] == ["bake", "build", "build"]
