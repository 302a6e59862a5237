"""Configs that attack their reader: each ends quickly in an error with its place, or is read as it stands."""

import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.config.profiles import load_profile
from multibuild.config.referenced_files import check_files, local_contexts
from multibuild.errors import ConfigError
from multibuild.plan.plan import fingerprint_of

BASE = "version: 1\nimage: a/b\nplatforms: [amd64]\n"
CPU_S = 20.0
"""Processor time that no config may take: ten times what the slowest takes here."""


def load(file: Path, *sets: str, **environ: str):
    return load_config(file, environ=environ, overrides=Overrides(sets=sets), now=datetime.now(UTC))


def refusal(file: Path, *sets: str, **environ: str) -> ConfigError:
    """Return the error of a config, which must come soon, and be short, with a hint."""
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        check_files(load(file, *sets, **environ))
    assert time.process_time() - began < CPU_S
    assert len(caught.value.message) < 6000
    assert caught.value.hint or "\n" in caught.value.message
    return caught.value


def merges(levels: int, width: int = 9) -> str:
    """Return a bomb of merge keys: each level merges the one below `width` times."""
    lines = ["a0: &a0 {k: v}"]
    lines += [
        f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * width)}]}}" for level in range(1, levels)
    ]
    return "\n".join(lines) + "\n"


def aliases(levels: int, opening: str = "[", closing: str = "]") -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [
        f"a{level}: &a{level} {opening}{', '.join([f'*a{level - 1}'] * 9)}{closing}"
        for level in range(1, levels)
    ]
    return "\n".join(lines) + "\n"


def ladder(levels: int) -> str:
    """Return values that are deep only with their aliases written out."""
    lines = [f"a0: &a0 {'[' * 40}x{']' * 40}"]
    lines += [f"a{level}: &a{level} {'[' * 40}*a{level - 1}{']' * 40}" for level in range(1, levels)]
    return "\n".join(lines) + "\n"


def defaults(depth: int) -> str:
    return "${A:-" * depth + "x" + "}" * depth


# Text after BASE → part of the message.
TEXTS = {
    "merge keys of merge keys": (merges(30), "more than 50000 values"),
    "merge keys one below another": (
        "a0: &a0 {k: v}\n"
        + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}, b{n}: {{<<: *a{n - 1}}}}}\n" for n in range(1, 40)),
        "more than",
    ),
    "a merge of very many": ("a: &a {}\nargs: {<<: [" + "*a," * 60_000 + "]}\n", "more than"),
    "aliases of aliases": (aliases(12), "more than 50000 values"),
    "aliases of a long text": (
        "a: &a '" + "x" * 100_000 + "'\nlabels: {" + ", ".join(f"k{n}: *a" for n in range(900)) + "}\n",
        "characters",
    ),
    "deep lists": ("a: " + "[" * 100_000, "nested too deeply"),
    "deep mappings": ("a: " + "{a: " * 20_000, "nested too deeply"),
    "deep blocks": ("".join(" " * n + "a:\n" for n in range(400)), "nested too deeply"),
    "deep lists that are closed": ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
    "depth by aliases": (ladder(30), "nested too deeply"),
    "depth by merge keys": (
        "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 900)),
        "nested too deeply",
    ),
    "an alias of itself": ("args: &a {b: *a}", "contains itself"),
    "a merge of itself": ("args: &a {<<: *a}", "contains itself"),
    "a merge of a text": ("args: {<<: x}", "takes a mapping"),
    "very many entries": ("args: {" + ", ".join(f"k{n}: v" for n in range(5000)) + "}", "more than"),
    "very many platforms": (
        "labels: {}\nplatforms: [" + ", ".join(f"linux/arm/x{n}" for n in range(900)) + "]",
        "platforms: is written twice",
    ),
    "nested defaults": ("target: '" + defaults(5000) + "'", "defaults inside each other"),
    "nested messages": ("target: '" + "${A:?" * 5000 + "x" + "}" * 5000 + "'", "inside each other"),
    "defaults that are never closed": ("target: '" + "${A:-" * 20_000 + "'", "no closing brace"),
    "an expression that is none": ("target: '${" + "-" * 50_000 + "}'", "cannot be read"),
    "a variable with a long name": ("target: '${" + "A." * 50_000 + "}'", "there is no"),
    "a huge whole number": ("jobs: " + "9" * 10_000, "too large"),
    "a huge whole number for a duration": ("timeout: " + "9" * 400, "too large"),
    "a huge hexadecimal number": ("timeout: 0x" + "f" * 50_000, "too large"),
    "a huge octal number": ("retry: {attempts: 0o" + "7" * 50_000 + "}", "too large"),
    "a huge negative number": ("retry: {attempts: -" + "9" * 5000 + "}", "too large"),
    "a number that becomes infinite": ("timeout: 1e999", "too large"),
    "a number without end": ("timeout: .inf", "must be a duration"),
    "a number that is none": ("timeout: .nan", "must be a duration"),
    "a text of digits for a number": ("jobs: '" + "9" * 10_000 + "'", "jobs: must be"),
    "a text of digits for a duration": ("timeout: '" + "9" * 10_000 + "'", "timeout: must be"),
    "a duration of centuries": ("timeout: 99999d", "at most"),
    "a duration of very many units": ("timeout: " + "1d" * 20_000, "must be a duration"),
    "very many jobs": ("jobs: 1000000000000000000", "at most"),
    "very many attempts": ("retry: {attempts: 1000000000000000000}", "at most"),
    "an unknown tag": ("target: !!python/object/apply:os.system [x]", "means nothing here"),
    "a module": ("target: !!python/module:os ''", "means nothing here"),
    "binary data": ("target: !!binary aGVsbG8=", "means nothing here"),
    "a set": ("args: !!set {a}", "means nothing here"),
    "a time": ("target: !!timestamp 2026-01-01", "means nothing here"),
    "a boolean that is none": ("pull: !!bool maybe", "is no bool"),
    "nothing that is something": ("target: !!null x", "is no null"),
    "a number with a tag": ("jobs: !!int x", "is no int"),
    "a local tag": ("target: !" + "x" * 5000 + " y", "means nothing here"),
    "a NUL": ('context: "a\\0b"', "NUL"),
    "a NUL in a key": ('args: {"a\\0b": c}', "NUL"),
    "a raw NUL": ("target: a\x00b", ":4:10: is not YAML"),
    "half a character": ('labels: {"\\ud83d": x}', "half a character"),
    "half a character in an unknown key": ('"\\udc00": x', "half a character"),
    "half a character in a value": ('target: "\\udfff"', "half a character"),
    "a key that is very long": ("x" * 100 + "y" * 900 + ": 1", "is no key"),
    "a value that is very long": ("media_type: " + "x" * 100_000, "must be oci or docker"),
    "a platform that is very long": ("labels: {}\ntest: {run: [a], skip: [" + "a" * 100_000 + "]}", "platform"),
    "a secret of two lines": ('secrets: ["id=a,\\nsrc=b"]', "secrets.0"),
    "a secret with a long field": ("secrets: ['id=" + "a" * 140_000 + "']", "secrets.0"),
    "two documents": ("---\nversion: 1", "is not YAML"),
    "a version of the future": ("%YAML 9.9\n---\nversion: 1", "is not YAML"),
    "a merge in a list": ("tags: [<<: *x]", "undefined alias"),
    "an anchor twice": ("args: &a {x: &a y}\nlabels: *b", "is not YAML"),
    "a target that is a digit of another script": ("target: ²", "has no stage"),
    "a target of very many digits": ("target: '" + "9" * 5000 + "'", "has no stage"),
    "a Dockerfile with a very long name": ("dockerfile: " + "a" * 5000, "there is no file"),
    "a context with a very long name": ("context: " + "a/" * 5000, "there is no directory"),
    "a named context with a very long name": ("contexts: {x: " + "a" * 5000 + "}", "contexts.x"),
    "a profile with a very long name": ("builder: ./" + "a" * 5000, "there is no profile"),
    "a secret with a very long name": ("secrets: ['id=a,src=" + "a" * 5000 + "']", "there is no file"),
    "an ssh key with a very long name": ("ssh: ['a=" + "a" * 5000 + "']", "ssh.0"),
    "a CA with a very long name": ("registries: {r.example.org: {ca: " + "a" * 5000 + "}}", "ca"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_a_hostile_config_is_an_error_with_its_place(case, tmp_path):
    text, message = TEXTS[case]
    (tmp_path / "Dockerfile").write_text("FROM scratch AS a\n")
    file = tmp_path / "multibuild.yaml"
    file.write_text(BASE + text + "\n")
    error = refusal(file)
    assert message in error.message
    if "there is no" not in message and message not in {"has no stage", "ssh.0", "contexts.x", "ca"}:
        assert f"{file}:" in error.message


BYTES = {
    "UTF-16": (BASE.encode("utf-16"), ":1:1: is not UTF-8"),
    "UTF-16 without mark": (BASE.encode("utf-16-le"), ":1:2: is not YAML"),
    "UTF-32": (BASE.encode("utf-32"), ":1:1: is not UTF-8"),
    "Latin-1": ((BASE + "target: ü\n").encode("latin-1"), ":4:9: is not UTF-8"),
    "zeros": (bytes(5000), ":1:1: is not YAML"),
    "an executable": (b"\x7fELF" + bytes(range(256)) * 20, ":2:118: is not UTF-8"),
    "a mark alone": (b"\xef\xbb\xbf", ":1:1: the file is empty"),
    "a mark in the middle": ((BASE + "target: \ufeffx\n").encode(), None),
    "half a character": (b"version: 1\n# \xe2\x82", ":2:3: is not UTF-8"),
    "more than a config has": (b"# x\n" * 1_000_000, "more than"),
    "one very long line": (b"a" * 10_000_000, "more than"),
}


@pytest.mark.parametrize("case", BYTES)
def test_a_file_that_is_no_text_is_an_error_with_its_place(case, tmp_path):
    data, message = BYTES[case]
    file = tmp_path / "multibuild.yaml"
    file.write_bytes(data)
    if message is None:
        assert load(file)
    else:
        assert message in refusal(file).message


def test_a_config_with_a_mark_and_windows_lines_is_read(tmp_path):
    file = tmp_path / "multibuild.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load(file).config.image == "a/b"


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)
        server.bind(path.name)


def _link_to_fifo(path: Path) -> None:
    _fifo(path.with_name("fifo"))
    path.symlink_to("fifo")


def _terabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 10**12)


SPECIAL = {
    "a FIFO": _fifo,
    "a socket": _socket,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to("/dev/null"),
    "a directory": lambda path: path.mkdir(),
    "a loop of links": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to a FIFO": _link_to_fifo,
    "a sparse file of a terabyte": _terabyte,
}  # fmt: skip


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_config_that_is_no_regular_file_is_an_error(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SPECIAL[kind](tmp_path / "multibuild.yaml")
    assert "multibuild.yaml: " in refusal(tmp_path / "multibuild.yaml").message


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_profile_that_is_no_regular_file_is_an_error(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SPECIAL[kind](tmp_path / "mine.yaml")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load_profile("./mine.yaml", tmp_path)


REFERRED = {
    "dockerfile": "dockerfile: x",
    "secrets.0": "secrets: ['id=a,src=x']",
    "registries.r.example.org.ca": "registries: {r.example.org: {ca: x}}",
}


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL if "sparse" not in kind])
@pytest.mark.parametrize("key", REFERRED)
def test_a_file_of_the_config_that_is_no_regular_file_is_an_error(key, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").touch()
    SPECIAL[kind](tmp_path / "x")
    (tmp_path / "multibuild.yaml").write_text(f"{BASE}{REFERRED[key]}\n")
    assert f"{key}: there is no file" in refusal(tmp_path / "multibuild.yaml").message


def test_a_huge_dockerfile_is_not_read_for_its_stages(tmp_path):
    (tmp_path / "Dockerfile").touch()
    os.truncate(tmp_path / "Dockerfile", 10**12)
    (tmp_path / "multibuild.yaml").write_text(f"{BASE}target: a\n")
    assert "dockerfile" in refusal(tmp_path / "multibuild.yaml").message.lower()


BUILDKITD: dict[str, tuple[str | bytes, str]] = {
    "no TOML": ("[registry", "buildkitd.toml: is not TOML"),
    "no TOML in one line": ("debug = true\ntrace = maybe", "buildkitd.toml:2:9: is not TOML"),
    "a registry that is no table": ("registry = 5", "buildkitd.toml: registry"),
    "a registry of a text": ("[registry]\n'r.example.org' = 5", "buildkitd.toml: registry"),
    "deep lists": ("a = " + "[" * 50_000, "buildkitd.toml"),
    "no UTF-8": (b"a = '\xff'", "buildkitd.toml"),
    "certificates that are no list": ("[registry.'r.example.org']\nca = 5", "buildkitd.toml: registry"),
    "a file without end": (b"# x\n" * 1_000_000, "buildkitd.toml"),
}


@pytest.mark.parametrize("case", BUILDKITD)
def test_a_broken_buildkitd_toml_is_an_error_of_the_profile(case, tmp_path):
    text, message = BUILDKITD[case]
    (tmp_path / "buildkitd.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "mine.yaml").write_text("buildkitd: buildkitd.toml\n")
    with pytest.raises(ConfigError) as caught:
        load_profile("./mine.yaml", tmp_path)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["'${A}${A}${A}${A}'", "'${B:-${A}${A}${A}}'", "'${B:?${A}${A}${A}}'", "'${A}${A}'"]
)
def test_values_that_make_a_text_huge_are_an_error(text, tmp_path):
    (tmp_path / "multibuild.yaml").write_text(f"{BASE}target: {text}\n")
    error = refusal(tmp_path / "multibuild.yaml", A="x" * 100_000)
    assert "more than 131072 characters" in error.message


def test_values_that_make_a_config_huge_are_an_error(tmp_path):
    labels = ", ".join(f"k{n}: '${{A}}'" for n in range(500))
    (tmp_path / "multibuild.yaml").write_text(f"{BASE}labels: {{{labels}}}\n")
    assert "characters" in refusal(tmp_path / "multibuild.yaml", A="x" * 100_000).message


def test_a_variable_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "multibuild.yaml").write_text(f"{BASE}labels: {{a: '${{A}}'}}\ncontext: '${{A:-.}}'\n")
    error = refusal(tmp_path / "multibuild.yaml", A=os.fsdecode(b"\xff"))
    assert ":4:10: labels.a: a variable in it is not UTF-8 text" in error.message
    assert fingerprint_of(load(tmp_path / "multibuild.yaml", A="ü").canonical)


def test_a_loop_of_links_in_a_context_does_not_end_the_program(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "multibuild.yaml").write_text(f"{BASE}context: loop\n")
    assert list(local_contexts(load(tmp_path / "multibuild.yaml")))


@pytest.mark.parametrize(
    "text",
    [
        "args.A=" + "[" * 5000,
        "args.A=&a [*a]",
        "args=" + "{a: " * 3000,
        "platforms." + "9" * 5000 + ".timeout=1m",
        "platforms.².timeout=1m",
        "timeout=" + "9" * 5000,
        "timeout=!!python/name:os.system x",
        "." * 3000 + "=1",
        "image.=1",
        "=1",
        "args=1",
        "platforms.0.0=1",
        "platforms.amd64.test.run.0.a=1",
        "tags.5=x",
        "tags.x=x",
        "platforms=\x00",
        "<<=x",
        "test.run.x=1",
    ],
)
def test_a_hostile_set_is_an_error(text, tmp_path):
    (tmp_path / "multibuild.yaml").write_text(f"{BASE}tags: [a]\ntest: {{run: [a]}}\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "multibuild.yaml", text)
    assert len(caught.value.message) < 6000


@pytest.mark.parametrize(
    "text", ["args.TOKEN:s3cret", "s3cret", "=s3cret", "args.A=[s3cret", "args.A={s3cret: '"]
)
def test_a_set_that_is_none_does_not_show_its_value(text, tmp_path):
    (tmp_path / "multibuild.yaml").write_text(BASE)
    error = refusal(tmp_path / "multibuild.yaml", text)
    assert "s3cret" not in f"{error.message} {error.hint}"
