"""`verify` and `test`: the proofs, asked for by hand."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from multibuild.cli.output import print_json
from multibuild.cli.runs import Request, load, state_of
from multibuild.errors import UsageError, VerificationFailed
from multibuild.prove.verify import Rules, Verification
from multibuild.terminal import columns, human_seconds, printable

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.models import Config
    from multibuild.journal.runs import RunDirectory
    from multibuild.oci.reference import Reference
    from multibuild.plan.plan import Plan
    from multibuild.prove.content.layer_cache import LayerCache
    from multibuild.prove.smoke.smoke_test import TestOutcome

WIDTH = 80


def verify(request: Request, text: str | None, *, content: str | None) -> int:
    """Prove a reference, or the config's image at its first tag; 6 when something is wrong."""
    from multibuild.oci.reference import Reference
    from multibuild.prove.content.layer_cache import LayerCache

    loaded = load(request) if text is None or request.file.exists() else None
    memory = LayerCache(state_of(request, loaded).path / "layers" if loaded is not None else None)
    if text is None and loaded is not None:
        text = f"{loaded.config.image}:{loaded.config.tags[0]}"
    config = loaded.config if loaded is not None else None
    found = prove_reference(Reference.parse(text or ""), config, content=content, memory=memory)
    if request.json:
        print_json(found.document())
    elif not (request.quiet and found.ok):
        print(as_table(found))
    return 0 if found.ok else VerificationFailed.exit_code


def prove_reference(
    reference: Reference, config: Config | None, *, content: str | None, memory: LayerCache
) -> Verification:
    """Verify with what a config says of registries and of the proof."""
    from multibuild.oci.errors import translate_read_errors
    from multibuild.oci.registries import RegistrySession
    from multibuild.prove.verify import verify as verify_reference

    rules = _rules(config, content)
    settings = config.registry_settings if config is not None else {}
    with (
        translate_read_errors(),
        RegistrySession(settings, on_wait=lambda said: print(said, file=sys.stderr)) as registries,
    ):
        return verify_reference(reference, registries, rules=rules, memory=memory)


def _rules(config: Config | None, content: str | None) -> Rules:
    if content not in {None, "entrypoint", "all"}:
        raise UsageError(
            f"--content {content} is no mode", hint="write --content entrypoint or --content all"
        )
    base = Rules(mode=config.verify.content, ignore=config.verify.ignore) if config is not None else Rules()
    if content is None:
        return base
    return Rules(mode="all" if content == "all" else "entrypoint", ignore=base.ignore)


def as_table(found: Verification) -> str:
    """Lay it out within 80 columns: the entries, then each fault in full, then what is odd and no fault."""
    wrong = {(finding.platform, finding.kind) for finding in found.findings}
    rows = [("PLATFORM", "CONTENT", "CHECKED", "DIGEST")]
    for entry in found.entries:
        kinds = [kind for platform, kind in wrong if platform == entry.platform]
        status = entry.content.status if entry.content is not None else (kinds[0] if kinds else "-")
        checked = str(entry.content.checked) if entry.content is not None else ""
        rows.append((printable(entry.platform), status, checked, entry.digest.removeprefix("sha256:")[:12]))
    lines = [*_wrapped(found.reference, ""), f"  {found.digest}", "", *columns(rows, right=frozenset({2}))]
    for finding in found.findings:
        lines += ["", *_wrapped(f"{finding.platform or found.reference}: {finding.kind}: {finding.detail}")]
    for detail, platforms in _notes(found).items():
        lines += ["", *_wrapped(f"{', '.join(platforms)}: {detail}")]
    lines += ["", "everything is what it says" if found.ok else f"{len(found.findings)} wrong"]
    return "\n".join(lines)


def _notes(found: Verification) -> dict[str, list[str]]:
    """What is worth knowing of entries that are right, with the platforms it was found in."""
    notes: dict[str, list[str]] = {}
    for entry in found.entries:
        if entry.content is not None and entry.content.status != "failed" and entry.content.detail:
            notes.setdefault(entry.content.detail, []).append(entry.platform)
    return notes


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(printable(text), WIDTH, subsequent_indent=indent) or [""]


def test(request: Request) -> int:
    """Run the configured test in every child of the last run.

    Raises TestFailed (5) when it fails on a required platform, EnvironmentFault (3) when it could not be run there.
    """
    from multibuild.cli.execute import write_report
    from multibuild.prove.smoke.stage import raise_for_tests, raise_for_trouble

    loaded = load(request)
    state = state_of(request, loaded)
    with state.lock():
        run = state.find(None)
        plan, outcomes = _test_run(request, loaded, run)
        write_report(run, loaded)
    if request.json:
        rows = [{"platform": str(o.platform), **o.document()} for o in outcomes]
        print_json({"run": run.id, "platforms": rows})
    elif not (request.quiet and all(o.status != "failed" for o in outcomes)):
        table = [("PLATFORM", "TEST", "TIME")]
        table += [
            (str(o.platform), "not run" if o.trouble else o.status, human_seconds(o.seconds))
            for o in outcomes
        ]
        print("\n".join(columns(table)))
    _show_failures(outcomes, run)
    required = {item.platform for item in plan.platforms if item.required}
    decisive = [outcome for outcome in outcomes if outcome.platform in required]
    raise_for_tests(decisive, hint=f"its output is in {run.logs}")
    raise_for_trouble(decisive)
    return 0


def _show_failures(outcomes: tuple[TestOutcome, ...], run: RunDirectory) -> None:
    for outcome in outcomes:
        if outcome.status == "failed":
            log = run.logs / f"{outcome.platform.slug}.test.log"
            print(f"\n{outcome.platform}: {log}", file=sys.stderr)
            print(textwrap.indent(printable(outcome.detail), "  "), file=sys.stderr)


def _test_run(
    request: Request, loaded: LoadedConfig, run: RunDirectory
) -> tuple[Plan, tuple[TestOutcome, ...]]:
    from multibuild.builds.failover import Failover
    from multibuild.cli.display import make_display
    from multibuild.cli.supervise import supervise
    from multibuild.journal.journal import Journal, read_journal
    from multibuild.journal.local_children import may_be_there
    from multibuild.journal.recorder import Recorder
    from multibuild.plan.host_facts import recorded_facts
    from multibuild.plan.plan import make_plan
    from multibuild.prove.smoke.stage import run_tests
    from multibuild.prove.stage import built_children

    named = built_children(run.load_plan() or {}, read_journal(run.journal_path))
    built = {platform: child for platform, child in named.items() if may_be_there(child, run)}
    if not built:
        raise UsageError(f"the run {run.id} built no child", hint="`multibuild build` builds them")
    facts = recorded_facts(state_of(request, loaded).load_facts(), loaded.config.builder)
    plan = make_plan(loaded, facts)
    children = [(item, built[item.platform]) for item in plan.platforms if item.platform in built]
    if all(item.test is None for item, _ in children):
        raise UsageError(
            f"{loaded.path} has no test for what the run {run.id} built", hint="write `test: {run: [...]}`"
        )
    display = make_display(request.progress, quiet=request.quiet)
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, display)
        try:
            outcomes = supervise(
                run_tests(plan, children, recorder, run=run, failover=Failover.of(plan, recorder.say))
            )
        finally:
            display.close()
    return plan, tuple(outcomes[item.platform] for item, _ in children)
