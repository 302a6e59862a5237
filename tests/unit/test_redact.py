"""What is redacted of commands, URLs and headers, and what stays as it is."""

import json
import shlex
import time

import pytest

from multibuild.redact import (
    environment_secrets,
    is_secret_name,
    redacted,
    redacted_arguments,
    redacted_command,
    redacted_url,
    redacted_values,
    redacted_words,
    without_secrets,
)

SECRET = "S3cr3t-Xyz"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:S3cr3t-Xyz@git.example/x.git#main:sub", "https://***@git.example/x.git#main:sub"),
        ("https://S3cr3t-Xyz@github.com/a/b.git#v1", "https://***@github.com/a/b.git#v1"),
        ("https://S3cr3t-Xyz:x-oauth-basic@github.com/a/b", "https://***@github.com/a/b"),
        ("https://S3cr3t-Xyz:@host/x", "https://***@host/x"),
        ("ssh://user:S3cr3t-Xyz@host:22/x", "ssh://***@host:22/x"),
        ("git+ssh://user:S3cr3t-Xyz@host/x", "git+ssh://***@host/x"),
        ("git://user:S3cr3t-Xyz@host/x", "git://***@host/x"),
        ("user:S3cr3t-Xyz@host:team/x.git", "***@host:team/x.git"),
        ("u:S3cr3t-Xyz@registry.example/x", "***@registry.example/x"),
        ("https:/u:S3cr3t-Xyz@h/x: no such file", "https:/***@h/x: no such file"),
        ("name=https://u:S3cr3t-Xyz@h/x,other=https://u:S3cr3t-Xyz@h/y", "name=https://***@h/x,other=https://***@h/y"),
        ("HTTP_PROXY=http://u:S3cr3t-Xyz@proxy:3128", "HTTP_PROXY=http://***@proxy:3128"),
        ("https_proxy=u:S3cr3t-Xyz@proxy:3128/", "https_proxy=***@proxy:3128/"),
        ("https://u:p%40S3cr3t-Xyz%2F@host/x", "https://***@host/x"),
        ("https://u:p@S3cr3t-Xyz@host/x", "https://***@host/x"),
        ("https://u:p/S3cr3t-Xyz@host/x", "https://***@host/x"),
        ("https://u:p#S3cr3t-Xyz?@host/x", "https://***@host/x"),
        ("https://u:p@/S3cr3t-Xyz@host/x", "https://***@host/x"),
        ("https://u:S3cr3t-Xyz@npm.example/@team/app", "https://***@npm.example/@team/app"),
        ("https://u:S3cr3t-Xyz@[::1]:5000/x@y", "https://***@[::1]:5000/x@y"),
        ("HTTPS://U:S3cr3t-Xyz@HOST/x", "HTTPS://***@HOST/x"),
        ("https://host/x?a=1&token=S3cr3t-Xyz#ref", "https://host/x?a=1&token=***#ref"),
        ("https://host/x?%74oken=S3cr3t-Xyz", "https://host/x?%74oken=***"),
        ("https://host/x#access_token=S3cr3t-Xyz&b=c", "https://host/x#access_token=***&b=c"),
        ("https://b.example/x?X-Amz-Date=1&X-Amz-Signature=S3cr3t-Xyz", "https://b.example/x?X-Amz-Date=1&X-Amz-Signature=***"),
        ("https://b.example/x?X-Amz-Credential=S3cr3t-Xyz/eu", "https://b.example/x?X-Amz-Credential=***"),
        ("https://b.example/x?sv=1&sig=S3cr3t-Xyz%3D", "https://b.example/x?sv=1&sig=***"),
        ("https://h/x?a=1&amp;sig=S3cr3t-Xyz", "https://h/x?a=1&amp;sig=***"),
        ("https://h/to?url=https://u:S3cr3t-Xyz@i/x", "https://h/to?url=https://***@i/x"),
        ("https://h/to?url=https%3A%2F%2Fu%3AS3cr3t-Xyz%40i.example%2Fx%40y", "https://h/to?url=https%3A%2F%2F***%40i.example%2Fx%40y"),
        ("type=s3,region=eu,secret_access_key=S3cr3t-Xyz,name=x", "type=s3,region=eu,secret_access_key=***,name=x"),
        ("type=gha,url=https://c/?x=1,token=S3cr3t-Xyz,scope=a", "type=gha,url=https://c/?x=1,token=***,scope=a"),
        ("> Authorization: Bearer S3cr3t-Xyz", "> Authorization: ***"),
        ("-H 'Authorization: Basic S3cr3t-Xyz' https://h/", "-H 'Authorization: ***' https://h/"),
        ("authorization: AWS4-HMAC-SHA256 Credential=A/B, Signature=S3cr3t-Xyz", "authorization: ***"),
        ("Authorization: S3cr3t-Xyz", "Authorization: ***"),
        ('{"Authorization": "token S3cr3t-Xyz"}', '{"Authorization": "***"}'),
        ("PRIVATE-TOKEN: S3cr3t-Xyz", "PRIVATE-TOKEN: ***"),
        ("X-Auth-Token: S3cr3t-Xyz rest", "X-Auth-Token: *** rest"),
        ("Set-Cookie: id=S3cr3t-Xyz; Path=/", "Set-Cookie: ***"),
        ("got Bearer S3cr3t-Xyz.S3cr3t-Xyz.S3cr3t-Xyz", "got Bearer ***"),
        ('{"access_token":"S3cr3t-Xyz","expires_in":300}', '{"access_token":"***","expires_in":300}'),
        ("fatal: unable to access 'https://u:S3cr3t-Xyz@h/x.git/': 403", "fatal: unable to access 'https://***@h/x.git/': 403"),
        ('Get "https://u:S3cr3t-Xyz@r.example/v2/": EOF', 'Get "https://***@r.example/v2/": EOF'),
        ("Location: https://cdn/x?Signature=S3cr3t-Xyz", "Location: https://cdn/x?Signature=***"),
    ],
)  # fmt: skip
def test_a_secret_is_redacted_and_the_rest_stays(text, expected):
    assert redacted(text) == expected
    assert redacted(expected) == expected
    assert SECRET not in redacted(f"a line\nwith ({text}) in it\n")


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/team/app.git#v1.2:sub",
        "https://host:8443/path/@scope/package@1.2.3?arch=amd64&v=2#readme",
        "https://[::1]:5000/v2/x@y",
        "git@github.com:team/app.git",
        "ssh://git@github.com/team/app.git",
        "ssh://builder@node.example:22",
        "https://git@github.com/team/app.git",
        "docker-image://alpine:3.20@sha256:" + "a" * 64,
        "docker-image://alpine@sha256:" + "a" * 64,
        "oci-layout:///srv/layout:tag@sha256:" + "a" * 64,
        "registry.example:5000/team/app:1.2@sha256:" + "a" * 64,
        "app:1.2@sha256:" + "a" * 64,
        "target:builder",
        "linux/arm/v7",
        "containerd://1.7.27-k3s1",
        "unix:///run/docker.sock",
        "mail me@example.org, or mailto:me@example.org",
        "npm:react@18.0.0",
        "npm:react@18.0.0/umd",
        "--volume data:/srv@1 c:/app@2",
        "RUN --mount=type=secret,id=token,env=TOKEN make",
        "id=token,env=TOKEN",
        "ENV KEY=value TOKEN=${TOKEN}",
        "ARG GITHUB_TOKEN",
        "RUN token=$(cat /run/secrets/token) && make",
        "# syntax=docker/dockerfile:1",
        "COPY --from=golang:1.22 /usr/local/go/ /usr/local/go/",
        "type=registry,ref=r.example:5000/app:cache,mode=max",
        "type=image,name=localhost:5000/app,push=true,push-by-digest=true",
        "insufficient_scope: authorization failed",
        "authorization: server message: denied",
        'Bearer realm="https://auth.example/token",service="r.example"',
        '{"digest": "sha256:ab", "mediaType": "x"}',
        "12:30:01 started; #7 1.5 done",
        "https://pypi.example/simple/?format=json",
        "::error file=a,line=1::x",
        "",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text):
    assert redacted(text) == text
    assert redacted_values({"a": [text]}) == {"a": [text]}


def test_a_document_is_redacted_in_every_text():
    url = f"https://u:{SECRET}@h/x"
    document = {"a": [url, 1, None, True], url: {"b": (url,)}}
    assert SECRET not in json.dumps(redacted_values(document))
    assert redacted_values(document)["a"][1:] == [1, None, True]


def test_arguments_are_redacted_by_name_and_by_url():
    argv = ["build", "--build-arg", f"NPM_TOKEN={SECRET}", f"--build-arg=MY_KEY={SECRET}", "--build-arg", "VERSION=1",
            "--label", f"url=https://{SECRET}@h/x", "--secret", f"id=a,value={SECRET}", "--secret=id=b,env=B", "."]  # fmt: skip
    assert redacted_arguments(argv) == [
        "build", "--build-arg", "NPM_TOKEN=***", "--build-arg=MY_KEY=***", "--build-arg", "VERSION=1",
        "--label", "url=https://***@h/x", "--secret", "id=a,value=***", "--secret=id=b,env=B", ".",
    ]  # fmt: skip


def test_a_logged_command_has_no_values_of_build_arguments_and_no_secret_of_a_url():
    argv = ["buildx", "--build-arg", "A=1", "--build-arg=B=2", f"https://u:{SECRET}@h/x?token={SECRET}#main"]
    assert redacted_command(argv) == "buildx --build-arg A --build-arg=B 'https://***@h/x?token=***#main'"


@pytest.mark.parametrize("flag", ["--cache-from", "--cache-to", "--secret", "--output", "--attest"])
@pytest.mark.parametrize(
    "fields",
    [
        f"token={SECRET},type=gha",
        f"secret_access_key={SECRET},type=s3,bucket=b",
        f"type=s3, secret_access_key={SECRET}",
        f'type=s3,"secret_access_key={SECRET}"',
        f'"token={SECRET},and a comma",type=gha',
        f'type=s3,"session_token=a,{SECRET}",bucket=b',
        f'type=s3,"session_token=say ""{SECRET}"""',
        f"type=s3,session_token={SECRET}\nbucket=b",
    ],
)
def test_an_attribute_that_is_a_secret_is_in_no_command_wherever_it_stands_in_its_list(flag, fields):
    for argv in (["build", flag, fields, "."], ["build", f"{flag}={fields}", "."]):
        shown = redacted_arguments(argv)
        assert SECRET not in f"{shown}{redacted_command(argv)}"
        assert "and a comma" not in str(shown)
        assert redacted_arguments(shown) == shown


@pytest.mark.parametrize("fields", [f"id=a,value={SECRET}", f'"id=a","value={SECRET}"', f"id=a,{SECRET}"])
def test_what_is_no_place_of_a_secret_is_in_no_command(fields):
    for argv in (["build", "--secret", fields], ["build", f"--secret={fields}"]):
        assert SECRET not in f"{redacted_arguments(argv)}{redacted_command(argv)}"


@pytest.mark.parametrize(
    "fields",
    [
        "type=registry,ref=r.example:5000/app:cache,mode=max",
        "r.example/app",
        'id=a,"src=a,b"',
        "id=a, src=b",
        "",
    ],
)
def test_attributes_that_are_no_secrets_stay_as_they_are(fields):
    argv = ["build", "--cache-to", fields, "--secret=id=b,src=c,type=file", f"--cache-from={fields}"]
    assert redacted_arguments(argv) == argv
    assert redacted_command(argv) == shlex.join(argv)


@pytest.mark.parametrize("secret", [SECRET, f"-{SECRET}", f"--{SECRET}", f"-{SECRET}=", "-a1B2"])
@pytest.mark.parametrize("flag", ["--token", "-password", "--api-key"])
def test_the_value_of_a_flag_is_a_secret_whatever_it_begins_with(flag, secret):
    """A random token begins with a dash now and then."""
    assert redacted_words(["x", flag, secret, "y"]) == ["x", flag, "***", "y"]


def test_a_flag_after_one_that_is_named_like_a_secret_is_none():
    words = ["x", "--password-stdin", "--user", "me", "--token", "-v", "--key", "--all=yes", "y"]
    assert redacted_words(words) == words


def test_a_requests_url_has_neither_user_nor_query():
    assert (
        redacted_url("https://me:pass@store.example/blob?X-Amz-Signature=abc") == "https://store.example/blob"
    )
    assert redacted_url("https://u:pw@[bad/x") == "https://***@[bad/x"


@pytest.mark.parametrize(
    "name", ["NPM_TOKEN", "password", "X-Amz-Signature", "sig", "SSH_KEY", "AWSAccessKeyId"]
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["VERSION", "author", "monkey", "id", "env", "path", "signal", "HTTP_PROXY"])
def test_names_of_other_things(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "hostile",
    [
        "://", "a", "@", "a:b@", "https://u:p@h", "?token=", "&a=", "%3A%2F%2F", "%40", "%3A%2F%2Fa%40", '"a":"', '"token":"\\"',
        "authorization:", "authorization: bearer ", "x-a", "x-token:", "cookie:", "bearer ", "a:a", " a:x", ",key=", "a.b-c:",
        "https://u:p/", "https://u:p/@sha256:", "(a:(", "x-" * 20,
    ],
)  # fmt: skip
def test_redaction_takes_linear_time(hostile):
    def seconds(size):
        text = hostile * (size // len(hostile))
        began = time.process_time()
        redacted(text)
        return time.process_time() - began

    # Ten times the text may take a hundred times as long only if it is not linear; small times are noise.
    assert seconds(300_000) < 40 * max(seconds(30_000), 0.02)


def test_secrets_of_an_environment_are_known_by_their_names_or_are_keys():
    environ = {
        "A_TOKEN": "t0ken",
        "B_PASSWORD": " longer than t0ken \n",
        "SHORT_KEY": "abc",
        "HOME": "/home/me",
        "PEM": "-----BEGIN PRIVATE KEY-----\nMIIabc\n",
    }
    secrets = environment_secrets(environ)
    assert secrets == ("-----BEGIN PRIVATE KEY-----", "longer than t0ken", "MIIabc", "t0ken")
    text = "longer than t0ken, t0ken, abc, /home/me, MIIabc"
    assert without_secrets(text, secrets) == "***, ***, abc, /home/me, ***"
