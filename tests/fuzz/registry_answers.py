"""What a registry sends, byte by byte: the first line of a case is what is asked, then an answer for each request."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fakes.hostile_registry import Conversation, HostileRegistry

from fuzz.harness import Target, mutated
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.errors import translate_read_errors
from multibuild.oci.http import RetryPolicy
from multibuild.oci.limits import Budget, HttpLimits
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

SEPARATOR = b"\n=====\n"
LIMITS = HttpLimits(requests=40, connect_s=0.2, idle_s=2.0, window_s=2.0)
ONCE = RetryPolicy(tries=1, unreachable_s=0.0)
DIGEST = f"sha256:{'a' * 64}"
STATUSES = (b"0", b"99", b"100", b"101", b"199", b"204", b"206", b"300", b"304", b"307", b"401", b"404", b"429", b"599",
            b"600", b"999", b"-1", b"2000", b"2OO")  # fmt: skip
HEADERS = (
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: " + b"9" * 5000 + b"\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: deflate\r\n", b"Content-Encoding: br\r\n", b"Docker-Content-Digest: sha256:zz\r\n",
    b"Docker-Content-Digest: " + DIGEST.encode() + b"\r\n", b"Location: /v2/app/manifests/1\r\n",
    b"Location: file:///etc/passwd\r\n", b"Location: //[::1\r\n", b"Location: http://127.0.0.1:1/\r\n",
    b"Location: http://xn--a.example/\r\n",
    b"Location: \xff\xfe\r\n", b"Link: </v2/app/tags/list?last=a>; rel=next\r\n", b"Link: <<<>>;;;==,,\r\n",
    b"Retry-After: " + b"9" * 400 + b"\r\n", b"Retry-After: Mon, 99 Foo 99999 99:99:99 +9999\r\n",
    b'WWW-Authenticate: Bearer realm="/token"\r\n', b"WWW-Authenticate: Basic realm=x\r\n", b"X: " + b"y" * 9000 + b"\r\n",
    b"Content-Type: application/vnd.oci.image.index.v1+json\r\n", b"Content-Type: \xe4\x00\r\n", b" folded\r\n", b"\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change an answer of a right conversation: its status, a header more or less, or any bytes."""
    question, *answers = generator.choice(seeds).split(SEPARATOR)
    at = generator.randrange(len(answers))
    for _ in range(generator.randint(1, 2)):
        answers[at] = changed(generator, answers[at])
    if generator.random() < 0.1:
        answers[at:at] = [answers[at]] * generator.randint(1, 5)
    return SEPARATOR.join([generator.choice((question, question, *QUESTIONS_TEXT)), *answers])


def changed(generator: random.Random, answer: bytes) -> bytes:
    line, _, rest = answer.partition(b"\r\n")
    match generator.randrange(4):
        case 0:
            line = line[:9] + generator.choice(STATUSES) + line[12:]
        case 1:
            rest = generator.choice(HEADERS) + rest
        case 2:
            headers, end, body = rest.partition(b"\r\n\r\n")
            kept = [header for header in headers.split(b"\r\n") if generator.random() < 0.6]
            rest = b"\r\n".join(kept) + end + body
        case _:
            return mutated(generator, answer, HEADERS)
    return line + b"\r\n" + rest


def _questions(registry: Registry, at: Reference) -> dict[bytes, Callable[[], object]]:
    blob = Descriptor(media_type="x", digest=DIGEST, size=3)
    return {
        b"manifest": lambda: registry.manifest(at),
        b"head": lambda: registry.head(at),
        b"tags": lambda: registry.tags("app"),
        b"referrers": lambda: registry.referrers(at.with_digest(DIGEST)),
        b"blob": lambda: list(registry.blob("app", DIGEST)),
        b"check": lambda: registry.check_push("app"),
        b"upload": lambda: registry.upload("app", blob, iter([b"abc"])),
        b"mount": lambda: registry.mount("app", DIGEST, "other"),
        b"delete": lambda: registry.delete(at),
    }


QUESTIONS_TEXT = (
    b"manifest",
    b"head",
    b"tags",
    b"referrers",
    b"blob",
    b"check",
    b"upload",
    b"mount",
    b"delete",
)


def _run(case: bytes) -> None:
    question, *answers = case.split(SEPARATOR)
    with _playing(answers) as (server, registry):
        at = Reference(host=server.host, repository="app", tag="1")
        work = _questions(registry, at).get(question, lambda: registry.manifest(at))
        try:
            with translate_read_errors():
                work()
        finally:
            _check(server)


@contextmanager
def _playing(answers: Sequence[bytes]) -> Iterator[tuple[HostileRegistry, Registry]]:
    def play(talk: Conversation) -> None:
        number = min(len(talk.server.requests), len(answers)) - 1
        talk.send(answers[number] if answers else b"")

    login = Credentials(username="me", secret="s3cret-word")
    with HostileRegistry(play) as server:
        settings = RegistrySettings(host=server.host)
        budget = Budget(LIMITS)
        with Registry(settings, read_login=lambda: login, retry=ONCE, budget=budget) as registry:
            yield server, registry


def _check(server: HostileRegistry) -> None:
    """No request names another host, shows the login where no challenge asked for it, or leads out of the API."""
    assert len(server.requests) <= 2 * LIMITS.requests
    for _, path, head in server.requests:
        assert b"s3cret" not in head
        assert path.startswith("/"), path


TARGETS = (Target(name="registry-answers", make=_make, run=_run),)
