"""The displays of a run, without a terminal."""

import io
import json
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from multibuild.cli.ci import inert, inert_in_ci
from multibuild.cli.display.display import JsonLines, Silent, make_display
from multibuild.cli.display.event_text import short_step
from multibuild.cli.display.folds import GITHUB, GITLAB, folds_of
from multibuild.cli.display.live_table import LiveTable, table_lines
from multibuild.cli.display.plain_lines import MAX_LINE_CHARACTERS, PlainLines
from multibuild.cli.display.row import Row
from multibuild.cli.request import Request
from multibuild.cli.streams import harmless_stream, harmless_streams, print_json
from multibuild.errors import UsageError
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptEnded,
    AttemptGivenUp,
    AttemptStarted,
    AttemptWaiting,
    LogLine,
    PlatformEnded,
    RunPlanned,
    StageStarted,
    StepStarted,
    TagEnded,
)

ARM = "linux/arm64"
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x1b[0m \x9b1A up \x1bc \u202e rtl"


@pytest.fixture
def log(tmp_path):
    """The log of the attempt that `run_of` ends."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs/linux-arm64.1.log"


def show(display, *events):
    for event in events:
        display.show(JournalEntry(time=datetime(2026, 11, 25, tzinfo=UTC), event=event))


def run_of(*steps, platform=ARM):
    """Yield the events of a successful build with `steps` and their output."""
    log = f"logs/{platform.replace('/', '-')}.1.log"
    yield AttemptStarted(platform=platform, number=1, node="n", log=log)
    for step, *lines in steps:
        yield StepStarted(platform=platform, step=step)
        for line in lines:
            yield LogLine(platform=platform, text=line)
    yield AttemptEnded(platform=platform, number=1, seconds=1.0, outcome="ok", log=log)
    yield PlatformEnded(platform=platform, status="succeeded", digest=None, seconds=1.0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("[2/4] RUN make", "2/4 RUN make"),
        ("[builder 4/9] RUN make -j", "4/9 RUN make -j"),
        ("[linux/arm64 builder 4/9] COPY . .", "4/9 COPY . ."),
        ("[1/2] RUN a\n  b", "1/2 RUN a   b"),
        ("exporting to image", "exporting to image"),
        ("[internal] load build context", "[internal] load build context"),
        ("[auth] team/app:pull token for r.example", "[auth] team/app:pull token for r.example"),
    ],
)
def test_a_step_is_shortened_to_its_number_and_command(name, short):
    assert short_step(name) == short


# -- choice of display


@pytest.mark.parametrize(
    ("kind", "stream", "environ", "expected"),
    [
        ("auto", Terminal, {"TERM": "xterm"}, LiveTable),
        ("auto", Terminal, {"TERM": "dumb"}, PlainLines),
        ("auto", Terminal, {}, PlainLines),
        ("auto", Terminal, {"TERM": "xterm", "CI": "true"}, PlainLines),
        ("auto", io.StringIO, {"TERM": "xterm"}, PlainLines),
        ("plain", Terminal, {"TERM": "xterm"}, PlainLines),
        ("tty", io.StringIO, {}, LiveTable),
        ("json", Terminal, {"TERM": "xterm"}, JsonLines),
        ("quiet", Terminal, {"TERM": "xterm"}, Silent),
    ],
)
def test_the_display_depends_on_the_stream_and_the_environment(kind, stream, environ, expected):
    display = make_display(kind, quiet=False, stream=stream(), environ=environ)
    display.close()
    assert isinstance(display, expected)


def test_quiet_overrides_the_kind():
    assert isinstance(make_display("plain", quiet=True, stream=io.StringIO()), Silent)


def test_an_unknown_kind_is_a_usage_error():
    with pytest.raises(UsageError, match="fancy"):
        make_display("fancy", quiet=False)


# -- plain lines


def plain(*events, **more):
    stream = io.StringIO()
    display = PlainLines(harmless_stream(stream, {"CI": "true"}), **more)
    show(display, *events)
    display.close()
    return stream.getvalue()


def test_every_line_begins_with_its_platform():
    output = plain(
        StageStarted(stage="build"),
        *run_of(("[internal] load build definition",), ("[2/2] RUN make", "cc a.c", "", "done")),
        TagEnded(ref="r/app:1", before=None, after="d", status="moved"),
    )
    assert output.splitlines() == [
        "multibuild | == build",
        f"{ARM} | building on n",
        f"{ARM} | 2/2 RUN make",
        f"{ARM} | cc a.c",
        f"{ARM} |",
        f"{ARM} | done",
        f"{ARM} | succeeded in 1.0s",
        "multibuild | r/app:1: moved",
    ]


def test_a_message_of_several_lines_has_a_prefix_on_each():
    stream = io.StringIO()
    PlainLines(stream).say("one\n::stop-commands::x\nthree")
    assert stream.getvalue().splitlines() == [
        "multibuild | one", "multibuild | ::stop-commands::x", "multibuild | three",
    ]  # fmt: skip


def test_a_progress_bar_is_its_last_state():
    assert f"{ARM} | 100%\n" in plain(*run_of(("[1/1] RUN x", "10%\r50%\r100%\r")))


def test_a_long_line_is_cut():
    output = plain(*run_of(("[1/1] RUN x", "a" * 100_000)))
    assert max(map(len, output.splitlines())) == MAX_LINE_CHARACTERS


def test_escape_sequences_of_a_build_do_not_pass():
    output = plain(*run_of((HOSTILE, HOSTILE, f"a\u2028b{HOSTILE}")))
    assert not set(output) & set("\x1b\x9b\x07\r\u202e\u2028")
    assert "red" in output


@pytest.mark.parametrize("folds", [None, GITHUB, GITLAB])
@pytest.mark.parametrize(
    "line",
    [
        "::set-output name=x::y",
        "  ::stop-commands::token",
        "::add-mask::a",
        "ok\r::error::x",
        "text ##[add-path]/tmp/evil",
        "##vso[task.setvariable variable=x]y",
        "##teamcity[buildStatus status='SUCCESS']",
        "\x1b[0Ksection_end:1:multibuild\r\x1b[0K",
        "\u2028::error::x",
        "\x85::error::x",
    ],
)
def test_a_build_gives_no_command_to_the_ci_system(tmp_path, log, folds, line):
    log.write_text(f"--- {line}\n{line}\n")
    output = plain(*run_of((line, line)), folds=folds, run=tmp_path)
    own = ("::group::linux/arm64: attempt", "::endgroup::", "\x1b[0Ksection_")
    theirs = [text for text in output.split("\n") if not text.startswith(own)]
    assert all(text.startswith((f"{ARM} |", "multibuild |")) for text in theirs if text)
    assert not any("##[" in text or "##vso[" in text or "##teamcity[" in text for text in theirs)
    assert not set("".join(theirs)) & set("\x1b\r\u2028\x85")


def test_github_folds_an_attempts_log(tmp_path, log):
    log.write_text("--- [2/2] RUN make\ncc a.c\n")
    output = plain(*run_of(("[2/2] RUN make", "cc a.c")), folds=GITHUB, run=tmp_path).splitlines()
    assert output == [
        f"{ARM} | building on n",
        f"{ARM} | 2/2 RUN make",
        f"::group::{ARM}: attempt 1 ok, 1.0s",
        f"{ARM} | --- [2/2] RUN make",
        f"{ARM} | cc a.c",
        "::endgroup::",
        f"{ARM} | succeeded in 1.0s",
    ]


def test_gitlab_folds_with_a_name_and_times(tmp_path, log):
    log.write_text("cc a.c\n")
    output = plain(*run_of(("[2/2] RUN make", "cc a.c")), folds=GITLAB, run=tmp_path)
    begin, end = output.index("\x1b[0Ksection_start:"), output.index("\x1b[0Ksection_end:")
    assert begin < output.index("cc a.c") < end
    assert ":linux-arm64_1[collapsed=true]\r\x1b[0Klinux/arm64: attempt 1 ok" in output
    assert output[end:].split("\n")[0].endswith(":linux-arm64_1\r\x1b[0K")


def test_a_missing_or_huge_log_is_no_error(tmp_path, log):
    missing = plain(*run_of(), folds=GITHUB, run=tmp_path)
    assert "::group::" in missing
    log.write_text("line\n" * 1_000_000)
    huge = plain(*run_of(), folds=GITHUB, run=tmp_path)
    assert len(huge) < 5_000_000
    assert "… the first" in huge


def test_threads_do_not_interleave_within_a_line():
    stream = io.StringIO()
    display = PlainLines(stream)

    def chat(platform):
        for number in range(500):
            show(display, LogLine(platform=platform, text=f"{platform} {number} " + "x" * 50))

    threads = [threading.Thread(target=chat, args=(f"linux/{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2000
    assert all(
        line.split(" | ")[1].startswith(line.split(" | ")[0]) and line.endswith("x" * 50) for line in lines
    )


def test_commands_are_broken_only_where_a_ci_system_reads_the_output():
    text = "said:\n  ::set-env name=A::b\n##[group]x"
    assert inert(text) == "said:\n  : :set-env name=A::b\n# #[group]x"
    assert inert_in_ci(text, {"GITHUB_ACTIONS": "true"}) == inert_in_ci(text, {"CI": "1"}) == inert(text)
    assert inert_in_ci(text, {}) == text


COMMANDS = "##[set-output name=digest]x and ##vso[task.setvariable variable=a]b, \\##[error]c, ###[d]"


def test_json_gives_a_ci_system_no_command_and_loses_nothing(capsys):
    stream = io.StringIO()
    display = make_display("json", quiet=False, stream=stream)
    show(display, LogLine(platform=ARM, text=COMMANDS))
    display.say(COMMANDS)
    first, second = stream.getvalue().splitlines()
    print_json({"evidence": COMMANDS})
    printed = capsys.readouterr().out
    assert "##[" not in first + second + printed
    assert "##vso[" not in first + second + printed
    assert json.loads(first)["fields"]["text"] == COMMANDS
    assert json.loads(second)["text"] == COMMANDS
    assert json.loads(printed) == {"evidence": COMMANDS}


def test_a_message_of_a_command_gives_a_ci_system_no_command(capsys, monkeypatch):
    monkeypatch.setenv("CI", "1")
    with harmless_streams():
        Request().say(COMMANDS)
    assert capsys.readouterr().err == inert(COMMANDS) + "\n"


def test_the_ci_system_is_recognized_by_its_variable():
    assert folds_of({"GITHUB_ACTIONS": "true"}) is GITHUB
    assert folds_of({"GITLAB_CI": "true"}) is GITLAB
    assert folds_of({"CI": "true"}) is None


# -- JSON


def test_json_is_one_event_a_line():
    stream = io.StringIO()
    display = make_display("json", quiet=False, stream=stream)
    show(display, *run_of(("[1/1] RUN x", "a\nb\u2028c", HOSTILE)))
    display.say("hello")
    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    names = [json.loads(line)["name"] for line in lines]
    assert names == [
        "attempt.started", "step", "log", "log", "attempt.ended", "platform.ended", "message",
    ]  # fmt: skip
    assert "\x1b" not in stream.getvalue()


# -- the table


def lines_of(rows, *, width=80, height=24, now=100.0):
    return [line.plain for line in table_lines(rows, width=width, height=height, now=now)]


def row(name=ARM, **more):
    return Row(name=name, **more)


def test_a_row_has_state_time_attempt_step_and_last_line():
    rows = [
        row(state="building", since=58.0, attempt=2, step="4/9 RUN make", last="cc -c main.c"),
        row("linux/amd64", state="succeeded", seconds=3.25),
        row("linux/s390x"),
    ]
    assert lines_of(rows) == [
        "linux/arm64  building   42.0s  #2  4/9 RUN make  cc -c main.c",
        "linux/amd64  succeeded   3.2s",
        "linux/s390x  queued",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_rows_fit_the_terminal(width):
    rows = [
        row(
            "linux/mips64le",
            state="building",
            since=0.0,
            attempt=3,
            step="4/9 RUN " + "make " * 40,
            last="漢字" * 200,
        ),
        row(state="building", since=0.0, step="s" * 300),
        row(state="building", since=0.0, last="l" * 300),
    ]
    from rich.cells import cell_len

    lines = lines_of(rows, width=width)
    assert all(cell_len(line) <= width for line in lines)
    assert cell_len(lines[0]) >= width - 1
    if width >= 80:
        assert "4/9 RUN make" in lines[0]
        assert "漢字" in lines[0]


def test_a_short_step_leaves_the_width_to_the_last_line():
    (line,) = lines_of([row(state="building", since=99.0, step="2/2 RUN x", last="y" * 300)], width=200)
    assert line.count("y") > 150


def test_rows_that_do_not_fit_are_counted():
    states = ["queued"] * 10 + ["building"] * 3 + ["succeeded"] * 10 + ["failed"]
    rows = [row(f"linux/p{n}", state=state) for n, state in enumerate(states)]
    lines = lines_of(rows, height=10)
    assert len(lines) == 10
    states_shown = [line.split()[1] for line in lines[:-1]]
    assert states_shown.count("building") == 3
    assert states_shown.count("failed") == 1
    assert lines[-1] == "… and 10 queued, 5 succeeded"
    assert len(lines_of(rows, height=1)) == 2
    assert len(lines_of(rows, height=24)) == 24


IMAGES = [f"image-{number:02}" for number in range(1, 21)]
SIX = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/mips64le", "linux/ppc64le", "linux/s390x")


def rows_of_images(**states):
    """Return twenty images of six platforms, queued but for `states`: image number → states of its first platforms."""
    return [
        row(f"{image} {platform}", image=image, state=(*states.get(f"n{number}", ()), *["queued"] * 6)[place])
        for number, image in enumerate(IMAGES, 1)
        for place, platform in enumerate(SIX)
    ]


def test_rows_of_many_images_are_what_runs_and_counts_by_image():
    rows = rows_of_images(
        n1=["succeeded"] * 6,
        n2=["succeeded"] * 3 + ["failed"],
        n3=["building", "building", "retrying"],
        n4=["skipped"] * 6,
    )
    lines = lines_of(rows, height=23)
    assert len(lines) == 23
    assert [line.split() for line in lines[:4]] == [
        ["image-02", "linux/mips64le", "failed"],
        ["image-03", "linux/amd64", "building"],
        ["image-03", "linux/arm64", "building"],
        ["image-03", "linux/arm/v7", "retrying"],
    ]
    assert lines[4:7] == [
        "image-02                 3 succeeded, 2 queued",
        "image-03                 3 queued",
        "image-05                 6 queued",
    ]
    assert lines[-1] == "… and 2 images: 6 succeeded, 6 skipped"


@pytest.mark.parametrize("height", [5, 10, 23, 50, 119])
def test_more_running_platforms_than_lines_leave_a_third_for_counts(height):
    rows = rows_of_images(**{f"n{number}": ["building"] * 6 for number in range(1, 20)}, n20=["failed"])
    lines = lines_of(rows, height=height)
    assert len(lines) <= height
    shown = [line for line in lines if " linux/" in line]
    assert len(shown) == height - height // 3
    assert sum("failed" in line for line in shown) == 1
    counted = sum(
        int(number)
        for line in lines
        if line not in shown
        for number in re.findall(r"(\d+) (?:queued|building)", line)
    )
    assert len(shown) + counted == 120


def test_the_column_of_names_keeps_its_width():
    columns = {
        lines_of(rows_of_images(n1=[*["queued"] * place, "building"]), height=10)[0].index("building")
        for place in range(6)
    }
    assert len(columns) == 1


def test_rows_of_images_that_all_fit_are_all_shown():
    assert len(lines_of(rows_of_images(), height=120)) == 120


def test_long_names_of_images_are_without_their_system():
    rows = rows_of_images(n1=["building"])
    assert lines_of(rows, height=10, width=50)[0].startswith("image-01 amd64     building")
    assert lines_of(rows, height=10, width=80)[0].startswith("image-01 linux/amd64     building")


def row_after(*events):
    result = row()
    for event in events:
        result.fold(event, 10.0)
    return result


def test_a_row_follows_the_events():
    *steps, attempt_end, platform_end = run_of(("[2/4] RUN make", "cc a.c", "  "))
    building = row_after(*steps)
    assert (building.state, building.step, building.last) == ("building", "2/4 RUN make", "  ")
    done = row_after(*steps, attempt_end, platform_end)
    assert (done.state, done.seconds, done.step, done.last) == ("succeeded", 1.0, "", "")


def test_a_failed_row_keeps_its_reason():
    evidence = "[2/2] RUN x\ncc: boom\nprocess did not complete successfully: exit code: 1"
    failed = AttemptEnded(
        platform=ARM,
        number=1,
        seconds=1.0,
        outcome="failed",
        log="x",
        failure_class="step-failed",
        evidence=evidence,
    )
    given_up = AttemptGivenUp(platform=ARM, number=1, reason="another try does not help")
    ended = PlatformEnded(platform=ARM, status="failed", digest=None, seconds=1.0)
    result = row_after(*run_of(), failed, given_up, ended)
    assert (result.state, result.step, result.last) == ("failed", "step-failed", "cc: boom")
    again = AttemptWaiting(platform=ARM, number=1, seconds=5.0, reason="network")
    result = row_after(*run_of(), failed, again)
    assert (result.state, result.last) == ("retrying", "network, trying again in 5.0s")
    shorter = replace(again, alone=True, patience="waits at most 40m 00s")
    result = row_after(*run_of(), failed, shorter)
    assert result.last == "network, trying again in 5.0s, alone, waits at most 40m 00s"


def test_the_table_remains_and_a_build_sends_nothing_to_the_terminal():
    stream = Terminal()
    table = LiveTable(stream)
    show(table, RunPlanned(platforms=(ARM, "linux/amd64"), jobs=1, settings={}))
    show(table, *run_of((HOSTILE, HOSTILE)))
    table.say(HOSTILE)
    table.close()
    output = stream.getvalue()
    for attack in ("\x1b[2J", "\x1b]0;", "\x07", "\x9b", "\x1bc", "\u202e"):
        assert attack not in output
    last = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", output).splitlines()[-3:]
    assert last == ["linux/arm64  succeeded  1.0s", "linux/amd64  queued", ""]
