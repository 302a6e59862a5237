"""A run with secrets of every shape in its config and in docker's output: no file and no stream has one of them."""

import base64
import json
import os
import tempfile
from pathlib import Path

import pytest
from fakes.registry_server import FakeRegistry

from multibuild.cli.startup import main

SECRETS = {
    name: f"Hunter2{name}Hunter2"
    for name in (
        "Context", "Token", "Named", "Ssh", "Proxy", "Cache", "CacheUrl", "Argument", "Label", "Encoded", "At", "Slash", "Step",
        "Output", "Header", "Signature", "Sas", "Redirect", "Error", "Warning", "Plain", "Builder", "Gate", "GateUrl", "GateWord",
        "KeyService",
    )
}  # fmt: skip
URLS = {
    "git": "https://user:{Context}@git.example/team/app.git#main:sub",
    "token": "https://{Token}@git.example/team/lib.git#v1",
    "named": "https://git.example/x.git?private_token={Named}",
    "ssh": "ssh://user:{Ssh}@git.example/x.git",
    "encoded": "https://user:%40{Encoded}%2F@git.example/x",
    "at": "https://user:p@{At}@git.example/x",
    "slash": "https://user:p/{Slash}@git.example/x",
}
CONFIG = {
    "version": 1,
    "platforms": ["linux/amd64", "linux/arm64"],
    "context": URLS["git"].format_map(SECRETS),
    "contexts": {name: url.format_map(SECRETS) for name, url in URLS.items()},
    "args": {
        "HTTP_PROXY": "http://u:{Proxy}@proxy:3128".format_map(SECRETS),
        "NPM_TOKEN": SECRETS["Argument"],
        "VERSION": "1.2",
    },
    "labels": {"org.example.url": "https://x:{Label}@host.example/x".format_map(SECRETS)},
    "cache": {
        "from": [
            "type=s3,region=eu,bucket=b,secret_access_key={Cache}".format_map(SECRETS),
            "secret_access_key={Cache},type=s3,region=eu,bucket=b".format_map(SECRETS),
            'type=s3,region=eu,bucket=b,"session_token=a,{Cache}"'.format_map(SECRETS),
        ],
        "to": ["type=gha,url=https://c:{CacheUrl}@cache.example/?a=1,scope=x-{{slug}}".format_map(SECRETS)],
    },
    "gates": [
        {
            "name": "scan",
            "run": [
                "true",
                *("--token", SECRETS["Gate"]),
                "--from=https://u:{GateUrl}@h.example/db".format_map(SECRETS),
                "DB_PASSWORD={GateWord}".format_map(SECRETS),
            ],
        }
    ],
    "sign": {"key": "hashivault://u:{KeyService}@vault.example/key".format_map(SECRETS)},
    "builder": "default",
    "retry": {"attempts": 1},
    "emulators": {"source": "none"},
}
OUTPUT = """\
fatal: unable to access 'https://user:{Output}@git.example/x.git/': 403
> Authorization: Bearer {Header}
GET https://blobs.example/x?X-Amz-Date=1&X-Amz-Signature={Signature}
GET https://blobs.example/x?sv=1&sig={Sas}
< Location: https://cdn.example/x?a=1&Signature={Redirect}
"""


def rawjson():
    """Return BuildKit's progress of a step whose name, output, warning and error have secrets."""
    name = "[1/1] ADD https://user:{Step}@files.example/x.tar /".format_map(SECRETS)
    step = {"digest": "sha256:1", "name": name, "started": "2026-01-01T00:00:00Z"}
    error = "failed to load https://user:{Error}@files.example/x.tar: 401".format_map(SECRETS)
    logs = [{"vertex": "sha256:1", "data": base64.b64encode(OUTPUT.format_map(SECRETS).encode()).decode()}]
    short = "https://user:{Warning}@files.example is http".format_map(SECRETS)
    documents = [
        {"vertexes": [step]},
        {"logs": logs, "warnings": [{"short": base64.b64encode(short.encode()).decode()}]},
        {"vertexes": [{**step, "completed": "2026-01-01T00:00:01Z", "error": error}]},
    ]
    return "".join(json.dumps(document) + "\n" for document in documents)


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def project(tmp_path, monkeypatch, docker, registry):
    """A project whose builds fail, in a job of GitHub's; crash files go into its folder too."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "multibuild.yaml").write_text(json.dumps({**CONFIG, "image": f"{registry.host}/app"}))
    (folder / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    return folder


def failing_builds(docker):
    """Let every platform's build fail with secrets in its output; probes succeed."""
    docker.engine()
    stderr = "ERROR: https://u:{Plain}@r.example/v2/: 500\n".format_map(SECRETS)
    docker.answer(
        "build", "--progress", "rawjson", "--metadata-file", stdout=rawjson(), stderr=stderr, code=1
    )
    docker.answer("bake", stdout=rawjson(), stderr=stderr, code=1)
    docker.answer("build")


def texts_below(*folders):
    return {
        path: path.read_text(errors="replace")
        for folder in folders
        for path in ([folder] if folder.is_file() else folder.rglob("*"))
        if path.is_file()
    }


def leaks(texts):
    return sorted(
        (str(where), name)
        for where, text in texts.items()
        for name, secret in SECRETS.items()
        if secret in text
    )


@pytest.mark.parametrize("flags", [["--verbose"], ["--progress", "json"], ["--progress", "tty"], ["--json"]])
def test_no_secret_of_a_run_is_in_its_files_or_on_a_stream(project, tmp_path, docker, capfd, flags):
    failing_builds(docker)
    state = tmp_path / "state"
    assert main(["build", "--state-dir", str(state), *flags]) == 4
    printed = capfd.readouterr()
    files = texts_below(
        state, tmp_path / "GITHUB_OUTPUT", tmp_path / "GITHUB_STEP_SUMMARY", tmp_path / "scratch"
    )
    names = {path.name for path in files}
    assert {"plan.json", "journal.jsonl", "report.json", "report.md", "report.html", "GITHUB_OUTPUT"} <= names
    assert any(name.endswith(".log") for name in names)
    assert leaks({**files, "stdout": printed.out, "stderr": printed.err}) == []
    assert "git.example/team/app.git#main:sub" in files[(state / "latest").resolve() / "plan.json"]
    argv = "\n".join(" ".join(call) for call in docker.calls())
    for name in ("Context", "Token", "Named", "Proxy", "Argument", "Label", "Cache", "CacheUrl"):
        assert SECRETS[name] in argv, "docker gets it as it is"


@pytest.mark.parametrize("words", [["plan"], ["plan", "--json"], ["plan", "--commands"], ["plan", "--verbose"],
                                   ["report"], ["report", "--markdown"], ["report", "--json"], ["runs", "--json"], ["matrix"]])  # fmt: skip
def test_no_secret_is_printed_about_a_run(project, tmp_path, docker, capfd, words):
    failing_builds(docker)
    state = ["--state-dir", str(tmp_path / "state")]
    main(["build", *state])
    capfd.readouterr()
    assert main([*words, *state]) == 0
    printed = capfd.readouterr()
    assert printed.out
    assert leaks({"stdout": printed.out, "stderr": printed.err}) == []


def test_a_report_of_an_older_run_is_redacted(project, tmp_path, docker, capfd):
    failing_builds(docker)
    state = tmp_path / "state"
    main(["build", "--state-dir", str(state)])
    journal = state / "latest" / "journal.jsonl"
    event = {
        "time": "2026-01-01T00:00:00+00:00",
        "name": "run.ended",
        "fields": {
            "status": "failed",
            "error": {"message": f"https://u:{SECRETS['Error']}@h/x", "hint": None},
        },
    }
    journal.write_text(journal.read_text() + json.dumps(event) + "\n")
    (state / "latest" / "report.json").unlink()
    capfd.readouterr()
    assert main(["report", "--json", "--state-dir", str(state)]) == 0
    assert leaks({"stdout": capfd.readouterr().out, **texts_below(*state.rglob("report.*"))}) == []


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        ("ERROR: cannot connect to tcp://u:{Builder}@node:2376: refused", 1),
        ("Error response from daemon: Get https://u:{Builder}@r.example/v2/: denied", 1),
        ("warning: proxyconnect http://u:{Builder}@proxy:3128 failed", 1),
    ],
)
@pytest.mark.parametrize("command", ["setup", "doctor"])
def test_no_secret_in_an_error_of_docker_is_printed(project, docker, capfd, stderr, code, command):
    docker.answer("info", stderr=stderr.format_map(SECRETS), code=code)
    assert main([command]) == 3
    printed = capfd.readouterr()
    assert leaks({"stdout": printed.out, "stderr": printed.err}) == []


def test_a_crash_file_has_no_secret(project, tmp_path, capfd, monkeypatch):
    class Unreadable(os.PathLike[str]):
        def __fspath__(self):
            raise RuntimeError(f"https://u:{SECRETS['Error']}@h/x")

    monkeypatch.setattr("sys.argv", ["multibuild"])
    from multibuild.cli.error_handler import exit_code
    from multibuild.cli.streams import harmless_streams

    with harmless_streams():
        assert exit_code(lambda: Path(Unreadable())) == 1
    printed = capfd.readouterr()
    crash = texts_below(tmp_path / "scratch")
    assert len(crash) == 1
    assert leaks({**crash, "stderr": printed.err}) == []


def test_a_crash_file_commands_no_terminal_whatever_the_error_quotes(project, tmp_path, capfd):
    from multibuild.cli.error_handler import exit_code
    from multibuild.cli.streams import harmless_streams

    name = "a\x1b]0;owned\x07b\u202egnp\x9b31m\udcffé"

    def crash():
        raise RuntimeError(name)

    with harmless_streams():
        assert exit_code(crash) == 1
    assert "hint:  this is a bug" in capfd.readouterr().err
    (text,) = texts_below(tmp_path / "scratch").values()
    assert "RuntimeError: ab" in text
    assert not set(text) & set("\x1b\x07\x9b\u202e")


@pytest.mark.parametrize(
    "words",
    [
        ["init", "-f", "new.yaml", "--image", "URL"], ["inspect", "URL"], ["inspect", "u:{Context}@h.example/x"], ["verify", "URL"],
        ["merge", "URL", "a"], ["merge", "a:1", "URL"], ["merge", "a:1", "b", "--platform-of", "URL"], ["plan", "-f", "URL"],
        ["resolve", "--index", "URL"], ["report", "URL"], ["report", "--html", "URL"], ["import", "URL"], ["explain", "URL"],
        ["plan", "--builder", "URL"], ["clean", "--only", "URL"], ["URL"], ["plan", "URL"], ["plan", "--jobs", "URL"],
    ],
)  # fmt: skip
def test_no_url_on_the_command_line_is_echoed_with_its_password(project, capfd, words):
    url = "https://u:{Context}@h.example/x"
    main([word.replace("URL", url).format_map(SECRETS) for word in words])
    printed = capfd.readouterr()
    assert leaks({"stdout": printed.out, "stderr": printed.err}) == []


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "args.NPM_TOKEN=[{Argument}]"],
        ["--set", "args.PASSWORD=12345{Argument}: x"],
        ["--set", "args.API_KEY={{a: {Argument}}}"],
        ["--set", "args.SECRET=!!x {Argument}"],
        ["--set", "args.SECRET=[{Argument}"],
        ["--set", "args.API_KEY"],
        ["--set", "args.TOKEN:{Argument}"],
        ["--set", "no.such.key={Argument}"],
        ["--set", "nosuchkey={Argument}"],
        ["--set", "registries.r.example.password={Argument}"],
        ["--set", "image=https://u:{Context}@h/x"],
        ["--set", "secrets=[{Argument}]"],
        ["--set", "secrets={Argument}"],
        ["--set", "secrets=['token={Argument}']"],
        ["--set", "args.NPM_TOKEN=${{{Argument}"],
        [
            "--set",
            "args.NPM_TOKEN=1{Argument}",
            "--set",
            "args.NPM_TOKEN.x={Argument}",
            "--set",
            "{Argument}",
        ],
        ["--set", "{Argument}"],
        ["--set", "={Argument}"],
        ["--set", "args.TOKEN: {Argument}"],
        ["--set", "cache.from=https://u:{Context}@h/x"],
        ["--set", "jobs=https://u:{Context}@h/x"],
        ["--set", "token={Argument}"],
    ],
)
def test_a_secret_on_the_command_line_is_not_echoed(project, capfd, words):
    assert main(["plan", *(word.format_map(SECRETS) for word in words)]) == 2
    printed = capfd.readouterr()
    assert leaks({"stdout": printed.out, "stderr": printed.err}) == []
