"""The messages of ssh, and of docker behind it, as reasons with the next step.

The first row that matches decides. The words are OpenSSH's (sshconnect.c, sshconnect2.c, clientloop.c) unless noted.
"""

from __future__ import annotations

import re

from multibuild.frozen import frozen
from multibuild.ssh.destination import Destination

MAX_CHARACTERS = 16384
"""Looked at of a message, from its end: `ssh -v` writes about four thousand in all."""


@frozen
class Reason:
    """Why a machine cannot be used, as the end of a sentence that names it, and what to do."""

    message: str
    hint: str


@frozen
class _Row:
    """A pattern and its reason, in which `{login}` is what to write after `ssh` and `{account}` the account there."""

    pattern: str
    message: str
    hint: str


# fmt: off
_ROWS: tuple[_Row, ...] = (
    # The warning about a changed key ends with the words about one that is not known.
    _Row(pattern=r"REMOTE HOST IDENTIFICATION HAS CHANGED|[Hh]ost key .{0,200} has changed",
         message="its host key is not the one in known_hosts: the machine was set up anew, or another one answers",
         hint="compare the key with that machine's own, then `ssh-keygen -R` its name and `ssh {login}` once"),
    _Row(pattern=r"Host key verification failed|No \S{1,50} host key is known for",
         message="its host key is not known here",
         hint="run `ssh {login}` once and compare the fingerprint, or add the key to known_hosts"),
    _Row(pattern=r"no matching (?:host key type|key exchange method|cipher|MAC) found|Unable to negotiate with",
         message="its sshd and this ssh have no algorithm in common",
         hint="`ssh -v {login}` names them; update the older side"),
    _Row(pattern=r"UNPROTECTED PRIVATE KEY FILE",
         message="ssh ignores the key, as others can read its file", hint="`chmod 600` the key's file"),
    _Row(pattern=r"Bad configuration option|Bad owner or permissions on|terminating, \d+ bad configuration",
         message="ssh does not accept the account's ssh configuration", hint="`ssh {login}` shows what is wrong in it"),
    _Row(pattern=r"with partial success",
         message="its sshd asks for more than a key (a second factor), which needs a person",
         hint="exempt {account} from it there (sshd_config: `Match User`, `AuthenticationMethods publickey`)"),
    # ssh -v: the server would take the key, and then nothing was signed with it (sshconnect2.c, input_userauth_pk_ok).
    _Row(pattern=r"Server accepts key",
         message="the key that opens {account} cannot be used without its passphrase (or its agent's consent)",
         hint="`ssh-add` the key into an agent whose SSH_AUTH_SOCK this program has, or use a key without passphrase"),
    _Row(pattern=r"Too many authentication failures",
         message="ssh offered more keys than its sshd looks at",
         hint="name the key in ~/.ssh/config: `IdentityFile` and `IdentitiesOnly yes` for this host"),
    _Row(pattern=r"Permission denied \([\w,-]{1,200}\)",
         message="no key of this account opens {account} there, or there is no such account",
         hint="`ssh-copy-id {login}` puts one there, `ssh -v {login}` shows what is offered; passwords are not used"),
    _Row(pattern=r"Could not resolve hostname",
         message="there is no host of that name",
         hint="check its spelling, this machine's DNS, and `Host` in ~/.ssh/config"),
    _Row(pattern=r"connect to host \S+ port \d+: Connection refused",
         message="nothing listens at its ssh port", hint="start sshd there, or give the port: ssh://user@host:port"),
    _Row(pattern=r"(?:Connection|Operation) timed out|Timeout, server \S+ not responding",
         message="it does not answer",
         hint="is it running and on this network, and does a firewall let its ssh port through?"),
    _Row(pattern=r"No route to host|Network is unreachable",
         message="there is no way to it from here", hint="is it running and on this network (VPN)?"),
    # sshd drops connections beyond MaxStartups, and those of addresses that are blocked.
    _Row(pattern=r"kex_exchange_identification|ssh_exchange_identification|banner exchange"
                 r"|[Cc]onnection (?:closed|reset) by \S+ port",
         message="it closed the connection before the login",
         hint="is that port sshd's? Its log says why: too many connections at once (MaxStartups), or it blocks us"),
    _Row(pattern=r"This account is currently not available|must be run from a terminal|[Aa]ccount has expired",
         message="{account} may not run commands there", hint="give the account a shell, or use another one"),
    # Docker's words (docker/cli; 28.3 changed the first), and those of shells.
    _Row(pattern=r"permission denied while trying to connect to the [Dd]ocker",
         message="{account} may not use Docker there",
         hint="add the account to that machine's group docker (`sudo usermod -aG docker NAME`); "
              "`ssh {login} docker version` must answer"),
    _Row(pattern=r"Cannot connect to the Docker daemon|failed to connect to the docker API|docker daemon running",
         message="Docker does not run there",
         hint="start it on that machine (`systemctl start docker`); `ssh {login} docker version` must answer"),
    _Row(pattern=r"docker: (?:command |inaccessible or )?not found|(?:not found|[Uu]nknown command): docker",
         message="docker is not installed there, or not on the PATH of commands that ssh runs",
         hint="install Docker there; `ssh {login} docker version` must answer"),
    _Row(pattern=r"dial-stdio' is not a docker command|[Uu]sage:\s+docker system|unknown command \S{0,20}dial-stdio",
         message="docker there is older than 18.09", hint="update it; `ssh {login} docker version` shows it"),
)
# fmt: on


def explain_ssh(text: str, destination: Destination) -> Reason | None:
    """Return the reason in a text that ssh or docker printed; None where no row knows it."""
    text = text[-MAX_CHARACTERS:]
    account = f"the account {destination.user}" if destination.user else "the account"
    names = {"login": destination.login, "account": account}
    for row in _ROWS:
        if re.search(row.pattern, text):
            return Reason(message=row.message.format(**names), hint=row.hint.format(**names))
    return None
