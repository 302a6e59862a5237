"""The CPUs that QEMU can play: a row each, as the documentation has it, and when one is to be chosen."""

from pathlib import Path

import pytest

from multibuild.architectures import architecture_named
from multibuild.qemu.cpu_models import CPU_MODELS, faster_cpu

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "emulation.md"


@pytest.mark.parametrize("row", CPU_MODELS, ids=lambda row: row.architecture)
def test_the_page_has_what_was_measured(row):
    assert architecture_named(row.architecture) is not None
    text = PAGE.read_text(encoding="utf-8")
    for trial in row.trials:
        assert (
            f"| {row.architecture} | `{trial.model}` | {trial.compile:.2f} | {trial.interpret:.2f} |" in text
        )
    if row.faster is not None:
        assert f"`ENV QEMU_CPU={row.faster.model}`" in text


@pytest.mark.parametrize("row", CPU_MODELS, ids=lambda row: row.architecture)
def test_a_cpu_is_to_be_chosen_only_where_it_was_much_faster(row):
    """Medians of the same CPU differed by up to 0.2, so what is within that is no gain."""
    assert row.trials
    assert len({trial.model for trial in row.trials}) == len(row.trials)
    for trial in row.trials:
        assert trial.compile > 0.8
    if row.faster is not None:
        assert row.faster.since < row.faster.before
        assert row.faster.slow_down >= 2


@pytest.mark.parametrize(
    ("architecture", "version", "model"),
    [
        ("arm64", "6.0.0", "max,pauth-impdef=on"),
        ("arm64", "7.2.22", "max,pauth-impdef=on"),
        ("arm64", "9.2.4", "max,pauth-impdef=on"),
        ("arm64", "10.0.0", None),
        ("arm64", "11.1.2", None),
        ("arm64", "5.2.0", None),
        ("arm64", "", None),
        ("arm64", "git", None),
        ("arm", "7.2.22", None),
        ("s390x", "7.2.22", None),
        ("amd64", "7.2.22", None),
    ],
)
def test_a_faster_cpu_depends_on_the_release(architecture, version, model):
    faster = faster_cpu(architecture, version)
    assert (faster.model if faster else None) == model
