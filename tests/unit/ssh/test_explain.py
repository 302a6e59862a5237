"""Each row of the table with messages copied from OpenSSH 9.2 and 10, docker 20 to 28, and shells."""

import pytest

from multibuild.ssh import explain
from multibuild.ssh.destination import Destination
from multibuild.ssh.explain import explain_ssh

HERE = Destination.parse("ssh://build@arm64-host:2222")

# fmt: off
ROWS: list[tuple[str, list[str]]] = [
    ("not the one in known_hosts", [
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n…\nHost key verification failed.",
        ("Offending ED25519 key in /home/a/.ssh/known_hosts:3\nHost key for arm64-host has changed and you have requested "
        "strict checking.\nHost key verification failed."),
    ]),
    ("not known here", [
        "Host key verification failed.",
        "No ED25519 host key is known for [arm64-host]:2222 and you have requested strict checking.",
    ]),
    ("no algorithm in common", [
        "Unable to negotiate with 192.0.2.7 port 22: no matching host key type found. Their offer: ssh-rsa",
    ]),
    ("others can read", [
        ('@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\nLoad key "/home/a/.ssh/id_ed25519": bad permissions\n'
        "build@arm64-host: Permission denied (publickey)."),
    ]),
    ("ssh configuration", [
        ("/home/a/.ssh/config: line 3: Bad configuration option: identityfil\n/home/a/.ssh/config: terminating, 1 bad "
        "configuration options"),
        "Bad owner or permissions on /home/a/.ssh/config",
    ]),
    ("second factor", [
        ('Authenticated using "publickey" with partial success.\ndebug1: Server accepts key: /home/a/.ssh/k ED25519 SHA256:x'
        "\nbuild@arm64-host: Permission denied (keyboard-interactive)."),
    ]),
    ("without its passphrase", [
        ("debug1: Server accepts key: /home/a/.ssh/id_ed25519 ED25519 SHA256:x explicit\n"
        "build@arm64-host: Permission denied (publickey)."),
        ('debug1: Server accepts key: key RSA SHA256:x agent\nsign_and_send_pubkey: signing failed for RSA "key" from agent: '
        "agent refused operation\nbuild@arm64-host: Permission denied (publickey,password)."),
    ]),
    ("more keys than", [
        "Received disconnect from 192.0.2.7 port 22:2: Too many authentication failures\nDisconnected from 192.0.2.7 port 22",
    ]),
    ("no key of this account opens the account build", [
        "build@arm64-host: Permission denied (publickey).",
        "build@arm64-host: Permission denied (publickey,gssapi-keyex,gssapi-with-mic,password).",
    ]),
    ("no host of that name", [
        "ssh: Could not resolve hostname arm64-host: Name or service not known",
        "ssh: Could not resolve hostname arm64-host: Temporary failure in name resolution",
    ]),
    ("nothing listens", ["ssh: connect to host arm64-host port 2222: Connection refused"]),
    ("does not answer", [
        "ssh: connect to host arm64-host port 2222: Connection timed out",
        "ssh: connect to host arm64-host port 2222: Operation timed out",
        "Connection timed out during banner exchange\nConnection to 127.0.0.1 port 2222 timed out",
        "Timeout, server arm64-host not responding.",
    ]),
    ("no way to it", [
        "ssh: connect to host arm64-host port 22: No route to host",
        "ssh: connect to host arm64-host port 22: Network is unreachable",
    ]),
    ("closed the connection before the login", [
        "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 192.0.2.7 port 22",
        "kex_exchange_identification: Connection closed by remote host",
        "Connection closed by 192.0.2.7 port 22",
        ("kex_exchange_identification: banner line contains invalid characters\nbanner exchange: Connection to 127.0.0.1 port "
        "5000: invalid format"),
    ]),
    ("may not run commands", ["This account is currently not available."]),
    ("may not use Docker", [
        ('permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://'
        '%2Fvar%2Frun%2Fdocker.sock/v1.50/version": dial unix /var/run/docker.sock: connect: permission denied'),
        "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
    ]),
    ("Docker does not run", [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        ("failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the daemon is "
        "running: dial unix /var/run/docker.sock: connect: no such file or directory"),
    ]),
    ("not installed there", [
        "bash: line 1: docker: command not found",
        "sh: 1: docker: not found",
        "zsh:1: command not found: docker",
        "fish: Unknown command: docker",
        "/system/bin/sh: docker: inaccessible or not found",
    ]),
    ("older than 18.09", ["docker: 'dial-stdio' is not a docker command.", "Usage:\tdocker system COMMAND\n\nManage Docker"]),
]
# fmt: on


def test_every_row_has_its_messages_in_the_order_of_the_table():
    assert len(ROWS) == len(explain._ROWS)
    for row, (words, _) in zip(explain._ROWS, ROWS, strict=True):
        assert words in row.message.format(account="the account build", login="")


@pytest.mark.parametrize(("words", "text"), [(words, text) for words, texts in ROWS for text in texts])
def test_the_reason_in_a_message(words, text):
    reason = explain_ssh(text, HERE)
    assert reason is not None
    assert words in reason.message
    assert "{" not in reason.message + reason.hint
    assert "-p 2222 build@arm64-host" in reason.hint or "{login}" not in reason.hint


def test_a_message_inside_dockers_own():
    text = (
        'error during connect: Get "http://docker.example.com/v1.51/info": command [ssh -l build -- arm64-host docker system '
        "dial-stdio] has exited with exit status 255, make sure the URL is valid, and Docker 18.09 or later is installed on "
        "the remote host: stderr=Host key verification failed."
    )
    reason = explain_ssh(text, HERE)
    assert reason is not None
    assert "not known here" in reason.message


def test_unknown_words_have_no_reason():
    assert explain_ssh("Segmentation fault", HERE) is None
    assert explain_ssh("", HERE) is None
