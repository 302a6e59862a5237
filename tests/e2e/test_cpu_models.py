"""Every CPU that was measured can be played by the emulators at hand: none lacks a feature that QEMU does not have."""

import subprocess

import pytest

from multibuild.qemu.cpu_models import CPU_MODELS
from multibuild.qemu.probe_program import PROBE_EXIT_CODE, build_probe

pytestmark = pytest.mark.one_driver(driver="docker-container", reason="no builder has a part in it")


@pytest.mark.parametrize("row", CPU_MODELS, ids=lambda row: row.architecture)
def test_a_program_runs_on_each_cpu(row, lab, tmp_path):
    program = tmp_path / "probe"
    program.write_bytes(build_probe(row.architecture))
    program.chmod(0o755)
    for trial in row.trials:
        done = subprocess.run([program], env={"QEMU_CPU": trial.model}, check=False, timeout=600)
        assert done.returncode == PROBE_EXIT_CODE, trial.model
