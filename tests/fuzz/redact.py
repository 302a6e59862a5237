"""Secrets in URLs, headers and attributes of every shape, within hostile text.

A case is text in which the marks of `MARK` stand for a secret that is derived from the case: which characters a secret may
have without being encoded depends on where it is.
"""

import random
import string
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import quote

from fuzz.harness import Target, mutated
from multibuild.redact import redacted, redacted_arguments, redacted_values

MARK = b"\xc2\xa4"  # a currency sign
SHAPES = tuple(
    shape.encode()
    for shape in (
        "https://user:¤@git.example/team/app.git#main:sub", "https://¤@github.com/a/b.git", "https://¤:x-oauth-basic@github.com/a",
        "https://¤:@host/x", "ssh://user:¤@host:22/x", "git+ssh://u:¤@h/x", "git://user:¤@host/x", "user:¤@host:team/x.git",
        "HTTP_PROXY=http://u:¤@proxy:3128", "https_proxy=u:¤@proxy:3128/", "https://u:p@¤@host/x", "https://u:p/¤@host/x",
        "https://u:#¤?@host/x", "https://host/x?a=1&token=¤#ref", "https://host/x?%74oken=¤", "https://host/#access_token=¤&b=c",
        "https://b.example/x?X-Amz-Date=1&X-Amz-Signature=¤", "https://b/x?sv=1&sig=¤", "https://h/x?a=1&amp;sig=¤",
        "https://h/to?url=https://u:¤@i/x", "https://h/to?url=https%3A%2F%2Fu%3A¤%40i%2Fx", "type=s3,secret_access_key=¤,name=x",
        "type=gha,url=https://c/?x=1,token=¤,scope=a", "> Authorization: Bearer ¤", "-H 'Authorization: Basic ¤' https://h/",
        "PRIVATE-TOKEN: ¤", "X-Auth-Token: ¤ rest", "Set-Cookie: id=¤; Path=/", '{"access_token":"¤","expires_in":300}',
        "fatal: unable to access 'https://u:¤@h/x.git/': 403", "Location: https://cdn/x?Signature=¤",
    )
)  # fmt: skip
_PLAIN = string.ascii_letters + string.digits
_WORDS = (
    b"://",
    b"@",
    b":",
    b"?token=",
    b"&",
    b"#",
    b"%40",
    b"%3A%2F%2F",
    b"sha256:",
    b'"',
    b"Authorization: ",
    b"***",
)
_SPACES = (b" ", b"\n", b"\t", b"\r\n")


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return shapes between mutated text, each after a space: a secret must be recognized whatever stands around it."""
    pieces = []
    for _ in range(generator.randint(1, 5)):
        noise = mutated(generator, generator.choice(seeds), words=_WORDS).replace(MARK, b"")
        pieces += [noise, generator.choice(_SPACES), generator.choice(SHAPES), generator.choice(_SPACES)]
    return b"".join(pieces)


def _secret(case: bytes) -> str:
    """Return a secret of 16 characters and more: letters and digits, or encoded signs, too."""
    seed = sha256(case).hexdigest()
    generator = random.Random(seed)
    plain = "".join(generator.choices(_PLAIN, k=16))
    return (
        quote(plain + "".join(generator.choices("@/:#?% &+=", k=4)), safe="") if seed[0] in "0123" else plain
    )


def _run(case: bytes) -> None:
    text = case.decode("utf-8", "surrogateescape")
    secret = _secret(case)
    whole = text.replace(MARK.decode(), secret)
    result = redacted(whole)
    assert secret not in result, "a secret is left"
    assert redacted(result) == result, "redacting twice changes it"
    assert secret not in "".join(redacted_arguments(["build", whole, "--build-arg", f"A_TOKEN={secret}"]))
    assert secret not in str(redacted_values({"a": [whole], whole: 1}))


TARGETS = (Target(name="redact", make=_make, run=_run),)
