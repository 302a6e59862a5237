"""The wheel installs and runs in an empty environment, with the builder profiles inside."""

import os
import subprocess
import sys

import pytest
from e2e.conftest import ROOT


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Build the wheel as `make dist` does and install it, and nothing else, into an environment of its own."""
    folder = tmp_path_factory.mktemp("install")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin/pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", wheel], check=True)
    return environment


@pytest.fixture(scope="module")
def installed(environment):
    """Return a function that runs the installed program."""

    def run(*arguments):
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [environment / "bin/multibuild", *arguments],
            cwd=environment.parent,
            env=clean,
            capture_output=True,
            text=True,
        )

    return run


def test_the_wheel_runs(installed):
    assert installed("--version").stdout.startswith("multibuild ")
    done = installed("plan", "-f", ROOT / "examples/hello/multibuild.yaml", "--builder", "container")
    assert done.returncode == 0, done.stderr
    assert "linux/loong64" in done.stdout


def test_the_wheel_keeps_the_permission_of_the_wrapper_of_ssh(environment):
    """Without it docker's ssh would ask, and wait forever for a machine that fell silent."""
    wrappers = list(environment.glob("lib/*/site-packages/multibuild/ssh/bin/ssh"))
    assert [os.access(wrapper, os.X_OK) for wrapper in wrappers] == [True]


def test_the_wheel_holds_the_builder_profiles(installed):
    done = installed("plan", "-f", ROOT / "examples/hello/multibuild.yaml", "--builder", "./nowhere.yaml")
    assert done.returncode == 2
    shipped = sorted(path.stem for path in (ROOT / "builders").glob("*.yaml"))
    assert ", ".join(shipped) in done.stderr.replace("\n", " ")
