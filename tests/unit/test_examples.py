"""The examples agree with each other."""

from pathlib import Path

import yaml

from multibuild.architectures import ARCHITECTURES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


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
