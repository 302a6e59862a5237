"""Every labelled log is judged as its label says, whatever stands around it; so is every example of a class."""

import random
import re
import time
from collections import Counter

import pytest
from unit.failures.cases import CASES, Case

from multibuild.buildx.vertex import TAIL_LINES
from multibuild.failures.classes import CLASSES, FailureClass
from multibuild.failures.classify import Failure, classify
from multibuild.failures.evidence import DecisiveLines, Evidence
from multibuild.failures.matching import output_matches
from multibuild.failures.shown import MAX_CAUSE_CHARACTERS

RUN_CASES = tuple(case for case in CASES if case.output)

# fmt: off
UNRELATED = (
    "Setting up libgcc-12-dev:arm64 (12.2.0-14) ...", "[ 45%] Building CXX object src/CMakeFiles/app.dir/lexer.cpp.o",
    "Get:17 http://deb.example/debian bookworm/main arm64 libc6-dev arm64 2.36-9 [1430 kB]", "  CC      lib/error.o",
    "gcc -O2 -Wall -Werror -Wno-error=format -c -o net/timeout.o net/timeout.c", "added 412 packages in 9s", "retry@0.13.1",
    "   Compiling serde v1.0.197", "ok  \texample.org/app/connection\t0.412s", "collected 503 items", "Unpacking retry (2.1-1) ...",
    "warning: unused variable: `signal`", "✓ built in 4.31s (404 modules transformed)", "#define HTTP_TIMEOUT 504", "",
    "checking whether the C compiler works... yes", "go: downloading golang.org/x/net v0.20.0", "+ set -e", "100  1234  100  1234    0     0",
)
# fmt: on


def judged(case: Case, evidence: Evidence | None = None) -> Failure:
    return classify(evidence or case.evidence(), emulated=case.emulated)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_log_is_of_its_class(case):
    failure = judged(case)
    assert failure.kind.name == case.kind
    assert failure.retry in case.retry
    assert re.search(case.hint, failure.hint, re.IGNORECASE)
    assert 0 < len(failure.cause) < MAX_CAUSE_CHARACTERS + 10
    assert "see the log" not in failure.hint


def test_names_are_unique():
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_the_logs_are_of_many_tools_and_many_are_real():
    assert len(CASES) >= 150
    assert len({case.tool for case in CASES}) >= 25
    assert len([case for case in CASES if case.real]) >= 40


def test_every_class_that_a_log_decides_has_a_log():
    with_logs = {case.kind for case in CASES}
    assert {row.name for row in CLASSES if row.example} - with_logs == set()


@pytest.mark.parametrize("row", [row for row in CLASSES if row.example], ids=lambda row: row.name)
def test_the_example_of_a_class_is_of_it(row: FailureClass):
    example = row.example
    assert example is not None
    message = example.line
    tail: tuple[str, ...] = ()
    if example.exit_code is not None:
        tail = (example.line,)
        message = f'process "/bin/sh -c x" did not complete successfully: exit code: {example.exit_code}'
    failure = classify(Evidence(message=message, step=example.step, tail=tail), emulated=example.emulated)
    assert failure.kind == row


@pytest.mark.parametrize("line", UNRELATED)
def test_a_line_of_a_build_that_goes_well_says_nothing(line):
    assert [match.name for match in output_matches(line) if match.weight != "last"] == []


@pytest.mark.parametrize("case", RUN_CASES, ids=lambda case: case.name)
def test_unrelated_lines_around_a_cause_change_nothing(case):
    generator = random.Random(case.name)
    for _ in range(5):
        before = generator.choices(UNRELATED, k=generator.randrange(200))
        after = generator.choices(UNRELATED, k=generator.randrange(4))
        assert judged(case, case.evidence(tuple(before), tuple(after))).kind.name == case.kind


CAUSES = tuple(
    case
    for case in RUN_CASES
    if any(match.weight in {"cause", "consequence"} for line in case.output for match in output_matches(line))
)


@pytest.mark.parametrize("case", CAUSES, ids=lambda case: case.name)
def test_a_cause_far_above_the_end_decides(case):
    evidence = case.evidence(after=tuple(f"[{n}/500] CC lib/file{n}.o" for n in range(500)))
    failure = judged(case, evidence)
    assert failure.kind.name == case.kind
    assert failure.cause.split(" … ")[0] in " ".join(failure.evidence.split()) or "/…" in failure.cause


def test_causes_are_most_of_the_cases():
    assert len(CAUSES) > 0.8 * len([case for case in RUN_CASES if case.kind != "step-failed"])


def test_a_step_of_endless_causes_takes_bounded_memory():
    decisive = DecisiveLines()
    lines = [line for case in RUN_CASES for line in case.output]
    for number in range(4):  # 20 MB
        for line in lines:
            decisive.add(f"{line} {number} {'x' * 5000}")
    assert sum(map(len, decisive.lines)) < 60_000


def test_lines_that_say_nothing_are_read_quickly():
    """100 MB of a build's lines have to be read within seconds, and this is only one part of it."""
    decisive = DecisiveLines()
    lines = [line for line in UNRELATED if line] * 2000
    began = time.process_time()
    for line in lines:
        decisive.add(line)
    assert (time.process_time() - began) / sum(map(len, lines)) < 1e-6, (
        "seconds for a character: 10 times what it takes"
    )


def test_the_tail_is_as_long_as_the_readers():
    assert all(len(case.evidence().tail) <= TAIL_LINES for case in CASES)
