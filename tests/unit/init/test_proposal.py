"""The platforms a Dockerfile can be built for, without a registry."""

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

BUILDER = Platform.parse("linux/amd64")


def platforms(*names):
    return frozenset(map(Platform.parse, names))


def names(platforms):
    return [str(platform) for platform in platforms]


MANY = platforms("amd64", "arm64", "arm/v7", "arm/v5", "386", "ppc64le", "s390x", "riscv64")
FEW = platforms("amd64", "arm64", "mips64le")


def test_few_platforms_are_all_proposed():
    proposal = propose_platforms("FROM a\n", None, {"a": FEW}, BUILDER)
    assert names(proposal.chosen) == ["linux/amd64", "linux/arm64", "linux/mips64le"]
    assert proposal.possible == proposal.chosen


def test_of_many_platforms_the_common_ones_are_proposed():
    proposal = propose_platforms("FROM a\n", None, {"a": MANY}, BUILDER)
    assert proposal.chosen == COMMON_PLATFORMS
    assert set(proposal.possible) == MANY


def test_a_platform_that_one_base_image_lacks_is_impossible():
    text = "FROM a AS one\nFROM b\nCOPY --from=one /x /x\n"
    proposal = propose_platforms(text, None, {"a": MANY, "b": FEW}, BUILDER)
    assert names(proposal.chosen) == ["linux/amd64", "linux/arm64"]
    assert proposal.impossible[Platform.parse("riscv64")] == "b has no linux/riscv64 (line 2)"
    assert proposal.impossible[Platform.parse("mips64le")] == "a has no linux/mips64le (line 1)"


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
def test_builder_stages_and_unused_stages_restrict_nothing(text):
    assert images_to_query(text, None, BUILDER) == ("b",)
    proposal = propose_platforms(text, None, {"b": FEW}, BUILDER)
    assert names(proposal.chosen) == ["linux/amd64", "linux/arm64", "linux/mips64le"]


def test_only_the_stages_of_the_target_count():
    text = "FROM a AS first\nFROM b\n"
    assert images_to_query(text, "First", BUILDER) == ("a",)
    with pytest.raises(ConfigError, match="no stage 'frist'") as caught:
        images_to_query(text, "frist", BUILDER)
    assert "first" in str(caught.value.hint)


def test_an_image_named_by_architecture_is_queried_for_each():
    text = "FROM base-$TARGETARCH$TARGETVARIANT\n"
    images = images_to_query(text, None, BUILDER)
    assert {"base-amd64", "base-arm64", "base-armv7"} <= set(images)
    available = dict.fromkeys(images, "not there") | {
        "base-amd64": platforms("amd64"),
        "base-arm64": platforms("arm64"),
    }
    assert names(propose_platforms(text, None, available, BUILDER).chosen) == ["linux/amd64", "linux/arm64"]


def test_a_stage_selected_by_architecture():
    text = "FROM a AS final-amd64\nFROM b AS final-arm64\nFROM final-${TARGETARCH}\n"
    available = {"a": platforms("amd64"), "b": platforms("arm64")}
    assert set(images_to_query(text, None, BUILDER)) >= {"a", "b"}
    assert names(propose_platforms(text, None, available, BUILDER).chosen) == ["linux/amd64", "linux/arm64"]


def test_from_scratch_every_platform_is_possible():
    proposal = propose_platforms("FROM scratch\nCOPY x /\n", None, {}, BUILDER)
    assert proposal.chosen == COMMON_PLATFORMS
    assert len(proposal.possible) == 12


def test_without_an_answer_the_fallback_platforms_are_proposed():
    proposal = propose_platforms("FROM a\n", None, {"a": "cannot be reached"}, BUILDER)
    assert proposal.chosen == FALLBACK_PLATFORMS
    assert dict(proposal.unknown) == {"a": "cannot be reached"}


def test_with_one_answer_of_two_only_fallback_platforms_are_proposed():
    text = "FROM a AS x\nFROM b\nCOPY --from=x /x /x\n"
    proposal = propose_platforms(text, None, {"a": "late", "b": FEW}, BUILDER)
    assert names(proposal.chosen) == ["linux/amd64", "linux/arm64"]
    assert names(proposal.possible) == ["linux/amd64", "linux/arm64", "linux/mips64le"]
    only_others = propose_platforms(text, None, {"a": "late", "b": platforms("s390x")}, BUILDER)
    assert names(only_others.chosen) == ["linux/s390x"]
    assert "a" in proposal.unknown


def test_a_lower_arm_variant_counts():
    assert has_platform(platforms("arm/v5"), Platform.parse("arm/v7"))
    assert not has_platform(platforms("arm/v7"), Platform.parse("arm/v6"))
    assert not has_platform(platforms("amd64"), Platform.parse("386"))


def test_a_stage_with_a_fixed_platform_restricts_no_other():
    text = "FROM --platform=linux/amd64 a AS x\nFROM b\nCOPY --from=x /x /x\n"
    proposal = propose_platforms(text, None, {"a": platforms("amd64"), "b": FEW}, BUILDER)
    assert names(proposal.chosen) == ["linux/amd64", "linux/arm64", "linux/mips64le"]


GO = "ARG TARGETOS TARGETARCH\nRUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .\n"


def warnings(text):
    return propose_platforms(text, None, {}, BUILDER).warnings


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
def test_compiling_under_emulation_or_for_the_wrong_platform_is_a_warning(stage, words, hint):
    (warning,) = warnings(stage + "FROM scratch\nCOPY --from=build /app /app\n")
    assert words in warning.message
    assert hint in warning.hint
    assert warning.line >= 1


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
def test_no_warning_without_emulated_compilation(stage):
    assert warnings(stage + "FROM scratch\nCOPY --from=build /app /app\n") == ()


def test_the_hint_has_the_line_of_the_base_image():
    text = "FROM golang AS base\nRUN true\nFROM base AS build\nRUN go build .\nFROM scratch\nCOPY --from=build /a /a\n"
    (warning,) = warnings(text)
    assert "$BUILDPLATFORM in line 1" in warning.hint


def test_compiling_in_the_final_stage_gets_the_hint_to_use_another():
    (warning,) = warnings("FROM golang\n" + GO)
    assert "in a stage of its own" in warning.hint


@pytest.mark.parametrize("platform", ["linux/amd64", "$BUILDPLATFORM"])
def test_a_final_stage_with_a_fixed_platform_is_a_warning(platform):
    (warning,) = warnings(f"FROM --platform={platform} a AS base\nFROM base\n")
    assert f"is always {platform}" in warning.message


def test_a_base_from_an_argument_without_default_is_a_warning():
    (warning,) = warnings("ARG BASE\nFROM $BASE\n")
    assert "build argument without default" in warning.message


def test_a_dockerfile_without_from_is_an_error():
    with pytest.raises(ConfigError, match="no FROM line"):
        propose_platforms("# nothing\n", None, {}, BUILDER)
