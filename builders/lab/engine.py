"""The Docker engine: the machine's own if it is usable, else one of the lab's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket as sockets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from builders.lab import bridge, mounts, process
from builders.lab.paths import DEFAULT_SOCKET, Lab, LabError
from builders.lab.process import say, succeeds

FIRST = "engine"
START_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One dockerd of the lab with configuration, socket and data of its own.

    `disk` is the size of a small disk for its data (in memory, in mount(8)'s notation: "200m"); None: the lab's disk.
    """

    lab: Lab
    name: str
    disk: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,8}", self.name) or self.name == "registry":
            raise LabError(f"{self.name!r} cannot name an engine", "up to 9 of a-z0-9, a letter first")

    @property
    def record(self) -> Path:
        """Return the file with its pid and start time."""
        return self.lab.run / f"{self.name}.json"

    @property
    def config(self) -> Path:
        """Return its configuration file."""
        return self.lab.run / f"{self.name}-dockerd.json"

    @property
    def socket(self) -> Path:
        """Return its own socket."""
        return self.lab.run / f"{self.name}.sock"

    @property
    def exec_root(self) -> Path:
        """Return the directory of its state while it runs."""
        return self.lab.run / self.name

    @property
    def data_root(self) -> Path:
        """Return the directory of its images, containers and build cache."""
        return self.lab.home / "data" / self.name

    @property
    def log(self) -> Path:
        """Return its log file."""
        return self.lab.home / "log" / f"{self.name}.log"


def running(lab: Lab) -> tuple[Engine, ...]:
    """Return the lab's configured engines, the first one last."""
    names = [path.name.removesuffix("-dockerd.json") for path in lab.run.glob("*-dockerd.json")]
    return tuple(Engine(lab=lab, name=name) for name in sorted(names, key=lambda name: (name == FIRST, name)))


def is_usable() -> bool:
    """Whether the docker command reaches an engine that builds many platforms: the containerd image store is on."""
    return "io.containerd.snapshotter" in _docker_info("{{json .DriverStatus}}")


def address(engine: Engine) -> str | None:
    """Return the DOCKER_HOST of this engine; None if the docker command reaches it without."""
    if _docker_info("{{.DockerRootDir}}").strip() == str(engine.data_root):
        return None
    return f"unix://{engine.socket}"


def _docker_info(template: str) -> str:
    try:
        done = subprocess.run(
            ["docker", "info", "--format", template],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def up(engine: Engine) -> None:
    """Start it unless it runs; the first one also at the default socket if that is free."""
    if process.alive(engine.record) is not None and _answers(engine.socket):
        return
    process.stop(engine.record)
    _clear_remains(engine)
    hosts = [engine.socket]
    if engine.name == FIRST and not _has_listener(DEFAULT_SOCKET):
        hosts.append(DEFAULT_SOCKET)
    for stale in hosts:
        stale.parent.mkdir(parents=True, exist_ok=True)
        stale.unlink(missing_ok=True)
    mounts.cgroups(engine.lab)
    if engine.disk is not None:
        mounts.memory(engine.data_root, engine.disk)
    say(f"starting dockerd ({engine.name})")
    _write_config(engine, hosts)
    process.start(
        engine.record,
        [f"{engine.lab.prefix}/usr/sbin/dockerd", f"--config-file={engine.config}"],
        log=engine.log,
        env=engine.lab.environment(),
    )
    process.wait_until(
        lambda: _answers(engine.socket) or process.alive(engine.record) is None, START_TIMEOUT_S
    )
    if not _answers(engine.socket):
        lines = engine.log.read_text(errors="replace").splitlines()[-8:]
        process.stop(engine.record)
        raise LabError("dockerd did not start:\n  " + "\n  ".join(lines), f"its whole log is {engine.log}")


def _write_config(engine: Engine, hosts: list[Path]) -> None:
    settings: dict[str, object] = {
        "features": {"containerd-snapshotter": True},
        "data-root": str(engine.data_root),
        "exec-root": str(engine.exec_root),
        "pidfile": str(engine.exec_root / "docker.pid"),
        "hosts": [f"unix://{socket}" for socket in hosts],
    }
    if DEFAULT_SOCKET not in hosts:
        # Another engine owns docker0 and the packet filter.
        settings["bridge"] = bridge.name(engine.name)
        bridge.make(bridge.name(engine.name))
    if DEFAULT_SOCKET not in hosts or not _iptables_works(engine.lab):
        settings |= {"iptables": False, "ip6tables": False}
    engine.config.write_text(json.dumps(settings, indent=2))


def _iptables_works(lab: Lab) -> bool:
    """Whether dockerd's rules can be added: they need the nat table and the addrtype match."""
    rule = ["-m", "addrtype", "--dst-type", "LOCAL", "-j", "RETURN"]
    environ = lab.environment()
    added = succeeds(["iptables", "-t", "nat", "-A", "PREROUTING", *rule], env=environ)
    return added and succeeds(["iptables", "-t", "nat", "-D", "PREROUTING", *rule], env=environ)


def _has_listener(socket: Path) -> bool:
    """Whether a process listens there, however slowly it answers."""
    with sockets.socket(sockets.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
        return True


def _answers(socket: Path) -> bool:
    """Whether an engine answers at a socket; without the docker command, which takes longer."""
    if not socket.exists():
        return False
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = sockets.socket(sockets.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(socket))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def down(engine: Engine) -> None:
    """Stop it, and remove what a killed daemon leaves: containerd, sockets, mounts, its bridge."""
    if process.stop(engine.record):
        say(f"stopped dockerd ({engine.name})")
    _clear_remains(engine)
    bridge.remove(bridge.name(engine.name))
    at_default = engine.config.exists() and str(DEFAULT_SOCKET) in engine.config.read_text()
    if at_default and not _has_listener(DEFAULT_SOCKET):
        DEFAULT_SOCKET.unlink(missing_ok=True)
    engine.socket.unlink(missing_ok=True)
    engine.config.unlink(missing_ok=True)
    if not mounts.below(engine.exec_root):
        shutil.rmtree(engine.exec_root, ignore_errors=True)


def _clear_remains(engine: Engine) -> None:
    """End what outlived dockerd (a second containerd would wait for the first one's lock) and remove its files."""
    for pid in _orphans(engine):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait_until(lambda: not _orphans(engine), 5.0)
    mounts.unmount_at(engine.exec_root, engine.data_root)
    for pid_file in (engine.exec_root / "docker.pid", engine.exec_root / "containerd" / "containerd.pid"):
        pid_file.unlink(missing_ok=True)


def _orphans(engine: Engine) -> tuple[int, ...]:
    """Return dockerd, containerd and shims of this engine: the lab's programs whose argv has its directory."""
    pids = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            program = (folder / "exe").readlink()
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if program.is_relative_to(engine.lab.home) and refers_to(engine, words):
            pids.append(int(folder.name))
    return tuple(pids)


def refers_to(engine: Engine, words: list[str]) -> bool:
    """Whether an argv has the engine's configuration or a path in its run directory."""
    values = [Path(word.rpartition("=")[2]) for word in words]
    return any(value == engine.config or value.is_relative_to(engine.exec_root) for value in values)
