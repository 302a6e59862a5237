"""Signing between the read-back and the tags: a cosign whose cryptography is not real, registries that record."""

import json
import re
import threading
import tracemalloc
from contextlib import ExitStack
from dataclasses import replace

import pytest
from fakes.cosign import FakeCosign, is_signed
from fakes.images import OCI, OCI_INDEX, put_attested, put_image
from fakes.registry_server import FakeRegistry
from waiting import PATIENCE_S

from multibuild.child_process import ChildResult
from multibuild.config.publishing.sign import Sign
from multibuild.errors import EnvironmentFault, Interrupted, PublishFailed
from multibuild.journal.events import ImageSigned, TagEnded
from multibuild.oci.http import RetryPolicy
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.publish.compose_index import compose
from multibuild.publish.cosign import MAX_END_BYTES, Cosign, CosignFailed, last_words
from multibuild.publish.merge_sources import read_source
from multibuild.publish.move_tags import Publication, publish_together
from multibuild.publish.sign import MAX_REFERENCES, Signer, check_signing, digests_to_sign

NO_RETRY = RetryPolicy(tries=1, initial_wait_s=0.0)
UNAVAILABLE = (
    "signing [r@sha256:1]: signing digest: PUT https://r.example/v2/: unexpected status code 503 Service"
)
TAG_PUT = re.compile(r"PUT /v2/.*/manifests/(?!sha256[:-])")
SIGNATURE_PUT = re.compile(r"PUT /v2/.*/manifests/sha256-\w+\.sig")


class Scene:
    """Two registries, images of two platforms, a cosign on PATH, and what happened in order."""

    def __init__(self, stack, folder, version):
        self.folder = folder
        self.requests, self.events, self.messages, self.waits = [], [], [], []
        self.registries = [stack.enter_context(FakeRegistry()) for _ in range(2)]
        for registry in self.registries:
            registry.bends.append(self.note)
        self.cosign = FakeCosign(folder / "bin", version=version)
        self.public = self.cosign.write_key(folder / "cosign.key")
        self.session = stack.enter_context(RegistrySession({}, on_wait=print, retry=NO_RETRY))
        self.environ = {}
        self.stopped = threading.Event()

    def note(self, registry, request, proceed):
        self.requests.append(f"{request.method} {request.path.partition('?')[0]}")
        return proceed()

    def image(self, name, *, platforms=("linux/amd64", "linux/arm64"), **section):
        host = self.registries[0].host
        images = [put_image(self.registries[0], name, platform, of=name) for platform in platforms]
        sources = [read_source(f"{host}/{name}@{digest}", self.session) for digest in images]
        return Publication(
            index=compose([child for source in sources for child in source.children]),
            destinations=tuple(
                Destination(repository=Reference.parse(f"{registry.host}/{name}"), tags=("1", "latest"))
                for registry in self.registries
            ),
            sources=tuple(source.reference for source in sources),
            stores=self.session,
            emit=self.events.append,
            sign=self.signer(**section),
        )

    def signer(self, **section):
        sign = Sign.model_validate({"key": "cosign.key", "tlog": False, **section})
        return Signer(
            sign=sign,
            project=self.folder,
            registries={},
            cosign=Cosign(
                timeout_s=sign.timeout,
                environ=self.environ,
                is_stopped=self.stopped.is_set,
                start=self.cosign.run,
            ),
            say=self.messages.append,
            sleep=self.waits.append,
        )

    def tags(self):
        return [
            tag
            for registry in self.registries
            for repository in registry.repositories.values()
            for tag in repository.tags
            if not tag.startswith("sha256-")
        ]

    def unsigned(self, publication, public=None):
        return [
            reference
            for destination in publication.destinations
            for digest in digests_to_sign(publication.index)
            if not is_signed(
                reference := str(destination.repository.with_digest(digest)), public or self.public
            )
        ]


@pytest.fixture(params=[2])
def scene(request, tmp_path):
    with ExitStack() as stack:
        yield Scene(stack, tmp_path, request.param)


both_versions = pytest.mark.parametrize("scene", [2, 3], indirect=True)


@both_versions
def test_the_index_and_each_image_are_signed_in_every_destination(scene):
    app = scene.image("app")
    publish_together([app])
    assert scene.unsigned(app) == []
    assert [(event.repository, event.digests, event.new) for event in scene.events[:2]] == [
        (f"{registry.host}/app", digests_to_sign(app.index), digests_to_sign(app.index))
        for registry in scene.registries
    ]
    assert [event.name for event in scene.events[2:]] == ["tag.planned"] * 4 + ["tag.ended"] * 4


def test_no_tag_of_any_image_moves_before_the_last_signature(scene):
    images = [scene.image(name) for name in ("one", "two", "three")]
    publish_together(images)
    moves = [number for number, text in enumerate(scene.requests) if TAG_PUT.match(text)]
    signatures = [number for number, text in enumerate(scene.requests) if SIGNATURE_PUT.match(text)]
    assert len(moves) == 12
    assert len(signatures) == 18
    assert max(signatures) < min(moves)


def test_an_image_of_another_that_is_not_signed_is_published_with_it(scene):
    signed, plain = scene.image("one"), scene.image("two")
    plain = replace(plain, sign=None)
    publish_together([signed, plain])
    assert scene.unsigned(signed) == []
    assert len(scene.unsigned(plain)) == 6
    assert len(scene.tags()) == 8


def test_what_buildkit_attests_has_no_signature_of_its_own(scene):
    index, image, attestation = put_attested(scene.registries[0], "app", "linux/amd64")
    source = read_source(f"{scene.registries[0].host}/app@{index}", scene.session)
    composed = compose(source.children)
    assert attestation in {entry.digest for entry in composed.entries}
    assert digests_to_sign(composed) == (composed.digest, image)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("signing [a@sha256:1 b@sha256:2]: the key is revoked", "cosign says: the key is revoked"),
        ("hang", "cosign does not answer within 0.5s"),
        ("flood", "cosign prints more than 16"),
        ("kill", "cosign says: nothing, and ends with signal 9"),
    ],
)
def test_a_cosign_that_fails_moves_no_tag(scene, answer, words):
    app, other = (scene.image(name, timeout="500ms") for name in ("app", "other"))
    scene.cosign.answer(sign=["ok", answer])
    with pytest.raises(PublishFailed) as caught:
        publish_together([app, other])
    assert words in caught.value.message
    assert "could not be signed, no tag was moved" in caught.value.message
    assert caught.value.exit_code == 7
    assert scene.tags() == []
    assert [event for event in scene.events if not isinstance(event, ImageSigned)] == []
    assert not [text for text in scene.requests if TAG_PUT.match(text)]


@both_versions
def test_the_next_run_signs_what_has_no_signature_yet(scene):
    app = scene.image("app")
    scene.cosign.answer(sign=["ok", "the key is revoked"])
    with pytest.raises(PublishFailed):
        publish_together([app])
    scene.events.clear()
    before = len(scene.cosign.calls_of("sign"))
    publish_together([app])
    assert [event.new for event in scene.events if isinstance(event, ImageSigned)] == [
        (),
        (app.index.digest,),  # those of the images came with them from the first destination
    ]
    assert len(scene.cosign.calls_of("sign")) > before
    assert scene.unsigned(app) == []
    assert len([event for event in scene.events if isinstance(event, TagEnded)]) == 4


@both_versions
def test_what_has_a_signature_gets_no_second_one(scene):
    publish_together([scene.image("app")])
    stored = {digest for registry in scene.registries for digest in registry.repository("app").manifests}
    calls = len(scene.cosign.calls_of("sign"))
    app = scene.image("app", platforms=("linux/amd64", "linux/arm64", "linux/s390x"))
    publish_together([app])
    new = [call[-2:] for call in scene.cosign.calls_of("sign")[calls:]]
    assert [[reference.partition("@")[2] for reference in references] for references in new] == [
        [app.index.digest, app.index.entries[2].digest]
    ] * 2
    assert stored < {d for registry in scene.registries for d in registry.repository("app").manifests}
    assert scene.unsigned(app) == []


def test_a_signature_of_another_key_is_none(scene):
    publish_together([scene.image("app")])
    other = scene.cosign.write_key(scene.folder / "other.key", name="other")
    app = scene.image("app", key="other.key")
    publish_together([app])
    assert scene.unsigned(app, other) == []
    assert scene.unsigned(app) == []


def test_a_registry_that_fails_for_a_moment_is_asked_again(scene):
    app = scene.image("app")
    scene.cosign.answer(sign=[UNAVAILABLE] * 2)
    publish_together([app])
    assert scene.unsigned(app) == []
    assert scene.waits == [2.0, 4.0]
    assert "unexpected status code 503 Service; signing again after 2 s" in scene.messages[0]


def test_it_is_not_asked_for_ever(scene):
    app = scene.image("app")
    scene.cosign.answer(sign=[UNAVAILABLE] * 3)
    with pytest.raises(PublishFailed, match="3 of 3 digests could not be signed"):
        publish_together([app])
    assert scene.waits == [2.0, 4.0]


@both_versions
def test_an_attempt_that_signed_and_then_failed_is_not_repeated(scene):
    app = scene.image("app")
    scene.cosign.answer(sign=["late"])
    publish_together([app])
    assert len(scene.cosign.calls_of("sign")) == len(scene.registries)
    signed = [event for event in scene.events if isinstance(event, ImageSigned)]
    assert [event.new for event in signed] == [digests_to_sign(app.index)] * 2


def test_many_digests_are_signed_by_several_processes(scene):
    entries = [
        {"mediaType": OCI, "digest": f"sha256:{number:064x}", "size": 1} for number in range(MAX_REFERENCES)
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    index = Manifest.of(json.dumps(document).encode(), OCI_INDEX)
    app = replace(scene.image("app", keyless=True, key=None, tlog=True), index=index)
    scene.cosign.answer(sign=["lie"] * 4)
    scene.environ["COSIGN_REPOSITORY"] = "r.example/signatures"  # where nothing is looked for
    app.sign(app)
    counts = [sum("@" in word for word in call) for call in scene.cosign.calls_of("sign")]
    assert counts == [MAX_REFERENCES, 1] * 2


@both_versions
def test_a_cosign_that_ends_well_without_a_signature_is_not_believed(scene):
    app = scene.image("app")
    scene.cosign.answer(sign=["lie"] * 3)
    with pytest.raises(PublishFailed, match=r"cosign ends well, and sha256:\w+ has no signature") as caught:
        publish_together([app])
    assert "3 of 3 digests could not be signed, no tag was moved" in caught.value.message
    assert scene.tags() == []


@both_versions
def test_a_signature_that_one_attempt_did_not_make_is_made_by_the_next(scene):
    app = scene.image("app")
    scene.cosign.answer(sign=["lie"])
    publish_together([app])
    assert scene.unsigned(app) == []
    assert scene.waits == [2.0]


def test_a_cosign_that_hangs_while_it_verifies_is_asked_once(scene):
    publish_together([scene.image("app")])
    again = scene.image("app", timeout="500ms")
    scene.cosign.answer(verify=["hang"] * 9)
    with pytest.raises(PublishFailed, match=r"3 of 3 digests .* cosign does not answer within 0\.5s"):
        publish_together([again])
    assert len(scene.cosign.calls_of("verify")) == 1


def test_what_a_killed_run_moved_is_put_back_if_nothing_can_be_signed(scene):
    app = scene.image("app")
    tags = [place.repository.with_tag("1") for place in app.destinations]
    old = [put_image(registry, "app", "linux/s390x", tag="1") for registry in scene.registries]
    scene.registries[0].put("app", app.index.content, app.index.media_type, tag="1")
    app = replace(app, previous_digests={(str(tags[0]), app.index.digest): old[0]})
    scene.cosign.answer(sign=["the key is revoked"])
    with pytest.raises(PublishFailed, match=rf"the key is revoked; tags: {tags[0]} put-back\Z"):
        publish_together([app])
    assert [registry.repository("app").tags["1"] for registry in scene.registries] == old
    ended = [event for event in scene.events if isinstance(event, TagEnded)]
    assert [(event.ref, event.after, event.status) for event in ended] == [(str(tags[0]), old[0], "put-back")]


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN PUBLIC KEY-----\0", "-----BEGIN " + "x" * 20000])
def test_a_public_key_that_is_none_is_refused(text):
    def start(*_, **__):
        return ChildResult(returncode=0, stdout=text.encode(), stderr=b"")

    with pytest.raises(CosignFailed, match="cosign prints no public key"):
        Cosign(timeout_s=20, environ={}, start=start).public_key("cosign.key")


def last_words_of(stderr, environ):
    return last_words(ChildResult(returncode=1, stdout=b"", stderr=stderr), environ)


def test_what_cosign_says_at_its_end_is_one_harmless_line_without_secrets():
    environ = {
        "COSIGN_PASSWORD": "hunter2",
        "A_TOKEN": "xyz",
        "MY_KEY": "first line\nsecond line",
        "HOME": "/home/me",
    }
    said = b"begin\nError: \xff\x00hunter2\x1b]0;x\x07 xyz\tsecond line of /home/me\x1b[31m, https://u:p@h/\nend\n"
    assert last_words_of(said, environ) == "\ufffd*** xyz *** of /home/me, https://***@h/"


@pytest.mark.parametrize("end", [b"", b"\n" * 3, b"\nthe end"])
def test_half_a_secret_is_not_shown(end):
    cut = b"hunter2".ljust(MAX_END_BYTES - len(end) + 3, b"\n" if end else b".") + end
    assert "ter2" not in last_words_of(cut, {"COSIGN_PASSWORD": "hunter2"})


def test_millions_of_lines_of_cosign_cost_little():
    stderr = b"a\n" * 4_000_000
    tracemalloc.start()
    try:
        assert last_words_of(stderr, {}) == "a"
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_an_interruption_ends_cosign(scene):
    app = scene.image("app")
    scene.cosign.answer(sign=["hang"])
    failures = []

    def publish():
        try:
            publish_together([app])
        except Interrupted as error:
            failures.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    while not scene.cosign.calls_of("sign"):
        thread.join(0.01)
    scene.stopped.set()
    thread.join(PATIENCE_S)
    assert [error.message for error in failures] == ["interrupted before any tag was moved"]
    assert scene.tags() == []


def test_without_a_key_everything_is_signed_each_time(scene):
    app = scene.image("app", key=None, keyless=True, tlog=True)
    publish_together([app])
    publish_together([app])
    assert [len([word for word in call if "@" in word]) for call in scene.cosign.calls] == [3] * 4
    assert {call[0] for call in scene.cosign.calls} == {"sign"}


def test_signatures_in_a_repository_of_their_own_are_looked_for_by_cosign(scene):
    scene.environ["COSIGN_REPOSITORY"] = "r.example/signatures"
    publish_together([scene.image("app")])
    assert len(scene.cosign.calls_of("verify")) == 2 * 4


@pytest.mark.parametrize(
    ("password", "environ", "words"),
    [
        ("pw", {}, "decryption failed"),
        ("pw", {"COSIGN_PASSWORD": "other"}, "decryption failed"),
        ("pw", {"COSIGN_PASSWORD": "pw"}, ""),
        ("", {}, ""),
    ],
)
def test_a_key_is_opened_before_anything_is_built(scene, password, environ, words):
    scene.cosign.write_key(scene.folder / "cosign.key", password=password)
    sections = [(Sign.model_validate({"key": "cosign.key"}), scene.folder)] * 2
    cosign = Cosign(timeout_s=20, environ=environ, start=scene.cosign.run)
    if not words:
        assert list(check_signing(sections, cosign=lambda _limit: cosign)) == [
            "cosign v2.0.0 signs with the key cosign.key"
        ]
        return
    with pytest.raises(EnvironmentFault, match=r"cosign cannot use the key cosign\.key") as caught:
        list(check_signing(sections, cosign=lambda _limit: cosign))
    assert words in caught.value.message
    assert "COSIGN_PASSWORD" in str(caught.value.hint)


def test_a_cosign_that_is_not_there_is_named(scene):
    sections = [(Sign.model_validate({"keyless": True}), scene.folder)]
    with pytest.raises(EnvironmentFault, match="cosign is not on PATH") as caught:
        list(check_signing(sections, cosign=lambda limit: Cosign(timeout_s=limit, environ={"PATH": "/"})))
    assert "https://docs.sigstore.dev" in str(caught.value.hint)
