"""What a config asks for and a plan prints, looked for where it must have arrived: the registry, the cache, a shell."""

import json
import os
import subprocess
import urllib.request

import pytest
from e2e.conftest import REGISTRY, free_port, multibuild
from waiting import PATIENCE_S

SECRET = "s3cret-of-this-test"
DOCKERFILE = f"""FROM {REGISTRY}/base:latest
ARG WHO
RUN --mount=type=secret,id=token test "$(wc -c < /run/secrets/token)" = {len(SECRET)} && echo "$WHO" > /who
"""


def tags(repository):
    with urllib.request.urlopen(f"http://{REGISTRY}/v2/{repository}/tags/list", timeout=PATIENCE_S) as answer:
        return set(json.load(answer)["tags"] or ())


def test_what_plan_prints_runs_in_a_shell(project, state, registry, repository):
    path = project(
        dockerfile=DOCKERFILE,
        platforms=["linux/amd64", {"name": "linux/arm64", "args": {"WHO": "own"}}],
        args={"WHO": 'it\'s $$HOME; `x` "q"'},
        labels={"org.example.a": "b, c=d"},
        secrets=["id=token,env=TOKEN"],
        publish={"staging": f"{REGISTRY}/{repository}-{{arch}}:{{tag}}"},
        attestations={"provenance": False},
    )
    multibuild("doctor", "-f", path, "--state-dir", state)
    plan = multibuild("plan", "--commands", "-f", path, "--state-dir", state, env={"TOKEN": SECRET})
    assert SECRET not in plan.stdout + plan.stderr
    done = subprocess.run(
        ["sh", "-e"], input=plan.stdout, env={**os.environ, "TOKEN": SECRET}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for arch, who in (("amd64", 'it\'s $HOME; `x` "q"'), ("arm64", "own")):
        manifest = registry.get(f"{repository}-{arch}", "latest")
        config = json.loads(registry.blob(f"{repository}-{arch}", manifest["config"]["digest"]))
        assert config["architecture"] == arch
        assert config["config"]["Labels"]["org.example.a"] == "b, c=d"
        assert any(f"WHO={who}" in step.get("created_by", "") for step in config["history"])


def test_caches_per_platform_are_used_and_a_dead_one_fails_no_build(project, state, repository):
    live = f"type=registry,ref={REGISTRY}/{repository}/cache:{{slug}}"
    dead = f"type=registry,ref=localhost:{free_port()}/cache:{{slug}}"
    cache = {"from": [live, dead], "to": [f"{live},mode=max", dead]}
    path = project(cache=cache)
    for _ in range(2):
        done = multibuild("build", "-f", path, "--state-dir", state, "-q")
        assert (done.code, done.stdout, done.stderr) == (0, "", "")
        assert tags(f"{repository}/cache") == {"linux-amd64", "linux-arm64"}
    log = (state / "latest" / "logs" / "linux-arm64.1.log").read_text()
    assert f"importing cache manifest from {REGISTRY}/{repository}/cache:linux-arm64" in log


@pytest.mark.one_driver(driver="docker-container", reason="BuildKit writes them, whatever started it")
def test_annotations_are_where_their_types_say(project, state, registry, repository):
    """One of the index costs no image its digest; one of a manifest is noticed, also where bake builds from the cache."""

    def published(**annotations):
        path = project(
            annotations={"a": "index", "manifest[linux/arm64]:b": "ARM", **annotations},
            platforms=["linux/amd64", {"name": "linux/arm64", "annotations": {"c": "entry"}}],
        )
        done = multibuild("all", "-f", path, "--state-dir", state, "--if-changed", "--json")
        assert done.code == 0, done.stderr
        images = registry.images(repository, "latest")
        manifests = [registry.get(repository, entry["digest"]) for entry in images.values()]
        return (
            registry.get(repository, "latest")["annotations"],
            [entry.get("annotations") for entry in images.values()],
            [manifest.get("annotations") for manifest in manifests],
            [entry["digest"] for entry in images.values()],
        )

    index, entries, manifests, digests = published()
    assert (index, entries) == ({"a": "index"}, [None, {"c": "entry"}])
    assert manifests == [None, {"b": "ARM"}]
    index, entries, manifests, same = published(d="x", **{"manifest-descriptor:d": "y"})
    assert (index, entries) == ({"a": "index", "d": "x"}, [{"d": "y"}, {"c": "entry", "d": "y"}])
    assert same == digests
    _, _, manifests, _ = published(**{"manifest:b": "a=b, ${NOT_SET_X:-c}"})
    assert manifests == [{"b": "a=b, c"}, {"b": "ARM"}]
    _, _, manifests, again = published()
    assert (manifests, again) == ([None, {"b": "ARM"}], digests)
    assert '"why":"cached"' in (state / "latest" / "journal.jsonl").read_text(), "bake has not built it"


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_quiet_prints_only_failures(project, state):
    path = project(test={"run": ["true"]})
    common = ("-f", path, "--state-dir", state, "-q")
    for command in ("setup", "doctor", "build", "test", "merge", "verify"):
        done = multibuild(command, *common)
        assert (done.code, done.stdout, done.stderr) == (0, "", ""), command
    again = multibuild("merge", *common, "--json")  # proofs are taken over, with what they looked at
    assert all(row["content"]["checked"] > 0 for row in again.json["platforms"])
    done = multibuild("doctor", *common, "--builder", "no-such-builder")
    assert done.code == 3
    assert "no-such-builder" in done.stdout
