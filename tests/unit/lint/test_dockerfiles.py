"""Right Dockerfiles have no error, each mistake is named where it is, and what mends it has no finding."""

import pytest
from unit.lint.right_files import HINTED, RIGHT
from unit.lint.wrong_pairs import PAIRS

from multibuild.lint.fix import fixed_text
from multibuild.lint.lint import lint_text
from multibuild.lint.rules import RULES


def found(text):
    return lint_text(text, "Dockerfile")


def lines(text):
    return [f"{one.line}:{one.column} {one.level} {one.rule}: {one.message}" for one in found(text)]


def test_there_are_enough_of_them():
    assert len(RIGHT) >= 60
    assert len(PAIRS) >= 45


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_file_has_no_finding(name):
    found = lint_text(RIGHT[name], name)
    assert [one for one in found if one.level != "hint"] == []
    assert bool(found) == (name in HINTED)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_mistake_is_named_where_it_is(pair):
    serious = [one for one in found(pair.wrong) if pair.level == "hint" or one.level != "hint"]
    assert (pair.rule, pair.line, pair.level) in {(one.rule, one.line, one.level) for one in serious}
    assert {one.rule for one in serious} == {pair.rule}, lines(pair.wrong)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_mended_file_has_no_finding(pair):
    assert [one for one in found(pair.mended) if one.level != "hint" or one.rule == pair.rule] == []


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_fix_makes_the_mended_file_or_nothing(pair):
    assert fixed_text(pair.wrong, found) == (pair.mended if pair.fixable else pair.wrong)


def test_every_rule_has_a_pair():
    online = {"single-platform-base", "single-platform-syntax"}
    assert {pair.rule for pair in PAIRS} == {rule.id for rule in RULES} - online


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_no_finding_is_worse_than_its_rule(pair):
    order = ("error", "warning", "hint")
    worst = {rule.id: order.index(rule.level) for rule in RULES}
    assert all(order.index(one.level) >= worst[one.rule] for one in found(pair.wrong))


def test_what_a_rule_mends_is_in_its_row():
    assert {pair.rule for pair in PAIRS if pair.fixable} == {rule.id for rule in RULES if rule.fixable}
