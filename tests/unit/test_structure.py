"""Who may import what: the seams to the engine, to registries and to the command line are a few modules each."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "multibuild"
SEAMS = {
    "python_on_whales": {"engine/docker.py"},
    "httpx": {"oci/auth.py", "oci/registry.py", "oci/tls.py", "oci/http.py"},
    "docker": {"oci/credentials.py"},
    "tenacity": {"retrying.py"},
    "typer": {"cli"},
    "rich": {"cli"},
}


def imported(path):
    """Give the top-level packages a module imports anywhere in it; what is for type checking alone does not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("library", SEAMS)
def test_a_library_is_imported_at_its_seam_alone(library):
    users = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if library in set(imported(path))
    }
    assert users
    assert {
        user for user in users if not any(Path(user).is_relative_to(seam) for seam in SEAMS[library])
    } == set()


def test_no_command_goes_through_a_shell():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) != "get_completion_script":
                shell = [word.value for word in node.keywords if word.arg == "shell"]
                assert not any(not isinstance(value, ast.Constant) or value.value for value in shell), path
                assert ast.unparse(node.func) not in {
                    "os.system",
                    "os.popen",
                    "asyncio.create_subprocess_shell",
                }, path


def test_frozen_dataclasses_are_made_the_cheap_way():
    """But for those of which there is one for each file: they are quicker to make the usual way."""
    words = {"frozen", "kw_only", "slots"}
    dear = {
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and {word.arg for word in decorator.keywords} == words
    }
    assert dear == {"ContextFile", "LayerEntry", "Member"}


def test_json_is_printed_by_one_function():
    """`print_json` keeps what builds and registries said from commanding a CI system that reads our stdout."""
    allowed = {
        "cli/streams.py",
        "cli/commands/matrix.py",
    }  # a GitHub matrix holds nothing but our own config, on one line
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "print(json.dumps(" in path.read_text(encoding="utf-8")
    }
    assert found <= allowed


def test_no_directory_of_tests_is_left_out(request):
    # Left to itself pytest leaves out directories that are called "build", and says nothing of it.
    tests = Path(__file__).resolve().parents[1]
    for path in tests.rglob("test_*.py"):
        for part in path.relative_to(tests).parts[:-1]:
            left_out = [word for word in request.config.getini("norecursedirs") if fnmatch(part, word)]
            assert not left_out, path
