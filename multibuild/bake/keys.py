"""What becomes of every key of a bake target: a row per key. docs/reference/bake.md is written from it.

Keys: docker/buildx, docs/bake-reference.md, and the struct `Target` of bake/bake.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from multibuild.bake.annotations import annotation_keys
from multibuild.bake.attestations import attestation_keys, output_keys
from multibuild.bake.caches import cache_from_keys, cache_to_keys
from multibuild.bake.platforms import platform_keys
from multibuild.bake.tags import image_keys
from multibuild.bake.target import BakeTarget, Unsupported, attributes, is_fetched, unescaped
from multibuild.buildx.cache_targets import as_csv
from multibuild.frozen import frozen
from multibuild.json_types import Shape, has_shape, is_flag, is_text, optional

Keys = Mapping[str, Any]
Convert = Callable[[Any, BakeTarget], Keys]


@frozen
class BakeKey:
    """A key of a target: the keys of an image that it becomes, a remark for the reference, and the conversion.

    `shape` is what `--print` writes. A conversion raises Unsupported for a value that cannot be honoured; that of a
    `refused` key always does. `replaced_by` are the keys of an image that stand in for a refused value, where these are
    not those that it becomes.
    """

    name: str
    becomes: tuple[str, ...]
    remark: str
    shape: Shape
    convert: Convert
    refused: bool = False
    replaced_by: tuple[str, ...] = ()


def _context(value: str, target: BakeTarget) -> Keys:
    return {"context": value if is_fetched(value) else target.path(value)}


def _dockerfile(value: str, target: BakeTarget) -> Keys:
    """Convert the path: bake looks for it in the context, multibuild in the project."""
    context = str(target.fields.get("context", "."))
    if is_fetched(value) or (is_fetched(context) and not value.startswith("cwd://")):
        return {"dockerfile": value}
    if is_fetched(context):
        return {"dockerfile": str(target.project / value.removeprefix("cwd://"))}
    local = value.startswith(("cwd://", "/"))
    return {"dockerfile": target.path(value if local else f"{target.path(context)}/{value}")}


def _contexts(value: Mapping[str, str], target: BakeTarget) -> Keys:
    return {"contexts": {name: _named_context(source, target) for name, source in value.items() if source}}


def _named_context(source: str, target: BakeTarget) -> str:
    if source.startswith("target:"):
        return f"image:{source.removeprefix('target:')}"
    return source if is_fetched(source) else target.path(source)


def _texts_by_name(key: str) -> Convert:
    """Return the conversion of a mapping; a null is a value that is not set."""
    return lambda value, _: {
        key: {unescaped(name): unescaped(text) for name, text in value.items() if text is not None}
    }


def _same(key: str) -> Convert:
    return lambda value, _: {key: value}


def _tags(value: list[str], _: BakeTarget) -> Keys:
    return image_keys(value)


def _network(value: str, _: BakeTarget) -> Keys:
    if value not in {"default", "none", "host"}:
        raise Unsupported(f"is {value}", use_instead="default, none or host")
    return {"network": value}


def _secrets(value: list[Any], target: BakeTarget) -> Keys:
    return {"secrets": [as_csv(_secret(attributes(entry), target)) for entry in value]}


def _secret(fields: dict[str, str], target: BakeTarget) -> dict[str, str]:
    if unknown := fields.keys() - {"type", "id", "src", "source", "env"}:
        raise Unsupported(f"has {', '.join(sorted(unknown))}", use_instead="id, src and env")
    source = fields.get("src") or fields.get("source")
    src = {"src": target.path(source)} if source else {}
    env = {"env": fields["env"]} if fields.get("env") else {}
    return {"id": fields.get("id") or source or fields.get("env", ""), **src, **env}


def _ssh(value: list[Any], target: BakeTarget) -> Keys:
    return {"ssh": [_agent(entry, target) for entry in value]}


def _agent(entry: str | Mapping[str, Any], target: BakeTarget) -> str:
    if isinstance(entry, str):
        return entry
    if unknown := entry.keys() - {"id", "paths"}:
        raise Unsupported(f"has {', '.join(sorted(unknown))}", use_instead="id and paths")
    paths = ",".join(target.path(path) for path in entry.get("paths") or ())
    name = str(entry.get("id") or "default")
    return f"{name}={paths}" if paths else name


def _flags(flag: str) -> Convert:
    return lambda value, _: {"build_flags": [f"{flag}={item}" for item in value]}


def _one_flag(flag: str) -> Convert:
    return lambda value, _: {"build_flags": [f"{flag}={value}"]}


def _hosts(value: Mapping[str, str | None], _: BakeTarget) -> Keys:
    hosts = {name: unescaped(address) for name, address in value.items() if address is not None}
    return {"build_flags": [f"--add-host={name}={address}" for name, address in hosts.items()]}


def _call(value: str, _: BakeTarget) -> Keys:
    if value == "build":
        return {}
    raise Unsupported(
        f"is {value}: the target builds nothing",
        use_instead="leave the target out of bake.targets; `multibuild lint` checks Dockerfiles",
    )


def _nothing(_value: Any, _target: BakeTarget) -> Keys:
    return {}


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(text is None or is_text(text) for text in value.values())


def _is_entry(value: Any) -> bool:
    """Whether it is a text or an object of attributes."""
    return is_text(value) or isinstance(value, dict)


def _is_agent(value: Any) -> bool:
    return is_text(value) or has_shape(value, {"id?": optional(is_text), "paths?": optional([is_text])})


def _is_anything(_value: Any) -> bool:
    return True


def _refused(name: str, shape: Shape, why: str, *, use_instead: str, replaced_by: tuple[str, ...]) -> BakeKey:
    """Return the row of a key that is refused whatever its value."""

    def refuse(_value: Any, _target: BakeTarget) -> Keys:
        raise Unsupported(why, use_instead=use_instead)

    remark = f"It {why}. Instead: {use_instead}."
    return BakeKey(
        name=name,
        becomes=(),
        remark=remark,
        shape=shape,
        convert=refuse,
        refused=True,
        replaced_by=replaced_by,
    )


_ROWS: Final = (
    BakeKey(
        name="context",
        becomes=("context",),
        remark="Relative to the project, as for buildx.",
        shape=is_text,
        convert=_context,
    ),
    BakeKey(
        name="contexts",
        becomes=("contexts",),
        remark="`target:NAME` becomes `image:NAME`, and that target an image too.",
        shape=_is_text_map,
        convert=_contexts,
    ),
    BakeKey(
        name="dockerfile",
        becomes=("dockerfile",),
        remark="Relative to the project: bake's is relative to the context.",
        shape=is_text,
        convert=_dockerfile,
    ),
    _refused(
        "dockerfile-inline",
        is_text,
        "is a Dockerfile inside the definition; multibuild reads, checks and fingerprints a file",
        use_instead="write it to a file, and name that: `dockerfile` under `images: NAME:`",
        replaced_by=("dockerfile",),
    ),
    BakeKey(name="target", becomes=("target",), remark="", shape=is_text, convert=_same("target")),
    BakeKey(
        name="args",
        becomes=("args",),
        remark="One that is null is not set.",
        shape=_is_text_map,
        convert=_texts_by_name("args"),
    ),
    BakeKey(
        name="labels",
        becomes=("labels",),
        remark="One that is null is not set.",
        shape=_is_text_map,
        convert=_texts_by_name("labels"),
    ),
    BakeKey(
        name="annotations",
        becomes=("annotations",),
        remark="One without a prefix is the manifest's, as for bake: `manifest:KEY`. A platform in brackets must be one"
        " of the image's.",
        shape=[is_text],
        convert=annotation_keys,
    ),
    BakeKey(
        name="tags",
        becomes=("image", "tags", "destinations"),
        remark="The first repository is the image, others are destinations; all must have the same tags.",
        shape=[is_text],
        convert=_tags,
    ),
    BakeKey(
        name="platforms",
        becomes=("platforms",),
        remark="`local` is refused.",
        shape=[is_text],
        convert=platform_keys,
    ),
    BakeKey(
        name="secret",
        becomes=("secrets",),
        remark="Where a secret is, never the secret.",
        shape=[_is_entry],
        convert=_secrets,
    ),
    BakeKey(name="ssh", becomes=("ssh",), remark="", shape=[_is_agent], convert=_ssh),
    BakeKey(
        name="cache-from",
        becomes=("cache.from",),
        remark="Where a cache is read that `cache-to` writes, the place gets `{slug}` too.",
        shape=[_is_entry],
        convert=cache_from_keys,
    ),
    BakeKey(
        name="cache-to",
        becomes=("cache.to",),
        remark="Its place gets `{slug}`, as each platform writes its own cache; not if the target has one platform.",
        shape=[_is_entry],
        convert=cache_to_keys,
    ),
    BakeKey(
        name="attest",
        becomes=("attestations.provenance", "attestations.sbom"),
        remark="`type`, `mode` and `disabled`; other attributes are refused.",
        shape=[_is_entry],
        convert=attestation_keys,
    ),
    BakeKey(
        name="output",
        becomes=("media_type",),
        remark="`registry` and `image`, with or without `push`: publishing is the run's. `docker`, `oci`, `local`,"
        " `tar` and `cacheonly` are refused, and attributes of the image other than `oci-mediatypes`.",
        shape=[_is_entry],
        convert=output_keys,
        replaced_by=("publish.to",),
    ),
    BakeKey(
        name="network", becomes=("network",), remark="default, none or host", shape=is_text, convert=_network
    ),
    BakeKey(name="no-cache", becomes=("no_cache",), remark="", shape=is_flag, convert=_same("no_cache")),
    BakeKey(
        name="no-cache-filter",
        becomes=("build_flags",),
        remark="`--no-cache-filter`",
        shape=[is_text],
        convert=_flags("--no-cache-filter"),
    ),
    BakeKey(name="pull", becomes=("pull",), remark="", shape=is_flag, convert=_same("pull")),
    BakeKey(
        name="shm-size",
        becomes=("build_flags",),
        remark="`--shm-size`",
        shape=is_text,
        convert=_one_flag("--shm-size"),
    ),
    BakeKey(
        name="ulimits",
        becomes=("build_flags",),
        remark="`--ulimit`",
        shape=[is_text],
        convert=_flags("--ulimit"),
    ),
    BakeKey(
        name="extra-hosts",
        becomes=("build_flags",),
        remark="`--add-host`",
        shape=_is_text_map,
        convert=_hosts,
    ),
    # buildx stops as well, unless --allow is on bake's own command line: a file does not give itself a permission.
    _refused(
        "entitlements",
        [is_text],
        "asks for a permission that bake does not give by itself either",
        use_instead="`build_flags: [--allow=network.host]` under `images: NAME:`",
        replaced_by=("build_flags",),
    ),
    BakeKey(
        name="call",
        becomes=(),
        remark="`build` is what multibuild does; `check`, `outline` and `targets` are refused.",
        shape=is_text,
        convert=_call,
    ),
    BakeKey(
        name="description",
        becomes=(),
        remark="Nothing of the image: it is shown where images are listed.",
        shape=is_text,
        convert=_nothing,
    ),
    _refused(
        "policy",
        _is_anything,
        "has no key here",
        use_instead="`build_flags: [--policy=filename=FILE]` under `images: NAME:`",
        replaced_by=("build_flags",),
    ),
    _refused(
        "resources",
        _is_anything,
        "has no key here",
        use_instead="`build_flags: [--resource=memory=2g]` under `images: NAME:`",
        replaced_by=("build_flags",),
    ),
    BakeKey(
        name="inherits",
        becomes=(),
        remark="buildx has resolved it, like `matrix`, `name`, variables and functions.",
        shape=_is_anything,
        convert=_nothing,
    ),
)

BAKE_KEYS: Final[Mapping[str, BakeKey]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every key of a target that buildx prints, by its name."""
