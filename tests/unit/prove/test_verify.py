"""`verify` against a registry with untrusted content: each fault is a finding of its own kind."""

import json

import pytest
from fakes.images import OCI, OCI_INDEX, descriptor, put_attested, put_image, put_index
from fakes.layers import PLAIN, tar
from fakes.registry_server import FakeRegistry, digest_of

from multibuild.cli.commands.verify import as_table
from multibuild.errors import PublishFailed, VerificationFailed
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.prove import verify as verifying
from multibuild.prove.content import proof as content
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.verify import Rules, verify
from multibuild.qemu.probe_program import build_probe

CONFIG = "application/vnd.oci.image.config.v1+json"
COMMAND = {"Cmd": ["/app"]}


@pytest.fixture
def registry():
    with FakeRegistry() as one:
        yield one


@pytest.fixture
def verify_latest(registry):
    def run(*, cache=None, **rules):
        with RegistrySession({}, on_wait=print) as session:
            reference = Reference.parse(f"{registry.host}/app:latest")
            return verify(reference, session, rules=Rules(**rules), cache=cache or LayerCache())

    return run


def kinds(result):
    return [(finding.platform, finding.kind) for finding in result.findings]


def put_manifest(registry, *, config=b"{}", layers=(), tag=None, changes=None):
    """Put a manifest of any config and layers (bytes); a change to None removes a field."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": CONFIG, "digest": registry.put_blob("app", config), "size": len(config)},
        "layers": [
            {"mediaType": PLAIN, "digest": registry.put_blob("app", layer), "size": len(layer)}
            for layer in layers
        ],
        **(changes or {}),
    }
    document = {key: value for key, value in document.items() if value is not None}
    return registry.put("app", json.dumps(document).encode(), OCI, tag=tag)


def config(architecture="arm64", **fields):
    return json.dumps({"os": "linux", "architecture": architecture, **fields}).encode()


def put_program(registry, architecture="arm64", *, claims="arm64", tag=None, section=COMMAND):
    blob = config(claims, config=section)
    return put_manifest(registry, config=blob, layers=[tar({"app": build_probe(architecture)})], tag=tag)


def test_a_foreign_program_is_found_in_its_layer(registry, verify_latest):
    """A history names what made it, without the values of arguments; without one the layer is named alone."""
    history = [
        {"created_by": "COPY x /x # buildkit"},
        {"created_by": "RUN |1 A=secret /bin/sh -c make # buildkit"},
    ]
    for fields, says in (({"history": history}, " (in its history `RUN make`)"), ({}, "")):
        layers = [tar({"x": b""}), tar({"app": build_probe("amd64")})]
        blob = config(config=COMMAND, **fields)
        index_of(registry, **{"linux/arm64": put_manifest(registry, config=blob, layers=layers)})
        result = verify_latest()
        assert [finding.detail for finding in result.findings] == [
            f"what the image starts is not linux/arm64: /app is amd64; /app is in layer 2 of 2{says}"
        ]
        (row,) = result.document()["platforms"]
        assert row["origins"] == [f"/app is in layer 2 of 2{says}"]


def amd64(registry):
    return put_program(registry, "amd64", claims="amd64")


def index_of(registry, **children):
    entries = [descriptor(registry, "app", digest, platform) for platform, digest in children.items()]
    put_index(registry, "app", entries, tag="latest")


def test_a_correct_index(registry, verify_latest):
    index_of(registry, **{"linux/arm64": put_program(registry), "linux/amd64": amd64(registry)})
    result = verify_latest()
    assert result.ok
    assert result.document()["ok"] is True
    assert result.document()["findings"] == []
    assert [entry.content.checked for entry in result.entries if entry.content] == [1, 1]


def test_every_fault_has_its_kind(registry, verify_latest):
    good, wrong = put_program(registry), put_program(registry, "amd64")
    entries = [
        descriptor(registry, "app", good, "linux/arm64"),
        descriptor(registry, "app", wrong, "linux/arm64/v8.2"),
        descriptor(registry, "app", good, "linux/riscv64"),
        {**descriptor(registry, "app", amd64(registry), "linux/amd64"), "size": 7},
        {**descriptor(registry, "app", good, "linux/s390x"), "digest": digest_of(b"missing")},
    ]
    put_index(registry, "app", entries, tag="latest")
    result = verify_latest()
    assert kinds(result) == [
        ("linux/arm64/v8.2", "content"),
        ("linux/riscv64", "platform"),
        ("linux/amd64", "size"),
        ("linux/s390x", "missing"),
    ]
    document = result.document()
    assert document["ok"] is False
    assert all(set(finding) == {"platform", "kind", "detail"} for finding in document["findings"])
    table = as_table(result)
    assert max(map(len, table.splitlines())) <= 80
    assert "4 wrong" in table


def test_notes_that_are_no_fault_are_grouped(registry, verify_latest):
    data = {
        platform: put_manifest(registry, config=config(platform[6:]), layers=[tar({"data": b"text"})])
        for platform in ("linux/arm64", "linux/amd64")
    }
    index_of(registry, **data)
    result = verify_latest()
    table = as_table(result)
    assert result.ok
    assert "linux/arm64, linux/amd64: no ELF file in the image" in table
    assert "everything is what it says" in table
    assert max(map(len, table.splitlines())) <= 80


def test_a_missing_layer_is_a_finding_though_its_index_is_cached(registry, verify_latest):
    put_program(registry, tag="latest")
    cache = LayerCache()
    assert verify_latest(cache=cache).ok
    app = registry.repository("app")
    manifest = json.loads(app.manifests[app.tags["latest"]][1])
    del app.blobs[manifest["layers"][0]["digest"]]
    assert kinds(verify_latest(cache=cache)) == [("linux/arm64", "missing")]
    assert kinds(verify_latest(mode="off")) == [("linux/arm64", "missing")]


def test_attestations_must_refer_to_an_image(registry, verify_latest):
    _, image, attestation = put_attested(registry, "app", "linux/arm64")
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}
    orphan = {**about, "vnd.docker.reference.digest": digest_of(b"no image")}
    entry = descriptor(registry, "app", attestation, "unknown/unknown", annotations=about)
    entries = [
        descriptor(registry, "app", image, "linux/arm64"),
        entry,
        {**entry, "annotations": orphan},
        {**entry, "digest": digest_of(b"missing")},
    ]
    put_index(registry, "app", entries, tag="latest")
    assert kinds(verify_latest(mode="off")) == [("-", "attestation"), ("-", "attestation")]


def test_an_empty_index(registry, verify_latest):
    put_index(registry, "app", [], tag="latest")
    assert kinds(verify_latest()) == [("", "empty")]


def test_an_index_within_an_index_is_read(registry, verify_latest):
    """`merge --no-flatten` writes them; containerd follows them too."""
    pair = [
        descriptor(registry, "app", put_program(registry), "linux/arm64"),
        descriptor(registry, "app", amd64(registry), "linux/amd64"),
    ]
    inner = put_index(registry, "app", pair)
    deeper = put_index(registry, "app", [descriptor(registry, "app", inner)])
    for nested in (inner, deeper):
        put_index(registry, "app", [descriptor(registry, "app", nested)], tag="latest")
        result = verify_latest()
        assert result.ok
        assert [entry.platform for entry in result.entries] == ["linux/arm64", "linux/amd64"]


def test_an_index_within_an_index_holds_what_its_entry_says(registry, verify_latest):
    inner = put_index(registry, "app", [descriptor(registry, "app", put_program(registry), "linux/arm64")])
    index_of(registry, **{"linux/arm64": inner})
    assert verify_latest().ok
    index_of(registry, **{"linux/s390x": inner})
    assert kinds(verify_latest()) == [("linux/s390x", "platform")]
    entry = descriptor(registry, "app", inner, "linux/arm64")
    put_index(registry, "app", [{**entry, "size": 7}], tag="latest")
    assert kinds(verify_latest()) == [("linux/arm64", "unreadable")]


def test_a_circular_index_ends(registry, verify_latest):
    """Content cannot contain its own digest, but a registry can claim so: its bytes are checked against the digest."""
    inner = put_index(registry, "app", [])
    entry = {"mediaType": OCI_INDEX, "digest": inner, "size": 10}
    circle = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    registry.repository("app").manifests[inner] = (OCI_INDEX, circle)
    put_index(
        registry, "app", [{**entry, "platform": {"os": "linux", "architecture": "arm64"}}], tag="latest"
    )
    assert kinds(verify_latest()) == [("linux/arm64", "unreadable")]


@pytest.mark.parametrize(
    "digest", ["../../../etc/passwd", "md5:00", "sha256:short", "", "sha256:" + "g" * 64]
)
def test_an_entry_with_an_invalid_digest(registry, verify_latest, digest):
    entry = descriptor(registry, "app", put_program(registry), "linux/arm64")
    put_index(registry, "app", [{**entry, "digest": digest}], tag="latest")
    (finding,) = verify_latest().findings
    assert finding.kind in {"unreadable", "missing"}


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "blob",
    [
        b"", b"no json", b"[]", b"7", b"null", b'"text"', DEEP, b'{"os": "linux"}', config(["arm64"]),
        b'{"os": 7, "architecture": {}}', config(variant=7), config(**{"os.features": 7}),
    ],
)  # fmt: skip
def test_an_invalid_config(registry, verify_latest, blob):
    put_manifest(registry, config=blob, tag="latest")
    result = verify_latest()
    assert [finding.kind for finding in result.findings] == ["unreadable"]


@pytest.mark.parametrize(
    "section", ["text", 7, [], {"Cmd": 7, "Entrypoint": {}, "Env": "x", "WorkingDir": []}]
)
def test_a_config_section_of_a_wrong_type_executes_nothing(registry, verify_latest, section):
    put_program(registry, "amd64", tag="latest", section=section)
    assert kinds(verify_latest()) == [("linux/arm64", "content")]


@pytest.mark.parametrize(
    "changes",
    [
        {"config": None},
        {"config": 7},
        {"config": {"digest": "../../../etc/passwd", "mediaType": CONFIG, "size": 1}},
        {"layers": 7},
        {"layers": ["text"]},
        {"layers": {"digest": "x"}},
    ],
)
def test_a_manifest_with_fields_of_wrong_types(registry, verify_latest, changes):
    put_manifest(registry, config=config(), tag="latest", changes=changes)
    (finding,) = verify_latest().findings
    assert finding.kind in {"unreadable", "missing"}


@pytest.mark.parametrize("content", [b"", b"[]", b"nothing", DEEP])
def test_a_reference_to_an_invalid_index(registry, verify_latest, content):
    registry.put("app", content, OCI_INDEX, tag="latest")
    with pytest.raises(PublishFailed, match="not a JSON object"):
        verify_latest()


def test_too_many_layers(registry, verify_latest):
    entry = {"mediaType": PLAIN, "digest": registry.put_blob("app", b"x"), "size": 1}
    layers = [entry] * (content.MAX_LAYERS + 1)
    put_manifest(registry, config=config(), tag="latest", changes={"layers": layers})
    registry.forget_requests()
    (finding,) = verify_latest().findings
    assert (finding.kind, "1001 layers" in finding.detail) == ("content", True)
    assert len(registry.requests()) < 5


def test_too_many_entries(registry, verify_latest):
    entry = descriptor(registry, "app", put_image(registry, "app", "linux/arm64"), "linux/arm64")
    put_index(registry, "app", [entry] * (verifying.MAX_ENTRIES + 1), tag="latest")
    with pytest.raises(VerificationFailed, match="1001 entries"):
        verify_latest()
    assert len(registry.requests()) < 3
