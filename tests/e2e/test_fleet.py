"""A fleet of two real engines: its nodes are `remote` builders over TCP, one of them behind mutual TLS."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.conftest import ROOT, docker, finish, free_port, multibuild, start
from e2e.container_buildkit import forwarded
from waiting import PATIENCE_S

from builders.lab import buildkit_image

pytestmark = pytest.mark.one_driver(
    driver="docker", reason="the builders of its profile are of driver remote"
)

"""Limit for a condition that an idle machine meets within two seconds."""


def lab(*arguments):
    return [sys.executable, "-m", "builders.lab", *map(str, arguments)]


@pytest.fixture(scope="module")
def second_engine():
    """Return the socket of a dockerd with a data-root of its own."""
    name = f"f{os.getpid() % 10**7}"
    up = subprocess.run(lab("engine", name, "up"), cwd=ROOT, check=True, capture_output=True, text=True)
    yield up.stdout.strip()
    subprocess.run(lab("engine", name, "down"), cwd=ROOT, check=True)
    shutil.rmtree(Path(os.environ.get("MULTIBUILD_LAB", "/var/lib/multibuild-lab"), "data", name))


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """Create the files of mutual TLS: a CA, a server's certificate for 127.0.0.1 and a client's."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ca",
            "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
                "-CAcreateserial", "-extfile", "names", "-out", f"{name}.pem")  # fmt: skip
    return folder


@dataclass
class Fleet:
    """The profile's path, and per node its builder's name and its forwarder."""

    profile: Path
    names: tuple[str, str]
    forwarders: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]
    env: dict[str, str]


@pytest.fixture
def fleet(tmp_path, second_engine, tls):
    """arm64 on the first engine, s390x on the second, which is behind TLS; each can emulate the other's."""
    ports = free_port(), free_port()
    name = f"mb-fleet-{os.getpid()}-{ports[0]}"
    profile = {
        "driver": "remote",
        "name": name,
        "nodes": [
            {"endpoint": f"tcp://127.0.0.1:{ports[0]}", "platforms": ["linux/arm64"]},
            {
                "endpoint": f"tcp://127.0.0.1:{ports[1]}",
                "platforms": ["linux/s390x"],
                "driver_opts": {
                    "cacert": str(tls / "ca.pem"),
                    "cert": str(tls / "client.pem"),
                    "key": str(tls / "client.key"),
                },
            },
        ],
    }
    path = tmp_path / "fleet.yaml"
    path.write_text(json.dumps(profile))
    names = (name, f"{name}-1")
    certificates = ("--tls", tls / "server.pem", tls / "server.key", tls / "ca.pem")
    try:
        with (
            forwarded(buildkit_image.socket(), ports[0]) as first,
            forwarded(second_engine, ports[1], *certificates) as second,
        ):
            yield Fleet(path, names, (first, second), {"XDG_STATE_HOME": str(tmp_path / "account")})
    finally:
        for name in names:
            docker("buildx", "rm", "--force", name, check=False)


def rows(done):
    return {row["platform"]: row for row in done.json["platforms"]}


def test_each_platform_is_built_on_its_node_into_one_index(fleet, project, state, registry, repository):
    config = project(
        run=f"echo {time.time_ns()} > /stamp; uname -m > /machine",
        platforms=("linux/arm64", "linux/s390x", "linux/riscv64"),
        test={"run": ["true"]},
    )
    done = multibuild(
        "all", "-f", config, "--state-dir", state, "--builder", fleet.profile, "--json", env=fleet.env
    )
    assert done.code == 0, done.stderr
    nodes = {platform: row["node"] for platform, row in rows(done).items()}
    assert nodes["linux/arm64"] == fleet.names[0]
    assert nodes["linux/s390x"] == fleet.names[1]
    assert nodes["linux/riscv64"] in fleet.names
    assert set(registry.images(repository, "latest")) == {"linux/arm64", "linux/s390x", "linux/riscv64"}


def test_platforms_of_a_node_that_dies_in_a_run_fail_over(fleet, project, state, registry, repository):
    config = project(
        run=f"echo {time.time_ns()} begun; sleep 6; uname -m > /machine",
        platforms=("linux/arm64", "linux/s390x"),
        retry={"attempts": 3, "initial": "1s"},
        test={"run": ["true"]},
    )
    process = start(
        "all", "-f", config, "--state-dir", state, "--builder", fleet.profile, "--json", env=fleet.env
    )
    wait_until(lambda: "begun" in log_of(state, "linux-arm64.1.log"), process)
    fleet.forwarders[0].kill()
    done = finish(process)
    assert done.code == 0, done.stderr
    arm = rows(done)["linux/arm64"]
    assert [(attempt["node"], attempt["outcome"]) for attempt in arm["attempts"]] == [
        (fleet.names[0], "failed"),
        (fleet.names[1], "ok"),
    ]
    assert (arm["node"], arm["test"]["status"], done.json["status"]) == (
        fleet.names[1],
        "passed",
        "succeeded",
    )
    assert len(rows(done)["linux/s390x"]["attempts"]) == 1
    assert set(registry.images(repository, "latest")) == {"linux/arm64", "linux/s390x"}
    assert f"node {fleet.names[0]} does not answer any more" in done.stderr


def log_of(state, name):
    return "".join(path.read_text(errors="replace") for path in state.glob(f"runs/*/logs/{name}"))


def wait_until(met, process):
    end = time.monotonic() + PATIENCE_S
    while not met():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def test_a_node_that_is_dead_at_the_start_is_left_out(fleet, project, state, registry, repository):
    fleet.forwarders[0].kill()
    fleet.forwarders[0].wait()
    config = project(run="true", platforms=("linux/arm64", "linux/s390x"))
    done = multibuild(
        "all", "-f", config, "--state-dir", state, "--builder", fleet.profile, "--json", env=fleet.env
    )
    assert done.code == 0, done.stderr
    assert f"node {fleet.names[0]} does not answer" in done.stderr
    assert {row["node"] for row in rows(done).values()} == {fleet.names[1]}
    fleet.forwarders[1].kill()
    fleet.forwarders[1].wait()
    nobody = multibuild("all", "-f", config, "--state-dir", state, "--builder", fleet.profile, env=fleet.env)
    assert nobody.code == 3
    assert all(name in nobody.stderr for name in fleet.names)


def test_setup_reports_drift_and_repairs_it(fleet, project, state):
    config = project(platforms=("linux/arm64", "linux/s390x"))
    ours = ("-f", config, "--state-dir", state, "--builder", fleet.profile)

    listed = multibuild("setup", *ours, "--dry-run", "--json", env=fleet.env)
    assert listed.json["would"] == [f"create the remote builder {name}" for name in fleet.names]
    result = multibuild("setup", *ours, "--json", env=fleet.env)
    assert result.code == 0, result.stderr
    assert result.json["changes"] == [f"created the builder {name}" for name in fleet.names]
    again = multibuild("setup", *ours, "--json", env=fleet.env)
    assert (again.code, again.json["changes"]) == (0, [])

    profile = json.loads(fleet.profile.read_text())
    profile["nodes"][1]["driver_opts"]["servername"] = "localhost"
    fleet.profile.write_text(json.dumps(profile))
    words = f"{fleet.names[1]}: servername is not set, wanted localhost"
    listed = multibuild("setup", *ours, "--dry-run", env=fleet.env)
    assert f"would mend the builder {words}" in listed.stdout
    mended = multibuild("setup", *ours, "--json", env=fleet.env)
    assert mended.code == 0, mended.stderr
    assert mended.json["changes"] == [f"mended the builder {words}"]
    assert multibuild("setup", *ours, "--json", env=fleet.env).json["changes"] == []

    # Without the record it counts as foreign: a difference is then an error, and nothing is changed.
    profile["nodes"][1]["driver_opts"]["servername"] = "elsewhere"
    fleet.profile.write_text(json.dumps(profile))
    refused = multibuild("setup", *ours, env={"XDG_STATE_HOME": str(state)})
    assert refused.code == 3
    assert f"'{fleet.names[1]}' is taken" in refused.stderr


def test_the_second_setup_of_this_machine_changes_and_probes_nothing(project, state):
    config = project(platforms=("linux/amd64", "linux/arm64"))
    first = multibuild("setup", "-f", config, "--state-dir", state, "--json")
    assert first.code == 0, first.stderr
    probes = json.loads((state / "facts.json").read_text())["probed"]
    second = multibuild("setup", "-f", config, "--state-dir", state, "--json")
    assert (second.code, second.json["changes"], second.json["platforms"]) == (0, [], first.json["platforms"])
    # A probe that is run again has another time.
    assert json.loads((state / "facts.json").read_text())["probed"] == probes
    more = project(platforms=("linux/amd64", "linux/arm64", "linux/s390x"))
    third = multibuild("setup", "-f", more, "--state-dir", state, "--json")
    assert {row["platform"] for row in third.json["platforms"] if row["runs"]} == {
        "linux/amd64",
        "linux/arm64",
        "linux/s390x",
    }
    assert json.loads((state / "facts.json").read_text())["probed"] != probes
