from pathlib import Path

import pytest

from multibuild.builds.export import Export
from multibuild.failures.classify import classify
from multibuild.failures.evidence import Evidence

FOLDER = Path("/state/runs/1/children/.linux-arm64")


def write_failure(folder, text="no space left on device"):
    """Return the failure of a write, by the client or by BuildKit."""
    message = f"ERROR: failed to build: failed to solve: failed to copy: write {folder}/ingest/0/data: {text}"
    return classify(Evidence(step="exporting to oci image format", tail=(), message=message))


def test_a_full_disk_under_the_export_has_a_hint_about_the_state_directory():
    failure = Export(folder=FOLDER).with_disk_hint(write_failure(FOLDER))
    assert failure.kind.name == "no-space"
    assert failure.hint.startswith(f"free disk space in {FOLDER.parent}")
    assert "--state-dir" in failure.hint


@pytest.mark.parametrize(
    ("export", "failure"),
    [
        (FOLDER, write_failure("/var/lib/buildkit")),
        (FOLDER, write_failure(FOLDER, "permission denied")),
        (None, write_failure("/var/lib/buildkit")),
    ],
)
def test_any_other_failure_keeps_its_hint(export, failure):
    assert Export(folder=export).with_disk_hint(failure) == failure


def test_a_pushed_child_has_no_export():
    export = Export(folder=None)
    export.discard()
    assert export.digest() == ""
