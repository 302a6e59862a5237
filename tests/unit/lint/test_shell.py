"""Shell scripts are followed for one platform: which commands run, with which words."""

import time

import pytest

from multibuild.dockerfile.source import Text
from multibuild.lint.shell.evaluate import follow
from multibuild.lint.shell.nodes import nodes_of, words_of
from multibuild.lint.shell.syntax import parse_script
from multibuild.lint.shell.trace import Machine
from multibuild.lint.shell.values import Value

UNKNOWN = "?"
OUTPUTS = {"uname -m": "aarch64", "dpkg --print-architecture": "arm64"}


def trace(script, **values):
    """Follow a script on arm64."""
    known = {"TARGETARCH": "arm64", "TARGETPLATFORM": "linux/arm64", "TARGETVARIANT": "", **values}
    marked = {name: Value(text, frozenset({"arch"})) for name, text in known.items()}
    machine = Machine(outputs=OUTPUTS, marks=frozenset())
    return follow(Text(text=script), marked, machine, parse_script(script))


def commands(script, **values):
    """Return the words of each command that certainly runs."""
    return [
        " ".join(word.text.replace("\x00", UNKNOWN) for word in event.words)
        for event in trace(script, **values).events
        if event.words and "arch" not in event.guards
    ]


@pytest.mark.parametrize(
    ("script", "ran"),
    [
        ("a b; c d && e | f", ["a b", "c d", "e", "f"]),
        ("a 'x y' \"p $TARGETARCH\" \\$z", ["a x y p arm64 $z"]),
        ("case $TARGETARCH in amd64) a ;; arm64) b ;; *) c ;; esac; d", ["b", "d"]),
        ('case "${TARGETARCH}" in (amd64|arm64) a;; esac', ["a"]),
        ("case $TARGETPLATFORM in linux/arm*) a ;; *) b ;; esac", ["a"]),
        ("case $TARGETARCH in amd64) A=x;; arm64) A=y;; esac && get $A", ["get y"]),
        ('case "$(dpkg --print-architecture)" in arm64) a ;; esac', ["dpkg --print-architecture", "a"]),
        ("case `uname -m` in aarch64) a ;; x86_64) b ;; esac", ["uname -m", "a"]),
        ('if [ "$TARGETARCH" = amd64 ]; then a; else b; fi', ["[ arm64 = amd64 ]", "b"]),
        ('if [ "$TARGETARCH" = amd64 ]; then a; elif test $(uname -m) = aarch64; then b; fi', ["[ arm64 = amd64 ]", "uname -m", "test aarch64 = aarch64", "b"]),
        ("if [[ $TARGETARCH == arm* && -z $TARGETVARIANT ]]; then a; fi", ["[[ arm64 == arm* && -z  ]]", "a"]),
        ('[ "$TARGETARCH" = amd64 ] && a || b', ["[ arm64 = amd64 ]", "b"]),
        ('[ "$TARGETARCH" = amd64 ] || exit 0; a', ["[ arm64 = amd64 ]", "exit 0"]),
        ('! [ "$TARGETARCH" = amd64 ] && a', ["[ arm64 = amd64 ]", "a"]),
        ("a=${TARGETARCH/arm64/aarch64}; b $a", ["b aarch64"]),
        ("a=${TARGETPLATFORM#linux/}; b ${a%64}", ["b arm"]),
        ("b ${TARGETVARIANT:-none} ${TARGETVARIANT-unset} ${TARGETARCH:+yes}", ["b none  yes"]),
        ("b $UNSET-x ${UNSET:-d}", ["b ?-x ?"]),
        ("a=$(echo x-$TARGETARCH); b $a", ["echo x-arm64", "b x-arm64"]),
        ("a=$(uname -m | sed s/a/b/); b $a", ["uname -m", "sed s/a/b/", "b barch64"]),
        ("a=$(uname -m | sed 's/(.*)64/\\1/'); b $a", ["uname -m", "sed s/(.*)64/\\1/", "b ?"]),
        ("export A=1 B=$TARGETARCH; b $A$B", ["export A=1 B=arm64", "b 1arm64"]),
        ("for a in amd64 arm64; do get $a; done; b", ["b"]),
        ("for a in x y; do get $a; done", ["get ?"]),
        ("while read l; do a $l; done < f", ["read l", "a ?"]),
        ("f() { a; }; f", ["a", "f"]),
        ("sh -c 'a $TARGETARCH'", ["sh -c a $TARGETARCH", "a arm64"]),
        ("(cd x; a); { b; }", ["cd x", "a", "b"]),
        ("cat <<E >f\na amd64\nE\nb", ["cat", "b"]),
        ("a # b; c\nd", ["a", "d"]),
        ("a=(x y z) b; c", ["b", "c"]),
        ("if grep -q x f; then a; fi", ["grep -q x f", "a"]),
        ('if [ "$X" = y ]; then a; fi', ["[ ? = y ]", "a"]),
        ('if [ "$(arch_of_host)" = amd64 ]; then a; fi; b', ["arch_of_host", "[ ? = amd64 ]", "b"]),
        ("a |& b", ["a", "b"]),
        ("a 2>&1 >/dev/null <f", ["a"]),
        ("a $((1+2)) ${#x} $@ $1", ["a ? ? ? ?"]),
        ("a \\\n b", ["a b"]),
        ("a; if true; then", ["a"]),
        ("case x in", []),
        ("a 'unfinished", ["a unfinished"]),
        (")", []),
        ("a ) b", ["a"]),
    ],
)  # fmt: skip
def test_the_commands_that_run(script, ran):
    assert commands(script) == ran


def test_a_choice_that_is_not_known_guards_what_follows():
    events = trace('if [ "$(lscpu)" = x86_64 ]; then a; fi; b').events
    assert {event.name: set(event.guards) for event in events} == {
        "lscpu": set(),
        "[": set(),
        "a": {"arch"},
        "b": set(),
    }
    events = trace('[ "$ARCH" = x86_64 ] || exit 0; a').events
    assert set(events[-1].guards) == {"arch"}


def test_the_rest_of_a_choice_is_marked():
    events = trace(
        'if [ "$TARGETARCH" = amd64 ]; then a; else b; fi; case $TARGETARCH in amd64) c;; *) d;; esac; e'
    ).events
    assert {event.name: event.branch for event in events} == {"[": False, "b": True, "d": True, "e": False}


def test_what_differs_between_branches_is_unknown():
    script = 'A=1; if [ "$X" = y ]; then A=2; fi; a $A'
    assert commands(script)[-1] == "a ?"


def test_misses_are_noted_with_what_is_asked():
    done = trace("case $TARGETARCH in x86_64) a ;; aarch64) b ;; esac; [ $TARGETARCH = aarch64 ]")
    assert [(one.subject.text, [word.text for word in one.patterns]) for one in done.misses] == [
        ("arm64", ["x86_64", "aarch64"]),
        ("arm64", ["aarch64"]),
    ]


def test_uses_without_a_value_are_noted():
    script = 'a $TARGETOS "${TARGETOS}" ${TARGETOS:-x} \'$TARGETOS\' \\$TARGETOS; [ -n "$TARGETOS" ]'
    assert [script[one.index :][:11] for one in trace(script).undeclared] == ['$TARGETOS "', "${TARGETOS}"]


def test_places_are_those_of_the_text():
    script = 'x; case "$(uname -m)" in aarch64) curl "https://$X/`arch`" ;; esac'
    for word in words_of(parse_script(script)):
        assert 0 <= word.start <= word.end <= len(script)
        for part in word.parts:
            if part.kind == "text":
                assert script[part.start : part.start + len(part.text)] == part.text
    assert [script[node.start : node.start + 4] for node in nodes_of(parse_script(script))] == [
        "x; c",
        "case",
        "curl",
    ]


@pytest.mark.parametrize(
    "piece",
    ["${a ", "$(", "`", "case x in ", "a=(", "'\"", "if ", "f() ", "<<E ", "((", "a |", '"$(', "{ ", "a\n", "[[ ", "#\n", "${a:-", "for x in y; do ", "x) ", ";; ", "\\\n", "$((", "a=", "|| ", "!"],
)  # fmt: skip
def test_a_hostile_script_is_read_in_linear_time(piece):
    def seconds(length):
        script = piece * (length // len(piece))
        began = time.process_time()
        parsed = parse_script(script)
        follow(Text(text=script), {}, Machine(outputs={}, marks=frozenset()), parsed)
        return time.process_time() - began

    short = max(min(seconds(6_000) for _ in range(3)), 0.005)
    assert min(seconds(24_000) for _ in range(3)) < 12 * short
