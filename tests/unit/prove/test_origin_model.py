"""Random Dockerfiles and base images, with histories as BuildKit writes them: no trace names a wrong line or base."""

import random

import pytest

from multibuild.platforms import Platform
from multibuild.prove.content.proof import ForeignFile
from multibuild.prove.origin.trace import BuiltFrom, trace

INSTRUCTIONS = {
    "COPY app /app": "COPY app /app # buildkit",
    "COPY app /opt/": "COPY app /opt/ # buildkit",
    "COPY --link --from=tools /app /app": "COPY /app /app # buildkit",
    "COPY $X /app": "COPY app /app # buildkit",
    "RUN make": "RUN /bin/sh -c make # buildkit",
    "RUN make install": "RUN |1 X=app /bin/sh -c make install # buildkit",
    "WORKDIR /srv": "WORKDIR /srv",
    "WORKDIR /": "WORKDIR / ?",
    "ENV A=b": "ENV A=b ?",
    "USER 1": "USER 1 ?",
}
PATHS = {"COPY app /opt/": "/opt/app"}


def row(text):
    created = text.removesuffix(" ?")
    return {"created_by": created, "comment": "buildkit.dockerfile.v0", "empty_layer": created != text}


def fit(history, layers):
    """Make a history fit its layers, as BuildKit 0.26 does with that of a base image that does not (measured)."""
    count = 0
    for one in history:
        count += not one["empty_layer"]
        one["empty_layer"] |= count > layers
    missing = range(layers - count)
    return [*history, *({"created_by": f"[{n}] x", "comment": "buildkit.exporter.image.v0"} for n in missing)]


def image(choose, base_texts):
    """Return the lines of a Dockerfile, its image's history, and of each layer the line that made it, None: the base."""
    lines = choose.choices(list(INSTRUCTIONS), k=choose.randint(0, 6))
    base_layers = choose.randint(0, 3)
    base_entries = max(base_layers + choose.choice((0, 0, 0, -1, 1, 2)), 0)
    base = [row(choose.choice(base_texts).removesuffix(" ?")) for _ in range(base_entries)]
    made: list[int | None] = [None] * base_layers
    made += [number for number, line in enumerate(lines) if not INSTRUCTIONS[line].endswith(" ?")]
    return lines, fit([*base, *(row(INSTRUCTIONS[line]) for line in lines)], len(made)), made


def edited(choose, lines):
    """Return the lines after an edit."""
    place = choose.randint(0, len(lines))
    kept = lines[place:] if choose.random() < 0.5 else lines[place + 1 :]
    new = choose.choices(list(INSTRUCTIONS), k=choose.randint(0, 2))
    return [*lines[:place], *new, *kept]


def origins(lines, history, made, source):
    """Yield the number of each layer that may have a program, and its origin."""
    text = "\n".join(["FROM debian:12 AS tools", "FROM debian:12", *lines])
    built_from = BuiltFrom(text=text, file="Dockerfile", platform=Platform.parse("linux/arm64"), args={})
    for layer, number in enumerate(made):
        line = "" if number is None else source[number]
        if not line.startswith("WORKDIR"):
            path = PATHS.get(line, "/app")
            file = ForeignFile(path=path, architecture="amd64", needed=True, layer=layer + 1)
            (one,) = trace([file], {"history": history}, len(made), built_from)
            yield number, one


@pytest.mark.parametrize("seed", range(5))
def test_no_line_and_no_base_is_wrong(seed):
    choose = random.Random(seed)
    named = total = 0
    for _ in range(60):
        lines, history, made = image(choose, list(INSTRUCTIONS.values()))
        for number, one in origins(lines, history, made, lines):
            total += 1
            named += bool(one.lines or one.name)
            if one.lines:
                assert [one.lines[0].line] == [None if number is None else number + 3], (
                    lines,
                    history,
                    one.text,
                )
            elif one.name:
                assert number is None, (lines, history, one.text)
    assert named > total / 4


@pytest.mark.parametrize("seed", range(5))
def test_no_other_instruction_is_named_after_an_edit(seed):
    choose = random.Random(seed)
    for _ in range(60):
        lines, history, made = image(choose, ("ADD rootfs.tar / # buildkit", "RUN /bin/sh -c apt-get update"))
        now = edited(choose, lines)
        for number, one in origins(now, history, made, lines):
            if one.lines and "$" not in one.lines[0].instruction:  # a variable may be anything
                assert number is not None, (lines, now, history, one.text)
                assert INSTRUCTIONS[now[one.lines[0].line - 3]] == INSTRUCTIONS[lines[number]], (
                    lines,
                    now,
                    one.text,
                )
