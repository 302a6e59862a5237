import json

import pytest

from multibuild.cli.github import MAX_SUMMARY_BYTES, annotate, annotation, announce, command, outputs, summary

DIGEST = "sha256:" + "a" * 64


def platform(name="linux/arm64", *, status="succeeded", required=True, attempts=(), test="passed", **more):
    return {
        "platform": name,
        "status": status,
        "required": required,
        "digest": DIGEST,
        "node": "near",
        "seconds": 1.0,
        "bytes": 1,
        "manifest": DIGEST,
        "emulated": True,
        "attempts": list(attempts),
        "test": {"status": test, "seconds": 0.1},
        "content": {"status": "passed", "checked": 1, "foreign": []},
        **more,
    }


def failed_attempt(evidence, kind="step-failed", hint="mend it"):
    return {"number": 1, "outcome": "failed", "class": kind, "evidence": evidence, "hint": hint, "node": "near",
            "seconds": 1.0, "log": "logs/x.1.log", "retry": "permanent", "began": 0.0}  # fmt: skip


def report(*platforms, error=None, index=True):
    return {
        "run": "20260101-000000-0000",
        "status": "failed" if error else "succeeded",
        "image": "r.example/app",
        "tags": ["1"],
        "seconds": 2.0,
        "index": {"digest": DIGEST, "mediaType": "m", "size": 1, "entries": 1} if index else None,
        "published": [],
        "platforms": list(platforms),
        "steps": [],
        "stages": [],
        "environment": {},
        "error": error,
    }


def read_outputs(text):
    """Parse like the runner: name=value, or name<<mark up to the mark."""
    result, lines = {}, iter(text.splitlines())
    for line in lines:
        if "<<" in line.split("=", 1)[0]:
            name, mark = line.split("<<", 1)
            value = []
            for inner in lines:
                if inner == mark:
                    break
                value.append(inner)
            result[name] = "\n".join(value)
        else:
            name, result[name] = line.split("=", 1)
    return result


@pytest.fixture
def runner(tmp_path):
    """The environment a runner provides; its files hold what earlier steps wrote."""
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("before=1\n")
    return {"GITHUB_ACTIONS": "true", **{name: str(path) for name, path in files.items()}}


def test_outputs_and_summary_are_appended(runner, tmp_path, capsys):
    announce(report(platform()), runner)
    values = read_outputs((tmp_path / "GITHUB_OUTPUT").read_text())
    assert (values["before"], values["digest"]) == ("1", DIGEST)
    document = json.loads(values["json"])
    assert document["index"]["digest"] == DIGEST
    assert document["platforms"] == [
        {"platform": "linux/arm64", "status": "succeeded", "digest": DIGEST, "node": "near"}
    ]
    text = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert text.startswith("before=1\n## r.example/app: succeeded")
    assert "| linux/arm64 |" in text
    assert capsys.readouterr().err == ""


def test_without_github_nothing_is_written(tmp_path, capsys):
    announce(report(platform(status="failed", attempts=[failed_attempt("x")])), {})
    assert capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path, capsys):
    announce(report(platform()), {"GITHUB_OUTPUT": str(tmp_path / "no" / "such")})
    assert capsys.readouterr().err.startswith("warning: ")


def test_without_an_index_the_digest_is_empty():
    assert read_outputs(outputs(report(platform(), index=False)))["digest"] == ""


def test_an_annotation_has_no_secret_of_a_url():
    """It passes no filter: it is a command itself."""
    url = "https://u:hunter2@h.example/x"
    line = annotation("error", {"file": url, "title": url}, f"{url} and\n{url}?token=hunter2")
    assert "hunter2" not in line
    assert line.count("h.example") == 4


def test_a_failed_platform_is_an_annotation():
    broken = platform(
        status="failed", attempts=[failed_attempt("RUN make\n100% of: it, failed\nexit code: 1")]
    )
    (line,) = annotate(report(broken, error={"message": "linux/arm64: not built", "hint": None}))
    assert line == (
        "::error title=linux/arm64%3A step-failed::RUN make%0A100%25 of: it, failed%0Aexit code: 1%0Amend it"
    )


def test_output_of_a_build_is_no_command():
    nasty = "\r\n::set-output name=x::y\n::error::no\x1b[31m"
    (line,) = annotate(report(platform(status="failed", attempts=[failed_attempt(nasty)])))
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line


def test_an_optional_platform_is_a_warning_only():
    (line,) = annotate(report(platform(status="failed", required=False, attempts=[failed_attempt("x")])))
    assert line.startswith("::warning title=linux/arm64%3A step-failed::")


def test_a_failed_test_and_a_failed_run_are_annotations():
    (line,) = annotate(report(platform(test="failed")))
    assert line == "::error title=linux/arm64%3A test failed::see the report"
    error = {"message": "the registry is away", "hint": "start it"}
    assert list(annotate(report(platform(), error=error))) == [
        "::error title=multibuild::the registry is away%0Astart it"
    ]


def test_delimiters_of_a_property_are_escaped():
    assert command("error", "a,b:c%", "d") == "::error title=a%2Cb%3Ac%25::d"


def test_a_summary_over_the_limit_is_cut():
    text = summary("ä" * MAX_SUMMARY_BYTES)
    assert len(text.encode()) <= MAX_SUMMARY_BYTES
    assert text.endswith("has the whole.\n")
