"""How buildx is asked for a definition, and how its answers and errors are read. The runner is a fake."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from multibuild.bake.definition import DEFAULT_FILES, MAX_TARGETS, find_bake_files, read_bake
from multibuild.bake.request_errors import BakeRequestError
from multibuild.errors import ConfigError, EnvironmentFault

PRINTED = {
    "group": {"default": {"targets": ["app"]}},
    "target": {"app": {"context": "/project/app", "dockerfile": "Dockerfile", "tags": ["acme/app"]}},
}


@dataclass
class Buildx:
    """A buildx that prints a document or fails; `lists` are the names it lists, None where it is too old."""

    stdout: str = json.dumps(PRINTED)
    stderr: str = "#1 [internal] load local bake definitions\n#1 DONE 0.0s\n"
    code: int = 0
    lists: tuple[str, ...] | None = ()
    calls: list[Any] = field(default_factory=list)
    sockets: list[bool] = field(default_factory=list)

    def __call__(self, *argv, timeout_s, cwd, environ):
        self.calls.append((argv, cwd, environ))
        self.sockets.append(Path(environ.get("SSH_AUTH_SOCK", "")).is_socket())
        if argv[-1].startswith("--list="):
            names = [{"name": name} for name in self.lists or ()]
            return subprocess.CompletedProcess(argv, self.lists is None, json.dumps(names), "")
        return subprocess.CompletedProcess(argv, self.code, self.stdout, self.stderr)


def read(buildx, **request):
    request = {"project": Path("/project"), "environ": {"PATH": "/bin"}, **request}
    return read_bake(buildx, **request)


def test_buildx_is_asked_in_the_project_with_files_targets_and_variables():
    buildx = Buildx(lists=("VERSION", "OTHER"))
    [image] = read(
        buildx, files=("a.hcl", "-b.json"), targets=("app", "php-*"), variables={"VERSION": "1 $(x)"}
    )
    argv, cwd, environ = buildx.calls[0]
    assert argv == (
        *("docker", "buildx", "bake", "--progress=plain", "--file=a.hcl", "--file=-b.json"),
        *("--print", "app", "php-*"),
    )
    assert cwd == Path("/project")
    assert (environ["PATH"], environ["PWD"], environ["VERSION"]) == ("/bin", "/project", "1 $(x)")
    assert image.keys["context"] == "app"


def test_without_variables_buildx_is_asked_once():
    buildx = Buildx()
    read(buildx)
    assert [argv[3:] for argv, _, _ in buildx.calls] == [("--progress=plain", "--print")]


def test_a_socket_stands_in_for_a_missing_agent_and_for_a_missing_one_alone(tmp_path):
    buildx = Buildx()
    read(buildx)
    read(buildx, environ={"SSH_AUTH_SOCK": str(tmp_path / "own")})
    assert buildx.sockets == [True, False]
    assert not Path(buildx.calls[0][2]["SSH_AUTH_SOCK"]).exists()
    assert buildx.calls[1][2]["SSH_AUTH_SOCK"] == str(tmp_path / "own")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"files": ("-",)}, "bake.files.0: '-'"),
        ({"files": ("",)}, "bake.files.0: ''"),
        ({"targets": ("--push",)}, "bake.targets.0: '--push'"),
        ({"targets": ("https://github.com/acme/app.git",)}, "bake.targets.0: 'https"),
        ({"targets": ("git@github.com:acme/app.git",)}, "bake.targets.0: 'git@"),
        ({"targets": ("a\x1b[2Jb",)}, "bake.targets.0: 'ab'"),
        ({"variables": {"A=B": "c"}}, "bake.vars.A=B: is no variable"),
        ({"variables": {"A": "\0"}}, "bake.vars.A: is no variable"),
        ({"variables": {"PATH": "/x"}}, "bake.vars.PATH: is a variable of docker's own"),
        ({"variables": {"DOCKER_HOST": "ssh://x"}}, "DOCKER_HOST: is a variable"),
        ({"variables": {"LD_PRELOAD": "x"}}, "LD_PRELOAD: is a variable"),
        ({"variables": {"BUILDX_CONFIG": "x"}}, "BUILDX_CONFIG: is a variable"),
    ],
)
def test_what_buildx_would_take_for_something_else_is_refused_before_it_runs(request_, message):
    buildx = Buildx()
    with pytest.raises(ConfigError) as caught:
        read(buildx, **request_)
    assert message in caught.value.message
    assert caught.value.hint
    assert buildx.calls == []


@pytest.mark.parametrize("name", ["DOCKER_REPO", "DOCKER_TAG", "DOCKER_HOSTNAME", "HOMEPAGE", "_X"])
def test_variables_with_similar_names_are_the_definitions(name):
    assert read(Buildx(lists=(name,)), variables={name: "x"})


def test_a_variable_that_the_definition_lacks_is_an_error():
    with pytest.raises(ConfigError) as caught:
        read(Buildx(lists=("VERSION",)), variables={"VERSOIN": "1"}, files=("a.hcl",))
    assert (caught.value.message, caught.value.hint) == (
        "bake.vars.VERSOIN: the definition has no such variable",
        "perhaps you meant VERSION",
    )


@pytest.mark.parametrize(
    ("lists", "files"), [(None, ("a.hcl",)), ((), ("a.hcl", "compose.yaml")), ((), ("compose.yml",))]
)
def test_a_variable_is_taken_where_buildx_does_not_list_them(lists, files):
    assert read(Buildx(lists=lists), variables={"ANY": "1"}, files=files)


def test_a_default_compose_file_takes_any_variable(tmp_path):
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    assert read(Buildx(), variables={"ANY": "1"}, project=tmp_path)


def test_warnings_of_buildx_are_logged_once(caplog):
    warning = 'WARNING: The "TAG" variable is not set. Defaulting to a \x1b[31mblank\x1b[0m string.\n'
    read(Buildx(stderr=f"#1 reading compose.yaml\n{warning}{warning}"))
    assert caplog.messages == ['bake: The "TAG" variable is not set. Defaulting to a blank string.']


EXCERPT = "docker-bake.hcl:2\n--------------------\n   1 |     PASSWORD = hunter2\n   2 | >>>  }\n--------------------\n"


@pytest.mark.parametrize(
    ("stderr", "message", "hint"),
    [
        (
            f"{EXCERPT}ERROR: docker-bake.hcl:2,2-3: Missing item separator; Expected a comma.\n",
            "bake: docker-bake.hcl:2,2-3: Missing item separator; Expected a comma.",
            "docker buildx bake --print",
        ),
        (
            "ERROR: docker-bake.hcl:3,1-2: Validation failed; one of a, b\n",
            "bake: docker-bake.hcl:3,1-2: Validation failed; one of a, b",
            "bake.vars",
        ),
        ("ERROR: couldn't find a bake definition\n", "bake: couldn't find a bake definition", "bake: {files"),
        ("ERROR: open x.hcl: no such file or directory\n", "bake: open x.hcl: no such file", "relative to"),
        ("ERROR: failed to find target ap\n", "bake: failed to find target ap", "perhaps you meant app"),
        (
            "ERROR: failed to find target zzzz\n",
            "bake: failed to find target zzzz",
            "of the definition names another",
        ),
        ('ERROR: could not find any target matching "z*"\n', "matching", "there are app, web"),
        ("ERROR: failed to stat t: stat t: no such file or directory\n", "failed to stat t", "secrets"),
        (
            'ERROR: a.hcl:1,2-3: Unknown variable; There is no variable named "X".\n',
            "named",
            'variable "NAME"',
        ),
        (
            "ERROR: env file .env not found: stat .env: no such file or directory\n",
            "env file .env",
            "create it",
        ),
        (
            'ERROR: service "a" has neither an image nor a build context specified\n',
            "bake: service",
            "before this one",
        ),
        ("ERROR: infinite loop from b to a\n", "bake: infinite loop", "start from something else"),
        ('ERROR: service "a" refers to undefined build secret z\n', "undefined build secret", "declare it"),
        ("ERROR: failed to convert agent config {k [k] false}\n", "agent config", "SSH"),
        ("ERROR: one\ntwo \x1b[31mred\x1b[0m\r\n\x07three\n", "bake: one two red three", "--print"),
    ],
)
def test_an_error_of_buildx_is_told_in_its_own_sentence(stderr, message, hint):
    with pytest.raises(ConfigError) as caught:
        read(Buildx(code=1, stderr=f"#1 reading\n{stderr}", lists=("app", "web")))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "hunter2" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("docker: unknown command: docker buildx\n\nRun 'docker --help'\n", "docker --help"),
        ("", "failed without a word"),
    ],
)
def test_a_docker_without_buildx_is_a_fault_of_the_environment(stderr, message):
    with pytest.raises(EnvironmentFault) as caught:
        read(Buildx(code=1, stdout="", stderr=stderr))
    assert message in caught.value.message
    assert "buildx plugin" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"target": []}',
        '{"target": {"app": []}}',
        '{"target": {"../app": {}}}',
        '{"target": {"app": {"platforms": "linux/amd64"}}}',
        '{"group": {"default": {"targets": "app"}}}',
    ],
)
def test_another_answer_is_a_fault_of_the_environment(stdout):
    with pytest.raises(EnvironmentFault, match="could not be read"):
        read(Buildx(stdout=stdout))


def test_a_matrix_without_end_is_refused():
    targets: dict[str, Any] = {f"t{number}": {} for number in range(MAX_TARGETS + 1)}
    with pytest.raises(ConfigError, match=f"{MAX_TARGETS + 1} targets, at most"):
        read(Buildx(stdout=json.dumps({"target": targets})))


@pytest.mark.parametrize("stdout", ["{}", '{"group": {"default": {"targets": null}}, "target": {}}'])
def test_a_definition_without_targets_has_no_images(stdout):
    assert read(Buildx(stdout=stdout)) == ()


@pytest.mark.parametrize(
    ("sentence", "request_", "key", "hint"),
    [
        ("failed to find target wb", {"targets": ("app", "wb")}, ("targets", 1), "perhaps you meant web"),
        (
            "could not find any target matching 'z*'",
            {"targets": ("z*",)},
            ("targets", 0),
            "there are app, web",
        ),
        ("failed to find target default", {"targets": ("default",)}, ("targets", 0), "name what to build in"),
        ("open x.hlc: no such file or directory", {"files": ("x.hlc",)}, ("files", 0), "you meant x.hcl"),
        ("open y: no such file or directory", {"files": ("x.hcl", "y")}, ("files", 1), "are relative to"),
    ],
)
def test_what_was_asked_for_and_is_not_there_is_said_at_its_key(sentence, request_, key, hint, tmp_path):
    (tmp_path / "x.hcl").touch()
    buildx = Buildx(code=1, stderr=f"ERROR: {sentence}\n", lists=("app", "web"))
    with pytest.raises(BakeRequestError) as caught:
        read(buildx, project=tmp_path, **request_)
    assert caught.value.key == ("bake", *key)
    assert hint in (caught.value.hint or "")


def test_one_refusal_is_a_message_and_several_are_lines():
    inline = {"dockerfile-inline": "FROM scratch"}
    with pytest.raises(ConfigError) as caught:
        read(Buildx(stdout=json.dumps({"target": {"app": inline}})))
    assert caught.value.message.startswith("bake: target app: dockerfile-inline is a Dockerfile inside")
    assert (caught.value.hint or "").startswith("instead: write it to a file")
    with pytest.raises(ConfigError) as caught:
        read(Buildx(stdout=json.dumps({"target": {f"t{number}": inline for number in range(7)}})))
    lines = caught.value.message.splitlines()
    assert len(lines) == 6
    assert all("(instead: write it to a file" in line for line in lines[:5])
    assert lines[5] == "and 2 more"


def test_the_files_of_a_project_are_found_in_the_order_of_buildx(tmp_path):
    for name in (*reversed(DEFAULT_FILES), "bake.hcl", "compose.override.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "docker-bake.json").unlink()
    (tmp_path / "docker-bake.json").mkdir()
    assert [path.name for path in find_bake_files(tmp_path)] == [
        "compose.yaml",
        "compose.yml",
        "docker-compose.yml",
        "docker-compose.yaml",
        "docker-bake.hcl",
        "docker-bake.override.json",
        "docker-bake.override.hcl",
    ]
    assert find_bake_files(tmp_path / "nothing") == ()
