"""The plan, the docker commands and the settings of files that describe one image, byte for byte.

The files beside this test were written once. Whoever changes one says why: `--resume` and `--if-changed` of everybody's
last run compare what is in them.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.plan.build_command import build_arguments
from multibuild.plan.host_facts import MIB, HostFacts, Node
from multibuild.plan.plan import make_plan
from multibuild.plan.plan_document import plan_document
from multibuild.platforms import Platform
from multibuild.workflow.if_changed import setting_digests

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

CONFIGS = {
    "smallest": "",
    "everything": """
        tags: ["1.2", latest, "${date}"]
        destinations: [mirror.example.net/team/app]
        context: .
        dockerfile: Dockerfile
        target: runtime
        args: {VERSION: "1", EMPTY: ""}
        contexts: {base: "docker-image://registry.example.org/base:1"}
        labels: {org.opencontainers.image.vendor: Example}
        secrets: ["id=npmrc,src=.npmrc", "id=token,env=TOKEN"]
        ssh: [default]
        cache: {from: ["type=registry,ref=r.example/cache:{slug}"], to: ["type=registry,ref=r.example/cache:{slug},mode=max"]}
        attestations: {provenance: max, sbom: true}
        annotations: {org.opencontainers.image.title: app}
        build_flags: ["--add-host=a:10.0.0.1"]
        network: host
        pull: false
        no_cache: true
        jobs: 3
        retry: {attempts: 5, initial: 1s, max: 10s}
        timeout: 2h
        test: {run: [app, --version], timeout: 1m, skip: [linux/arm/v7]}
        verify: {content: all, ignore: ["usr/share/*"]}
        publish: {staging: tag, on_missing: carry, carry_from: stable}
        """,
    "platforms": """
        platforms:
          - linux/amd64
          - {name: linux/arm64, also_as: [linux/arm64/unknown], args: {CGO_ENABLED: "0"}, labels: {a: b}}
          - {name: linux/mips64le, required: false, timeout: 3h, dockerfile: Dockerfile.mips, target: small}
          - {name: linux/arm/v7, os_version: "1", os_features: [x], annotations: {k: v}}
        """,
    "local": "publish: {to: oci:out}\nreproducible: false\nmedia_type: oci\n",
    "docker-types": "media_type: docker\nattestations: {provenance: false}\nstall_timeout: auto\n",
}
FACTS = {
    "container": HostFacts(
        nodes=(Node(builder="multibuild", driver="docker-container", native=Platform.parse("linux/amd64"), runs=()),),
        cpus=2, memory=8192 * MIB,
    ),
    "engine": HostFacts(
        nodes=(Node(builder="default", driver="docker", native=Platform.parse("linux/amd64"), runs=()),),
        cpus=4, memory=4096 * MIB,
    ),
}  # fmt: skip


def text_of(config: str) -> str:
    """Return a whole config: what a case leaves out is the same in all."""
    text = "\n" + dedent(config)
    defaults = {
        "image": "registry.example.org/team/app",
        "platforms": "[linux/amd64, linux/arm64, linux/arm/v7]",
    }
    missing = [f"{key}: {value}\n" for key, value in defaults.items() if f"\n{key}:" not in text]
    return "version: 1\n" + "".join(missing) + text


def document_of(project: Path, config: str, facts: HostFacts) -> str:
    path = project / "multibuild.yaml"
    path.write_text(text_of(config), encoding="utf-8")
    loaded = load_config(path, environ={}, overrides=Overrides(), now=NOW)
    plan = make_plan(loaded, facts)
    settings = setting_digests(loaded, plan)
    settings.pop("multibuild itself")
    document = {
        "plan": plan_document(plan),
        "argv": {str(planned.platform): build_arguments(planned) for planned in plan.platforms},
        "canonical": loaded.canonical,
        "settings": settings,
    }
    return json.dumps(document, indent=1).replace(str(project), "PROJECT") + "\n"


@pytest.mark.parametrize("facts", FACTS)
@pytest.mark.parametrize("config", CONFIGS)
def test_a_file_of_one_image_has_the_plan_it_always_had(tmp_path, config, facts):
    golden = GOLDEN / f"{config}.{facts}.json"
    assert document_of(tmp_path, CONFIGS[config], FACTS[facts]) == golden.read_text(encoding="utf-8")
