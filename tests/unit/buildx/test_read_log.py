import io

import pytest
from unit.buildx.log_forms import (
    BLOCK_LINES,
    BLOCKS,
    BUILDERS,
    ENCODED,
    PASTES,
    RUN_BUILDERS,
    FailedStep,
    cut_block,
    run,
)
from unit.failures.cases import CASES

from multibuild.buildx.rawjson_progress import TAIL_LINES
from multibuild.buildx.read_log.explain import explain_log
from multibuild.failures.classify import classify
from multibuild.failures.evidence import DecisiveLines, Evidence

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
    return " ".join(text.split())


def left_by(builder, step):
    """Return what a form leaves of a failure: a block has the step's last lines only, and may have lost its name."""
    output = step.output[-BLOCK_LINES:] if builder in BLOCKS else step.output
    is_nameless = builder is cut_block and not step.is_run
    return FailedStep(name="" if is_nameless else step.name, output=output, error=step.error)


def expected(step):
    """Return the class of a failure by its evidence."""
    collector = DecisiveLines()
    for line in step.output:
        collector.add(line)
    message = f"failed to solve: {step.error}"
    evidence = Evidence(
        message=message, step=step.name, tail=tuple(step.output)[-TAIL_LINES:], decisive=collector.lines
    )
    return classify(evidence).kind.name


def forms():
    for what, step in FAILURES.items():
        for builder in (*BUILDERS, *(RUN_BUILDERS if step.is_run else ())):
            yield pytest.param(step, builder, id=f"{what}, {builder.__name__}")


@pytest.mark.parametrize(("step", "builder"), forms())
def test_a_failure_has_its_class_in_every_form(step, builder):
    for name, paste in PASTES.items():
        explanation = explained(paste(builder(step)))
        assert explanation.failure is not None, name
        assert explanation.failure.kind.name == expected(left_by(builder, step)), f"{name}: {explanation}"
        assert explanation.outcome == "failed", name
        for line in step.output[-2:]:
            assert words(line) in words(explanation.failure.evidence), (
                f"{name}: {explanation.failure.evidence}"
            )


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_a_log_in_another_encoding(builder, encoding):
    step = FAILURES["a download that breaks off"]
    explanation = explained(ENCODED[encoding](builder(step)))
    assert explanation.failure is not None
    assert explanation.failure.kind.name == expected(step)
