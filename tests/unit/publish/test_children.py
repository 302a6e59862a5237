import pytest
from fakes.registry_server import Fault

from multibuild.errors import PublishFailed, VerificationFailed
from multibuild.platforms import Platform
from multibuild.publish.children import read_child, read_children
from multibuild.publish.inspect import look_at
from multibuild.publish.lint import lint
from multibuild.publish.reference import OCI_INDEX, OCI_MANIFEST, Descriptor, Reference


def at(fake, digest):
    return Reference(host=fake.host, repository="app", digest=digest)


def about(digest):
    return {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}


def read(fake, session, digest, wanted=None):
    return read_child(at(fake, digest), session.of(fake.host), Platform.parse(wanted) if wanted else None)


def test_a_bare_manifest(fake, session):
    digest = fake.image("app", "linux/arm64/v8", layers=(b"one", b"second"))
    child = read(fake, session, digest, "linux/arm64")
    assert (child.digest, child.image.digest, child.media_type) == (digest, digest, OCI_MANIFEST)
    assert str(child.image.platform) == "linux/arm64/v8"
    assert (child.config.os, child.config.architecture, child.config.variant) == ("linux", "arm64", "v8")
    assert [layer.size for layer in child.layers] == [3, 6]
    assert child.total_bytes == child.size + 9


def test_a_little_index_with_its_attestation(fake, session):
    image, statement = fake.image("app", "linux/arm/v7"), fake.image("app", "unknown/unknown", layers=(b"s",))
    digest = fake.index(
        "app", [(image, "linux/arm/v7", {"k": "v"}), (statement, "unknown/unknown", about(image))]
    )
    child = read(fake, session, digest, "linux/arm/v7")
    assert (child.digest, child.media_type, child.image.digest) == (digest, OCI_INDEX, image)
    assert [found.digest for found in child.attestations] == [statement]
    assert child.image.annotations == {"k": "v"}


def test_the_entrys_own_platform_goes_before_the_configs(fake, session):
    image = fake.image("app", "linux/arm64")
    digest = fake.index("app", [(image, "linux/arm64/unknown", None)])
    assert str(read(fake, session, digest).image.platform) == "linux/arm64/unknown"
    bare = fake.index("app", [(image, None, None)])
    assert str(read(fake, session, bare).image.platform) == "linux/arm64"


def test_one_of_many_by_platform(fake, session):
    arm, amd = fake.image("app", "linux/arm64"), fake.image("app", "linux/amd64")
    digest = fake.index("app", [(arm, "linux/arm64", None), (amd, "linux/amd64", None)])
    assert read(fake, session, digest, "linux/amd64").image.digest == amd
    with pytest.raises(VerificationFailed, match="holds 2 images"):
        read(fake, session, digest)
    with pytest.raises(VerificationFailed, match="holds 0 images for linux/s390x"):
        read(fake, session, digest, "linux/s390x")
    assert [c.image.digest for c in read_children(at(fake, digest), session.of(fake.host))] == [arm, amd]


@pytest.mark.parametrize(
    ("says", "wanted"),
    [("linux/386", "linux/amd64"), ("linux/arm/v6", "linux/arm/v7"), ("windows/amd64", "linux/amd64")],
)
def test_an_image_of_another_platform_is_refused(fake, session, says, wanted):
    digest = fake.image("app", wanted, says=says)
    with pytest.raises(VerificationFailed, match=f"says it is {says}"):
        read(fake, session, digest, wanted)


@pytest.mark.parametrize(
    ("says", "wanted"), [("linux/arm64/v8", "linux/arm64"), ("linux/arm", "linux/arm/v5")]
)
def test_a_variant_only_one_side_has_is_no_contradiction(fake, session, says, wanted):
    assert read(fake, session, fake.image("app", says), wanted).digest


@pytest.mark.parametrize("config", [b"{}", b"[]", b"\xff", b'{"os": "linux"}', b"[" * 100_000])
def test_a_config_that_is_none(fake, session, config):
    blob = fake.put_blob("app", config)
    content = b'{"config": {"mediaType": "x", "digest": "%s", "size": %d}}' % (blob.encode(), len(config))
    with pytest.raises(VerificationFailed):
        read(fake, session, fake.put("app", content, OCI_MANIFEST))


def test_what_is_no_image(fake, session):
    with pytest.raises(VerificationFailed, match="no image"):
        read(fake, session, fake.put("app", b"{}", "application/vnd.docker.distribution.manifest.v1+json"))
    with pytest.raises(VerificationFailed, match="no config"):
        read(fake, session, fake.put("app", b"{}", OCI_MANIFEST))
    inner = fake.index("app", [(fake.image("app", "linux/amd64"), "linux/amd64", None)])
    with pytest.raises(VerificationFailed, match="entry"):
        read(fake, session, fake.index("app", [(inner, "linux/amd64", None)]))


def test_inspect(fake, session):
    arm = fake.image("app", "linux/arm64", layers=(b"12345",))
    statement = fake.image("app", "unknown/unknown", layers=(b"s",))
    fake.index(
        "app",
        [
            (arm, "linux/arm64", None),
            (arm, "linux/arm64/unknown", None),
            (statement, "unknown/unknown", about(arm)),
        ],
        tag="1",
    )
    found = look_at(Reference(host=fake.host, repository="app", tag="1"), session)
    assert [(entry.platform, entry.attested, entry.config) for entry in found.entries] == [
        ("linux/arm64", True, "linux/arm64"),
        ("linux/arm64/unknown", True, "linux/arm64"),
    ]
    assert [finding.kind for finding in found.findings] == ["unknown-variant"]
    fake.faults.append(Fault(method="GET", path="blobs", status=403, times=9))
    with pytest.raises(PublishFailed):
        look_at(Reference(host=fake.host, repository="app", tag="1"), session)


def entry(platform, digit="a", media_type=OCI_MANIFEST, **fields):
    return Descriptor(
        media_type=media_type,
        digest=f"sha256:{digit * 64}",
        size=1,
        platform=Platform.literal(platform) if platform else None,
        **fields,
    )


@pytest.mark.parametrize(
    ("entries", "configs", "kinds"),
    [
        ([entry("linux/amd64"), entry("linux/arm64", "b")], {"a": "linux/amd64", "b": "linux/arm64/v8"}, []),
        ([entry("linux/arm64"), entry("linux/arm64/unknown")], {}, ["unknown-variant"]),
        ([entry("linux/arm64/unknown"), entry("linux/arm64", "b")], {}, ["unknown-variant", "order"]),
        ([entry("linux/arm/v5"), entry("linux/arm/v7", "b")], {}, []),
        ([entry("linux/arm/v7"), entry("linux/arm/v5", "b")], {}, []),
        ([entry("linux/amd64"), entry("linux/amd64", "b")], {}, ["duplicate"]),
        ([entry("linux/arm64"), entry("linux/arm64/v8", "b")], {}, ["duplicate"]),
        ([entry("windows/amd64", os_version="1"), entry("windows/amd64", "b", os_version="2")], {}, []),
        ([entry("linux/mips64le/hardfloat")], {}, ["unreachable"]),
        ([entry("linux/amd64/v1")], {}, []),
        ([entry(None)], {}, ["no-platform"]),
        ([entry("linux/amd64")], {"a": "linux/386"}, ["mismatch"]),
        ([entry("linux/arm/v7")], {"a": "linux/arm/v6"}, ["mismatch"]),
        ([entry("linux/arm64/unknown")], {"a": "linux/arm64/v8"}, ["unknown-variant"]),
        ([entry("linux/amd64", media_type=OCI_INDEX)], {}, ["nested"]),
        (
            [entry("linux/amd64"), entry("unknown/unknown", "b", annotations=about("sha256:" + "c" * 64))],
            {},
            ["orphan"],
        ),
        (
            [entry("linux/amd64"), entry("unknown/unknown", "b", annotations=about("sha256:" + "a" * 64))],
            {},
            [],
        ),
    ],
)
def test_lint(entries, configs, kinds):
    found = lint(entries, {f"sha256:{digit * 64}": platform for digit, platform in configs.items()})
    assert [finding.kind for finding in found] == kinds
