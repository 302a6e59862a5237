import io
import random
import subprocess
import sys
from functools import cache

import pytest
from unit.buildx.log_forms import (
    BLOCK_LINES,
    BLOCKS,
    BUILDERS,
    ENCODED,
    MULTI_PLATFORM,
    PASTES,
    RUN_BUILDERS,
    FailedStep,
    bake,
    build_push_action,
    cut_block,
    own_log,
    own_report,
    plain,
    rawjson,
    run,
)
from unit.failures.cases import CASES

from multibuild.buildx.read_log.explain import explain_log
from multibuild.buildx.vertex import TAIL_LINES
from multibuild.failures.classify import classify
from multibuild.failures.evidence import DecisiveLines, Evidence
from multibuild.failures.shown import EVIDENCE_LINES
from multibuild.terminal import printable

QUOTED = run('echo "a  b" && test -z "$X" || exit 3', ["a  b"], 3)
SILENT = run("false", [], 1)
ABOVE = run(
    "apt-get install -y x",
    [
        "qemu: uncaught target signal 11 (Segmentation fault) - core dumped",
        *(f"Setting up lib{n} ..." for n in range(9)),
        "E: Sub-process /usr/bin/dpkg returned an error code (1)",
    ],
    100,
)


def failed_step(case):
    """Return the failure of a labelled case, in BuildKit's words."""
    name = f"[build 2/3] {case.step}" if case.step.startswith("RUN ") else case.step
    return FailedStep(name=name, output=case.output, error=case.message)


FAILURES = {case.name: failed_step(case) for case in CASES if not case.ended} | {
    "a quoted command": QUOTED, "a silent command": SILENT, "a crash above the end": ABOVE,
}  # fmt: skip


def explained(text):
    return explain_log(io.BytesIO(text if isinstance(text, bytes) else text.encode()))


def words(text):
    return " ".join(printable(text).split())


def left_by(builder, step):
    """Return what a form leaves of a failure: a block has the step's last lines only, and may have lost its name."""
    output = step.output[-BLOCK_LINES:] if builder in BLOCKS else step.output
    is_nameless = builder is cut_block and not step.is_run and "executor failed" not in step.error
    return FailedStep(name="" if is_nameless else step.name, output=output, error=step.error)


def expected(step):
    """Return the class of a failure by its evidence."""
    return class_by_evidence(step.name, tuple(step.output), step.error)


@cache
def class_by_evidence(name, output, error):
    collector = DecisiveLines()
    for line in output:
        collector.add(line)
    message = f"failed to solve: {error}"
    evidence = Evidence(message=message, step=name, tail=output[-TAIL_LINES:], decisive=collector.lines)
    return classify(evidence).kind.name


def builders(step):
    """Return the forms of a failure. A report has a few lines of a long output only, whatever was decided by others."""
    found = (*BUILDERS, *(RUN_BUILDERS if step.is_run else ()))
    return tuple(
        builder for builder in found if builder is not own_report or len(step.output) <= EVIDENCE_LINES
    )


PASTES_OF_A_CASE = 7
"""A case gets each paste of which the number, with the case's own, is a multiple of this."""


def combinations(step, number):
    """Yield each builder as it is, and some pastes with a builder in turn: all pairs, over the cases."""
    yield from ((builder, "as it is") for builder in builders(step))
    for turn, paste in enumerate(PASTES):
        if (number + turn) % PASTES_OF_A_CASE == 0:
            yield builders(step)[(number // PASTES_OF_A_CASE + turn) % len(builders(step))], paste


def test_every_builder_meets_every_paste_in_some_case():
    pairs = {
        (builder, paste)
        for number, step in enumerate(FAILURES.values())
        for builder, paste in combinations(step, number)
    }
    assert {(builder, paste) for builder in BUILDERS for paste in PASTES} <= pairs


def check(step, builder, name):
    explanation = explained(PASTES[name](builder(step)))
    where = f"{builder.__name__}, {name}: {explanation}"
    assert explanation.failure is not None, where
    assert explanation.failure.kind.name == expected(left_by(builder, step)), where
    assert explanation.outcome == "failed", where
    for line in step.output[-2:]:
        # A tool's own marks at the beginning of a line go with those of the paste.
        assert words(line).lstrip("> │|") in words(explanation.failure.evidence), where


@pytest.mark.parametrize("what", FAILURES)
def test_a_failure_has_its_class_in_every_form(what):
    step = FAILURES[what]
    for builder, name in combinations(step, list(FAILURES).index(what)):
        check(step, builder, name)


@pytest.mark.parametrize("builder", [*BUILDERS, *RUN_BUILDERS], ids=lambda builder: builder.__name__)
def test_every_form_of_a_builder_is_read_however_it_was_pasted(builder):
    for step in (QUOTED, SILENT, ABOVE):
        for name in PASTES:
            check(step, builder, name)


@pytest.mark.parametrize("builder", MULTI_PLATFORM, ids=lambda builder: builder.__name__)
def test_the_platform_of_the_step_is_known(builder):
    explanation = explained(builder(QUOTED))
    assert (explanation.platform, explanation.emulated) == ("linux/arm64", True)
    assert [(other.platform, other.outcome) for other in explanation.others] == [("linux/amd64", "canceled")]


NOISE = (
        "Compiling app v0.1.0", "ok", "", "warning: unused variable `x`", "[ 45%] Building CXX object a.o", "Downloading 12.3 MB", "test a ... ok",
        "0 errors, 0 warnings", "Setting up libc6 (2.36) ...", "npm notice created a lockfile", "-- Found Threads: TRUE", "checking for gcc... gcc",
        "  Running setup.py install", "Step by step", "=> done", "(1/2) Installing x (1.0-r0)", "# a comment", "> app@1.0.0 build", "| a | b |",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(150))
def test_unrelated_lines_around_the_log_do_not_change_the_class(seed):
    """Not in a block, which has the last lines only: there they would push out the cause."""
    generator = random.Random(seed)
    step = FAILURES[generator.choice(sorted(FAILURES))]
    builder = generator.choice((plain, bake, rawjson, own_log, build_push_action))
    paste = PASTES[generator.choice(sorted(PASTES))]
    before = generator.choices(NOISE, k=generator.randint(0, 60))
    after = generator.choices(NOISE, k=generator.randint(0, 3))
    log = "".join(f"{line}\n" for line in before) + builder(step) + "".join(f"{line}\n" for line in after)
    explanation = explained(paste(log))
    assert explanation.failure is not None
    assert explanation.failure.kind.name == expected(left_by(builder, step))


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_a_log_in_another_encoding(builder, encoding):
    step = ABOVE
    explanation = explained(ENCODED[encoding](builder(step)))
    assert explanation.failure is not None
    assert explanation.failure.kind.name == expected(left_by(builder, step))


MEMORY_PROBE = """
import io, resource, sys
from multibuild.buildx.read_log.explain import explain_log

class Endless(io.RawIOBase):
    def __init__(self, head, piece, size, tail):
        self.parts, self.size, self.piece, self.tail = [head], size, piece, tail
    def read(self, count=-1):
        if self.parts:
            return self.parts.pop()
        if self.size > 0:
            self.size -= count
            return (self.piece * (count // len(self.piece) + 1))[:count]
        rest, self.tail = self.tail, b""
        return rest

head, piece, tail = (text.encode() for text in sys.argv[1:4])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
explanation = explain_log(Endless(head, piece, int(sys.argv[4]), tail))
print(explanation.failure.kind.name, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
MAX_GROWTH_MB = 60
"""Of a process of about 40 MB, whatever the size of the log: `explain` stays below 150 MB."""


@pytest.mark.parametrize(
    "piece",
    [
        "#5 1.234 [ 45%] Building CXX object src/a.o\n",
        "2024-01-02T03:04:05.1234567Z #5 1.234 ok\n",
        "x" * 997,
        "a line of a classic build\n",
        "#5 1.2 progress 1%\r#5 1.2 progress 2%\r",
        '{"logs":[{"vertex":"sha256:1","data":"b2sK"}]}\n',
    ],
    ids=["lines", "stamped lines", "one line", "bare lines", "carriage returns", "JSON"],
)
def test_a_log_of_any_size_takes_bounded_memory(piece):
    head = "#5 [linux/arm64 2/3] RUN make\n#5 0.1 qemu: uncaught target signal 11 (Segmentation fault) - core dumped\n"
    tail = '\n#5 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2\n'
    probe = [sys.executable, "-c", MEMORY_PROBE, head, piece, tail, str(24 << 20)]
    name, growth = subprocess.run(probe, capture_output=True, text=True, check=True).stdout.split()
    assert name == "qemu-crash"
    assert int(growth) < MAX_GROWTH_MB
