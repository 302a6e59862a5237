"""Every labelled log is judged as its label says."""

import re

import pytest
from unit.failures.cases import CASES, Case

from multibuild.failures.classify import Failure, classify


def judged(case: Case, emulated: bool | None = None) -> Failure:
    return classify(case.evidence(), emulated=case.emulated if emulated is None else emulated)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_log_is_of_its_class(case):
    failure = judged(case)
    assert failure.kind.name == case.kind
    assert failure.retry in case.retry
    assert re.search(case.hint, failure.hint, re.IGNORECASE)
