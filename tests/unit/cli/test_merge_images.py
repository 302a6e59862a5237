"""`merge` takes names of images in a file of several, and a target with sources everywhere."""

import pytest

from multibuild.cli.startup import main

CONFIG = """version: 1
image: registry.invalid/{name}
platforms: [linux/amd64]
images: {app: {}, worker: {}, debug: {contexts: {x: "image:app"}}}
"""


@pytest.fixture
def merge(tmp_path, monkeypatch, capsys):
    """Return a function that merges in a project of three images, and returns the code and stderr."""
    monkeypatch.setenv("PATH", "/nonexistent")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    file = tmp_path / "app" / "multibuild.yaml"
    file.write_text(CONFIG)

    def run(*words):
        code = main(["merge", "-f", str(file), "--state-dir", str(tmp_path / "state"), *words])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("words", [(), ("app",), ("app", "worker"), ("debug",)])
@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_names_of_images_are_about_the_last_run(merge, words, flags):
    code, err = merge(*words, *flags)
    assert (code, "there is no run" in err) == (2, True)


def test_a_name_that_is_no_image_is_an_error_after_one_that_is(merge):
    code, err = merge("app", "wroker")
    assert (code, "the file has no image 'wroker'" in err, "perhaps you meant 'worker'" in err) == (
        2,
        True,
        True,
    )


def test_a_flag_about_sources_is_an_error_with_names(merge):
    code, err = merge("app", "--append")
    assert (code, "the config says what is merged" in err) == (2, True)


@pytest.mark.parametrize("words", [("busybox",), ("app:1",), ("registry.invalid/app",)])
def test_what_names_no_image_of_the_file_is_a_target(merge, words):
    code, err = merge(*words)
    assert (code, "names no source" in err) == (2, True)
