"""Check the gates of an image together, and with what else the config says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from multibuild.config.problems import Problem, invalid
from multibuild.config.yaml_document import KeyPath
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.gates.gate import Gate


def check_gates(gates: Sequence[Gate], *, to_registry: bool, staged: bool, to: str) -> None:
    """Raise a validator's error for two gates of one name, and for what there is none of without a registry.

    `to_registry` is whether the index goes to one, `staged` whether children are pushed to one, `to` the output.
    """
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        if gate.name in seen:
            raise invalid(
                f"there is a gate '{gate.name}' already", hint="rename one", at=("gates", index, "name")
            )
        seen.add(gate.name)
        if gate.uses_ref and not staged:
            raise invalid(
                f"there is no {{ref}}: with publish.to {to} children are pushed to no registry",
                hint="write publish: {staging: tag} to push them, or leave {ref} out",
                at=("gates", index, "run"),
            )
        if gate.growth is not None and not to_registry:
            raise invalid(
                f"there is no tag at a registry to compare with: publish.to is {to}",
                hint="write max: 250MB",
                at=("gates", index, "growth"),
            )


def platform_problems(
    images: Mapping[str, tuple[Sequence[Gate], Sequence[Platform]]], source: Callable[[str, KeyPath], KeyPath]
) -> Iterator[Problem]:
    """Yield the platforms of gates that no image with that gate is built for: the gate would never run.

    `images` are the gates and the platforms of each image, `source` is where a key of an image stands in the file.
    """
    used: dict[KeyPath, bool] = {}
    named: dict[KeyPath, Platform] = {}
    for name, (gates, platforms) in images.items():
        for index, gate in enumerate(gates):
            for at, platform in enumerate(gate.platforms):
                key = source(name, ("gates", index, "platforms", at))
                named[key] = platform
                used[key] = used.get(key, False) or platform in platforms
    listed = ", ".join(dict.fromkeys(str(one) for _, platforms in images.values() for one in platforms))
    for key, is_used in used.items():
        if not is_used:
            yield Problem(key=key, message=f"{named[key]} is not built", hint=f"platforms has {listed}")
