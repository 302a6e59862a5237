"""`--if-changed`: every kind of change is detected, and only a complete result counts as unchanged."""

import json
from datetime import UTC, datetime
from functools import partial

import pytest
from fakes.images import put_attested, put_image
from fakes.journals import write_events
from fakes.layouts import LayoutFiles
from fakes.registry_server import FakeRegistry

from multibuild.builds.fingerprint import fingerprint_platforms, resolve_bases
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.journal.events import (
    ChildRead,
    Event,
    InputsChanged,
    PlatformEnded,
    PlatformInputs,
    RunEnded,
    RunPlanned,
    RunStarted,
    TagEnded,
)
from multibuild.journal.local_children import export_folder, finalize
from multibuild.journal.runs import State
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.resolve.base_triggers import BaseTriggers
from multibuild.workflow.if_changed import check_for_changes, setting_digests

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


class Project:
    """A project whose last run succeeded, on a registry of its own."""

    def __init__(self, folder, registry):
        self.folder = folder / "project"
        self.folder.mkdir()
        self.registry = registry
        self.staged = {}
        self.state = State(folder / "state")
        self.config = {
            "version": 1,
            "image": f"{registry.host}/app",
            "platforms": ["linux/amd64", "linux/arm64"],
            "contexts": {"extra": "../extra", "other": f"docker-image://{registry.host}/other:1"},
        }
        (folder / "extra").mkdir()
        (folder / "extra" / "file").write_text("extra")
        (self.folder / "main.c").write_text("int main;")
        (self.folder / "main.o").write_text("object")
        (self.folder / ".dockerignore").write_text("*.o\nmultibuild.yaml\n")
        self.dockerfile("FROM {host}/base:1\nCOPY . /\n")
        for name in ("base", "other"):
            put_image(registry, name, "linux/amd64", tag="1")
        self.children = [
            put_image(registry, "app", platform, tag=tag)
            for platform, tag in (("linux/amd64", "latest"), ("linux/arm64", "side"))
        ]

    def dockerfile(self, text):
        (self.folder / "Dockerfile").write_text(text.replace("{host}", self.registry.host))

    def load(self):
        path = self.folder / "multibuild.yaml"
        path.write_text(json.dumps(self.config))
        return load_config(path, environ={}, overrides=Overrides(), now=NOW)

    def plan(self, only=None):
        return make_plan(self.load(), assumed_facts("auto"), only=only)

    def succeed(self, command="publish", status="succeeded", *extra, settings=None, only=None):
        """Write the journal and report of a run of `command`."""
        plan = self.plan(only=only)
        run = self.state.new_run(NOW)
        with RegistrySession(plan.registries, on_wait=print) as session:
            inputs = fingerprint_platforms(
                plan.project,
                plan.specs,
                partial(resolve_bases, session),
                find_triggers=BaseTriggers(session).find,
            ).platforms
        events: list[Event] = [
            RunStarted(command=command),
            RunPlanned(platforms=(), jobs=1, settings=settings or setting_digests(self.load(), plan)),
        ]
        for (platform, fingerprint), pushed in zip(inputs.items(), self.children, strict=False):
            name = str(platform)
            repository, digest = self.staged.get(name, (self.config["image"], pushed))
            events += [
                PlatformInputs(platform=name, inputs=fingerprint.digest, parts=dict(fingerprint.parts)),
                PlatformEnded(platform=name, status="succeeded", digest=digest, repository=repository),
                ChildRead(platform=name, manifest=digest, bytes=1),
            ]
        if command == "publish":
            tag = f"{self.config['image']}:latest"
            events.append(TagEnded(ref=tag, before=None, after=self.children[0], status="moved"))
        write_events(run.journal_path, *events, *extra, RunEnded(status=status))
        run.save_report({"status": status}, {})
        return run

    def compare(self, command="publish", only=None):
        return check_for_changes(self.load(), self.plan(only), self.state, command, say=print)

    def assert_changed(self, *reasons, command="publish"):
        check = self.compare(command)
        assert check.run is None
        for reason in reasons:
            assert reason in check.reason


@pytest.fixture
def project(tmp_path, registry):
    return Project(tmp_path, registry)


def test_nothing_changed(project):
    run = project.succeed()
    check = project.compare()
    assert check.run == run
    assert "2 base images, 3 published digests" in check.reason


def test_an_image_of_an_unused_stage_is_no_input(project):
    project.dockerfile("FROM no-such-registry.invalid/a AS unused\nFROM {host}/base:1\nCOPY . /\n")
    run = project.succeed()
    assert project.compare().run == run


def test_failed_partial_and_other_runs_are_no_success(project):
    assert project.compare().run is None
    project.succeed("publish", "failed")
    project.succeed("publish", "partial")
    project.succeed("merge")
    project.succeed("build")
    project.succeed("publish", "succeeded", InputsChanged())
    assert project.compare().reason == "no run that succeeded is known here"


@pytest.mark.parametrize("command", ["build", "publish"])
def test_a_run_that_carried_a_platform_over_is_skipped(project, command):
    run = project.succeed()
    carried = PlatformEnded(platform="linux/s390x", status="carried", digest=project.children[0])
    project.succeed("publish", "partial", carried)
    assert project.compare(command).run == run


def test_a_run_of_all_is_a_success_for_build(project):
    run = project.succeed()
    assert project.compare("build").run == run
    run = project.succeed("build")
    assert project.compare("build").run == run


def test_an_older_success_with_the_same_config_counts(project):
    run = project.succeed()
    project.config["labels"] = {"a": "b"}
    project.succeed()
    del project.config["labels"]
    assert project.compare().run == run


def write(name, text):
    return lambda project: (project.folder / name).write_text(text)


def config(**more):
    return lambda project: project.config.update(more)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (write("main.c", "int main2;"), "context"),
        (write("new.c", ""), "context"),
        (lambda p: (p.folder / "main.c").chmod(0o755), "context"),
        (lambda p: (p.folder / "main.c").unlink(), "context"),
        (write(".dockerignore", ""), "context"),
        (write("../extra/file", "other"), "context extra"),
        (lambda p: p.dockerfile("FROM {host}/base:1\nCOPY  . /\n"), "Dockerfile"),
        (lambda p: put_image(p.registry, "base", "linux/arm64", tag="1"), "base "),
        (lambda p: put_image(p.registry, "other", "linux/arm64", tag="1"), "base "),
        (config(args={"A": "1"}), "args"),
        (config(labels={"a": "b"}), "labels"),
        (config(annotations={"a": "b"}), "annotations"),
        (config(annotations={"manifest:a": "b"}), "annotations"),
        (config(tags=["latest", "1"]), "tags"),
        (config(test={"run": ["true"]}), "test"),
        (config(verify={"content": "all"}), "verify"),
        (config(secrets=["id=token,env=TOKEN"]), "secrets"),
        (config(platforms=["linux/amd64", "linux/s390x"]), "platforms"),
        (config(platforms=[{"name": "linux/amd64", "target": "x"}, "linux/arm64"]), "platforms"),
        (config(builder="container"), "builder"),
        (lambda p: put_image(p.registry, "app", "linux/s390x", tag="latest"), "app:latest holds"),
        (lambda p: p.registry.repository("app").tags.clear(), "app:latest is gone"),
        (lambda p: p.registry.repository("app").manifests.pop(p.children[1]), "is gone"),
    ],
)
def test_each_change_is_detected_and_in_the_reason(project, change, reason):
    project.succeed()
    change(project)
    project.assert_changed(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: p.dockerfile("FROM {host}/base:1\nADD https://example.org/x /\n"), "what ADD fetches"),
        (lambda p: p.dockerfile("FROM {host}/base:${NOT_KNOWN}\n"), "base "),
        (config(pull=False), "local base images"),
        (config(contexts={"extra": "https://example.org/a.git"}), "context extra"),
        (lambda p: p.registry.repositories.pop("base"), "base "),
        (config(dockerfile="https://example.org/Dockerfile"), "Dockerfile"),
    ],
)
def test_unknown_inputs_are_never_unchanged(project, change, reason):
    change(project)
    project.succeed()
    project.assert_changed(reason, "cannot be proven unchanged")


def test_ignored_files_and_settings_change_nothing(project):
    run = project.succeed()
    (project.folder / "main.o").write_text("ignored")
    (project.folder / "main.c").touch()
    project.config |= {"jobs": 7, "timeout": "1h", "retry": {"attempts": 9}}
    assert project.compare().run == run


def test_fewer_platforms_are_a_change(project):
    project.succeed()
    assert "--platform" in project.compare(only=[project.plan().platforms[0].platform]).reason


def test_another_version_of_multibuild_is_a_change(project):
    settings = setting_digests(project.load(), project.plan())
    project.succeed(settings={**settings, "multibuild itself": "0.0.1"})
    assert project.compare().reason.endswith(": multibuild itself")


@pytest.mark.parametrize("signed", [True, False])
def test_a_signature_that_is_gone_is_a_change(project, registry, signed, monkeypatch):
    """Also where no cosign is at hand; the key is that of the machine that publishes."""
    monkeypatch.setenv("PATH", "/nonexistent")
    project.config["sign"] = {"keyless": True}
    run = project.succeed()
    if signed:
        put_image(registry, "app", tag=project.children[0].replace(":", "-") + ".sig")
    check = project.compare()
    assert (check.run == run, "has no signature by" in check.reason) == (signed, not signed)


def test_a_local_output_is_never_unchanged(project, tmp_path):
    project.config["publish"] = {"to": f"oci:{tmp_path / 'layout'}"}
    project.succeed()
    assert "cannot be asked" in project.compare().reason


def test_locally_staged_children_are_read_from_run_directories(project):
    """A later run may have adopted them; a damaged child counts as gone."""
    project.config["publish"] = {"to": "docker"}
    first, later = (project.state.new_run(NOW) for _ in range(2))
    for platform, run in zip(project.config["platforms"], (first, later), strict=True):
        slug = platform.replace("/", "-")
        folder = export_folder(slug, run)
        digest = put_attested(LayoutFiles(folder), "any", platform, tag="latest")[0]
        finalize(folder, digest)
        project.staged[platform] = (f"oci:children/{slug}", digest)
    run = project.succeed("build")
    assert project.compare("build").run == run
    for path in (later.children / "linux-arm64" / "blobs" / "sha256").iterdir():
        path.write_bytes(b"")
    project.assert_changed("oci:children/linux-arm64", "is gone", command="build")


def test_a_variable_that_buildx_passes_on_is_a_change(project, monkeypatch):
    project.succeed()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert "SOURCE_DATE_EPOCH" in project.compare().reason
