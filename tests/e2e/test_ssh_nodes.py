"""Nodes behind ssh: a real sshd before each of two engines, cut in the middle of a build, and everything that can be wrong."""

import contextlib
import json
import os
import pty
import select
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from e2e.conftest import REGISTRY, ROOT, docker, finish, free_port, multibuild, start
from e2e.container_buildkit import buildkit_images
from e2e.ssh_host import SshClient, SshHost, Tools, openssh
from e2e.test_fleet import log_of, rows, wait_until
from e2e.test_second_engine import own_name, second_engine

from builders.lab import buildkit_image

pytestmark = pytest.mark.one_driver(driver="docker", reason="its builders are those of its own profiles")

NO_HANG_S = 300.0
"""An idle machine needs one to eleven seconds for an error; a prompt, a dead host and docker's own limits take longer."""


@pytest.fixture(scope="module")
def tools():
    return Tools(openssh())


@pytest.fixture(scope="module")
def far_engine():
    """Return the socket of an engine that only the machine `far` leads to."""
    with second_engine(own_name("h")) as (engine, _):
        yield engine.socket


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="multibuild-ssh-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def keys(tools, folder):
    return {
        "good": tools.key(folder / "good"),
        "locked": tools.key(folder / "locked", "a passphrase"),
        "wrong": tools.key(folder / "wrong"),
    }


@contextlib.contextmanager
def running(host, keys):
    host.authorized.write_text(
        "".join(keys[name].with_suffix(".pub").read_text() for name in ("good", "locked"))
    )
    host.start()
    try:
        yield host
    finally:
        host.power_off()


@pytest.fixture(scope="module")
def far(tools, folder, far_engine, keys):
    with running(SshHost(tools, folder / "far", Path(far_engine)), keys) as host:
        yield host


@pytest.fixture(scope="module")
def near(tools, folder, keys):
    with running(SshHost(tools, folder / "near", buildkit_image.socket()), keys) as host:
        yield host


@pytest.fixture
def client(tools, tmp_path, keys, far, near):
    """An account with the key that opens both machines, and docker's configuration of its own."""
    account = SshClient(tools, tmp_path / "client", keys["good"]).know(far, near)
    return Account(account, tmp_path / "account")


@dataclass
class Account:
    """An ssh client with a docker configuration, a state and a project's builders of its own."""

    ssh: SshClient
    home: Path
    env: dict[str, str] = field(init=False)

    def __post_init__(self):
        plugins = self.home / "docker" / "cli-plugins"
        plugins.mkdir(parents=True)
        listed = docker(
            "info", "--format", "{{range .ClientInfo.Plugins}}{{.Name}} {{.Path}}\n{{end}}"
        ).stdout
        (path,) = [line.partition(" ")[2] for line in listed.splitlines() if line.startswith("buildx ")]
        (plugins / "docker-buildx").symlink_to(path)
        self.env = {
            **self.ssh.env,
            "DOCKER_CONFIG": str(self.home / "docker"),
            "BUILDX_CONFIG": str(self.home / "buildx"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "DISPLAY": "",
        }


def profile_of(tmp_path, nodes, **more):
    path = tmp_path / "fleet.yaml"
    path.write_text(json.dumps({"driver": "docker-container", "nodes": nodes, **more}))
    return path


@dataclass
class Fleet:
    """arm64 on the machine `far`, s390x on `near`; each can emulate the other's."""

    profile: Path
    names: tuple[str, str]
    env: dict[str, str]


@pytest.fixture
def buildkits(lab, folder, far_engine):
    """Return the BuildKit images of both engines: the real one where it is there, else a stand-in for each."""
    environment = {"DOCKER_HOST": f"unix://{far_engine}"}
    if lab == "real":
        archive, image = folder / "buildkit.tar", buildkit_image.image()
        docker("save", "--output", archive, image)
        docker("load", "--input", archive, env=environment)
        yield image, image
        return
    with (
        buildkit_images() as (near_image,),
        buildkit_images(engine=far_engine) as (far_image,),
    ):
        yield far_image, near_image


@pytest.fixture
def fleet(tmp_path, client, far, near, far_engine, buildkits):
    name = f"mb-ssh-{os.getpid()}-{free_port()}"
    far_image, near_image = buildkits

    def node(host, image, platform):
        options = {"image": image, "network": "host"}
        return {"endpoint": host.address(), "platforms": [platform], "driver_opts": options}

    nodes = [node(far, far_image, "linux/arm64"), node(near, near_image, "linux/s390x")]
    yield Fleet(profile_of(tmp_path, nodes, name=name), (name, f"{name}-1"), client.env)
    for engine in (far_engine, buildkit_image.socket()):
        remove_all(f"buildx_buildkit_{name}", {"DOCKER_HOST": f"unix://{engine}"})


def remove_all(prefix, environment):
    """Remove the containers of a fleet's builders from an engine, and their volumes."""
    for kind, every in (("container", ["--all"]), ("volume", [])):
        listed = docker(
            kind, "ls", *every, "--quiet", "--filter", f"name={prefix}", env=environment
        ).stdout.split()
        if listed:
            docker(kind, "rm", "--force", *listed, env=environment)


def run_all(fleet, config, state):
    return multibuild(
        "all", "-f", config, "--state-dir", state, "--builder", fleet.profile, "--json", env=fleet.env
    )


def test_each_platform_is_built_on_its_machine(fleet, project, state, registry, repository):
    platforms = ("linux/arm64", "linux/s390x", "linux/riscv64")
    config = project(run=f"echo {time.time_ns()}; uname -m > /m", platforms=platforms, test={"run": ["true"]})
    ours = ("-f", config, "--state-dir", state, "--builder", fleet.profile, "--json")
    before = multibuild("doctor", *ours, env=fleet.env)
    assert (before.code, before.json["ok"]) == (0, True), before.stderr
    assert all(row["runs"] for row in before.json["platforms"])
    (builder,) = [check["detail"] for check in before.json["checks"] if check["name"] == "builder"]
    assert all(f"create the docker-container builder {name}" in builder for name in fleet.names)

    done = run_all(fleet, config, state)
    assert done.code == 0, done.stderr
    nodes = {platform: row["node"] for platform, row in rows(done).items()}
    assert (nodes["linux/arm64"], nodes["linux/s390x"]) == fleet.names
    assert nodes["linux/riscv64"] in fleet.names
    assert set(registry.images(repository, "latest")) == set(platforms)
    again = multibuild("setup", *ours, env=fleet.env)
    assert (again.code, again.json["changes"]) == (0, [])


@pytest.mark.parametrize("way", ["power_off", "freeze"])
def test_a_machine_that_is_lost_in_the_middle_of_a_run(
    fleet, far, project, state, registry, repository, way, keys
):
    """Its end closes the connection; a frozen one keeps it and says nothing, which only ssh itself notices."""
    config = project(
        run=f"echo {time.time_ns()} begun; sleep 6; uname -m > /machine",
        platforms=("linux/arm64", "linux/s390x"),
        retry={"attempts": 3, "initial": "1s"},
        test={"run": ["true"]},
    )
    process = start(
        "all", "-f", config, "--state-dir", state, "--builder", fleet.profile, "--json", env=fleet.env
    )
    try:
        wait_until(lambda: "begun" in log_of(state, "linux-arm64.1.log"), process)
        assert far.sessions()
        cut = time.time()
        getattr(far, way)()
        done = finish(process)
    finally:
        far.power_off()
        far.start()
    assert done.code == 0, done.stderr
    arm = rows(done)["linux/arm64"]
    assert [(a["node"], a["outcome"], a["class"]) for a in arm["attempts"]] == [
        (fleet.names[0], "failed", "connection-lost"),
        (fleet.names[1], "ok", None),
    ]
    assert (arm["node"], arm["test"]["status"], done.json["status"]) == (
        fleet.names[1],
        "passed",
        "succeeded",
    )
    assert len(rows(done)["linux/s390x"]["attempts"]) == 1
    assert set(registry.images(repository, "latest")) == {"linux/arm64", "linux/s390x"}
    assert f"node {fleet.names[0]} does not answer any more" in done.stderr
    print(
        f"{way}: moved {moved_at(state, 'linux/arm64') - cut:.1f} s after the cut, {done.json['seconds']:.1f} s in all"
    )

    # It is back: its builder is used as it was left.
    facts = multibuild(
        "setup", "-f", config, "--state-dir", state, "--builder", fleet.profile, "--json", env=fleet.env
    )
    assert (facts.code, facts.json["changes"], facts.json["dead"]) == (0, [], {})


def moved_at(state, platform):
    """Return when the second attempt of a platform began, in seconds since 1970."""
    (journal,) = state.glob("runs/*/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    begun = [event for event in events if event["name"] == "attempt.started"]
    times = [event["time"] for event in begun if event["fields"]["platform"] == platform]
    return datetime.fromisoformat(times[1]).timestamp()


def fault_of(done):
    """Check that a command ended with an error in time, and asked nothing; return its message and hint."""
    assert done.code == 3, done.stderr
    assert done.seconds < NO_HANG_S
    assert "hint: " in done.stderr
    return " ".join(done.stderr.split())


def never_accepted():
    """Return a socket whose queue is full: who connects there gets no answer, as behind a firewall that drops."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = [listener]
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)
    return waiting


@pytest.fixture
def black_hole():
    sockets = never_accepted()
    yield sockets[0].getsockname()[1]
    for held in sockets:
        held.close()


ACCOUNTS = {
    "norights": ("the account norights may not use Docker there", "group docker"),
    "nodocker": ("docker is not installed there", "install Docker there"),
    "talker": (
        "the shell there prints text before a command's output: welcome to the machine",
        "interactive shells",
    ),
    "stranger": (
        "no key of this account opens the account stranger there, or there is no such account",
        "ssh-copy-id",
    ),
}


@pytest.mark.parametrize("command", ["all", "setup"])
@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_that_cannot_build(tmp_path, client, far, project, state, account, command):
    profile = profile_of(tmp_path, [{"endpoint": far.address(account)}])
    done = multibuild(command, "-f", project(), "--state-dir", state, "--builder", profile, env=client.env)
    text = fault_of(done)
    assert f"{account}@127.0.0.1:{far.port}: " in text
    assert all(words in text for words in ACCOUNTS[account])


KEYS = {
    "locked": ("cannot be used without its passphrase", "ssh-add"),
    "wrong": ("no key of this account opens the account build there", "ssh-copy-id"),
}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_does_not_open(tmp_path, tools, keys, far, project, state, key):
    account = Account(SshClient(tools, tmp_path / "client", keys[key]).know(far), tmp_path / "account")
    profile = profile_of(tmp_path, [{"endpoint": far.address()}])
    done = multibuild("all", "-f", project(), "--state-dir", state, "--builder", profile, env=account.env)
    assert all(words in fault_of(done) for words in KEYS[key])


def test_a_host_key_that_is_not_known_or_not_the_known_one(tmp_path, client, far, near, project, state):
    profile = profile_of(tmp_path, [{"endpoint": far.address()}])
    ours = ("all", "-f", project(), "--state-dir", state, "--builder", profile)
    client.ssh.know()
    text = fault_of(multibuild(*ours, env=client.env))
    assert "its host key is not known here" in text
    assert f"ssh -p {far.port} build@127.0.0.1" in text
    assert client.ssh.known.read_text() == ""

    other = near.host_key.partition(" ")[2]
    client.ssh.known.write_text(f"[127.0.0.1]:{far.port} {other}")
    text = fault_of(multibuild(*ours, env=client.env))
    assert "its host key is not the one in known_hosts" in text
    assert "ssh-keygen -R" in text


def test_a_host_that_is_not_there(tmp_path, client, black_hole, project, state):
    ours = ("all", "-f", project(), "--state-dir", state, "--builder", tmp_path / "fleet.yaml")
    for address, words in {
        f"ssh://build@127.0.0.1:{free_port()}": "nothing listens at its ssh port",
        f"ssh://build@127.0.0.1:{black_hole}": "it does not answer",
        "ssh://build@no-such-host.invalid": "there is no host of that name",
        f"ssh://build@{REGISTRY}": "it closed the connection before the login",
    }.items():
        profile_of(tmp_path, [{"endpoint": address}])
        assert words in fault_of(multibuild(*ours, env=client.env))


@pytest.mark.parametrize("fault", ["locked", "unknown"])
@pytest.mark.parametrize("way", ["node", "engine"])
def test_nothing_is_asked_at_a_terminal(tmp_path, tools, keys, far, project, state, fault, way):
    """A terminal is there, and would answer: a passphrase, a host key are not asked for even so."""
    account = Account(SshClient(tools, tmp_path / "client", keys["locked"]), tmp_path / "account")
    account.ssh.know(*((far,) if fault == "locked" else ()))
    profile = profile_of(tmp_path, [{"endpoint": far.address()}])
    where = ["--builder", str(profile)] if way == "node" else ["--builder", "local"]
    engine = {} if way == "node" else {"DOCKER_HOST": far.address()}
    code, text = at_a_terminal(
        ["all", "-f", str(project()), "--state-dir", str(state), *where],
        {**account.env, **engine, "DISPLAY": ":0"},
    )
    assert code == 3, text
    assert ("without its passphrase" if fault == "locked" else "host key is not known") in text
    assert "(yes/no" not in text
    assert "Enter passphrase" not in text


def at_a_terminal(arguments, environ):
    """Run multibuild with a terminal of its own; return its exit code and what stood there, on one line."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        argv = [sys.executable, "-m", "multibuild", *arguments]
        os.execve(sys.executable, argv, {**os.environ, "PYTHONPATH": str(ROOT), **environ})
    output, end = b"", time.monotonic() + NO_HANG_S
    with contextlib.suppress(OSError):  # EIO: the last process with the terminal has ended
        while time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                output += os.read(terminal, 65536)
    os.close(terminal)
    if time.monotonic() >= end:
        os.kill(pid, 9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), " ".join(
        output.decode("utf-8", "replace").split()
    )


def test_dead_machines_among_others(fleet, far, client, black_hole, project, state, registry, repository):
    profile = json.loads(fleet.profile.read_text())
    dead = [f"ssh://build@127.0.0.1:{black_hole}", far.address("nodocker")]
    profile["nodes"] = [{"endpoint": address, "platforms": ["linux/riscv64"]} for address in dead] + profile[
        "nodes"
    ]
    fleet.profile.write_text(json.dumps(profile))
    name = profile["name"]
    config = project(run="true", platforms=("linux/arm64", "linux/s390x", "linux/riscv64"))
    done = run_all(fleet, config, state)
    assert done.code == 0, done.stderr
    assert f"node {name} does not answer: build@127.0.0.1:{black_hole}: it does not answer" in done.stderr
    assert (
        f"node {name}-1 does not answer: nodocker@127.0.0.1:{far.port}: docker is not installed"
        in done.stderr
    )
    assert "install Docker there" in done.stderr
    assert {row["node"] for row in rows(done).values()} == {f"{name}-2", f"{name}-3"}
    assert len(registry.images(repository, "latest")) == 3

    checks = multibuild(
        "doctor", "-f", config, "--state-dir", state, "--builder", fleet.profile, "--json", env=fleet.env
    )
    assert checks.code == 0, checks.stderr
    warned = {check["detail"]: check["hint"] for check in checks.json["checks"] if check["status"] == "warn"}
    assert [hint for detail, hint in warned.items() if f"{name}-1 " in detail and "install Docker" in hint]


def test_all_machines_dead(tmp_path, client, far, black_hole, project, state):
    nodes = [{"endpoint": f"ssh://build@127.0.0.1:{black_hole}"}, {"endpoint": far.address("norights")}]
    profile = profile_of(tmp_path, nodes)
    for command in ("all", "setup"):
        done = multibuild(
            command, "-f", project(), "--state-dir", state, "--builder", profile, env=client.env
        )
        text = fault_of(done)
        assert "it does not answer" in text
        assert "may not use Docker there" in text


def test_docker_contexts_as_endpoints(fleet, client, far, project, state, registry, repository):
    """A context that leads through ssh is what many have for a machine already."""
    docker("context", "create", "far", "--docker", f"host={far.address()}", env=client.env)
    docker("context", "create", "gone", "--docker", f"host={far.address('stranger')}", env=client.env)
    profile = json.loads(fleet.profile.read_text())
    profile["nodes"][0]["endpoint"] = "far"
    profile["nodes"][1] = {"endpoint": "gone", "platforms": ["linux/s390x"]}
    fleet.profile.write_text(json.dumps(profile))
    config = project(platforms=("linux/arm64", "linux/s390x"), test={"run": ["true"]})
    done = run_all(fleet, config, state)
    assert done.code == 0, done.stderr
    assert f"node {fleet.names[1]} does not answer: stranger@127.0.0.1:{far.port}: no key" in done.stderr
    assert {row["node"] for row in rows(done).values()} == {fleet.names[0]}
    assert set(registry.images(repository, "latest")) == {"linux/arm64", "linux/s390x"}

    # buildx itself builds with the own builder of the current context alone.
    refused = multibuild(
        "all", "-f", config, "--state-dir", state, "--builder", "far", "--no-resume", env=client.env
    )
    assert "the docker context far, and default is the current one" in fault_of(refused)
    current = {**client.env, "DOCKER_CONTEXT": "far"}
    ready = multibuild("setup", "-f", config, "--state-dir", state, "--builder", "far", "--json", env=current)
    assert (ready.code, ready.json["builder"]) == (0, ["far"]), ready.stderr


def test_two_accounts_share_a_machine(fleet, tmp_path, client, tools, keys, far, project, state):
    """Who comes second neither uses nor changes the container of the first, whose configuration is another."""
    profile = json.loads(fleet.profile.read_text())
    del profile["nodes"][1]
    fleet.profile.write_text(json.dumps(profile))
    ours = ("setup", "-f", project(), "--state-dir", state, "--builder", fleet.profile, "--json")
    first = multibuild(*ours, env=fleet.env)
    assert first.code == 0, first.stderr
    assert first.json["builder"] == [fleet.names[0]]

    second = Account(
        SshClient(tools, tmp_path / "second" / "ssh", keys["good"]).know(far), tmp_path / "second" / "account"
    )
    (tmp_path / "buildkitd.toml").write_text("debug = true\n")
    fleet.profile.write_text(json.dumps({**profile, "buildkitd": "buildkitd.toml"}))
    done = multibuild(*ours, env=second.env)
    assert done.code == 0, done.stderr
    (name,) = done.json["builder"]
    assert name.startswith(f"{fleet.names[0]}-")
    assert "was made by another account" in done.stderr
    fleet.profile.write_text(json.dumps(profile))
    assert multibuild(*ours, env=fleet.env).json["changes"] == []


def test_the_engine_itself_behind_ssh(client, far, project, state, registry, repository):
    config = project(platforms=("linux/amd64",))
    environment = {**client.env, "DOCKER_HOST": far.address()}
    ours = ("all", "-f", config, "--state-dir", state, "--builder", "local", "--json")
    done = multibuild(*ours, env=environment)
    assert done.code == 0, done.stderr
    assert list(registry.images(repository, "latest")) == ["linux/amd64"]
    refused = multibuild(*ours, env={**client.env, "DOCKER_HOST": far.address("norights")})
    assert "the account norights may not use Docker there" in fault_of(refused)
