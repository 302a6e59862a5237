"""Dockerfiles are parsed as by BuildKit's frontend."""

import pytest

from multibuild.dockerfile.parse import instructions, read_dockerfile


def images(text, **args):
    return read_dockerfile(text, args).images


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM a\nRUN x \\\n  y \\\n# in between\n\n  z\nCMD q\n", ["FROM a", "RUN x y z", "CMD q"]),
        ("# escape=`\nFROM a\nRUN x `\n  C:\\\nCMD q\n", ["FROM a", "RUN x C:\\", "CMD q"]),
        ("FROM a\nRUN <<EOF\nFROM b\nEOF\nCMD q\n", ["FROM a", "RUN <<EOF", "CMD q"]),
        ("FROM a\nRUN <<-'EOF'\nFROM b\n\tEOF\nCMD q\n", ["FROM a", "RUN <<-'EOF'", "CMD q"]),
        (
            "FROM a\nCOPY <<one <<two /\nx\none\nFROM b\ntwo\nCMD q\n",
            ["FROM a", "COPY <<one <<two /", "CMD q"],
        ),
        ("FROM a\nRUN cat <<<word\nCMD q\n", ["FROM a", "RUN cat <<<word", "CMD q"]),
        ("FROM a\nRUN echo $((1<<N))\nCMD q\n", ["FROM a", "RUN echo $((1<<N))", "CMD q"]),
        ("FROM a\nENV X=<<EOF\nCMD q\n", ["FROM a", "ENV X=<<EOF", "CMD q"]),
        ("FROM\ta\n", ["FROM a"]),
        ("from a\n", ["FROM a"]),
        ("FROM a\nRUN x \\", ["FROM a", "RUN x"]),
        ("from a\r\nRUN x \\\r\n y\r\n", ["FROM a", "RUN x y"]),
    ],
)
def test_instructions(text, words):
    assert [f"{one.word} {' '.join(one.rest.split())}" for one in instructions(text)] == words


def test_line_numbers_are_those_of_the_file():
    text = "# syntax=docker/dockerfile:1\n\nFROM a\nRUN x \\\n y\nRUN <<EOF\nz\nEOF\nCMD q\n"
    assert [one.line for one in instructions(text)] == [3, 4, 6, 9]


def test_stages_with_their_sources():
    text = (
        "ARG GO=1.22\n"
        "FROM --platform=$BUILDPLATFORM golang:${GO} AS Build\n"
        "ARG TARGETOS TARGETARCH=amd64\n"
        "RUN --mount=type=bind,from=tools,target=/t --mount=type=cache,target=/c go build --from=nowhere\n"
        "FROM scratch\n"
        "COPY --link --chown=1 --from=build /app /app\n"
        "COPY --from=busybox:1 /bin/sh /bin/sh\n"
        "RUN <<EOF\nmake\nEOF\n"
    )
    parsed = read_dockerfile(text, {})
    build, last = parsed.stages
    assert (build.name, build.base, build.platform, build.line) == (
        "build",
        "golang:1.22",
        "$BUILDPLATFORM",
        2,
    )
    assert (build.copies_from, build.args) == (("tools",), ("TARGETOS", "TARGETARCH"))
    assert build.runs[0].endswith("go build --from=nowhere")
    assert (last.base, last.copies_from) == ("scratch", ("build", "busybox:1"))
    assert "make" in last.runs[0]
    assert parsed.images == ("golang:1.22", "tools", "busybox:1")


def test_platform_arguments_apply_in_from_without_a_declaration():
    text = "FROM base-${TARGETARCH} AS final\n"
    assert images(text, TARGETARCH="arm64") == ("base-arm64",)
    assert images(text) == ("base-${TARGETARCH}",)
    assert images("ARG TARGETARCH\n" + text) == ("base-${TARGETARCH}",), "declaring it does not empty it"
    assert images("ARG TARGETARCH\n" + text, TARGETARCH="arm64") == ("base-arm64",)
    assert images("FROM base-${TARGETARCH:-amd64}\n") == ("base-${TARGETARCH:-amd64}",)
    assert images("FROM base${TARGETVARIANT:+-hard}\n", TARGETVARIANT="") == ("base",)
    # Without the colon it is enough to be set.
    assert images("FROM base${TARGETVARIANT+-hard}\n", TARGETVARIANT="") == ("base-hard",)
    assert images("FROM base${TARGETVARIANT-v7}\n", TARGETVARIANT="") == ("base",)


@pytest.mark.parametrize(
    ("text", "args", "expected"),
    [
        ("ARG V=3\nFROM alpine:$V\n", {"V": "edge"}, "alpine:edge"),
        ("ARG V\nFROM alpine:${V:-3}\n", {}, "alpine:3"),
        ("ARG V\nFROM alpine:${V-3}\n", {}, "alpine:3"),
        ("ARG V=x\nFROM alpine${V:+:slim}\n", {}, "alpine:slim"),
        ("ARG V=\nFROM alpine${V-:3}\n", {}, "alpine"),
        ("ARG V=\nFROM alpine${V:-:3}\n", {}, "alpine:3"),
        ('ARG A="b c" B="d"\nFROM alpine:$B\n', {}, "alpine:d"),
        ('ARG A="b"\nARG V=$A/c\nFROM "$V"\n', {}, "b/c"),
        ("FROM alpine:$V\n", {"V": "3"}, "alpine:$V"),
    ],
)
def test_variables_in_from_are_expanded(text, args, expected):
    assert images(text, **args) == (expected,)


def test_a_byte_order_mark_is_ignored():
    parsed = read_dockerfile("\ufeff# syntax=docker/dockerfile:1\nFROM a\n", {})
    assert (parsed.syntax, parsed.images) == ("docker/dockerfile:1", ("a",))
    assert read_dockerfile("\ufeffFROM a\n", {}).images == ("a",)


def test_a_syntax_directive_may_follow_a_shebang():
    text = "#!/usr/bin/env -S docker build -f\n# syntax=docker/dockerfile:1\nFROM a\n"
    assert read_dockerfile(text, {}).syntax == "docker/dockerfile:1"


@pytest.mark.parametrize(
    ("add", "adds_urls"),
    [
        ("a b /", False),
        ("--chown=1 a.tar.gz $HOME/", False),
        ("app-${VERSION}.tgz /", False),
        ('["a", "/git@"]', False),
        ("https://example.org/a /", True),
        ('["https://example.org/a","/"]', True),
        ("--checksum=sha256:0 https://example.org/a /", True),
        ("git@example.org:a.git /", True),
        ("a $URL /", True),
        ('["${URL}", "/"]', True),
    ],
)
def test_add_may_fetch_urls(add, adds_urls):
    assert read_dockerfile(f"FROM a\nADD {add}\n", {}).adds_urls is adds_urls
