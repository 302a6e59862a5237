"""Shell completion: the values that Typer offers for options and arguments, and the answer to its shell scripts."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import typer
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]

from multibuild.errors import MultibuildError

SHELLS: Final = ("bash", "zsh", "fish")

VARIABLE: Final = "_MULTIBUILD_COMPLETE"
"""Set by Typer's scripts when they run the program to complete a line."""

_PLAIN: Final = re.compile(r"\w[\w./:@,+-]*", re.ASCII)
"""Words that no shell expands or executes. Typer's scripts expand globs in bash and evaluate the answer in zsh."""


def script(shell: str) -> str:
    """Return Typer's completion script for one of `SHELLS`."""
    return str(get_completion_script(prog_name="multibuild", complete_var=VARIABLE, shell=shell))


def answer(program: typer.Typer) -> int:
    """Print the completions of the line in Typer's variables, nothing on any error; return the exit code."""
    completion_init()
    output = io.StringIO()
    code: object = 0
    logging.disable()  # a message would land on the line that is being typed
    try:
        shell = os.environ[VARIABLE].removeprefix("complete_")
        if shell not in SHELLS:
            return 0
        prefix = _join_bash_words() if shell == "bash" else _option_before_equals()
        with redirect_stdout(output):
            program(args=[], prog_name="multibuild")
    except SystemExit as exit_:
        code = exit_.code
    except Exception:
        return 0
    finally:
        logging.disable(logging.NOTSET)
    if completions := output.getvalue().strip():
        print(_fit(shell, completions, prefix))
    return code if isinstance(code, int) else 0


def _join_bash_words() -> str:
    """Join the words that bash splits at `=` and `:`, unlike Typer; return the part of the last word that bash keeps.

    Readline replaces only what follows the last `=` or `:`.
    """
    words = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
    joined = words[:1]
    for previous, word in pairwise(words):
        if word and not (previous.strip("=:") and word.strip("=:")):
            joined[-1] += word
        else:
            joined.append(word)
    os.environ.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(len(joined) - 1))
    prefix = joined[-1].removesuffix(words[-1].lstrip("=:"))
    return prefix.partition("=")[2] if prefix.startswith("-") else prefix


def _option_before_equals() -> str:
    """Return the `--option=` that zsh and fish count as part of the word, and Typer does not."""
    match = re.search(r"\s(--[\w-]+=)\S*\Z", os.environ.get("_TYPER_COMPLETE_ARGS", ""))
    return match[1] if match else ""


def _fit(shell: str, completions: str, prefix: str) -> str:
    """Fit Typer's completions to the part of the word that the shell replaces: all after `prefix`."""
    lines = completions.splitlines()
    match shell:
        case "bash":
            return "\n".join(line[len(prefix) :] for line in lines if line.startswith(prefix))
        case "fish":
            return "\n".join(f"{prefix}{line}" for line in lines)
        case "zsh" if prefix:
            return f"compset -P '--*='; {completions}"
    return completions


def fixed(*words: str) -> Callable[[], Iterable[str]]:
    """Return a callback that offers these words."""
    return lambda: words


def platforms(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return a comma list's next platforms: those of the config, then those of the table."""
    from multibuild.architectures import ARCHITECTURES
    from multibuild.platforms import Platform

    table = [f"linux/{row.name}" for row in ARCHITECTURES if row.name != "arm"]
    table[2:2] = ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
    try:
        own = [str(Platform.parse(name)) for name in _config_values(ctx, "platforms")]
    except MultibuildError:
        own = []
    return _plain([*own, *table], incomplete)


def clients(incomplete: str) -> list[str]:
    """Return a comma list's next clients."""
    from multibuild.resolve.client_rules import CLIENTS

    return _plain(CLIENTS, incomplete)


def builders() -> list[str]:
    """Return `auto` and the shipped profiles."""
    from multibuild.config.profiles import shipped_profiles_folder

    return ["auto", *sorted(path.stem for path in shipped_profiles_folder().glob("*.yaml"))]


def tags(ctx: typer.Context) -> list[str]:
    """Return the config's tags."""
    return _plain(_config_values(ctx, "tags"))


def image_names(ctx: typer.Context) -> list[str]:
    """Return the names of the config's images, without those on the line already.

    Those of a bake definition are known to buildx alone, which is asked only where the config has `bake`.
    """
    from multibuild.config.images.names import is_name

    own = [name for name in map(str, _config_section(ctx, "images")) if is_name(name)]
    from_bake = _bake_names(_config_file(ctx)) if isinstance(_config_value(ctx, "bake"), dict) else []
    return _plain(name for name in [*from_bake, *own] if name not in _given(ctx))


def _given(ctx: typer.Context) -> set[str]:
    """Return the arguments that are on the line already."""
    names = [one.name for one in ctx.command.params if one.param_type_name == "argument"]
    values = [ctx.params.get(name or "") for name in names]
    return {word for value in values for word in ([value] if isinstance(value, str) else value or ())}


def _bake_names(file: Path) -> list[str]:
    from datetime import UTC, datetime

    from multibuild.bake.definition import read_bake
    from multibuild.config import project
    from multibuild.config.cli_overrides import Overrides
    from multibuild.engine.docker import run_docker

    now = datetime.now(UTC)
    try:
        section = project.read_bake(file, environ=os.environ, overrides=Overrides(), now=now)
        if section is None:
            return []
        bake = section.bake
        read = partial(
            read_bake,
            run_docker,
            project=file.absolute().parent,
            environ=os.environ,
            is_replaced=section.replaces,
        )
        return [one.name for one in read(files=bake.files, targets=bake.targets, variables=bake.vars)]
    except MultibuildError:
        return []


def images(ctx: typer.Context) -> list[str]:
    """Return the config's image at each of its tags; of several images each."""
    own = {name: keys for name, keys in _config_section(ctx, "images").items() if isinstance(keys, dict)}
    top = {key: _config_value(ctx, key) for key in ("image", "tags")}
    return _plain(
        f"{image}:{tag}"
        for name, keys in (own or {"": {}}).items()
        for image in _named({**top, **keys}["image"], name)
        for tag in _plain(_named({**top, **keys}["tags"], name) or ["latest"])
    )


def _named(value: Any, name: object) -> list[str]:
    """Return texts of an image's keys, with its name in them."""
    return [text.replace("{name}", str(name)) for text in _texts(value)]


def names_and_images(ctx: typer.Context) -> list[str]:
    """Return what `merge` and `verify` take: names of the config's images, and images at their tags."""
    return [*image_names(ctx), *images(ctx)]


def runs(ctx: typer.Context) -> list[str]:
    """Return `latest` and the ids of the runs, newest first."""
    from multibuild.journal.runs import State, default_state_dir

    path = ctx.params.get("state_dir") or default_state_dir(_config_file(ctx).resolve().parent, os.environ)
    return _plain(["latest", *(run.id for run in State(path.expanduser()).runs())])


def runs_and_names(ctx: typer.Context) -> list[str]:
    """Return what `report` takes: runs, and names of the config's images."""
    return [*runs(ctx), *image_names(ctx)]


def _plain(words: Iterable[str], incomplete: str = "") -> list[str]:
    """Return the words that are plain, each after what the comma list `incomplete` already holds."""
    listed, comma, _ = incomplete.rpartition(",")
    candidates = (f"{listed}{comma}{word}" for word in dict.fromkeys(words) if word not in listed.split(","))
    return [word for word in candidates if _PLAIN.fullmatch(word)]


def _config_section(ctx: typer.Context, key: str) -> dict[str, Any]:
    """Return a mapping of the config as written; an empty one where it has none."""
    value = _config_value(ctx, key)
    return value if isinstance(value, dict) else {}


def _config_values(ctx: typer.Context, key: str) -> list[str]:
    """Return a list of the config as written; of a platform its name."""
    return _texts(_config_value(ctx, key))


def _texts(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    names = (entry.get("name") if isinstance(entry, dict) else entry for entry in entries)
    return [name for name in names if isinstance(name, str)]


def _config_value(ctx: typer.Context, key: str) -> Any:
    """Return what the config has under a key of its top level; None without a config that can be read."""
    from multibuild.config.yaml_document import read_document

    try:
        return read_document(_config_file(ctx)).values.get(key)
    except MultibuildError:
        return None


def _config_file(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("file") or "multibuild.yaml").expanduser()
