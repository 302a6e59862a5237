"""The structure of the package: its layers, and the few modules that import each large library."""

import ast
import re
from collections import Counter
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "multibuild"
SEAMS = {
    "python_on_whales": {"engine/docker.py"},
    "httpx": {"oci/access", "oci/registry_requests.py", "oci/http.py"},
    "httpcore": {"oci/access"},
    "tenacity": {"retry_calls.py"},
    "typer": {"cli"},
    "rich": {"cli"},
}


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path):
    """Return the top-level packages a module imports anywhere in it; what is for type checking alone does not count."""
    tree = parsed(path)
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            names.update(name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("library", SEAMS)
def test_a_library_is_imported_at_its_seam_alone(library):
    users = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if library in imported(path)}
    assert users
    assert {
        user for user in users if not any(Path(user).is_relative_to(seam) for seam in SEAMS[library])
    } == set()


LAYERS = (
    {
        "errors",
        "architectures",
        "platforms",
        "frozen",
        "terminal",
        "background",
        "child_process",
        "files",
        "json_types",
        "regular_file",
        "redact",
        "retry_calls",
    },
    {"dockerfile", "lint", "qemu", "failures", "buildx", "bake", "ssh", "elf", "oci", "resolve"},
    {"config"},
    {"engine"},
    {"plan"},
    {"journal"},
    {"host", "builds", "prove", "publish", "report"},
    {"workflow", "init"},
    {"cli", "__main__"},
)
"""The rooms of the package from the ground up: an import goes down or stays in its room."""

STAGES = LAYERS[6]
MAX_MODULES = 16
MAX_INNER_IMPORTS = 40


@cache
def modules():
    """Return every module of the package by its dotted name without `multibuild.`."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "__init__.py"
    }


def imports_of(path):
    """Return the modules of the package that a module imports anywhere in it, types included."""
    names = modules()
    imported = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("multibuild."):
            module = str(node.module).removeprefix("multibuild.")
            inner = {f"{module}.{name.name}" for name in node.names} & names.keys()
            imported |= inner or {module} & names.keys()
    return imported


@cache
def all_imports():
    """Return what each module imports. A test asks for it: every worker collects, and one runs the test."""
    return {name: imports_of(path) for name, path in modules().items()}


def room(module):
    return module.partition(".")[0]


def layer(module):
    return next(number for number, rooms in enumerate(LAYERS) if room(module) in rooms)


def test_every_room_has_a_layer():
    assert {room(name) for name in modules()} == set().union(*LAYERS)


def test_no_import_goes_up():
    assert [
        (name, other)
        for name, others in all_imports().items()
        for other in others
        if layer(other) > layer(name)
    ] == []


def test_stages_know_nothing_of_each_other():
    assert [
        (name, other)
        for name, others in all_imports().items()
        for other in others
        if {room(name), room(other)} <= STAGES and room(name) != room(other)
    ] == []


def test_no_imports_run_in_a_circle():
    imports, done, order = all_imports(), set(), []

    def visit(name, path):
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(imports[name]):
                visit(other, (*path, name))
            done.add(name)
            order.append(name)

    for name in imports:
        visit(name, ())
    assert set(order) == set(imports)


def test_no_folder_is_crowded():
    counts = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    del counts[PACKAGE / "cli" / "commands"]  # a file per command
    assert {str(folder): count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_imports_stand_at_the_top_of_modules():
    """But in the command line, which imports what a command needs, and for a few libraries that are slow to load."""
    inner = [
        (name, node.lineno)
        for name, path in modules().items()
        if room(name) != "cli"
        for function in ast.walk(parsed(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert len(inner) <= MAX_INNER_IMPORTS, inner


def test_docstrings_begin_with_what_a_thing_does():
    riddles = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r'\s*"""(Give|Say|Tell|Take|Who|Hear)s?\b', line)
    ]
    assert riddles == []


def test_no_command_goes_through_a_shell():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) != "get_completion_script":
                shell = [word.value for word in node.keywords if word.arg == "shell"]
                assert not any(not isinstance(value, ast.Constant) or value.value for value in shell), path
                assert ast.unparse(node.func) not in {
                    "os.system",
                    "os.popen",
                    "asyncio.create_subprocess_shell",
                }, path


def test_no_archive_is_unpacked():
    """The standard library's filter can be passed by (CVE-2025-4517): archives are read in place."""
    root = PACKAGE.parent
    for path in (*PACKAGE.rglob("*.py"), *(root / "builders").rglob("*.py"), *(root / "bench").rglob("*.py")):
        tree = parsed(path)
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
        assert not names & {"unpack_archive", "extractall", "extract", "_extract_member"}, path


def test_frozen_dataclasses_are_created_the_cheap_way():
    """Except those of which there is one per file: they are quicker to create with the usual decorator."""
    words = {"frozen", "kw_only", "slots"}
    slotted = {
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and {word.arg for word in decorator.keywords} == words
    }
    assert slotted == {"ContextFile", "LayerEntry", "Member"}


def test_json_is_printed_by_one_function():
    """`print_json` keeps output of builds and registries from commanding a CI system that reads our stdout."""
    allowed = {
        "cli/streams.py",
        "cli/commands/matrix.py",
    }  # a GitHub matrix holds only our own config, on one line
    printing = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "print(json.dumps(" in path.read_text(encoding="utf-8")
    }
    assert printing <= allowed


def test_no_directory_of_tests_is_left_out(request):
    # By default pytest silently leaves out directories called "build".
    tests = Path(__file__).resolve().parents[1]
    for path in tests.rglob("test_*.py"):
        for part in path.relative_to(tests).parts[:-1]:
            left_out = [word for word in request.config.getini("norecursedirs") if fnmatch(part, word)]
            assert not left_out, path
