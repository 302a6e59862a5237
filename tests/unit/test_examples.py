"""The examples are what they say: files of the tools they are for, agreeing with each other."""

from pathlib import Path

import yaml

from multibuild.platforms import ARCHITECTURES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_deployment_selects_the_pods_it_makes_and_names_no_architecture_but_in_affinity():
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
