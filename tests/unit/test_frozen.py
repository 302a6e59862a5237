"""`@frozen` equals the standard library's dataclass, or refuses a class."""

import copy
import pickle
from dataclasses import FrozenInstanceError, InitVar, asdict, dataclass, field, fields, is_dataclass, replace
from typing import ClassVar

import pytest

from multibuild.frozen import frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """A dataclass of the standard library."""

    name: str
    places: tuple[int, ...] = ()
    facts: dict[str, int] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@frozen
class Frozen:
    """The same with `@frozen`."""

    name: str
    places: tuple[int, ...] = ()
    facts: dict[str, int] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@frozen
class Named:
    """With its own `__str__`, `__eq__` and `__hash__`."""

    name: str

    def __str__(self):
        return self.name

    def __eq__(self, other):
        return str(self) == str(other)

    def __hash__(self):
        return 7


@frozen
class Compared:  # noqa: PLW1641 - it gets the hash of its fields
    """With its own `__eq__`, without regard to case."""

    name: str

    def __eq__(self, other):
        return self.name.lower() == other.name.lower()


@frozen
class More(Frozen):
    """With a field beyond those of its base."""

    more: int = 0


both = pytest.mark.parametrize("kind", [Standard, Frozen])


@both
def test_defaults_are_not_shared(kind):
    one, other = kind(name="a"), kind(name="a")
    assert (one.places, one.facts, one.secret, one.note) == ((), {}, "", "")
    assert one.facts is not other.facts


@both
@pytest.mark.parametrize(
    ("values", "message"), [({}, "name"), ({"name": "a", "nmae": "b"}, "nmae"), ({"places": ()}, "name")]
)
def test_missing_and_unknown_fields_are_refused(kind, values, message):
    with pytest.raises(TypeError, match=message):
        kind(**values)


@both
def test_fields_are_keyword_only(kind):
    with pytest.raises(TypeError, match=kind.__name__):
        kind("a")


@both
def test_values_with_equal_compared_fields_are_equal(kind):
    assert kind(name="a", places=(1,)) == kind(name="a", places=(1,))
    assert kind(name="a") != kind(name="b")
    assert kind(name="a", note="x") == kind(name="a", note="y")
    assert kind(name="a") != (Frozen if kind is Standard else Standard)(name="a")


@both
def test_the_hash_is_of_the_compared_fields(kind):
    assert hash(kind(name="a", facts=(), note="x")) == hash(kind(name="a", facts=(), note="y"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(kind(name="a"))


@both
def test_fields_cannot_be_changed(kind):
    value = kind(name="a")
    with pytest.raises(FrozenInstanceError):
        value.name = "b"
    with pytest.raises(FrozenInstanceError):
        del value.name
    # The standard library raises a TypeError for a name that is none of its fields, where there are slots.
    with pytest.raises((FrozenInstanceError, TypeError)):
        value.other = 1
    assert not hasattr(value, "__dict__")


@both
def test_repr_omits_secrets(kind):
    text = repr(kind(name="a", secret="hunter2"))
    assert text == f"{kind.__name__}(name='a', places=(), facts={{}}, note='')"


@both
def test_repr_of_a_recursive_value(kind):
    value = kind(name="a")
    value.facts["self"] = value
    assert "..." in repr(value)


@both
def test_the_functions_of_dataclasses_work(kind):
    value = kind(name="a", places=(1,))
    assert [item.name for item in fields(kind)] == ["name", "places", "facts", "secret", "note"]
    assert replace(value, name="b") == kind(name="b", places=(1,))
    assert asdict(value) == {"name": "a", "places": (1,), "facts": {}, "secret": "", "note": ""}
    assert is_dataclass(kind)


@both
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_values_can_be_copied_and_pickled(kind, again):
    value = kind(name="a", facts={"x": 1})
    assert again(value) == value
    assert (again(value).facts is value.facts) == (again is copy.copy)


def test_own_methods_stay():
    assert Named(name="a") == "a"
    assert hash(Named(name="a")) == 7


def test_a_class_with_its_own_eq_has_the_hash_of_its_fields():
    assert hash(Compared(name="a")) == hash(Compared(name="a"))
    assert Compared(name="a") == Compared(name="A")


def fields_of(**options):
    return lambda: frozen(type("Value", (), {"__annotations__": {"a": int}, "a": field(**options)}))


@pytest.mark.parametrize(
    "make",
    [
        fields_of(default=0, init=False),
        fields_of(default=0, hash=False),
        lambda: frozen(type("Value", (), {"__annotations__": {"a": ClassVar[int]}, "a": 1})),
        lambda: frozen(type("Value", (), {"__annotations__": {"a": InitVar[int]}})),
        lambda: frozen(type("Value", (), {"__post_init__": lambda _self: None})),
    ],
)
def test_features_the_shared_methods_lack_are_refused(make):
    with pytest.raises(TypeError, match="Value needs more than @frozen can do"):
        make()


def test_a_subclass_has_the_fields_of_both():
    value = More(name="a", more=2)
    assert (value.name, value.more) == ("a", 2)
    assert value != More(name="a")
    assert value != Frozen(name="a")
