"""Findings as text, JSON and SARIF."""

import copy
import json

import pytest
from unit.lint.sarif_schema import violations
from unit.lint.wrong_pairs import PAIRS

from multibuild.lint.fix import applied, diff, fixed_text
from multibuild.lint.formats import as_json, as_sarif, as_text
from multibuild.lint.lint import edits_of, lint_text
from multibuild.lint.rules import RULE_IDS, RULES

FOUND = [finding for pair in PAIRS for finding in lint_text(pair.wrong, f"docker/ä {pair.name}/Dockerfile")]


def test_a_sarif_log_is_as_its_schema_asks():
    log = json.loads(json.dumps(as_sarif(FOUND)))
    assert list(violations(log)) == []
    assert list(violations(as_sarif([]))) == []
    assert len(log["runs"][0]["results"]) == len(FOUND)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("version",), "2.0", "$.version"),
        (("runs", 0, "results", 0, "level"), "hint", "level"),
        (("runs", 0, "results", 0, "message"), None, "message is no object"),
        (("runs", 0, "results", 0, "other"), 1, "is no key"),
        (
            ("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"),
            0,
            "startLine",
        ),
        (
            ("runs", 0, "results", 0, "locations", 0, "physicalLocation", "artifactLocation", "uri"),
            "a b",
            "uri",
        ),
    ],
)
def test_the_check_of_the_schema_finds_faults(place, value, message):
    log = copy.deepcopy(as_sarif(FOUND))
    inner = log
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert any(message in text for text in violations(log))


def test_results_refer_to_the_rules_of_the_log():
    run = as_sarif(FOUND)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.id for rule in RULES]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.fixable], ids=lambda pair: pair.name)
def test_a_fix_of_sarif_makes_what_fix_makes(pair):
    findings = lint_text(pair.wrong, "Dockerfile")
    text = applied(pair.wrong, edits_of(findings))
    results = as_sarif(findings)["runs"][0]["results"]
    replacements = {
        (
            one["deletedRegion"]["charOffset"],
            one["deletedRegion"]["charLength"],
            one["insertedContent"]["text"],
        ): None
        for result in results
        for fix in result.get("fixes", ())
        for one in fix["artifactChanges"][0]["replacements"]
    }
    other, shift = pair.wrong, 0
    for offset, length, inserted in sorted(replacements, key=lambda one: one[:2]):
        other = other[: offset + shift] + inserted + other[offset + shift + length :]
        shift += len(inserted) - length
    assert other == text


def test_json_and_text_have_every_finding():
    assert len(as_json(FOUND)["findings"]) == len(FOUND)
    assert len(list(as_text(FOUND))) == 2 * len(FOUND)
    assert {one["rule"] for one in as_json(FOUND)["findings"]} <= RULE_IDS


def test_a_diff_is_that_of_the_text():
    before = "a\nb\nc\n"
    assert list(diff(before, "a\nB\nc\n", "D")) == [
        "--- D",
        "+++ D",
        "@@ -1,4 +1,4 @@",
        " a",
        "-b",
        "+B",
        " c",
        " ",
    ]
    assert list(diff(before, before, "D")) == []


def test_edits_that_overlap_are_applied_one_after_the_other():
    text = "FROM --platform=$BUILDPLATFORM golang AS b\nRUN GOARCH=amd64 go build -o /a . && go build -o /b .\nFROM scratch\nCOPY --from=b /a /b /\n"

    def find(text):
        return lint_text(text, "D")

    fixed = fixed_text(text, find)
    assert "GOARCH=$TARGETARCH go build -o /a" in fixed
    assert fixed.count("ARG TARGETARCH\n") == 1
    assert fixed_text(fixed, find) == fixed


GO_STAGE = "FROM --platform=$BUILDPLATFORM golang AS {0}\n{1}FROM scratch\nCOPY --from={0} /a /b /\n"


@pytest.mark.parametrize(
    ("lines", "arguments"),
    [
        ("ARG GOARCH=amd64\nRUN GOARCH=$GOARCH go build -o /a .\n", ["TARGETARCH"]),
        ("RUN GOARCH=amd64 go build -o /a .\nRUN GOARCH=amd64 go build -o /b .\n", ["TARGETARCH"]),
        ("ENV GOARCH=amd64\nENV CC=gcc\nRUN GOARCH=amd64 go build -o /b .\n", ["TARGETARCH"]),
        ("RUN go build -o /a .\nRUN go build -o /b .\n", ["TARGETOS", "TARGETARCH"]),
        (
            "RUN --mount=type=cache,target=/x/target cargo build\nRUN --mount=type=cache,target=/y/target cargo build\n",
            ["TARGETPLATFORM"],
        ),
    ],
)
def test_fix_declares_an_argument_once_in_a_stage(lines, arguments):
    def find(text):
        return lint_text(text, "D")

    one = fixed_text(GO_STAGE.format("b", lines), find)
    assert [line for line in one.split("\n") if line.startswith("ARG TARGET")] == [
        f"ARG {n}" for n in arguments
    ]
    two = fixed_text(
        GO_STAGE.format("b", lines) + GO_STAGE.format("c", lines) + "COPY --from=b /a /b /\n", find
    )
    assert [two.count(f"ARG {name}\n") for name in arguments] == [2] * len(arguments)


def test_rules_are_named_once_and_described():
    assert len(RULE_IDS) == len(RULES)
    for rule in RULES:
        assert all(
            text.strip() and not text.endswith(".")
            for text in (rule.meaning, rule.why, rule.fix, rule.source)
        )
