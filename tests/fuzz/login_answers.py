"""Logins through every reading command: a challenge, a token document and an index, one of them changed.

A case is the name of a command and of a login, then the answers to a request without a login, to one for a token, and
to one with a token.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence

from fakes.hostile_registry import Conversation, HostileRegistry

from fuzz.harness import Target, mutated_json
from fuzz.registry_answers import SEPARATOR, changed
from multibuild.builds.fingerprint import registry_digest
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.errors import translate_read_errors
from multibuild.oci.http import RetryPolicy
from multibuild.oci.limits import HttpLimits
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_session import RegistrySession
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.verify import Rules, verify
from multibuild.publish.merge import MergeOptions, merge
from multibuild.publish.merge_sources import read_source
from multibuild.resolve.inspect_index import inspect_reference
from multibuild.resolve.resolve import resolve_hosts

LIMITS = HttpLimits(requests=60, connect_s=0.2, idle_s=2.0, window_s=2.0)
ONCE = RetryPolicy(tries=1, unreachable_s=0.0)
SECRETS = (b"s3cret-word", b"s3cret-identity", b"s3cret-given", b"bWU6czNjcmV0LXdvcmQ")
LOGINS = {
    b"none": None,
    b"password": Credentials(username="me", secret="s3cret-word"),
    b"identity": Credentials(username="", secret="", identity_token="s3cret-identity"),
    b"both": Credentials(username="me", secret="s3cret-word", identity_token="s3cret-identity"),
    b"registry": Credentials(username="", secret="", registry_token="s3cret-given"),
}


class _Session(RegistrySession):
    """Registries with a given login, which is not asked of docker's config."""

    def __init__(self, login: Credentials | None) -> None:
        super().__init__({}, on_wait=lambda text: None, retry=ONCE, limits=LIMITS)
        self._login = login

    def of(self, host: str) -> Registry:
        if host not in self._open:
            registry = Registry(
                RegistrySettings(host=host), read_login=lambda: self._login, retry=ONCE, budget=self._budget
            )
            self._open[host] = self._stack.enter_context(registry)
        return self._open[host]


COMMANDS: Mapping[bytes, Callable[[Reference, RegistrySession], object]] = {
    b"inspect": inspect_reference,
    b"resolve": lambda at, session: resolve_hosts(session.of(at.host).manifest(at), ["linux/arm64"]),
    b"verify": lambda at, session: verify(at, session, rules=Rules(mode="all"), cache=LayerCache()),
    b"merge": lambda at, session: merge([read_source(str(at), session)], MergeOptions()),
    b"if-changed": lambda at, session: registry_digest(session, str(at)),
}


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    _, *answers = generator.choice(seeds).split(SEPARATOR)
    at = generator.choice((0, 1, 1, 1, 2))
    if at == 1 and generator.random() < 0.6:
        head, _, body = answers[1].partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
        document = json.dumps(mutated_json(generator, json.loads(body or b"{}"))).encode()
        answers[1] = b"\r\n".join((*lines, b"Connection: close")) + b"\r\n\r\n" + document
    else:
        answers[at] = changed(generator, answers[at])
    return SEPARATOR.join([b" ".join((generator.choice([*COMMANDS]), generator.choice([*LOGINS]))), *answers])


def _run(case: bytes) -> None:
    question, *answers = case.split(SEPARATOR)
    command, _, login = question.partition(b" ")
    answers += [b""] * (3 - len(answers))

    def play(talk: Conversation) -> None:
        has_login = b"\nauthorization:" in talk.head.lower()
        number = 1 if talk.path.startswith("/token") else 2 if has_login else 0
        talk.send(answers[number].replace(b"HOST", talk.server.host.encode()))

    with HostileRegistry(play) as server, _Session(LOGINS.get(login)) as session, translate_read_errors():
        try:
            at = Reference(host=server.host, repository="app", tag="1")
            COMMANDS.get(command, inspect_reference)(at, session)
        except Exception as error:
            text = str(error)
            assert not any(secret.decode() in text for secret in SECRETS)
            raise
        finally:
            _check(server)


def _check(server: HostileRegistry) -> None:
    """Nothing is written, only the form for a token is posted, and a login is in headers and forms alone."""
    for method, path, head in server.requests:
        is_form = method == "POST" and b"application/x-www-form-urlencoded" in head
        assert method in {"GET", "HEAD"} or is_form, (method, path)
        assert not any(secret in head.split(b"\r\n", 1)[0] for secret in SECRETS)
        assert path.startswith("/")


TARGETS = (Target(name="login-answers", make=_make, run=_run),)
