from pathlib import Path

import pytest

from multibuild.builds.export import Export
from multibuild.buildx.classify import classify
from multibuild.buildx.progress import Evidence

FOLDER = Path("/state/runs/1/children/.linux-arm64")


def failed(place, text="no space left on device"):
    """What BuildKit says of a write that failed, on the client's side or on its own."""
    message = f"ERROR: failed to build: failed to solve: failed to copy: write {place}/ingest/0/data: {text}"
    return classify(Evidence(step="exporting to oci image format", tail=(), message=message))


def test_a_full_disk_under_the_export_is_the_states():
    found = Export(folder=FOLDER).with_disk_hint(failed(FOLDER))
    assert found.kind.name == "no-space"
    assert found.hint.startswith(f"free disk space in {FOLDER.parent}")
    assert "--state-dir" in found.hint


@pytest.mark.parametrize(
    ("export", "failure"),
    [
        (FOLDER, failed("/var/lib/buildkit")),
        (FOLDER, failed(FOLDER, "permission denied")),
        (None, failed("/var/lib/buildkit")),
    ],
)
def test_any_other_trouble_keeps_its_hint(export, failure):
    assert Export(folder=export).with_disk_hint(failure) == failure


def test_a_child_that_is_pushed_leaves_nothing_to_do():
    export = Export(folder=None)
    export.discard()
    assert export.finished() == ""
