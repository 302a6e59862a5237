"""The pages of config and builder profiles, from their models."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from docs.generator.markdown import code, page, table
from multibuild.config.field_types import MANAGED_FLAGS, Seconds
from multibuild.config.images.merge import FILE_KEYS, MAX_IMAGES, RUN_WIDE_INNER, RUN_WIDE_KEYS
from multibuild.config.images.names import MAX_NAME
from multibuild.config.profile_models import Node, Profile
from multibuild.config.schema import describe, json_schema
from multibuild.config.texts import NAMED_KEYS

_DURATION = Seconds.__metadata__[-1].json_schema  # type: ignore[attr-defined]
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))
_OVERRIDES = {
    "stall_timeout": ("duration, `auto` or `off`", "`off`"),
    "crash_timeout": ("duration or `off`", "`1m`"),
    "images": ("mapping of names to keys, see [images](#images)", ""),
}
"""Value and default of keys whose schema is less precise."""
_TYPES = {"string": "text", "integer": "number", "boolean": "true or false", "object": "mapping"}

INTERPOLATION = """\
| form | gives |
|---|---|
| `${NAME}` | the environment variable; an error when it is not set |
| `${NAME:-default}` | the default when it is not set or empty |
| `${NAME:?message}` | the message as an error when it is not set or empty |
| `$$` | a dollar sign |
| `${git.sha}`, `${git.short_sha}` | the commit |
| `${git.branch}`, `${git.tag}`, `${git.url}` | from git, for the checkout |
| `${git.semver}`, `${git.semver.major}`, `${git.semver.minor}` | the version in the commit's tag, without `v` |
| `${date}` | the day, in UTC |

A tag that comes out empty is dropped. In `secrets` and `cache`, a variable inside the value of an attribute may have no
comma, quote or line end, with which the value would end: the name of a branch is its maker's. A whole list of
attributes may be one variable."""


def _listed(keys: Sequence[str]) -> str:
    *first, last = map(code, keys)
    return f"{', '.join(first)} and {last}"


RUN_WIDE = (
    *(key for key in RUN_WIDE_KEYS if key not in FILE_KEYS),
    *(f"{section}.{key}" for section, keys in RUN_WIDE_INNER.items() for key in keys),
)

IMAGES = f"""\
`images` describes several images, which are built, proven and published in one run. Each is a name and the keys that
differ from the top level, and may be empty. This `multibuild.yaml` has three:

```yaml title=multibuild.yaml
version: 1
image: registry.example.org/team/{{name}}
platforms: [linux/amd64, linux/arm64]
images:
  app: {{target: runtime}}
  worker: {{target: worker, labels: {{org.example.part: worker}}}}
  tools: {{dockerfile: tools/Dockerfile, contexts: {{app: "image:app"}}}}
  "*": {{test: {{run: [/app, --version]}}}}
```

- A text, number or list under an image replaces that of the top level. Mappings merge, key by key. `image` and
  `platforms` may be missing at the top when each image has them.
- A name has letters, digits, `_` and `-`, with `.` between, no `-` first, and at most {MAX_NAME} characters; no two
  differ in capitals alone. A file has at most {MAX_IMAGES} images.
- A key with `*`, `?` or `[` is a pattern of names. All keys that are an image's name or a pattern of it hold for it, in
  their order: later ones win, so a pattern at the end wins over the names before it.
- `{{name}}` is the name of the image, in every text of
  {_listed(sorted(NAMED_KEYS))}.
  Repositories have no capitals, so in `image`, `destinations`, `cache` and `publish.staging` it is in lower case,
  without `_` or `-` at its ends.
  In commands (`test`) and everywhere else it stays as it is, and so it does in a file without `images`.
- `contexts: {{app: "image:app"}}` builds from another image of the file: on each platform from its child of that
  platform. That image must have all platforms of this one. `multibuild all tools` builds `app` too.
- `publish.to` may differ: an image that others are built from can stay in a layout. What is published on this machine
  is written before any tag of a registry moves.
- Two images may share a repository, but no tag of it, no `cache.to` and no file of `publish.to`.
- {_listed(RUN_WIDE)}
  hold for the whole run, so they stand at the top only.
- Variables, `${{date}}` and git have the same values in all images.
- `--set images.app.target=x` changes one image and `--set target=x` those that have no `target` of their own. `--tag`
  and `--builder` win over all."""


ANNOTATIONS = """\
A key of `annotations` may begin with what is annotated, as for `docker buildx build --annotation`:

| key | goes to |
|---|---|
| `KEY`, `index:KEY` | the index |
| `manifest:KEY` | the manifest of each platform |
| `manifest-descriptor:KEY` | the entry of each platform in the index |
| `index-descriptor:KEY` | the entry of the index in `index.json`; for `publish.to: oci:…` and `oci-archive:…` only |
| `manifest[linux/arm64]:KEY`, `manifest-descriptor[linux/arm64]:KEY` | those of that platform |
| `index,manifest:KEY` | several of them |

This `multibuild.yaml` has some of each:

```yaml title=multibuild.yaml
version: 1
image: registry.example.org/team/app
platforms: [linux/amd64, linux/arm64]
annotations:
  org.opencontainers.image.title: app
  "index,manifest:org.opencontainers.image.version": "1.0"
  "manifest[linux/arm64]:org.example.board": rk3588
```

One for a platform wins over one for all. Under a platform, `annotations` are those of its entry, or with `manifest:` of
its manifest, and win over both; of two spellings of the same the later wins.

Annotations of manifests are written by BuildKit. They are part of the image: with other ones it has another digest and
is built again, out of the cache. All others are written when the index is composed, so nothing is built for them.
Docker media types (`media_type: docker`) have no annotations."""


def config_page() -> str:
    """Return the page of `multibuild.yaml`."""
    flags = ((code(flag), code(key) if key else "nothing: remove it") for flag, key in MANAGED_FLAGS.items())
    return page(
        "multibuild.yaml",
        "Unknown keys and wrong types are errors that name file, line, column and the nearest valid name. Paths are"
        " relative to the file. `multibuild schema` prints the same as a JSON Schema.",
        "A duration is a number of seconds, or text like `90s`, `5m`, `1h30m`.",
        *_sections(json_schema()),
        "## annotations",
        ANNOTATIONS,
        "## images",
        IMAGES,
        "## Text with variables",
        INTERPOLATION,
        "## Flags that `build_flags` refuses",
        "`multibuild` passes these itself. Use the key instead.",
        table(("flag", "key"), flags),
    )


def profile_page() -> str:
    """Return the page of builder profiles."""
    schema = Profile.model_json_schema(by_alias=True)
    describe(Profile, schema)
    describe(Node, schema["$defs"]["Node"])
    return page(
        "Builder profiles",
        "A profile is a YAML file. `builder: ./my-profile.yaml` or `--builder ./my-profile.yaml` names it; the shipped"
        " ones are named without path: see [builders/README.md](../../builders/README.md).",
        *_sections(schema),
    )


def _sections(schema: dict[str, Any]) -> Iterator[str]:
    """Return the top level, then each section under the path of its key."""
    paths = {"": "Top level", **dict(_paths(schema, schema, ""))}
    for name, path in paths.items():
        section = schema["$defs"][name] if name else schema
        yield f"## {path}"
        if name:
            yield inspect.cleandoc(section.get("description", ""))
        yield _table(section, paths)


def _paths(section: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, value in section["properties"].items():
        if key == "images":
            continue
        mark = "[]" if "items" in value else ".HOST" if "additionalProperties" in value else ""
        for name in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
            inner = f"{path}{key}{mark}"
            yield name, inner
            yield from _paths(schema["$defs"][name], schema, f"{inner}.")


def _table(section: dict[str, Any], paths: dict[str, str]) -> str:
    required = {*section.get("required", []), *section.get("anyOf", [{}])[0].get("required", [])}
    rows = (
        (
            code(key),
            *_OVERRIDES.get(key, (_type(value, paths), _default(value, required=key in required))),
            value.get("description", ""),
        )
        for key, value in section["properties"].items()
    )
    return table(("key", "value", "default", "meaning"), rows)


def _type(value: dict[str, Any], paths: dict[str, str]) -> str:
    """Return a schema in words; a section is a link to its table."""
    if "$ref" in value:
        path = paths[value["$ref"].rpartition("/")[2]]
        return f"[{path}](#{re.sub(r'[^a-z_]', '', path.lower())})"
    if "anyOf" in value:
        kinds = [kind for kind in value["anyOf"] if kind != {"type": "null"}]
        is_duration = kinds in (_DURATION["anyOf"], [_DURATION])
        return "duration" if is_duration else " or ".join(dict.fromkeys(_type(kind, paths) for kind in kinds))
    choices = value["enum"] if "enum" in value else [value["const"]] if "const" in value else []
    return ", ".join(code(_shown(item)) for item in choices) or _plain(value, paths)


def _plain(value: dict[str, Any], paths: dict[str, str]) -> str:
    kind = value.get("type", "")
    if kind == "array":
        return f"list of {_type(value['items'], paths)}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"mapping to {_type(value['additionalProperties'], paths)}"
    return " or ".join(str(_TYPES.get(one, one)) for one in (kind if isinstance(kind, list) else [kind]))


def _default(value: dict[str, Any], *, required: bool) -> str:
    if required:
        return "**required**"
    default = value.get("default")
    if default is None or default == "" or isinstance(default, dict) or default == []:
        return ""
    if isinstance(default, float):
        return code(_duration(default))
    return code(_shown(default))


def _duration(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
