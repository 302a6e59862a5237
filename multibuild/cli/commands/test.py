"""`test`: run the configured test in every child of the last run again."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from multibuild.cli.request import Progress, Request, load_project_of_one, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.terminal import columns, human_seconds

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.journal.runs import RunDirectory
    from multibuild.plan.plan import Plan
    from multibuild.prove.smoke.smoke_test import TestOutcome


@frozen
class TestRequest(Request):
    """The flags of `test`."""

    progress: Progress = "auto"


def test(request: TestRequest) -> int:
    """Test every child of the last run again.

    Runs the configured test at each exact digest, each time it is asked.
    """
    from multibuild.cli.execute import write_report
    from multibuild.prove.smoke.stage import raise_for_environment, raise_for_tests

    project = load_project_of_one(request)
    loaded = project.images[0]
    state = state_of(request, loaded)
    with state.lock():
        run = state.find(None)
        plan, outcomes = _test_run(request, loaded, run)
        write_report(run, project)
    if request.json:
        rows = [outcome.event().to_json() for outcome in outcomes]
        print_json({"run": run.id, "platforms": rows})
    elif not (request.quiet and all(o.status != "failed" for o in outcomes)):
        table = [("PLATFORM", "TEST", "TIME")]
        table += [
            (str(o.platform), "not run" if o.environment_failure else o.status, human_seconds(o.seconds))
            for o in outcomes
        ]
        print("\n".join(columns(table)))
    _show_failures(outcomes, run)
    required = {planned.platform for planned in plan.platforms if planned.required}
    required_outcomes = [outcome for outcome in outcomes if outcome.platform in required]
    raise_for_tests(required_outcomes, hint=f"its output is in {run.logs}")
    raise_for_environment(required_outcomes)
    return 0


def _show_failures(outcomes: tuple[TestOutcome, ...], run: RunDirectory) -> None:
    for outcome in outcomes:
        if outcome.status == "failed":
            log = run.logs / f"{outcome.platform.slug}.test.log"
            print(f"\n{outcome.platform}: {log}", file=sys.stderr)
            print(textwrap.indent(outcome.detail, "  "), file=sys.stderr)


def _test_run(
    request: Request, loaded: LoadedConfig, run: RunDirectory
) -> tuple[Plan, tuple[TestOutcome, ...]]:
    from multibuild.builds.failover import Failover
    from multibuild.cli.display.display import make_display
    from multibuild.cli.supervise import supervise
    from multibuild.engine.docker import DockerEngine
    from multibuild.host.make_builders import BuilderRestorer
    from multibuild.host.requirements import HostRequirements
    from multibuild.journal.journal import Journal
    from multibuild.journal.local_children import may_exist
    from multibuild.journal.recorder import Recorder
    from multibuild.plan.host_facts import recorded_facts
    from multibuild.plan.plan import make_plan
    from multibuild.prove.smoke.stage import run_tests
    from multibuild.prove.stage import built_children

    recorded = built_children(run.load_plan() or {}, run.events())
    built = {platform: child for platform, child in recorded.items() if may_exist(child, run)}
    if not built:
        raise UsageError(f"the run {run.id} built no child", hint="`multibuild build` builds them")
    facts = recorded_facts(state_of(request, loaded).load_facts(), loaded.config.builder)
    plan = make_plan(loaded, facts)
    children = [(planned, built[planned.platform]) for planned in plan.platforms if planned.platform in built]
    if all(planned.test is None for planned, _ in children):
        raise UsageError(
            f"{loaded.path} has no test for what the run {run.id} built", hint="write `test: {run: [...]}`"
        )
    display = make_display(request.progress, quiet=request.quiet, verbose=request.verbose)
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, display)
        requirements = HostRequirements.from_config(loaded.config, loaded.project)
        restorer = BuilderRestorer(requirements, DockerEngine(), recorder.say)
        failover = Failover.of(plan, recorder.say, restorer)
        try:
            outcomes = supervise(run_tests(plan, children, recorder, run=run, failover=failover))
        finally:
            display.close()
    return plan, tuple(outcomes[planned.platform] for planned, _ in children)
