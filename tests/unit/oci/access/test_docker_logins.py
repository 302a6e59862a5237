"""Credentials as Docker has them: files, helpers, the environment, and what none of them may cost or show."""

import base64
import json
import os

import pytest

from multibuild.errors import EnvironmentFault
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.docker_logins import credentials_for


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(document):
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "config.json").write_text(text)

    return write


def helper(tmp_path, monkeypatch, name, script):
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def basic(pair):
    return {"auth": base64.b64encode(pair.encode()).decode()}


def test_logins_are_read_from_the_file(config):
    config(
        {
            "auths": {
                "localhost:5000": basic("me:pass:word"),
                "https://index.docker.io/v1/": basic("hub:x"),
                "t.example.org": {"identitytoken": "idt"},
                "empty.example.org": {},
            }
        }
    )
    assert credentials_for("localhost:5000") == Credentials(username="me", secret="pass:word")
    assert credentials_for("docker.io") == Credentials(username="hub", secret="x")
    assert credentials_for("t.example.org") == Credentials(username="", secret="", identity_token="idt")
    assert credentials_for("empty.example.org") is credentials_for("r.example.org") is None


def test_without_a_file_there_is_no_login(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert credentials_for("r.example.org") is None


def test_credential_helpers_are_called(config, tmp_path, monkeypatch):
    answer = """read host; echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"for $host\\"}" """
    helper(tmp_path, monkeypatch, "good", answer)
    config({"credHelpers": {"r.example.org": "good"}, "auths": {"other.example.org": basic("me:x")}})
    expected = Credentials(username="", secret="", identity_token="for r.example.org")
    assert credentials_for("r.example.org") == expected
    assert credentials_for("other.example.org") == Credentials(username="me", secret="x")


@pytest.mark.parametrize(
    "script",
    ["exit 1", "echo 'pinentry: s3cret gone' >&2; exit 2", "echo '{\"a\": 1}'", "echo no JSON s3cret"],
)
def test_a_broken_helper_is_an_error_without_its_secrets(config, tmp_path, monkeypatch, script):
    helper(tmp_path, monkeypatch, "broken", script)
    config({"credsStore": "broken"})
    with pytest.raises(EnvironmentFault, match=r"r\.example\.org") as caught:
        credentials_for("r.example.org")
    assert caught.value.hint
    assert "s3cret" not in caught.value.message


def test_a_missing_helper_is_an_error(config):
    config({"credsStore": "nowhere-to-be-found"})
    with pytest.raises(EnvironmentFault, match="nowhere-to-be-found"):
        credentials_for("r.example.org")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": {"r.example.org": {"auth": "c2VjcmV0LXdvcmQ="}}}', "\x00"]
)
def test_a_broken_file_is_an_error_without_its_secrets(config, text):
    config(text)
    with pytest.raises(EnvironmentFault) as caught:
        credentials_for("r.example.org")
    assert "secret-word" not in caught.value.message


def test_repr_of_credentials_shows_no_secret():
    text = repr(Credentials(username="me", secret="s3cret", identity_token="t0ken"))
    assert "s3cret" not in text
    assert "t0ken" not in text


# -- helpers and files that do not behave


SECRETS = ("s3cret", "c2VjcmV0LXdvcmQ", "secret-word")
LIMITS = {"timeout_s": 1.0}


def lookup_error(host="r.example.org", **limits):
    """Return the error of a look-up, which shows no secret."""
    with pytest.raises(EnvironmentFault) as caught:
        credentials_for(host, **limits)
    text = f"{caught.value.message} {caught.value.hint}"
    assert not any(secret in text for secret in SECRETS), text
    assert len(text) < 1000
    assert "\x1b" not in text
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo s3cret; exit 1", "exit code 1"),
        ("echo s3cret >&2; exit 3", "exit code 3"),
        ("echo 'error getting credentials - s3cret'; exit 1", "exit code 1"),
        ("printf '\\033[31ms3cret\\377'; exit 1", "exit code 1"),
        ("printf '\\377\\376'", "not in the form"),
        ("echo s3cret", "not in the form"),
        ("echo '[\"s3cret\"]'", "not in the form"),
        ('echo \'{"Username": "s3cret"}\'', "not in the form"),
        ('echo \'{"Username": 1, "Secret": "s3cret"}\'', "not in the form"),
        ('echo \'{"Username": "a", "Secret": ["s3cret"]}\'', "not in the form"),
        ("yes '[' | head -c 60000 | tr -d '\\n'", "not in the form"),
        ("printf '{\"Username\": 9'; yes 9 | head -c 60000 | tr -d '\\n'; echo '}'", "not in the form"),
        ("exec cat /dev/zero", "prints more than"),
        ("exec cat /dev/zero >&2", "prints more than"),
        ("kill -9 $$", "signal 9"),
        ("cat > /dev/null; echo", "not in the form"),
    ],
)
def test_a_helper_that_fails_is_named_and_not_quoted(config, tmp_path, monkeypatch, script, message):
    helper(tmp_path, monkeypatch, "odd", script)
    config({"credHelpers": {"r.example.org": "odd"}})
    error = lookup_error()
    assert "docker-credential-odd" in error.message
    assert message in error.message


def test_a_helper_that_hangs_is_ended_with_what_it_started(config, tmp_path, monkeypatch):
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    helper(tmp_path, monkeypatch, "slow", f"trap '' TERM; sleep 300 > {alive} & wait; wait")
    config({"credsStore": "slow"})
    # A reader of a FIFO sees its end once no process has it open for writing any more.
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    assert "does not answer within 1.0s" in lookup_error(**LIMITS).message
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_what_a_helper_leaves_behind_is_not_waited_for(config, tmp_path, monkeypatch):
    helper(tmp_path, monkeypatch, "agent", 'sleep 30 & echo \'{"Username": "me", "Secret": "x"}\'')
    config({"credsStore": "agent"})
    assert credentials_for("r.example.org", timeout_s=20.0) == Credentials(username="me", secret="x")


@pytest.mark.parametrize("name", ["../x", "/bin/x", "a/b", "x y", "x;y", ".", "-x", "a\nb", "ä", "a" * 300])
@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_helper_with_a_path_in_its_name_is_refused(config, tmp_path, monkeypatch, key, name):
    (tmp_path / "docker-credential-a").mkdir()
    monkeypatch.chdir(tmp_path)
    config({key: name if key == "credsStore" else {"r.example.org": name}})
    assert "is no name of a credential helper" in lookup_error().message


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_helper_that_cannot_be_started_is_an_error(config, tmp_path, monkeypatch, mode):
    helper(tmp_path, monkeypatch, "plain", "exit 0")
    program = tmp_path / "bin" / "docker-credential-plain"
    program.write_text("no program\n" if mode == 0o644 else "#!/nonexistent/sh\n")
    program.chmod(mode)
    config({"credsStore": "plain"})
    assert "docker-credential-plain" in lookup_error().message


@pytest.mark.parametrize(
    "script",
    [
        "echo 'credentials not found in native keychain'; exit 1",
        "printf 'credentials not found in native keychain'; exit 1",
        "echo 'credentials not found in native keychain'",
        "echo 'error getting credentials - err: exit status 1, out: `credentials not found in native keychain`'; exit 1",
        """echo '{"ServerURL": "r", "Username": "", "Secret": ""}'""",
    ],
)
def test_a_helper_without_a_login_means_that_there_is_none(config, tmp_path, monkeypatch, script):
    """The file's own login is not used then (docker/cli, native_store.go): someone moved it into the helper."""
    helper(tmp_path, monkeypatch, "empty", script)
    config({"credsStore": "empty", "auths": {"r.example.org": basic("me:x"), "q.example.org": {}}})
    assert credentials_for("q.example.org") is None
    assert credentials_for("r.example.org") is None


DOCUMENTS = {
    "auths of a list": {"auths": []},
    "auths of a text": {"auths": "s3cret"},
    "an entry of a text": {"auths": {"r.example.org": "s3cret"}},
    "an entry of a number": {"auths": {"r.example.org": 5}},
    "a login of a number": {"auths": {"r.example.org": {"auth": 5}}},
    "a login that is no base64": {"auths": {"r.example.org": {"auth": "s3cret!"}}},
    "a login in another alphabet": {"auths": {"r.example.org": {"auth": "ü"}}},
    "a login without a colon": {"auths": {"r.example.org": basic("secret-word")}},
    "a login without a name": {"auths": {"r.example.org": basic(":secret-word")}},
    "a name of a list": {"auths": {"r.example.org": {"username": ["s3cret"], "password": "x"}}},
    "a token of a list": {"auths": {"r.example.org": {"identitytoken": ["s3cret"]}}},
    "helpers of a list": {"credHelpers": ["s3cret"]},
    "helpers of a text": {"credHelpers": "s3cret"},
    "a helper of a number": {"credHelpers": {"r.example.org": 5}},
    "a helper of a list": {"credHelpers": {"r.example.org": ["s3cret"]}},
    "a store of a number": {"credsStore": 5},
    "a store of a mapping": {"credsStore": {"a": "s3cret"}},
    "no JSON": '{"auths": s3cret}',
    "a list": "[]",
    "a number": "5",
    "deep lists": '{"auths": ' + "[" * 100_000,
    "a huge number": '{"auths": {"r.example.org": {"auth": ' + "9" * 10_000 + "}}}",
    "UTF-16": '{"auths": {}}'.encode("utf-16"),
    "NUL": "\x00" * 50,
    "more than a config has": '{"auths": {}, "x": "' + "x" * 2_000_000 + '"}',
}  # fmt: skip


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_config_of_docker_in_another_form_is_an_error(config, tmp_path, case):
    document = DOCUMENTS[case]
    if isinstance(document, bytes):
        (tmp_path / "config.json").write_bytes(document)
    else:
        config(document)
    assert str(tmp_path / "config.json") in lookup_error().message


@pytest.mark.parametrize(
    "document",
    [
        {"auths": {"other.example.org": {"auth": "!"}, "r.example.org": basic("me:x")}},
        {"auths": {"https://r.example.org/v1/": basic("me:x")}},
        {"auths": {"http://r.example.org": basic("me:x")}},
        {"auths": {"r.example.org": {"username": "me", "password": "x"}}},
        {"auths": {"r.example.org": {**basic("me:x"), "email": None}}, "credsStore": "", "credHelpers": {}},
        {"auths": {"r.example.org": basic("me:x")}, "credHelpers": None, "proxies": 5, "HttpHeaders": []},
    ],
)
def test_odd_but_valid_logins_are_read(config, document):
    config(document)
    assert credentials_for("r.example.org") == Credentials(username="me", secret="x")


def _loop(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir(), _loop]
)
def test_a_config_of_docker_that_is_no_regular_file_is_an_error(tmp_path, monkeypatch, make):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    make(tmp_path / "config.json")
    assert "cannot be read" in lookup_error().message


@pytest.mark.parametrize(
    "environ", [{"DOCKER_CONFIG": "/nonexistent"}, {"HOME": "/nonexistent"}, {"HOME": ""}]
)
def test_without_docker_configured_there_is_no_login(monkeypatch, environ):
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    if "DOCKER_CONFIG" in environ or environ["HOME"]:
        assert credentials_for("r.example.org") is None
    else:
        credentials_for("unknown.example.org")


# -- the forms that docker reads, and those that it does not

LOGIN = Credentials(username="me", secret="x")


@pytest.mark.parametrize("home", [True, False])
def test_docker_config_alone_says_where_logins_are(tmp_path, monkeypatch, home):
    """The login of ~/.docker is not sent where DOCKER_CONFIG names another folder, with a config.json or without."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {"r.example.org": basic("me:x")}}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    assert credentials_for("r.example.org") == LOGIN
    other = tmp_path / "other"
    if not home:
        other.mkdir()
    for folder in (other, tmp_path / ".docker" / "config.json", tmp_path / "nowhere"):
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        assert credentials_for("r.example.org") is None
    monkeypatch.setenv("DOCKER_CONFIG", "")
    assert credentials_for("r.example.org") == LOGIN


@pytest.mark.parametrize(
    "variable", ["REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG_FILE"]
)
def test_the_logins_of_other_tools_are_not_read(tmp_path, monkeypatch, variable):
    """Podman's auth.json, which crane reads where there is no config of docker."""
    path = tmp_path / "containers" / "auth.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"auths": {"r.example.org": basic("me:x")}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv(variable, str(path if variable.endswith("FILE") else tmp_path))
    assert credentials_for("r.example.org") is None


ENTRIES = {
    "a name and a password": ({"username": "me", "password": "x"}, LOGIN),
    "auth before them": ({**basic("me:x"), "username": "other", "password": "y"}, LOGIN),
    "an empty auth": ({"auth": "", "username": "me", "password": "x"}, LOGIN),
    "a name alone": ({"username": "me"}, None),
    "no password": (basic("me:"), None),
    "null": (None, None),
    "colons in the password": (basic("me:a:b:"), Credentials(username="me", secret="a:b:")),
    "a newline in the password": (basic("me:x\n"), Credentials(username="me", secret="x\n")),
    "NULs around the password": (basic("me:\0x\0\0"), LOGIN),
    "lines of base64": ({"auth": "bWU6\r\neA==\n"}, LOGIN),
    "bytes of no UTF-8": (
        {"auth": base64.b64encode(b"me:\xff").decode()},
        Credentials(username="me", secret="\udcff"),
    ),
    "half a surrogate": (
        {"username": "me", "password": "\ud800"},
        Credentials(username="me", secret="\ufffd"),
    ),
    "names in other cases": ({"Username": "me", "PASSWORD": "x"}, LOGIN),
    "an identity token": (
        {**basic("me:x"), "identitytoken": "idt"},
        Credentials(username="me", secret="x", identity_token="idt"),
    ),
    "a registry token": ({"registrytoken": "rt"}, Credentials(username="", secret="", registry_token="rt")),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_the_forms_of_an_entry(config, case):
    entry, expected = ENTRIES[case]
    config({"auths": {"r.example.org": entry}})
    assert credentials_for("r.example.org") == expected


@pytest.mark.parametrize(
    "auth", ["bWU6eA", "bWU6eA=", "bWU6 eA==", "bWU6eA==x", "bWU6eA==\0", "bWU6eA__", "me:x"]
)
def test_base64_that_docker_does_not_read_is_an_error(config, auth):
    config({"auths": {"r.example.org": {"auth": auth}}})
    assert "docker login" in str(lookup_error().hint)


KEYS = {
    "https://r.example.org": "r.example.org",
    "https://r.example.org/": "r.example.org",
    "https://r.example.org/v1/": "r.example.org",
    "http://r.example.org/v2/": "r.example.org",
    "r.example.org/v2": "r.example.org",
    "r.example.org/team/app": "r.example.org",
    "https://me@r.example.org/v1/": "r.example.org",
    "https://r.example.org:5000/v1/": "r.example.org:5000",
    "https://r.example.org:/v1/": "r.example.org",
    "r.example.org:5000": "r.example.org:5000",
    "http://[fd00::1]:5000/v2/": "[fd00::1]:5000",
    "https://index.docker.io/v1/": "docker.io",
}


@pytest.mark.parametrize("key", KEYS)
def test_the_addresses_of_a_registry(config, key):
    config({"auths": {key: basic("me:x")}})
    assert credentials_for(KEYS[key]) == LOGIN
    others = {"r.example.org", "r.example.org:5000", "example.org", "docker.io", "org"} - {KEYS[key]}
    assert [credentials_for(other) for other in others] == [None] * len(others)


@pytest.mark.parametrize(
    "key",
    ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v2/", "hub.docker.com"],
)
def test_docker_hub_has_one_address(config, key):
    config({"auths": {key: basic("me:x")}, "credHelpers": {"docker.io": "none-such"}})
    assert credentials_for("docker.io") is None


def test_an_exact_key_comes_before_an_address(config):
    config({"auths": {"https://r.example.org/v1/": basic("old:x"), "r.example.org": basic("me:x")}})
    assert credentials_for("r.example.org") == LOGIN
    config({"auths": {"https://r.example.org/v1/": basic("old:x"), "r.example.org": {}}})
    assert credentials_for("r.example.org") is None


FILES = {
    "nothing": ("", None),
    "blanks": (" \n\t", None),
    "null": ("null", None),
    "more after it": ('{"auths": {"r.example.org": {"auth": "bWU6eA=="}}} and more', LOGIN),
    "two objects": ('{"auths": {"r.example.org": {"auth": "bWU6eA=="}}}{"auths": {}}', LOGIN),
    "names in other cases": ('{"Auths": {"r.example.org": {"Auth": "bWU6eA=="}}}', LOGIN),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_read_as_go_reads_it(config, case):
    text, expected = FILES[case]
    config(text)
    assert credentials_for("r.example.org") == expected


def test_a_byte_order_mark_is_named(config):
    config('\ufeff{"auths": {}}')
    assert "byte order mark" in lookup_error().message


def test_an_unreadable_file_is_an_error(config, tmp_path, monkeypatch):
    config({"auths": {}})
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    monkeypatch.setenv("DOCKER_CONFIG", str(loop))
    assert "cannot be read" in lookup_error().message


def test_an_empty_helper_is_none_whatever_the_store(config, tmp_path, monkeypatch):
    """docker/cli, getConfiguredCredentialStore: what credHelpers has for a registry counts, also if it is empty."""
    helper(tmp_path, monkeypatch, "store", 'echo \'{"Username": "store", "Secret": "y"}\'')
    document = {"credsStore": "store", "auths": {"r.example.org": basic("me:x")}}
    config(document)
    assert credentials_for("r.example.org") == Credentials(username="store", secret="y")
    config({**document, "credHelpers": {"r.example.org": ""}})
    assert credentials_for("r.example.org") == LOGIN


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"ServerURL":"","Username":"me","Secret":"x"}\n', LOGIN),
        ('{"username":"me","secret":"x"} trailing words', LOGIN),
        ('{"Username":"<token>","Secret":"idt"}', Credentials(username="", secret="", identity_token="idt")),
        ('{"Username":"me","Secret":""}', None),
        ('{"Username":"me","Secret":"x","Expires":"soon"}', LOGIN),
    ],
)
def test_the_answers_of_helpers(config, tmp_path, monkeypatch, answer, expected):
    helper(tmp_path, monkeypatch, "good", f"cat <<'END'\n{answer}\nEND")
    config({"credsStore": "good"})
    assert credentials_for("r.example.org") == expected


def test_a_helper_whose_store_is_locked_is_warned_of(config, tmp_path, monkeypatch):
    helper(tmp_path, monkeypatch, "pass", 'echo \'{"ServerURL": "r", "Username": "me", "Secret": ""}\'')
    config({"credsStore": "pass"})
    warnings: list[str] = []
    assert credentials_for("r.example.org", warn=warnings.append) is None
    assert ["docker-credential-pass" in text and "locked" in text for text in warnings] == [True]


def test_a_helper_is_asked_for_docker_hub_by_its_address(config, tmp_path, monkeypatch):
    helper(
        tmp_path,
        monkeypatch,
        "echo",
        'read host; echo "{\\"Username\\": \\"me\\", \\"Secret\\": \\"$host\\"}"',
    )
    config({"credHelpers": {"https://index.docker.io/v1/": "echo"}})
    assert credentials_for("docker.io") == Credentials(username="me", secret="https://index.docker.io/v1/")


# -- DOCKER_AUTH_CONFIG


def environment(monkeypatch, document):
    text = document if isinstance(document, str) else json.dumps(document)
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", text)


def test_logins_of_the_environment_come_first(config, tmp_path, monkeypatch):
    helper(tmp_path, monkeypatch, "store", 'echo \'{"Username": "store", "Secret": "y"}\'')
    config({"credsStore": "store", "auths": {"r.example.org": basic("file:x")}})
    environment(
        monkeypatch,
        {"auths": {"r.example.org": basic("me:x"), "https://index.docker.io/v1/": basic("hub:x")}},
    )
    assert credentials_for("r.example.org") == LOGIN
    assert credentials_for("docker.io") == Credentials(username="hub", secret="x")
    assert credentials_for("other.example.org") == Credentials(username="store", secret="y")


def test_logins_of_the_environment_need_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    environment(monkeypatch, {"auths": {"r.example.org": basic("me:x")}})
    assert credentials_for("r.example.org") == LOGIN
    assert credentials_for("https://r.example.org") is None


def test_a_broken_file_does_not_matter_to_a_login_of_the_environment(config, monkeypatch):
    config("{")
    environment(monkeypatch, {"auths": {"r.example.org": basic("me:x")}})
    assert credentials_for("r.example.org") == LOGIN


ENVIRONMENTS = {
    "no JSON": ("{", "no JSON"),
    "words": ("s3cret", "no JSON"),
    "deep lists": ("[" * 50_000, "no JSON"),
    "a list": ("[]", "not one JSON object"),
    "two objects": ('{"auths": {}} {"auths": {}}', "not one JSON object"),
    "helpers": ({"auths": {}, "credHelpers": {"r.example.org": "s3cret"}}, "more than `auths`"),
    "a store": ({"credsStore": "s3cret"}, "more than `auths`"),
    "a list of auths": ({"auths": ["s3cret"]}, "`auths`"),
    "an entry of a text": ({"auths": {"r.example.org": "s3cret"}}, "an entry"),
    "a name and a password": (
        {"auths": {"r.example.org": {"username": "me", "password": "s3cret"}}},
        "`auth`",
    ),
    "an identity token": ({"auths": {"r.example.org": {"identitytoken": "s3cret"}}}, "`auth`"),
    "no auth": ({"auths": {"r.example.org": {}}}, "`auth`"),
    "auth of a number": ({"auths": {"r.example.org": {"auth": 5}}}, "`auth`"),
    "no base64": ({"auths": {"r.example.org": {"auth": "s3cret"}}}, "`auth`"),
    "no colon": ({"auths": {"r.example.org": basic("secret-word")}}, "`auth`"),
    "one broken entry": ({"auths": {"r.example.org": basic("me:y"), "q.example.org": {}}}, "`auth`"),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_an_environment_that_docker_does_not_read_is_warned_of(config, monkeypatch, case):
    """docker warns and goes on with config.json; so GitLab's wider form of the variable stops nothing."""
    document, words = ENVIRONMENTS[case]
    config({"auths": {"r.example.org": basic("me:x")}})
    environment(monkeypatch, document)
    warnings: list[str] = []
    assert credentials_for("r.example.org", warn=warnings.append) == LOGIN
    assert len(warnings) == 1
    assert warnings[0].startswith("DOCKER_AUTH_CONFIG is not used")
    assert words in warnings[0]
    assert not any(secret in warnings[0] for secret in SECRETS)


@pytest.mark.parametrize("text", ["", " ", "{}", "null", '{"auths": {}}', '{"auths": null}'])
def test_an_empty_environment_is_no_warning(config, monkeypatch, text):
    config({"auths": {"r.example.org": basic("me:x")}})
    environment(monkeypatch, text)
    assert credentials_for("r.example.org", warn=pytest.fail) == LOGIN
