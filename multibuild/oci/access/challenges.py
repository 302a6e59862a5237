"""Challenges of a registry: what a refusal says of the login it wants (WWW-Authenticate, RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx

from multibuild.frozen import frozen

MAX_CHALLENGE_BYTES = 16 * 1024
"""Of all WWW-Authenticate headers of a response; registries send some 200."""

# Of a challenge: a word, perhaps with a value; possessive, so that no text is read twice. A word at the start or after
# a comma that has no value is a scheme.
_PART = re.compile(
    r'(?P<first>^\s*+|,\s*+)?\b(?P<name>\w++)(?:\s*+=\s*+(?:"(?P<quoted>(?:[^"\\]++|\\.)*+)"|(?P<bare>[^\s,"]++)))?'
)
_ESCAPED = re.compile(r"\\(.)")


@frozen
class Challenge:
    """One challenge: `scheme` and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def lacks_scope(self) -> bool:
        """Whether it refuses a valid token because of its scope (RFC 6750 section 3.1)."""
        return self.scheme == "bearer" and self.parameters.get("error") == "insufficient_scope"


def challenge_header(response: httpx.Response) -> str:
    """Return all challenges of a response as one header."""
    return ", ".join(response.headers.get_list("www-authenticate"))


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Parse a header with any number of challenges, in linear time."""
    challenges: list[tuple[str, dict[str, str]]] = []
    parameters: dict[str, str] = {}
    for part in _PART.finditer(header):
        name = part["name"].lower()
        if part["quoted"] is not None:
            parameters.setdefault(name, _ESCAPED.sub(r"\1", part["quoted"]))
        elif part["bare"] is not None:
            parameters.setdefault(name, part["bare"])
        elif part["first"] is not None and not header[part.end() : part.end() + 1].strip():
            parameters = {}
            challenges.append((name, parameters))
    return tuple(Challenge(scheme=scheme, parameters=values) for scheme, values in challenges)


def choose_challenge(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """Return the one to answer: the first Bearer with a realm, as docker does, else Basic, else a Bearer without."""
    bearers = [challenge for challenge in challenges if challenge.scheme == "bearer"]
    usable = [challenge for challenge in bearers if challenge.parameters.get("realm")]
    basics = [challenge for challenge in challenges if challenge.scheme == "basic"]
    return next(iter((*usable, *basics, *bearers)), None)
