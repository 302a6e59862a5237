"""How long an attempt is waited for: less after one that hung, so that hours are not spent twice."""

from __future__ import annotations

from collections.abc import Sequence

from multibuild.builds.result import Attempt
from multibuild.frozen import frozen
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.terminal import human_seconds

TIMES_TO_CRASH = 3.0
MAX_MARGIN_S = 600.0
"""After an attempt that crashed and used up its timeout the next one has so many times the time to the crash, and a
tenth of the timeout, at most this: it either gets past the crash in that time, or hangs again."""


@frozen
class Patience:
    """Limits in seconds: `timeout` for the attempt, `after_crash` for silence after an emulator's crash (None: off)."""

    timeout: float
    after_crash: float | None

    def shortened_text(self, usual: Patience) -> str | None:
        """Return what the next attempt is given, where that is less than usual."""
        if self.timeout < usual.timeout:
            return f"waits at most {human_seconds(self.timeout)}"
        if self.after_crash is not None and self.after_crash != usual.after_crash:
            return f"waits at most {human_seconds(self.after_crash)} after a crash"
        return None


def patience_after(
    previous: Sequence[Attempt], planned: PlannedPlatform, after_crash: float | None
) -> Patience:
    """Return the patience with the attempt that follows `previous`; `after_crash` is the config's `crash_timeout`."""
    hung = [attempt for attempt in previous if attempt.crashed_after is not None]
    timeout = planned.timeout
    if any(attempt.outcome == "timeout" for attempt in hung):
        crashed_after = max(attempt.crashed_after or 0.0 for attempt in hung)
        timeout = min(timeout, TIMES_TO_CRASH * crashed_after + min(timeout / 10, MAX_MARGIN_S))
    return Patience(timeout=timeout, after_crash=after_crash / 2 if after_crash and hung else after_crash)
