"""Errors of what a config asks of a definition: a file, a target or a variable that is not there."""

from __future__ import annotations

from multibuild.errors import ConfigError


class BakeRequestError(ConfigError):
    """What is wrong with the value at a key of `bake`, so that the place in the config can be named."""

    def __init__(self, key: tuple[str | int, ...], message: str, *, hint: str | None = None) -> None:
        """`key` is the path below `bake`, like `("targets", 0)`."""
        self.key = ("bake", *key)
        super().__init__(f"{'.'.join(map(str, self.key))}: {message}", hint=hint)
