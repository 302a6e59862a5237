"""One platform of a batch: its log, what is seen of it, and its attempt as soon as that is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from multibuild.builds.attempt import (
    BuildContext,
    WrongBase,
    begin_attempt,
    check_warnings,
    end_attempt,
    observe,
    observed,
)
from multibuild.builds.export import Export
from multibuild.builds.judge import judge
from multibuild.builds.patience import patience_after
from multibuild.builds.result import Attempt, Outcome
from multibuild.buildx.process import ProcessResult
from multibuild.failures.classify import Failure
from multibuild.journal.runs import open_log
from multibuild.plan.planned_platform import PlannedPlatform


class Member:
    """A platform's first attempt, begun with the object. `on_end` gets it."""

    def __init__(
        self, planned: PlannedPlatform, context: BuildContext, on_end: Callable[[Attempt], None]
    ) -> None:
        """Begin the attempt and open its log. Raises OSError."""
        self.planned = planned
        self._context = context
        self._on_end = on_end
        self._log_name = begin_attempt(planned, context, 1)
        self._log = open_log(context.run.path / self._log_name)
        self.export = Export.of(planned, context.run)
        self._began = time.monotonic()
        self._checked_warnings = 0
        self._has_ended = False
        patience = patience_after((), planned, context.crash_timeout)
        self._observation = observe(planned, context, patience, self._log)
        self.progress = self._observation.progress

    @property
    def is_open(self) -> bool:
        """Whether the attempt has not ended."""
        return not self._has_ended

    @property
    def is_done(self) -> bool:
        """Whether the attempt has ended, and BuildKit has nothing left to export for it."""
        return self._has_ended and not self.planned.spec.cache_to

    def is_hung(self) -> bool:
        """Whether the platform's step hangs after a crash; the others of the batch may well go on."""
        return not self._has_ended and self._observation.watch.is_hung()

    def check_warnings(self) -> None:
        """End the attempt and raise WrongBase when BuildKit has warned of it since the last check."""
        try:
            self._checked_warnings = check_warnings(self.progress, self._checked_warnings)
        except WrongBase as error:
            self.end("failed", error.failure)
            raise

    def close(self) -> None:
        """Close the log and remove the export; without `end`, the build alone writes the same log anew."""
        self.export.discard()
        with suppress(OSError):
            self._log.close()

    def end(self, outcome: Outcome, failure: Failure | None = None, digest: str = "") -> None:
        """End the attempt; nothing when it has ended."""
        if self._has_ended:
            return
        self._has_ended = True
        attempt = Attempt(
            number=1,
            seconds=time.monotonic() - self._began,
            outcome=outcome,
            log=self._log_name,
            digest=digest,
            failure=failure,
        )
        with suppress(OSError):  # a full disk takes the log's last line, not the result
            self.progress.finish()
        attempt = observed(attempt, self._observation)
        self.close()
        end_attempt(self.planned, self._context, attempt)
        self._on_end(attempt)

    async def end_with(self, result: ProcessResult, digest: str) -> None:
        """End the attempt with its child or its own failure; one that another's failure ended stays open."""
        digest = digest or self.export.digest()
        if digest:
            await self.export.finalize(digest)
            self.end("ok", digest=digest)
        elif self._has_own_failure(result):
            self.end(*await judge(result, self._observation, self.export))

    def _has_own_failure(self, result: ProcessResult) -> bool:
        """Whether its own limit or failure ended a platform, not another's."""
        if result.end_reason == "timeout":
            return self.planned.timeout <= result.seconds
        if result.end_reason == "hung":
            return bool(self._observation.watch.silence)
        return bool(self.progress.evidence().step)
