"""`@frozen` makes what the standard library's dataclass makes, or refuses."""

import copy
import pickle
from dataclasses import FrozenInstanceError, InitVar, asdict, dataclass, field, fields, is_dataclass, replace
from typing import ClassVar

import pytest

from multibuild.frozen import frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class Theirs:
    """As the standard library makes it."""

    name: str
    places: tuple[int, ...] = ()
    facts: dict[str, int] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@frozen
class Ours:
    """As we make it."""

    name: str
    places: tuple[int, ...] = ()
    facts: dict[str, int] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@frozen
class Named:
    """Says itself what it is called."""

    name: str

    def __str__(self):
        return self.name

    def __eq__(self, other):
        return str(self) == str(other)

    def __hash__(self):
        return 7


@frozen
class Compared:  # noqa: PLW1641 - it shall have the hash of its fields
    """Without regard to capitals."""

    name: str

    def __eq__(self, other):
        return self.name.lower() == other.name.lower()


@frozen
class More(Ours):
    """With a field beyond those of its base."""

    more: int = 0


both = pytest.mark.parametrize("kind", [Theirs, Ours])


@both
def test_defaults_are_there_and_each_has_its_own(kind):
    one, other = kind(name="a"), kind(name="a")
    assert (one.places, one.facts, one.secret, one.note) == ((), {}, "", "")
    assert one.facts is not other.facts


@both
@pytest.mark.parametrize(
    ("given", "said"), [({}, "name"), ({"name": "a", "nmae": "b"}, "nmae"), ({"places": ()}, "name")]
)
def test_a_field_too_few_or_too_many_is_refused(kind, given, said):
    with pytest.raises(TypeError, match=said):
        kind(**given)


@both
def test_fields_are_given_by_name_only(kind):
    with pytest.raises(TypeError, match=kind.__name__):
        kind("a")


@both
def test_equal_is_what_has_equal_fields(kind):
    assert kind(name="a", places=(1,)) == kind(name="a", places=(1,))
    assert kind(name="a") != kind(name="b")
    assert kind(name="a", note="x") == kind(name="a", note="y")
    assert kind(name="a") != (Ours if kind is Theirs else Theirs)(name="a")


@both
def test_a_hash_is_of_what_is_compared(kind):
    assert hash(kind(name="a", facts=(), note="x")) == hash(kind(name="a", facts=(), note="y"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(kind(name="a"))


@both
def test_nothing_can_be_changed(kind):
    made = kind(name="a")
    with pytest.raises(FrozenInstanceError):
        made.name = "b"
    with pytest.raises(FrozenInstanceError):
        del made.name
    # The standard library raises a TypeError for a name that is none of its fields, where there are slots.
    with pytest.raises((FrozenInstanceError, TypeError)):
        made.other = 1
    assert not hasattr(made, "__dict__")


@both
def test_its_text_names_the_fields_but_for_secrets(kind):
    text = repr(kind(name="a", secret="hunter2"))
    assert text == f"{kind.__name__}(name='a', places=(), facts={{}}, note='')"


@both
def test_what_contains_itself_has_a_text(kind):
    made = kind(name="a")
    made.facts["self"] = made
    assert "..." in repr(made)


@both
def test_dataclasses_know_it(kind):
    made = kind(name="a", places=(1,))
    assert [its.name for its in fields(kind)] == ["name", "places", "facts", "secret", "note"]
    assert replace(made, name="b") == kind(name="b", places=(1,))
    assert asdict(made) == {"name": "a", "places": (1,), "facts": {}, "secret": "", "note": ""}
    assert is_dataclass(kind)


@both
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_it_can_be_copied(kind, again):
    made = kind(name="a", facts={"x": 1})
    assert again(made) == made
    assert (again(made).facts is made.facts) == (again is copy.copy)


def test_what_a_class_says_itself_stays():
    assert Named(name="a") == "a"
    assert hash(Named(name="a")) == 7


def test_a_class_that_compares_its_own_way_has_a_hash_all_the_same():
    assert hash(Compared(name="a")) == hash(Compared(name="a"))
    assert Compared(name="a") == Compared(name="A")


def fields_of(**wanted):
    return lambda: frozen(type("Made", (), {"__annotations__": {"a": int}, "a": field(**wanted)}))


@pytest.mark.parametrize(
    "make",
    [
        fields_of(default=0, init=False),
        fields_of(default=0, hash=False),
        lambda: frozen(type("Made", (), {"__annotations__": {"a": ClassVar[int]}, "a": 1})),
        lambda: frozen(type("Made", (), {"__annotations__": {"a": InitVar[int]}})),
        lambda: frozen(type("Made", (), {"__post_init__": lambda _self: None})),
    ],
)
def test_what_the_shared_methods_do_not_know_is_refused(make):
    with pytest.raises(TypeError, match="Made needs more than @frozen can do"):
        make()


def test_a_class_of_another_has_the_fields_of_both():
    made = More(name="a", more=2)
    assert (made.name, made.more) == ("a", 2)
    assert made != More(name="a")
    assert made != Ours(name="a")
