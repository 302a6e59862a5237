"""A plan for one builder with the fake buildx, and a display that shows nothing."""

import os
from datetime import UTC, datetime

from fakes.docker import FakeDocker

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.plan.host_facts import HostFacts, Node
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform


class NullDisplay:
    def show(self, event):
        pass

    def say(self, text):
        pass

    def close(self):
        pass


def planned(tmp_path, docker: FakeDocker, config, driver="docker"):
    path = tmp_path / "project" / "multibuild.yaml"
    path.parent.mkdir()
    path.write_text(config)
    loaded = load_config(path, environ=os.environ, overrides=Overrides(), now=datetime.now(UTC))
    node = Node(builder="b", driver=driver, native=Platform.parse("amd64"))
    buildx = (str(docker.folder / "docker-buildx"),)
    return make_plan(loaded, HostFacts(nodes=(node,), cpus=2, memory=2**33, buildx=buildx))
