"""What registries may cost a command, where they may lead it, and that honest use stays within the limits."""

import json
import threading
import time

import httpx
import pytest
from fakes.hostile_registry import BEHAVIOURS, PAGES, HostileRegistry
from fakes.images import descriptor, put_attested, put_image, put_index, put_referrer
from fakes.registry_server import FakeRegistry
from waiting import NEVER_S

from multibuild.cli.startup import main
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import HttpClient, RetryPolicy
from multibuild.oci.limits import Budget, HttpLimits, LimitExceeded
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_session import RegistrySession
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.verify import Rules, verify
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source
from multibuild.resolve.inspect_index import inspect_reference

QUICK = RetryPolicy(tries=2, initial_wait_s=0.001, max_wait_s=0.01, unreachable_s=0.05)
LOGIN = Credentials(username="somebody", secret="s3cret-word")


def client(host, **limits):
    budget = Budget(HttpLimits(**limits))
    return Registry(RegistrySettings(host=host), read_login=lambda: LOGIN, retry=QUICK, budget=budget)


def at(registry, text="app:1"):
    return Reference.parse(f"{registry.host}/{text}")


# -- honest use


@pytest.fixture(scope="module")
def large():
    """An index of 100 platforms with attestations, and 200 signatures of it."""
    with FakeRegistry(referrers=True) as registry:
        entries = []
        for number in range(100):
            child, *_ = put_attested(registry, "app", f"linux/arm/x{number}")
            entries += json.loads(registry.repository("app").manifests[child][1])["manifests"]
        digest = put_index(registry, "app", entries, tag="1")
        for number in range(200):
            put_referrer(registry, "app", digest, kind=f"application/example.signature.{number}")
        yield registry, digest


def test_an_index_of_100_attested_platforms_is_inspected_verified_and_merged(large):
    registry, _ = large
    with RegistrySession({}, on_wait=print) as registries:
        assert len(inspect_reference(at(registry), registries).entries) == 100
        verification = verify(at(registry), registries, rules=Rules(mode="off"), cache=LayerCache())
        assert len(verification.entries) == 100
        index = merge([read_source(str(at(registry)), registries)], MergeOptions(annotations=(("a", "b"),)))
        assert len(index.entries) == 200


def test_200_signatures_are_listed(large):
    registry, digest = large
    with client(registry.host) as one:
        assert len(one.referrers(at(registry).with_digest(digest)) or ()) == 200


def _slow_but_steady(talk):
    body = json.dumps({"schemaVersion": 2, "manifests": []}).encode().ljust(1000)
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    talk.drip(body[at : at + 100] for at in range(0, 1000, 100))


def _late(talk):
    talk.server.closing.wait(0.3)
    talk.answer(body=b'{"schemaVersion": 2, "manifests": []}', content_type="application/json")


@pytest.mark.parametrize("behaviour", [_slow_but_steady, _late])
def test_a_slow_registry_that_makes_progress_is_read(behaviour):
    with (
        HostileRegistry(behaviour) as registry,
        client(registry.host, window_s=0.05, min_bytes_per_s=200) as one,
    ):
        assert one.manifest(at(registry)).is_index


# -- a budget per command


def _image_at(registry):
    return put_index(
        registry,
        "app",
        [
            descriptor(registry, "app", put_image(registry, "app", f"linux/{name}"), f"linux/{name}")
            for name in "abc"
        ],
        tag="1",
    )


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"requests": 3}, r"more than 3 requests in one command, after [4-6] requests, 3 entries"),
        ({"entries": 2}, "more than 2 entries in one command, after 1 requests"),
        ({"total_bytes": 60}, "more than 60 bytes in one command"),
    ],
)
def test_a_budget_that_is_used_up_ends_the_command(limits, words):
    with FakeRegistry() as registry:
        _image_at(registry)
        session = RegistrySession({}, on_wait=print, limits=HttpLimits(**limits))
        with session as registries, pytest.raises(LimitExceeded, match=words) as caught:
            inspect_reference(at(registry), registries)
        assert registry.host in caught.value.message
        assert caught.value.hint


def test_indexes_within_indexes_have_a_budget():
    with FakeRegistry() as registry:
        inner = _image_at(registry)
        with client(registry.host, indexes=2) as one:
            for _ in range(2):
                assert one.manifest(at(registry).with_digest(inner))
            with pytest.raises(LimitExceeded, match="more than 2 indexes"):
                one.manifest(at(registry).with_digest(inner))


def test_waiting_for_answers_has_a_budget():
    with HostileRegistry(BEHAVIOURS["no answer at all"].act) as registry:
        one = client(registry.host, idle_s=0.1, window_s=0.1, waiting_s=0.15)
        with one, pytest.raises(LimitExceeded, match=r"GET /v2/app/manifests/1.*0\.15 s of waiting"):
            one.manifest(at(registry))


def test_waiting_before_requests_are_repeated_has_a_budget():
    patient = RetryPolicy(tries=1000, max_wait_s=0.02)
    budget = Budget(HttpLimits(waiting_s=0.1))
    with HostileRegistry(BEHAVIOURS["a retry after years"].act) as registry:
        one = Registry(RegistrySettings(host=registry.host), retry=patient, budget=budget)
        with one, pytest.raises(LimitExceeded, match=r"answers 503: more than 0\.1 s of waiting"):
            one.manifest(at(registry))
        assert len(registry.requests) < 10


def test_a_budget_that_is_used_up_ends_a_verification():
    with FakeRegistry() as registry:
        _image_at(registry)
        session = RegistrySession({}, on_wait=print, limits=HttpLimits(requests=3))
        with session as registries, pytest.raises(LimitExceeded):
            verify(at(registry), registries, rules=Rules(), cache=LayerCache())


def test_after_an_error_no_more_work_is_started():
    started = []

    def work(number):
        started.append(number)
        if number == 0:
            raise RegistryError("invalid", "the first")
        time.sleep(0.02)

    with RegistrySession({}, on_wait=print) as registries, pytest.raises(RegistryError, match="the first"):
        registries.map(work, range(1000))
    assert len(started) < 900


def test_a_digest_that_many_entries_share_is_read_once():
    with FakeRegistry() as registry:
        entry = descriptor(registry, "app", put_image(registry, "app", "linux/arm64"), "linux/arm64")
        put_index(registry, "app", [entry] * 1000, tag="1")
        with RegistrySession({}, on_wait=print) as registries:
            assert len(inspect_reference(at(registry), registries).entries) == 1000
        assert len(registry.log) == 3


def _deep(registry, depth):
    """Return the entry of an index within an index, `depth` deep."""
    entry = descriptor(registry, "app", put_image(registry, "app", "linux/amd64"), "linux/amd64")
    for number in range(depth):
        index = put_index(registry, "app", [entry], annotations={"n": str(number)})
        entry = descriptor(registry, "app", index)
    return entry


def _nested_source(registry, kind, depth):
    """Put an image into the registry that leads to indexes within indexes in one of several ways."""
    image = put_image(registry, "app", "linux/arm64")
    entries = [descriptor(registry, "app", image, "linux/arm64")]
    deep = _deep(registry, depth)
    if kind == "entry":
        entries.append(deep)
    elif kind == "attestation":
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}
        entries.append({**deep, "annotations": about})
    elif kind == "referrer":
        put_index(registry, "app", [deep], subject={"mediaType": "x", "digest": image, "size": 1})
    else:
        put_index(registry, "app", [deep], tag=f"{image.replace(':', '-')}.{kind}")
    put_index(registry, "app", entries, tag="1")


@pytest.mark.parametrize("kind", ["entry", "attestation", "referrer", "sig", "att", "sbom"])
@pytest.mark.parametrize(("depth", "code"), [(3, 0), (700, 7)])
def test_indexes_deep_within_indexes_are_not_copied(kind, depth, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with FakeRegistry(referrers=True) as registry:
        _nested_source(registry, kind, depth)
        flags = ["--no-flatten"] if kind == "entry" else []
        assert main(["merge", f"{registry.host}/other:1", f"{registry.host}/app:1", *flags]) == code
        assert ("1" in registry.repository("other").tags) == (code == 0)
    if code:
        assert "indexes deep" in capsys.readouterr().err


# -- lists


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("kind", ["tags", "referrers"])
def test_a_list_without_end_is_an_error(name, kind):
    with HostileRegistry(PAGES[name]) as registry:
        with client(registry.host, requests=50) as one:
            subject = at(registry).with_digest(f"sha256:{'a' * 64}")
            lists = {"tags": lambda: one.tags("app"), "referrers": lambda: one.referrers(subject)}
            with pytest.raises(RegistryError):
                lists[kind]()
        assert len(registry.requests) <= 51


def test_a_list_of_too_many_referrers_is_an_error(large):
    registry, digest = large
    with (
        client(registry.host, entries=100) as one,
        pytest.raises(LimitExceeded, match="more than 100 entries"),
    ):
        one.referrers(at(registry).with_digest(digest))


# -- uploads


PLACES = {
    "another host": "http://localhost:{port}/v2/app/blobs/uploads/1",
    "another port": "http://127.0.0.1:{port}/v2/app/blobs/uploads/1",
    "another host without scheme": "//localhost:{port}/v2/app/blobs/uploads/1",
    "another scheme": "https://{own}/v2/app/blobs/uploads/1",
    "a login and another port": "http://somebody@127.0.0.1:{port}/x",
    "a file": "file:///etc/passwd",
    "no URL": "http://[::1:x/",
}


def _opens_upload_at(place):
    return lambda talk: talk.answer(
        "202 Accepted", headers=[f"Location: {place.format(own=talk.server.host)}"]
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("work", ["upload", "check"])
def test_an_upload_goes_only_to_the_registry_that_opened_it(place, work):
    with FakeRegistry() as other:
        url = PLACES[place].replace("{port}", other.host.partition(":")[2])
        with HostileRegistry(_opens_upload_at(url)) as registry, client(registry.host) as one:
            if work == "check":
                one.check_push("app")
            else:
                blob = Descriptor(media_type="x", digest=f"sha256:{'a' * 64}", size=1)
                with pytest.raises(RegistryError):
                    one.upload("app", blob, iter([b"x"]))
        assert {method for method, *_ in registry.requests} == {"POST"}
        assert other.log == []


def test_a_registry_that_does_not_take_an_upload_is_too_slow():
    def stop_reading(talk):
        if talk.method == "POST":
            talk.answer("202 Accepted", headers=["Location: /v2/app/blobs/uploads/1"])
        else:
            talk.server.closing.wait(NEVER_S)

    size = 64 * 2**20
    blob = Descriptor(media_type="x", digest=f"sha256:{'a' * 64}", size=size)
    with (
        HostileRegistry(stop_reading) as registry,
        client(registry.host, idle_s=0.3) as one,
        pytest.raises(RegistryError, match=r"PUT .*uploads/1.*too slow"),
    ):
        one.upload("app", blob, iter([b"x" * 2**20] * 64))


# -- redirects


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("https://cdn.example.org/a", "http://cdn.example.org/a", "without TLS"),
        ("https://cdn.example.org/a", "http://127.0.0.1:5000/a", "without TLS"),
        ("http://127.0.0.1:5000/a", "file:///a", "file:"),
        ("http://127.0.0.1:5000/a", "ldap://127.0.0.1/a", "ldap:"),
        ("http://127.0.0.1:5000/a", "http://169.254.169.254/latest/meta-data", "a machine's own"),
        ("http://127.0.0.1:5000/a", "http://169.254.169.254:80/latest/meta-data", "a machine's own"),
        ("http://127.0.0.1:5000/a", "http://2852039166/latest/meta-data", "a machine's own"),
        ("http://127.0.0.1:5000/a", "http://0xa9.254.43518/latest/meta-data", "a machine's own"),
        ("http://127.0.0.1:5000/a", "http://[::ffff:169.254.169.254]/latest", "a machine's own"),
        ("http://127.0.0.1:5000/a", "http://[fe80::1]/a", "a machine's own"),
        ("http://127.0.0.1:5000/a", "http://0.0.0.0:2375/a", "a machine's own"),
        ("https://cdn.example.org/a", "https://169.254.169.254/a", "a machine's own"),
    ],
)
def test_a_redirect_to_less_safety_is_refused(source, target, words):
    http = HttpClient(RegistrySettings(host="127.0.0.1:5000"))
    response = httpx.Response(307, headers={"Location": target}, request=httpx.Request("GET", source))
    with pytest.raises(RegistryError, match=words):
        http._redirected(response)


def test_a_registry_that_is_at_such_an_address_may_lead_to_itself():
    http = HttpClient(RegistrySettings(host="169.254.7.7:5000", insecure=True))
    request = httpx.Request("GET", "http://169.254.7.7:5000/v2/a")
    response = httpx.Response(307, headers={"Location": "http://169.254.7.7:5000/b"}, request=request)
    assert http._redirected(response) == "http://169.254.7.7:5000/b"


def test_a_redirect_to_a_file_is_refused_at_once():
    with HostileRegistry(BEHAVIOURS["a redirect to a file"].act) as registry:
        with client(registry.host) as one, pytest.raises(RegistryError, match="file:"):
            one.manifest(at(registry))
        assert len(registry.requests) == 1


# -- the command line

CLI_ROWS = (
    "a redirect to a file", "a challenge of 60 kB", "a gzip bomb", "10,000 entries", "a body without end",
    "status 999", "no JSON", "an entry that is none", "chunks of a byte without end", "a redirect to itself",
)  # fmt: skip
COMMANDS = {
    "inspect": (["inspect", "{}"], {3, 6}),
    "inspect --diff": (["inspect", "{}", "--diff", "{}"], {3, 6}),
    "inspect --raw": (["inspect", "{}", "--raw"], {0, 3, 6}),
    "resolve": (["resolve", "{}"], {3, 6}),
    "verify": (["verify", "{}"], {3, 6}),
    "merge": (["merge", "localhost:1/x:1", "{}", "--dry-run"], {3, 6, 7}),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", CLI_ROWS)
def test_a_command_ends_with_an_error_that_names_the_registry(name, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    arguments, codes = COMMANDS[command]
    with HostileRegistry(BEHAVIOURS[name].act) as registry:
        code = main([word.replace("{}", f"{registry.host}/app:1") for word in arguments])
    error = capsys.readouterr().err
    assert code in codes, error
    assert "a bug in multibuild" not in error
    assert threading.active_count() < 200
