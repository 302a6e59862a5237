"""The examples agree with each other."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from builders.lab.toolchains import TOOLCHAINS
from multibuild.architectures import ARCHITECTURES
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.dockerfile.parse import read_dockerfile

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
REAL_PROJECTS = ("c-autotools", "c-cross", "go-cross", "python-c-extension")


@pytest.mark.parametrize("name", REAL_PROJECTS)
def test_a_real_project_is_tested_and_proven_and_starts_from_public_images(name):
    loaded = load_config(EXAMPLES / name / "multibuild.yaml", environ={}, overrides=Overrides(), now=NOW)
    assert loaded.config.test is not None
    assert loaded.config.verify.content == "all"
    images = read_dockerfile((EXAMPLES / name / "Dockerfile").read_text(), {}).images
    assert images
    assert not [image for image in images if "$" in image or "localhost" in image]


@pytest.mark.parametrize("name", REAL_PROJECTS)
def test_what_a_real_project_sets_on_the_lab_are_its_base_arguments(name):
    comment = (EXAMPLES / name / "multibuild.yaml").read_text()
    settings = dict(re.findall(r"--set args\.(\w+)=localhost:5000/toolchains/([a-z-]+)", comment))
    toolchains = {row.name for row in TOOLCHAINS}
    assert set(settings.values()) <= toolchains
    dockerfile = (EXAMPLES / name / "Dockerfile").read_text()
    assert set(settings) == set(re.findall(r"^ARG (\w+)=", dockerfile, re.MULTILINE))


def test_the_deployment_selects_its_own_pods_and_published_architectures():
    document = yaml.safe_load((EXAMPLES / "kubernetes/deployment.yaml").read_text())
    spec = document["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    (constraint,) = pod["topologySpreadConstraints"]
    assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    (architectures,) = [e["values"] for e in terms[0]["matchExpressions"] if e["key"] == "kubernetes.io/arch"]
    assert set(architectures) <= {row.name for row in ARCHITECTURES}
    built = yaml.safe_load((EXAMPLES / "hello/multibuild.yaml").read_text())
    assert set(architectures) <= {platform.split("/")[1] for platform in built["platforms"]}
    (container,) = pod["containers"]
    assert container["image"] == f"{built['image']}:latest"
