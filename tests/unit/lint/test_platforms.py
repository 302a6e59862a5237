"""What platforms, target, arguments and bases a file is read with decides what is wrong."""

import pytest

from multibuild.errors import ConfigError
from multibuild.lint.lint import ASSUMED_PLATFORMS, lint_text
from multibuild.lint.linted_file import LintedFile, assumed_platforms, with_bases
from multibuild.lint.view import LintInput
from multibuild.platforms import Platform


def platforms(*names):
    return tuple(map(Platform.parse, names))


def lint(text, *names, target=None, args=None, bases=None):
    chosen = platforms(*names)
    given = LintInput(
        platforms=chosen,
        target=target,
        args={platform: (args or {}).get(str(platform), {}) for platform in chosen},
        bases=bases or {},
        explicit=True,
    )
    return [
        (one.rule, one.level, one.line, one.platforms)
        for one in lint_text(text, "Dockerfile", given)
        if one.level != "hint"
    ]


URL = "FROM alpine\nRUN wget https://example.org/x-linux-amd64\n"


def test_what_fits_every_configured_platform_is_right():
    assert lint(URL, "amd64") == []
    assert (
        lint("FROM alpine\nARG TARGETARCH=amd64\nRUN wget https://example.org/$TARGETARCH\n", "amd64") == []
    )
    assert lint("FROM --platform=linux/arm64 alpine\nRUN x\n", "arm64") == []
    assert lint("FROM arm64v8/alpine\nRUN x\n", "arm64") == []


def test_a_finding_names_the_platforms_that_it_is_wrong_for():
    assert lint(URL, "amd64", "arm64", "s390x") == [
        ("fixed-arch-url", "error", 2, ("linux/arm64", "linux/s390x"))
    ]
    given = LintInput(platforms=platforms("amd64", "arm64"), explicit=True)
    (finding,) = lint_text(URL, "Dockerfile", given)
    assert finding.message.endswith("(wrong for linux/arm64)")


def test_for_one_platform_the_builder_may_be_of_it():
    text = "FROM --platform=$BUILDPLATFORM golang AS b\nRUN go build -o /a .\nFROM scratch\nCOPY --from=b /a /a\n"
    assert [found[1] for found in lint(text, "amd64")] == ["warning"]
    assert [found[1] for found in lint(text, "amd64", "386", "arm64")] == ["error"]


CHOICE = 'FROM alpine\nARG TARGETARCH\nRUN if [ "$TARGETARCH" = arm64 ]; then a=arm64; else a=amd64; fi; wget https://example.org/x-$a\n'


def test_the_rest_of_a_choice_is_for_the_platforms_of_a_config_alone():
    assert lint(CHOICE, "amd64", "arm64") == []
    assert [found[3] for found in lint(CHOICE, "amd64", "arm64", "riscv64")] == [("linux/riscv64",)]
    assert lint_text(CHOICE, "Dockerfile", LintInput(platforms=platforms("amd64", "arm64", "riscv64"))) == ()


def test_arguments_of_the_config_count_platform_by_platform():
    text = "FROM alpine\nARG ARCH=x86_64\nRUN wget https://example.org/x-$ARCH\n"
    right = {"linux/amd64": {"ARCH": "x86_64"}, "linux/arm64": {"ARCH": "aarch64"}}
    assert lint(text, "amd64", "arm64", args=right) == []
    assert lint(text, "amd64", "arm64") == [("fixed-arch-url", "error", 2, ("linux/arm64",))]
    (unknown,) = lint_text(text, "Dockerfile")
    assert unknown.level == "warning"


def test_only_what_the_target_needs_is_read():
    text = "FROM alpine AS good\nRUN x\nFROM alpine AS bad\nRUN wget https://example.org/x-linux-amd64\n"
    assert lint(text, "amd64", "arm64", target="good") == []
    assert len(lint(text, "amd64", "arm64", target="bad")) == 1
    with pytest.raises(ConfigError, match="no stage 'none'"):
        lint(text, "amd64", target="none")


def test_a_kernel_is_of_64_bits_where_its_programs_are_not():
    """`uname -m` prints x86_64 in an image for linux/386 (measured; docker/buildx#198 for ARM)."""
    text = "FROM debian\nRUN wget https://example.org/x-$(uname -m)\n"
    assert lint(text, "amd64", "arm64") == []
    assert lint(text, "amd64", "386") == [("fixed-arch-url", "error", 2, ("linux/386",))]


def test_names_of_debian_differ_on_some_platforms_alone():
    text = "FROM debian\nARG TARGETARCH\nRUN dpkg --add-architecture $TARGETARCH\n"
    assert lint(text, "amd64", "arm64") == []
    assert [found[3] for found in lint(text, "amd64", "arm/v7", "ppc64le")] == [
        ("linux/arm/v7", "linux/ppc64le")
    ]
    go = "FROM golang\nRUN GOARCH=$(dpkg --print-architecture) go build .\n"
    assert lint(go, "amd64", "arm64") == []
    assert [found[0] for found in lint(go, "amd64", "arm/v7")] == ["arch-spelling"]


@pytest.mark.parametrize(("names", "level"), [(("amd64", "arm/v7"), ["error"]), (("amd64", "arm64"), [])])
def test_goarm_matters_where_arm_is_built(names, level):
    text = "FROM golang\nARG TARGETVARIANT\nRUN GOARM=$TARGETVARIANT go build .\n"
    assert [found[1] for found in lint(text, *names)] == level


DIGEST = "sha256:" + "a" * 64


def test_bases_that_a_registry_knows():
    text = f"# syntax=docker/dockerfile:1@{DIGEST}\nFROM debian@{DIGEST} AS a\nFROM alpine\nCOPY --from=a /x /x\n"
    one, both = frozenset(platforms("amd64")), frozenset(platforms("amd64", "arm64"))
    bases = {f"debian@{DIGEST}": one, "alpine": both, f"docker/dockerfile:1@{DIGEST}": one}
    assert lint(text, "amd64", "arm64", bases=bases) == [
        ("single-platform-syntax", "warning", 1, ("linux/amd64", "linux/arm64")),
        ("single-platform-base", "error", 2, ("linux/arm64",)),
    ]
    assert lint(text, "amd64", "arm64", bases={**bases, f"debian@{DIGEST}": "cannot be reached"})[1:] == []
    assert lint(text, "amd64", "arm64", bases=dict.fromkeys(bases, both)) == []
    lower = {"alpine": frozenset(platforms("arm/v6"))}
    assert lint("FROM alpine\n", "arm/v7", bases=lower) == []
    assert [found[0] for found in lint("FROM alpine\n", "arm/v5", bases=lower)] == ["single-platform-base"]


def test_registries_are_asked_for_what_the_platforms_pull(tmp_path):
    text = f"# syntax=x/y@{DIGEST}\nFROM base-$TARGETARCH AS a\nFROM scratch\nCOPY --from=a /x /x\nCOPY --from=b:1 /y /y\n"
    file = LintedFile(
        path=tmp_path, name="D", inputs=(LintInput(platforms=platforms("amd64", "arm64"), explicit=True),)
    )
    asked = []

    def ask(images):
        asked.extend(images)
        return {image: frozenset(platforms("amd64")) for image in images}

    found = with_bases(file, text, ask).find(text)
    assert set(asked) == {"base-amd64", "base-arm64", "b:1", f"x/y@{DIGEST}"}
    assert {one.rule for one in found} == {"single-platform-base", "single-platform-syntax"}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("Dockerfile", None),
        ("amd64-app/Dockerfile", None),
        ("Dockerfile.alpine", None),
        ("Dockerfile.arm64", ("arm64",)),
        ("Dockerfile.arm32v7", ("arm/v7",)),
        ("x86_64.Dockerfile", ("amd64",)),
        ("arm64v8/Dockerfile", ("arm64",)),
        ("s390x/Dockerfile.alpine", ("s390x",)),
    ],
)
def test_a_file_that_is_named_after_an_architecture_is_for_it_alone(tmp_path, path, names):
    expected = ASSUMED_PLATFORMS if names is None else platforms(*names)
    assert assumed_platforms(tmp_path / path) == expected


@pytest.mark.parametrize(
    ("above", "is_ignored"),
    [
        ("# multibuild: ignore=fixed-arch-url", True),
        ("#multibuild:ignore=fixed-arch-url", True),
        ("# multibuild: ignore=shared-cache, fixed-arch-url", True),
        ("# multibuild: ignore=fixed-arch-url\n# why: firmware", True),
        ("# multibuild: ignore=shared-cache", False),
        ("# multibuild: ignore=fixed-arch-url\n", False),
        ("# multibuild: ignore=fixed-arch", False),
    ],
)
def test_a_comment_above_leaves_a_rule_out(above, is_ignored):
    text = f"FROM alpine\n{above}\nRUN set -e; \\\n  wget https://example.org/x-amd64\n"
    assert (lint_text(text, "Dockerfile") == ()) is is_ignored


def test_a_comment_inside_an_instruction_is_for_the_next_line():
    text = "FROM alpine\nRUN a \\\n# multibuild: ignore=fixed-arch-url\n && wget https://example.org/x-amd64 \\\n && wget https://example.org/y-amd64\n"
    assert [one.line for one in lint_text(text, "Dockerfile")] == [5]


def test_go_without_goarm_is_for_armv7_in_a_cross_stage():
    text = (
        "FROM --platform=$BUILDPLATFORM golang AS b\nARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build -o /app .\n"
        "FROM scratch\nCOPY --from=b /app /app\n"
    )
    found = lint(text, "arm/v6", "arm/v7", "arm64")
    assert ("go-arm-variant", "error", 3, ("linux/arm/v6",)) in found
    assert [one for one in lint(text, "arm/v7", "arm64") if one[0] == "go-arm-variant"] == []


S390X = LintInput(platforms=platforms("linux/s390x"), explicit=True)
BASE = "FROM --platform=$BUILDPLATFORM golang:1.22 AS tools\nRUN go build -o /out/gen .\n"


@pytest.mark.parametrize(
    ("rest", "level"),
    [
        ("FROM alpine\nCOPY --from=tools /out/gen /gen\n", "error"),
        (
            "FROM scratch AS box\nCOPY --from=tools /out/gen /gen\nFROM alpine\nCOPY --from=box / /usr/bin/\n",
            "error",
        ),
        (
            (
                "FROM --platform=$BUILDPLATFORM alpine AS box\nCOPY --from=tools /out/ /opt/all/\n"
                "FROM alpine\nCOPY --from=box /opt/all/gen /gen\n"
            ),
            "error",
        ),
        (
            (
                "FROM --platform=$BUILDPLATFORM alpine AS box\nCOPY --from=tools /out/gen /usr/bin/gen\n"
                "FROM alpine\nCOPY --from=box /usr/bin/gen /gen\n"
            ),
            "error",
        ),
        (
            (
                "FROM --platform=$BUILDPLATFORM alpine AS box\nCOPY --from=tools /out/gen /usr/bin/gen\nRUN gen > /all.json\n"
                "FROM alpine\nCOPY --from=box /all.json /\n"
            ),
            None,
        ),
        (
            (
                "FROM alpine AS box\nCOPY --from=tools /out/gen /usr/bin/gen\nRUN gen > /all.json\n"
                "FROM alpine\nCOPY --from=box /all.json /\n"
            ),
            "warning",
        ),
    ],
)
def test_a_tool_of_the_build_is_wrong_where_it_gets_into_the_image(rest, level):
    found = [one for one in lint_text(BASE + rest, "D") if one.rule == "untargeted-cross-build"]
    assert [one.level for one in found] == ([level] if level else [])


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("RUN curl -fsSLO https://example.org/t-x86_64.tgz", "error"),
        ("RUN curl -fsSLO https://example.org/t-x86_64.tgz.asc", "warning"),
        ("RUN curl -fsSLO https://example.org/t-x86_64.tgz.sha256", "warning"),
        ("ADD https://example.org/repos/x86_64/3bf863cc.pub /key", "warning"),
        ("RUN curl -fsSLO https://example.org/pool/amd64/data_1.0_all.deb", "warning"),
        ("RUN node -p \"'see https://example.org/about-arm64 and go on'\"", "warning"),
        ("RUN wget https://example.org/t-amd64 https://example.org/t-arm64", "warning"),
    ],
)
def test_a_download_is_an_error_where_it_is_certainly_of_another_platform(line, level):
    found = lint_text(f"FROM debian\n{line}\n", "D", S390X)
    assert {one.level for one in found if one.rule == "fixed-arch-url"} == {level}


@pytest.mark.parametrize("asked", ["$(uname -m)", "$(dpkg --print-architecture)"])
def test_a_stage_of_the_image_may_ask_for_its_own_architecture(asked):
    text = f"FROM --platform=linux/arm64 debian\nRUN curl -fsSLO https://example.org/t-{asked}\n"
    assert {one.rule for one in lint_text(text, "D") if one.level == "error"} == {"fixed-final-platform"}


@pytest.mark.parametrize(
    ("command", "level"),
    [
        ("bun build --compile ./main.ts --outfile /out/app", "error"),
        ("deno compile -o /out/app main.ts", "error"),
        ("swift build -c release --scratch-path /out/app", "warning"),
        ("native-image -jar app.jar /out/app", "warning"),
        ("pyinstaller --distpath /out/app main.py", "warning"),
        ("bun build --compile --target=bun-linux-$TARGETARCH ./main.ts --outfile /out/app", None),
        ("deno compile --target $(cat target) -o /out/app main.ts", None),
        ("swift build --swift-sdk $(cat sdk) --scratch-path /out/app", None),
        ("bun build ./main.ts --outdir /out/app", None),
    ],
)
def test_compilers_for_their_own_platform_in_a_stage_of_the_builder(command, level):
    text = (
        f"FROM --platform=$BUILDPLATFORM example/tools AS build\nRUN {command}\n"
        "FROM debian\nCOPY --from=build /out/app /app\n"
    )
    found = [one for one in lint_text(text, "D") if one.rule == "untargeted-cross-build"]
    assert [one.level for one in found] == ([level] if level else [])


def test_what_builds_for_its_own_platform_alone_is_not_told_to_cross_compile():
    text = "FROM python AS build\nRUN pyinstaller --distpath /out main.py\nFROM debian\nCOPY --from=build /out/main /\n"
    assert lint_text(text, "D") == ()
