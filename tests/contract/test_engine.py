"""The exact arguments docker gets, directly and through python-on-whales."""

import csv
import io
import json
import os
import sys
import tarfile
from pathlib import Path

import pytest
from fakes.docker import INFO
from fakes.engine import ENGINE, FakeEngine

from multibuild.config.profiles import load_profile
from multibuild.engine.builder_container import BuilderContainer
from multibuild.engine.docker import DockerEngine, run_docker
from multibuild.engine.engine import NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.host.choose_builder import BuilderPolicy, choose
from multibuild.host.own_builders import OwnBuilders


def test_engine_facts_take_one_call(docker):
    docker.engine()
    info = DockerEngine().info()
    assert docker.calls() == [["docker", "info", "--format", "{{json .}}"]]
    assert str(info.native) == "linux/amd64"
    assert (info.cpus, info.memory, info.containerd_store) == (2, 8 * 1024**3, True)
    assert info.buildx_path == str(docker.folder / "docker-buildx")
    assert info.local


def test_builders_are_read_from_buildx_ls(docker):
    docker.engine()
    (builder,) = DockerEngine().builders()
    assert docker.calls() == [["docker", "buildx", "ls", "--format", "{{json .}}"]]
    assert (builder.name, builder.driver, builder.current) == ("default", "docker", True)
    assert builder.nodes[0].platforms == ("linux/amd64",)


def listed(name, driver):
    return json.dumps({"Name": name, "Driver": driver, "Nodes": []})


def test_a_container_builder_is_created_then_started(docker):
    docker.answer("buildx", "create", stdout="multibuild\n")
    docker.answer("buildx", "inspect", stdout="Name: multibuild\n")
    docker.answer("buildx", "ls", stdout=listed("multibuild", "docker-container"))
    engine = DockerEngine()
    engine.create_builder(
        NewBuilder(
            name="multibuild",
            driver="docker-container",
            endpoint="ssh://build@arm-host",
            image="moby/buildkit:v1",
            buildkitd="[worker.oci]\n",
            driver_opts={"network": "host"},
        )
    )
    created = docker.calls()[0]
    config = created[created.index("--config") + 1]
    assert created == [
        "docker", "buildx", "create", "--config", config, "--driver", "docker-container",
        "--driver-opt", "network=host,image=moby/buildkit:v1", "--name", "multibuild", "ssh://build@arm-host",
    ]  # fmt: skip
    engine.start_builder("multibuild")
    assert docker.calls()[-1] == ["docker", "buildx", "inspect", "multibuild", "--bootstrap"]


def test_a_kubernetes_builder_is_created_from_its_profile(docker):
    profile = load_profile("kubernetes", Path())
    assert profile is not None
    docker.answer("buildx", "create", stdout="x\n")
    docker.answer("buildx", "inspect", stdout="Name: x\n")
    docker.answer("buildx", "ls", stdout=listed("x", "kubernetes"))
    own = OwnBuilders(Path("/nonexistent"))
    policy = BuilderPolicy(own_builders=own, registries={}, try_pull=lambda _image: False)
    engine = DockerEngine()
    (new,) = choose("kubernetes", profile, FakeEngine(), ENGINE, policy).create
    engine.create_builder(new)
    assert docker.calls()[0] == [
        "docker", "buildx", "create", "--driver", "kubernetes", "--driver-opt",
        "image=moby/buildkit:v0.32.2,namespace=default,replicas=1", "--name", "multibuild-kubernetes",
    ]  # fmt: skip


def test_a_remote_builder_gets_its_tls_options(docker):
    docker.answer("buildx", "create", stdout="x\n")
    docker.answer("buildx", "inspect", stdout="Name: x\n")
    docker.answer("buildx", "ls", stdout=listed("x", "remote"))
    options = {"cacert": "/tls/ca.pem", "cert": "/tls/cert.pem", "key": "/tls/key.pem"}
    DockerEngine().create_builder(
        NewBuilder(name="x", driver="remote", endpoint="tcp://box:1234", driver_opts=options)
    )
    assert docker.calls()[0] == [
        "docker", "buildx", "create", "--driver", "remote", "--driver-opt",
        "cacert=/tls/ca.pem,cert=/tls/cert.pem,key=/tls/key.pem", "--name", "x", "tcp://box:1234",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    ["localhost,127.0.0.1", "a,network=host,image=evil.example/buildkit", 'say "x"', "a=b", "", "a b"],
)
def test_an_option_with_a_comma_is_one_option(docker, value):
    docker.answer("buildx", "create", stdout="x\n")
    docker.answer("buildx", "inspect", stdout="Name: x\n")
    docker.answer("buildx", "ls", stdout=listed("x", "docker-container"))
    options = {"network": "none", "env.no_proxy": value, "memory": "4g"}
    DockerEngine().create_builder(NewBuilder(name="x", driver="docker-container", driver_opts=options))
    created = docker.calls()[0]
    (record,) = csv.reader([created[created.index("--driver-opt") + 1]])
    assert record == ["network=none", f"env.no_proxy={value}", "memory=4g"]


def test_a_builder_is_removed_with_or_without_its_cache(docker):
    docker.answer("buildx", "ls", stdout=listed("x", "docker-container"))
    docker.answer("buildx", "rm")
    DockerEngine().remove_builder("x", keep="state")
    DockerEngine().remove_builder("x")
    removals = [call for call in docker.calls() if call[2] == "rm"]
    assert removals == [["docker", "buildx", "rm", "--keep-state", "x"], ["docker", "buildx", "rm", "x"]]


def archive(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"buildkit/{name}.toml")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue().decode()


def test_the_container_of_a_builder_is_read_with_what_buildx_put_into_it(docker):
    inspected = [{"Config": {"Image": "moby/buildkit:x"}, "HostConfig": {"NetworkMode": "host"}}]
    docker.answer("container", "inspect", stdout=json.dumps(inspected))
    docker.answer("container", "cp", stdout=archive(buildkitd="debug = true", of_the_image="x"))
    docker.answer("container", "diff", stdout="C /etc\nC /etc/buildkit\nA /etc/buildkit/buildkitd.toml\n")
    assert DockerEngine().builder_container("x0") == BuilderContainer(
        image="moby/buildkit:x", network="host", files={"buildkitd.toml": b"debug = true"}
    )
    name = "buildx_buildkit_x0"
    assert docker.calls() == [
        ["docker", "container", "inspect", name],
        ["docker", "container", "cp", f"{name}:/etc/buildkit", "-"],
        ["docker", "container", "diff", name],
    ]


def test_a_builder_without_container_has_none(docker):
    message = "Error response from daemon: No such container: buildx_buildkit_x0\n"
    docker.answer("container", "inspect", stdout="[]\n", stderr=message, code=1)
    assert DockerEngine().builder_container("x0") is None


def test_a_container_without_configuration_has_no_files(docker):
    inspected = [{"Config": {"Image": "moby/buildkit:x"}, "HostConfig": {"NetworkMode": "bridge"}}]
    docker.answer("container", "inspect", stdout=json.dumps(inspected))
    message = "Error response from daemon: Could not find the file /etc/buildkit in container x\n"
    docker.answer("container", "cp", stderr=message, code=1)
    container = DockerEngine().builder_container("x0")
    assert container is not None
    assert container.files == {}


@pytest.mark.parametrize("inspected", ["", "[]", "{}", '[{"Config": null}]'])
def test_an_odd_answer_about_a_container_is_an_error(docker, inspected):
    docker.answer("container", "inspect", stdout=inspected)
    docker.answer("container", "cp", stdout="")
    with pytest.raises(EnvironmentFault, match="buildx_buildkit_x0"):
        DockerEngine().builder_container("x0")


def test_running_builds_are_counted_in_the_history(docker):
    lines = [
        json.dumps({"status": status}, separators=(",", ":"))
        for status in ("Running", "Completed", "Running")
    ]
    docker.answer("buildx", "history", stdout="\n".join(lines))
    assert DockerEngine().running_builds("x") == 2
    assert docker.calls() == [["docker", "buildx", "history", "ls", "--builder", "x", "--format", "json"]]


def test_a_missing_builder_is_not_removed(docker):
    docker.engine()
    DockerEngine().remove_builder("multibuild")
    assert [call[1:3] for call in docker.calls()] == [["buildx", "ls"]]


def test_the_binfmt_image_is_the_only_privileged_container(docker):
    docker.answer("container", "run", stdout='{"supported":[],"emulators":["qemu-aarch64"]}')
    answer = DockerEngine().run_privileged("tonistiigi/binfmt:pinned", ("--install", "arm64"))
    assert docker.calls() == [
        ["docker", "container", "run", "--privileged", "--pull", "never", "--rm", "tonistiigi/binfmt:pinned",
         "--install", "arm64"]
    ]  # fmt: skip
    assert json.loads(answer)["emulators"] == ["qemu-aarch64"]


def test_an_image_is_pulled_quietly(docker):
    docker.answer("image", "pull")
    docker.answer("image", "inspect", stdout='[{"Id": "sha256:1"}]')
    DockerEngine().pull("moby/buildkit:v1")
    assert docker.calls()[0] == ["docker", "image", "pull", "--quiet", "moby/buildkit:v1"]


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
            "unix:///x.sock",
        ),
        ("permission denied while trying to connect to the Docker daemon socket", "permission denied"),
    ],
)
def test_an_unreachable_engine_is_an_error_with_a_hint(docker, stderr, words):
    document = {"ServerVersion": "", "ClientInfo": INFO["ClientInfo"]}
    docker.answer("info", stdout=json.dumps(document), stderr=stderr, code=1)
    with pytest.raises(EnvironmentFault) as error:
        DockerEngine().info()
    assert words in error.value.message
    assert error.value.hint


def test_a_registry_that_refuses_the_engine_is_not_an_unreachable_engine(docker):
    message = (
        'Error response from daemon: Head "https://r/v2/": dial tcp 10.0.0.1:443: connect: connection refused'
    )
    docker.answer("image", "pull", stderr=message, code=1)
    with pytest.raises(EnvironmentFault, match="pulling r/x: Error response from daemon") as error:
        DockerEngine().pull("r/x")
    assert "start the engine" not in str(error.value.hint)


def test_a_missing_buildx_plugin_is_named(docker):
    docker.answer("info", stdout=json.dumps({**INFO, "ClientInfo": {"Plugins": []}}))
    with pytest.raises(EnvironmentFault) as error:
        DockerEngine().info()
    assert "buildx" in error.value.message
    docker.answer("buildx", stderr="docker: unknown command: docker buildx", code=1)
    with pytest.raises(EnvironmentFault, match="no buildx plugin"):
        DockerEngine().builders()


def test_a_missing_docker_command_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="no docker command on PATH"):
        DockerEngine().info()


def test_an_answer_that_is_no_json_is_an_error(docker):
    docker.answer("info", stdout="not json")
    with pytest.raises(EnvironmentFault, match="could not be read"):
        DockerEngine().info()


@pytest.mark.parametrize(
    ("host", "local"), [("", True), ("unix:///run/docker.sock", True), ("ssh://build@arm", False)]
)
def test_an_engine_is_local_without_docker_host_or_with_a_unix_socket(docker, monkeypatch, host, local):
    """An empty DOCKER_HOST counts as unset, to docker too: CI systems set empty variables."""
    docker.engine()
    monkeypatch.setenv("DOCKER_HOST", host)
    assert DockerEngine().info().local is local


FORMS = {
    "a list": "[]",
    "a text": '"x"',
    "nothing": "",
    "no JSON": "s3cret",
    "deep lists": "[" * 100_000,
    "an engine of another kind": {
        "ServerVersion": "5",
        "ClientInfo": {"Plugins": [{"Name": "buildx", "Path": "/x"}]},
    },
    "a number for a name": {**INFO, "Architecture": ["x"]},
    "plugins of texts": {**INFO, "ClientInfo": {"Plugins": ["buildx"]}},
    "a client of a text": {**INFO, "ClientInfo": "x"},
    "drivers of numbers": {**INFO, "DriverStatus": [1, 2]},
    "registries of a list": {**INFO, "RegistryConfig": []} | {"RegistryConfig": ["x"]},
}


@pytest.mark.parametrize("case", FORMS)
def test_an_answer_in_another_form_is_an_environment_fault(docker, case):
    form = FORMS[case]
    docker.answer("info", stdout=form if isinstance(form, str) else json.dumps(form))
    with pytest.raises(EnvironmentFault) as caught:
        DockerEngine().info()
    assert caught.value.hint


@pytest.mark.parametrize(
    "line",
    ["[]", "{}", '{"Name": "x", "Nodes": 5}', '{"Name": "x", "Nodes": ["y"]}', '{"Name": "x", "Err": 5}'],
)
def test_a_list_of_builders_in_another_form_is_an_environment_fault(docker, line):
    docker.answer("buildx", "ls", stdout=line)
    with pytest.raises(EnvironmentFault, match="could not be read"):
        DockerEngine().builders()


def test_a_docker_that_does_not_answer_is_ended(docker):
    docker.answer("info", seconds=300)
    with pytest.raises(EnvironmentFault, match="does not answer"):
        run_docker("docker", "info", timeout_s=1.0)


def test_a_short_answer_may_need_a_directory_and_variables(tmp_path):
    environ = {"PATH": os.environ["PATH"], "VERSION": "1 $(x)"}
    command = (sys.executable, "-c", "import os; print(os.getcwd(), os.environ['VERSION'])")
    assert run_docker(*command, cwd=tmp_path, environ=environ).stdout == f"{tmp_path} 1 $(x)\n"


RESTARTING = "Error response from daemon: Container 3b7 is restarting, wait until the container is running"


@pytest.mark.parametrize(
    ("printed", "refusal"),
    [(f"Name: team\nNodes:\nError: {RESTARTING}\n", ""), ("Name: team\n", f"ERROR: {RESTARTING}")],
)
def test_a_builder_that_runs_and_does_not_answer_has_not_started(docker, printed, refusal):
    """buildx prints the error of a node and ends well; the reason is in the container's log."""
    docker.answer("buildx", "inspect", stdout=printed, stderr=refusal, code=1 if refusal else 0)
    docker.answer(
        "logs", stderr='buildkitd: old\nmain.main\nbuildkitd: unknown snapshotter name: "nosuch"\nmain.main\n'
    )
    with pytest.raises(EnvironmentFault) as caught:
        DockerEngine().start_builder("team")
    assert caught.value.message == (
        f'starting the builder team: {RESTARTING} (buildkitd: unknown snapshotter name: "nosuch")'
    )
    assert docker.calls()[-1] == ["docker", "logs", "--tail", "50", "buildx_buildkit_team0"]
