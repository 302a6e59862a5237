"""Hostile text through the streams of the command line, in every CI system, in pieces of any size."""

import io
import random
from collections.abc import Sequence

from fakes.ci_systems import ENVIRONMENTS, WORDS, commands_in

from fuzz.harness import Target, mutated
from multibuild.cli.streams import HarmlessText, json_text

_STARTS = ("\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029", "\x1c", " ", "\t", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufeff",
           "\u00ad", "\u034f", "\u2060", "\u180e", "\U000e0041", "\x00", "\x1b", "\x1b[", "\x1b]0;", "\x9b", "\x90", "\x07", "\x08", "\ud800",
           "\u202e", "\u2066", "a", "#", ":", "::", "##", "https://u:p@", "***", "\\", '"')  # fmt: skip
_PIECES = tuple(word.encode("utf-8", "surrogatepass") for word in (*_STARTS, *WORDS))


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a start, a word broken by an invisible character perhaps, and an end, several times."""
    pieces = []
    for _ in range(generator.randint(1, 8)):
        word = generator.choice(WORDS).encode("utf-8", "surrogatepass")
        at = generator.randint(0, min(len(word), 3))
        middle = generator.choice(_PIECES) if generator.random() < 0.3 else b""
        starts = b"".join(generator.choices(_PIECES, k=generator.randint(0, 3)))
        pieces.append(starts + word[:at] + middle + word[at:])
    noise = mutated(generator, generator.choice(seeds), words=_PIECES)
    pieces.insert(generator.randint(0, len(pieces)), noise)
    return b"".join(pieces)


def _run(case: bytes) -> None:
    text = (
        case.decode("utf-8", "surrogatepass" if len(case) % 2 else "surrogateescape")
        if _fits(case)
        else case.decode("latin-1")
    )
    for environ in ENVIRONMENTS.values():
        size = len(case) % 7 + 1
        pieces = [*(text[at : at + size] for at in range(0, 700, size)), text[-(-700 // size) * size :]]
        result = _written(pieces, environ)
        assert commands_in(result) == [], "a command is live"
        assert _written([text], environ) == result, "pieces matter"
        assert _written([result], environ) == result, "it is changed a second time"
    shown = _written([json_text({"a": text}, indent=2)], environ)
    assert commands_in(shown) == []


def _fits(case: bytes) -> bool:
    try:
        case.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return len(case) % 2 == 0
    return True


def _written(pieces: Sequence[str], environ: dict[str, str]) -> str:
    stream = io.StringIO()
    harmless = HarmlessText(stream, environ)
    for piece in pieces:
        harmless.write(piece)
    harmless.finish()
    return stream.getvalue()


TARGETS = (Target(name="ci-words", make=_make, run=_run),)
