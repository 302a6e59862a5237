"""Gates: programs that say yes, no or nothing, limits on sizes, and what becomes of the children."""

import asyncio
import io
import os
import stat
from datetime import UTC, datetime

import pytest
from contract.planning import NullDisplay
from fakes.engine import FakeEngine
from fakes.images import descriptor, put_attested, put_image, put_index
from fakes.registry_server import FakeRegistry
from waiting import ends, read_pid

from multibuild.buildx.slots import Slots
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.errors import EnvironmentFault, VerificationFailed
from multibuild.journal.events import GateEnded, StageStarted
from multibuild.journal.journal import Journal
from multibuild.journal.local_children import child_reference
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import State
from multibuild.oci.http import RetryPolicy
from multibuild.oci.image import read_child
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import PlatformChild
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform
from multibuild.prove.gates.find_programs import missing_programs
from multibuild.prove.gates.output import BoundedOutput
from multibuild.prove.gates.stage import GatesRun, pass_gates

NOW = datetime(2026, 1, 2, tzinfo=UTC)
AMD64, ARM64 = "linux/amd64", "linux/arm64"


class GatesFixture:
    """A project whose children of two platforms are in a registry."""

    def __init__(self, registry, folder):
        self.registry = registry
        self.folder = folder / "project"
        self.folder.mkdir()
        self.state = State(folder / "state")
        self.run = self.state.new_run(NOW)
        self.digests = {}
        for platform in (AMD64, ARM64):
            self.digests[platform], _, _ = put_attested(registry, "app", platform)

    def load(self, gates, platforms=f"[{AMD64}, {ARM64}]", more=""):
        path = self.folder / "multibuild.yaml"
        path.write_text(
            f"version: 1\nimage: {self.registry.host}/app\nplatforms: {platforms}\ngates: {gates}\n{more}"
        )
        return load_config(path, environ={}, overrides=Overrides(), now=NOW)

    def script(self, name, text, mode=0o755):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def pass_(self, gates, jobs=2, **more):
        """Run the gates; return the platforms that passed."""
        return asyncio.run(self.passing(gates, jobs, **more))

    async def passing(self, gates, jobs=2, image="", **more):
        plan = make_plan(self.load(gates, **more), assumed_facts("auto"))
        with (
            Journal(self.run.journal_path) as journal,
            RegistrySession({}, on_wait=print, retry=RetryPolicy(tries=1)) as registries,
        ):
            children = [self._child(planned, registries) for planned in plan.platforms]
            context = RunContext(
                command="publish",
                engine=FakeEngine(),
                state=self.state,
                run=self.run,
                recorder=Recorder(journal, NullDisplay()),
            )
            context = context.of_image(image) if image else context
            self.registry.forget_requests()
            run = GatesRun(plan=plan, context=context, registries=registries, slots=Slots(jobs))
            passed = await pass_gates(run, children)
        return [str(child.planned.platform) for child in passed]

    def _child(self, planned, registries):
        digest = self.digests[str(planned.platform)]
        reference = child_reference(f"{self.registry.host}/app", digest)
        child = read_child(reference, registries.of(self.registry.host), planned.platform)
        return PlatformChild(planned=planned, reference=reference, child=child)

    def outcomes(self):
        return {
            (one.gate, one.platform): (one.status, one.reason)
            for one in self.run.events()
            if isinstance(one, GateEnded)
        }

    def outcome(self, gate="a", platform=AMD64):
        (found,) = (
            one
            for one in self.run.events()
            if isinstance(one, GateEnded) and (one.gate, one.platform) == (gate, platform)
        )
        return found

    def log(self, gate="a", slug="linux-amd64"):
        return (self.run.logs / f"{slug}.gate-{gate}.log").read_text()


@pytest.fixture
def gates(tmp_path):
    with FakeRegistry() as registry:
        yield GatesFixture(registry, tmp_path)


def shell(text):
    """Return a gate's `run` with a shell script, as YAML."""
    return (
        "[sh, -c, '"
        + text.replace("'", "''").replace("$", "$$")
        + "', sh, '{ref}', '{platform}', '{slug}', '{image}']"
    )


def gate(text, more=""):
    return f"[{{name: a, run: {shell(text)}{more}}}]"


def test_without_gates_nothing_is_recorded(gates):
    assert gates.pass_("[]") == [AMD64, ARM64]
    assert gates.run.events() == ()


def test_a_program_gets_each_childs_exact_digest_and_its_platform(gates):
    assert gates.pass_(gate('printf "%s\\n" "$@"; pwd')) == [AMD64, ARM64]
    host = gates.registry.host
    for platform, slug in ((AMD64, "linux-amd64"), (ARM64, "linux-arm64")):
        lines = gates.log(slug=slug).splitlines()
        assert lines == [
            f"{host}/app@{gates.digests[platform]}",
            platform,
            slug,
            f"{host}/app",
            str(gates.folder),
        ]
    assert gates.outcomes() == {("a", AMD64): ("passed", None), ("a", ARM64): ("passed", None)}
    assert [one.stage for one in gates.run.events() if isinstance(one, StageStarted)] == ["gates"]


def test_no_shell_reads_what_a_word_stands_for(gates):
    gates.script("it", '#!/bin/sh\necho "$#" "$1"\n')
    gates.pass_("[{name: a, run: [./it, '$$(touch no);{slug}']}]")
    assert gates.log() == "1 $(touch no);linux-amd64\n"
    assert not (gates.folder / "no").exists()


REFUSAL = 'test "$2" = linux/amd64 || { echo "one finding"; exit 3; }'


def test_a_no_raises_after_all_gates_have_run(gates):
    second = f"{{name: b, run: {shell('true')}}}"
    with pytest.raises(VerificationFailed) as error:
        gates.pass_(f"{gate(REFUSAL)[:-1]}, {second}]")
    assert error.value.message == "the gate a says no to linux/arm64: exit code 3; no tag was moved"
    assert gates.outcome(platform=ARM64).detail == "one finding"
    assert gates.outcomes() == {
        ("a", AMD64): ("passed", None),
        ("a", ARM64): ("failed", "exit code 3"),
        ("b", AMD64): ("passed", None),
        ("b", ARM64): ("passed", None),
    }


def test_an_optional_platform_that_is_refused_is_left_out(gates):
    platforms = f"[{AMD64}, {{name: {ARM64}, required: false}}]"
    assert gates.pass_(gate(REFUSAL), platforms=platforms) == [AMD64]


def test_an_optional_gate_holds_nothing_back(gates):
    assert gates.pass_(gate(REFUSAL, ", required: false")) == [AMD64, ARM64]
    assert gates.outcomes()["a", ARM64] == ("failed", "exit code 3")
    assert gates.outcome(platform=ARM64).required is False


def test_a_gate_of_one_platform_runs_for_that_one(gates):
    gates.pass_(gate("true", f", platforms: [{ARM64}]"))
    assert list(gates.outcomes()) == [("a", ARM64)]


ENDS = {
    "exit 1": ("failed", "exit code 1"),
    "exit 125": ("failed", "exit code 125"),
    "exit 128": ("failed", "exit code 128"),
    "exit 160": ("failed", "exit code 160"),
    "exit 255": ("failed", "exit code 255"),
    "exit 126": ("not-run", "exit code 126: it may not be executed"),
    "no-such-scanner-here": ("not-run", "exit code 127: there is no such command"),
    "kill -9 $$": ("not-run", "ended by SIGKILL"),
    "kill -SEGV $$": ("not-run", "ended by SIGSEGV"),
    "exit 137": ("not-run", "ended by SIGKILL"),
    "exit 143": ("not-run", "ended by SIGTERM"),
}


@pytest.mark.parametrize("script", ENDS)
def test_ends_of_a_program(gates, script):
    status = ENDS[script][0]
    with pytest.raises(VerificationFailed if status == "failed" else EnvironmentFault):
        gates.pass_(gate(script))
    assert gates.outcomes()["a", AMD64] == ENDS[script]


def test_a_no_counts_more_than_no_answer(gates):
    with pytest.raises(VerificationFailed):
        gates.pass_(gate('test "$2" = linux/arm64 && kill -9 $$; exit 1'))


NOT_STARTED = {
    "missing": (None, 0o755, "No such file or directory", "relative to the config"),
    "not executable": ("#!/bin/sh\n", 0o644, "Permission denied", "chmod +x"),
    "no first line": ("\x00\x01\x02", 0o755, "Exec format error", "#!/bin/sh"),
    "no interpreter": ("#!/no/such\n", 0o755, "No such file or directory", "interpreter"),
}


@pytest.mark.parametrize("kind", NOT_STARTED)
def test_a_program_that_cannot_be_started(gates, kind):
    text, mode, reason, hint = NOT_STARTED[kind]
    if text is not None:
        gates.script("it", text, mode)
    with pytest.raises(EnvironmentFault) as error:
        gates.pass_("[{name: a, run: [./it]}]")
    assert error.value.message.startswith(
        f"the gate a could not be run on {AMD64}: ./it could not be started: "
    )
    assert reason in error.value.message
    assert hint in str(error.value.hint)
    assert gates.outcome().status == "not-run"


def test_a_program_that_hangs_is_ended_with_all_it_started(gates):
    script = r'echo waiting; sh -c "echo \$\$ > $3; sleep 3600; true"; true'
    with pytest.raises(EnvironmentFault, match=r"no end after 2\.0s"):
        gates.pass_(gate(script, ", timeout: 2s"))
    assert gates.outcome().detail == "waiting"
    for slug in ("linux-amd64", "linux-arm64"):
        assert ends(read_pid(gates.folder / slug))


def test_an_interruption_ends_the_programs(gates):
    async def interrupted():
        task = asyncio.ensure_future(gates.passing(gate('echo $$ > "$3"; exec sleep 3600')))
        files = [gates.folder / "linux-amd64", gates.folder / "linux-arm64"]
        pids = [await asyncio.to_thread(read_pid, path) for path in files]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pids

    assert all(map(ends, asyncio.run(interrupted())))


def test_a_program_reads_nothing_and_has_the_users_environment(gates, monkeypatch):
    monkeypatch.setenv("OF_THE_USER", "x y")
    gates.pass_(gate("cat; env"))
    environment = dict(line.partition("=")[::2] for line in gates.log().splitlines())
    assert environment["OF_THE_USER"] == "x y"
    added = set(environment) - set(os.environ) - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert added == set()
    assert environment["PATH"] == os.environ["PATH"]


def test_no_more_run_at_once_than_there_are_jobs(gates):
    busy = "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done"
    script = f"mkdir running || exit 1; {busy}; rmdir running"
    more = ", ".join(f"{{name: n{number}, run: {shell(script)}}}" for number in range(4))
    assert gates.pass_(f"[{more}]", jobs=1) == [AMD64, ARM64]


def test_a_gigabyte_is_not_kept(gates):
    """A part of it here: what is kept does not depend on how much there is."""
    script = 'echo begin; yes "a line of no interest" | head -c 20000000; echo; echo "token=hunter2 https://u:hunter2@h/"; exit 1'
    with pytest.raises(VerificationFailed):
        gates.pass_(gate(script), platforms=f"[{AMD64}]")
    log = gates.log()
    assert len(log) < 2**20 + 2**17
    assert log.startswith("begin\na line of no interest\n")
    assert "18.9 MB are left out" in log
    assert "hunter2@" not in log
    outcome = gates.outcome()
    assert outcome.detail.splitlines()[-1].endswith("https://***@h/")
    assert len(outcome.detail) < 5000


def test_secrets_of_the_environment_are_in_no_output(gates, monkeypatch):
    monkeypatch.setenv("COSIGN_PASSWORD", "hunter2")
    monkeypatch.setenv("A_KEY", "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----")
    monkeypatch.setenv("PLAIN", "to be seen")
    with pytest.raises(VerificationFailed):
        gates.pass_(gate('echo "$A_KEY"; echo "$COSIGN_PASSWORD, $PLAIN"; exit 1'))
    assert gates.log() == "***\n***\n***\n***, to be seen\n"
    assert gates.outcome().detail == "***\n***\n***\n***, to be seen"


SECRET = "Hunter2-" * 8


@pytest.mark.parametrize("piece", [1000, 4096, 65536])
@pytest.mark.parametrize("total", [60_000, 150_000, 2**20 + 30_000, 2**20 + 200_000])
@pytest.mark.parametrize("separator", [b" ", b"\n"])
def test_no_half_of_a_secret_is_in_an_output_wherever_it_is_cut(total, piece, separator):
    word = SECRET.encode() + separator
    for shift in range(0, len(word), 13):
        log = io.StringIO()
        output = BoundedOutput(log, (SECRET,))
        whole = b"." * shift + separator + word * (total // len(word))
        for at in range(0, len(whole), piece):
            output.feed(whole[at : at + piece])
        output.close()
        assert "Hunter" not in log.getvalue()
        assert "unter2-" not in log.getvalue()
        assert "nter2" not in "".join(output.last_lines())


def test_a_long_line_is_whole_in_the_log():
    log = io.StringIO()
    output = BoundedOutput(log)
    text = "".join(f"{number:07}," for number in range(60_000))
    for at in range(0, len(text), 10_000):
        output.feed(text[at : at + 10_000].encode())
    output.close()
    assert log.getvalue() == f"{text}\n"


def test_output_is_harmless(gates):
    script = r"printf 'a\rb\r\033]0;x\007ok\033[31m\n::error::no\n\377\302\n'; exit 1"
    with pytest.raises(VerificationFailed):
        gates.pass_(gate(script))
    assert gates.outcome().detail == "ok\n::error::no\n\ufffd\ufffd"
    assert "\x1b" not in gates.log()


def test_logs_are_private(gates):
    gates.pass_(gate("true"))
    for path in gates.run.logs.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_image_has_logs_of_its_own(gates):
    gates.pass_(gate("echo app"), image="app")
    gates.pass_(gate("echo worker"), image="worker")
    for image in ("app", "worker"):
        (log,) = {
            one.log
            for one in gates.run.of_image(image).events()
            if isinstance(one, GateEnded) and one.platform == AMD64
        }
        assert log == f"images/{image}/logs/linux-amd64.gate-a.log"
        assert (gates.run.path / log).read_text() == f"{image}\n"


def test_a_secret_among_the_words_is_in_no_log(gates, caplog):
    with caplog.at_level("INFO"):
        gates.pass_("[{name: a, run: [sh, -c, 'echo $$2', x, --token, hunter2]}]")
    assert "--token" in caplog.text
    assert "hunter2" not in caplog.text
    assert gates.log() == "hunter2\n"


def put_sized(registry, name, platform, size, *, tag=None):
    return put_image(registry, name, platform, tag=tag, layer=b"x" * size)


def resize(gates, amd64, arm64=1000):
    gates.digests = {
        platform: put_sized(gates.registry, "app", platform, size)
        for platform, size in ((AMD64, amd64), (ARM64, arm64))
    }


def test_a_size_over_the_limit_says_no_and_pulls_nothing(gates):
    resize(gates, 5000)
    with pytest.raises(VerificationFailed) as error:
        gates.pass_("[{name: a, max: 4kB}]")
    size = next(one for one in gates.outcomes().values() if one[0] == "failed")[1]
    assert size.endswith(" bytes), more than 4.0 kB (4000 bytes)")
    assert size in error.value.message
    assert gates.outcomes()["a", ARM64][0] == "passed"
    assert gates.registry.log == []


def test_a_first_publish_has_nothing_to_compare_with(gates):
    assert gates.pass_("[{name: a, growth: 0%}]") == [AMD64, ARM64]
    assert gates.outcomes()["a", AMD64][1].endswith("app:latest is not there yet")


def publish(gates, amd64, arm64, tag="latest"):
    sizes = {platform: size for platform, size in ((AMD64, amd64), (ARM64, arm64)) if size is not None}
    entries = [
        descriptor(gates.registry, "app", put_sized(gates.registry, "app", platform, size), platform)
        for platform, size in sizes.items()
    ]
    put_index(gates.registry, "app", entries, tag=tag)


def test_a_platform_that_is_new_has_nothing_to_compare_with(gates):
    publish(gates, 10_000, None)
    assert gates.pass_("[{name: a, growth: 1000%}]") == [AMD64, ARM64]
    assert gates.outcomes()["a", ARM64][1].endswith("app:latest has no such platform")


def test_growth_is_measured_platform_by_platform_against_the_first_tag(gates):
    publish(gates, 10_000, 50_000, tag="one")
    publish(gates, 99_000, 99_000, tag="two")
    resize(gates, 12_000, 51_000)
    with pytest.raises(VerificationFailed, match=r"linux/amd64: .*\+1\d\.\d% against .*app:one"):
        gates.pass_("[{name: a, growth: 10%}]", more="tags: [one, two]\n")
    assert gates.outcomes()["a", ARM64][0] == "passed"


def test_no_growth_at_all_is_allowed(gates):
    publish(gates, 10_000, 50_000)
    resize(gates, 10_000, 49_000)
    assert gates.pass_("[{name: a, growth: 0%}]") == [AMD64, ARM64]


def test_a_tag_may_hold_one_image(gates):
    put_sized(gates.registry, "app", ARM64, 1000, tag="latest")
    resize(gates, 5000, 5000)
    with pytest.raises(VerificationFailed, match="linux/arm64"):
        gates.pass_("[{name: a, growth: 10%}]")
    assert gates.outcomes()["a", AMD64][0] == "passed"


def test_a_registry_that_does_not_answer_is_no_answer(gates):
    gates.registry.bends.append(
        lambda _, request, proceed: (500, b"", {}) if request.rest == "latest" else proceed()
    )
    with pytest.raises(EnvironmentFault, match=f"the gate a could not be run on {AMD64}: .*500"):
        gates.pass_("[{name: a, growth: 10%}]")
    assert gates.outcomes()["a", ARM64][0] == "not-run"


def problems(gates, text, only=None, **environ):
    environ = {"PATH": os.environ["PATH"], **environ}
    return [(one.gate, one.reason) for one in missing_programs(gates.load(text), only, environ)]


def test_programs_are_looked_for_before_a_run(gates):
    gates.script("fine", "#!/bin/sh\n")
    gates.script("plain", "#!/bin/sh\n", 0o644)
    (gates.folder / "folder").mkdir()
    text = (
        "[{name: a, run: [./fine]}, {name: b, run: [./plain]}, {name: c, run: [./folder]}, {name: d, run: [./none]},"
        " {name: e, run: [sh]}, {name: f, run: [no-such-scanner]}, {name: g, max: 1MB}]"
    )
    assert problems(gates, text) == [
        ("b", "./plain: Permission denied"),
        ("c", "./folder: Permission denied"),
        ("d", "./none: No such file or directory"),
        ("f", "no-such-scanner: No such file or directory"),
    ]


def test_only_programs_of_platforms_that_are_built_are_looked_for(gates):
    gates.script("linux-arm64.sh", "#!/bin/sh\n")
    text = "[{name: a, run: ['./{slug}.sh']}]"
    assert problems(gates, text) == [("a", "./linux-amd64.sh: No such file or directory")]
    assert problems(gates, text, only=[Platform.parse(ARM64)]) == []


def test_a_search_path_that_is_not_set_is_the_systems(gates):
    loaded = gates.load("[{name: a, run: [sh]}]")
    assert list(missing_programs(loaded, None, {})) == []
