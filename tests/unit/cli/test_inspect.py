"""The output of `inspect`."""

from multibuild.cli.commands.inspect import as_diff, as_table
from multibuild.resolve.diff_index import compare
from multibuild.resolve.inspect_index import InspectedEntry, Inspection
from multibuild.resolve.lint_index import Finding

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def entry(platform, digit="a", **more):
    values = {
        "bytes": 123_456_789,
        "attested": True,
        "annotations": {},
        "config": platform,
        "media_type": MANIFEST,
    }
    return InspectedEntry(platform=platform, digest=f"sha256:{digit * 64}", **{**values, **more})


def inspection(*entries, **more):
    values = {
        "reference": "registry.example.org/a-team/an-application:1.2.3",
        "media_type": DOCKER_LIST,
        "digest": f"sha256:{'f' * 64}",
        "size": 123456,
        "annotations": {},
        "findings": (),
    }
    return Inspection(entries=entries, **{**values, **more})


def test_an_index_fits_80_columns():
    long = "words " * 40
    result = inspection(
        entry("linux/arm64/unknown", annotations={"org.example.note": long}),
        entry("windows/amd64", os_version="10.0.20348.2700", os_features=("win32k",)),
        entry("linux/mips64le", media_type=DOCKER_LIST, bytes=None),
        annotations={"org.opencontainers.image.description": long, "with": "a\nnewline\x1b[31m"},
        findings=(Finding(kind="unknown-variant", detail=long),),
        artifact_type="application/vnd.example+json",
        subject=f"sha256:{'e' * 64}",
    )
    text = as_table(result)
    assert max(map(len, text.splitlines())) <= 80
    words = ("linux/arm64/unknown", "10.0.20348.2700", "win32k", "org.example.note", "e" * 64, "example+json")
    assert [word for word in words if word not in text] == []
    assert "with: a newline\n" in text
    assert "\x1b" not in text
    assert text.count("words") == 120


def test_a_difference_fits_80_columns():
    old = inspection(entry("linux/amd64"), entry("linux/arm64", "b"), annotations={"revision": "1" * 40})
    new = inspection(
        entry("linux/amd64"),
        entry("linux/arm64", "c", bytes=999_999_999),
        entry("linux/mips64le", "d"),
        annotations={"revision": "2" * 40},
    )
    text = as_diff(compare(old, new))
    assert max(map(len, text.splitlines())) <= 80
    assert "1 of 3 platforms are the same" in text
    assert "linux/mips64le" in text
    assert text.count("→") == 3
