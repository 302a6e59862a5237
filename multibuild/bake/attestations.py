"""What a bake target says of its result: attestations, and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from multibuild.bake.target import BakeTarget, Unsupported, attributes

_TRUE: Final = frozenset({"true", "1", "t"})

_USE_INSTEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "docker": "publish.to: docker",
        "oci": "publish.to: oci:DIR or oci-archive:FILE",
        "local": "`docker buildx bake` for files; leave the target out of bake.targets",
        "tar": "`docker buildx bake` for files; leave the target out of bake.targets",
        "cacheonly": "leave the target out of bake.targets: it makes no image",
        "name": "tags",
        "rewrite-timestamp": "reproducible: true",
        "push-by-digest": "publish.staging: digest",
        "name-canonical": "publish.staging: digest",
        "registry.insecure": "registries: {HOST: {insecure: true}}",
    }
)
"""Types and attributes of an output → what does the same here."""

_IGNORED: Final = frozenset({"type", "push", "store", "unpack"})
"""Attributes that say where the image goes, which a run decides: it stages, proves, and then publishes."""

_OVERRIDE: Final = (
    "`publish: {to: registry}` under `images: NAME:`, which stands for the output that bake says, or a further file of"
    " bake.files that sets the target's output to type=registry"
)


def attestation_keys(value: Sequence[Any], _target: BakeTarget) -> Mapping[str, Any]:
    """Return `attestations`; of several entries of a type the first counts, as for buildx."""
    keys: dict[str, Any] = {}
    for entry in value:
        fields = attributes(entry)
        kind = fields.pop("type", "")
        disabled = fields.pop("disabled", "false") in _TRUE
        if kind == "provenance":
            # BuildKit's default of an attestation that is asked for (solver/llbsolver/provenance.go).
            mode = fields.pop("mode", "max")
            keys.setdefault("provenance", False if disabled else {"full": "max"}.get(mode, mode))
        elif kind == "sbom":
            keys.setdefault("sbom", not disabled)
        else:
            raise Unsupported(f"has the type '{kind}'", use_instead="type=provenance or type=sbom")
        if fields and not disabled:
            raise Unsupported(
                f"has {', '.join(sorted(fields))} of type={kind}",
                use_instead="attestations.provenance: min or max, attestations.sbom: true",
            )
    return {"attestations": keys} if keys else {}


def output_keys(value: Sequence[Any], target: BakeTarget) -> Mapping[str, Any]:
    """Return `media_type` where an output sets it: where the result goes is a matter of the run."""
    keys: dict[str, Any] = {}
    for entry in value:
        fields = attributes(entry, bare="dest")
        kind = fields.get("type", "local")
        if target.linked and kind == "cacheonly":  # buildx's own output of a target that only others use
            continue
        if kind not in {"image", "registry"}:
            raise Unsupported(
                f"is type={kind}", use_instead=f"{_USE_INSTEAD.get(kind, 'publish.to')}, or {_OVERRIDE}"
            )
        for name in fields.keys() - _IGNORED - {"oci-mediatypes"}:
            instead = "annotations" if name.startswith("annotation") else _USE_INSTEAD.get(name, "")
            raise Unsupported(
                f"has {name}, which multibuild does not pass on", use_instead=instead or _OVERRIDE
            )
        if "oci-mediatypes" in fields:
            keys["media_type"] = "oci" if fields["oci-mediatypes"] in _TRUE else "docker"
    return keys
