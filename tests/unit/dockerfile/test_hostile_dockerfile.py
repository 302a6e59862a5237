"""Dockerfiles that are meant to stop the reader, or to be read otherwise than BuildKit reads them."""

import contextlib
import os
import time

import pytest

from multibuild.dockerfile.parse import (
    MAX_DOCKERFILE_BYTES,
    MAX_IMAGES,
    MAX_STAGES,
    instructions,
    load_text,
    read_dockerfile,
)
from multibuild.dockerfile.stages import used_stages
from multibuild.errors import ConfigError

MAX_CPU_S = 60.0
"""A hundred times what each takes; before, they took minutes."""

MEGABYTE = MAX_DOCKERFILE_BYTES - 1000
FROM = "FROM a\n"


@pytest.mark.parametrize(
    "text",
    [
        FROM + "RUN " + "x \\\n" * 250_000,
        FROM + "RUN x \\\n" + "# c\\\n" * 200_000,
        FROM + "RUN x\n" * 100_000,
        FROM + "ARG A\n" * 100_000,
        FROM + "COPY --from=b / /\n" * 50_000,
        "FROM --platform=" + "-" * MEGABYTE,
        "FROM " + "--a" * 300_000,
        "ARG A=" + "${a+" * 250_000 + "\nFROM $A",
        "ARG A=x" + "".join(f"\nARG A=$A{'$A' * 9}" for _ in range(40)) + "\nFROM $A\n",
        FROM + "RUN " + "<<EOF " * 150_000,
        FROM + "RUN <<EOF\n" + "x\n" * 400_000,
        "# " * 500_000,
        "# a=" + " " * MEGABYTE,
        "# escape=`\n" * 90_000,
        FROM + "ADD " + "'\"" * 400_000,
        FROM + "ARG " + "'\"" * 400_000,
        FROM + "ONBUILD " * 100_000,
    ],
    ids=lambda text: text[:24],
)
def test_a_megabyte_is_read_in_good_time(text):
    began = time.process_time()
    parsed = read_dockerfile(text, {})
    assert time.process_time() - began < MAX_CPU_S
    assert all(len(image) <= MEGABYTE for image in parsed.images)


@pytest.mark.parametrize("count", [MAX_STAGES, MAX_STAGES - 1])
def test_a_deep_chain_of_stages_is_followed(count):
    text = "FROM a AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\n" for n in range(count - 1))
    began = time.process_time()
    used = used_stages(read_dockerfile(text, {}).stages, None)
    assert len(used[-1].chain) == count
    assert time.process_time() - began < MAX_CPU_S


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\n" * (MAX_STAGES + 1),
        FROM + "".join(f"COPY --from=i{n} / /\n" for n in range(MAX_IMAGES + 1)),
        "#" * (MAX_DOCKERFILE_BYTES + 1),
    ],
    ids=["stages", "images", "bytes"],
)
def test_a_file_beyond_the_limits_is_an_error(text):
    with pytest.raises(ConfigError, match="more than"):
        read_dockerfile(text, {})


def test_stages_that_are_from_each_other_are_no_circle():
    """A stage is only FROM earlier ones, the latest of its name."""
    parsed = read_dockerfile("FROM b AS a\nFROM a AS b\nFROM b AS a\nFROM a AS a\nCOPY --from=a / /\n", {})
    used = used_stages(parsed.stages, "a")
    assert [stage.line for stage in used[-1].chain] == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("\\", None),
        ("\\\n\\\n", None),
        ("FROM a\nCOPY --from=² / /\n", None),
        ("FROM a\nCOPY --from=٣ / /\n", None),
        ("FROM a\nCOPY --from=" + "9" * 5000 + " / /\n", None),
        ("FROM a\n", "²"),
        ("FROM a\n", "9" * 5000),
        ("FROM\n", None),
        ("FROM a\nCOPY --from=\n", None),
        ("FROM \ud800 AS \udcff\n", "\udcff"),
        ("ARG =\nFROM $\n", None),
        ("\ufeff\ufeff\x00", None),
    ],
)
def test_an_odd_file_is_read_or_refused(text, target):
    with contextlib.suppress(ConfigError):
        used_stages(read_dockerfile(text, {}).stages, target)


@pytest.mark.parametrize("sign", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_newline_ends_a_line(sign):
    """BuildKit reads one instruction: another FROM behind such a character would be a base that nobody builds on."""
    text = f"FROM a\nRUN echo {sign}FROM hidden\n"
    assert read_dockerfile(text, {}).images == ("a",)
    assert [one.word for one in instructions(text)] == ["FROM", "RUN"]


def test_a_variable_that_grows_without_end_stays_unknown():
    text = "ARG A=0123456789\n" + "ARG A=$A$A$A$A$A$A$A$A$A$A\n" * 9 + "FROM $A\n"
    (image,) = read_dockerfile(text, {}).images
    assert "$" in image


def test_a_special_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing", ".", "/dev/zero", "/dev/tty"):
        with pytest.raises(OSError):
            load_text(tmp_path / name)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError):
        load_text(tmp_path / "large")
