"""What the schema of SARIF 2.1.0 asks of the parts that the lint writes: required keys, their types, no others.

After sarif-schema-2.1.0.json (docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas): every object there has
`additionalProperties: false`.
"""

from collections.abc import Iterator
from typing import Any

LEVELS = {"none", "note", "warning", "error"}


def obj(required=(), **keys):
    return {"required": tuple(required), "keys": keys}


TEXT, NUMBER, INDEX = "text", "positive", "index"
MESSAGE = obj(text=TEXT, markdown=TEXT, id=TEXT)
ARTIFACT = obj(uri="uri-reference", uriBaseId=TEXT, index=INDEX)
REGION = obj(
    startLine=NUMBER, startColumn=NUMBER, endLine=NUMBER, endColumn=NUMBER, charOffset=INDEX, charLength=INDEX
)
REPLACEMENT = obj(["deletedRegion"], deletedRegion=REGION, insertedContent=obj(text=TEXT))
CHANGE = obj(["artifactLocation", "replacements"], artifactLocation=ARTIFACT, replacements=[REPLACEMENT])
FIX = obj(["artifactChanges"], description=MESSAGE, artifactChanges=[CHANGE])
LOCATION = obj(physicalLocation=obj(artifactLocation=ARTIFACT, region=REGION))
RESULT = obj(
    ["message"],
    ruleId=TEXT,
    ruleIndex=INDEX,
    level="level",
    message=MESSAGE,
    locations=[LOCATION],
    fixes=[FIX],
)
RULE = obj(
    ["id"],
    id=TEXT,
    shortDescription=obj(["text"], text=TEXT),
    fullDescription=obj(["text"], text=TEXT),
    help=obj(["text"], text=TEXT),
    helpUri="uri",
    defaultConfiguration=obj(level="level"),
)
DRIVER = obj(["name"], name=TEXT, version=TEXT, informationUri="uri", rules=[RULE])
RUN = obj(["tool"], tool=obj(["driver"], driver=DRIVER), columnKind="columns", results=[RESULT])
LOG = {**obj(["version", "runs"], version="2.1.0", runs=[RUN]), "more": {"$schema": "uri"}}


def violations(value: Any, rule: Any = LOG, place: str = "$") -> Iterator[str]:
    """Yield what in a document is not as the schema asks."""
    if isinstance(rule, list):
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for number, item in enumerate(value):
            yield from violations(item, rule[0], f"{place}[{number}]")
    elif isinstance(rule, dict):
        keys = {**rule["keys"], **rule.get("more", {})}
        if not isinstance(value, dict):
            yield f"{place} is no object"
            return
        yield from (f"{place}.{key} is missing" for key in rule["required"] if key not in value)
        yield from (f"{place}.{key} is no key of it" for key in value if key not in keys)
        for key in value.keys() & keys.keys():
            yield from violations(value[key], keys[key], f"{place}.{key}")
    elif not _fits(value, rule):
        yield f"{place} is {value!r}, not {rule}"


def _fits(value: Any, rule: str) -> bool:
    match rule:
        case "text":
            return isinstance(value, str)
        case "positive" | "index":
            return isinstance(value, int) and value >= (rule == "positive")
        case "level":
            return value in LEVELS
        case "columns":
            return value in {"utf16CodeUnits", "unicodeCodePoints"}
        case "uri":
            return isinstance(value, str) and value.startswith("https://")
        case "uri-reference":
            return isinstance(value, str) and value.isascii() and not set(value) & set(' <>"{}|\\^`')
        case _:
            return bool(value == rule)
