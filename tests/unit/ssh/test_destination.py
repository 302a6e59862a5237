import pytest

from multibuild.ssh.destination import Destination

READ = {
    "ssh://host": Destination(host="host"),
    "ssh://build@host": Destination(host="host", user="build"),
    "ssh://build@host/": Destination(host="host", user="build"),
    "ssh://build@Host-Alias:2222": Destination(host="Host-Alias", user="build", port=2222),
    "ssh://build@host/run/user/1000/docker.sock": Destination(
        host="host", user="build", socket="/run/user/1000/docker.sock"
    ),
    "ssh://build@[fe80::1]:2222": Destination(host="fe80::1", user="build", port=2222),
    "ssh://do%40main@host": Destination(host="host", user="do@main"),
}
REFUSED = {
    "tcp://host:1": "begin with ssh",
    "ssh://": "host is missing",
    "ssh:///run/docker.sock": "host is missing",
    "ssh://build:secret@host": "no password",
    "ssh://host:x": "port",
    "ssh://host:99999": "port",
    "ssh://host?a=b": "neither",
    "ssh://host#a": "neither",
    "ssh://[fe80::1": "IPv6",
}


@pytest.mark.parametrize("address", READ)
def test_what_an_address_leads_to(address):
    assert Destination.parse(address) == READ[address]


@pytest.mark.parametrize("address", REFUSED)
def test_what_docker_would_not_take_is_refused(address):
    with pytest.raises(ValueError, match=REFUSED[address]) as caught:
        Destination.parse(address)
    assert "secret" not in str(caught.value)


def test_the_arguments_are_dockers():
    destination = Destination.parse("ssh://build@host:2222")
    assert destination.arguments == ("-l", "build", "-p", "2222", "--", "host")
    assert Destination.parse("ssh://-oProxyCommand=x").arguments == ("--", "-oProxyCommand=x")


def test_an_address_as_text_and_as_a_persons_command():
    destination = Destination.parse("ssh://build@host:2222/run/docker.sock")
    assert (str(destination), destination.login) == ("build@host:2222", "-p 2222 build@host")
    assert (str(Destination.parse("ssh://host")), Destination.parse("ssh://host").login) == ("host", "host")
    assert str(Destination.parse("ssh://[fe80::1]:2222")) == "[fe80::1]:2222"
