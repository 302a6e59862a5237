"""Nodes of `kubectl get nodes -o json` for each runtime, and what they pull."""

import json

import pytest

from multibuild.cli.commands.resolve import nodes_table
from multibuild.errors import UsageError
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import Entry
from multibuild.resolve.kubernetes import read_cluster_nodes, resolve_nodes


def node(name, architecture, runtime="containerd://1.7.27", system="linux"):
    """Return a node as the API server does, shortened to the fields about the machine and their neighbours."""
    info = {
        "architecture": architecture,
        "containerRuntimeVersion": runtime,
        "kernelVersion": "6.6.0",
        "operatingSystem": system,
        "osImage": "Debian GNU/Linux 12 (bookworm)",
    }
    labels = {"kubernetes.io/arch": architecture, "kubernetes.io/hostname": name, "kubernetes.io/os": system}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": "10.244.0.0/24", "taints": None},
        "status": {"capacity": {"cpu": "4"}, "nodeInfo": info},
    }


def nodes_of(*nodes):
    return read_cluster_nodes(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}).encode(), "nodes.json"
    )


def entries(*platforms):
    return [
        Entry(platform=Platform.literal(name) if name else None, digest=f"sha256:{position:064x}")
        for position, name in enumerate(platforms)
    ]


def pull_of(machine, *platforms, own=None):
    (pull,) = resolve_nodes(entries(*platforms), nodes_of(machine), own)
    return pull


@pytest.mark.parametrize(
    ("runtime", "client"),
    [
        ("containerd://1.7.27", "containerd"),
        ("containerd://2.1.4-k3s1", "containerd"),
        ("cri-o://1.31.3", "podman"),
        ("cri-o://1.27.0", "podman"),
        ("cri-o://1.26.4", "podman@4.4"),
        ("cri-o://unknown", "podman"),
        ("docker://28.5.2", "docker"),
        ("docker://23.0.0", "docker"),
        ("docker://20.10.24", "docker-legacy"),
        ("docker://19.3.15", "docker-legacy"),
        ("docker://1.13.1", "docker-legacy"),
    ],
)
def test_the_runtime_determines_the_client(runtime, client):
    (result,) = nodes_of(node("n", "amd64", runtime))
    assert (result.client, result.assumed) == (client, "")


@pytest.mark.parametrize("runtime", ["", "frakti://1.0", "containerd"])
def test_containerd_is_assumed_for_an_unknown_runtime(runtime):
    (result,) = nodes_of(node("n", "amd64", runtime.replace("containerd", "contained")))
    assert result.client == "containerd"
    assert "containerd's rules assumed" in result.assumed


def test_v7_is_assumed_for_32_bit_arm():
    (result,) = nodes_of(node("pi", "arm"))
    assert str(result.host) == "linux/arm/v7"
    assert "Kubernetes does not say which ARM" in result.assumed


def test_labels_suffice_but_the_kubelets_report_takes_precedence():
    labelled = {"metadata": {"name": "n", "labels": {"kubernetes.io/arch": "arm64"}}}
    assert str(nodes_of(labelled)[0].host) == "linux/arm64"
    mislabelled = node("n", "amd64")
    mislabelled["metadata"]["labels"]["kubernetes.io/arch"] = "arm64"
    assert str(nodes_of(mislabelled)[0].host) == "linux/amd64"


def test_a_single_node_is_read():
    assert [node.name for node in read_cluster_nodes(json.dumps(node("only", "arm64")).encode(), "-")] == [
        "only"
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{}", '{"items": [3]}', '{"items": [{}]}', '{"items": null}', "NAME  STATUS\n"]
)
def test_a_file_without_nodes_is_an_error(text):
    with pytest.raises(UsageError, match=r"nodes\.json is not a list of nodes") as caught:
        read_cluster_nodes(text.encode(), "nodes.json")
    assert "kubectl get nodes -o json" in str(caught.value.hint)


def test_an_empty_cluster_is_an_error():
    with pytest.raises(UsageError, match="lists no node"):
        nodes_of()


@pytest.mark.parametrize(
    ("machine", "platforms", "pick", "runs"),
    [
        (node("n", "amd64"), ("linux/amd64", "linux/arm64"), "linux/amd64", True),
        (node("n", "arm64"), ("linux/amd64", "linux/arm64/v8"), "linux/arm64/v8", True),
        (node("n", "arm64", "cri-o://1.31.3"), ("linux/amd64", "linux/arm64/v8"), "linux/arm64/v8", True),
        (node("n", "s390x"), ("linux/amd64", "linux/arm64"), None, False),
        # Docker before 23 needs the exact platform; containerd accepts 386 on amd64.
        (node("n", "amd64"), ("linux/386",), "linux/386", True),
        (node("n", "amd64", "docker://20.10.24"), ("linux/386",), None, False),
        # 32-bit ARM is accepted on arm64, and runs on some CPUs only.
        (node("n", "arm64"), ("linux/arm/v7",), "linux/arm/v7", None),
        (node("n", "arm64", "cri-o://1.31.3"), ("linux/arm/v7",), None, False),
        (node("n", "arm"), ("linux/arm/v6", "linux/arm/v7"), "linux/arm/v7", True),
        (node("n", "arm"), ("linux/arm/v5",), "linux/arm/v5", True),
        # Docker before 23 accepts any ARM where its own is missing.
        (node("n", "arm", "docker://20.10.24"), ("linux/arm/v8",), "linux/arm/v8", False),
        (node("n", "amd64", system="windows"), ("linux/amd64", "windows/amd64"), "windows/amd64", True),
        (node("n", "amd64", system="windows"), ("linux/amd64",), None, False),
    ],
)
def test_what_a_node_pulls_and_whether_it_runs(machine, platforms, pick, runs):
    pull = pull_of(machine, *platforms)
    assert (str(pull.choice.platform) if pull.choice else None) == pick
    assert pull.runs is runs
    assert bool(pull.why) == (runs is not True)


def test_an_image_without_index_is_pulled_by_all_and_runs_on_its_platform():
    assert pull_of(node("n", "arm64"), "", own=Platform.parse("arm64")).runs is True
    wrong = pull_of(node("n", "arm64"), "", own=Platform.parse("amd64"))
    assert (wrong.runs, wrong.why) == (False, "pulls linux/amd64, which does not run on linux/arm64")
    assert pull_of(node("n", "arm64"), "").runs is None


def test_the_table_fits_80_columns_and_lists_nodes_that_cannot_run_the_image():
    nodes = nodes_of(
        node("ip-10-0-13-201.eu-central-1.compute.internal", "amd64", "containerd://1.7.27-0ubuntu1~24.04.1"),
        node("ip-10-0-27-114.eu-central-1.compute.internal", "arm64", "cri-o://1.31.3"),
        node("pi", "arm"),
        node("mainframe", "s390x"),
    )
    lines = list(nodes_table(resolve_nodes(entries("linux/amd64", "linux/arm64", "linux/arm/v7"), nodes)))
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["NODE", "RUNTIME", "HOST", "PULLS", "RUNS"]
    assert lines[1].startswith("ip-10-0-13-201.e…ompute.internal")
    assert lines[1].split()[1:] == ["containerd", "1.7.27", "amd64", "amd64", "yes"]
    assert lines[3].split() == ["pi", "containerd", "1.7.27", "arm/v7*", "arm/v7", "yes"]
    assert "* arm/v7: Kubernetes does not say which ARM it is" in lines
    assert "1 of 4 nodes cannot run it:" in lines
    assert "  mainframe: no entry for linux/s390x" in lines
    assert lines[-1] == "keep pods off them: node affinity kubernetes.io/arch In [amd64, arm, arm64]"


def test_the_table_has_no_notes_when_all_nodes_can_run_the_image():
    lines = list(nodes_table(resolve_nodes(entries("linux/amd64"), nodes_of(node("a", "amd64")))))
    assert len(lines) == 2
