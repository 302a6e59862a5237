from multibuild.report.node_lines import node_lines


def row(name, *nodes):
    attempts = [{"node": node} for node in nodes]
    return {"platform": name, "status": "succeeded", "node": nodes[-1], "attempts": attempts}


def test_one_node_is_not_worth_a_word():
    assert node_lines({"platforms": [row("linux/amd64", "near"), row("linux/arm64", "near", "near")]}) == []


def test_who_built_what_and_what_moved():
    platforms = [row("linux/amd64", "near"), row("linux/arm64", "far", "near"), row("linux/s390x", "far")]
    assert node_lines({"platforms": platforms}) == [
        "node near: linux/amd64, linux/arm64",
        "node far: linux/s390x",
        "linux/arm64 moved: far → near",
    ]
