import pytest

from multibuild.architectures import ARCHITECTURES
from multibuild.errors import UsageError
from multibuild.platforms import Platform, runs_natively


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("arm64/armv8", "linux/arm64"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("armhf", "linux/arm/v7"),
        ("armv7l", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("armv6l", "linux/arm/v6"),
        ("armel", "linux/arm/v5"),
        ("armv5tejl", "linux/arm/v5"),
        ("arm32v6", "linux/arm/v6"),
        ("arm64v8", "linux/arm64"),
        ("powerpc64", "linux/ppc64"),
        ("i686", "linux/386"),
        ("mips64el", "linux/mips64le"),
        ("mipsel", "linux/mipsle"),
        ("ppc64el", "linux/ppc64le"),
        ("powerpc64le", "linux/ppc64le"),
        ("loongarch64", "linux/loong64"),
        ("LINUX/S390X", "linux/s390x"),
    ],
)
def test_user_input_becomes_the_normal_form(typed, normal):
    assert str(Platform.parse(typed)) == normal


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("linux/am64", "amd64"),
        ("linux/adm64", "amd64"),
        ("amd65", "amd64"),
        ("linux/arm46", "arm64"),
        ("linux/amr64", "arm64"),
        ("aarch46", "aarch64"),
        ("linux/mips64l", "mips64le"),
        ("s309x", "s390x"),
        ("riscv65", "riscv64"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest_and_of_equals_the_most_common(typed, meant):
    with pytest.raises(UsageError) as error:
        Platform.parse(typed)
    assert error.value.hint == f"perhaps you meant '{meant}'"


@pytest.mark.parametrize("typed", ["linux/sparc64", "alpha", "sh4", "wasm"])
def test_a_name_that_is_like_none_gets_all(typed):
    with pytest.raises(UsageError) as error:
        Platform.parse(typed)
    assert error.value.hint is not None
    assert error.value.hint.startswith("known architectures: amd64, ")


@pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)
def test_every_row_parses_by_name_and_by_alias(row):
    assert Platform.parse(row.name).row is row
    for alias, variant in row.aliases:
        assert Platform.parse(alias).row is row
        if variant:
            assert Platform.parse(alias).variant == variant


@pytest.mark.parametrize(
    "text", ["", "linux/", "linux/arm/v7/x", "linux/arm 64", "plan9/amd64/v1", "linux/vax"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError):
        Platform.parse(text)


def test_the_hint_has_the_nearest_name():
    with pytest.raises(UsageError) as error:
        Platform.parse("linux/riscv46")
    assert error.value.hint == "perhaps you meant 'riscv64'"


def test_a_literal_platform_stays_as_written():
    assert str(Platform.literal("linux/arm64/unknown")) == "linux/arm64/unknown"
    assert str(Platform.literal("linux/arm64/v8")) == "linux/arm64/v8"
    assert not Platform.literal("linux/arm64/unknown").has_known_variant


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("arm64/v8", "linux/arm64/v8"),
        ("arm/v7", "linux/arm/v7"),
        ("arm64/unknown", "linux/arm64/unknown"),
        ("linux/amd64/v1", "linux/amd64/v1"),
        ("Linux/ARM64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("windows/amd64", "windows/amd64"),
        ("plan9/amd64", "plan9/amd64"),
        ("unknown/unknown", "unknown/unknown"),
    ],
)
def test_a_verbatim_platform_keeps_its_variant_and_needs_no_system(typed, kept):
    assert str(Platform.parse_verbatim(typed)) == kept


def test_slug():
    assert Platform.parse("linux/arm/v7").slug == "linux-arm-v7"


def test_386_runs_on_amd64_but_arm_on_arm64_must_be_probed():
    amd64, arm64 = Platform.parse("amd64"), Platform.parse("arm64")
    assert runs_natively(Platform.parse("386"), amd64)
    assert not runs_natively(Platform.parse("arm/v7"), arm64)
    assert not runs_natively(
        Platform.parse("amd64/v3"), Platform(os="linux", architecture="amd64", variant="v2")
    )
