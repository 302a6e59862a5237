"""ONBUILD triggers of base images: an image whose config cannot be read counts as one that has some."""

import json

import pytest
from fakes.images import descriptor, put_attested, put_image, put_index
from fakes.registry_server import FakeRegistry

from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform
from multibuild.resolve.base_triggers import BaseImage, BaseTriggers

TRIGGERS = {"config": {"OnBuild": ["COPY . /src"]}}
ARM64 = Platform.parse("linux/arm64")


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


def has_triggers(registry, digest, platform=ARM64):
    base = BaseImage(image=f"{registry.host}/base:1", digest=digest, platform=platform)
    with RegistrySession({}, on_wait=print) as session:
        return base in BaseTriggers(session).find([base])


def index(registry, *images):
    """Put an index of (platform, fields of the config)."""
    entries = [
        descriptor(registry, "base", put_image(registry, "base", platform, layer=b"l", **more), entry)
        for platform, entry, more in images
    ]
    return put_index(registry, "base", entries)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, False),
        ({"config": {}}, False),
        ({"config": None}, False),
        ({"config": {"OnBuild": None}}, False),
        ({"config": {"OnBuild": []}}, False),
        (TRIGGERS, True),
        ({"config": {"onbuild": ["RUN true"]}}, True),
        ({"Config": {"OnBuild": ["RUN true"]}}, True),
        ({"config": {"Env": ["PATH=/bin", "TARGET=1"]}}, False),
        ({"config": {"Env": ["TARGETARCH=arm64"]}}, True),
    ],
)
def test_triggers_are_in_the_config(registry, config, expected):
    assert has_triggers(registry, put_image(registry, "base", "linux/arm64", **config)) is expected
    several = index(
        registry, ("linux/arm64", "linux/arm64", config), ("linux/amd64", "linux/amd64", TRIGGERS)
    )
    assert has_triggers(registry, several) is expected


def test_only_images_that_a_build_may_start_from_count(registry):
    amd64 = index(registry, ("linux/amd64", "linux/amd64", {}), ("linux/arm/v7", "linux/arm/v7", TRIGGERS))
    assert has_triggers(registry, amd64, Platform.parse("linux/amd64")) is False
    assert has_triggers(registry, amd64) is True  # arm64 runs arm/v7
    assert has_triggers(registry, amd64, None) is True
    assert has_triggers(registry, amd64, Platform.parse("linux/s390x")) is True
    unnamed = index(registry, ("linux/arm64", None, TRIGGERS))
    assert has_triggers(registry, unnamed) is True


def test_an_attestation_is_no_image(registry):
    assert has_triggers(registry, put_attested(registry, "base", "linux/arm64")[0], None) is False


def test_what_cannot_be_read_may_have_triggers(registry):
    lost = index(registry, ("linux/arm64", "linux/arm64", {}))
    _media_type, content = registry.repository("base").manifests[lost]
    registry.repository("base").manifests.pop(json.loads(content)["manifests"][0]["digest"])
    assert has_triggers(registry, lost) is True
    assert has_triggers(registry, f"sha256:{'0' * 64}") is True
    nested = put_index(registry, "base", [descriptor(registry, "base", lost, "linux/arm64")])
    assert has_triggers(registry, nested) is True


def test_each_base_is_read_once(registry):
    base = BaseImage(
        image=f"{registry.host}/base:1", digest=put_image(registry, "base", "linux/arm64"), platform=ARM64
    )
    with RegistrySession({}, on_wait=print) as session:
        triggers = BaseTriggers(session)
        assert triggers.find([base]) == frozenset()
        registry.repository("base").manifests.clear()
        assert triggers.find([base, base]) == frozenset()
