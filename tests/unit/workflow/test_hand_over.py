"""From `build --hand-over` to `merge --handed-over`, with a registry in this process and without an engine."""

import asyncio
import contextlib
import itertools
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest
from fakes.images import put_attested, put_image, put_index
from fakes.journals import write_events
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.builds.inputs import PendingFingerprints
from multibuild.cli.display.display import Silent
from multibuild.config.cli_overrides import Overrides
from multibuild.config.project import load_project
from multibuild.config.sections import SmokeTest
from multibuild.engine.engine import Engine
from multibuild.errors import PublishFailed, UsageError
from multibuild.journal.events import HandedOver, RunStarted, SmokeTestEnded, TagPlanned
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import State
from multibuild.json_types import as_json
from multibuild.oci.image import read_child
from multibuild.oci.manifest import OCI_INDEX, Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import PlatformChild
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.plan.spec import repository_of
from multibuild.platforms import Platform
from multibuild.publish.handed_over import ANNOTATION, read_record
from multibuild.workflow.clean.clean_up import clean_up
from multibuild.workflow.hand_over import hand_over, inputs_of, take_handed_over
from multibuild.workflow.merge.handed_over import merge_handed_over
from multibuild.workflow.merge.handed_over_images import preview_handed_over

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLATFORMS = ("linux/amd64", "linux/arm64")


class Display(Silent):
    """Keeps what a run says and does."""

    def __init__(self):
        self.texts, self.events = [], []

    def say(self, text):
        self.texts.append(text)

    def show(self, entry):
        self.events.append(entry.event)


class Machine:
    """A machine with a checkout and a state directory of its own."""

    def __init__(self, folder, registry, files):
        self.registry, self.display = registry, Display()
        for name, text in files.items():
            path = folder / "checkout" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        path = folder / "checkout" / "multibuild.yaml"
        self.project = load_project(path, environ={}, overrides=Overrides(), now=NOW)
        state, engine = State(folder / "state"), cast("Engine", None)
        self.context = RunContext(
            command="merge",
            engine=engine,
            state=state,
            run=state.new_run(NOW),
            recorder=Recorder(None, self.display),
            hand_over=True,
        )

    async def hand_over(self, platform, put=put_image, name="", **image):
        """Hand over a child of one platform, as `build` does once it is proved; return its digest."""
        only = [Platform.parse(platform)]
        loaded = next(one for one in self.project.images if one.name == name)
        plan = make_plan(loaded, assumed_facts("auto"), only=only)
        staging = plan.platforms[0].staging
        reference = Reference.parse(
            plan.image if staging.kind == "layout" else repository_of(staging.reference)
        )
        pushed = put(self.registry, reference.repository, platform, **image)
        digest = pushed[0] if isinstance(pushed, tuple) else pushed
        with RegistrySession({}, on_wait=print) as session:
            child = read_child(reference.with_digest(digest), session.of(reference.host), only[0])
        children = [PlatformChild(planned=plan.platforms[0], reference=reference, child=child)]
        async with PendingFingerprints([loaded], only, self.context.recorder) as pending:
            fingerprints = await pending.result(loaded.name)
        await hand_over(plan, children, fingerprints, self.context)
        return digest

    async def merge(self, only=None):
        return await merge_handed_over(self.project, only and [Platform.parse(only)], self.context)


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        put_image(registry, "base", "linux/amd64", tag="1")
        yield registry


@pytest.fixture
def machine(tmp_path, registry):
    """Return machines with the same checkout: `machine(NAME, **config)`."""

    def make(name, *, files=None, **config):
        document = {
            "version": 1,
            "image": f"{registry.host}/app",
            "platforms": list(PLATFORMS),
            "verify": {"content": "off"},
            **config,
        }
        own = {
            "Dockerfile": f"FROM {registry.host}/base:1\nCOPY . /\n",
            "app/main.c": "int main;\n",
            ".dockerignore": "multibuild.yaml\n",
            **(files or {}),
            "multibuild.yaml": json.dumps(document),
        }
        return Machine(tmp_path / name, registry, own)

    return make


def tags(registry, name="app"):
    """Return the tags that hold something: registries forget a tag with its manifest."""
    repository = registry.repository(name)
    return {tag for tag, digest in repository.tags.items() if digest in repository.manifests}


def images(registry, tag="latest", name="app"):
    _, content = registry.repository(name).manifests[registry.repository(name).tags[tag]]
    return [entry["digest"] for entry in json.loads(content)["manifests"]]


async def hand_over_all(machine, **config):
    return [await machine(name, **config).hand_over(name) for name in config.get("platforms", PLATFORMS)]


async def test_children_of_other_machines_are_published_and_their_tags_removed(machine, registry):
    children = await hand_over_all(machine)
    assert len(tags(registry)) == 2
    assert await machine("merge").merge() == "succeeded"
    assert tags(registry) == {"latest"}
    assert images(registry) == children


async def test_children_wait_in_the_repository_where_they_are_staged(machine, registry):
    config = {"publish": {"staging": "{image}-{arch}:{tag}"}}
    children = await hand_over_all(machine, **config)
    (tag,) = registry.repository("app-arm64").tags
    assert tag.endswith("-linux-arm64")
    assert await machine("merge", **config).merge() == "succeeded"
    assert images(registry) == children
    assert tag not in tags(registry, "app-arm64")


async def test_after_a_merge_the_error_says_what_the_tag_holds(machine, registry):
    await hand_over_all(machine)
    await machine("merge").merge()
    with pytest.raises(PublishFailed) as error:
        await machine("again").merge()
    assert f"app:latest holds {registry.repository('app').tags['latest']}" in (error.value.hint or "")


async def test_a_merge_after_a_merge_finds_what_is_remembered(machine, registry):
    await hand_over_all(machine, remember=True)
    merging = machine("merge", remember=True)
    preview = (await preview_handed_over(merging.project, None, merging.context))[""]
    await merging.merge()
    before = dict(registry.repository("app").tags)
    assert before["latest"] == preview.digest
    assert await machine("again", remember=True).merge() == "succeeded"
    assert registry.repository("app").tags == before


@pytest.mark.parametrize("put", [put_image, put_attested])
async def test_platforms_that_no_job_built_are_taken_from_the_index(machine, registry, put):
    for platform in PLATFORMS:
        await machine(platform, remember=True).hand_over(platform, put=put)
    await machine("merge", remember=True).merge()
    before = images(registry)
    changed = {
        "remember": True,
        "platforms": ["linux/amd64", {"name": "linux/arm64", "args": {"VERSION": "2"}}],
    }
    new = await machine("second", **changed).hand_over("linux/arm64", layer=b"2")
    assert await machine("second-merge", **changed).merge() == "succeeded"
    assert images(registry) == [before[0], new, *before[2:3]]  # the third is an attestation of the first


async def test_a_name_depends_on_no_path_owner_or_time(machine, registry, tmp_path):
    here, there = machine("here"), machine("somewhere/else")
    for path in (tmp_path / "somewhere").rglob("*"):
        os.utime(path, (0, 0))
        if os.geteuid() == 0:
            os.chown(path, 1234, 1234)
    await here.hand_over("linux/amd64")
    before = tags(registry)
    await there.hand_over("linux/amd64")
    assert tags(registry) == before


async def test_attestations_reach_the_index(machine, registry):
    await machine("a").hand_over("linux/amd64", put=put_attested)
    assert await machine("merge").merge("linux/amd64") == "succeeded"
    assert len(images(registry)) == 2


async def test_an_attested_child_that_was_collected_is_read_from_its_record(machine, registry):
    child = await machine("a").hand_over("linux/amd64", put=put_attested)
    del registry.repository("app").manifests[child]
    assert await machine("merge").merge("linux/amd64") == "succeeded"
    assert len(images(registry)) == 2


async def test_a_missing_required_platform_is_named_with_the_tag_that_was_looked_for(machine, registry):
    await machine("a").hand_over("linux/amd64")
    before = tags(registry)
    with pytest.raises(PublishFailed) as error:
        await machine("merge").merge()
    assert "linux/arm64" in error.value.message
    assert f"{registry.host}/app:multibuild-" in error.value.message
    assert "linux/amd64" not in error.value.message
    assert tags(registry) == before


@pytest.mark.parametrize("rule", ["omit", "carry", "fail"])
async def test_an_optional_platform_that_is_missing_follows_on_missing(machine, registry, rule):
    config = {
        "platforms": ["linux/amd64", {"name": "linux/arm64", "required": False}],
        "publish": {"on_missing": rule},
    }
    old = put_image(registry, "app", "linux/arm64", layer=b"old")
    platform = {"os": "linux", "architecture": "arm64"}
    size = len(registry.repository("app").manifests[old][1])
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": old,
        "size": size,
        "platform": platform,
    }
    put_index(registry, "app", [entry], tag="latest")
    child = await machine("a", **config).hand_over("linux/amd64")
    merge = machine("merge", **config).merge()
    if rule == "fail":
        with pytest.raises(PublishFailed, match="on_missing"):
            await merge
    else:
        assert await merge == "partial"
        assert images(registry) == [child] + ([old] if rule == "carry" else [])


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"no json",
        json.dumps({"schemaVersion": 2, "manifests": [], "annotations": {"io.multibuild.hand-over": "[]"}}),
        json.dumps(
            {"schemaVersion": 2, "manifests": [], "annotations": {"io.multibuild.hand-over": '{"schema": 2}'}}
        ),
    ],
    ids=["no index", "no json", "no object", "another schema"],
)
async def test_what_is_no_record_counts_as_missing(machine, registry, content):
    await machine("a").hand_over("linux/amd64")
    (tag,) = tags(registry)
    content = content if isinstance(content, bytes) else content.encode()
    registry.put("app", content, "application/vnd.oci.image.index.v1+json", tag=tag)
    with pytest.raises(PublishFailed, match="not handed over"):
        await machine("merge").merge("linux/amd64")


async def test_the_record_of_another_child_under_the_tag_counts_as_missing(machine, registry):
    """Twelve digits of a fingerprint are no proof: the whole one is in the record."""
    await machine("a").hand_over("linux/amd64")
    (tag,) = tags(registry)
    await machine("b", files={"app/main.c": "int other;\n"}).hand_over("linux/amd64")
    (other,) = tags(registry) - {tag}
    registry.repository("app").tags[tag] = registry.repository("app").tags[other]
    with pytest.raises(PublishFailed, match="not handed over"):
        await machine("merge").merge("linux/amd64")


async def test_a_test_that_passed_is_not_run_again(machine):
    """Without an engine one could not be run."""
    config = {"test": {"run": ["true"]}}
    await hand_over_all(machine, **config)
    merging = machine("merge", **config)
    await merging.merge()
    ended = [event.status for event in merging.display.events if isinstance(event, SmokeTestEnded)]
    assert ended == ["passed", "passed"]


async def test_a_child_without_a_name_is_refused_before_any_build(machine):
    from_url = machine("a", files={"Dockerfile": "FROM scratch\nADD https://example.org/x /\n"})
    with pytest.raises(UsageError, match="what ADD fetches") as error:
        await from_url.hand_over("linux/amd64")
    assert "multibuild import" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("ignored", "copied", "passes"),
    [
        ("", ".", False),
        (".git\n", ".", True),
        ("*\n!app\n", ".", True),
        ("", "app", True),
        ("", "app .git/config", False),
        ("", "a*", True),
        ("", "app $more", False),
    ],
)
async def test_a_context_of_which_git_counts_is_refused_as_it_differs_in_every_checkout(
    machine, registry, ignored, copied, passes
):
    dockerfile = f"FROM {registry.host}/base:1\nARG more\nCOPY {copied} /x/\n"
    one = machine("a", files={".git/config": "", ".dockerignore": ignored, "Dockerfile": dockerfile})
    if passes:
        await one.hand_over("linux/amd64")
    else:
        with pytest.raises(UsageError, match=r"\.git"):
            await one.hand_over("linux/amd64")


async def test_a_base_that_cannot_be_read_is_named_before_git(machine, registry):
    dockerfile = f"FROM {registry.host}/base:gone\nCOPY app /x/\n"
    one = machine("a", files={".git/config": "", ".dockerignore": "", "Dockerfile": dockerfile})
    with pytest.raises(UsageError, match="base:gone has no digest"):
        await one.hand_over("linux/amd64")


async def test_a_named_context_with_git_is_refused_too(machine):
    one = machine(
        "a",
        files={"lib/.git": "gitdir: x"},
        contexts={"lib": "./lib", "base": "docker-image://x.example/a:1"},
    )
    with pytest.raises(UsageError, match=r"lib: .*\.git"):
        await one.hand_over("linux/amd64")


async def test_what_is_published_on_this_machine_is_not_handed_over(machine):
    with pytest.raises(UsageError, match=r"publish\.to"):
        await machine("a", publish={"to": "oci:out"}).hand_over("linux/amd64")


@pytest.mark.parametrize(("deletes", "deletes_tags"), [(False, False), (True, False), (True, True)])
async def test_tags_that_a_registry_does_not_remove_are_named_once(machine, registry, deletes, deletes_tags):
    registry.deletes, registry.deletes_tags = deletes, deletes_tags
    await hand_over_all(machine)
    merging = machine("merge")
    await merging.merge()
    assert tags(registry) - {"latest"} == set() or not deletes
    assert len([text for text in merging.display.texts if "removes no tags" in text]) == (not deletes)


async def test_a_tag_that_a_registry_does_not_let_change_keeps_the_child_it_has(machine, registry):
    """Both are made of the same, and both are proved when they are merged."""

    def bend(registry, request, proceed):
        if request.method == "PUT" and request.rest in registry.repository("app").tags:
            return 400, b'{"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]}', {}
        return proceed()

    registry.bends.append(bend)
    first = await machine("a").hand_over("linux/amd64")
    again = machine("again")
    await again.hand_over("linux/amd64", layer=b"not reproducible")
    assert any("keeps" in text for text in again.display.texts)
    await machine("merge").merge("linux/amd64")
    assert images(registry) == [first]


async def test_a_merge_after_a_merge_that_could_not_remove_tags_changes_nothing(machine, registry):
    registry.deletes = False
    await hand_over_all(machine)
    await machine("merge").merge()
    before = dict(registry.repository("app").tags)
    await machine("again").merge()
    assert registry.repository("app").tags == before


async def test_a_tag_that_another_job_gave_a_new_child_meanwhile_stays(machine, registry):
    await machine("a").hand_over("linux/amd64")
    (tag,) = tags(registry)
    merging = machine("merge")

    def bend(registry, request, proceed):
        if request.method == "PUT" and request.rest == "latest":
            put_index(registry, "app", [], tag=tag)
        return proceed()

    registry.bends.append(bend)
    await merging.merge("linux/amd64")
    assert tags(registry) == {"latest", tag}


async def test_a_preview_has_the_digest_that_is_published(machine, registry):
    await hand_over_all(machine)
    merging = machine("merge")
    index = (await preview_handed_over(merging.project, None, merging.context))[""]
    assert "latest" not in tags(registry)
    await merging.merge()
    assert registry.repository("app").tags["latest"] == index.digest


async def test_a_job_takes_children_that_were_handed_over_and_knows_which_were_tested(machine, registry):
    """One that another test was run in is not built again, but tested and handed over anew."""
    children = await hand_over_all(machine)
    again = machine("again")
    for test, tested in (("", 2), ("another", 0)):
        loaded = again.project.images[0]
        plan = make_plan(loaded, assumed_facts("auto"))
        if test:
            own = SmokeTest(run=(test,), timeout=1.0)
            plan = replace(plan, platforms=tuple(replace(one, test=own) for one in plan.platforms))
        async with PendingFingerprints([loaded], None, again.context.recorder) as pending:
            inputs = inputs_of(plan, await pending.result(""))
        taken = await take_handed_over(plan, inputs, again.context)
        assert [child.digest for child in taken.children.values()] == children
        assert len(taken.tested) == tested


# What is missing, and why.


async def test_a_base_that_moved_between_the_jobs_is_named_with_both_digests(machine, registry):
    old = registry.repository("base").tags["1"]
    await machine("a").hand_over("linux/amd64")
    new = put_image(registry, "base", "linux/amd64", tag="1", layer=b"a newer base")
    with pytest.raises(PublishFailed) as error:
        await machine("merge").merge("linux/amd64")
    assert f"another base: {registry.host}/base:1@{old}, here {new[:19]}" in error.value.message
    assert "name bases by digest" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"files": {"app/main.c": "int other;\n"}}, "other files of the context"),
        ({"args": {"VERSION": "2"}}, "other settings"),
        (
            {"files": {"app/main.c": "int other;\n"}, "args": {"V": "2"}},
            "other files of the context, other settings",
        ),
    ],
)
async def test_what_else_differs_is_named(machine, there, words):
    await machine("a", **there).hand_over("linux/amd64")
    with pytest.raises(PublishFailed, match=words) as error:
        await machine("merge").merge("linux/amd64")
    assert "same commit" in (error.value.hint or "")


async def test_of_several_records_the_one_that_differs_least_is_compared(machine):
    await machine("a", args={"VERSION": "2"}, files={"app/main.c": "int a;\n"}).hand_over("linux/amd64")
    await machine("b", args={"VERSION": "3"}).hand_over("linux/amd64")
    with pytest.raises(PublishFailed) as error:
        await machine("merge").merge("linux/amd64")
    assert error.value.message.endswith("is of other settings")


async def test_what_a_record_says_is_shown_as_one_printable_line(machine, registry):
    await machine("a", args={"VERSION": "2"}).hand_over("linux/amd64")
    (tag,) = tags(registry)
    _, content = registry.repository("app").manifests[registry.repository("app").tags[tag]]
    record = Manifest.of(content, OCI_INDEX)
    said = read_record(record)
    assert said is not None
    odd = {"base x\n::error::\x1b[31m" + "y" * 1000: "sha256:\u202e" + "z" * 1000}
    document = record.document
    document["annotations"][ANNOTATION] = json.dumps({"schema": 1, **as_json(replace(said, parts=odd))})
    registry.put("app", json.dumps(document).encode(), OCI_INDEX, tag=tag)
    with pytest.raises(PublishFailed) as error:
        await machine("merge").merge("linux/amd64")
    _, line = error.value.message.splitlines()
    assert line.isprintable()
    assert len(line) < 700


async def test_a_registry_that_lists_no_tags_is_no_further_error(machine, registry):
    def bend(_registry, request, proceed):
        return (405, b"{}", {}) if request.kind == "tags" else proceed()

    registry.bends.append(bend)
    with pytest.raises(PublishFailed, match="looked for"):
        await machine("merge").merge("linux/amd64")


# A merge that is ended by a kill, and one after it.


async def test_a_merge_that_ends_anywhere_is_ended_by_the_next_one(machine, registry):
    """It has six changes: index, tag, a note in a record, and three removals at most."""
    children = await hand_over_all(machine)
    for number in range(1, 8):
        registry.repository("app").tags.pop("latest", None)
        await hand_over_all(machine)
        registry.bends.append(dead_from(number))
        with contextlib.suppress(PublishFailed):
            await machine(f"killed-{number}").merge()
        registry.bends.clear()
        if tags(registry) != {"latest"}:
            assert await machine(f"again-{number}").merge() == "succeeded"
        assert images(registry) == children
        assert tags(registry) == {"latest"}


def dead_from(number):
    """Refuse everything from the n-th change of a manifest or tag on: what a killed process changes."""
    count = 0

    def bend(_registry, request, proceed):
        nonlocal count
        count += request.method in {"PUT", "DELETE"} and request.kind == "manifests"
        return (403, b"{}", {}) if count >= number else proceed()

    return bend


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_merge_that_starts_while_another_runs_harms_neither(machine, registry, number):
    """It begins and ends between two changes of the other."""
    children = await hand_over_all(machine)
    changes, second = itertools.count(1), list[str]()

    def bend(_registry, request, proceed):
        is_change = request.method in {"PUT", "DELETE"} and request.kind == "manifests"
        if is_change and not second and next(changes) == number:
            second.append("running")
            second.append(asyncio.run(machine("second").merge()))
        return proceed()

    registry.bends.append(bend)
    assert await machine("first").merge() == "succeeded"
    assert second[1:] == ["succeeded"]
    assert images(registry) == children
    assert tags(registry) == {"latest"}


async def test_a_merge_that_cannot_publish_puts_back_what_a_killed_one_moved(machine, registry):
    config = {"tags": ["latest", "2"]}
    await hand_over_all(machine, **config)
    before, after = (put_index(registry, "app", [], tag="latest", annotations={"n": n}) for n in "ab")
    killed = machine("merge", **config)
    moved = TagPlanned(ref=f"{registry.host}/app:latest", before=before, after=after)
    write_events(killed.context.run.journal_path, RunStarted(command="publish"), moved)

    def refuse_2(_registry, request, proceed):
        return (403, b"{}", {}) if (request.method, request.rest) == ("PUT", "2") else proceed()

    registry.bends.append(refuse_2)
    with pytest.raises(PublishFailed):
        await machine("merge", **config).merge()
    assert registry.repository("app").tags["latest"] == before


async def test_what_a_killed_merge_left_is_not_published_again_once_a_tag_moved_on(machine, registry):
    await hand_over_all(machine)
    registry.bends.append(dead_from(5))
    await machine("killed").merge()
    registry.bends.clear()
    left = tags(registry) - {"latest"}
    assert len(left) == 1
    put_index(registry, "app", [], tag="latest")
    with pytest.raises(PublishFailed, match="looked for"):
        await machine("again").merge()
    assert tags(registry) == {"latest", *left}


async def test_a_killed_merge_is_ended_with_the_optional_platforms_that_it_published(machine, registry):
    """Their children are gone, and the index with them must not be replaced by one without."""
    config = {"platforms": ["linux/amd64", {"name": "linux/arm64", "required": False}]}
    children = [await machine(name, **config).hand_over(name) for name in PLATFORMS]
    registry.bends.append(dead_from(5))
    await machine("killed", **config).merge()
    registry.bends.clear()
    (left,) = tags(registry) - {"latest"}
    assert left.endswith("linux-amd64")
    assert await machine("again", **config).merge() == "succeeded"
    assert images(registry) == children
    assert tags(registry) == {"latest"}


async def test_an_optional_child_that_comes_after_a_killed_merge_is_published(machine, registry):
    config = {"platforms": ["linux/amd64", "linux/386", {"name": "linux/arm64", "required": False}]}
    first = [await machine(name, **config).hand_over(name) for name in config["platforms"][:2]]
    registry.bends.append(dead_from(5))
    assert await machine("killed", **config).merge() == "partial"
    registry.bends.clear()
    assert await machine("again", **config).merge() == "partial"
    assert images(registry) == first
    assert tags(registry) == {"latest"}


# Several images.

TOGETHER = {"images": {"app": {}, "worker": {}}, "image": "{host}/{name}"}
EACH = {**TOGETHER, "publish": {"together": "image"}}


@pytest.fixture
def several(machine, registry):
    """Return machines with a file of the images app and worker, both for both platforms."""

    def make(name, config, **more):
        document = json.loads(json.dumps(config).replace("{host}", registry.host))
        return machine(name, **document, **more)

    return make


async def hand_over_images(several, config, *, without=()):
    units = [(name, platform) for name in ("app", "worker") for platform in PLATFORMS]
    return {
        unit: await several("-".join(unit).replace("/", "-"), config).hand_over(unit[1], name=unit[0])
        for unit in units
        if unit not in without
    }


async def test_an_image_that_was_not_handed_over_lets_the_others_be_published(several, registry):
    """Their children stay until all are published: the merge is run again once the job has been."""
    missing = ("app", "linux/arm64")
    children = await hand_over_images(several, EACH, without=[missing])
    with pytest.raises(PublishFailed) as error:
        await several("merge", EACH).merge()
    assert error.value.message.startswith("app: not handed over, no tag of app was moved:\n")
    assert "linux/arm64: looked for" in error.value.message
    assert "worker" not in error.value.message
    assert "latest" not in tags(registry)
    assert images(registry, name="worker") == [children["worker", name] for name in PLATFORMS]
    await several("late", EACH).hand_over("linux/arm64", name="app")
    assert await several("again", EACH).merge() == "succeeded"
    assert (tags(registry), tags(registry, "worker")) == ({"latest"}, {"latest"})


async def test_of_images_that_are_published_together_one_that_is_missing_holds_all(several, registry):
    missing = [("app", "linux/arm64"), ("worker", "linux/amd64")]
    await hand_over_images(several, TOGETHER, without=missing)
    with pytest.raises(PublishFailed) as error:
        await several("merge", TOGETHER).merge()
    heading, *lines = error.value.message.splitlines()
    assert heading == "not handed over, no tag was moved:"
    assert [line.split(":")[0].strip() for line in lines] == ["app linux/arm64", "worker linux/amd64"]
    assert "latest" not in tags(registry) | tags(registry, "worker")


@pytest.mark.parametrize("request_", [("GET", "manifests"), ("PUT", "latest")], ids=["find", "publish"])
async def test_a_registry_that_refuses_one_image_lets_the_others_be_published(several, registry, request_):
    def refuse(_registry, request, proceed):
        is_app = (request.name, request.method) == ("app", request_[0])
        return (403, b"{}", {}) if is_app and request_[1] in {request.kind, request.rest} else proceed()

    await hand_over_images(several, EACH)
    registry.bends.append(refuse)
    with pytest.raises(PublishFailed, match=r"^app: ") as error:
        await several("merge", EACH).merge()
    assert "worker" not in error.value.message
    assert len(images(registry, name="worker")) == 2
    assert len(tags(registry, "worker")) == 3
    registry.bends.clear()
    assert await several("again", EACH).merge() == "succeeded"
    assert (tags(registry), tags(registry, "worker")) == ({"latest"}, {"latest"})


EMPTY_TAR = bytes(1024)


async def test_an_image_whose_layer_cannot_be_read_lets_the_others_be_published(several, registry):
    """Tests and proofs run beside each other: the error of one of them is still that of the image."""
    config = {**EACH, "verify": {"content": "all"}}
    for name in ("app", "worker"):
        for platform in PLATFORMS:
            machine = several(f"{name}-{platform}".replace("/", "-"), config)
            await machine.hand_over(platform, name=name, layer=EMPTY_TAR)
    del registry.repository("app").blobs[digest_of(EMPTY_TAR)]
    with pytest.raises(PublishFailed, match=r"^app: ") as error:
        await several("merge", config).merge()
    assert "worker" not in error.value.message
    assert "latest" not in tags(registry)
    assert len(images(registry, name="worker")) == 2


@pytest.mark.parametrize("config", [TOGETHER, EACH], ids=["together", "each"])
async def test_a_merge_of_several_images_that_ends_anywhere_is_ended_by_the_next_one(
    several, registry, config
):
    """It has nine changes: two indexes, two tags, a note in a record, and four removals at most."""
    children = await hand_over_images(several, config)
    for number in range(1, 11):
        for name in ("app", "worker"):
            registry.repository(name).tags.pop("latest", None)
        await hand_over_images(several, config)
        registry.bends.append(dead_from(number))
        with contextlib.suppress(PublishFailed):
            await several(f"killed-{number}", config).merge()
        registry.bends.clear()
        if tags(registry) | tags(registry, "worker") != {"latest"}:
            assert await several(f"again-{number}", config).merge() == "succeeded"
        for name in ("app", "worker"):
            assert images(registry, name=name) == [children[name, platform] for platform in PLATFORMS]
            assert tags(registry, name) == {"latest"}


# What no merge took.


def clean(machine, *kinds, older_than, dry_run=False):
    return clean_up(
        machine.project.images,
        machine.context.state,
        frozenset(kinds),
        keep=0,
        older_than=older_than,
        dry_run=dry_run,
        on_wait=print,
    )


LATER = datetime(2100, 1, 1, tzinfo=UTC)


async def test_what_was_handed_over_long_ago_is_removed_by_any_machine(machine, registry):
    old, new = [await machine(name).hand_over(name, put=put_attested) for name in PLATFORMS]
    await machine("merge").merge("linux/arm64")
    await machine("again").hand_over("linux/amd64", put=put_attested)
    cleaner = machine("cleaner")
    assert clean(cleaner, "handed-over", older_than=NOW).removed == []
    would = clean(cleaner, "handed-over", older_than=LATER, dry_run=True).removed
    before = tags(registry)
    assert len(before) == 2
    assert clean(cleaner, "handed-over", older_than=LATER).removed == would
    assert tags(registry) == {"latest"}
    manifests = registry.repository("app").manifests
    assert (old in manifests, new in manifests) == (False, True)
    assert set(images(registry)) <= manifests.keys()


async def test_tags_that_are_no_hand_overs_stay_whatever_their_names(machine, registry):
    put_image(registry, "app", tag="multibuild-0123456789ab-linux-amd64")
    put_image(registry, "app", tag="multibuild-linux-amd64")
    assert clean(machine("cleaner"), "handed-over", older_than=LATER).removed == []
    assert len(tags(registry)) == 2


async def test_a_run_that_is_cleaned_takes_its_hand_overs_with_it(machine, registry):
    one, other = machine("one"), machine("other")
    write_events(one.context.run.journal_path, RunStarted(command="build"))
    await one.hand_over("linux/amd64")
    await other.hand_over("linux/arm64")
    (event,) = [event for event in one.display.events if isinstance(event, HandedOver)]
    write_events(one.context.run.journal_path, RunStarted(command="build"), event)
    one.context.run.save_plan({"platforms": []})
    clean(one, "staged", older_than=NOW)
    (tag,) = tags(registry)
    assert tag.endswith("linux-arm64")
