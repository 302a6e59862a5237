"""Files of several images that attack their reader: each ends quickly in a short error, or is read as it stands."""

import time
from datetime import UTC, datetime

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.project import load_project
from multibuild.errors import ConfigError

NOW = datetime(2026, 2, 3, tzinfo=UTC)
BASE = "version: 1\nimage: r.example.org/{name}\nplatforms: [amd64]\n"
CPU_S = 30.0
"""Processor time that no file may take: ten times what the slowest takes here."""


def load(file, text, *sets, **environ):
    file.write_text(text)
    return load_project(file, environ=environ, overrides=Overrides(sets=sets), now=NOW)


def images(count: int, body: str = "", first: str = "") -> str:
    return "images: {" + first + ", ".join(f"i{n}: {body}" for n in range(count)) + "}\n"


def entries(count: int, prefix: str = "k", value: str = "v") -> str:
    return ", ".join(f"{prefix}{n}: {value}" for n in range(count))


def chain(count: int, last: str = "") -> str:
    links = [f"i{n}: {{contexts: {{x: image:i{n + 1}}}}}" for n in range(count - 1)]
    return "images: {" + ", ".join([*links, f"i{count - 1}: {last}"]) + "}\n"


HOSTILE = {
    "ten thousand images": ("\nimages:\n" + "".join(f" i{n}: {{}}\n" for n in range(10_000)), "more than 1000 entries"),
    "a thousand images": (images(1000), "more than 200 images"),
    "very many patterns that match nothing": ("images: {a: , " + entries(900, "b*", "{}") + "}", "no image has a name"),
    "a pattern of very many stars": ("images: {a: , '" + "*a" * 450 + "': {}}", "no image has a name"),
    "stars that match slowly": (
        "images: {" + "a" * 60 + ": , " + ", ".join(f"'{'*a' * 30}{n}': {{}}" for n in range(200)) + "}",
        "no image has a name",
    ),
    "a pattern that is no pattern": ("images: {a: , '[': {}}", "no image has a name"),
    "shared values that all images multiply": (
        f"labels: {{{entries(900)}}}\nannotations: {{{entries(900)}}}\n" + images(200),
        "more than 100000 values",
    ),
    "patterns that all lay much over": (
        "images: {" + entries(100, "i", "") + ", " + ", ".join(
            f"'{'?' * n}*': {{labels: {{{entries(400, f'k{n}x')}}}}}" for n in range(1, 3)
        ) + "}",
        None,
    ),
    "long texts that all images multiply": (
        "labels: {a: " + "x" * 100_000 + "}\n" + images(200), "more than 4000000 characters",
    ),
    "long variables that all images multiply": ("labels: {a: '${A}'}\n" + images(200), "more than 4000000 characters"),
    "names that all images multiply": (
        "labels: {a: '" + "{name}" * 20_000 + "'}\n" + images(200).replace("i1:", f"{'i' * 64}:"), "characters",
    ),
    "very deep images": ("images: {a: " + "{a: " * 60 + "}" * 60 + "}", "nested too deeply"),
    "an alias of an image in itself": ("images: {a: &a {args: *a}}", "contains itself"),
    "all images of each other": ("images: &i {a: {images: *i}}", "contains itself"),
    "images of aliases of aliases": (
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
        + "images: {a: {tags: *a11}}", "more than 50000 values",
    ),
    "one problem in all images": ("images: {a: &a {" + entries(900, "nokey", "1") + "}, " + entries(50, "i", "*a") + "}", "more"),
    "a problem in each of many": (images(200, "{timeout: never}"), "and 190 more"),
    "one problem that all images share": (entries(400, "nokey", "1").replace(", ", "\n") + "\n" + images(200), "and 390 more"),
    "very many platforms of very many images": (
        images(190, "{platforms: *p}", f"p: {{platforms: &p [{', '.join(f'linux/arm64/v{n}' for n in range(9, 200))}]}}, "),
        "more than 5000",
    ),
    "a long chain": (chain(200), None),
    "a long cycle": (chain(200, "{contexts: {x: image:i0}}"), "need each other"),
    "images that all need each other": (
        "images: {" + ", ".join(
            f"i{n}: {{contexts: {{{', '.join(f'c{m}: image:i{m}' for m in range(60) if m != n)}}}}}" for n in range(60)
        ) + "}",
        "need each other",
    ),
    "all images with one tag": (
        "destinations: [" + ", ".join(f"x/d{n}" for n in range(200)) + "]\ntags: ["
        + ", ".join(f"t{n}" for n in range(200)) + "]\n" + images(200),
        "would all be",
    ),
    "a name of very many characters": ("images: {" + "a" * 900 + ": }", "is no name of an image"),
    "a name with control characters": ('images: {"a\\eb": }', "is no name of an image"),
    "a name that is a path": ("images: {../../etc/passwd: }", "is no name of an image"),
    "a name that is an option": ("images: {--push: }", "is no name of an image"),
    "half a character for a name": ('images: {"\\ud83d": }', "half a character"),
    "a context with a very long name of an image": ("images: {a: {contexts: {x: 'image:" + "b" * 5000 + "'}}}", "there is no image"),
    "a bake section of very many files": ("bake: {files: [" + ", ".join(["a"] * 900) + "]}\nimages: {a: }", "more than 100 entries"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_of_images_ends_soon(case, tmp_path):
    text, message = HOSTILE[case]
    began = time.process_time()
    if message is None:
        assert load(tmp_path / "multibuild.yaml", BASE + text + "\n", A="x" * 100_000).images
    else:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "multibuild.yaml", BASE + text + "\n", A="x" * 100_000)
        assert message in caught.value.message
        assert "\x1b" not in caught.value.message
        assert len(caught.value.message) < 8000
        assert f"{tmp_path / 'multibuild.yaml'}:" in caught.value.message
    assert time.process_time() - began < CPU_S


@pytest.mark.parametrize(
    "text",
    [
        "images.a" + ".b" * 3000 + "=1",
        "images.=1",
        "images..target=1",
        "images.a.=1",
        "images=[" * 60,
        "images.a=*b",
        "images." + "x" * 5000 + ".target=1",
        "images.a.platforms." + "9" * 5000 + ".timeout=1m",
        "images.a.images.a.target=x",
    ],
)
def test_a_hostile_set_for_an_image_is_an_error(text, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "multibuild.yaml", BASE + "images: {a: {platforms: [amd64]}}\n", text)
    assert len(caught.value.message) < 6000
