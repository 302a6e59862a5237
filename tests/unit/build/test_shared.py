from dataclasses import replace

import pytest
from fakes.specs import PLAIN

from multibuild.build.shared import shared_work
from multibuild.dockerfile.parse import read_dockerfile

JAVA = """FROM --platform=$BUILDPLATFORM maven AS build
RUN mvn package
FROM eclipse-temurin
COPY --from=build /app.jar /app.jar
"""
GO = """FROM --platform=$BUILDPLATFORM golang AS build
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build
FROM scratch
COPY --from=build /app /app
"""


def work(text, **changed):
    spec = replace(PLAIN, **changed)
    return shared_work(read_dockerfile(text, spec.args), spec)


@pytest.mark.parametrize(
    "text",
    [
        JAVA,
        JAVA.replace("$BUILDPLATFORM", "${BUILDPLATFORM}"),
        JAVA.replace("$BUILDPLATFORM", "${BUILDPLATFORM:-linux/amd64}"),
        JAVA + "ONBUILD RUN x\n",
        JAVA.replace("$BUILDPLATFORM", "linux/amd64"),
        JAVA.replace("--from=build", "--from=0"),
        "# syntax=docker/dockerfile:1\n" + JAVA,
        "FROM scratch\nCOPY . /\n",
        "FROM --platform=$BUILDPLATFORM a AS tools\nRUN x\nFROM tools AS build\nRUN y\nFROM b\nCOPY --from=build /y /\n",
        # Nothing that is built goes by this stage.
        "FROM a AS unused\nRUN x\nFROM b\nCOPY . /\n",
        JAVA.replace("COPY --from=", "COPY --link --chown=1 --from="),
        "ARG VERSION=3\n" + JAVA.replace("AS build\n", "AS build\nARG VERSION\n"),
        # The argument is another stage's.
        "ARG TARGETARCH\n" + JAVA + "ARG TARGETARCH\nLABEL arch=$TARGETARCH\n",
    ],
)
def test_every_run_is_the_same_for_all_platforms(text):
    assert work(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nRUN x\n",
        JAVA + "RUN x\n",
        GO,
        JAVA.replace("--platform=$BUILDPLATFORM ", ""),
        JAVA.replace("$BUILDPLATFORM", "$TARGETPLATFORM"),
        "ARG WHERE=$TARGETPLATFORM\n" + JAVA.replace("$BUILDPLATFORM", "$WHERE"),
        # What the shared stage takes or is based on is a platform's own.
        (
            "FROM a AS own\nFROM --platform=$BUILDPLATFORM b AS build\nRUN --mount=type=bind,from=own x\n"
            "FROM scratch\nCOPY --from=build /x /\n"
        ),
        "FROM a AS own\nFROM own AS build\nRUN x\nFROM scratch\nCOPY --from=build /x /\n",
        (
            "FROM --platform=$BUILDPLATFORM a AS tools\nARG TARGETOS\nFROM tools AS build\nRUN x\n"
            "FROM b\nCOPY --from=build /y /\n"
        ),
        # Which stages this reaches is not known.
        "FROM a AS build-arm64\nRUN x\nFROM build-$TARGETARCH\nCOPY . /\n",
        "FROM --platform=$BUILDPLATFORM a-$TARGETARCH AS build\nRUN x\nFROM b\nCOPY --from=build /y /\n",
        "ARG TARGETARCH\nFROM a AS build-arm64\nRUN x\nFROM build-$TARGETARCH\nCOPY . /\n",
        "FROM a AS bin-amd64\nRUN x\nFROM bin-${TARGETARCH:-amd64}\nCOPY . /\n",
        "FROM a AS bin\nRUN x\nFROM bin${TARGETVARIANT:+-v7}\nCOPY . /\n",
        GO.replace("COPY --from=", "COPY --link --from="),
        # The image's platform is the target's.
        "FROM --platform=$BUILDPLATFORM a AS build\nCOPY --from=some/tool:1 /t /t\nRUN /t\nFROM b\nCOPY --from=build /t /\n",
        # The argument goes by another name.
        "ARG FLAVOR=$TARGETARCH\n" + JAVA.replace("AS build\n", "AS build\nARG FLAVOR\n"),
        "ARG A=${TARGETOS}\nARG B=x-${A:-y}\n" + JAVA.replace("AS build\n", "AS build\nARG B\n"),
        JAVA.replace("AS build\n", "AS build\nARG ARCH=$TARGETARCH\n"),
        'ARG FLAVOR="linux $TARGETARCH"\n' + JAVA.replace("AS build\n", "AS build\nARG FLAVOR\n"),
        JAVA.replace("$BUILDPLATFORM", "${TARGETPLATFORM:-$BUILDPLATFORM}"),
        JAVA.replace("$BUILDPLATFORM", "$MYBUILDPLATFORM"),
        "FROM a AS base\nONBUILD RUN x\nFROM base\nCOPY . /\n",
        "# syntax=example.org/frontend\n" + JAVA,
        "",
    ],
)
def test_something_is_run_for_one_platform_or_may_be(text):
    assert work(text) is None


def test_only_what_the_target_is_made_of_counts():
    text = (
        JAVA.replace("FROM eclipse-temurin", "FROM eclipse-temurin AS app")
        + "FROM app AS tested\nRUN selftest\n"
    )
    assert work(text) is None
    assert work(text, target="app") == work(JAVA)
    assert work(text, target="nowhere") is None


def test_what_the_config_changes():
    assert work(JAVA, no_cache=True) is None, "BuildKit may run each one's own then"
    assert work(JAVA, sbom=True) is None, "a scanner runs for each"
    named = "ARG FLAVOR=$TARGETARCH\n" + JAVA.replace("AS build\n", "AS build\nARG FLAVOR\n")
    assert work(named, args={"FLAVOR": "all"}) is not None
    assert work(JAVA, contexts={"build": "elsewhere"}) is None
    assert work(JAVA, contexts={"maven": "docker-image://maven:3"}) is not None
    assert work(JAVA, args={"X": "1"}) != work(JAVA, args={"X": "2"})
    assert work(JAVA, dockerfile="b/Dockerfile") != work(JAVA)


def test_a_name_is_no_stage_before_it_is_one():
    assert work("FROM --platform=$BUILDPLATFORM a AS a\nCOPY --from=a /x /\nRUN x\n") is None
