"""Every rule of composition, on values."""

import json

import pytest

from multibuild.architectures import ARCHITECTURES
from multibuild.errors import PublishFailed, UsageError
from multibuild.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    Manifest,
)
from multibuild.oci.manifests.identity import ZSTD_ANNOTATION
from multibuild.oci.reference import Reference
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild, compose
from multibuild.publish.merge import MergeOptions, Source, merge, read_annotations, read_pairs
from multibuild.resolve.client_rules import resolve
from multibuild.resolve.lint_index import lint
from multibuild.resolve.resolve import entry_of


def digest(number):
    return f"sha256:{number:064x}"


def image(number, platform="linux/amd64", media_type=OCI_MANIFEST, **more):
    return Descriptor(
        media_type=media_type,
        digest=digest(number),
        size=100 + number,
        platform=Platform.literal(platform) if platform else None,
        **more,
    )


def attestation(number, about):
    return Descriptor(
        media_type=OCI_MANIFEST,
        digest=digest(number),
        size=9,
        platform=Platform.literal("unknown/unknown"),
        annotations={REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: digest(about)},
    )


ZSTD = {ZSTD_ANNOTATION: "true"}
DOCKER_IMAGE = image(1, media_type=DOCKER_MANIFEST)


def platforms_of(index):
    return " ".join(str(entry.platform) for entry in index.entries)


def source(text, *children, base=None):
    return Source(text=text, reference=Reference.parse(text), children=children, base=base)


def test_entries_are_in_order_with_also_as_right_after_and_attestations_last():
    index = compose(
        [
            IndexChild(image=image(1), attestations=(attestation(11, 1),)),
            IndexChild(
                image=image(2, "linux/arm64"),
                also_as=(Platform.literal("linux/arm64/unknown"), Platform.literal("linux/arm64/v9")),
                attestations=(attestation(12, 2),),
            ),
            IndexChild(image=image(3, "linux/arm/v7")),
        ]
    )
    assert platforms_of(index) == (
        "linux/amd64 linux/arm64 linux/arm64/unknown linux/arm64/v9 linux/arm/v7"
        " unknown/unknown unknown/unknown"
    )
    assert [entry.digest for entry in index.entries[1:4]] == [digest(2)] * 3
    assert [entry.size for entry in index.entries[1:4]] == [102] * 3
    assert [entry.attests for entry in index.entries[5:]] == [digest(1), digest(2)]


def test_an_attestation_without_its_image_is_refused():
    with pytest.raises(PublishFailed, match="which is not here"):
        compose([IndexChild(image=image(1), attestations=(attestation(11, 2),))])


def test_an_index_without_children_is_refused():
    with pytest.raises(PublishFailed, match="no image"):
        compose([])


def test_the_fields_of_the_config_take_precedence_over_the_childs():
    own = image(1, "linux/arm64/v8", os_version="1", os_features=("a",), annotations={"a": "own", "b": "own"})
    child = IndexChild(
        image=own,
        platform=Platform.parse("linux/arm64"),
        os_version="2",
        os_features=("b", "c"),
        annotations={"a": "config"},
    )
    (entry,) = compose([child]).entries
    assert str(entry.platform) == "linux/arm64"
    assert (entry.os_version, entry.os_features) == ("2", ("b", "c"))
    assert entry.annotations == {"a": "config", "b": "own"}
    (entry,) = compose([IndexChild(image=own)]).entries
    assert (str(entry.platform), entry.os_version) == ("linux/arm64/v8", "1")


def test_the_bytes_do_not_depend_on_the_order_of_annotations():
    children = [IndexChild(image=image(1, annotations={"b": "1", "a": "2"}))]
    other = [IndexChild(image=image(1, annotations={"a": "2", "b": "1"}))]
    one = compose(children, annotations={"y": "1", "x": "ü"})
    assert one == compose(other, annotations={"x": "ü", "y": "1"})
    assert one.media_type == one.document["mediaType"] == OCI_INDEX
    assert one.document["annotations"] == {"x": "ü", "y": "1"}


def test_docker_children_make_a_docker_list():
    index = compose([IndexChild(image=DOCKER_IMAGE)], media_type="docker")
    assert index.media_type == index.document["mediaType"] == DOCKER_LIST


@pytest.mark.parametrize(
    ("child", "annotations", "reason"),
    [
        (IndexChild(image=image(1)), {}, "it is application/vnd.oci"),
        (IndexChild(image=DOCKER_IMAGE), {"a": "b"}, "no annotations"),
        (IndexChild(image=DOCKER_IMAGE, annotations={"a": "b"}), {}, "no annotations"),
        (IndexChild(image=DOCKER_IMAGE, attestations=(attestation(2, 1),)), {}, "has attestations"),
    ],
)
def test_a_docker_list_refuses_what_it_cannot_hold(child, annotations, reason):
    with pytest.raises(PublishFailed, match=reason):
        compose([child], annotations=annotations, media_type="docker")


def test_cpu_features_need_a_docker_list_unless_inherited():
    docker = IndexChild(image=DOCKER_IMAGE, features=("sse4",))
    (entry,) = compose([docker], media_type="docker").document["manifests"]
    assert entry["platform"] == {"architecture": "amd64", "os": "linux", "features": ["sse4"]}
    with pytest.raises(PublishFailed, match="no CPU features"):
        compose([docker])
    inherited = IndexChild(image=Descriptor.from_json(entry))
    assert compose([inherited]).document["manifests"] == [entry]


def test_an_oci_index_can_have_docker_children():
    children = [IndexChild(image=image(1)), IndexChild(image=image(2, "linux/arm64", DOCKER_MANIFEST))]
    assert [entry.media_type for entry in compose(children).entries] == [OCI_MANIFEST, DOCKER_MANIFEST]


# -- merging


def test_images_are_merged_in_the_order_of_the_sources():
    sources = [
        source("r.io/app-amd64:1", IndexChild(image=image(1))),
        source("r.io/app-arm64:1", IndexChild(image=image(2, "linux/arm64"))),
        source("r.io/app-mips64le:1", IndexChild(image=image(3, "linux/mips64le"))),
    ]
    options = MergeOptions(also_as=(("r.io/app-arm64:1", Platform.literal("linux/arm64/unknown")),))
    index = merge(sources, options)
    assert platforms_of(index) == "linux/amd64 linux/arm64 linux/arm64/unknown linux/mips64le"


def test_every_field_can_be_set():
    options = MergeOptions(
        platform_of=(("a:1", Platform.literal("linux/arm/v6")),),
        os_version=(("a:1", "10.0"),),
        os_features=(("a:1", ("x", "y")),),
        annotations=(("title", "app"),),
        entry_annotations=((Platform.literal("linux/arm/v6"), "note", "n"),),
    )
    index = merge([source("a:1", IndexChild(image=image(1)))], options)
    assert index.document["manifests"][0]["platform"] == {
        "architecture": "arm",
        "os": "linux",
        "os.version": "10.0",
        "os.features": ["x", "y"],
        "variant": "v6",
    }
    assert index.document["manifests"][0]["annotations"] == {"note": "n"}
    assert index.document["annotations"] == {"title": "app"}


def test_a_source_can_be_named_by_any_spelling():
    options = MergeOptions(platform_of=(("docker.io/library/a:1", Platform.literal("linux/s390x")),))
    assert platforms_of(merge([source("a:1", IndexChild(image=image(1)))], options)) == "linux/s390x"


def test_an_option_selects_an_image_of_an_index_by_its_digest():
    both = source("r.io/app:1", IndexChild(image=image(1)), IndexChild(image=image(2, "linux/arm64")))
    options = MergeOptions(also_as=((f"r.io/app@{digest(2)}", Platform.literal("linux/arm64/unknown")),))
    assert platforms_of(merge([both], options)) == "linux/amd64 linux/arm64 linux/arm64/unknown"
    assert [reference.digest for reference in both.references] == [digest(1), digest(2)]
    with pytest.raises(UsageError, match="holds 2 images"):
        merge([both], MergeOptions(os_version=(("r.io/app:1", "1"),)))
    with pytest.raises(UsageError, match="none of the sources"):
        merge([both], MergeOptions(os_version=(("r.io/other:1", "1"),)))


def index_of(*entries, **more):
    manifests = [entry.to_json() for entry in entries]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests, **more}
    return Manifest.of(json.dumps(document).encode(), OCI_INDEX)


def test_a_single_index_keeps_its_bytes():
    base = index_of(image(1), annotations={"a": "b"})
    whole = source("r.io/app:1", IndexChild(image=image(1)), base=base)
    assert merge([whole], MergeOptions()) is base
    changed = merge([whole], MergeOptions(annotations=(("c", "d"),)))
    assert changed.document["annotations"] == {"a": "b", "c": "d"}


@pytest.mark.parametrize(
    "options",
    [
        MergeOptions(media_type="oci"),
        MergeOptions(annotations=(("a", "b"),)),
        MergeOptions(only=(Platform.literal("linux/amd64"),)),
        MergeOptions(platform_of=((f"r.io/app@{digest(1)}", Platform.literal("linux/amd64")),)),
    ],
)
def test_an_index_keeps_its_bytes_when_options_change_nothing(options):
    base = index_of(image(1), annotations={"a": "b"})
    whole = source("r.io/app:1", IndexChild(image=image(1)), base=base)
    assert merge([whole], options) is base


@pytest.mark.parametrize(("new", "is_same"), [(1, True), (2, False)])
def test_append_of_what_is_there_keeps_the_bytes(new, is_same):
    base = index_of(image(1), image(3, "linux/arm64"))
    onto = source(
        "r.io/app:1", IndexChild(image=image(1)), IndexChild(image=image(3, "linux/arm64")), base=base
    )
    index = merge([source("r.io/new:1", IndexChild(image=image(new)))], MergeOptions(), onto=onto)
    assert (index is base) == is_same


def test_append_of_an_image_alone_keeps_what_the_index_says_of_it():
    """`merge --append TARGET repo@DIGEST` of a child that is there: its manifest names neither of these."""
    attested = IndexChild(
        image=image(2, "linux/arm64"), attestations=(attestation(12, 2),), annotations={"a": "b"}
    )
    whole = source("r.io/app:1", IndexChild(image=image(1)), attested)
    base = merge([whole], MergeOptions(media_type="oci"))
    onto = source("r.io/app:1", IndexChild(image=image(1)), attested, base=base)
    alone = source(f"r.io/app@{digest(2)}", IndexChild(image=image(2, "linux/arm64")))
    assert merge([alone], MergeOptions(), onto=onto) is base
    other = source("r.io/new:1", IndexChild(image=image(3, "linux/arm64")))
    assert digest(12) not in {entry.digest for entry in merge([other], MergeOptions(), onto=onto).entries}


def test_append_replaces_the_same_platform_and_keeps_the_rest():
    subject = {"mediaType": OCI_MANIFEST, "digest": digest(77), "size": 1}
    base = index_of(
        image(1), image(2, "linux/arm64"), annotations={"a": "b"}, subject=subject, artifactType="x/y"
    )
    onto = source(
        "r.io/app:1",
        IndexChild(image=image(1), attestations=(attestation(11, 1),)),
        IndexChild(image=image(2, "linux/arm64")),
        base=base,
    )
    added = [
        source("r.io/new:1", IndexChild(image=image(3))),
        source("r.io/s:1", IndexChild(image=image(4, "linux/s390x"))),
    ]
    index = merge(added, MergeOptions(), onto=onto)
    assert [(str(e.platform), e.digest) for e in index.entries] == [
        ("linux/amd64", digest(3)),
        ("linux/arm64", digest(2)),
        ("linux/s390x", digest(4)),
    ]
    assert index.document["annotations"] == {"a": "b"}
    assert index.document["subject"] == subject
    assert index.document["artifactType"] == "x/y"


def test_append_replaces_the_entries_of_also_as_too():
    onto = source(
        "r.io/app:1",
        IndexChild(image=image(1)),
        IndexChild(image=image(2, "linux/arm64")),
        IndexChild(image=image(2, "linux/arm64/unknown")),
        base=index_of(image(1)),
    )
    options = MergeOptions(also_as=(("r.io/new:1", Platform.literal("linux/arm64/unknown")),))
    index = merge([source("r.io/new:1", IndexChild(image=image(3, "linux/arm64")))], options, onto=onto)
    assert [(str(e.platform), e.digest) for e in index.entries] == [
        ("linux/amd64", digest(1)),
        ("linux/arm64", digest(3)),
        ("linux/arm64/unknown", digest(3)),
    ]


def test_only_selects_platforms():
    both = source(
        "r.io/app:1",
        IndexChild(image=image(1)),
        IndexChild(image=image(2, "linux/arm64/v8")),
        base=index_of(image(1)),
    )
    options = MergeOptions(only=(Platform.parse("linux/arm64"),))
    assert platforms_of(merge([both], options)) == "linux/arm64/v8"


def test_an_annotation_for_a_platform_without_entry_is_refused():
    options = MergeOptions(entry_annotations=((Platform.literal("linux/s390x"), "a", "b"),))
    with pytest.raises(UsageError, match="no entry is of linux/s390x"):
        merge([source("a:1", IndexChild(image=image(1)))], options)


def test_annotations_with_the_types_of_buildx_are_the_same():
    typed = ["index:a=b", "manifest-descriptor[linux/aarch64]:k=v:w", "index=c", "index-x:y=z"]
    assert read_annotations(typed) == read_annotations(["a=b", "linux/arm64:k=v:w", "index=c", "index-x:y=z"])


def test_the_platform_of_an_annotation_is_read_in_any_spelling():
    assert read_annotations(["linux/aarch64:k=v", "arm/v7:k=v"]) == read_annotations(
        ["linux/arm64:k=v", "linux/arm/v7:k=v"]
    )


@pytest.mark.parametrize(
    "text", ["manifest:a=b", "manifest[linux/arm64]:a=b", "index-descriptor:a=b", "manifest-descriptor:a=b"]
)
def test_an_annotation_that_would_change_an_image_is_refused(text):
    with pytest.raises(UsageError, match="annotates the index and its entries"):
        read_annotations([text])


def test_annotations_are_parsed():
    assert read_annotations(["a=b=c", "linux/arm64:k=v", "x:y=z"]) == (
        (("a", "b=c"), ("x:y", "z")),
        ((Platform.literal("linux/arm64"), "k", "v"),),
    )
    for wrong in ("a", "=b", "linux/arm64:=v"):
        with pytest.raises(UsageError):
            read_annotations([wrong])


@pytest.mark.parametrize("text", ["a", "a=", "=b"])
def test_an_invalid_pair_is_an_error_with_its_flag(text):
    with pytest.raises(UsageError, match="--os-version"):
        read_pairs([text], "--os-version")


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64/unknown", "linux/arm64/unknown"),
        ("aarch64", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/loongarch64", "linux/loong64"),
        ("linux/mipsle", "linux/mipsle"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_a_platform_is_written_as_typed(text, platform):
    assert str(Platform.parse_verbatim(text)) == platform


# -- the linter


@pytest.mark.parametrize(
    ("entries", "configs", "kinds"),
    [
        ([image(1), image(2, "linux/arm64")], {}, set()),
        ([image(1), image(2)], {}, {"duplicate"}),
        ([image(1, "linux/arm64"), image(1, "linux/arm64/unknown")], {}, {"unknown-variant"}),
        ([image(1, "linux/arm64/v8a")], {}, {"unreachable"}),
        ([image(1, media_type=OCI_INDEX)], {}, {"nested"}),
        ([image(1), attestation(2, 3)], {}, {"orphan"}),
        ([image(1)], {digest(1): "linux/arm64"}, {"mismatch"}),
        ([image(1, "linux/arm/v6")], {digest(1): "linux/arm/v7"}, {"mismatch"}),
        ([image(1, "linux/arm64")], {digest(1): "linux/arm64/v8"}, set()),
        ([image(1, "linux/arm/v7")], {digest(1): "linux/arm"}, set()),
        ([image(1, "linux/arm64/unknown")], {digest(1): "linux/arm64/v8"}, {"unknown-variant"}),
        ([image(1, "linux/arm64/v9"), image(2, "linux/arm64")], {}, {"order"}),
        ([image(1, "linux/arm64"), image(1, "linux/arm64/v8")], {}, set()),
        ([image(1, f"linux/{row.name}") for row in ARCHITECTURES], {}, set()),
        ([image(n, f"linux/arm/v{n}") for n in (5, 6, 7, 8)], {}, set()),
        ([image(1, None), image(2)], {}, {"order"}),
        ([image(1, "linux/mips64le"), image(2, "windows/amd64")], {}, set()),
        # Spellings that containerd normalises, so that clients take them.
        ([image(1, "linux/amd64/v1")], {}, set()),
        ([image(1, "linux/arm/7")], {}, set()),
        ([image(1, "linux/arm64/8")], {}, set()),
        ([image(1, "linux/arm64/v8.0")], {}, set()),
        ([image(1, "linux/arm64/9")], {}, set()),
        ([image(1, "linux/arm/v7"), image(1, "linux/arm/7")], {}, set()),
        ([image(1, "linux/x86_64"), image(2, "linux/aarch64/v8")], {}, set()),
        ([image(1, "linux/armhf")], {digest(1): "linux/arm/v7"}, set()),
        ([image(1, "linux/amd64/v1")], {digest(1): "linux/amd64"}, set()),
        ([image(1, "linux/arm64/armv8")], {}, {"unreachable"}),
        ([image(1, "linux/arm/07")], {}, {"unreachable"}),
        # containerd and podman know no such names.
        ([image(1, "linux/mips64el")], {}, {"unreachable"}),
        ([image(1, "linux/amd46")], {}, {"unreachable"}),
        ([image(1, "unknown/unknown")], {}, {"unreachable"}),
        ([image(1, "wasi/wasm"), image(2, "linux/sparc64")], {}, set()),
        ([image(1), image(2, annotations=ZSTD)], {}, set()),
        ([image(1, annotations=ZSTD), image(2)], {}, {"order"}),
        ([image(1, annotations=ZSTD), image(2, annotations=ZSTD)], {}, {"duplicate"}),
        ([image(1, "windows/amd64", os_version="1"), image(2, "windows/amd64", os_version="2")], {}, set()),
    ],
)
def test_lint(entries, configs, kinds):
    assert {finding.kind for finding in lint(entries, configs)} == kinds


VARIANTS = [
    f"linux/{row.name}/{variant}"
    for row in ARCHITECTURES
    for variant in (*row.variants, *dict(row.normal), "unknown", "v99", "7", "v8a", "V7")
    if variant
]


@pytest.mark.parametrize("platform", VARIANTS)
def test_lint_and_resolve_agree_about_every_variant(platform):
    """What lint calls unreachable no client of today picks on any host that it knows; what they pick it does not."""
    entry = image(1, platform)
    hosts = [
        Platform.literal(f"linux/{row.name}{f'/{v}' if v else ''}")
        for row in ARCHITECTURES
        for v in ("", *row.variants)
    ]
    picks = [resolve([entry_of(entry)], host, ("containerd", "docker", "podman")) for host in hosts]
    is_picked = any(choice is not None for pick in picks for choice in pick.values())
    findings = {finding.kind for finding in lint([entry], {})}
    assert is_picked == findings.isdisjoint({"unreachable", "unknown-variant"})
