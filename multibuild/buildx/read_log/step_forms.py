"""Builders that run one step at a time: docker before BuildKit, buildah and podman, kaniko."""

from __future__ import annotations

import re

from multibuild.buildx.read_log.build_log import BuildLog

_STEP = re.compile(
    r"(?:\[((?:linux|windows)/[\w./]{1,40})\] )?(?:\[(\d{1,3}/\d{1,3})\] )?(?:Step"
    r"|STEP) (\d{1,4}(?:/\d{1,4})?) ?: ([A-Za-z]{2,20}\b.*)",
    re.DOTALL,
)
_KANIKO = re.compile(
    r"(?:INFO\[[\w:+.-]{1,40}\]|time=\"?[^\s\"]{1,40}\"? level=info msg=\"?) ?(.*)", re.DOTALL
)
_INSTRUCTION = re.compile(
    r"(?:RUN|COPY|ADD|WORKDIR|FROM|ENV|ARG|USER|CMD|ENTRYPOINT|EXPOSE|LABEL|VOLUME|SHELL|HEALTHCHECK|ONBUILD"
    r"|STOPSIGNAL) "
)
_NOTES = (
    "---> ", "Removing intermediate container", "Sending build context", "Successfully built", "Successfully tagged",
    "COMMIT", "--> ", "Removed intermediate container",
)  # fmt: skip
_MADE = ("Successfully built", "Successfully tagged")


class StepForms:
    """Reader of lines that begin a step; what follows them is its output."""

    def __init__(self, log: BuildLog) -> None:
        """Read into `log`."""
        self._log = log

    def read(self, text: str) -> bool:
        """Read the begin of a step, or a note of the builder; False for another line."""
        found = _STEP.match(text)
        if found is not None:
            self._begin(platform=found[1] or "", number=found[3], instruction=found[4].rstrip())
            return True
        if text.startswith(_NOTES):
            if text.startswith(_MADE):
                self._log.running = []
                self._log.succeed()
            return True
        return self._read_kaniko(text)

    def _begin(self, *, platform: str, number: str, instruction: str) -> None:
        """Begin a step under the name that BuildKit would give it."""
        if number.startswith("1/") or number == "1":
            self._log.begin_build()
        place = f"{platform} {number}" if "/" in platform else number
        self._log.start(f"[{place}] {instruction}")

    def _read_kaniko(self, text: str) -> bool:
        found = _KANIKO.match(text)
        if found is None:
            return False
        note = found[1].rstrip('" \n')
        if _INSTRUCTION.match(note):
            self._log.start(note)
        elif note.startswith(("Pushed ", "Skipping push")):
            self._log.succeed()
        return True
