"""The page of bake definitions, from the table of their keys."""

from __future__ import annotations

from docs.generator.markdown import code, listed, page, table
from multibuild.bake.definition import DEFAULT_FILES
from multibuild.bake.keys import BAKE_KEYS, BakeKey

_EXAMPLE = 'In a config: `bake: {files: [docker-bake.hcl], targets: [default], vars: {VERSION: "1.2.3"}}`.'

_REPLACEMENT = (
    "In a config: `images: {app: {publish: {to: registry}, platforms: [linux/amd64, linux/arm64]}}`."
)

_OVERRIDE = 'In HCL: `target "app" { output = ["type=registry"] }`.'


def bake_page() -> str:
    """Return the page."""
    return page(
        "Bake and compose definitions",
        "`bake:` takes the images of existing bake files (HCL, JSON) and compose files. buildx itself reads them"
        " (`docker buildx bake --print`): variables, functions, inheritance, matrices and groups are what they are for"
        " bake. No engine is needed. Each target is an image of that name, built for each platform by itself, proved"
        " and published like any other.",
        _EXAMPLE,
        f"Without `files` buildx reads those that are there of {listed(DEFAULT_FILES)}, in this order: a later one"
        " overrides. Without `targets` it is the group or target `default`, for compose files all services that are"
        " built, whatever their profiles. `vars` are variables of the definition; those of the environment count too,"
        " as for bake. A name that the definition lacks is an error, unless a compose file is read, which takes any.",
        "Paths are relative to the folder of `multibuild.yaml`, which is bake's working directory. buildx looks for the"
        " files of secrets and for SSH keys when it reads a definition, so they must be there for `plan` too.",
        "A target that another one has as `target:NAME` in its contexts is an image too, without tags of its own if"
        " bake gives it none. Where bake gives it no platforms either, it has those of the top level and whatever else"
        " the images are built for that need it.",
        "## What becomes of a target's keys",
        "A key that cannot be honoured is refused, with the target, the reason, and what to use instead. So is a key"
        " that is not in this table: nothing is left out in silence.",
        table(("key of bake", "becomes", "remark"), (_row(BAKE_KEYS[name]) for name in sorted(BAKE_KEYS))),
        "`matrix` and `name` of a target, `group`, `variable` and `function` are resolved by buildx.",
        "## Where a refused key cannot be changed",
        "What `images` say of the target stands for the refused key: `platforms` for `platforms`, `dockerfile` for"
        " `dockerfile-inline`, `publish.to` for `output` (there or at the top), and so on in the columns of the table.",
        _REPLACEMENT,
        "Or a further file in `files` overrides it, for multibuild alone:",
        _OVERRIDE,
    )


def _row(row: BakeKey) -> tuple[str, str, str]:
    return code(row.name), "refused" if row.refused else listed(row.becomes), row.remark
