"""`test`: run the configured test in every child of the last run again."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from multibuild.cli.request import Images, Progress, Request, load_project, state_of
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.terminal import columns, human_seconds

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.project import LoadedProject
    from multibuild.journal.runs import RunDirectory, State
    from multibuild.plan.plan import Plan
    from multibuild.prove.smoke.smoke_test import TestOutcome


@frozen
class TestRequest(Request):
    """The flags of `test`."""

    images: Images = ()
    progress: Progress = "auto"


def test(request: TestRequest) -> int:
    """Test every child of the last run again.

    Runs the configured test at each exact digest, each time it is asked.
    """
    from multibuild.cli.display.event_text import row_name
    from multibuild.cli.execute import write_report
    from multibuild.prove.smoke.stage import raise_for_environment, raise_for_tests

    project = load_project(request)
    state = state_of(request, *project.images)
    with state.lock():
        run = _last_run(state, project)
        tested = _test_images(request, project, run)
        write_report(run, project)
    outcomes = [(image, outcome) for image in tested for outcome in image.outcomes]
    if request.json:
        rows = [
            {**({"image": image.name} if image.name else {}), **outcome.event().to_json()}
            for image, outcome in outcomes
        ]
        print_json({"run": run.id, "platforms": rows})
    elif not (request.quiet and all(outcome.status != "failed" for _, outcome in outcomes)):
        table = [("PLATFORM", "TEST", "TIME")]
        table += [
            (
                row_name(image.name, str(o.platform)),
                "not run" if o.environment_failure else o.status,
                human_seconds(o.seconds),
            )
            for image, o in outcomes
        ]
        print("\n".join(columns(table)))
    for image in tested:
        _show_failures(image)
    required = [outcome for image, outcome in outcomes if outcome.platform in image.plan.required_platforms]
    raise_for_tests(required, hint=f"its output is in {tested[0].run.logs}")
    raise_for_environment(required)
    return 0


def _last_run(state: State, project: LoadedProject) -> RunDirectory:
    """Return the newest run, but none of another config's images: several configs may share a directory."""
    newest = state.find(None)
    images = {loaded.config.image for loaded in project.images}
    for run in (newest, *state.runs()):
        plan = run.load_plan()
        if plan is None or not images.isdisjoint(part.get("image") for part in plan.get("images", (plan,))):
            return run
    raise NothingToTest(
        f"the run {newest.id} built no child of {', '.join(sorted(images))}",
        hint="`multibuild build` builds them",
    )


@frozen
class TestedImage:
    """An image of the last run whose children were tested again; `run` is the run as the image sees it."""

    __test__ = False  # keeps pytest from collecting it as a test class

    plan: Plan
    run: RunDirectory
    outcomes: tuple[TestOutcome, ...]

    @property
    def name(self) -> str:
        """Return its name in a file of several, else ""."""
        return self.plan.name


def _test_images(request: Request, project: LoadedProject, run: RunDirectory) -> tuple[TestedImage, ...]:
    """Test each image that has a test; UsageError if none has one, or the run built none of them."""
    tested, reasons = [], []
    for loaded in project.images:
        view = run.of_image(loaded.name) if loaded.name else run
        try:
            plan, outcomes = _test_run(request, project, loaded, view)
        except NothingToTest as error:
            reasons.append(error)
            continue
        tested.append(TestedImage(plan=plan, run=view, outcomes=outcomes))
    if not tested:
        raise reasons[0]
    return tuple(tested)


class NothingToTest(UsageError):
    """An image has no test, or no child that could be tested."""


def _show_failures(image: TestedImage) -> None:
    from multibuild.cli.display.event_text import row_name

    for outcome in image.outcomes:
        if outcome.status == "failed":
            log = image.run.logs / f"{outcome.platform.slug}.test.log"
            print(f"\n{row_name(image.name, str(outcome.platform))}: {log}", file=sys.stderr)
            print(textwrap.indent(outcome.detail, "  "), file=sys.stderr)


def _test_run(
    request: Request, project: LoadedProject, loaded: LoadedConfig, run: RunDirectory
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
        raise NothingToTest(f"the run {run.id} built no child", hint="`multibuild build` builds them")
    state = state_of(request, *project.images)
    facts = recorded_facts(state.load_facts(), loaded.config.builder)
    plan = make_plan(loaded, facts)
    children = [(planned, built[planned.platform]) for planned in plan.platforms if planned.platform in built]
    if all(planned.test is None for planned, _ in children):
        raise NothingToTest(
            f"{loaded.path} has no test for what the run {run.id} built", hint="write `test: {run: [...]}`"
        )
    display = make_display(request.progress, quiet=request.quiet, verbose=request.verbose)
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, display)
        recorder = recorder.of_image(loaded.name) if loaded.name else recorder
        requirements = HostRequirements.from_config(loaded.config, loaded.project)
        restorer = BuilderRestorer(requirements, DockerEngine(), recorder.say)
        failover = Failover.of(plan, recorder.say, restorer)
        try:
            outcomes = supervise(run_tests(plan, children, recorder, run=run, failover=failover))
        finally:
            display.close()
    return plan, tuple(outcomes[planned.platform] for planned, _ in children)
