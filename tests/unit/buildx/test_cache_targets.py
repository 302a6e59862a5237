"""Caches that several platforms would overwrite, and how to write them."""

import pytest

from multibuild.buildx.cache_targets import as_csv, missing_slug, place_of, source_place, with_slug


@pytest.mark.parametrize(
    "entry",
    [
        "type=registry,ref=r.example.org/c:{slug},mode=max",
        "type=registry,ref=r.example.org/{slug}/c",
        "r.example.org/c:{slug}",
        "type=inline",
        "type=local,dest=cache/{slug}",
        "type=local,dest=cache,tag={slug}",
        "type=gha,scope=app-{slug}",
        "type=s3,region=eu-west-1,bucket=b,name={slug}",
        "type=s3,region=eu-west-1,bucket=b,prefix=app/{slug}/",
        "type=azblob,account_url=https://a,name=app-{slug}",
        '"type=registry","ref=r/c:{slug}"',
        "TYPE=registry,Ref=r/c:{slug}",
        "type=new,where={slug}",
    ],
)
def test_a_cache_of_each_platform_is_accepted(entry):
    assert missing_slug(entry) is None


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ("type=registry,ref=r.example.org/c", "write ref=r.example.org/c:{slug} in it"),
        ("type=registry,ref=localhost:5000/c,mode=max", "write ref=localhost:5000/c:{slug} in it"),
        ("type=registry,ref=r.example.org/c:main", "write ref=r.example.org/c:main-{slug} in it"),
        ("type=registry,ref=r.example.org/c:main,compression={slug}", "c:main-{slug}"),
        ("r.example.org/c:1", "write ref=r.example.org/c:1-{slug} in it"),
        ("type=local,dest=cache", "write dest=cache-{slug} in it"),
        ("type=gha", "write scope=buildkit-{slug} in it"),
        ("type=gha,scope=app", "write scope=app-{slug} in it"),
        ("type=s3,region=eu-west-1,bucket=b", "write name=buildkit-{slug} in it"),
        ("type=azblob,name=app", "write name=app-{slug} in it"),
        ("type=registry", "write ref=…{slug} in it"),
        ("type=new,where=here", "put {slug} into it"),
        ("type=registry,ref=a\nb", "{slug}"),
        ("", "{slug}"),
    ],
)
def test_one_that_platforms_would_overwrite_is_told_how_to_differ(entry, advice):
    assert advice in (missing_slug(entry) or "")


@pytest.mark.parametrize(
    ("entry", "written"),
    [
        ("type=registry,ref=r.example.org/c", "type=registry,ref=r.example.org/c:{slug}"),
        ("r.example.org/c:1", "type=registry,ref=r.example.org/c:1-{slug}"),
        ("type=local,dest=cache,mode=max", "type=local,dest=cache-{slug},mode=max"),
        ("type=local,src=cache", "type=local,src=cache-{slug}"),
        ("type=gha", "type=gha,scope=buildkit-{slug}"),
        ('type=registry,"ref=r/c:1",annotation=a', "type=registry,ref=r/c:1-{slug},annotation=a"),
        ("type=registry,ref=r/c:{slug}", "type=registry,ref=r/c:{slug}"),
        ("type=inline", "type=inline"),
        ("type=new,where=here", "type=new,where=here"),
    ],
)
def test_a_cache_is_written_with_the_slug_of_its_platform(entry, written):
    assert with_slug(entry) == written
    assert "where=" in entry or missing_slug(with_slug(entry).replace("src=", "dest=")) is None


@pytest.mark.parametrize(
    ("source", "target", "same"),
    [
        ("a/b:c", "type=registry,ref=a/b:c,mode=max", True),
        ("type=local,src=c", "type=local,dest=c", True),
        ("type=gha", "type=gha,mode=max", True),
        ("type=gha,scope=a", "type=gha", False),
        ("a/b:c", "a/b:d", False),
        ("type=local,src=c", "type=registry,ref=c", False),
    ],
)
def test_the_place_of_a_cache_is_where_it_is_read_and_written(source, target, same):
    assert (source_place(source) == place_of(target)) is same


def test_attributes_with_commas_are_quoted():
    assert as_csv({"type": "registry", "ref": "a,b"}) == 'type=registry,"ref=a,b"'
