"""The tables of signatures: their words lead to them, whatever a pattern matches."""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from unit.failures.cases import CASES
from unit.patterns import _one

from multibuild.failures.classes import CLASSES
from multibuild.failures.matching import keys_of, output_matches, words_of
from multibuild.failures.signatures import EXIT_CODES, MESSAGE_SIGNATURES, OUTPUT_SIGNATURES, Signature

MAX_TEXTS = 4000
ROWS = (*OUTPUT_SIGNATURES, *MESSAGE_SIGNATURES)


def _id(row: Signature) -> str:
    return f"{row.tool}-{row.name}-{row.word[:30]}"


def texts(tree: Sequence[tuple[Any, Any]]) -> list[str]:
    """Return short texts of a pattern's shape, with each branch of each choice in at least one of them."""
    found = [""]
    for code, argument in tree:
        options = list(_options(code, argument))
        if len(found) * len(options) > MAX_TEXTS:
            found = [text + options[0] for text in found] + [found[0] + option for option in options[1:]]
        else:
            found = [text + option for text, option in product(found, options)]
    return found


def _options(code: Any, argument: Any) -> Iterator[str]:
    if code is codes.LITERAL:
        yield chr(argument)
    elif code in (codes.ANY, codes.NOT_LITERAL, codes.IN):
        yield _one(code, argument)
    elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        least, most, repeated = argument
        yield from (text * least for text in texts(repeated)) if least else [""]
        yield from texts(repeated) if not least and most == 1 else []
    elif code is codes.BRANCH:
        for branch in argument[1]:
            yield from texts(branch)
    elif code is codes.SUBPATTERN:
        yield from texts(argument[3])
    else:
        yield " " if argument is codes.AT_BOUNDARY else ""


@pytest.mark.parametrize("row", [row for row in OUTPUT_SIGNATURES if row.pattern], ids=_id)
def test_what_a_pattern_matches_has_a_word_that_leads_to_it(row):
    pattern = re.compile(row.pattern, re.IGNORECASE | re.MULTILINE)
    possible = [text for text in texts(parser.parse(row.pattern)) if pattern.search(text)]
    assert possible
    for text in possible:
        assert {*keys_of(row)} & {*words_of(f" {text} ")} or row.name == "loopback", text
        assert any(phrase in text.lower() for phrase in row.word.split("|")), text


@pytest.mark.parametrize("row", [row for row in OUTPUT_SIGNATURES if not row.pattern], ids=_id)
def test_a_word_that_decides_is_found(row):
    for text in (row.word, f'make: "{row.word}" (1)', f"\u2009{row.word.upper()}\u2009"):
        assert row.word in {match.row.word for match in output_matches(text)}


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_a_row_is_of_a_class_and_in_lower_case(row):
    assert row.name in {kind.name for kind in CLASSES}
    assert row.word == row.word.lower()
    assert row.source


def test_a_class_that_exit_codes_name_exists():
    assert set(EXIT_CODES.values()) <= {kind.name for kind in CLASSES}


def test_no_two_rows_are_the_same():
    keys = [(row.word, row.pattern, row.name) for row in OUTPUT_SIGNATURES]
    assert len(keys) == len(set(keys))


def test_many_rows_have_a_log():
    """Not all: some tools are at hand nowhere, and their sentences are from their code."""
    known = {match.row for case in CASES for line in case.output for match in output_matches(line)}
    assert len(known) > 0.6 * len(OUTPUT_SIGNATURES)
