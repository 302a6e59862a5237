import base64
import json

import pytest

from multibuild.buildx.progress import MAX_OPEN_STEPS, TAIL_LINES, Progress

RUN = "sha256:" + "01" * 32
COPY = "sha256:" + "02" * 32


class Fold:
    """A Progress with its log and the steps it announced."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.started: list[str] = []
        self.progress = Progress(write_log=self.log.append, on_step=self.started.append)

    def feed(self, **document) -> None:
        self.progress.feed(json.dumps(document).encode())

    def vertex(self, digest: str = RUN, name: str = "[2/2] RUN make", **fields) -> None:
        self.feed(vertexes=[{"digest": digest, "name": name, **fields}])

    def said(self, data: bytes, digest: str = RUN) -> None:
        self.feed(logs=[{"vertex": digest, "stream": 1, "data": base64.b64encode(data).decode()}])

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of RUN, seen as a failure's evidence."""
        self.progress.finish()
        self.vertex(error="failed")
        return self.progress.evidence().tail


@pytest.fixture
def fold() -> Fold:
    return Fold()


def at(second: float) -> str:
    return f"2026-01-01T10:00:{second:012.9f}Z"


def test_a_step_from_start_to_end(fold):
    fold.vertex()
    fold.vertex(started=at(1))
    fold.vertex(started=at(1), completed=at(3.5))
    (step,) = fold.progress.steps()
    assert (step.name, step.seconds, step.cached) == ("[2/2] RUN make", 2.5, False)
    assert step.as_json() == {
        "name": "[2/2] RUN make",
        "seconds": 2.5,
        "cached": False,
        "started": "2026-01-01T10:00:01.000+00:00",
        "vertex": step.vertex,
        "base": step.vertex,
    }
    assert fold.started == ["[2/2] RUN make"]
    assert fold.log == ["--- [2/2] RUN make", "--- [2/2] RUN make 2.5s"]


def test_a_cached_step_took_no_time(fold):
    fold.vertex(started=at(1), completed=at(2), cached=True)
    (step,) = fold.progress.steps()
    assert (step.seconds, step.cached) == (0.0, True)
    assert fold.log[-1].endswith("CACHED")


def test_steps_come_in_the_order_seen_without_internal_and_unfinished_ones(fold):
    fold.vertex("a", "[internal] load build definition", started=at(0), completed=at(1))
    fold.vertex("b", "[1/2] COPY a b")
    fold.vertex("c", "[2/2] RUN make", started=at(1), completed=at(2))
    fold.vertex("b", "[1/2] COPY a b", started=at(0), completed=at(1))
    fold.vertex("d", "exporting to image", started=at(2))
    assert [step.name for step in fold.progress.steps()] == ["[1/2] COPY a b", "[2/2] RUN make"]


def test_a_completion_told_twice_counts_once(fold):
    for _ in range(3):
        fold.vertex(started=at(1), completed=at(2))
    assert len(fold.progress.steps()) == 1
    assert fold.started == ["[2/2] RUN make"]
    assert len(fold.log) == 2


@pytest.mark.parametrize(
    ("started", "completed", "seconds"),
    [
        ("2026-01-01T10:00:00.123456789Z", "2026-01-01T10:00:01.123456789Z", 1.0),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:01.5Z", 1.5),
        ("2026-01-01T11:00:00.5+01:00", "2026-01-01T10:00:01.5Z", 1.0),
        ("0001-01-01T00:00:00Z", "2026-01-01T10:00:01Z", 0.0),
        ("yesterday", "2026-01-01T10:00:01Z", 0.0),
    ],
)
def test_buildkits_times(fold, started, completed, seconds):
    fold.vertex(started=started, completed=completed)
    assert fold.progress.steps()[0].seconds == pytest.approx(seconds)


def test_log_chunks_become_lines(fold):
    fold.said(b"one\ntw")
    fold.said(b"o\nthr")
    fold.said(b"ee")
    assert fold.log == ["one", "two"]
    fold.progress.finish()
    assert fold.log == ["one", "two", "three"]
    assert fold.tail == ("one", "two", "three")


def test_chunks_of_two_steps_do_not_mix(fold):
    fold.said(b"a1", RUN)
    fold.said(b"b1", COPY)
    fold.said(b"a2\n", RUN)
    fold.said(b"b2\n", COPY)
    assert fold.log == ["a1a2", "b1b2"]


def test_carriage_returns_and_escapes_do_not_break_lines(fold):
    fold.said(b"10%\r20%\r\ndone\r\n")
    assert fold.log == ["10%\r20%", "done"]


def test_log_bytes_that_are_no_utf8(fold):
    fold.said(b"caf\xe9 \xff\n")
    assert fold.log == ["caf\ufffd \ufffd"]


def test_a_character_across_two_chunks_is_whole(fold):
    whole = "naïve\n".encode()
    fold.said(whole[:3])
    fold.said(whole[3:])
    assert fold.log == ["naïve"]


def test_only_the_last_lines_of_a_step_are_kept(fold):
    fold.said(b"".join(b"%d\n" % n for n in range(1000)))
    assert fold.tail == tuple(str(n) for n in range(1000 - TAIL_LINES, 1000))
    assert len([line for line in fold.log if line.isdigit()]) == 1000


def test_a_line_without_end_does_not_fill_memory(fold):
    for _ in range(40):
        fold.said(b"x" * 10_000)
    assert all(len(line) <= 2000 for line in fold.tail)
    assert sum(line.count("x") for line in fold.log) == 400_000


def test_more_steps_than_a_build_has_are_not_kept(fold):
    for number in range(MAX_OPEN_STEPS + 50):
        fold.vertex(str(number), f"step {number}", started=at(0), completed=at(1))
    assert len(fold.progress.steps()) == MAX_OPEN_STEPS


def test_warnings(fold):
    fold.feed(
        warnings=[{"vertex": RUN, "level": 1, "short": base64.b64encode(b"JSONArgsRecommended: x").decode()}]
    )
    assert fold.progress.warnings == ["JSONArgsRecommended: x"]
    assert fold.log == ["WARNING: JSONArgsRecommended: x"]


def test_transfers_are_said_when_they_complete(fold):
    fold.feed(
        statuses=[{"id": "pushing layer", "vertex": RUN, "name": "pushing layers", "current": 1, "total": 9}]
    )
    fold.feed(statuses=[{"id": "pushing layer", "vertex": RUN, "name": "pushing layers", "completed": at(1)}])
    assert [line.strip() for line in fold.log] == ["pushing layers done"]


def test_one_object_may_tell_everything(fold):
    fold.feed(
        vertexes=[{"digest": RUN, "name": "[2/2] RUN make", "started": at(0)}],
        statuses=None,
        logs=[{"vertex": RUN, "data": base64.b64encode(b"hello\n").decode()}],
        warnings=None,
    )
    assert fold.log == ["--- [2/2] RUN make", "hello"]


# Evidence.


def test_evidence_is_the_failing_step_its_lines_and_the_last_error(fold):
    fold.vertex(COPY, "[1/2] COPY a b", started=at(0), completed=at(1))
    fold.said(b"copying\n", COPY)
    fold.vertex(started=at(1))
    fold.said(b"cc -c a.c\na.c:1: error")
    fold.vertex(
        started=at(1), completed=at(2), error='process "/bin/sh -c make" did not complete: exit code: 2'
    )
    fold.progress.feed(b"ERROR: failed to build: failed to solve: process: exit code: 2\n")
    fold.progress.finish()
    evidence = fold.progress.evidence()
    assert evidence.step == "[2/2] RUN make"
    assert evidence.tail == ("cc -c a.c", "a.c:1: error")
    assert evidence.message == "failed to build: failed to solve: process: exit code: 2"


def test_the_steps_own_error_where_buildx_says_nothing_more(fold):
    fold.vertex(error="failed to copy: EOF")
    assert fold.progress.evidence().message == "failed to copy: EOF"


def test_a_step_that_another_ones_failure_cancelled_is_not_to_blame(fold):
    fold.vertex(RUN, "[2/2] RUN make", error="process did not complete successfully: exit code: 2")
    fold.vertex(COPY, "[other 2/2] RUN sleep", error="Canceled: context canceled")
    assert fold.progress.evidence().step == "[2/2] RUN make"


def test_without_a_failing_step_the_plain_text_is_all_there_is(fold):
    fold.progress.feed(b'ERROR: no builder "x" found\r\n')
    fold.progress.feed(b"")
    fold.progress.feed(b"View build details: docker-desktop://x")
    evidence = fold.progress.evidence()
    assert (evidence.step, evidence.message) == ("", 'no builder "x" found')
    assert evidence.tail[0] == 'ERROR: no builder "x" found'


def test_plain_text_without_the_word_error(fold):
    fold.progress.feed(b"unknown flag: --frobnicate")
    assert fold.progress.evidence().message == "unknown flag: --frobnicate"


def test_nothing_at_all(fold):
    fold.progress.finish()
    evidence = fold.progress.evidence()
    assert (evidence.message, evidence.step, evidence.tail) == ("", "", ())
    assert fold.progress.steps() == ()


# Whatever the line holds.


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"\xff\xfe\x00",
        b"{",
        b"{}",
        b"[]",
        b'{"other": 1}',
        b'{"vertexes": null}',
        b'{"vertexes": []}',
        b'{"vertexes": [{}]}',
        b'{"logs": [{"vertex": "x", "data": "%%%"}]}',
        b'{"logs": [{"vertex": "x", "data": null}]}',
        b'{"logs": [{"vertex": "x", "data": 7}]}',
        b'{"warnings": [{"short": 7}]}',
        b'{"warnings": [{}]}',
        b'{"statuses": [{"completed": "x"}]}',
    ],
)
def test_a_strange_line_is_no_error(fold, line):
    fold.progress.feed(line)
    fold.progress.finish()
    fold.progress.evidence()


@pytest.mark.parametrize(
    "line",
    [
        b'{"vertexes": 7}',
        b'{"vertexes": [7]}',
        b'{"logs": ["x"]}',
        b'{"vertexes": [{"digest": "x", "started": "2026-01-01T00:00:00", "completed": "2026-01-01T00:00:00Z"}]}',
        b'{"vertexes": ' + b"[" * 100_000,
    ],
)
def test_a_line_of_another_shape_is_no_error(fold, line):
    fold.progress.feed(line)


def test_text_that_looks_like_json_is_kept_as_text(fold):
    fold.progress.feed(b'{"error": "nothing of BuildKit\'s"}')
    assert fold.log == ['{"error": "nothing of BuildKit\'s"}']


BASE = "[build 1/3] FROM base"
CHAINS = {
    "a step on a step": ([("f", BASE, []), ("c", "[build 2/3] COPY . .", ["f", "ctx"])], ["c"], "f"),
    "a stage on a stage": ([("f", BASE, []), ("r", "[build 2/3] RUN x", ["f"])], ["r", "other"], "f"),
    "a merged layer": ([("f", BASE, []), ("m", "LINK [build 2/3] COPY --link a b", ["f", "l"])], ["m"], "f"),
    "a directory made": ([("f", BASE, []), ("w", "[build 2/3] WORKDIR /src", ["f"])], ["w"], "f"),
    "from scratch": ([("f", BASE, []), ("c", "[stage-1 1/2] COPY --from=build /x /", ["f"])], ["c"], ""),
    "from the context": ([("i", "[internal] load build context", [])], ["i"], ""),
    "what was never seen": ([], ["gone"], ""),
    "a circle": ([("a", "[1/2] RUN x", ["b"]), ("b", "[2/2] RUN y", ["a"])], ["a"], ""),
    "inputs of another shape": ([("f", BASE, [])], "f", "run"),
}


@pytest.mark.parametrize(("vertices", "inputs", "base"), CHAINS.values(), ids=CHAINS)
def test_what_a_step_began_as(fold, vertices, inputs, base):
    for digest, name, further in vertices:
        fold.vertex(digest, name, inputs=further, started=at(1), completed=at(2))
    fold.vertex("run", "[build 3/3] RUN make", inputs=inputs, started=at(2), completed=at(3))
    assert {step.vertex: step.base for step in fold.progress.steps()}["run"] == base
