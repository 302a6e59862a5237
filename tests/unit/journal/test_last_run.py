"""What a journal says of the children of a run."""

import pytest

from multibuild.journal.events import ContentEnded, PlatformEnded, PlatformInputs, SmokeTestEnded
from multibuild.journal.last_run import recorded_children

OURS, OLD = (f"sha256:{letter * 64}" for letter in "ab")
PLATFORM = "linux/s390x"
INPUTS = PlatformInputs(platform=PLATFORM, inputs="c" * 64, parts={})


def ended(status, digest=None):
    return PlatformEnded(platform=PLATFORM, status=status, digest=digest, repository="r.example/app")


CARRIED = ended("carried", OLD)


def test_a_child_that_was_carried_over_is_none_of_the_run():
    """Else a merge would publish it as built from this run's inputs, and later runs would reuse it for these."""
    assert recorded_children({}, [INPUTS, ended("failed"), CARRIED]) == {}


@pytest.mark.parametrize("proof", [SmokeTestEnded, ContentEnded])
def test_a_child_whose_proof_failed_stays_the_runs_own(proof):
    failed = proof(platform=PLATFORM, status="failed")
    child = recorded_children({}, [INPUTS, ended("succeeded", OURS), failed, CARRIED])[PLATFORM]
    assert (child.digest, child.inputs) == (OURS, "c" * 64)
    assert "failed" in (child.test, child.content)
