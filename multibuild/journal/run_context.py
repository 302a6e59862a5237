"""Where a run happens: what every stage of it is handed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from multibuild.engine.engine import Engine
from multibuild.frozen import frozen
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import RunDirectory, State

Command = Literal["build", "publish", "merge"]
"""What a run does, as its journal says: `build`, `all` ("publish"), or `merge` of the last run."""


@frozen
class RunContext:
    """A run's engine, its project's state, its own directory, and the recorder of what happens.

    `resume` is whether children of unfinished runs may be reused; `hand_over` whether children pass from `build` to
    `merge` through their registry.
    """

    command: Command
    engine: Engine
    state: State
    run: RunDirectory
    recorder: Recorder
    resume: bool = False
    hand_over: bool = False

    def of_image(self, name: str) -> RunContext:
        """Return the context in which the stages of the image called `name` run."""
        run = self.run.of_image(name)
        run.create()
        return replace(self, state=self.state.of_image(name), run=run, recorder=self.recorder.of_image(name))
