"""Which builders multibuild made on this account: only those are ever changed or removed.

buildx keeps builders per account, so this is kept per account too, whatever the project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, field
from pathlib import Path

from multibuild.files import write_atomic
from multibuild.frozen import frozen
from multibuild.journal.runs import state_home


@frozen
class OwnBuilder:
    """A builder we made: of which driver, for which profile, with which registries made known to it.

    `registries` maps host[:port] to what its `buildkitd.toml` was given for it; `configured` is whether it had such
    a file at all.
    """

    name: str
    driver: str
    profile: str
    configured: bool = False
    registries: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


class OwnBuilders:
    """The record: one small file per builder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when something is written."""
        self._folder = folder

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> OwnBuilders:
        """Give the account's own."""
        return cls(state_home(environ) / "builders")

    def get(self, name: str) -> OwnBuilder | None:
        """Look one up; None for a builder that somebody else made."""
        try:
            return OwnBuilder(**json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def all(self) -> tuple[OwnBuilder, ...]:
        """Give all of them, by name."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        found = (self.get(name) for name in names)
        return tuple(made for made in found if made is not None)

    def add(self, made: OwnBuilder) -> None:
        """Write one down, before it is made: a kill in between must not leave a builder that nobody owns."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._folder / f"{made.name}.json", json.dumps(asdict(made), indent=2) + "\n")

    def forget(self, name: str) -> None:
        """Strike one out."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)
