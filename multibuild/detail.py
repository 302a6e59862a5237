"""What `--verbose` says: every docker command and every registry request as it is made. Nothing without a listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

_listener: Callable[[str], None] | None = None
# Not a logger: importing `logging` alone takes a fiftieth of `--help`.


def listen(listener: Callable[[str], None] | None) -> None:
    """Let `listener` hear every word from now on, in place of who did; None: nobody."""
    global _listener  # noqa: PLW0603 - one process has one person who watches
    _listener = listener


def is_told() -> bool:
    """Whether someone listens."""
    return _listener is not None


def fact(text: str) -> None:
    """Tell where something was found, or what was taken as given."""
    if _listener is not None:
        _listener(text)


def command(argv: Sequence[str]) -> None:
    """Tell of a command about to run: for a shell, but for the values of build arguments, which may be secret."""
    if is_told():
        import shlex

        fact(f"+ {shlex.join(_without_values(argv))}")


def request(method: str, url: str, answer: str, seconds: float) -> None:
    """Tell of a request that was answered. What follows a `?` may be a signature or a token, so it is not told."""
    if is_told():
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        fact(f"{method} {parts.scheme}://{host}{parts.path}: {answer} in {seconds:.2f} s")


def _without_values(argv: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in argv:
        yield word.partition("=")[0] if before == "--build-arg" else word
        before = word
