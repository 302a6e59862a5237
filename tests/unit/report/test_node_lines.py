from multibuild.report.node_lines import node_lines


def row(name, *nodes):
    attempts = [{"node": node} for node in nodes]
    return {"platform": name, "status": "succeeded", "node": nodes[-1], "attempts": attempts}


def test_a_single_node_has_no_lines():
    assert node_lines({"platforms": [row("linux/amd64", "near"), row("linux/arm64", "near", "near")]}) == []


def test_platforms_of_each_node_and_moves():
    platforms = [row("linux/amd64", "near"), row("linux/arm64", "far", "near"), row("linux/s390x", "far")]
    assert node_lines({"platforms": platforms}) == [
        "node near: linux/amd64, linux/arm64",
        "node far: linux/s390x",
        "linux/arm64 moved: far → near",
    ]
