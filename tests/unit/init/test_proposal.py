"""Which platforms a Dockerfile can be built for, without any registry."""

import pytest

from multibuild.errors import ConfigError
from multibuild.init.proposal import (
    COMMON_PLATFORMS,
    FALLBACK_PLATFORMS,
    has_platform,
    images_to_query,
    propose_platforms,
)
from multibuild.platforms import Platform

HERE = Platform.parse("linux/amd64")


def platforms(*names):
    return frozenset(map(Platform.parse, names))


def names(found):
    return [str(platform) for platform in found]


BIG = platforms("amd64", "arm64", "arm/v7", "arm/v5", "386", "ppc64le", "s390x", "riscv64")
SMALL = platforms("amd64", "arm64", "mips64le")


def test_few_platforms_are_all_proposed():
    found = propose_platforms("FROM a\n", None, {"a": SMALL}, HERE)
    assert names(found.chosen) == ["linux/amd64", "linux/arm64", "linux/mips64le"]
    assert found.possible == found.chosen


def test_of_many_the_common_ones_are_proposed_and_all_are_possible():
    found = propose_platforms("FROM a\n", None, {"a": BIG}, HERE)
    assert found.chosen == COMMON_PLATFORMS
    assert set(found.possible) == BIG


def test_all_stages_of_the_image_must_have_it_and_the_reason_names_image_and_line():
    text = "FROM a AS one\nFROM b\nCOPY --from=one /x /x\n"
    found = propose_platforms(text, None, {"a": BIG, "b": SMALL}, HERE)
    assert names(found.chosen) == ["linux/amd64", "linux/arm64"]
    assert found.impossible[Platform.parse("riscv64")] == "b has no linux/riscv64 (line 2)"
    assert found.impossible[Platform.parse("mips64le")] == "a has no linux/mips64le (line 1)"


@pytest.mark.parametrize(
    "text",
    [
        "FROM --platform=$BUILDPLATFORM a AS one\nFROM b\nCOPY --from=one /x /x\n",
        "FROM --platform=${BUILDPLATFORM} a AS base\nFROM base AS one\nFROM b\nCOPY --from=one /x /x\n",
        "FROM a AS unused\nFROM b\n",
        "FROM a AS unused\nFROM scratch\nCOPY --from=b /x /x\n",
        "FROM scratch AS one\nFROM b\nRUN --mount=type=bind,from=one ls\n",
    ],
)
def test_what_runs_on_the_builder_or_is_not_used_decides_nothing(text):
    assert images_to_query(text, None, HERE) == ("b",)
    found = propose_platforms(text, None, {"b": SMALL}, HERE)
    assert names(found.chosen) == ["linux/amd64", "linux/arm64", "linux/mips64le"]


def test_another_target_needs_other_stages():
    text = "FROM a AS first\nFROM b\n"
    assert images_to_query(text, "First", HERE) == ("a",)
    with pytest.raises(ConfigError, match="no stage 'frist'") as caught:
        images_to_query(text, "frist", HERE)
    assert "first" in str(caught.value.hint)


def test_images_named_by_architecture_are_asked_for_each():
    text = "FROM base-$TARGETARCH$TARGETVARIANT\n"
    asked = images_to_query(text, None, HERE)
    assert {"base-amd64", "base-arm64", "base-armv7"} <= set(asked)
    answers = dict.fromkeys(asked, "not there") | {
        "base-amd64": platforms("amd64"),
        "base-arm64": platforms("arm64"),
    }
    assert names(propose_platforms(text, None, answers, HERE).chosen) == ["linux/amd64", "linux/arm64"]


def test_stages_chosen_by_architecture():
    text = "FROM a AS final-amd64\nFROM b AS final-arm64\nFROM final-${TARGETARCH}\n"
    answers = {"a": platforms("amd64"), "b": platforms("arm64")}
    assert set(images_to_query(text, None, HERE)) >= {"a", "b"}
    assert names(propose_platforms(text, None, answers, HERE).chosen) == ["linux/amd64", "linux/arm64"]


def test_from_scratch_anything_goes():
    found = propose_platforms("FROM scratch\nCOPY x /\n", None, {}, HERE)
    assert found.chosen == COMMON_PLATFORMS
    assert len(found.possible) == 12


def test_no_answer_is_a_guess_that_says_so():
    found = propose_platforms("FROM a\n", None, {"a": "cannot be reached"}, HERE)
    assert found.chosen == FALLBACK_PLATFORMS
    assert dict(found.unknown) == {"a": "cannot be reached"}


def test_of_one_answer_of_two_what_nearly_every_image_has_is_proposed():
    text = "FROM a AS x\nFROM b\nCOPY --from=x /x /x\n"
    found = propose_platforms(text, None, {"a": "late", "b": SMALL}, HERE)
    assert names(found.chosen) == ["linux/amd64", "linux/arm64"]
    assert names(found.possible) == ["linux/amd64", "linux/arm64", "linux/mips64le"]
    only_others = propose_platforms(text, None, {"a": "late", "b": platforms("s390x")}, HERE)
    assert names(only_others.chosen) == ["linux/s390x"]
    assert "a" in found.unknown


def test_a_lower_arm_will_do_for_a_stage():
    assert has_platform(platforms("arm/v5"), Platform.parse("arm/v7"))
    assert not has_platform(platforms("arm/v7"), Platform.parse("arm/v6"))
    assert not has_platform(platforms("amd64"), Platform.parse("386"))


def test_a_fixed_platform_is_all_its_image_needs():
    text = "FROM --platform=linux/amd64 a AS x\nFROM b\nCOPY --from=x /x /x\n"
    found = propose_platforms(text, None, {"a": platforms("amd64"), "b": SMALL}, HERE)
    assert names(found.chosen) == ["linux/amd64", "linux/arm64", "linux/mips64le"]


GO = "ARG TARGETOS TARGETARCH\nRUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .\n"


def warnings(text):
    return propose_platforms(text, None, {}, HERE).warnings


@pytest.mark.parametrize(
    ("stage", "words", "hint"),
    [
        ("FROM golang:1.22 AS build\n" + GO, "stage build builds Go under emulation", "$BUILDPLATFORM"),
        ("FROM rust AS build\nRUN cargo build --release\n", "builds Rust under emulation", "--target"),
        ("FROM golang AS build\nRUN ./build.sh\n", "builds Go under emulation", "GOARCH"),
        (
            "FROM debian AS build\nRUN apt-get install -y gcc make && make -j4\n",
            "builds C under",
            "crossbuild",
        ),
        (
            "FROM m/dotnet/sdk:8.0 AS build\nRUN dotnet publish -o /out\n",
            "builds .NET under",
            "-a $TARGETARCH",
        ),
        (
            "FROM maven:3 AS build\nRUN mvn -B package\n",
            "builds Java under emulation",
            "same on every platform",
        ),
        ("FROM node AS build\nRUN npm ci && npm run build\n", "builds JavaScript under", "same on every"),
        (
            "FROM --platform=$BUILDPLATFORM golang AS build\nRUN go build -o /app .\n",
            "builds Go for the builder's own platform, whatever the image is for",
            "GOARCH=$TARGETARCH",
        ),
        ("FROM golang AS base\nFROM base AS build\nRUN go build .\n", "stage build builds Go", "GOARCH"),
        ("FROM golang AS build\nRUN <<EOF\nset -e\ngo build .\nEOF\n", "builds Go under emulation", "GOARCH"),
    ],
)
def test_compiling_under_emulation_or_for_the_wrong_platform(stage, words, hint):
    (remark,) = warnings(stage + "FROM scratch\nCOPY --from=build /app /app\n")
    assert words in remark.message
    assert hint in remark.hint
    assert remark.line >= 1


@pytest.mark.parametrize(
    "stage",
    [
        "FROM --platform=$BUILDPLATFORM golang AS build\n" + GO,
        "FROM --platform=$BUILDPLATFORM golang AS build\nRUN xx-go build .\n",
        "FROM --platform=$BUILDPLATFORM node AS build\nRUN npm run build\n",
        "FROM debian AS build\nRUN apt-get install -y make gcc\n",
        "FROM golang AS build\nCOPY x /app\n",
        "FROM node AS build\nRUN npm ci\n",
        "FROM golang AS unused\nRUN go build .\nFROM debian AS build\n",
    ],
)
def test_nothing_to_remark(stage):
    assert warnings(stage + "FROM scratch\nCOPY --from=build /app /app\n") == ()


def test_the_line_to_change_is_that_of_the_image():
    text = "FROM golang AS base\nRUN true\nFROM base AS build\nRUN go build .\nFROM scratch\nCOPY --from=build /a /a\n"
    (remark,) = warnings(text)
    assert "$BUILDPLATFORM in line 1" in remark.hint


def test_compiling_in_the_image_itself_wants_a_stage_of_its_own():
    (remark,) = warnings("FROM golang\n" + GO)
    assert "in a stage of its own" in remark.hint


@pytest.mark.parametrize("platform", ["linux/amd64", "$BUILDPLATFORM"])
def test_an_image_that_is_the_same_for_all_is_remarked(platform):
    (remark,) = warnings(f"FROM --platform={platform} a AS base\nFROM base\n")
    assert f"is always {platform}" in remark.message


def test_a_base_that_depends_on_an_argument_is_remarked():
    (remark,) = warnings("ARG BASE\nFROM $BASE\n")
    assert "build argument without default" in remark.message


def test_no_from_at_all():
    with pytest.raises(ConfigError, match="no FROM line"):
        propose_platforms("# nothing\n", None, {}, HERE)
