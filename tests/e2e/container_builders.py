"""Docker-container builders of a test's own: on BuildKit's own image where the engine has it, else on the stand-in."""

import json
import os

from e2e.conftest import docker, free_port

from builders.lab import buildkit_image


def account(folder):
    """Return the environment of an account of its own: its state, and its list of builders."""
    return {"XDG_STATE_HOME": str(folder / "account"), "BUILDX_CONFIG": str(folder / "buildx")}


class Builder:
    """A profile, and the name and container of its builder."""

    def __init__(self, folder):
        self.name = f"mb-own-{os.getpid()}-{free_port()}"
        self.container = f"buildx_buildkit_{self.name}0"
        self.image = buildkit_image.image()
        self.env = account(folder)
        self.profile = folder / "builder.yaml"
        self.write_profile()

    def write_profile(self, **more):
        document = {
            "driver": "docker-container",
            "name": self.name,
            "image": self.image,
            "driver_opts": {"network": "host"},
            **more,
        }
        self.profile.write_text(json.dumps(document))

    def buildx(self, *arguments, check=True):
        return docker("buildx", *arguments, check=check, env=self.env)

    def create_by_hand(self):
        options = ("--driver-opt", f"image={self.image},network=host")
        self.buildx("create", "--name", self.name, "--driver", "docker-container", *options)

    def containers(self):
        """Return the containers of this name, and of those that begin with it, of every account."""
        names = docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
        return [name for name in names if name.startswith(f"buildx_buildkit_{self.name}")]

    def remove(self):
        self.buildx("rm", "--force", self.name, check=False)
        for container in {*self.containers(), self.container}:
            docker("rm", "--force", container, check=False)
            docker("volume", "rm", "--force", f"{container}_state", check=False)
