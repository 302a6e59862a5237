"""A `cosign` on PATH: its commands, its layouts in a registry and its ways to fail are real, its cryptography is not.

Version 2 adds a layer to the image under the tag `sha256-<hex>.sig`, version 3 pushes a bundle that refers to the image
(both as cosign 2.5.0 and 3.1.1 do). A signature is an HMAC by the public key, which follows from the private one. The
registry is one of plain http. Run as a program it records its arguments, and does what the next answer says.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

if __name__ != "__main__":
    from multibuild.child_process import ChildLimit, ChildResult, ChildStopped

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ANY = f"{MANIFEST}, {INDEX}, application/vnd.docker.distribution.manifest.v2+json"
NOTE = "dev.cosignproject.cosign/signature"
SWITCHES = {"--yes", "--allow-http-registry", "--allow-insecure-registry"}


class FakeCosign:
    """cosign in a folder: `run` in this process, or as a program on PATH. Tests set its answers and read its calls.

    An answer is for the next call of a command: "ok", "hang" (until it is ended), "flood", "kill" (by itself), "lie"
    (exit 0 and nothing done), "late" (it signs, then fails), or the text of an error. Without one it is "ok".
    """

    def __init__(self, folder, *, version=2):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.answer()
        (folder / "version").write_text(str(version))
        program = folder / "cosign"
        line = shlex.join([sys.executable, "-S", "-E", __file__, str(folder)])
        program.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        program.chmod(0o755)

    def answer(self, **answers):
        """Set the answers to the next calls by command, `_` for `-`."""
        (self.folder / "answers.json").write_text(
            json.dumps({name.replace("_", "-"): list(values) for name, values in answers.items()})
        )

    @property
    def path(self):
        """PATH with the program first."""
        return f"{self.folder}:{os.environ['PATH']}"

    @property
    def calls(self):
        """The arguments of every call so far, without those for help."""
        log = self.folder / "calls.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [call for call in map(json.loads, lines) if "--help" not in call]

    def calls_of(self, command):
        return [call for call in self.calls if call[0] == command]

    def write_key(self, path, *, name="release", password=""):
        """Write a private key; return its public half."""
        path.write_text(private_key(name, password))
        return public_key(path.read_text())

    def run(self, argv, *, environ, timeout_s, max_bytes, is_stopped):
        """Do in this process what `run_child` does with the program."""
        answer = next_answer(self.folder, argv[1:])
        while answer == "hang" and not is_stopped():
            if timeout_s < 1:
                raise ChildLimit(f"does not answer within {timeout_s}s")
            time.sleep(0.01)
        if is_stopped():
            raise ChildStopped
        if answer == "flood":
            raise ChildLimit(f"prints more than {max_bytes} bytes")
        if answer == "kill":
            return ChildResult(returncode=-9, stdout=b"", stderr=b"")
        code, stdout, stderr = carry_out(self.folder, argv[1:], answer, environ)
        return ChildResult(returncode=code, stdout=stdout.encode(), stderr=stderr.encode())


def private_key(name, password=""):
    return f"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{name}\n{password}\n-----END-----\n"


def public_key(private):
    digest = hashlib.sha256(private.splitlines()[1].encode()).hexdigest()
    return f"-----BEGIN PUBLIC KEY-----\n{digest}\n-----END PUBLIC KEY-----\n"


def signature_of(public, payload):
    return base64.b64encode(hmac.digest(public.strip().encode(), payload, "sha256")).decode()


class CosignError(Exception):
    pass


class Repository:
    """A repository of a registry of plain http."""

    def __init__(self, name):
        self.host, _, self.name = name.partition("/")

    def ask(self, method, path, body=b"", **headers):
        connection = http.client.HTTPConnection(self.host, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, f"/v2/{self.name}/{path}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        except OSError as error:
            raise CosignError(f'accessing image: Get "http://{self.host}/v2/": dial tcp: {error}') from error
        finally:
            connection.close()

    def manifest(self, reference):
        status, content, _ = self.ask("GET", f"manifests/{reference}", Accept=ANY)
        return content if status == 200 else None

    def put_manifest(self, reference, document, kind=MANIFEST):
        content = json.dumps(document).encode()
        digest = digest_of(content)
        status, _, headers = self.ask("PUT", f"manifests/{reference or digest}", content, Content_Type=kind)
        if status != 201:
            path = f"http://{self.host}/v2/{self.name}/manifests/{reference or digest}"
            raise CosignError(f"signing digest: PUT {path}: unexpected status code {status}")
        return digest, len(content), headers

    def put_blob(self, content):
        status, _, headers = self.ask("POST", "blobs/uploads/")
        if status != 202:
            raise CosignError(f"signing digest: POST http://{self.host}/v2/: unexpected status code {status}")
        place = urlsplit(headers["Location"])
        path = place.path.partition(f"/v2/{self.name}/")[2]
        query = "&".join(filter(None, (place.query, f"digest={digest_of(content)}")))
        self.ask("PUT", f"{path}?{query}", content, Content_Type="application/octet-stream")
        return {"digest": digest_of(content), "size": len(content)}

    def blob(self, digest):
        return self.ask("GET", f"blobs/{digest}")[1]


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tag_of(digest):
    return digest.replace(":", "-")


def payload_of(repository, digest):
    """Return the text that version 2 signs (containers/image docs/signature-protocols.md)."""
    critical = {
        "identity": {"docker-reference": f"{repository.host}/{repository.name}"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def sign_with_tag(repository, digest, public):
    payload = payload_of(repository, digest)
    layer = repository.put_blob(payload) | {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "annotations": {NOTE: signature_of(public, payload)},
    }
    stored = repository.manifest(f"{tag_of(digest)}.sig")
    layers = json.loads(stored)["layers"] if stored else []
    if layer in layers:
        return
    config = repository.put_blob(b"{}") | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [*layers, layer]}
    repository.put_manifest(f"{tag_of(digest)}.sig", document)


def sign_with_bundle(repository, digest, public):
    subject = repository.manifest(digest)
    payload = json.dumps({"subject": digest, "nonce": time.time_ns()}).encode()
    bundle = {"payload": base64.b64encode(payload).decode(), "sig": signature_of(public, payload)}
    layer = repository.put_blob(json.dumps(bundle).encode()) | {"mediaType": BUNDLE}
    config = repository.put_blob(b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": config,
        "layers": [layer],
        "subject": {"mediaType": MANIFEST, "digest": digest, "size": len(subject)},
    }
    own, size, headers = repository.put_manifest("", document)
    if headers.get("OCI-Subject") != digest:
        entry = {"mediaType": MANIFEST, "digest": own, "size": size, "artifactType": BUNDLE}
        stored = repository.manifest(tag_of(digest))
        listed = json.loads(stored)["manifests"] if stored else []
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, entry]}
        repository.put_manifest(tag_of(digest), index, INDEX)


def signatures(repository, digest):
    """Yield (payload, signature) in both layouts."""
    stored = repository.manifest(f"{tag_of(digest)}.sig")
    for layer in json.loads(stored)["layers"] if stored else ():
        yield repository.blob(layer["digest"]), layer["annotations"][NOTE]
    status, content, _ = repository.ask("GET", f"referrers/{digest}")
    listed = content if status == 200 else repository.manifest(tag_of(digest))
    for entry in json.loads(listed)["manifests"] if listed else ():
        document = json.loads(repository.manifest(entry["digest"]))
        if document.get("artifactType") == BUNDLE:
            bundle = json.loads(repository.blob(document["layers"][0]["digest"]))
            yield base64.b64decode(bundle["payload"]), bundle["sig"]


def is_signed(reference, public):
    """Whether `repository@digest` has a signature by a public key."""
    name, _, digest = reference.partition("@")
    return any(
        digest.encode() in payload and signature == signature_of(public, payload)
        for payload, signature in signatures(Repository(name), digest)
    )


def read_key(key, environ):
    if key.startswith("env://"):
        if key[6:] not in environ:
            raise CosignError(f"loading URL: env var ${key[6:]} not found")
        return environ[key[6:]]
    if "://" in key:
        return private_key(key)
    try:
        return Path(key).read_text()
    except OSError:
        raise CosignError(f"open {key}: no such file or directory") from None


def read_private_key(key, environ):
    """Open a key; without COSIGN_PASSWORD cosign reads stdin, which is empty."""
    private = read_key(key, environ)
    if private.splitlines()[2] != environ.get("COSIGN_PASSWORD", ""):
        raise CosignError("decrypt: encrypted: decryption failed")
    return private


def parse(arguments):
    """Return (flags, references)."""
    flags, references, words = {}, [], iter(arguments)
    for word in words:
        if not word.startswith("-"):
            references.append(word)
        elif "=" in word or word in SWITCHES:
            flags[word.partition("=")[0]] = word.partition("=")[2]
        else:
            flags[word] = next(words)
    return flags, references


def act(arguments: Sequence[str], environ: Mapping[str, str], version: int) -> str:
    """Return what cosign prints; CosignError is its last word."""
    command = arguments[0]
    if "--help" in arguments:
        return "Flags:\n  --tlog-upload=true:" + ("\n  --use-signing-config=true:" if version == 3 else "")
    flags, references = parse(arguments[1:])
    if command == "version":
        return f"GitVersion:    v{version}.0.0\n"
    if command == "generate-key-pair":
        Path("cosign.key").write_text(private_key("generated", environ.get("COSIGN_PASSWORD", "")))
        Path("cosign.pub").write_text(public_key(Path("cosign.key").read_text()))
        return ""
    if command == "public-key":
        return str(public_key(read_private_key(flags["--key"], environ)))
    if command == "sign":
        sign(flags, references, environ, version)
        return ""
    assert command == "verify", arguments
    for reference in references:
        if not is_signed(resolved(reference), read_key(flags["--key"], environ)):
            raise CosignError("no matching signatures: error verifying bundle")
    return json.dumps([{"critical": {"image": reference}} for reference in references])


def sign(flags, references, environ, version):
    private = read_private_key(flags["--key"], environ) if "--key" in flags else private_key("keyless")
    for reference in references:
        name, at, digest = reference.partition("@")
        assert at, "a tag may move before it is signed"
        if Repository(name).manifest(digest) is None:
            raise CosignError(f"signing [{reference}]: accessing image: unexpected status code 404")
        write = sign_with_bundle if version == 3 else sign_with_tag
        write(Repository(name), digest, public_key(private))


def resolved(reference):
    """Return a reference by digest."""
    if "@" in reference:
        return reference
    name, _, tag = reference.rpartition(":")
    return f"{name}@{digest_of(Repository(name).manifest(tag))}"


def next_answer(folder, arguments):
    """Record a call, and return its answer."""
    command = "help" if "--help" in arguments else arguments[0]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answers = json.loads((folder / "answers.json").read_text())
        answer = (answers.get(command) or ["ok"]).pop(0)
        (folder / "answers.json").write_text(json.dumps(answers))
        with (folder / "calls.jsonl").open("a") as log:
            log.write(json.dumps(list(arguments)) + "\n")
    return answer


def carry_out(folder, arguments, answer, environ):
    """Return (exit code, stdout, stderr)."""
    stdout, error = "", "" if answer in {"ok", "lie", "late"} else answer
    if answer in {"ok", "late"}:
        try:
            stdout = act(arguments, environ, int((folder / "version").read_text()))
        except CosignError as failure:
            error = str(failure)
    if answer == "late":
        error = "signing digest: context deadline exceeded"
    return (
        (1, stdout, f"Error: {error}\nerror during command execution: {error}\n")
        if error
        else (0, stdout, "")
    )


def main(folder, arguments):
    answer = next_answer(folder, arguments)
    if answer == "hang":
        (folder / "pid").write_text(str(os.getpid()))
        signal.pause()
    while answer == "flood":
        os.write(2, b"x" * 65536)
    if answer == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    code, stdout, stderr = carry_out(folder, arguments, answer, os.environ)
    sys.stdout.write(stdout)
    sys.stderr.write(stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
