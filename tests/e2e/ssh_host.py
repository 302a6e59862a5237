"""Machines behind ssh: a real sshd on the loopback interface, with accounts, keys and a docker of its own.

sshd runs in a mount and a PID namespace: there /etc/passwd has the accounts of the test, and the end of its first
process is that of every session, as when a machine loses power. Nothing of the developer's ~/.ssh is read or written.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from e2e.conftest import ROOT, free_port
from waiting import PATIENCE_S

NOWHERE = 65534


def openssh():
    """Return the prefix of Debian's OpenSSH, unpacked by the lab if it is missing."""
    lab = [sys.executable, "-m", "builders.lab", "ssh"]
    return Path(subprocess.run(lab, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


@dataclass(frozen=True)
class Tools:
    """Programs of that prefix, each with its libraries."""

    prefix: Path

    @property
    def environment(self):
        libraries = [f"{self.prefix}/{folder}/x86_64-linux-gnu" for folder in ("usr/lib", "lib")]
        return {"LD_LIBRARY_PATH": ":".join(libraries)}

    def key(self, path, passphrase=""):
        subprocess.run(
            [self.prefix / "usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path],
            env={**os.environ, **self.environment}, check=True,
        )  # fmt: skip
        return path


@dataclass
class SshHost:
    """A machine whose docker is the engine at `engine`, and which takes the keys in `authorized`.

    Its accounts must reach `folder` (pytest's own folders are private).

    Accounts: `build` may use docker, `norights` may not, `nodocker` has none on its PATH, `talker` has a shell that
    prints a greeting.
    """

    tools: Tools
    folder: Path
    engine: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self):
        self.folder.mkdir(parents=True)
        self.tools.key(self.folder / "host_key")
        self.authorized.touch()
        home = self.folder / "home"
        home.mkdir()
        group = self.engine.stat().st_gid
        accounts = [
            "root:x:0:0:root:/root:/bin/sh",
            f"sshd:*:{NOWHERE - 1}:{NOWHERE}::/run/sshd:/usr/sbin/nologin",
            f"build:*:61000:{group}::{home}:/bin/sh",
            f"norights:*:61001:61001::{home}:/bin/sh",
            f"nodocker:*:61002:{group}::{home}:/bin/sh",
            f"talker:*:61003:{group}::{home}:{self.folder}/greeting-shell",
        ]
        (self.folder / "passwd").write_text("".join(f"{line}\n" for line in accounts))
        greeting = self.folder / "greeting-shell"
        greeting.write_text('#!/bin/sh\necho "welcome to the machine"\nexec /bin/sh "$@"\n')
        greeting.chmod(0o755)
        (self.folder / "sshd_config").write_text(self._config())

    @property
    def authorized(self):
        return self.folder / "authorized_keys"

    @property
    def host_key(self):
        """Return its public key as a line of known_hosts."""
        return f"[127.0.0.1]:{self.port} {(self.folder / 'host_key.pub').read_text()}"

    def address(self, account="build"):
        return f"ssh://{account}@127.0.0.1:{self.port}"

    def _config(self):
        docker = shutil.which("docker")
        assert docker is not None
        where = f"DOCKER_HOST=unix://{self.engine}"
        return (
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host_key\nPidFile none\nUsePAM no\n"
            "StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"AuthorizedKeysFile {self.authorized}\n"
            f"Match User nodocker\n  SetEnv PATH=/nonexistent\n"
            f"Match All\n  SetEnv PATH={Path(docker).parent}:/usr/bin:/bin {where}\n"
        )

    def start(self):
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)  # where sshd locks in what has no rights yet
        sshd = self.tools.prefix / "usr/sbin/sshd"
        script = (
            f"mount --bind {self.folder}/passwd /etc/passwd && exec {sshd} -D -e -f {self.folder}/sshd_config"
        )
        # Ends with this process too, however that ends.
        namespaces = [
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        ]
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*namespaces, "sh", "-c", script],
                env={**os.environ, **self.tools.environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "sshd.log").read_text()
            assert time.monotonic() < end, "sshd does not listen"
            time.sleep(0.05)

    def _answers(self):
        with socket.socket() as client, contextlib.suppress(OSError):
            client.settimeout(5)
            client.connect(("127.0.0.1", self.port))
            return client.recv(4) == b"SSH-"
        return False

    def power_off(self):
        """End sshd and every session at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self):
        """Stop sshd and every session: connections stay, and nothing answers, as when a cable is pulled."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def sessions(self):
        """Return the pids of sshd's processes for the sessions that there are."""
        return [
            pid for pid in self._processes() if "sshd: " in _command(pid) and "listener" not in _command(pid)
        ]

    def _processes(self):
        """Return the pids below `unshare`, parents first."""
        assert self._process is not None
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                pid = int(folder.name)
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(pid)
        found: list[int] = []
        pending = [self._process.pid]
        while pending:
            below = children.get(pending.pop(), [])
            found += below
            pending += below
        return found


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""


@dataclass
class SshClient:
    """An account's ssh: its configuration, the keys it offers and the hosts it knows; `env` leads docker to it."""

    tools: Tools
    folder: Path
    key: Path

    def __post_init__(self):
        self.folder.mkdir(parents=True)
        self.known.touch()
        (self.folder / "config").write_text(
            f"Host *\n  IdentityFile {self.key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.known}\n  GlobalKnownHostsFile /dev/null\n"
        )
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir()
        library = self.tools.environment["LD_LIBRARY_PATH"]
        program.write_text(
            f"#!/bin/sh\nexport LD_LIBRARY_PATH={library}\n"
            f'exec {self.tools.prefix}/usr/bin/ssh -F {self.folder}/config "$@"\n'
        )
        program.chmod(0o755)

    @property
    def known(self):
        return self.folder / "known_hosts"

    @property
    def env(self):
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def know(self, *hosts):
        self.known.write_text("".join(host.host_key for host in hosts))
        return self
