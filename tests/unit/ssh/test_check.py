import shlex
import subprocess

import pytest

from multibuild.errors import EnvironmentFault
from multibuild.ssh.check import RemoteDocker, check_docker, check_login
from multibuild.ssh.environment import OPTIONS

ADDRESS = "ssh://build@arm64-host:2222"
ANSWER = "echo 'docker=28.5.2+dfsg4 linux/arm64'"


def fault(address=ADDRESS, check=check_docker):
    with pytest.raises(EnvironmentFault) as caught:
        check(address)
    assert caught.value.hint
    return caught.value


def test_an_answer(fake_ssh):
    arguments = fake_ssh(f"echo 'debug1: Authentications …' >&2; {ANSWER}; echo 'Transferred: sent 3' >&2")
    assert check_docker(f"{ADDRESS}/run/d.sock") == RemoteDocker(
        version="28.5.2+dfsg4", platform="linux/arm64"
    )
    words = arguments.read_text().splitlines()
    assert words[: len(OPTIONS)] == list(OPTIONS)
    assert words[words.index("-l") :][:8] == [
        "-l",
        "build",
        "-p",
        "2222",
        "--",
        "arm64-host",
        "docker",
        "--host",
    ]
    assert words[-3:-1] == ["version", "--format"]


@pytest.mark.parametrize(
    "path", ["/run/$(id)/d.sock", "/run/a b;id", "/run/`id`", "/run/x'y", "/run/user/1000/d.sock"]
)
def test_the_shell_of_that_machine_reads_the_path_of_a_socket_as_one_word(fake_ssh, path):
    arguments = fake_ssh(ANSWER)
    check_docker(f"{ADDRESS}{path}")
    words = arguments.read_text().splitlines()
    remote = shlex.split(" ".join(words[words.index("docker") :]))
    assert remote[:4] == ["docker", "--host", f"unix://{path}", "version"]
    shell = subprocess.run(
        ["sh", "-c", f'printf "%s\\n" {words[words.index("--host") + 1]}'], capture_output=True, text=True
    )
    assert shell.stdout == f"unix://{path}\n"


def test_the_check_runs_without_a_terminal(fake_ssh):
    fake_ssh(f'[ "$(ps -o sid= -p $$)" -eq $$ ] && {ANSWER}')
    assert check_docker(ADDRESS).platform == "linux/arm64"


def test_a_reason_with_what_to_do(fake_ssh):
    fake_ssh("echo 'OpenSSH_9.2p1' >&2; echo 'Host key verification failed.' >&2; exit 255")
    error = fault()
    assert error.message == "build@arm64-host:2222: its host key is not known here"
    assert "ssh -p 2222 build@arm64-host" in (error.hint or "")


def test_what_was_said_before_the_login_is_no_reason_behind_it(fake_ssh):
    fake_ssh(
        "echo 'debug1: Server accepts key: k' >&2; echo 'debug1: connect to address ::1 port 22: Connection refused' >&2;"
        "echo 'Authenticated to arm64-host' >&2; echo 'sh: 1: docker: not found' >&2; exit 127"
    )
    assert "not installed there" in fault().message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo welcome to arm64-host; " + ANSWER, "prints text before a command's output: welcome"),
        ("echo Segmentation fault >&2; exit 139", "build@arm64-host:2222: Segmentation fault"),
        ("exit 1", "docker version ended with 1, without a word"),
        ("echo podman 5", "podman 5"),
        ("head -c 3000000 /dev/zero", "prints more than"),
    ],
)
def test_another_answer(fake_ssh, body, words):
    fake_ssh(body)
    error = fault()
    assert words in error.message
    assert error.hint


def test_no_ssh_command(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    error = fault()
    assert "no ssh command" in error.message
    assert "openssh-client" in (error.hint or "")


def test_a_wrong_address_names_no_password():
    error = fault("ssh://build:secret@host")
    assert "no password" in error.message
    assert "secret" not in error.message


def test_a_login_where_no_docker_is_needed(fake_ssh):
    arguments = fake_ssh("")
    check_login(ADDRESS)
    assert arguments.read_text().splitlines()[-1] == "true"
    fake_ssh("echo 'build@arm64-host: Permission denied (publickey).' >&2; exit 255")
    assert "no key of this account" in fault(check=check_login).message
