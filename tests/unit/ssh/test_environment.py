import subprocess

from multibuild.ssh.environment import OPTIONS, docker_environment


def started(environ, *arguments):
    """Run `ssh` as docker does: found on the PATH of an environment."""
    return subprocess.run(
        ["/usr/bin/env", "ssh", *arguments], env=environ, capture_output=True, text=True, check=True
    ).stdout


def test_dockers_ssh_gets_our_options_before_its_own(fake_ssh):
    arguments = fake_ssh("cat")
    environ = docker_environment()
    done = subprocess.run(
        ["/usr/bin/env", "ssh", "-o", "ConnectTimeout=30", "--", "a host", "docker system dial-stdio"],
        env=environ, input="both ways", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "both ways"
    assert arguments.read_text().splitlines() == [
        *OPTIONS, "-o", "ConnectTimeout=30", "--", "a host", "docker system dial-stdio",
    ]  # fmt: skip


def test_no_ssh_asks_and_none_waits_forever():
    names = dict(option.removeprefix("-o").split("=") for option in OPTIONS)
    assert names["BatchMode"] == "yes"
    assert int(names["ConnectTimeout"]) < 20
    assert 0 < int(names["ServerAliveInterval"]) * int(names["ServerAliveCountMax"]) <= 60


def test_an_environment_of_ours_is_left_as_it_is(fake_ssh):
    fake_ssh("")
    environ = docker_environment({"PATH": "/nonexistent", "A": "b"})
    assert environ == {"PATH": "/nonexistent", "A": "b"}
    once = docker_environment()
    assert docker_environment(once) == once


def test_the_rest_of_an_environment_stays(fake_ssh, monkeypatch):
    fake_ssh("")
    monkeypatch.setenv("DOCKER_HOST", "ssh://build@host")
    environ = docker_environment()
    assert environ["DOCKER_HOST"] == "ssh://build@host"
    assert environ["PATH"].endswith("/programs:/usr/bin:/bin")
