"""Keys of annotations are read as buildx reads them (util/buildflags, ParseAnnotations)."""

import pytest

from multibuild.buildx.annotations import (
    OF_INDEX,
    AnnotationPlace,
    annotations_of,
    parse_annotation_key,
)
from multibuild.errors import UsageError
from multibuild.platforms import Platform

ARM64 = Platform.parse("linux/arm64")
INDEX = AnnotationPlace(type="index")
MANIFEST = AnnotationPlace(type="manifest")


@pytest.mark.parametrize(
    ("text", "name", "places"),
    [
        ("a", "a", (INDEX,)),
        ("index:a", "a", (INDEX,)),
        ("manifest:a", "a", (MANIFEST,)),
        ("index,manifest:a.b/c", "a.b/c", (INDEX, MANIFEST)),
        ("manifest:a:b", "a:b", (MANIFEST,)),
        ("index-descriptor:a", "a", (AnnotationPlace(type="index-descriptor"),)),
        ("manifest[linux/aarch64]:a", "a", (AnnotationPlace(type="manifest", platform=ARM64),)),
        (
            "manifest-descriptor[linux/arm64],manifest:a",
            "a",
            (AnnotationPlace(type="manifest-descriptor", platform=ARM64), MANIFEST),
        ),
        ("example.org:8080/a", "example.org:8080/a", (INDEX,)),
        ("org/example:a", "org/example:a", (INDEX,)),
        ("a b", "a b", (INDEX,)),
    ],
)
def test_a_key_has_a_name_and_places(text, name, places):
    key = parse_annotation_key(text, OF_INDEX)
    assert (key.name, key.places) == (name, places)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("manifets:a", "'manifets' is no type", "perhaps you meant manifest"),
        ("x:a", "'x' is no type", "index:x:a"),
        ("index, manifest:a", "' manifest' is no type", "manifest"),
        ("Manifest:a", "'Manifest' is no type", "manifest"),
        ("manifest[]:a", "is no type", "manifest"),
        ("manifest[linux/amd65]:a", "linux/amd65", "amd64"),
        ("index[linux/arm64]:a", "the index of one platform", "manifest-descriptor[linux/arm64]"),
        (":a", "'' is no type", "index::a"),
        ("manifest:", "needs a key", "org.opencontainers.image.title"),
        ("", "needs a key", "org.opencontainers.image.title"),
        ("manifest:a b", "BuildKit", "spaces"),
        ("index,manifest:a=b", "BuildKit", "spaces"),
    ],
)
def test_a_key_that_has_no_place_is_an_error(text, message, hint):
    with pytest.raises(UsageError) as caught:
        parse_annotation_key(text, OF_INDEX)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_place_has_what_names_exactly_it_and_the_later_key_wins():
    annotations = {"a": "1", "manifest,index:a": "2", "manifest[linux/arm64]:a": "3", "b": "4"}
    assert annotations_of(annotations, INDEX, OF_INDEX) == {"a": "2", "b": "4"}
    assert annotations_of(annotations, MANIFEST, OF_INDEX) == {"a": "2"}
    assert annotations_of(annotations, AnnotationPlace(type="manifest", platform=ARM64), OF_INDEX) == {
        "a": "3"
    }
