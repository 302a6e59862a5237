"""Several images from one file: built platform by platform, published together, or not at all."""

import hashlib
import json
import os
import signal
import time

import pytest
from e2e.conftest import REGISTRY, ROOT, finish, multibuild, start
from waiting import PATIENCE_S

PLATFORMS = ["linux/amd64", "linux/arm64"]
BASE = f"FROM {REGISTRY}/base:latest\n"
TARGETS = f"""FROM {REGISTRY}/base:latest AS base
ARG TARGETARCH
RUN echo $TARGETARCH > /arch
FROM base AS app
RUN echo app > /app
FROM base AS worker
RUN echo worker > /worker
"""
DEBUG = "FROM app\nRUN test -f /app && cp /arch /debug\n"


@pytest.fixture
def images(tmp_path, repository, builder):
    """Write a project of several images: `images({name: keys}, files={name: text}, **shared)` returns its config."""

    def write(described, files=None, **shared):
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        for name, text in {"Dockerfile": TARGETS, ".dockerignore": "*\n", **(files or {})}.items():
            (folder / name).write_text(text)
        config = {
            "version": 1,
            "image": f"{REGISTRY}/{repository}/{{name}}",
            "platforms": PLATFORMS,
            "builder": builder,
            "images": described,
            **shared,
        }
        path = folder / "multibuild.yaml"
        path.write_text(json.dumps(config))
        return path

    return write


def statuses(report):
    return {
        (image["name"], row["platform"]): row["status"]
        for image in report["images"]
        for row in image["platforms"]
    }


def test_an_image_built_from_another_is_built_platform_by_platform(images, repository, registry, state):
    config = images(
        {
            "debug": {
                "dockerfile": "Dockerfile.debug",
                "contexts": {"app": "image:app"},
                "test": {"run": ["grep", "-q", "a", "/debug"]},
            },
            "app": {"target": "app"},
            "worker": {"target": "worker", "platforms": ["linux/amd64"], "tags": ["1", "2"]},
        },
        files={"Dockerfile.debug": DEBUG},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert set(statuses(done.json).values()) == {"succeeded"}
    for image, tags, platforms in (
        ("app", ["latest"], 2),
        ("debug", ["latest"], 2),
        ("worker", ["1", "2"], 1),
    ):
        for tag in tags:
            assert len(registry.images(f"{repository}/{image}", tag)) == platforms
    report = {image["name"]: image for image in done.json["images"]}
    assert [report[name]["status"] for name in ("app", "debug", "worker")] == ["succeeded"] * 3
    assert {row["test"]["status"] for row in report["debug"]["platforms"]} == {"passed"}
    page = (state / "latest" / "report.html").read_text()
    assert "debug linux/arm64" in page
    assert (state / "latest" / "images" / "app" / "logs" / "linux-arm64.1.log").exists()


@pytest.mark.one_driver(driver="docker-container", reason="it gets a layout of another image from the client")
def test_each_image_goes_where_its_own_config_says(images, repository, registry, state, tmp_path):
    """A base that stays on this machine, what is built from it in the registry, and a layout of that one."""
    debug = {"dockerfile": "Dockerfile.debug", "platforms": ["linux/amd64"]}
    config = images(
        {
            "app": {"target": "app", "platforms": ["linux/amd64"], "publish": {"to": "oci:app"}},
            "debug": {**debug, "contexts": {"app": "image:app"}},
            "copy": {**debug, "contexts": {"app": "image:debug"}, "publish": {"to": "oci:copy"}},
        },
        files={"Dockerfile.debug": DEBUG},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 0, done.stderr
    assert [image["published"][0]["ref"] for image in done.json["images"]] == [
        f"oci:{config.parent}/app/app:latest",
        f"{REGISTRY}/{repository}/debug:latest",
        f"oci:{config.parent}/copy/copy:latest",
    ]
    assert registry.exists(f"{repository}/debug", "latest")
    assert not registry.exists(f"{repository}/app", "latest")
    assert not registry.exists(f"{repository}/copy", "latest")


def test_one_unit_that_fails_moves_no_tag_and_the_rest_is_not_built_again(
    images, repository, registry, state
):
    described = {
        "app": {"target": "app"},
        "broken": {"dockerfile": "Dockerfile.broken"},
        "above": {"dockerfile": "Dockerfile.above", "contexts": {"lower": "image:broken"}},
    }
    failing = f'{BASE}ARG TARGETARCH\nRUN test "$TARGETARCH" != arm64\n'
    config = images(
        described, files={"Dockerfile.broken": failing, "Dockerfile.above": "FROM lower\nRUN true\n"}
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4
    assert "broken: linux/arm64 (step-failed)" in done.stderr
    assert statuses(done.json) == {
        ("app", "linux/amd64"): "succeeded",
        ("app", "linux/arm64"): "succeeded",
        ("broken", "linux/amd64"): "succeeded",
        ("broken", "linux/arm64"): "failed",
        ("above", "linux/amd64"): "succeeded",
        ("above", "linux/arm64"): "skipped",
    }
    assert {image["name"]: image["status"] for image in done.json["images"]} == {
        "app": "built",
        "broken": "failed",
        "above": "failed",
    }
    assert not any(registry.exists(f"{repository}/{name}", "latest") for name in described)
    images(
        described,
        files={
            "Dockerfile.broken": failing.replace("!= arm64", "!= x"),
            "Dockerfile.above": "FROM lower\nRUN true\n",
        },
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json", "--resume")
    assert done.code == 0, done.stderr
    assert {unit for unit, status in statuses(done.json).items() if status == "reused"} == {
        ("app", "linux/amd64"),
        ("app", "linux/arm64"),
    }
    assert all(len(registry.images(f"{repository}/{name}", "latest")) == 2 for name in described)


@pytest.mark.one_driver(driver="docker", reason="what goes into a unit does not depend on the driver")
def test_a_target_that_was_mended_is_built_alone(images, state):
    """Three targets of one Dockerfile, and one context, which has the config and the Dockerfile in it."""
    described = {name: {"target": name} for name in ("app", "worker", "tools")}
    text = TARGETS.replace("echo worker > /worker", "exit 3") + "FROM base AS tools\nCOPY tools.txt /\n"
    files = {".dockerignore": "", "tools.txt": "tools", "worker.txt": "worker"}
    config = images(described, {**files, "Dockerfile": text}, platforms=PLATFORMS[:1])
    done = multibuild("build", "-f", config, "--state-dir", state, "--json")
    assert done.code == 4, done.stderr
    assert list(statuses(done.json).values()) == ["succeeded", "failed", "succeeded"]

    mended = text.replace("RUN exit 3", "# mended\nCOPY worker.txt /worker")
    images(described, {**files, "Dockerfile": mended, "worker.txt": "new"}, platforms=PLATFORMS[:1])
    config.write_text(f"{config.read_text()}  # mended")
    done = multibuild("build", "-f", config, "--state-dir", state, "--json", "--resume")
    assert done.code == 0, done.stderr
    assert list(statuses(done.json).values()) == ["reused", "succeeded", "reused"]


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the registry, after the builds")
def test_images_by_themselves_are_published_although_another_fails(images, repository, registry, state):
    config = images(
        {"app": {"target": "app"}, "broken": {"dockerfile": "Dockerfile.broken"}},
        files={"Dockerfile.broken": f"{BASE}RUN exit 3\n"},
        publish={"together": "image"},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json")
    assert (done.code, done.json["status"]) == (4, "partial")
    assert [image["status"] for image in done.json["images"]] == ["succeeded", "failed"]
    assert registry.exists(f"{repository}/app", "latest")
    assert not registry.exists(f"{repository}/broken", "latest")
    done = multibuild("merge", "--tag", "2", "-f", config, "--state-dir", state, "--json")
    assert (done.code, done.json["status"]) == (7, "partial"), done.stderr
    assert "broken: run " in done.stderr
    assert registry.exists(f"{repository}/app", "2")
    assert not registry.exists(f"{repository}/broken", "2")


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_chosen_images_bring_those_they_are_built_from(images, repository, registry, state):
    config = images(
        {
            "app": {"target": "app"},
            "worker": {"target": "worker"},
            "debug": {"dockerfile": "Dockerfile.debug", "contexts": {"app": "image:app"}},
        },
        files={"Dockerfile.debug": DEBUG},
    )
    done = multibuild(
        "all", "debug", "-f", config, "--state-dir", state, "--json", "--platform", "linux/amd64"
    )
    assert done.code == 0, done.stderr
    assert set(statuses(done.json)) == {("app", "linux/amd64"), ("debug", "linux/amd64")}
    assert not registry.exists(f"{repository}/worker", "latest")


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in the registry, after the builds")
def test_a_run_killed_between_tags_rolls_forward(images, repository, registry, state):
    names = [f"i{number}" for number in range(6)]
    described = {name: {"target": "app", "labels": {"of": name}, "tags": ["1", "latest"]} for name in names}
    config = images(described)
    running = start("all", "-f", config, "--state-dir", state, "--json")
    journal, deadline = state / "latest" / "journal.jsonl", time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and running.poll() is None:
        if journal.exists() and '"tag.ended"' in journal.read_text():
            break
        time.sleep(0.001)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    done = multibuild("all", "-f", config, "--state-dir", state, "--json", "--resume")
    assert done.code == 0, done.stderr
    assert set(statuses(done.json).values()) == {"reused"}
    assert all(registry.exists(f"{repository}/{name}", tag) for name in names for tag in ("1", "latest"))


BAKE = """
variable "VERSION" {
  default = "dev"
}
group "default" {
  targets = ["web", "api"]
}
target "web" {
  dockerfile = "Dockerfile"
  target     = "app"
  tags       = ["%(repository)s/web:${VERSION}"]
  labels     = { "of" = "a $${literal}" }
}
target "api" {
  dockerfile = "Dockerfile.debug"
  contexts   = { app = "target:web" }
  tags       = ["%(repository)s/api:${VERSION}", "%(repository)s/api:latest"]
}
"""


@pytest.mark.one_driver(driver="docker", reason="what is tested happens in our own process")
def test_targets_of_a_bake_file_are_images(images, repository, registry, state):
    bake = BAKE % {"repository": f"{REGISTRY}/{repository}"}
    config = images(
        {"*": {"verify": {"content": "off"}}},
        files={"docker-bake.hcl": bake, "Dockerfile.debug": DEBUG},
        bake={"files": ["docker-bake.hcl"], "vars": {"VERSION": "${V}"}},
    )
    done = multibuild("all", "-f", config, "--state-dir", state, "--json", env={"V": "7"})
    assert done.code == 0, done.stderr
    assert len(statuses(done.json)) == 4
    assert registry.exists(f"{repository}/web", "7")
    child = registry.images(f"{repository}/api", "latest")["linux/arm64"]
    assert registry.images(f"{repository}/api", "7")["linux/arm64"] == child
    web = registry.images(f"{repository}/web", "7")["linux/amd64"]
    manifest = registry.get(f"{repository}/web", web["digest"])
    labels = json.loads(registry.blob(f"{repository}/web", manifest["config"]["digest"]))["config"]["Labels"]
    assert labels["of"] == "a ${literal}"


def test_the_images_of_a_cluster_are_released_together(registry, state, builder, repository):
    """The example: kube-proxy, pause, and an agent on top of the first, each for every node."""
    config = ROOT / "examples" / "cluster" / "multibuild.yaml"
    place = f"image={REGISTRY}/{repository}/{{name}}"
    done = multibuild(
        "all", "-f", config, "--state-dir", state, "--json", "--builder", builder, "--set", place
    )
    assert done.code == 0, done.stderr
    for name, tag in (("kube-proxy", "v1.15.9"), ("pause", "latest"), ("node-agent", "v1.15.9")):
        assert set(registry.images(f"{repository}/{name}", tag)) == {
            "linux/amd64",
            "linux/arm64",
            "linux/arm64/unknown",
            "linux/mips64le",
        }
    rows = {
        row["platform"]: row
        for image in done.json["images"]
        if image["name"] == "node-agent"
        for row in image["platforms"]
    }
    assert {row["test"]["status"] for row in rows.values()} == {"passed"}


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in our own process")
def test_init_takes_the_targets_of_a_bake_file(images, repository, registry, state, builder):
    config = images(
        {},
        files={
            "docker-bake.hcl": BAKE % {"repository": f"{REGISTRY}/{repository}"},
            "Dockerfile.debug": DEBUG,
        },
    )
    config.unlink()
    done = multibuild("init", "-f", config)
    assert done.code == 0, done.stderr
    assert "for the targets of docker-bake.hcl" in done.stdout
    assert "bake: {files: [docker-bake.hcl]}" in config.read_text()
    only = ("--platform", "linux/amd64", "--builder", builder, "--set", "verify.content=off")
    done = multibuild("all", "-f", config, "--state-dir", state, *only)
    assert done.code == 0, done.stderr
    assert all(registry.exists(f"{repository}/{name}", "dev") for name in ("web", "api"))


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in our own process")
def test_other_commands_know_the_images(images, repository, registry, state):
    """Build alone, test, merge, verify, unchanged, clean: of two images, one of which has a test."""
    config = images(
        {
            "app": {"target": "app", "test": {"run": ["grep", "-q", "app", "/app"]}},
            "debug": {"dockerfile": "Dockerfile.debug", "contexts": {"app": "image:app"}},
        },
        files={"Dockerfile.debug": DEBUG},
    )

    def run(*arguments):
        done = multibuild(*arguments, "-f", config, "--state-dir", state)
        assert done.code == 0, done.stderr
        return done

    run("build")
    assert not registry.exists(f"{repository}/app", "latest")
    rows = run("test", "app", "--json").json["platforms"]
    assert {(row["image"], row["platform"], row["status"]) for row in rows} == {
        ("app", "linux/amd64", "passed"),
        ("app", "linux/arm64", "passed"),
    }
    dry = run("merge", "--dry-run")
    digests = dict(line.split()[:2] for line in dry.stderr.splitlines() if " sha256:" in line)
    assert not registry.exists(f"{repository}/app", "latest")
    app = run("merge", "app", "--dry-run").stdout
    content = app.removesuffix("\n").encode()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digests["app:"]
    assert dry.stdout.startswith(app)
    merged = run("merge", "app", "--json").json
    assert {f"{image['name']}:": image["index"]["digest"] for image in merged["images"]} == {
        "app:": digests["app:"]
    }
    assert not registry.exists(f"{repository}/debug", "latest")
    run("merge")
    assert all(len(registry.images(f"{repository}/{name}", "latest")) == 2 for name in ("app", "debug"))
    verified = run("verify", "--json").json
    assert (verified["ok"], len(verified["images"])) == (True, 2)
    assert run("verify", "debug", "--json").json["reference"] == f"{REGISTRY}/{repository}/debug:latest"
    assert [image["name"] for image in run("report", "debug", "--json").json["images"]] == ["debug"]
    run("all")
    unchanged = run("all", "--if-changed", "--json")
    assert "app: unchanged since run" in unchanged.stderr
    assert "debug: unchanged since run" in unchanged.stderr
    assert unchanged.json["schema"] == 2
    (config.parent / "Dockerfile.debug").write_text(DEBUG + "RUN true\n")
    assert "debug: changed since run" in run("all", "--if-changed").stderr
    assert "2 images" in run("plan").stdout
    removed = run("clean", "--json").json["removed"]
    assert any("images/" in line or "runs/" in line for line in removed)
    assert all(len(registry.images(f"{repository}/{name}", "latest")) == 2 for name in ("app", "debug"))


@pytest.mark.one_driver(driver="docker-container", reason="what is tested happens in our own process")
def test_an_interrupted_run_says_where_each_image_was(images, state):
    config = images(
        {"app": {"target": "app"}, "slow": {"dockerfile": "Dockerfile.slow"}},
        files={"Dockerfile.slow": f"{BASE}RUN echo {time.time_ns()}; sleep 60\n"},
    )
    running = start("all", "-f", config, "--state-dir", state, "--json")
    journal, deadline = state / "latest" / "journal.jsonl", time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        text = journal.read_text() if journal.exists() else ""
        if '"image":"slow","name":"attempt.started"' in text and text.count('"platform.ended"') == 2:
            break
        time.sleep(0.05)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    done = finish(running)
    assert done.code == 130
    assert {image["name"]: image["status"] for image in done.json["images"]} == {
        "app": "built",
        "slow": "interrupted",
    }
