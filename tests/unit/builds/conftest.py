"""Plans from a few lines of config, and an empty state directory."""

from datetime import UTC, datetime

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.journal.runs import State
from multibuild.plan.host_facts import assumed_facts
from multibuild.plan.plan import make_plan


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def plan_of(tmp_path):
    def plan_config(config, facts=None):
        path = tmp_path / "multibuild.yaml"
        path.write_text(f"version: 1\n{config}\n")
        now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        loaded = load_config(path, environ={}, overrides=Overrides(), now=now)
        return make_plan(loaded, facts or assumed_facts("auto"))

    return plan_config
