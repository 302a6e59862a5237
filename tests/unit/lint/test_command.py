"""`multibuild lint`, and the commands that lint before they do anything else."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from multibuild.cli.startup import main

WRONG = "FROM alpine:3.20\nARG TARGETARCH=amd64\nRUN wget https://example.org/x-$TARGETARCH\n"
UNFIXABLE = "FROM alpine:3.20\nRUN wget https://example.org/x-linux-amd64\n"
WARNING = "FROM debian:12\nENV JAVA_HOME=/usr/lib/jvm/java-17-openjdk-amd64\n"
RIGHT = "FROM alpine:3.20\nRUN apk add curl\n"
CONFIG = "version: 1\nimage: localhost:1/app\nplatforms: [linux/amd64, linux/arm64]\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (folder / "Dockerfile").write_text(WRONG)
    return folder


def lint(*words):
    return main(["lint", *words])


def test_it_needs_no_config_and_no_engine(project, capsys):
    assert lint() == 2
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("Dockerfile:2:15: error: the default of TARGETARCH hides")
    assert out[0].endswith("[target-arg-default]")
    (project / "Dockerfile").write_text(RIGHT)
    assert lint() == 0
    assert capsys.readouterr() == ("", "")


def test_files_are_named_on_the_command_line(project, capsys):
    (project / "a.Dockerfile").write_text(UNFIXABLE)
    (project / "b.Dockerfile").write_text(RIGHT)
    assert lint("a.Dockerfile", "b.Dockerfile") == 2
    assert "a.Dockerfile:2:38: error" in capsys.readouterr().out
    assert lint("b.Dockerfile") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none",), "none: No such file or directory"),
        (("--format", "xml"), "--format xml: no such format"),
        (("--target", "none"), "Dockerfile: the Dockerfile has no stage 'none'"),
        (("--platform", "linux/none"), "not a platform"),
        (("empty",), "empty: the Dockerfile has no FROM line"),
        ((".",), ".: "),
    ],
)
def test_bad_input_is_a_clear_error(project, capsys, words, message):
    (project / "empty").write_text("")
    assert lint(*words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "hint:" in captured.err
    assert captured.out == ""


def test_without_a_dockerfile_those_nearby_are_named(project, capsys):
    (project / "Dockerfile").rename(project / "app.Dockerfile")
    assert lint() == 2
    assert "multibuild lint app.Dockerfile" in capsys.readouterr().err
    (project / "app.Dockerfile").rename(project / "Containerfile")
    assert lint() == 2
    assert "Containerfile:2:15" in capsys.readouterr().out


def test_json_is_exactly_this(project, capsys):
    assert lint("--format", "json") == 2
    text = capsys.readouterr().out
    (finding,) = json.loads(text)["findings"]
    assert list(json.loads(text)) == ["findings"]
    assert list(finding) == ["rule", "level", "file", "line", "column", "message", "fix"]
    assert (finding["rule"], finding["level"], finding["file"], finding["line"], finding["column"]) == (
        "target-arg-default", "error", "Dockerfile", 2, 15,
    )  # fmt: skip
    assert lint("--json") == 2
    assert capsys.readouterr().out == text


def test_annotations_are_escaped(project, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    name = "a,b:100%.Dockerfile"
    (project / name).write_text(UNFIXABLE)
    assert lint("--format", "github", name) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "::error file=a%2Cb%3A100%25.Dockerfile,line=2,col=38,title=fixed-arch-url::this downloads"
    )


def test_text_of_a_file_commands_neither_terminal_nor_ci(project, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (project / "Dockerfile").write_text(
        "FROM x/\x1b[31m::error::amd64\nFROM --platform=linux/arm64 \x1b]0;t\x07x AS ::warning::y\n"
    )
    for form in ("text", "github", "json", "sarif"):
        lint("--format", form)
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert not any(line.startswith(("::error::", "::warning::")) for line in out.splitlines())


def test_fix_rewrites_the_file_and_shows_a_diff(project, capsys):
    path = project / "Dockerfile"
    path.chmod(0o640)
    assert lint("--fix") == 0
    assert path.read_text() == WRONG.replace("=amd64", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "-ARG TARGETARCH=amd64\n+ARG TARGETARCH\n" in capsys.readouterr().out
    before = path.stat().st_mtime_ns
    assert lint("--fix") == 0
    assert path.stat().st_mtime_ns == before
    assert capsys.readouterr().out == ""


def test_fix_keeps_every_other_byte(project):
    path = project / "Dockerfile"
    before = (
        b"\xef\xbb\xbf# caf\xe9 \xff\r\nFROM\talpine:3.20  \r\n\r\nARG  TARGETARCH=amd64\t\r\n"
        b"RUN\twget \\\r\n\t\thttps://example.org/\xff-$TARGETARCH \r\n# end\xfe"
    )
    path.write_bytes(before)
    assert lint("--fix") == 0
    assert path.read_bytes() == before.replace(b"TARGETARCH=amd64", b"TARGETARCH")


def test_fix_follows_a_link_and_keeps_it(project):
    (project / "real").mkdir()
    (project / "Dockerfile").rename(project / "real" / "file")
    (project / "Dockerfile").symlink_to("real/file")
    assert lint("--fix") == 0
    assert (project / "Dockerfile").is_symlink()
    assert "amd64" not in (project / "real" / "file").read_text()


def test_with_json_the_diff_goes_to_stderr(project, capsys):
    (project / "Dockerfile").write_text(WRONG + UNFIXABLE.split("\n", 1)[1])
    assert lint("--fix", "--json") == 2
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["findings"]) == 1
    assert "+ARG TARGETARCH" in captured.err


def test_a_config_decides_platforms_level_and_what_is_ignored(project, capsys):
    (project / "Dockerfile").write_text(UNFIXABLE)
    config = project / "multibuild.yaml"
    config.write_text(CONFIG)
    assert lint() == 2
    assert "(wrong for linux/arm64)" in capsys.readouterr().out
    for more in (
        "lint: {fail: never}",
        "lint: {ignore: [fixed-arch-url]}",
        'lint: {ignore: ["fixed-arch-url:2"]}',
    ):
        config.write_text(CONFIG + more + "\n")
        assert lint() == 0, more
    config.write_text(CONFIG + 'lint: {ignore: ["fixed-arch-url:3"]}\n')
    assert lint() == 2
    config.write_text(CONFIG.replace(", linux/arm64", ""))
    assert lint() == 0
    (project / "Dockerfile").write_text(WARNING)
    config.write_text(CONFIG)
    assert lint() == 0
    config.write_text(CONFIG + "lint: {fail: warning}\n")
    assert lint() == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{ignore: [fixed-arch-ulr]}", "there is no rule 'fixed-arch-ulr'"),
        ('{ignore: ["fixed-arch-url:x"]}', "'fixed-arch-url:x' is no rule"),
        ("{fail: maybe}", "lint.fail"),
        ("{fial: error}", "fail"),
    ],
)
def test_a_mistake_in_the_section_is_a_clear_error(project, capsys, value, message):
    (project / "multibuild.yaml").write_text(f"{CONFIG}lint: {value}\n")
    assert lint() == 2
    assert message in capsys.readouterr().err


def test_a_config_with_several_dockerfiles_and_targets(project, capsys):
    (project / "other").write_text(
        "FROM alpine AS one\nRUN x\nFROM alpine AS two\nRUN wget https://example.org/x-arm64\n"
    )
    (project / "multibuild.yaml").write_text(
        "version: 1\nimage: localhost:1/app\nplatforms: [linux/amd64, {name: linux/arm64, dockerfile: other, target: two}]\n"
    )
    assert lint() == 0
    (project / "multibuild.yaml").write_text(
        "version: 1\nimage: localhost:1/app\ndockerfile: other\nplatforms: [{name: linux/amd64, target: one}, {name: linux/s390x, target: two}]\n"
    )
    assert lint() == 2
    assert "other:4:32" in capsys.readouterr().out


def test_fix_leaves_what_the_config_ignores(project):
    (project / "Dockerfile").write_text(WRONG)
    (project / "multibuild.yaml").write_text(CONFIG + 'lint: {ignore: ["target-arg-default:2"]}\n')
    assert lint("--fix") == 0
    assert (project / "Dockerfile").read_text() == WRONG


@pytest.mark.parametrize("command", ["all", "build"])
def test_a_run_stops_before_anything_is_built(project, capsys, command):
    (project / "multibuild.yaml").write_text(CONFIG)
    state = project.parent / "state"
    assert main([command, "--state-dir", str(state)]) == 2
    captured = capsys.readouterr()
    assert "Dockerfile:2:15: error" in captured.err
    assert "multibuild lint --fix" in captured.err
    assert not (state / "runs").exists()


@pytest.mark.parametrize("more", ["lint: {fail: never}", "lint: {ignore: [target-arg-default]}"])
def test_a_run_goes_on_where_it_is_meant_so(project, capsys, more):
    (project / "multibuild.yaml").write_text(f"{CONFIG}{more}\n")
    assert main(["all", "--state-dir", str(project.parent / "state")]) == 3  # there is no docker here
    assert "target-arg-default" not in capsys.readouterr().err


def test_a_run_says_warnings_and_goes_on(project, capsys):
    (project / "Dockerfile").write_text(WARNING)
    (project / "multibuild.yaml").write_text(CONFIG)
    assert main(["all", "--state-dir", str(project.parent / "state")]) == 3
    assert "[fixed-arch-path]" in capsys.readouterr().err


def test_a_plan_shows_the_findings_and_whether_a_run_would_stop(project, capsys):
    (project / "multibuild.yaml").write_text(CONFIG)
    assert main(["plan", "--json", "--state-dir", str(project.parent / "state")]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["schema"] == 1
    assert "[target-arg-default]" in captured.err
    assert "`all` would stop here" in captured.err


def test_doctor_has_a_check_for_each_finding(project, capsys):
    (project / "Dockerfile").write_text(WRONG + WARNING.split("\n", 1)[1])
    (project / "multibuild.yaml").write_text(CONFIG)
    assert main(["doctor", "--json", "--state-dir", str(project.parent / "state")]) == 3
    checks = [one for one in json.loads(capsys.readouterr().out)["checks"] if one["name"] == "lint"]
    assert [one["status"] for one in checks] == ["fail", "warn"]
    assert checks[0]["detail"].startswith("Dockerfile:2: ")
    assert checks[0]["hint"]


def test_a_file_for_another_frontend_stops_no_run(project, capsys):
    (project / "Dockerfile").write_text("# syntax=example.org/yaml-frontend\nimage: amd64\n")
    (project / "multibuild.yaml").write_text(CONFIG)
    assert main(["plan", "--state-dir", str(project.parent / "state")]) == 0
    assert "error" not in capsys.readouterr().err


def test_offline_it_loads_no_client_and_no_config(project):
    """Under 0.3 s: what it does not import it does not wait for."""
    (project / "Dockerfile").write_text(RIGHT)
    code = (
        "import sys; from multibuild.cli.startup import main; main(['lint']);"
        "print([name for name in sys.modules if name.split('.')[0] in {'httpx', 'yaml', 'rich'}"
        " or name.startswith(('multibuild.config', 'multibuild.engine', 'multibuild.oci', 'multibuild.host'))])"
    )
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[3]), "PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=True,
    )
    assert done.stdout.strip() == "[]", done.stdout
