"""A module that is not imported before somebody uses it: each case in a process of its own."""

import subprocess
import sys

import pytest

PUT_OFF = "import sys; from multibuild.cli.late import put_off_metadata; put_off_metadata(); "
NOT_YET = "assert 'email.message' not in sys.modules; "


def said(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_pydantic_imports_nothing_but_the_name():
    use = "from pydantic import TypeAdapter; print(TypeAdapter(int).validate_python('7'))"
    nothing = f"import os; os.environ['PYDANTIC_DISABLE_PLUGINS'] = '__all__'; {use}; {NOT_YET}"
    assert said(PUT_OFF + nothing) == "7"
    assert said(PUT_OFF + use) == "7"


@pytest.mark.parametrize(
    "use",
    [
        "from importlib.metadata import version; print(version('pydantic'))",
        "import importlib.metadata; print(importlib.metadata.version('pydantic'))",
        "import importlib.metadata as m; import importlib.metadata; print(m.version('pydantic'))",
        "from importlib import metadata; print(metadata.version('pydantic'))",
        "import importlib.metadata._meta, importlib.metadata; print(importlib.metadata.version('pydantic'))",
        "from importlib.metadata import entry_points; print(len(entry_points(group='console_scripts')))",
        "import importlib.metadata as m; print(m.__file__, m.__doc__ is None)",
    ],
)
def test_who_uses_it_has_it(use):
    assert said(PUT_OFF + NOT_YET + use) == said(use)


def test_what_has_it_already_keeps_it():
    code = "import importlib.metadata as m; " + PUT_OFF + "assert sys.modules['importlib.metadata'] is m"
    assert said(code) == ""


def test_an_error_of_it_is_one_that_can_be_caught():
    use = "import importlib.metadata as m\ntry: m.version('no-such')\nexcept m.PackageNotFoundError: print('caught')"
    assert said(PUT_OFF + "\n" + use) == "caught"


def test_a_plan_does_without(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "multibuild.yaml").write_text(
        "version: 1\nimage: localhost:1/app\nplatforms: [linux/amd64]\n"
    )
    words = ("-X", "importtime", "-m", "multibuild", "plan", "--state-dir", str(tmp_path.parent / "state"))
    done = subprocess.run((sys.executable, *words), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "linux/amd64" in done.stdout
    assert "pydantic.plugin._loader" in done.stderr
    assert "importlib.metadata" not in done.stderr
