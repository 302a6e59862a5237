"""An index, its images and configs as a registry serves them, through every reading command and `merge --dry-run`.

A case is a JSON object: the documents, and how one kind of request is answered otherwise. Digests and sizes that a
document has of another are put right unless the case says `as_is`, or no mutation would ever be read.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from fakes.images import OCI, OCI_INDEX
from fakes.registry_server import FakeRegistry

from fuzz.harness import Fault, Target, mutated, mutated_json
from multibuild.cli.startup import main
from multibuild.oci.manifest import digest_of

LIMIT_S = 10.0
"""For each command; it is far from what one takes, however busy the machine is."""

CODES = {0, 2, 3, 6, 7}
READING = (
    ("inspect", "{}", "--json"),
    ("inspect", "{}", "--raw"),
    ("inspect", "{}"),
    ("inspect", "{}", "--diff", "{good}"),
    ("resolve", "{}", "--host", "linux/amd64,linux/arm64/v8,linux/arm/v6"),
    ("resolve", "--index", "{file}", "--json"),
    ("verify", "{}", "--json"),
)
MERGING = (
    ("merge", "{new}", "{}", "--dry-run"),
    ("merge", "{new}", "{}", "{good}", "--annotation", "a=b", "--dry-run"),
    ("merge", "{}", "{good}", "--append", "--dry-run"),
    ("merge", "{new}", "{}", "--no-flatten", "--platform-of", "{}=linux/arm64", "--dry-run"),
)
KINDS = ("index", "image", "config", "head", "tags")
STATUSES = (
    200,
    201,
    202,
    204,
    206,
    300,
    304,
    307,
    400,
    401,
    403,
    404,
    405,
    406,
    410,
    413,
    415,
    418,
    451,
    501,
)
RETRIED = (408, 429, 500, 502, 503, 504)
HEADERS: tuple[dict[str, str], ...] = (
    {"Content-Type": ""},
    {"Content-Type": "text/html"},
    {"Content-Type": "application/octet-stream"},
    {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
    {"Content-Type": OCI},
    {"Content-Type": OCI_INDEX},
    {"Docker-Content-Digest": "sha256:zz"},
    {"Docker-Content-Digest": digest_of(b"another")},
    {"Content-Encoding": "gzip"},
    {"Location": "/v2/"},
    {"Location": "file:///etc/passwd"},
    {"Retry-After": "9" * 40},
    {"Link": "</v2/app/tags/list?last=a>; rel=next"},
    {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'},
    {"WWW-Authenticate": "Basic realm=x"},
)


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    case: dict[str, Any] = json.loads(generator.choice(seeds))
    for name in generator.sample(("index", "image", "config"), generator.choice((0, 1, 1, 1, 2))):
        if generator.random() < 0.15:
            text = mutated(generator, json.dumps(case[name]).encode()).decode("latin-1")
            case[name] = {"raw": text}
        else:
            case[name] = mutated_json(generator, case[name])
    case["as_is"] = generator.random() < 0.3
    if generator.random() < 0.3:
        statuses = RETRIED if generator.random() < 0.02 else STATUSES
        status = generator.choice(statuses) if generator.random() < 0.7 else 200
        case["answer"] = {
            "kind": generator.choice(KINDS),
            "status": status,
            "headers": generator.choice(HEADERS) if generator.random() < 0.6 else {},
            "body": generator.choice(("own", "own", "", "{}", '{"errors": [{"code": "DENIED"}]}', "<html>")),
        }
    return json.dumps(case).encode()


@cache
def _registry() -> Any:
    kind: Any = FakeRegistry
    registry = kind()
    registry.__enter__()
    return registry


def _content(document: Any) -> bytes:
    if isinstance(document, dict) and set(document) == {"raw"}:
        return str(document["raw"]).encode("latin-1", "replace")
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _refer(document: Any, path: Sequence[Any], content: bytes, *, as_is: bool) -> None:
    """Put the digest and size of content into the descriptor at a path of a document."""
    try:
        for key in path:
            document = document[key]
        if not as_is:
            document.update(digest=digest_of(content), size=len(content))
    except (KeyError, IndexError, TypeError, AttributeError):
        return


def _serve(case: dict[str, Any], registry: Any) -> bytes:
    """Put the documents of a case under the tag `odd`; return the bytes of the index."""
    registry.reset()
    config = _content(case["config"])
    registry.put_blob("app", config)
    registry.put_blob("app", b"layer")
    _refer(case["image"], ["config"], config, as_is=case["as_is"])
    _refer(case["image"], ["layers", 0], b"layer", as_is=case["as_is"])
    image = _content(case["image"])
    registry.put("app", image, OCI)
    _refer(case["index"], ["manifests", 0], image, as_is=case["as_is"])
    index = _content(case["index"])
    registry.put("app", index, OCI_INDEX, tag="odd")
    if "answer" in case:
        kinds = {
            digest_of(index): "index",
            "odd": "index",
            digest_of(image): "image",
            digest_of(config): "config",
        }
        registry.bends = [_bend(case["answer"], kinds)]
    return index


def _bend(answer: dict[str, Any], kinds: dict[str, str]) -> Any:
    def bend(_registry: Any, request: Any, proceed: Any) -> Any:
        kind = "tags" if request.kind == "tags" else kinds.get(request.rest, "")
        if answer["kind"] not in {kind, "head" if request.method == "HEAD" else kind}:
            return proceed()
        _, content, headers = proceed()
        body = content if answer["body"] == "own" else answer["body"].encode()
        return answer["status"], body, {**headers, **answer["headers"]}

    return bend


def _put_good(registry: Any) -> None:
    config = json.dumps({"os": "linux", "architecture": "s390x"}).encode()
    entry = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest_of(config),
        "size": len(config),
    }
    registry.put_blob("good", config)
    document = {"schemaVersion": 2, "mediaType": OCI, "config": entry, "layers": []}
    registry.put("good", json.dumps(document).encode(), OCI, tag="1")


def _run(content: bytes) -> None:
    case = json.loads(content)
    registry = _registry()
    with tempfile.TemporaryDirectory() as folder, _elsewhere(folder):
        index = _serve(case, registry)
        _put_good(registry)
        Path("index.json").write_bytes(index)
        names = {"{}": "app:odd", "{good}": "good:1", "{new}": "app:new"}
        for words in _commands(case):
            arguments = [_filled(word, names, registry.host) for word in words]
            _command(arguments, registry)


def _commands(case: dict[str, Any]) -> Sequence[tuple[str, ...]]:
    """Return all commands; one of them where a request is repeated, each time with a wait."""
    every = (*READING, *MERGING)
    answer = case.get("answer", {"status": 200, "headers": {}})
    waits = {"Retry-After", "WWW-Authenticate"} & answer["headers"].keys()
    if answer["status"] in RETRIED or waits:
        number = len(json.dumps(case)) % len(every)
        return every[number : number + 1]
    return every


def _filled(word: str, names: dict[str, str], host: str) -> str:
    for name, path in names.items():
        word = word.replace(name, f"{host}/{path}")
    return word.replace("{file}", "index.json")


def _command(arguments: list[str], registry: Any) -> None:
    start = time.monotonic()
    with _captured() as text:
        code = main(arguments)
    output = text()
    if code not in CODES or (code == 7 and arguments[0] != "merge"):
        raise Fault(f"{arguments[:2]} exits {code}: {output[-2000:]}")
    if "Traceback" in output or "bug in multibuild" in output:
        raise Fault(f"{arguments[:2]}: {output[-2000:]}")
    if [line for line in registry.requests() if line.split()[0] in {"PUT", "POST", "PATCH", "DELETE"}]:
        raise Fault(f"{arguments[:2]} pushes")
    if time.monotonic() - start > LIMIT_S:
        raise Fault(f"{arguments[:2]} takes more than {LIMIT_S} s")


@contextmanager
def _captured() -> Iterator[Any]:
    """Send stdout and stderr to a file that has a descriptor, as the exact bytes of an index need one."""
    streams = sys.stdout, sys.stderr
    with tempfile.TemporaryFile() as raw, open(raw.fileno(), "w", encoding="utf-8", closefd=False) as file:
        sys.stdout = sys.stderr = file

        def text() -> str:
            return contents[0]

        contents: list[str] = []
        try:
            yield text
        finally:
            file.flush()
            raw.seek(0)
            contents.append(raw.read().decode("utf-8", "replace"))
            sys.stdout, sys.stderr = streams


@contextmanager
def _elsewhere(folder: str) -> Iterator[None]:
    """Work in an empty folder, without the user's logins."""
    before, config = Path.cwd(), os.environ.get("DOCKER_CONFIG")
    os.chdir(folder)
    os.environ["DOCKER_CONFIG"] = folder
    try:
        yield
    finally:
        os.chdir(before)
        if config is None:
            del os.environ["DOCKER_CONFIG"]
        else:
            os.environ["DOCKER_CONFIG"] = config


TARGETS = (Target(name="registry-commands", make=_make, run=_run, cpu_s=20.0, memory_mb=400, short_cases=20),)
