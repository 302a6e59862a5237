"""A project whose images are in a fake registry as a run with `remember` leaves them, and what a later run recalls."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from fakes.images import put_attested, put_image
from multibuild.builds.dependencies import dependencies_first
from multibuild.builds.fingerprint import fingerprint_platforms, resolve_bases
from multibuild.builds.inputs import with_dependencies
from multibuild.config.cli_overrides import Overrides
from multibuild.config.project import load_project
from multibuild.oci.image import read_child
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import PlatformChild
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.publish.compose_index import compose_children
from multibuild.resolve.base_triggers import BaseTriggers
from multibuild.workflow.remember.annotations import inputs_annotations
from multibuild.workflow.remember.recall import recall_images

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
THREE = ["linux/amd64", "linux/arm64", "linux/arm/v7"]


class RememberedProject:
    """A project in a folder. `host` is the registry's, which files may name as {host}."""

    def __init__(self, folder, registry):
        self.folder = folder / "project"
        self.folder.mkdir(parents=True)
        self.registry = registry
        self.host = registry.host
        self.environ = {}
        self.only = None
        self.config = {
            "version": 1,
            "image": f"{self.host}/app",
            "platforms": list(THREE),
            "remember": True,
        }
        self.write(".dockerignore", "*.o\nmultibuild.yaml\nDockerfile\n")
        self.write("Dockerfile", "FROM {host}/base:1\nCOPY . /\n")
        self.write("main.c", "int main;")
        put_image(registry, "base", tag="1")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{host}", self.host))
        return path

    def load(self):
        path = self.folder / "multibuild.yaml"
        path.write_text(self.config if isinstance(self.config, str) else json.dumps(self.config))
        return load_project(path, environ=self.environ, overrides=Overrides(), now=NOW)

    def plans(self, project):
        return [make_plan(one, assumed_facts("auto"), only=self.only) for one in project.images]

    @contextmanager
    def session(self, loaded):
        with RegistrySession(loaded.config.registry_settings, on_wait=print) as session:
            yield session

    def fingerprints(self, loaded, plan, images=()):
        with self.session(loaded) as session:
            own = fingerprint_platforms(
                plan.project,
                plan.specs,
                partial(resolve_bases, session),
                find_triggers=BaseTriggers(session).find,
            )
        return with_dependencies(own, plan, dict(images))

    def publish(self, *, tags=None, repositories=None, without=()):
        """Put what a run publishes into the registry; return the digest of each image's index by name.

        `tags` and `repositories` replace those of the config; platforms `without` are missing, as failed optional ones.
        """
        project = self.load()
        plans = self.plans(project)
        known: dict[str, object] = {}
        digests: dict[str, str] = {}
        by_name = {loaded.name: loaded for loaded in project.images}
        for plan in dependencies_first(plans):
            known[plan.name] = self.fingerprints(by_name[plan.name], plan, known)
            index = self.compose(by_name[plan.name], plan, known[plan.name], without)
            digests[plan.name] = index.digest
            for target in plan.targets:
                if repositories is not None and target.repository not in repositories:
                    continue
                name = target.repository.partition("/")[2]
                self.copy(index, plan.image.partition("/")[2], name)
                for tag in tags or target.tags:
                    self.registry.put(name, index.content, index.media_type, tag=tag)
        return digests

    def copy(self, index, source, target):
        for entry in index.entries if source != target else ():
            one = self.registry.repository(source)
            self.registry.put(target, one.manifests[entry.digest][1], one.manifests[entry.digest][0])

    def compose(self, loaded, plan, fingerprints, without=()):
        digests = {platform: one.digest for platform, one in fingerprints.platforms.items()}
        inputs = inputs_annotations(loaded, plan, digests)
        repository = Reference.parse(plan.image)
        with self.session(loaded) as session:
            children = [
                self.child(planned, repository, session)
                for planned in plan.platforms
                if str(planned.platform) not in without
            ]
        return compose_children(plan, children, inputs=inputs)

    def child(self, planned, repository, session):
        digest = put_attested(self.registry, repository.repository, str(planned.platform))[0]
        reference = repository.with_digest(digest)
        child = read_child(reference, session.of(self.host), planned.platform)
        return PlatformChild(planned=planned, reference=reference, child=child)

    def recall(self):
        """Return what is recalled of each image, by name."""
        project = self.load()
        return recall_images(project.images, dependencies_first(self.plans(project)), say=print)

    def recall_one(self):
        (recalled,) = self.recall().values()
        return recalled
