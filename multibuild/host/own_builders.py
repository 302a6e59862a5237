"""The builders that multibuild made on this account: no other is ever changed or removed.

buildx keeps builders per account, so this is kept per account too, whatever the project.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, field
from pathlib import Path

from multibuild.errors import EnvironmentFault
from multibuild.files import make_private_directory, read_plain, write_atomic
from multibuild.frozen import frozen
from multibuild.journal.recorder import Say
from multibuild.journal.runs import state_home
from multibuild.json_types import parse_json

MAX_BYTES = 1 << 20
"""Of the record of a builder; it has some hundred."""


@frozen
class OwnBuilder:
    """A builder that multibuild made, with its driver, its profile and the registries it was configured for.

    `registries` maps host[:port] to its settings in the builder's `buildkitd.toml`; `configured` is whether it had
    such a file at all; `endpoint` is that of another machine or engine, empty for the engine we talk to.
    """

    name: str
    driver: str
    profile: str
    endpoint: str = ""
    configured: bool = False
    registries: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


class OwnBuilders:
    """The record of these builders: one small file each."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made when something is written."""
        self._folder = folder

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> OwnBuilders:
        """Return the account's record."""
        return cls(state_home(environ) / "builders")

    @contextmanager
    def lock(self, say: Say) -> Iterator[None]:
        """Keep other runs of this account from creating, changing and removing builders meanwhile; wait for them.

        EnvironmentFault where the record cannot be written.
        """
        with self._faults():
            make_private_directory(self._folder)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another run makes builders; waiting for it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def get(self, name: str) -> OwnBuilder | None:
        """Return one builder; None for one that multibuild did not make."""
        try:
            return OwnBuilder(**parse_json(read_plain(self._folder / f"{name}.json", max_bytes=MAX_BYTES)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def all(self) -> tuple[OwnBuilder, ...]:
        """Return all of them, by name."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        return tuple(builder for builder in map(self.get, names) if builder is not None)

    def add(self, builder: OwnBuilder) -> None:
        """Record a builder, before it is created: a kill in between must not leave one without an owner.

        EnvironmentFault where the record cannot be written.
        """
        with self._faults():
            make_private_directory(self._folder)
            write_atomic(self._folder / f"{builder.name}.json", json.dumps(asdict(builder), indent=2) + "\n")

    def forget(self, name: str) -> None:
        """Remove one from the record. EnvironmentFault where it cannot be written."""
        with self._faults():
            (self._folder / f"{name}.json").unlink(missing_ok=True)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise EnvironmentFault for an OSError of the record: no --state-dir moves it, one account has one."""
        try:
            yield
        except OSError as error:
            raise EnvironmentFault(
                f"the record of builders {self._folder} cannot be written: "
                f"{error.filename or self._folder}: {error.strerror}",
                hint="free disk space, or set XDG_STATE_HOME to a directory of this account",
            ) from error
