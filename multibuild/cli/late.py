"""`importlib.metadata`, imported when somebody uses it.

pydantic imports it to look for plugins of its own, which a config is not for: with what it brings along (email, csv,
zip files, sockets) that took a sixteenth of `plan`.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

_NAME: Final = "importlib.metadata"


class _Late(ModuleType):
    """Stands for the module until then. Every name of it is there; `entry_points` without the import."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_real(), name)

    @staticmethod
    def entry_points(**asked: Any) -> Any:
        return _real().entry_points(**asked)


def put_off_metadata() -> None:
    """Let the next import of `importlib.metadata` do nothing yet."""
    spec = None if _NAME in sys.modules else find_spec(_NAME)
    if spec is not None:
        late = _Late(_NAME)
        late.__spec__ = spec
        late.__path__ = spec.submodule_search_locations or []
        sys.modules[_NAME] = importlib.metadata = late


def _real() -> ModuleType:
    if isinstance(sys.modules.get(_NAME), _Late):
        sys.modules.pop(_NAME, None)  # another thread may have been quicker
    return importlib.import_module(_NAME)
