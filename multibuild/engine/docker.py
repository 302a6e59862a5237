"""The Docker engine by its command line: the only importer of python_on_whales.

Builds themselves do not come through here: python-on-whales can neither time out nor cancel, so
`buildx/process.py` runs them. What it is asked and answers is in `engine.py`.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multibuild.architectures import architecture_named
from multibuild.buildx.cache_targets import as_csv
from multibuild.child_process import ChildLimit, ChildResult, run_child
from multibuild.engine.builder_container import (
    CONFIGURATION_FOLDER,
    BuilderContainer,
    container_name,
    last_words,
    node_error,
    parse_container,
)
from multibuild.engine.docker_errors import INSTALL_DOCKER, explained, unreachable, without_buildx
from multibuild.engine.engine import BuilderInfo, BuilderNode, EngineInfo, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.platforms import Platform
from multibuild.redact import redacted_command
from multibuild.ssh.check import check_docker
from multibuild.ssh.destination import SCHEME
from multibuild.ssh.environment import docker_environment

if TYPE_CHECKING:
    from python_on_whales import DockerClient

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 180.0
"""For a short answer; an engine behind ssh takes half a minute, `buildx ls` 20 s for each machine that is down."""

MAX_ANSWER_BYTES = 64_000_000
"""What a short answer may have: buildx lists the files of every builder."""


class DockerEngine:
    """The engine of the docker CLI: read with plain commands, changed through python-on-whales."""

    def __init__(self) -> None:
        """Start nothing: the first call does."""
        self._loaded_client: DockerClient | None = None
        self._buildx: tuple[str, ...] = ("docker", "buildx")

    @property
    def _client(self) -> DockerClient:
        from python_on_whales import DockerClient

        if self._loaded_client is None:
            self._loaded_client = DockerClient()
        return self._loaded_client

    def info(self) -> EngineInfo:
        """Run `docker info` once, and check that the buildx plugin is installed."""
        answer = run_docker("docker", "info", "--format", "{{json .}}")
        # Its JSON comes on stdout even when its exit code is 1, as when the daemon is down.
        if answer.returncode and not answer.stdout.lstrip().startswith("{"):
            self._check_ssh(answer.stderr)
            raise explained("docker info", answer.stderr or answer.stdout)
        document, warnings = _parsed(answer.stdout, "docker info"), answer.stderr.strip()
        if not document.get("ServerVersion"):
            message = "; ".join(map(str, _list(document.get("ServerErrors")))) or warnings
            self._check_ssh(message)
            raise unreachable(message)
        with _in_form("docker info"):
            plugins = (document.get("ClientInfo") or {}).get("Plugins") or ()
            buildx = next((p for p in plugins if p.get("Name") == "buildx" and p.get("Path")), None)
        if buildx is None or buildx.get("Err"):
            raise without_buildx(warnings)
        with _in_form("docker info"):
            return self._info(document, buildx)

    def _info(self, document: dict[str, Any], buildx: dict[str, Any]) -> EngineInfo:
        client = document.get("ClientInfo") or {}
        self._buildx = (str(buildx["Path"]),)
        row = architecture_named(document["Architecture"])
        status = dict(document.get("DriverStatus") or ())
        context = client.get("Context") or "default"
        return EngineInfo(
            name=document.get("Name", ""),
            version=document["ServerVersion"],
            native=Platform(
                os=document["OSType"], architecture=row.name if row else document["Architecture"]
            ),
            cpus=document["NCPU"],
            memory=document["MemTotal"],
            containerd_store=status.get("driver-type", "").startswith("io.containerd.snapshotter"),
            buildx_path=buildx["Path"],
            buildx_version=buildx.get("Version", ""),
            context=context,
            local=self._is_local(context),
            insecure=_insecure(document.get("RegistryConfig") or {}),
        )

    def builders(self) -> tuple[BuilderInfo, ...]:
        """Read `buildx ls`, through the plugin's own binary once `info` has its path: that takes half the time."""
        text = self._text(*self._buildx, "ls", "--format", "{{json .}}")
        with _in_form("buildx ls"):
            return tuple(_builder(_parsed(line, "buildx ls")) for line in text.splitlines() if line.strip())

    def create_builder(self, new: NewBuilder) -> None:
        """Create a builder. buildx reads the configuration now and keeps its content."""
        with _faults(f"creating the builder {new.name}"), tempfile.TemporaryDirectory() as scratch:
            config = Path(scratch) / "buildkitd.toml"
            config.write_text(new.buildkitd, encoding="utf-8")
            _log_command("docker", "buildx", "create", "--name", new.name, "--driver", new.driver)
            self._client.buildx.create(
                new.endpoint,
                config=config if new.buildkitd else None,
                driver=new.driver,
                driver_options=dict(map(_quoted, new.options.items())),
                name=new.name,
            )

    def start_builder(self, name: str) -> None:
        """Start a builder (a docker-container takes a second or two), with a BuildKit that answers.

        buildx ends well, too, for a container that runs and whose BuildKit does not answer (yet): it prints the error.
        """
        action = f"starting the builder {name}"
        try:
            printed = self._change("buildx", "inspect", name, "--bootstrap", action=action)
            if error := node_error(printed):
                raise explained(action, error)
        except EnvironmentFault as error:
            logs = run_docker("docker", "logs", "--tail", "50", container_name(f"{name}0"))
            raise EnvironmentFault(error.message + last_words(logs.stderr), hint=error.hint) from error

    def remove_builder(self, name: str, *, keep: Literal["nothing", "state", "daemon"] = "nothing") -> None:
        """Remove a builder; a missing one is no error. python-on-whales has neither --keep-state nor --keep-daemon."""
        if any(builder.name == name for builder in self.builders()):
            flag = () if keep == "nothing" else (f"--keep-{keep}",)
            self._change("buildx", "rm", *flag, name, action=f"removing the builder {name}")

    def builder_container(self, node: str, endpoint: str | None = None) -> BuilderContainer | None:
        """Inspect the container, and copy its configuration out."""
        if endpoint is not None and "://" in endpoint and not endpoint.startswith((SCHEME, "unix://")):
            return None
        name, docker = container_name(node), _docker_at(endpoint)
        inspected = run_docker(*docker, "container", "inspect", name)
        if "no such container" in inspected.stderr.lower():
            return None
        copied = _run_docker(*docker, "container", "cp", f"{name}:{CONFIGURATION_FOLDER}", "-")
        if inspected.returncode or (
            copied.returncode and b"could not find the file" not in copied.stderr.lower()
        ):
            message = inspected.stderr or copied.stderr.decode("utf-8", "replace")
            raise explained(f"looking at the container {name}", message)
        changes = self._text(*docker, "container", "diff", name) if copied.stdout else ""
        try:
            return parse_container(inspected.stdout, copied.stdout, changes)
        except ValueError as error:
            raise EnvironmentFault(
                f"the container {name} could not be read: {error}", hint="try `docker container inspect`"
            ) from error

    def running_builds(self, builder: str) -> int:
        """Count them in BuildKit's history; 0 for a builder that has none."""
        answer = run_docker("docker", "buildx", "history", "ls", "--builder", builder, "--format", "json")
        builds = [_parsed(line, "buildx history ls") for line in answer.stdout.splitlines() if line.strip()]
        return sum(build.get("status") == "Running" for build in builds)

    def context_address(self, name: str) -> str:
        """Read `docker context inspect`; for the current context docker takes DOCKER_HOST into account."""
        named = (name,) if name else ()
        answer = run_docker("docker", "context", "inspect", *named, "--format", "{{.Endpoints.docker.Host}}")
        return answer.stdout.strip() if answer.returncode == 0 else ""

    def has_image(self, image: str) -> bool:
        """Whether `docker image inspect` knows the image."""
        answer = run_docker("docker", "image", "inspect", "--format", "{{.Id}}", image)
        if answer.returncode and "no such image" not in answer.stderr.lower():
            raise explained(f"looking for the image {image}", answer.stderr)
        return answer.returncode == 0

    def pull(self, image: str) -> None:
        """Pull an image without progress: the caller announces it."""
        _log_command("docker", "pull", image)
        with _faults(f"pulling {image}"):
            self._client.image.pull(image, quiet=True)

    def run_privileged(self, image: str, arguments: tuple[str, ...]) -> str:
        """Run a container whose image was pulled before: an implicit pull would print to stdout."""
        _log_command("docker", "run", "--privileged", "--rm", image, *arguments)
        with _faults(f"running {image}"):
            answer = self._client.container.run(
                image, list(arguments), privileged=True, remove=True, pull="never"
            )
        return str(answer)

    def load(self, archive: Path) -> None:
        """Load an archive of images; EnvironmentFault when the engine refuses it."""
        _log_command("docker", "load", "--input", str(archive))
        with _faults("loading the images"):
            self._client.image.load(archive, quiet=True)

    def _text(self, *argv: str) -> str:
        """Return the stdout of a command that changes nothing; EnvironmentFault when it fails."""
        answer = run_docker(*argv)
        if answer.returncode:
            raise explained(" ".join(argv[:2]), answer.stderr or answer.stdout)
        return answer.stdout

    def _check_ssh(self, message: str) -> None:
        """Raise the reason why an engine behind ssh does not answer: docker's own message often lacks it."""
        if "docker.example.com" in message:  # the name that docker gives every engine behind ssh
            address = self.context_address("")
            if address.startswith(SCHEME):
                check_docker(address)

    def _is_local(self, context: str) -> bool:
        host = os.environ.get("DOCKER_HOST") or None  # an empty one is none to docker, too
        if host is None and context != "default":
            host = self.context_address(context)
        return host is None or host.startswith("unix://")

    def _change(self, *arguments: str, action: str) -> str:
        """Run a docker command that python-on-whales has no method or not every option for; return its stdout."""
        from python_on_whales.utils import run

        _log_command("docker", *arguments)
        with _faults(action):
            command = [*self._client.docker_cmd, *arguments]
            return str(run(command, return_stderr=False, env=docker_environment()))


def run_docker(
    *argv: str,
    timeout_s: float = ANSWER_TIMEOUT_S,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a docker command for its short answer; EnvironmentFault when it cannot be started.

    In `cwd` and with `environ`, this process's own by default.

    Not through python-on-whales, which drops fields (the options and files of `buildx ls`, which show drift), and
    which takes longer to load than docker takes to answer.
    """
    result = _run_docker(*argv, timeout_s=timeout_s, cwd=cwd, environ=environ)
    return subprocess.CompletedProcess(
        argv, result.returncode, _as_text(result.stdout), _as_text(result.stderr)
    )


def _run_docker(
    *argv: str,
    timeout_s: float = ANSWER_TIMEOUT_S,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> ChildResult:
    """Do the same for an answer that may be no text."""
    _log_command(*argv)
    try:
        return run_child(
            argv,
            cwd=cwd,
            environ=docker_environment(environ),
            timeout_s=timeout_s,
            max_bytes=MAX_ANSWER_BYTES,
            own_group=False,
        )
    except ChildLimit as error:
        raise EnvironmentFault(f"{' '.join(argv[:2])} {error}", hint="try the same docker command") from error
    except FileNotFoundError as error:
        raise EnvironmentFault("there is no docker command on PATH", hint=INSTALL_DOCKER) from error
    except OSError as error:
        raise EnvironmentFault(f"{argv[0]} cannot be run: {error.strerror}", hint=INSTALL_DOCKER) from error


def _quoted(option: tuple[str, str]) -> tuple[str, str]:
    """Return a driver option as python-on-whales must get it: it joins them with `=` and commas, and quotes nothing."""
    field = as_csv(dict([option]))
    key, _, value = field.partition("=")
    return key, value


def _docker_at(endpoint: str | None) -> tuple[str, ...]:
    """Return docker's command for the engine at an endpoint of buildx."""
    if endpoint is None:
        return ("docker",)
    return ("docker", "--host" if "://" in endpoint else "--context", endpoint)


def _log_command(*argv: str) -> None:
    logger.info("+ %s", redacted_command(argv))


def _as_text(output: bytes) -> str:
    return output.decode("utf-8", "replace").replace("\r\n", "\n")


def _parsed(text: str, command: str) -> dict[str, Any]:
    with _in_form(command):
        document = json.loads(text)
        if not isinstance(document, dict):
            raise TypeError
        return document


@contextmanager
def _in_form(command: str) -> Iterator[None]:
    """Turn errors about an answer in another form into an EnvironmentFault: `docker` may be another program."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EnvironmentFault(
            f"{command}: docker's answer could not be read", hint="try the same docker command"
        ) from error


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


@contextmanager
def _faults(action: str) -> Iterator[None]:
    """Turn every error of python-on-whales into an EnvironmentFault.

    ClientNotFoundError is no DockerException, and a non-UTF-8 byte in a message surfaces as UnicodeDecodeError.
    """
    from python_on_whales.client_config import ClientNotFoundError
    from python_on_whales.exceptions import DockerException

    try:
        yield
    except ClientNotFoundError as error:
        raise EnvironmentFault("there is no docker command on PATH", hint=INSTALL_DOCKER) from error
    except DockerException as error:
        raise explained(action, (error.stderr or error.stdout or "").strip()) from error
    except (UnicodeDecodeError, ValueError) as error:
        raise EnvironmentFault(
            f"{action}: docker's answer could not be read", hint="try the same docker command"
        ) from error


def _insecure(config: Mapping[str, Any]) -> tuple[str, ...]:
    registries = config.get("IndexConfigs") or {}
    return tuple(name for name, settings in registries.items() if not settings.get("Secure", True))


def _builder(document: dict[str, Any]) -> BuilderInfo:
    return BuilderInfo(
        name=document["Name"],
        driver=document.get("Driver") or "",
        current=bool(document.get("Current")),
        error=_error_of(document),
        nodes=tuple(
            BuilderNode(
                name=node.get("Name", ""),
                endpoint=node.get("Endpoint", ""),
                status=node.get("Status", ""),
                version=node.get("Version", ""),
                platforms=_platforms_of(node),
                driver_opts=node.get("DriverOpts") or {},
                files=node.get("Files") or {},
            )
            for node in document.get("Nodes") or ()
        ),
    )


def _platforms_of(node: dict[str, Any]) -> tuple[str, ...]:
    """Return the platforms of a node: strings in newer buildx, OCI platform objects in older."""
    platforms = []
    for platform in node.get("Platforms") or ():
        if isinstance(platform, str):
            platforms.append(platform.rstrip("*"))
        else:
            parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
            platforms.append("/".join(part for part in parts if part))
    return tuple(platforms)


def _error_of(document: dict[str, Any]) -> str:
    errors = [document.get("Err"), *(node.get("Err") for node in document.get("Nodes") or ())]
    texts = [
        error if isinstance(error, str) else (error or {}).get("message", "") for error in errors if error
    ]
    return "; ".join(text for text in texts if text)
