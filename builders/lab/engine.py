"""The Docker engine: the machine's own when it will do, else one of the lab's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from builders.lab import process
from builders.lab.paths import DEFAULT_SOCKET, Lab, LabError
from builders.lab.process import answers, say

FIRST = "engine"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One dockerd of the lab with everything of its own."""

    lab: Lab
    name: str

    @property
    def record(self) -> Path:
        """Who it is, when it runs."""
        return self.lab.run / f"{self.name}.json"

    @property
    def socket(self) -> Path:
        """Its own socket."""
        return self.lab.run / f"{self.name}.sock"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.lab.home / "log" / f"{self.name}.log"


def good_enough(env: dict[str, str] | None = None) -> bool:
    """Whether a Docker engine answers that builds for many platforms: the containerd image store is on."""
    try:
        done = subprocess.run(
            ["docker", "info", "--format", "{{json .DriverStatus}}"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, env=env,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "io.containerd.snapshotter" in done.stdout


def up(engine: Engine, *, default_socket: bool) -> None:
    """Start it if it does not run; also at the default socket when nobody lives there."""
    if process.alive(engine.record) is not None and _answers(engine.socket):
        return
    process.stop(engine.record)
    hosts = [engine.socket]
    if default_socket and not _answers(DEFAULT_SOCKET):
        hosts.append(DEFAULT_SOCKET)
    for stale in hosts:
        stale.parent.mkdir(parents=True, exist_ok=True)
        stale.unlink(missing_ok=True)
    exec_root = engine.lab.run / engine.name
    for pid_file in (exec_root / "docker.pid", exec_root / "containerd" / "containerd.pid"):
        pid_file.unlink(missing_ok=True)
    _mount_cgroups()
    say(f"starting dockerd ({engine.name})")
    config = _write_config(engine, exec_root, hosts)
    environ = engine.lab.environment()
    process.start(
        engine.record,
        [f"{engine.lab.prefix}/usr/sbin/dockerd", f"--config-file={config}"],
        log=engine.log,
        env=environ,
    )
    if not process.wait_until(
        lambda: _answers(engine.socket) or process.alive(engine.record) is None, 60
    ) or not _answers(engine.socket):
        words = engine.log.read_text(errors="replace").splitlines()[-8:]
        process.stop(engine.record)
        raise LabError("dockerd did not start:\n  " + "\n  ".join(words), f"its whole log is {engine.log}")


def _write_config(engine: Engine, exec_root: Path, hosts: list[Path]) -> Path:
    first = engine.name == FIRST
    settings: dict[str, object] = {
        "features": {"containerd-snapshotter": True},
        "data-root": str(engine.lab.home / "data" / engine.name),
        "exec-root": str(exec_root),
        "pidfile": str(exec_root / "docker.pid"),
        "hosts": [f"unix://{socket}" for socket in hosts],
    }
    if not first:
        # Two daemons cannot share docker0; builds of a second node use the host's network.
        settings["bridge"] = "none"
    if not first or not _iptables_works(engine.lab):
        settings |= {"iptables": False, "ip6tables": False}
    path = engine.lab.run / f"{engine.name}-dockerd.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=2))
    return path


def _iptables_works(lab: Lab) -> bool:
    """Try what dockerd will do: its rules need the nat table and the addrtype match."""
    rule = ["-m", "addrtype", "--dst-type", "LOCAL", "-j", "RETURN"]
    environ = lab.environment()
    added = answers(["iptables", "-t", "nat", "-A", "PREROUTING", *rule], env=environ)
    return added and answers(["iptables", "-t", "nat", "-D", "PREROUTING", *rule], env=environ)


def _mount_cgroups() -> None:
    if not any(Path("/sys/fs/cgroup").iterdir()):
        process.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], hint="dockerd needs control groups")


def _answers(socket: Path) -> bool:
    """Whether an engine answers at a socket; asked without the docker command, which takes longer."""
    import http.client
    import socket as sockets

    if not socket.exists():
        return False
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = sockets.socket(sockets.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(socket))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def link_commands(lab: Lab) -> None:
    """Make `docker` and `docker buildx` work for the person: a link each where they are missing, noted for `down`."""
    links = []
    if shutil.which("docker") is None:
        links.append((Path("/usr/local/bin/docker"), lab.prefix / "usr" / "bin" / "docker"))
    for link, target in links:
        _link(lab, link, target)
    if not answers(["docker", "buildx", "version"]):
        plugins = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
        _link(
            lab,
            plugins / "docker-buildx",
            lab.prefix / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-buildx",
        )


def _link(lab: Lab, link: Path, target: Path) -> None:
    say(f"linking {link}")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    with (lab.home / "links").open("a") as notes:
        notes.write(f"{link}\n")


def unlink_commands(lab: Lab) -> None:
    """Take away the links that `up` made, if they are still ours."""
    notes = lab.home / "links"
    for line in notes.read_text().splitlines() if notes.exists() else ():
        link = Path(line)
        if link.is_symlink() and str(link.readlink()).startswith(str(lab.prefix)):
            link.unlink()
    notes.unlink(missing_ok=True)


def down(engine: Engine) -> None:
    """Stop it, with what a killed daemon leaves: containerd, sockets, mounts."""
    if process.stop(engine.record):
        say(f"stopped dockerd ({engine.name})")
    _end_orphans(engine)
    _unmount_below(engine.lab.run / engine.name, engine.lab.home / "data" / engine.name)
    engine.socket.unlink(missing_ok=True)
    if engine.name == FIRST and not _answers(DEFAULT_SOCKET) and DEFAULT_SOCKET.is_socket():
        DEFAULT_SOCKET.unlink()


def _end_orphans(engine: Engine) -> None:
    """End containerd and shims of this engine that outlived it: their argv names its run directory."""
    mark = str(engine.lab.run / engine.name) + "/"
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if mark in words and "containerd" in words:
                os.kill(int(folder.name), 9)


def _unmount_below(*roots: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if any(mount.startswith(f"{root}/") for root in roots):
            answers(["umount", "-l", mount])
