"""The config's `gates`: their kinds, what their words stand for, and where they are wrong."""

import json
from datetime import UTC, datetime

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.config.project import load_project
from multibuild.errors import ConfigError
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.plan.plan_document import plan_document
from multibuild.platforms import Platform

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BASE = "version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64, linux/arm64]\n"
VALUES = {"ref": "r/a@sha256:1", "platform": "linux/arm64", "image": "r/a", "slug": "linux-arm64"}


def loaded(folder, text, **environ):
    path = folder / "multibuild.yaml"
    path.write_text(text)
    return load_config(path, environ=environ, overrides=Overrides(), now=NOW)


def images(folder, text, *sets):
    path = folder / "multibuild.yaml"
    path.write_text(text)
    return load_project(path, environ={}, overrides=Overrides(sets=sets), now=NOW).images


def gate(folder, fields):
    (only,) = loaded(folder, f"{BASE}gates: [{{name: a, {fields}}}]\n").config.gates
    return only


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("'{ref}'", "r/a@sha256:1"),
        ("'--name={slug}-{platform}'", "--name=linux-arm64-linux/arm64"),
        ("'{\"x\":{image}}'", '{"x":r/a}'),
        ("'{{ .ref }}{{ref}}'", "{{ .ref }}{{ref}}"),
        ("'{{{ref}}}'", "{{{ref}}}"),
        ("'$${ref}'", "${ref}"),
        ("'{ref }{}{0}'", "{ref }{}{0}"),
    ],
)
def test_words_in_single_braces_are_placeholders(tmp_path, word, expected):
    assert gate(tmp_path, f"run: [x, {word}]").command(VALUES) == ("x", expected)


def test_what_a_placeholder_stands_for_is_no_placeholder(tmp_path):
    command = gate(tmp_path, "run: [x, '{image}']").command({**VALUES, "image": "{ref}"})
    assert command == ("x", "{ref}")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("250MB", 250_000_000),
        ("1.5 GiB", 3 * 2**29),
        ("10kB", 10_000),
        ("12B", 12),
        ("99", 99),
        ("'99'", 99),
        ("1TB", 10**12),
    ],
)
def test_sizes(tmp_path, text, size):
    assert gate(tmp_path, f"max: {text}").max == size


NO_SIZES = [
    "0",
    "-1",
    "1.5",
    "'1MB '",
    "x" * 9999,
    "1e9",
    "true",
    "[1]",
    "2EB",
    f"'{'9' * 19}'",
    f"'{'9' * 30}'",
]


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size(tmp_path, text):
    with pytest.raises(ConfigError, match=r"gates\.0\.max: must be"):
        gate(tmp_path, f"max: {text}")


@pytest.mark.parametrize(("text", "percent"), [("10%", 10.0), ("0%", 0.0), ("2.5 %", 2.5)])
def test_growth(tmp_path, text, percent):
    assert gate(tmp_path, f"growth: {text}").growth == percent


@pytest.mark.parametrize("text", ["10", "-1%", "1e3%", "999999%", "'%'", "true"])
def test_what_is_no_growth(tmp_path, text):
    with pytest.raises(ConfigError, match=r"gates\.0\.growth"):
        gate(tmp_path, f"growth: {text}")


def test_a_gate_is_for_all_platforms_or_for_those_it_names(tmp_path):
    arm64, amd64 = Platform.parse("linux/arm64"), Platform.parse("linux/amd64")
    assert gate(tmp_path, "run: [x]").applies_to(arm64)
    named = gate(tmp_path, "run: [x], platforms: [aarch64]")
    assert (named.applies_to(arm64), named.applies_to(amd64)) == (True, False)


def test_a_file_without_gates_has_the_canonical_form_and_the_plan_it_had(tmp_path):
    plain = loaded(tmp_path, BASE)
    assert loaded(tmp_path, f"{BASE}gates: []\n").canonical == plain.canonical
    assert "gates" not in json.loads(plain.canonical)
    assert "gates" not in plan_document(make_plan(plain, assumed_facts("auto")))


def test_other_gates_are_another_config(tmp_path):
    one = loaded(tmp_path, f"{BASE}gates: [{{name: a, max: 1MB}}]\n").canonical
    other = loaded(tmp_path, f"{BASE}gates: [{{name: a, max: 2MB}}]\n").canonical
    assert one != other


def test_the_plan_has_gates_and_no_secret(tmp_path):
    text = f"{BASE}gates: [{{name: a, run: [x, --token, '$T', '--password=$T', 'https://u:$T@h/x', '{{ref}}']}}]\n"
    plan = make_plan(loaded(tmp_path, text.replace("$T", "${T}"), T="hunter2"), assumed_facts("auto"))
    (document,) = plan_document(plan)["gates"]
    assert document["run"] == ["x", "--token", "***", "--password=***", "https://***@h/x", "{ref}"]
    assert document["timeout"] == 600
    assert plan.gates[0].command({"ref": "r"}) == (
        "x",
        "--token",
        "hunter2",
        "--password=hunter2",
        "https://u:hunter2@h/x",
        "r",
    )


SEVERAL = """\
version: 1
image: r.example.org/{name}
platforms: [linux/amd64, linux/arm64]
gates: [{name: all, max: 1MB, platforms: [linux/arm64]}]
images:
  app: {}
  small: {platforms: [linux/amd64]}
  own: {gates: [{name: mine, run: [x, "{ref}"]}]}
"""


def test_an_image_has_gates_of_its_own_instead_of_the_common_ones(tmp_path):
    names = {one.name: [gate.name for gate in one.config.gates] for one in images(tmp_path, SEVERAL)}
    assert names == {"app": ["all"], "small": ["all"], "own": ["mine"]}


def test_a_shared_gate_may_name_a_platform_that_not_every_image_has(tmp_path):
    assert len(images(tmp_path, SEVERAL)) == 3
    with pytest.raises(ConfigError) as error:
        images(tmp_path, SEVERAL, "images.app.platforms=[linux/amd64]", "images.own.gates=[]")
    assert error.value.message.endswith(":4:43: gates.0.platforms.0: linux/arm64 is not built")


def test_a_gate_can_be_changed_by_a_flag(tmp_path):
    path = tmp_path / "multibuild.yaml"
    path.write_text(f"{BASE}gates: [{{name: a, run: [x]}}]\n")
    overrides = Overrides(sets=("gates=[{name: b, max: 3MB}]",))
    config = load_config(path, environ={}, overrides=overrides, now=NOW).config
    assert [one.name for one in config.gates] == ["b"]


def test_children_that_are_pushed_have_a_reference_wherever_the_index_goes(tmp_path):
    text = f"{BASE}publish: {{to: 'oci:out', staging: tag}}\ngates: [{{name: a, run: [x, '{{ref}}']}}]\n"
    assert loaded(tmp_path, text).config.gates[0].uses_ref
