"""A hostile image, registry, repository and run, end to end where a CI system reads along.

No command of the CI system, no escape sequence and no secret may come out: on the streams, in logs, in the journal, in
a report of any form, in the files that a runner reads.
"""

import http.server
import itertools
import json
import re
import subprocess
import threading
import urllib.request
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, multibuild
from waiting import PATIENCE_S

pytestmark = pytest.mark.one_driver(driver="docker-container", reason="what is shown, and how, is the same")

WORDS = (
    "::error::pwned",
    " \t::set-output name=pwned::pwned",
    "##[error]pwned",
    "##vso[task.setvariable variable=pwned]pwned",
    "##teamcity[pwned]",
    "\x1b]0;pwned\x07",
    "\x1b[31mpwned\x1b[2J",
    "\x9b31mpwned",
    "\u202epwned\u2066",
    "a\r::error::pwned",
    "a\x0b::error::pwned",
    "a\x85::error::pwned",
    "a\u2028::error::pwned",
    "</pre></code><script>pwned()</script>",
    "<img src=x onerror=pwned()>",
    "' onmouseover='pwned()' \" onmouseover=\"pwned()",
    "[pwned](javascript:pwned)",
    "```\n::error::pwned\n# pwned",
    "a\n::error::pwned",
    "pwned | pwned\n|-|-|",
    "pwned%0A::error::pwned",
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# What the runner of GitHub and the agents of Azure and TeamCity read as a command.
COMMAND = re.compile(r"^[^\S\n]*::.*pwned|##\w*\[", re.MULTILINE)
SECRET = "tok-5ecret-0f-a-repository"


def assert_inert(text, where):
    """Neither a command nor a control character; our own commands (`::group::`) stay, each on one line."""
    ours = re.compile(r"^::(?:error|warning) title=[^:\n]*::[^\n]*$|^::(?:end)?group::", re.MULTILINE)
    rest = ours.sub("", text)
    assert not COMMAND.search(rest), (where, COMMAND.search(rest))
    assert not CONTROLS.search(text), (where, CONTROLS.search(text))


class Page(HTMLParser):
    """Collects what would run in a browser."""

    def __init__(self):
        super().__init__()
        self.live = []

    def handle_starttag(self, tag, attrs):
        self.live += [
            (tag, name, value)
            for name, value in attrs
            if name.startswith("on") or "javascript:" in (value or "")
        ]
        if tag in {"script", "iframe", "object", "embed", "form"} or (
            tag == "img" and dict(attrs).get("src") == "x"
        ):
            self.live.append((tag, attrs))


@pytest.fixture
def ci(tmp_path):
    """The environment of a job, and a check of what was written for its runner."""
    output, summary = tmp_path / "output", tmp_path / "summary"
    output.touch()
    summary.touch()
    return {
        "GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary),
    }  # fmt: skip


def run(ci, *arguments, codes):
    """Run a command; its streams are inert, and its exit code is one of `codes`."""
    done = multibuild(*arguments, env=ci)
    assert done.code in codes, (arguments, done.code, done.stderr)
    for stream in (done.stdout, done.stderr):
        assert_inert(stream, arguments)
        assert SECRET not in stream, arguments
    return done


def read_everything(ci, config, state, codes=(0,)):
    """Show a run in every form, and look at each."""
    common = ("-f", config, "--state-dir", state)
    page = state.parent / "page.html"
    for arguments in (
        ("report",), ("report", "--json"), ("report", "--markdown"), ("report", "--html", page), ("runs",),
        ("runs", "--json"), ("clean", "--dry-run"),
    ):  # fmt: skip
        done = run(ci, *arguments, *common, codes=codes)
        if "--json" in arguments and done.code == 0:
            json.loads(done.stdout)
        if "--markdown" in arguments:
            assert_markdown(done.stdout)
    assert_page(page.read_text())
    for log in sorted(state.glob("runs/*/logs/*.log")):
        run(ci, "explain", log, *common, codes=(0, 1, 2, 3, 4))
    assert_files(ci, state)


def assert_files(ci, state):
    """No escape in the files of a run, no secret in any; the runner's files hold what is ours alone."""
    for path in (file for file in state.rglob("*") if file.is_file() and not file.is_symlink()):
        text = path.read_bytes().decode("utf-8", "replace")
        assert SECRET not in text, path
        if path.suffix in {".log", ".jsonl", ".json", ".html", ".md"}:
            assert not CONTROLS.search(text), (path, CONTROLS.search(text))
        if path.suffix == ".html":
            assert_page(text)
    outputs, markdown = (
        Path(ci[name]).read_text(encoding="utf-8") for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
    )
    assert SECRET not in outputs + markdown
    assert [line.partition("=")[0].partition("<<")[0] for line in heads(outputs)] in (
        [],
        *[["digest", "json"] * n for n in range(1, 4)],
    )
    assert not CONTROLS.search(outputs + markdown)
    assert_markdown(markdown)


def heads(outputs):
    """Return the lines of GITHUB_OUTPUT that name an output, as the runner reads them."""
    delimiter = None
    for line in outputs.splitlines():
        if delimiter is None:
            yield line
            delimiter = line.partition("<<")[2] if "<<" in line else None
        elif line == delimiter:
            delimiter = None


def assert_markdown(text):
    """Markup of others stands in code only: outside of it there is no tag, link or heading of theirs."""
    outside = re.sub(r"(?ms)^(`{3,}|~{3,})[^\n]*\n.*?^\1\s*$", "", text)
    outside = re.sub(r"(`+)[^\n]+?\1", "", outside)
    assert not re.search(r"<(?:script|img)|\]\(javascript|^# pwned", outside, re.MULTILINE), outside


def assert_page(text):
    page = Page()
    page.feed(text)
    assert page.live == []


def hostile_project(project, **more):
    config = project(
        dockerfile=f"FROM {REGISTRY}/base:latest\nARG TARGETARCH\nCOPY words /words\n" + more.pop("steps"),
        **more,
    )
    (config.parent / "words").write_text("\n".join(WORDS) + "\n")
    return config


@pytest.mark.one_driver(driver="docker-container", reason="steps print the same on every BuildKit")
def test_what_a_failing_step_prints_is_inert(ci, project, state):
    steps = "RUN cat /words; cat /words >&2; case $TARGETARCH in arm64) exit 1;; esac\n"
    config = hostile_project(project, steps=steps)
    run(ci, "all", "-f", config, "--state-dir", state, "--verbose", codes=(4,))
    read_everything(ci, config, state)


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens after the builds")
def test_what_a_smoke_test_prints_is_inert(ci, project, state):
    config = hostile_project(project, steps="", test={"run": ["sh", "-c", "cat /words; exit 1"]})
    run(ci, "all", "-f", config, "--state-dir", state, codes=(5,))
    run(ci, "test", "-v", "-f", config, "--state-dir", state, codes=(5,))
    read_everything(ci, config, state)


@pytest.mark.one_driver(driver="docker", reason="what is tested happens after the builds")
def test_labels_of_an_image_are_inert(ci, project, state, repository):
    label = json.dumps(WORDS[2]).replace("$", "")
    config = hostile_project(
        project, steps=f"LABEL pwned={label} org.opencontainers.image.title='::error::pwned'\n"
    )
    run(ci, "all", "-f", config, "--state-dir", state, codes=(0,))
    for command in (("inspect",), ("inspect", "--json"), ("verify",), ("verify", "--json"), ("resolve",)):
        run(ci, command[0], f"{REGISTRY}/{repository}:latest", *command[1:], codes=(0, 1, 2, 6))


# A registry that others write to.


def put(repository, reference, body, media_type):
    request = urllib.request.Request(
        f"http://{REGISTRY}/v2/{repository}/manifests/{reference}",
        data=body,
        headers={"Content-Type": media_type},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 201


def test_the_words_of_an_index_are_inert(ci, registry, repository):
    (base,) = [
        entry
        for entry in registry.get("base", "latest")["manifests"]
        if entry["platform"]["architecture"] == "amd64"
    ]
    copy_from_base(repository, base)
    index_type = "application/vnd.oci.image.index.v1+json"
    entries = [
        {
            **base,
            "annotations": {word: word, "org.opencontainers.image.ref.name": word},
            "platform": {**base["platform"], "os.version": word, "variant": word, "os.features": [word]},
        }
        for word in WORDS
    ]
    document = {
        "schemaVersion": 2, "mediaType": index_type, "manifests": [base, *entries],
        "annotations": {word: word for word in WORDS},
    }  # fmt: skip
    put(repository, "latest", json.dumps(document).encode(), index_type)
    image, merged = f"{REGISTRY}/{repository}:latest", f"{REGISTRY}/{repository}:merged"
    for command in (
        ("inspect", image), ("inspect", image, "--json"), ("verify", image), ("verify", image, "--json"),
        ("resolve", image), ("resolve", image, "--json"), ("inspect", image, "--diff", f"{REGISTRY}/base:latest"),
        ("merge", merged, image, "--dry-run"), ("merge", merged, image), ("inspect", merged),
    ):  # fmt: skip
        run(ci, *command, codes=(0, 2, 3, 6, 7))


def copy_from_base(repository, entry):
    """Bring an image of the base into a repository: blobs by mount, then the manifest."""
    url = f"http://{REGISTRY}/v2/base/manifests/{entry['digest']}"
    asking = urllib.request.Request(url, headers={"Accept": entry["mediaType"]})
    with urllib.request.urlopen(asking, timeout=PATIENCE_S) as answer:
        body = answer.read()
    manifest = json.loads(body)
    for blob in (manifest["config"], *manifest["layers"]):
        url = f"http://{REGISTRY}/v2/{repository}/blobs/uploads/?mount={blob['digest']}&from=base"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=PATIENCE_S) as answer:
            assert answer.status == 201
    put(repository, entry["digest"], body, entry["mediaType"])


class _Refusing(http.server.BaseHTTPRequestHandler):
    """Refuses everything with a word: in its message, its status line, its headers."""

    word = ""

    def do_GET(self):
        line = one_line(self.word)
        self.send_response(403, line)
        self.send_header("WWW-Authenticate", f'Basic realm="{line}"')
        self.send_header("Warning", f'299 - "{line}"')
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        message = {"code": f"DENIED{self.word}", "message": self.word, "detail": self.word}
        self.wfile.write(json.dumps({"errors": [message]}).encode())

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *arguments):
        pass


def one_line(word):
    return word.encode("latin-1", "ignore").decode("latin-1").replace("\n", " ").replace("\r", " ")


def test_the_words_of_a_refusing_registry_are_inert(ci):
    commands = (("inspect",), ("verify",), ("resolve",), ("inspect", "--verbose"))
    for number, word in enumerate(WORDS):
        handler = type("Refusing", (_Refusing,), {"word": word})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            command, *flags = commands[number % len(commands)]
            run(ci, command, f"127.0.0.1:{server.server_port}/app:1", *flags, codes=(2, 3, 6))
            server.shutdown()


# A run from elsewhere.


class Infection:
    """Puts the next word into every text of a journal that is not part of its form."""

    FORM = frozenset(
        {"name", "at", "time", "platform", "log", "digest", "outcome", "status", "stage", "command"}
    )

    def __init__(self):
        self.words = itertools.cycle(WORDS)

    def of(self, value, key=""):
        if isinstance(value, dict):
            return {name: self.of(member, name) for name, member in value.items()}
        if isinstance(value, list):
            return [self.of(member, key) for member in value]
        return value + next(self.words) if isinstance(value, str) and key not in self.FORM else value


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the state directory")
def test_the_words_of_an_imported_run_are_inert(ci, project, state, tmp_path):
    config = project(run="case $(uname -m) in x86_64) ;; *) echo sorry; exit 1;; esac")
    elsewhere, infection = tmp_path / "elsewhere", Infection()
    run(ci, "all", "-f", config, "--state-dir", elsewhere, codes=(4,))
    for journal in elsewhere.glob("runs/*/journal.jsonl"):
        events = [json.loads(line) for line in journal.read_text().splitlines()]
        journal.write_text("".join(json.dumps(infection.of(event)) + "\n" for event in events))
        for log in journal.parent.glob("logs/*"):
            log.write_text("\n".join(WORDS) + "\n" + log.read_text())
    run(ci, "import", elsewhere, "-f", config, "--state-dir", state, codes=(0, 2, 7))
    assert_files(ci, state)
    for arguments in (
        ("report",),
        ("report", "--json"),
        ("report", "--markdown"),
        ("runs",),
        ("merge", "--dry-run"),
    ):
        for folder in (elsewhere, state):
            run(ci, *arguments, "-f", config, "--state-dir", folder, codes=(0, 2, 4, 7))


# A repository that needs a login.


@pytest.fixture
def repository_server(tmp_path):
    """A git repository behind Basic authentication, as files over HTTP; returns its URL with the login."""
    work, bare = tmp_path / "work", tmp_path / "served" / "app.git"
    work.mkdir()
    (work / "Dockerfile").write_text(f'FROM {REGISTRY}/base:latest\nARG FAIL\nRUN test -z "$FAIL"\n')
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], cwd=work, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    subprocess.run(["git", "update-server-info"], cwd=bare, check=True)
    login = "Basic " + b64encode(f"robot:{SECRET}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "served"))

        def do_GET(self):
            if self.headers.get("Authorization") == login:
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://robot:{SECRET}@127.0.0.1:{server.server_port}/app.git#main"
        server.shutdown()


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in our own process")
@pytest.mark.parametrize(("fail", "code"), [("", 0), ("1", 4)])
def test_the_login_of_a_git_context_is_nowhere(ci, project, state, repository_server, fail, code):
    config = project(context=repository_server, args={"FAIL": fail})
    common = ("-f", config, "--state-dir", state)
    run(ci, "plan", *common, "--json", codes=(0,))
    run(ci, "plan", *common, codes=(0,))
    run(ci, "all", *common, "--verbose", codes=(code,))
    run(ci, "all", *common, "--resume", codes=(code,))
    read_everything(ci, config, state)


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_the_login_of_a_git_context_that_is_refused_is_nowhere(ci, project, state, repository_server):
    config = project(context=repository_server.replace("app.git", "absent.git"))
    run(ci, "all", "-f", config, "--state-dir", state, "--verbose", codes=(4,))
    read_everything(ci, config, state)
