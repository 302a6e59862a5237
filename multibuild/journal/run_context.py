"""Where a run happens: what every stage of it is handed."""

from __future__ import annotations

from typing import Literal

from multibuild.engine.docker import Engine
from multibuild.frozen import frozen
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import RunDirectory, State

Command = Literal["build", "publish", "merge"]
"""What a run does, as its journal says: `build`, `all` ("publish"), or `merge` of the last run."""


@frozen
class RunContext:
    """A run's engine, its project's state, its own directory, and the recorder of what happens.

    `resume` is whether children of unfinished runs may be reused.
    """

    command: Command
    engine: Engine
    state: State
    run: RunDirectory
    recorder: Recorder
    resume: bool = False
