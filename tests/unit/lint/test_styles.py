"""Public manners of multi-architecture Dockerfiles are right, and the mistakes that are made in each are named."""

from itertools import zip_longest

import pytest
from unit.lint.styles import STYLES

from multibuild.lint.lint import lint_text
from multibuild.lint.rules import RULE_IDS


def serious(text):
    return [one for one in lint_text(text, "Dockerfile") if one.level != "hint"]


def line_of(mistake, wrong, right):
    """Return the line that holds `at`, else the first that is not as in the right file."""
    lines = zip_longest(wrong.split("\n"), right.split("\n"))
    return next(
        number
        for number, (line, other) in enumerate(lines, 1)
        if (mistake.at in line if mistake.at else line != other)
    )


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_style_is_right_and_its_mistakes_are_named(style):
    assert serious(style.text) == []
    for mistake in style.mistakes:
        assert mistake.old in style.text
        wrong = style.text.replace(mistake.old, mistake.new)
        found = {(one.rule, one.level, one.line) for one in serious(wrong)}
        assert (mistake.rule, mistake.level, line_of(mistake, wrong, style.text)) in found, mistake


def test_the_table_names_every_style_once_and_known_rules():
    assert len({style.name for style in STYLES}) == len(STYLES) >= 90
    assert {mistake.rule for style in STYLES for mistake in style.mistakes} <= RULE_IDS
