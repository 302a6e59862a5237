"""What the lint says is what a build does: wrong files fail the proof, and build and pass when `--fix` has mended them."""

from dataclasses import dataclass

import pytest
from e2e.conftest import REGISTRY, multibuild

from multibuild.qemu.probe_program import build_probe

BASE = f"{REGISTRY}/base:latest"
PLATFORMS = ["linux/amd64", "linux/arm64"]
CROSS = f"FROM --platform=$BUILDPLATFORM {BASE} AS build"
GO = f"{CROSS}\nCOPY go /bin/go\nCOPY bin /programs\n"
FINAL = f'FROM {BASE}\nCOPY --from=build /app /app\nENTRYPOINT ["/app"]\n'


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A Dockerfile, the rule that names its mistake, its line, and what the trace says of the way of the file."""

    rule: str
    line: int
    way: str
    text: str
    fixable: bool = True
    file: str = "/app"
    fail: str = "error"


WRONG = {
    "default-in-the-stage": Wrong(
        rule="target-arg-default",
        line=2,
        way="`COPY bin/$TARGETARCH/app /app` in line 3 (layer 2 of 2)",
        text=f'FROM {BASE}\nARG TARGETARCH=amd64\nCOPY bin/$TARGETARCH/app /app\nENTRYPOINT ["/app"]\n',
    ),
    "default-before-from": Wrong(
        rule="target-arg-default",
        line=1,
        way="`COPY bin/$TARGETARCH/app /app` in line 4 (layer 2 of 2)",
        text=f"ARG TARGETARCH=amd64\nFROM {BASE}\nARG TARGETARCH\nCOPY bin/$TARGETARCH/app /app\n"
        'ENTRYPOINT ["/app"]\n',
    ),
    "default-in-another-stage": Wrong(
        rule="target-arg-default",
        line=4,
        way="`COPY --from=build` in line 7 (layer 2 of 2), built by line 5",
        text=f"{GO}ARG TARGETARCH=amd64\nRUN GOARCH=$TARGETARCH go build -o /app .\n{FINAL}",
    ),
    "fixed-final-platform": Wrong(
        rule="fixed-final-platform",
        line=1,
        file="/bin/busybox",
        way=f"in the base image {BASE} (FROM in line 1; layer 1 of 1)",
        text=f'FROM --platform=linux/amd64 {BASE}\nENTRYPOINT ["/bin/busybox"]\n',
    ),
    "undeclared": Wrong(
        rule="undeclared-target-arg",
        line=2,
        way="`COPY bin/$TARGETARCH/app /app` in line 2 (layer 2 of 2)",
        text=f'FROM {BASE}\nCOPY bin/$TARGETARCH/app /app\nENTRYPOINT ["/app"]\n',
    ),
    "untargeted": Wrong(
        rule="untargeted-cross-build",
        line=4,
        way="`COPY --from=build` in line 6 (layer 2 of 2), built by line 4",
        text=f"{GO}RUN go build -o /app .\n{FINAL}",
    ),
    "declared-and-never-used": Wrong(
        rule="unused-target-arg",
        line=4,
        way="`COPY --from=build` in line 7 (layer 2 of 2), built by line 5",
        text=f"{GO}ARG TARGETOS TARGETARCH\nRUN go build -o /app .\n{FINAL}",
    ),
    "fixed-target": Wrong(
        rule="fixed-target",
        line=4,
        way="`COPY --from=build` in line 6 (layer 2 of 2), built by line 4",
        text=f"{GO}RUN GOARCH=amd64 go build -o /app .\n{FINAL}",
    ),
    "uname": Wrong(
        rule="uname-in-cross-stage",
        line=4,
        way="`COPY --from=build` in line 6 (layer 2 of 2), built by line 4",
        text=f"{CROSS}\nCOPY curl /bin/curl\nCOPY bin /programs\n"
        f"RUN curl -o /app https://example.org/app-$(uname -m)\n{FINAL}",
        fixable=False,
    ),
    "cross-stage-program": Wrong(
        rule="cross-stage-program",
        line=3,
        way=f"`COPY --from=build` in line 3 (layer 2 of 2), from the base image {BASE} (FROM in line 1)",
        text=f'{CROSS}\nFROM {BASE}\nCOPY --from=build /bin/busybox /app\nENTRYPOINT ["/app"]\n',
        fixable=False,
        fail="warning",
    ),
    "fixed-arch-copy": Wrong(
        rule="fixed-arch-copy",
        line=2,
        way="`COPY bin/amd64/app /app` in line 2 (layer 2 of 2)",
        text=f'FROM {BASE}\nCOPY bin/amd64/app /app\nENTRYPOINT ["/app"]\n',
        fixable=False,
    ),
    "arch-spelling": Wrong(
        rule="arch-spelling",
        line=4,
        way="`COPY --from=build` in line 6 (layer 2 of 2), built by line 4",
        text=f"{CROSS}\nCOPY bin /programs\nARG TARGETARCH\n"
        'RUN case "$TARGETARCH" in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac; cp /programs/$arch/app /app\n'
        f"{FINAL}",
        fixable=False,
    ),
}
PROGRAMS = {
    "go": 'cp "/programs/${GOARCH:-$(uname -m)}/app" "$3"',
    "curl": 'cp "/programs/${3##*/app-}/app" "$2"',
}
"""Stand for a compiler, which works for the machine it runs on unless GOARCH says otherwise, and for a download."""


@pytest.fixture
def files(tmp_path):
    """Write programs of both architectures, and one of amd64 where an empty argument leads."""
    folder = tmp_path / "project" / "bin"
    for place in ("amd64", "arm64", "x86_64", "aarch64", "."):
        (folder / place).mkdir(parents=True, exist_ok=True)
        program = folder / place / "app"
        program.write_bytes(build_probe("arm64" if place in {"arm64", "aarch64"} else "amd64"))
        program.chmod(0o755)
    for name, script in PROGRAMS.items():
        program = folder.parent / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return folder.parent


@pytest.mark.one_driver(driver="docker", reason="what a Dockerfile puts into an image depends on no driver")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_fails_the_proof_which_names_the_line_that_lint_names(project, state, files, name):
    wrong = WRONG[name]
    config = project(dockerfile=wrong.text, platforms=PLATFORMS, lint={"fail": "never"})
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 6, done.stderr
    (arm,) = [row for row in done.json["platforms"] if row["content"]["status"] == "failed"]
    assert arm["platform"] == "linux/arm64"
    (origin,) = [one for one in arm["content"]["origins"] if one["path"] == wrong.file]
    assert f"{wrong.file} is amd64: {wrong.way}; line {wrong.line}: " in origin["text"]
    assert (origin["rule"], origin["rule_line"]) == (wrong.rule, wrong.line), origin["text"]
    assert f"linux/arm64: {origin['text']}" in done.stderr

    config = project(dockerfile=wrong.text, platforms=PLATFORMS, lint={"fail": wrong.fail})
    done = multibuild("all", "-f", config, "--state-dir", state)
    assert done.code == 2, done.stderr
    assert f":{wrong.line}:" in done.stderr
    assert f"[{wrong.rule}]" in done.stderr


@pytest.mark.parametrize("name", [name for name, wrong in WRONG.items() if wrong.fixable])
@pytest.mark.one_driver(driver="docker", reason="what a Dockerfile puts into an image depends on no driver")
def test_a_wrong_file_builds_and_passes_when_it_is_mended(project, state, files, name):
    config = project(dockerfile=WRONG[name].text, platforms=PLATFORMS)
    done = multibuild("lint", "-f", config, "--fix")
    assert done.code == 0, done.stderr
    done = multibuild("all", "-f", config, "--state-dir", state)
    assert done.code == 0, done.stderr


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_a_base_pinned_to_one_platform_is_found_at_a_registry_of_this_machine(project, state, registry):
    digest = registry.images("base", "latest")["linux/amd64"]["digest"]
    pinned = BASE.rpartition(":")[0] + f"@{digest}"
    config = project(dockerfile=f"FROM {pinned}\nRUN true\n", platforms=PLATFORMS)
    done = multibuild("lint", "-f", config)
    assert done.code == 2, done.stderr
    assert "is pinned to a digest that has only linux/amd64 (wrong for linux/arm64)" in done.stdout
