"""Redact secrets in commands, URLs and all text that may hold one: of tools, registries, configs and errors.

Redaction is for people and files. What docker gets is never redacted.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

REDACTED = "***"

MIN_SECRET_CHARACTERS = 4
"""Of a secret in a variable: a shorter one is a part of every text."""

MAX_NAME_CHARACTERS = 80
"""Of a parameter or a header: no name of a secret is longer, and longer ones are not looked at."""

_SECRET_WORD = re.compile(
    r"token|secret|passw|passphrase|signature|credential|authorization|api[-_.]?key|access[-_.]?key|private[-_.]?key"
)
_SECRET_PARTS = frozenset({"auth", "jwt", "key", "pass", "pat", "pw", "pwd", "sig", "cookie", "session"})

_URL = re.compile(
    r"(?:(?<=://)|(?:(?<=https:/)|(?<=http:/)|(?<=ssh:/)|(?<=git:/))(?!/))(?:(?!://)[^\s\"'<>`\\])+",
    re.IGNORECASE,
)
"""What follows the scheme, up to the next scheme (a URL in a parameter, two in a list); a path has one slash of two."""

_ENCODED_URL = re.compile(r"(?<=%3A%2F%2F)[^\s\"'<>`\\&]+", re.IGNORECASE)
"""The same in a URL that is the value of another one's parameter."""

_ENCODED_AT = re.compile("%40|@", re.IGNORECASE)
_AT = re.compile(r"@(?!sha\d{3}:)")
"""The end of a user; before a digest it is part of an image's name."""

_HOST = re.compile(r"(?:[\w-]+(?:\.[\w-]+)+(?::\d+)?|[\w-]+:\d+|localhost|\[[\da-fA-F:.]+\](?::\d+)?)\Z")
"""A host that is one at first sight, unlike a word of a password."""

_SSH = re.compile(r"(?:ssh|sftp)://?\Z", re.IGNORECASE)
"""Schemes whose user without password is a name, never a token."""

_WITHOUT_SCHEME = re.compile(
    r"(?<![\w./:@+%-])[\w.+%-]{1,64}:[^\s@/:\"'<>,;\\]{1,256}@(?!sha\d{3}:)(?=[\w.-]{1,253}:[\w~/.]|[\w.-]{1,253}\.[a-zA-Z]{2,63}/)"
)
"""`user:password@host:…` and `user:password@host.example/…`, as in a proxy variable or an image's name."""

_NAMED_VALUES = tuple(
    (re.compile(name), re.compile(value))
    for name, value in (
        (r"[?&;#]([\w.%~-]{1,80})=", r"[^\s&;#\"'<>`\\]*"),  # parameters of a URL
        (r",([\w.-]{1,80})=", r"[^\s,\"'`\\]*"),  # attributes in a list of buildx's
        (r'"([\w.-]{1,80})"[ \t]{0,8}:[ \t]{0,8}"', r'[^"\\\n]*(?:\\.[^"\\\n]*)*'),  # fields of JSON
    )
)
"""What is before a value, with its name, and the value, which is redacted if the name is a secret's."""

_HEADER_END = r"[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?"
_AUTHORIZATION = (
    r"(?:(?:bearer|basic|token|digest|negotiate|ntlm|apikey|aws4-hmac-sha256)[ \t][^\r\n\"'\\]+"
    r"|(?=[^\s\"'\\]{0,200}\d)[^\s\"'\\]{8,}|[^\s\"'\\]{20,})"
)
"""What is no word: "authorization: server message" is an error of a registry."""

_HEADERS = tuple(
    re.compile(rf"(?<![\w-])({name}{_HEADER_END}){value}", re.IGNORECASE)
    for name, value in (
        ("(?:proxy-)?authorization", _AUTHORIZATION),
        ("(?:private|job|deploy)-token", r"[^\s\"'\\]+"),
        (r"x-[\w-]{0,40}(?:token|key|secret|signature)", r"[^\s\"'\\]+"),
        ("(?:set-)?cookie", r"(?=[^\r\n\"'\\]{0,200}=)[^\r\n\"'\\]+"),
    )
)
_FLAG = re.compile(r"--[a-z][a-z-]*(?:=|\Z)|-[a-zA-Z]\Z")
"""A word that is a flag rather than the value of one: random tokens begin with a dash, too."""

_LIST_FLAGS = frozenset({"--secret", "--cache-from", "--cache-to", "--output", "--attest"})
"""Flags of buildx with a CSV record of attributes."""

_PLACES_OF_SECRETS = frozenset({"id", "src", "source", "env", "type"})
"""Attributes of `--secret`; any other, as `value`, may be the secret itself."""

_HEADER_WORDS = ("authorization", "-token", "x-", "cookie", "bearer")
_BEARER = re.compile(r"\b(bearer[ \t]{1,8})[\w.~+/-]{20,}=*", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return text without the secrets in its URLs, parameters and headers; host, path and ref stay.

    Takes time linear in the length, reads each line for itself, and leaves text as it is that was redacted before.
    """
    if "@" in text or "%40" in text:
        text = _WITHOUT_SCHEME.sub(f"{REDACTED}@", _URL.sub(_without_user, text))
        text = _ENCODED_URL.sub(_without_encoded_user, text)
    if "=" in text or '"' in text:
        for name, value in _NAMED_VALUES:
            text = _without_values_of(name, value, text)
    lowered = text.lower()
    return _without_headers(text) if any(word in lowered for word in _HEADER_WORDS) else text


def _without_headers(text: str) -> str:
    for header in _HEADERS:
        text = header.sub(rf"\1{REDACTED}", text)
    return _BEARER.sub(rf"\1{REDACTED}", text)


def redacted_values(value: Any) -> Any:
    """Return a document of JSON types, with every text in it redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {redacted_values(key): redacted_values(item) for key, item in value.items()}
    return [redacted_values(item) for item in value] if isinstance(value, list | tuple) else value


def redacted_arguments(argv: Sequence[str]) -> list[str]:
    """Return a command's arguments redacted, without values of build arguments that are named like a secret."""
    previous = ["", *argv]
    return [_argument(before, word) for before, word in zip(previous, argv, strict=False)]


def redacted_words(argv: Sequence[str]) -> list[str]:
    """Return the words of any program redacted, without the values of flags that are named like a secret."""
    return [_word(before, word) for before, word in zip(["", *argv], argv, strict=False)]


def _word(before: str, word: str) -> str:
    name, equals, _ = word.partition("=")
    if equals and is_secret_name(name.lstrip("-")):
        return f"{name}={REDACTED}"
    is_value = before.startswith("-") and "=" not in before and not _FLAG.match(word)
    return REDACTED if is_value and is_secret_name(before.lstrip("-")) else redacted(word)


def redacted_command(argv: Sequence[str]) -> str:
    """Return a command for a shell, without the values of build arguments, which may be secret."""
    return shlex.join(redacted_arguments([*_without_values(argv)]))


def redacted_url(url: str) -> str:
    """Return a URL without its user, and without its query, which may be a signature or a token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return redacted(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def is_secret_name(name: str) -> bool:
    """Whether a parameter, variable or key of this name holds a secret, most likely."""
    name = name[:MAX_NAME_CHARACTERS].lower()
    return bool(_SECRET_WORD.search(name)) or not _SECRET_PARTS.isdisjoint(re.split(r"[-_.\[\]]", name))


def environment_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of variables that are named like a secret, or hold a private key; the longest first."""
    secrets = {
        line.strip()
        for name, value in environ.items()
        if is_secret_name(name) or "PRIVATE KEY" in value
        for line in value.splitlines()
    }
    return tuple(sorted((one for one in secrets if len(one) >= MIN_SECRET_CHARACTERS), key=len, reverse=True))


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return text without secrets whose values are known, as `environment_secrets` returns them."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def _argument(before: str, word: str) -> str:
    name, equals, _ = word.removeprefix("--build-arg=").partition("=")
    is_build_argument = before == "--build-arg" or word.startswith("--build-arg=")
    if is_build_argument and equals and is_secret_name(name):
        return word[: word.index(name) + len(name)] + f"={REDACTED}"
    flag, equals, record = word.partition("=")
    if equals and flag in _LIST_FLAGS:
        return f"{flag}={_record(flag, record)}"
    return _record(before, word) if before in _LIST_FLAGS else redacted(word)


def _record(flag: str, text: str) -> str:
    """Return a CSV record of attributes without those that are secrets by their name, wherever they stand."""
    try:
        fields = next(csv.reader([text]), [])
    except csv.Error:  # which buildx cannot read either
        return REDACTED
    shown = [_field(flag, field) for field in fields]
    if shown == fields:
        return redacted(text)
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(shown)
    return redacted(line.getvalue())


def _field(flag: str, field: str) -> str:
    name, equals, _ = field.partition("=")
    key = name.strip().lower()
    is_secret = key not in _PLACES_OF_SECRETS if flag == "--secret" else equals and is_secret_name(key)
    if not is_secret:
        return field
    return f"{name}={REDACTED}" if equals else REDACTED


def _without_values(argv: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in argv:
        if word.startswith("--build-arg="):
            yield "=".join(word.split("=")[:2])
        else:
            yield word.partition("=")[0] if before == "--build-arg" else word
        before = word


def _without_user(url: re.Match[str]) -> str:
    """Return what follows a scheme without its user."""
    rest = url[0]
    end = _end_of_user(rest)
    if end < 0:
        return rest
    user = rest[:end]
    scheme = url.string[max(url.start() - 12, 0) : url.start()]
    is_public = ":" not in user and (user == "git" or _SSH.search(scheme))
    return rest if is_public else f"{REDACTED}{rest[end:]}"


def _end_of_user(rest: str) -> int:
    """Return the position of the `@` after the user, -1 without one.

    A password may have any character in it that people forgot to encode: `@`, `/`, `?`, `#`. With a password, the last
    `@` ends it, unless an earlier one is followed by what is a host at first sight.
    """
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    inner = [match.start() for match in _AT.finditer(authority)]
    user, colon, password = (authority[: inner[-1]] if inner else authority).partition(":")
    if inner and (not colon or _HOST.match(authority, inner[-1] + 1)):
        return inner[-1]
    is_port = password.isdecimal() or (
        not password and rest[len(authority) : len(authority) + 1] in {"/", ""}
    )
    if not colon or (not inner and (user.startswith("[") or is_port)):
        return -1
    return max((match.start() for match in _AT.finditer(rest)), default=-1)


def _without_encoded_user(url: re.Match[str]) -> str:
    """Return what follows an encoded scheme without its user, which ends at the same `@` as in the decoded URL."""
    decoded = unquote(url[0])
    end = _end_of_user(decoded)
    if end < 0:
        return url[0]
    ends = [match.start() for match in _ENCODED_AT.finditer(url[0])]
    return f"{REDACTED}{url[0][ends[-decoded.count('@', end)] :]}"


def _without_values_of(name: re.Pattern[str], value: re.Pattern[str], text: str) -> str:
    parts, position = [], 0
    for match in name.finditer(text):
        if match.start() < position or not is_secret_name(unquote(match[1])):
            continue
        parts += [text[position : match.end()], REDACTED]
        end = value.match(text, match.end())
        position = end.end() if end is not None else match.end()
    return "".join((*parts, text[position:]))
