"""`--if-changed`: says that nothing is to be done, or what is new."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from multibuild.cli.ci import inert_in_ci
from multibuild.cli.output import copy_report, print_json
from multibuild.journal.events import JournalEntry, RunConfirmed
from multibuild.journal.journal import Journal
from multibuild.terminal import printable
from multibuild.workflow.if_changed import Command, compare

if TYPE_CHECKING:
    from multibuild.cli.runs import Request
    from multibuild.journal.runs import State
    from multibuild.plan.plan import Plan


def confirmed(request: Request, plan: Plan, state: State, until: str) -> bool:
    """Compare, and say what came of it. A success that holds is noted in its own journal: it is no new run."""

    def say(text: str, /) -> None:
        if not request.quiet:
            print(inert_in_ci(printable(text), os.environ), file=sys.stderr)

    with state.lock():
        verdict = compare(plan, state, cast("Command", until), say)
        say(verdict.reason)
        if verdict.run is None:
            return False
        with Journal(verdict.run.journal_path) as journal:
            journal.append(JournalEntry(time=datetime.now(UTC), event=RunConfirmed(command=until)))
    if request.json:
        print_json(verdict.run.report())
    if request.report is not None:
        copy_report(verdict.run.report(), request.report)
    return True
