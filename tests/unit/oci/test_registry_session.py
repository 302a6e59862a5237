"""The registries of a run, at its end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from fakes.recording_server import Answer, RecordingServer
from waiting import PATIENCE_S

from multibuild.oci.http import RetryPolicy
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession

QUICK = RetryPolicy(tries=2, initial_wait_s=0.01, max_wait_s=0.05, unreachable_s=0.1)


def messages_of_a_request(*, ends_first):
    """Return the messages about a request that is answered by 503, before or after the end of its session."""
    messages: list[str] = []
    is_under_way, may_answer = threading.Event(), threading.Event()

    def answer(_seen):
        is_under_way.set()
        may_answer.wait(PATIENCE_S)
        return Answer(status=503)

    with RecordingServer(answer) as server, ThreadPoolExecutor() as pool:
        with RegistrySession({}, on_wait=messages.append, retry=QUICK) as session:
            reading = pool.submit(session.of(server.host).head, Reference.parse(f"{server.host}/app:1"))
            assert is_under_way.wait(PATIENCE_S)
            if not ends_first:
                may_answer.set()
                assert reading.exception() is not None
        may_answer.set()
        with suppress(Exception):
            reading.result()
    return messages


def test_a_request_that_is_under_way_at_the_end_of_its_session_says_nothing():
    assert len(messages_of_a_request(ends_first=False)) == 1
    assert messages_of_a_request(ends_first=True) == []
