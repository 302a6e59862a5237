"""The shape of a signature: who prints what, and what it means."""

from __future__ import annotations

from typing import Literal

from multibuild.frozen import frozen

Weight = Literal["cause", "warning", "last", "consequence"]
"""How much a line of a step's output says of its end.

cause: it decides wherever it stands in the step. warning: the tool goes on after it, so it decides only near the end or
with a consequence. last: words that any program may print; they decide only near the end. consequence: what a tool says
because of an earlier trouble; it decides if nothing else does.
"""


@frozen
class Signature:
    """A sentence that means a class of failure.

    `word` is in every such text, in lower case: a cheap test before `pattern`, which ignores case; without a pattern the
    word decides. `tool` prints it, by `source`: a file of its code, an issue, or a run of it. `fetches_only`: it counts
    only in a step that names a program that fetches. `weight` matters for the output of a step only.
    """

    name: str
    tool: str
    word: str
    source: str
    pattern: str = ""
    weight: Weight = "cause"
    fetches_only: bool = False
