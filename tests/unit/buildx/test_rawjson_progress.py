import base64
import json

import pytest

from multibuild.buildx.rawjson_progress import MAX_OPEN_STEPS, Progress
from multibuild.buildx.vertex import TAIL_LINES

RUN = "sha256:" + "01" * 32
COPY = "sha256:" + "02" * 32


class Recorder:
    """A Progress with its log and the steps it reported."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.started: list[str] = []
        self.progress = Progress(write_log=self.log.append, on_step=self.started.append)

    def feed(self, **document) -> None:
        self.progress.feed(json.dumps(document).encode())

    def vertex(self, digest: str = RUN, name: str = "[2/2] RUN make", **fields) -> None:
        self.feed(vertexes=[{"digest": digest, "name": name, **fields}])

    def output(self, data: bytes, digest: str = RUN) -> None:
        self.feed(logs=[{"vertex": digest, "stream": 1, "data": base64.b64encode(data).decode()}])

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of RUN in the evidence of a failure."""
        self.progress.finish()
        self.vertex(error="failed")
        return self.progress.evidence().tail


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def at(second: float) -> str:
    return f"2026-01-01T10:00:{second:012.9f}Z"


def test_a_step_from_start_to_end(recorder):
    recorder.vertex()
    recorder.vertex(started=at(1))
    recorder.vertex(started=at(1), completed=at(3.5))
    (step,) = recorder.progress.steps()
    assert (step.name, step.seconds, step.cached) == ("[2/2] RUN make", 2.5, False)
    assert step.as_json() == {
        "name": "[2/2] RUN make",
        "seconds": 2.5,
        "cached": False,
        "started": "2026-01-01T10:00:01.000+00:00",
        "vertex": step.vertex,
        "base": step.vertex,
    }
    assert recorder.started == ["[2/2] RUN make"]
    assert recorder.log == ["--- [2/2] RUN make", "--- [2/2] RUN make 2.5s"]


def test_a_cached_step_takes_no_time(recorder):
    recorder.vertex(started=at(1), completed=at(2), cached=True)
    (step,) = recorder.progress.steps()
    assert (step.seconds, step.cached) == (0.0, True)
    assert recorder.log[-1].endswith("CACHED")


def test_steps_are_in_order_of_appearance_without_internal_and_unfinished_ones(recorder):
    recorder.vertex("a", "[internal] load build definition", started=at(0), completed=at(1))
    recorder.vertex("b", "[1/2] COPY a b")
    recorder.vertex("c", "[2/2] RUN make", started=at(1), completed=at(2))
    recorder.vertex("b", "[1/2] COPY a b", started=at(0), completed=at(1))
    recorder.vertex("d", "exporting to image", started=at(2))
    assert [step.name for step in recorder.progress.steps()] == ["[1/2] COPY a b", "[2/2] RUN make"]


def test_open_steps_run_or_were_cancelled(recorder):
    recorder.vertex("a", "[internal] load metadata", started=at(0))
    recorder.vertex("b", "[a 2/2] RUN one", started=at(0), completed=at(1))
    recorder.vertex("c", "[b 2/2] RUN two", started=at(0), completed=at(1), error="exit code: 1")
    recorder.vertex("d", "[c 2/2] RUN three", started=at(0), completed=at(1), error="context canceled")
    recorder.vertex("e", "[d 2/2] RUN four", started=at(0))
    recorder.vertex("f", "[e 2/2] RUN five")
    crash = "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"
    recorder.output(f"{crash}\nmore\n".encode(), "e")
    three, four = recorder.progress.open_steps()
    assert (three.evidence.step, four.evidence.step) == ("[c 2/2] RUN three", "[d 2/2] RUN four")
    assert (four.evidence.tail, four.evidence.decisive) == ((crash, "more"), (crash,))


def test_a_repeated_completion_counts_once(recorder):
    for _ in range(3):
        recorder.vertex(started=at(1), completed=at(2))
    assert len(recorder.progress.steps()) == 1
    assert recorder.started == ["[2/2] RUN make"]
    assert len(recorder.log) == 2


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
def test_buildkits_times_are_parsed(recorder, started, completed, seconds):
    recorder.vertex(started=started, completed=completed)
    assert recorder.progress.steps()[0].seconds == pytest.approx(seconds)


def test_log_chunks_become_lines(recorder):
    recorder.output(b"one\ntw")
    recorder.output(b"o\nthr")
    recorder.output(b"ee")
    assert recorder.log == ["one", "two"]
    recorder.progress.finish()
    assert recorder.log == ["one", "two", "three"]
    assert recorder.tail == ("one", "two", "three")


def test_chunks_of_two_steps_do_not_mix(recorder):
    recorder.output(b"a1", RUN)
    recorder.output(b"b1", COPY)
    recorder.output(b"a2\n", RUN)
    recorder.output(b"b2\n", COPY)
    assert recorder.log == ["a1a2", "b1b2"]


def test_carriage_returns_and_escapes_do_not_break_lines(recorder):
    recorder.output(b"10%\r20%\r\ndone\r\n")
    assert recorder.log == ["10% 20%", "done"]


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u202e", "\x08", "\u2066", "\x00"]
)
def test_no_line_of_a_log_commands_a_terminal(recorder, hostile):
    recorder.output(f"a{hostile}b\n".encode())
    recorder.progress.feed(f"ERROR: a{hostile}b".encode())
    assert recorder.log == ["ab", "ERROR: ab"]


def test_log_bytes_that_are_no_utf8(recorder):
    recorder.output(b"caf\xe9 \xff\n")
    assert recorder.log == ["caf\ufffd \ufffd"]


def test_a_character_across_two_chunks_is_whole(recorder):
    whole = "naïve\n".encode()
    recorder.output(whole[:3])
    recorder.output(whole[3:])
    assert recorder.log == ["naïve"]


def test_only_the_last_lines_of_a_step_are_kept(recorder):
    recorder.output(b"".join(b"%d\n" % n for n in range(1000)))
    assert recorder.tail == tuple(str(n) for n in range(1000 - TAIL_LINES, 1000))
    assert len([line for line in recorder.log if line.isdigit()]) == 1000


def test_an_endless_line_is_cut(recorder):
    for _ in range(40):
        recorder.output(b"x" * 10_000)
    assert all(len(line) <= 2000 for line in recorder.tail)
    assert sum(line.count("x") for line in recorder.log) == 400_000


def test_the_number_of_steps_is_limited(recorder):
    for number in range(MAX_OPEN_STEPS + 50):
        recorder.vertex(str(number), f"step {number}", started=at(0), completed=at(1))
    assert len(recorder.progress.steps()) == MAX_OPEN_STEPS


def test_warnings(recorder):
    recorder.feed(
        warnings=[{"vertex": RUN, "level": 1, "short": base64.b64encode(b"JSONArgsRecommended: x").decode()}]
    )
    assert recorder.progress.warnings == ["JSONArgsRecommended: x"]
    assert recorder.log == ["WARNING: JSONArgsRecommended: x"]


def test_transfers_are_logged_when_they_complete(recorder):
    recorder.feed(
        statuses=[{"id": "pushing layer", "vertex": RUN, "name": "pushing layers", "current": 1, "total": 9}]
    )
    recorder.feed(
        statuses=[{"id": "pushing layer", "vertex": RUN, "name": "pushing layers", "completed": at(1)}]
    )
    assert [line.strip() for line in recorder.log] == ["pushing layers done"]


def test_one_object_may_contain_every_kind(recorder):
    recorder.feed(
        vertexes=[{"digest": RUN, "name": "[2/2] RUN make", "started": at(0)}],
        statuses=None,
        logs=[{"vertex": RUN, "data": base64.b64encode(b"hello\n").decode()}],
        warnings=None,
    )
    assert recorder.log == ["--- [2/2] RUN make", "hello"]


# Evidence.


def test_evidence_is_the_failing_step_its_lines_and_the_last_error(recorder):
    recorder.vertex(COPY, "[1/2] COPY a b", started=at(0), completed=at(1))
    recorder.output(b"copying\n", COPY)
    recorder.vertex(started=at(1))
    recorder.output(b"cc -c a.c\na.c:1: error")
    recorder.vertex(
        started=at(1), completed=at(2), error='process "/bin/sh -c make" did not complete: exit code: 2'
    )
    recorder.progress.feed(b"ERROR: failed to build: failed to solve: process: exit code: 2\n")
    recorder.progress.finish()
    evidence = recorder.progress.evidence()
    assert evidence.step == "[2/2] RUN make"
    assert evidence.tail == ("cc -c a.c", "a.c:1: error")
    assert evidence.message == "failed to build: failed to solve: process: exit code: 2"


def test_the_steps_error_is_the_message_without_one_of_buildx(recorder):
    recorder.vertex(error="failed to copy: EOF")
    assert recorder.progress.evidence().message == "failed to copy: EOF"


def test_a_cancelled_step_is_not_the_failing_one(recorder):
    recorder.vertex(RUN, "[2/2] RUN make", error="process did not complete successfully: exit code: 2")
    recorder.vertex(COPY, "[other 2/2] RUN sleep", error="Canceled: context canceled")
    assert recorder.progress.evidence().step == "[2/2] RUN make"


def test_without_a_failing_step_the_plain_text_is_the_evidence(recorder):
    recorder.progress.feed(b'ERROR: no builder "x" found\r\n')
    recorder.progress.feed(b"")
    recorder.progress.feed(b"View build details: docker-desktop://x")
    evidence = recorder.progress.evidence()
    assert (evidence.step, evidence.message) == ("", 'no builder "x" found')
    assert evidence.tail[0] == 'ERROR: no builder "x" found'


def test_plain_text_without_the_word_error(recorder):
    recorder.progress.feed(b"unknown flag: --frobnicate")
    assert recorder.progress.evidence().message == "unknown flag: --frobnicate"


def test_without_input_the_evidence_is_empty(recorder):
    recorder.progress.finish()
    evidence = recorder.progress.evidence()
    assert (evidence.message, evidence.step, evidence.tail) == ("", "", ())
    assert recorder.progress.steps() == ()


# Unexpected lines.


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
        b'{"vertexes": 7}',
        b'{"vertexes": [7]}',
        b'{"logs": ["x"]}',
        b'{"vertexes": [{"digest": "x", "started": "2026-01-01T00:00:00", "completed": "2026-01-01T00:00:00Z"}]}',
        b'{"vertexes": ' + b"[" * 100_000,
    ],
)
def test_an_unexpected_line_is_no_error(recorder, line):
    recorder.progress.feed(line)
    recorder.progress.finish()
    recorder.progress.evidence()


def test_text_that_looks_like_json_is_kept_as_text(recorder):
    recorder.progress.feed(b'{"error": "nothing of BuildKit\'s"}')
    assert recorder.log == ['{"error": "nothing of BuildKit\'s"}']


BASE = "[build 1/3] FROM base"
CHAINS = {
    "a step on a step": ([("f", BASE, []), ("c", "[build 2/3] COPY . .", ["f", "ctx"])], ["c"], "f"),
    "a stage on a stage": ([("f", BASE, []), ("r", "[build 2/3] RUN x", ["f"])], ["r", "other"], "f"),
    "a merged layer": ([("f", BASE, []), ("m", "LINK [build 2/3] COPY --link a b", ["f", "l"])], ["m"], "f"),
    "a directory made": ([("f", BASE, []), ("w", "[build 2/3] WORKDIR /src", ["f"])], ["w"], "f"),
    "from scratch": ([("f", BASE, []), ("c", "[stage-1 1/2] COPY --from=build /x /", ["f"])], ["c"], ""),
    "from the context": ([("i", "[internal] load build context", [])], ["i"], ""),
    "an unknown input": ([], ["gone"], ""),
    "a circle": ([("a", "[1/2] RUN x", ["b"]), ("b", "[2/2] RUN y", ["a"])], ["a"], ""),
    "inputs of another shape": ([("f", BASE, [])], "f", "run"),
}


@pytest.mark.parametrize(("vertices", "inputs", "base"), CHAINS.values(), ids=CHAINS)
def test_the_base_of_a_step(recorder, vertices, inputs, base):
    for digest, name, further in vertices:
        recorder.vertex(digest, name, inputs=further, started=at(1), completed=at(2))
    recorder.vertex("run", "[build 3/3] RUN make", inputs=inputs, started=at(2), completed=at(3))
    assert {step.vertex: step.base for step in recorder.progress.steps()}["run"] == base


def test_evidence_has_a_decisive_line_however_far_above_the_end(recorder):
    crash = "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"
    recorder.vertex(started=at(1))
    recorder.output("".join(f"{line}\n" for line in [crash, *range(500)]).encode())
    recorder.vertex(started=at(1), completed=at(2), error="process did not complete: exit code: 100")
    evidence = recorder.progress.evidence()
    assert evidence.decisive == (crash,)
    assert evidence.tail[-1] == "499"
