"""Challenges: one header with one or several, quoted or not, hostile or long."""

import time

import pytest

from multibuild.oci.access.challenges import choose_challenge, parse_challenges


def parsed(header):
    """Return the parameters of each Basic and Bearer challenge by its scheme."""
    return {
        challenge.scheme: challenge.parameters
        for challenge in parse_challenges(header)
        if challenge.scheme in {"basic", "bearer"}
    }


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="x"', {"basic": {"realm": "x"}}),
        ('bearer Realm="https://t/", service=s', {"bearer": {"realm": "https://t/", "service": "s"}}),
        (
            'Basic realm="basic, bearer", Bearer realm="https://t/",scope="repository:a:pull,push"',
            {
                "basic": {"realm": "basic, bearer"},
                "bearer": {"realm": "https://t/", "scope": "repository:a:pull,push"},
            },
        ),
        ("Negotiate", {}),
        ("", {}),
    ],
)
def test_challenges_are_parsed(header, challenges):
    assert parsed(header) == challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Bearer realm="https://t/", Digest realm="https://other/"', {"bearer": {"realm": "https://t/"}}),
        (
            'Bearer realm="https://t/?a=, basic realm=x"',
            {"bearer": {"realm": "https://t/?a=, basic realm=x"}},
        ),
        ("Negotiate abc==, Basic realm=x", {"basic": {"realm": "x"}}),
        ('Bearer realm="https://t/" , scope = "a b"', {"bearer": {"realm": "https://t/", "scope": "a b"}}),
        ('Bearer realm="unended', {"bearer": {}}),
        (",,, ,Basic", {"basic": {}}),
        (
            'Bearer service="x",scope="",realm="https://t/"',
            {"bearer": {"service": "x", "scope": "", "realm": "https://t/"}},
        ),
    ],
)
def test_odd_challenges_are_parsed(header, challenges):
    assert parsed(header) == challenges


@pytest.mark.parametrize(
    "piece",
    ["a", ",", " ", '"', "=", 'a="', "a=", "Bearer ", "Bearer,", ", Basic x=", "a b", "a ", ", ", "\\", "ä"],
)
@pytest.mark.parametrize("start", ["", "Bearer ", 'Bearer realm="', "Bearer a"])
def test_a_long_challenge_is_parsed_in_linear_time(start, piece):
    header = start + piece * (500_000 // len(piece))
    before = time.process_time()
    parse_challenges(header)
    assert time.process_time() - before < 5.0


@pytest.mark.parametrize(
    ("header", "realm"),
    [
        ('Bearer realm="https://t/\\"x\\"",service="s"', 'https://t/"x"'),
        ('Bearer realm="a\\\\b"', "a\\b"),
        ('Bearer realm="first",realm="second"', "first"),
        ('Bearer realm="first", Bearer realm="second"', "first"),
        ('Bearer service="s", Bearer realm="second"', "second"),
        ('Basic realm="b", Bearer realm="t"', "t"),
        ('Bearer realm="t", Basic realm="b"', "t"),
        ('Bearer service="s", Basic realm="b"', "b"),
        ('Negotiate, NTLM, Basic realm="b"', "b"),
        ('Digest realm="d", Negotiate', None),
        ('Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"', "simple"),
        (
            'Bearer realm="t",error="invalid_token",error_description="expired, Basic realm=x", Basic realm="b"',
            "t",
        ),
        ('Negotiate,Basic realm="b"', "b"),
        ('DPoP algs="ES256", Bearer realm="t"', "t"),
        ("", None),
    ],
)
def test_the_challenge_to_answer(header, realm):
    """Bearer before Basic, whatever comes first (docker's order); of several the first that names a token service."""
    challenge = choose_challenge(parse_challenges(header))
    assert (challenge.parameters["realm"] if challenge else None) == realm
