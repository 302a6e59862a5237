import json
import re
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.config import Config, ConfigFile
from multibuild.config.images.merge import FILE_KEYS, RUN_WIDE_KEYS
from multibuild.config.load import load_config
from multibuild.config.problems import key_names
from multibuild.config.project import LoadedProject, load_project, read_bake
from multibuild.config.referenced_files import check_environment, check_files
from multibuild.config.schema import json_schema
from multibuild.config.texts import NAMED_KEYS
from multibuild.errors import ConfigError, UsageError

NOW = datetime(2026, 2, 3, 4, tzinfo=UTC)
VERSION = "version: 1\n"
BASE = "version: 1\nimage: r.example.org/team/{name}\nplatforms: [amd64, arm64]\n"


def load(folder: Path, text: str, *, names=(), environ=None, from_bake=None, **flags) -> LoadedProject:
    file = folder / "multibuild.yaml"
    file.write_text(text)
    return load_project(
        file,
        environ=environ or {},
        overrides=Overrides(**flags),
        now=NOW,
        names=names,
        from_bake=from_bake,
    )


def image(folder: Path, text: str, name: str = "app", **flags):
    (found,) = [item for item in load(folder, text, **flags).images if item.name == name]
    return found


def problems(folder: Path, text: str, **flags) -> list[str]:
    """Return each problem without the name of the file: LINE:COLUMN: key: message."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **flags)
    lines = caught.value.message.splitlines()
    hint = f" ({caught.value.hint})" if len(lines) == 1 and caught.value.hint else ""
    return [line.removeprefix(f"{folder / 'multibuild.yaml'}:") + hint for line in lines]


def test_a_file_without_images_is_one_image_without_a_name(tmp_path):
    project = load(tmp_path, "version: 1\nimage: a/b\nplatforms: [amd64]\n")
    (loaded,) = project.images
    assert (project.several, project.together, loaded.name, loaded.dependencies) == (False, "all", "", {})


def test_images_share_the_top_level(tmp_path):
    project = load(tmp_path, BASE + "images: {app: {target: a}, worker: {contexts: {app: image:app}}}\n")
    app, worker = project.images
    assert project.several
    assert (app.name, app.config.image, app.config.target) == ("app", "r.example.org/team/app", "a")
    assert (worker.config.contexts, worker.dependencies) == ({}, {"app": "app"})


def test_the_name_of_an_image_needs_images(tmp_path):
    (problem,) = problems(tmp_path, BASE)
    assert problem.endswith("({name} is the name of an image under `images`, which this file does not have)")


def test_repositories_that_no_client_takes_are_compared_as_they_are(tmp_path):
    text = VERSION + "platforms: [amd64]\nimage: 'x.example.org:99999999999/a'\nimages: {a: , b: }\n"
    assert "would both be x.example.org:99999999999/a:latest" in problems(tmp_path, text)[0]


def test_an_image_is_chosen_with_those_that_it_is_built_from(tmp_path):
    text = BASE + "images: {a: , b: {contexts: {x: image:a}}, c: {contexts: {x: image:b}}, d: }\n"
    assert [item.name for item in load(tmp_path, text, names=["c"]).images] == ["a", "b", "c"]
    with pytest.raises(UsageError, match="no image 'e'"):
        load(tmp_path, text, names=["e"])


PROBLEMS = [
    (BASE + "images:", ["4:1: images: names no image (like images: {app: {target: app}})"]),
    (BASE + "images: {}", ["4:1: images: names no image (like images: {app: {target: app}})"]),
    (BASE + "images: 5", ["4:1: images: must be a mapping of names (like images: {app: {target: app}})"]),
    (BASE + "images: [app]", ["4:1: images: must be a mapping of names (like images: {app: {target: app}})"]),
    (
        BASE + "images: {app: 5}",
        ["4:10: images.app: must be a mapping of keys (like images: {app: {target: app}})"],
    ),
    (
        BASE + "images: {app: [x]}",
        ["4:10: images.app: must be a mapping of keys (like images: {app: {target: app}})"],
    ),
    (
        BASE + "images: {App: , app: }",
        [
            "4:17: images.app: App and app differ in capitals alone, which not every disk tells apart (rename one of them)"
        ],
    ),
    (
        BASE + "images: {__: }",
        [
            "4:10: images.__: '__' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (like app)"
        ],
    ),
    (
        BASE + "images: {'a/b': }",
        [
            "4:10: images.a/b: 'a/b' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (like a-b)"
        ],
    ),
    (
        BASE + "images: {'': }",
        [
            "4:10: images.: '' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (like app)"
        ],
    ),
    (
        BASE + "images: {-a: }",
        [
            "4:10: images.-a: '-a' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (like a)"
        ],
    ),
    (
        BASE + "images: {a..b: }",
        [
            "4:10: images.a..b: 'a..b' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (like a.b)"
        ],
    ),
    (
        BASE + "images: {'..': }",
        [
            "4:10: images...: '..' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (like app)"
        ],
    ),
    (
        BASE + "images: {'ä': }",
        [
            "4:10: images.ä: 'ä' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (like app)"
        ],
    ),
    (
        BASE + "images: {app: {tragets: x}}",
        ["4:16: images.app.tragets: is no key multibuild knows (perhaps you meant 'target')"],
    ),
    (
        BASE + "images: {app: {target: [x]}}",
        ["4:16: images.app.target: must be text, not a list (like target: text)"],
    ),
    (BASE + "images: {app: , app: }", ["4:17: images.app: is written twice (keep one of them)"]),
    (
        BASE + "images: {app: {platforms: []}}",
        ["4:16: images.app.platforms: must not be empty (like platforms: [linux/amd64, linux/arm64])"],
    ),
    (
        BASE + "images: {app: {platforms: [x/y/z/w/v]}}",
        [
            "4:28: images.app.platforms.0.name: 'x/y/z/w/v' is not a platform (write os/architecture[/variant], like linux/arm/v7)",
        ],
    ),
    (
        BASE + "images: {app: {test: {run: []}}}",
        ["4:23: images.app.test.run: must not be empty (like run: [app, --version])"],
    ),
    (
        BASE + "tragets: x\nimages: {a: , b: , c: }",
        ["4:1: tragets: is no key multibuild knows (perhaps you meant 'target')"],
    ),
    (
        BASE + "timeout: never\nimages: {a: , b: , c: {timeout: 1h}}",
        ["4:1: timeout: must be a duration, not 'never' (like 90s, 5m or 1h30m, or a number of seconds)"],
    ),
    (
        BASE + "args: {X: '${NOPE}'}\nimages: {a: , b: }",
        ["4:8: args.X: the environment variable NOPE is not set (set it, or write ${NOPE:-default})"],
    ),
    (
        BASE + "images: {a: {args: {X: '${NOPE}'}}, b: }",
        [
            "4:21: images.a.args.X: the environment variable NOPE is not set (set it, or write ${NOPE:-default})"
        ],
    ),
    (
        BASE + "images: {a: {jobs: 3}}",
        [
            "4:14: images.a.jobs: holds for the whole run, not for one image (write jobs at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: {version: 1}}",
        [
            "4:14: images.a.version: holds for the whole run, not for one image (write version at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: {fail_fast: true}}",
        [
            "4:14: images.a.fail_fast: holds for the whole run, not for one image (write fail_fast at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: {emulators: {}}}",
        [
            "4:14: images.a.emulators: holds for the whole run, not for one image (write emulators at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: {registries: {}}}",
        [
            "4:14: images.a.registries: holds for the whole run, not for one image (write registries at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: {images: {}}}",
        [
            "4:14: images.a.images: holds for the whole run, not for one image (write images at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: {bake: {}}}",
        [
            "4:14: images.a.bake: holds for the whole run, not for one image (write bake at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: {publish: {together: image}}}",
        [
            "4:24: images.a.publish.together: holds for the whole run, not for one image (write publish.together at the top of the file)"
        ],
    ),
    (
        BASE + "images: {a: , 'x-*': {target: t}}",
        ["4:15: images.x-*: no image has a name like it (there are a)"],
    ),
    (
        BASE + "images: {'*': {target: t}}",
        ["4:1: images: names no image (like images: {app: {target: app}})"],
    ),
    (
        BASE + "images: {a: , '*': {tragets: t}}",
        ["4:21: images.*.tragets: is no key multibuild knows (perhaps you meant 'target')"],
    ),
    (
        BASE + "images: {a: , '*': {jobs: 1}}",
        [
            "4:21: images.*.jobs: holds for the whole run, not for one image (write jobs at the top of the file)"
        ],
    ),
    (
        VERSION + "images: {a: {image: x/a}, b: {image: x/b}}",
        [
            "1:1: platforms: is required (like platforms: [linux/amd64, linux/arm64], at the top of the file for all images)"
        ],
    ),
    (
        "version: 1\nimage: x/{name}\nimages: {a: {platforms: [amd64]}, b: }",
        [
            "3:35: images.b: has no platforms, which is required (write platforms under images.b, or at the top of the file for all images)"
        ],
    ),
    (
        VERSION + "images: {a: , b: }",
        [
            "1:1: image: is required (like image: registry.example.org/team/app, at the top of the file for all images)",
            "1:1: platforms: is required (like platforms: [linux/amd64, linux/arm64], at the top of the file for all images)",
        ],
    ),
    ("image: x/y\nplatforms: [amd64]\nimages: {a: }", ["1:1: version: is required (like version: 1)"]),
    (
        "version: 1\nplatforms: [amd64]\nimages: {a: {image: x/a}, b: , c: }",
        [
            "3:27: images.b: has no image, which is required (write image under images.b, or at the top of the file for all images)",
            "3:32: images.c: has no image, which is required (write image under images.c, or at the top of the file for all images)",
        ],
    ),
    (
        "version: 1\nimage: x/y\nplatforms: [amd64]\nimages: {a: , b: }",
        [
            "2:1: image: a and b would both be docker.io/x/y:latest (write {name} in it, which is the image, or give each image its own tags)"
        ],
    ),
    (
        "version: 1\nimage: x/y\nplatforms: [amd64]\nimages: {a: , b: {tags: [x, latest]}}",
        [
            "2:1: image: a and b would both be docker.io/x/y:latest (write {name} in it, which is the image, or give each image its own tags)"
        ],
    ),
    (
        "version: 1\nplatforms: [amd64]\nimages: {a: {image: x/y}, b: {image: docker.io/x/y}}",
        [
            "3:31: images.b.image: a and b would both be docker.io/x/y:latest (give b another repository or other tags)"
        ],
    ),
    (
        BASE + "images: {a: , b: {destinations: [r.example.org/team/a]}}",
        [
            "4:34: images.b.destinations.0: a and b would both be r.example.org/team/a:latest (give b another repository or other tags)"
        ],
    ),
    (
        BASE + "destinations: [m.example.org/all]\nimages: {a: , b: , c: }",
        [
            "4:16: destinations.0: a, b and c would all be m.example.org/all:latest (write {name} in it, which is the image, or give each image its own tags)"
        ],
    ),
    (
        BASE + "cache: {to: ['type=registry,ref=r/c:{slug}']}\nimages: {a: , b: }",
        [
            "4:14: cache.to.0: a and b would overwrite each other's cache (write {name} in it, which is the image)"
        ],
    ),
    (
        BASE + "cache: {to: ['type=gha,scope={slug}']}\nimages: {a: , b: }",
        [
            "4:14: cache.to.0: a and b would overwrite each other's cache (write {name} in it, which is the image)"
        ],
    ),
    (
        BASE + "publish: {to: oci:out}\nimages: {a: , b: }",
        [
            "4:11: publish.to: a and b would overwrite each other's result (write {name} in it, which is the image)"
        ],
    ),
    (
        BASE + "publish: {to: 'oci:out'}\nimages: {a: , b: {publish: {to: 'oci-archive:./out'}}}",
        [
            "5:29: images.b.publish.to: a and b would overwrite each other's result (write {name} in it, which is the image)"
        ],
    ),
    (
        BASE + "images: {app: , b: {contexts: {x: image:ap}}}",
        ["4:32: images.b.contexts.x: there is no image 'ap' in this file (perhaps you meant 'app')"],
    ),
    (
        BASE + "images: {app: {contexts: {x: image:app}}}",
        ["4:27: images.app.contexts.x: app would be built from itself (name another image)"],
    ),
    (
        BASE
        + "images: {a: {contexts: {x: image:b}}, b: {contexts: {y: image:c}}, c: {contexts: {z: image:a}}}",
        [
            "4:83: images.c.contexts.z: the images need each other: a → b → c → a (one of them must start from something else)"
        ],
    ),
    (
        BASE + "images: {a: {platforms: [amd64]}, b: {contexts: {x: image:a}}}",
        [
            "4:50: images.b.contexts.x: b is built for linux/arm64, and a is not (add it to the platforms of a, or remove it from those of b)"
        ],
    ),
    (
        BASE + "contexts: {x: image:a}\nimages: {a: , b: }",
        ["4:12: contexts.x: a would be built from itself (write it under the images that need it)"],
    ),
    (
        BASE + "images: {a: {contexts: {x: 'image:'}}}",
        ["4:25: images.a.contexts.x: there is no image '' in this file (there are a)"],
    ),
    (
        BASE + "images: {a: {contexts: {x: image:b}}, b: {contexts: {y: image:a, z: image:nope}}}",
        [
            "4:54: images.b.contexts.y: the images need each other: a → b → a (one of them must start from something else)",
            "4:66: images.b.contexts.z: there is no image 'nope' in this file (there are a, b)",
        ],
    ),
    (
        BASE + "images: {a: {contexts: {x: target:b, y: service:b}}, b: }",
        [
            "4:25: images.a.contexts.x: 'target:b' names another image as bake does (write image:b)",
            "4:38: images.a.contexts.y: 'service:b' names another image as compose does (write image:b)",
        ],
    ),
    (
        "version: 1\nimage: a/b\nplatforms: [amd64]\ncontexts: {x: target:a}",
        [
            "4:12: contexts.x: 'target:a' names another image as bake does (write docker-image://NAME for an image of a registry, ./image:NAME for a folder)"
        ],
    ),
    (
        "version: 1\nimage: a/${name}\nplatforms: [amd64]\nimages: {a: }",
        [
            "2:1: image: the environment variable name is not set ({name} without a dollar sign is the image's name, or write ${name:-default})"
        ],
    ),
    (
        "version: 1\nimage: a/b\nplatforms: [amd64]\ncontexts: {x: image:a}",
        [
            "4:12: contexts.x: image:NAME is another image of this file, and the file has no `images` (write docker-image://NAME for an image of a registry, ./image:NAME for a folder)"
        ],
    ),
    (
        BASE + "imagess: {a: }",
        [
            "2:1: image: 'r.example.org/team/{name}' is not the name of a repository ({name} is the name of an image under `images`, which this file does not have)",
            "4:1: imagess: is no key multibuild knows (perhaps you meant 'images')",
        ],
    ),
    (
        BASE + "image_s: {a: }",
        [
            "2:1: image: 'r.example.org/team/{name}' is not the name of a repository ({name} is the name of an image under `images`, which this file does not have)",
            "4:1: image_s: is no key multibuild knows (perhaps you meant 'images')",
        ],
    ),
    (
        BASE + "bake: {files: [docker-bake.hcl]}",
        [
            "4:1: bake: gives no image (name targets that are built: bake: {targets: [app]}; of a compose file the services with `build`)"
        ],
    ),
    (
        BASE + "bake: {fils: [x]}\nimages: {a: }",
        [
            "4:8: bake.fils: is no key multibuild knows (perhaps you meant 'files')",
        ],
    ),
    (BASE + "bake: {files: []}\nimages: {a: }", ["4:8: bake.files: must not be empty (like files: …)"]),
    (
        BASE + "bake: 5\nimages: {a: }",
        ["4:1: bake: must be a mapping (like bake: {files: [docker-bake.hcl]})"],
    ),
    (
        BASE + "bake: {files: x, vars: {A: '${NOPE}'}}\nimages: {a: }",
        [
            "4:8: bake.files: must be a list, not 'x' (write [x])",
            "4:25: bake.vars.A: the environment variable NOPE is not set (set it, or write ${NOPE:-default})",
        ],
    ),
    (
        BASE + "bake: {files: [x], targets: []}\nimages: {a: }",
        ["4:20: bake.targets: must not be empty (like targets: …)"],
    ),
    (
        BASE + "publish: {together: al}\nimages: {a: }",
        ["4:11: publish.together: must be all or image, not 'al' (perhaps you meant 'all')"],
    ),
    (
        BASE + "images: {a: {image: 'x/{name}:1'}}",
        ["4:14: images.a.image: 'x/a:1' has a tag (write x/a here, and 1 under tags)"],
    ),
    (
        BASE + "images: {a: {image: 'x/{nam}'}}",
        [
            "4:14: images.a.image: 'x/{nam}' is not the name of a repository (only {name} is replaced here, by the name of an image under `images`)"
        ],
    ),
    (
        BASE + "media_type: docker\nimages: {a: {annotations: {x: y}}, b: }",
        [
            "5:14: images.a.annotations: media_type docker has no annotations: Docker manifests and lists cannot hold them (remove them, or write media_type: oci)"
        ],
    ),
    (
        BASE + "media_type: docker\nannotations: {x: y}\nimages: {a: , b: }",
        [
            "5:1: annotations: media_type docker has no annotations: Docker manifests and lists cannot hold them (remove them, or write media_type: oci)"
        ],
    ),
    (
        BASE + "images: {a: {secrets: [hunter2]}}",
        [
            "4:24: images.a.secrets.0: is not id=NAME[,src=FILE] or id=NAME[,env=VARIABLE] (like id=token,env=TOKEN)"
        ],
    ),
    (
        BASE + "images: {a: {labels: 5}}",
        ["4:14: images.a.labels: must be a mapping, not the number 5 (like labels: {KEY: value})"],
    ),
    (
        BASE + "labels: {a: 5}\nimages: {a: {labels: }}",
        ["5:14: images.a.labels: must be a mapping, not empty (remove the key, or give it a value)"],
    ),
    (
        BASE + "cache: {to: ['type=registry,ref=r/c:{name}']}\nimages: {a: , b: }",
        [
            "4:14: cache.to.0: 2 platforms would overwrite each other's cache (write ref=r/c:a-{slug} in it: {slug} is the platform)"
        ],
    ),
    (
        BASE + "test: {timeout: 1m}\nimages: {a: {test: {run: [x]}}, b: }",
        ["4:1: test.run: is required (like run: [app, --version])"],
    ),
]


@pytest.mark.parametrize(("text", "expected"), PROBLEMS)
def test_problems_are_reported_where_they_stand_in_the_file(text, expected, tmp_path):
    assert problems(tmp_path, text + "\n") == expected


class Counter(dict[str, str]):
    """An environment in which a variable has another value each time."""

    def get(self, name, default=None):
        self[name] = str(int(super().get(name, "0")) + 1)
        return self[name]


# What is under `images` after BASE and the shared keys → a value of the config of `app`.
MERGES = [
    ("a text replaces", "target: x", "{app: {target: y}}", "target", "y"),
    ("a text that is not there is shared", "target: x", "{app: {pull: false}}", "target", "x"),
    ("null is a value", "target: x", "{app: {target: }}", "target", None),
    ("an image with nothing", "target: x", "{app: }", "target", "x"),
    ("an image with an empty mapping", "target: x", "{app: {}}", "target", "x"),
    ("a list replaces", "tags: [a, b]", "{app: {tags: [c]}}", "tags", ("c",)),
    ("an empty list replaces", "secrets: ['id=a']", "{app: {secrets: []}}", "secrets", ()),
    ("mappings merge", "args: {A: 1, B: 2}", "{app: {args: {B: 3, C: 4}}}", "args", {"A": "1", "B": "3", "C": "4"}),
    ("numbers of args stay text", "args: {A: 1.10}", "{app: {args: {B: 2.20}}}", "args", {"A": "1.10", "B": "2.20"}),
    ("sections merge", "retry: {attempts: 2, initial: 1s}", "{app: {retry: {attempts: 9}}}", "retry.initial", 1.0),
    ("a section has a part of an image", "retry: {initial: 1s}", "{app: {retry: {attempts: 9}}}", "retry.attempts", 9),
    ("a section of the image alone", "", "{app: {retry: {attempts: 9}}}", "retry.attempts", 9),
    ("an empty section changes nothing", "retry: {attempts: 2}", "{app: {retry: {}}}", "retry.attempts", 2),
    ("lists in sections replace", "cache: {from: [a]}", "{app: {cache: {from: [b]}}}", "cache.from_", ("b",)),
    ("half a test is shared", "test: {timeout: 5}", "{app: {test: {run: [x]}}}", "test.timeout", 5.0),
    ("platforms replace", "", "{app: {platforms: [s390x]}}", "platforms.0.name.architecture", "s390x"),
    ("a builder of its own", "builder: a", "{app: {builder: b}}", "builder", "b"),
    ("a run-wide key is shared", "jobs: 3", "{app: }", "jobs", 3),
    ("together is shared", "publish: {together: image}", "{app: {publish: {on_missing: fail}}}", "publish.together", "image"),
    ("the name in image", "", "{app: }", "image", "r.example.org/team/app"),
    ("the name in tags", "tags: ['{name}-1']", "{app: }", "tags", ("app-1",)),
    ("the name in args", "args: {A: 'x{name}x{name}'}", "{app: }", "args", {"A": "xappxapp"}),
    ("the name in the cache", "cache: {to: ['type=registry,ref=c/{name}:{slug}']}", "{app: }", "cache.to", ("type=registry,ref=c/app:{slug}",)),
    ("the name in a Dockerfile", "dockerfile: '{name}/Dockerfile'", "{app: }", "dockerfile", "app/Dockerfile"),
    ("the name in an output", "publish: {to: 'oci:out/{name}'}", "{app: , b: }", "publish.to", "oci:out/app"),
    ("the name in a platform", "", "{app: {platforms: [{name: amd64, target: '{name}'}]}}", "platforms.0.target", "app"),
    ("no name in the test of a platform", "", "{app: {platforms: [{name: amd64, test: {run: ['{name}']}}]}}", "platforms.0.test.run", ("{name}",)),
    ("no name in commands", "test: {run: ['{name}']}", "{app: }", "test.run", ("{name}",)),
    ("a variable called name", "target: '${name:-x}'", "{app: }", "target", "x"),
    ("the name in a default", "target: '${NO:-x-{name}}'", "{app: }", "target", "x-app"),
    ("the name behind a default that is not used", "target: '${YES:-x-{name}}'", "{app: }", "target", "yes"),
    ("a placeholder that is none", "args: {A: '{names} { name}'}", "{app: }", "args", {"A": "{names} { name}"}),
    ("a pattern for all", "", "{app: , '*': {target: p}}", "target", "p"),
    ("a pattern with a question mark", "", "{app: , 'ap?': {target: p}}", "target", "p"),
    ("a pattern with a set", "", "{app: , '[a-c]pp': {target: p}}", "target", "p"),
    ("a pattern for others", "", "{app: , b: , 'b*': {target: p}}", "target", None),
    ("a later pattern wins over a name", "", "{app: {target: n}, '*': {target: p}}", "target", "p"),
    ("a later name wins over a pattern", "", "{'*': {target: p}, app: {target: n}}", "target", "n"),
    ("a later pattern wins over another", "", "{app: , '*': {target: p}, 'a*': {target: q}}", "target", "q"),
    ("patterns merge", "args: {A: 1}", "{'*': {args: {B: 2}}, app: {args: {C: 3}}}", "args", {"A": "1", "B": "2", "C": "3"}),
    ("an alias", "", "{b: &b {target: t}, app: *b}", "target", "t"),
    ("a merge key", "", "{b: &b {target: t, pull: false}, app: {<<: *b, target: u}}", "pull", False),
    ("docker media types without attestations", "media_type: docker", "{app: }", "attestations.provenance", False),
    ("docker media types of one image", "", "{app: {media_type: docker}}", "attestations.provenance", False),
]  # fmt: skip


def value_at(value, path: str):
    for part in path.split("."):
        value = value[int(part)] if part.isdecimal() else getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("shared", "images", "path", "expected"), [row[1:] for row in MERGES], ids=[r[0] for r in MERGES]
)
def test_an_image_is_what_it_says_over_what_all_share(shared, images, path, expected, tmp_path):
    loaded = image(tmp_path, f"{BASE}{shared}\nimages: {images}\n", environ={"YES": "yes"})
    assert value_at(loaded.config, path) == expected


def test_merging_changes_no_other_image(tmp_path):
    text = "args: {A: 1}\nimages: {a: {args: {B: 2}, retry: {attempts: 9}}, b: {args: {B: 3}}, c: }\n"
    a, b, c = load(tmp_path, BASE + text).images
    assert (a.config.args, b.config.args, c.config.args) == (
        {"A": "1", "B": "2"},
        {"A": "1", "B": "3"},
        {"A": "1"},
    )
    assert (b.config.retry.attempts, c.config.retry.attempts) == (3, 3)


def test_an_image_equals_a_file_of_its_own(tmp_path):
    project = load(tmp_path, BASE + "labels: {a: b}\nimages: {app: {target: x, labels: {c: d}}, b: }\n")
    alone = "version: 1\nimage: r.example.org/team/app\nplatforms: [amd64, arm64]\nlabels: {a: b, c: d}\ntarget: x\n"
    (own,) = load(tmp_path, alone).images
    assert project.images[0].config == own.config
    assert project.images[0].canonical == own.canonical


def test_the_canonical_form_says_from_which_images_one_is_built(tmp_path):
    text = "images: {a: , b: , c: {contexts: {x: image:%s, y: docker-image://z}}}\n"
    first, second = (load(tmp_path, BASE + text % name).images[2] for name in "ab")
    assert first.canonical != second.canonical
    assert (first.dependencies, first.config.contexts) == ({"x": "a"}, {"y": "docker-image://z"})


def test_together_does_not_change_what_is_built(tmp_path):
    one = "version: 1\nimage: a/b\nplatforms: [amd64]\n"
    all_, each = load(tmp_path, one), load(tmp_path, one + "publish: {together: image}\n")
    assert (all_.together, each.together) == ("all", "image")
    assert all_.images[0].canonical == each.images[0].canonical


def test_variables_have_one_value_in_all_images(tmp_path):
    text = "args: {A: '${N}', B: 'x${N}'}\nimages: {a: , b: , c: {args: {C: '${N}'}}}\n"
    a, b, c = load(tmp_path, BASE + text, environ=Counter(N="0")).images
    assert a.config.args == b.config.args
    assert c.config.args["A"] == c.config.args["C"] == a.config.args["A"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "a b c d"),
        (["d"], "d"),
        (["d", "a"], "a d"),
        (["b"], "a b"),
        (["c"], "a b c"),
        (["c", "c", "a"], "a b c"),
    ],
)
def test_chosen_images_come_with_what_they_are_built_from(names, expected, tmp_path):
    text = "images: {a: , b: {contexts: {x: image:a}}, c: {contexts: {x: image:b}}, d: }\n"
    assert " ".join(item.name for item in load(tmp_path, BASE + text, names=names).images) == expected


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("images: {app: , worker: }\n", "wroker", "perhaps you meant 'worker'"),
        ("images: {app: , worker: }\n", "zzz", "there are app, worker"),
        ("images: {app: , worker: }\n", "", "there are app, worker"),
        ("images: {app: , worker: }\n", "*", "there are app, worker"),
        ("images: {app: , worker: }\n", "x" * 5000, "there are app, worker"),
    ],
)
def test_an_image_that_does_not_exist_cannot_be_chosen(text, name, hint, tmp_path):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, BASE + text, names=[name])
    assert caught.value.hint == hint
    assert len(caught.value.message) < 200


def test_a_file_without_images_has_no_names_to_choose(tmp_path):
    with pytest.raises(UsageError, match="one image, without a name"):
        load(tmp_path, "version: 1\nimage: a/b\nplatforms: [amd64]\n", names=["b"])


def test_one_image_alone_is_not_loaded_from_a_file_of_several(tmp_path):
    file = tmp_path / "multibuild.yaml"
    file.write_text(BASE + "images: {a: }\n")
    with pytest.raises(ConfigError, match=r":4:1: images: this works on one image"):
        load_config(file, environ={}, overrides=Overrides(), now=NOW)


FLAGS = [
    ({"sets": ("images.app.target=x",)}, "app", "target", "x"),
    ({"sets": ("images.app.target=x",)}, "b.c", "target", "own"),
    ({"sets": ("images.b.c.target=x",)}, "b.c", "target", "x"),
    ({"sets": ("images.b.c.labels.org.example.a=1.10",)}, "b.c", "labels", {"org.example.a": "1.10"}),
    ({"sets": ("images.labels.timeout=90",)}, "labels", "timeout", 90.0),
    ({"sets": ("images.labels.retry.attempts=7",)}, "labels", "retry.attempts", 7),
    ({"sets": ("images.*.target=x",)}, "app", "target", "x"),
    ({"sets": ("target=x",)}, "app", "target", "x"),
    ({"sets": ("target=x",)}, "b.c", "target", "own"),
    ({"sets": ("images.b.c={target: y}",)}, "b.c", "target", "y"),
    ({"sets": ("images.b.c.platforms.s390x.required=false",)}, "b.c", "platforms.0.required", False),
    ({"sets": ("images.b.c.platforms.0.timeout=1m",)}, "b.c", "platforms.0.timeout", 60.0),
    ({"sets": ("platforms.amd64.timeout=1m",)}, "app", "platforms.0.timeout", 60.0),
    ({"tags": ("1",)}, "app", "tags", ("1",)),
    ({"tags": ("1",)}, "labels", "tags", ("1",)),
    ({"tags": ("1",), "sets": ("images.app.tags=[2]",)}, "app", "tags", ("1",)),
    ({"sets": ("tags=[x]",)}, "labels", "tags", ("own",)),
    ({"builder": "x"}, "app", "builder", "x"),
    ({"builder": "x"}, "b.c", "builder", "x"),
    ({"jobs": "7"}, "b.c", "jobs", 7),
    ({"fail_fast": True}, "b.c", "fail_fast", True),
]


@pytest.mark.parametrize(("flags", "name", "path", "expected"), FLAGS)
def test_flags_change_one_image_or_all(flags, name, path, expected, tmp_path):
    text = (
        "images: {app: , '*': {pull: false}, labels: {tags: [own]},"
        " b.c: {target: own, platforms: [s390x], builder: mine}}\n"
    )
    assert value_at(image(tmp_path, BASE + text, name, **flags).config, path) == expected


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ("images: {app: }", {"sets": ("images.ap.target=x",)}, "--set images.ap.target: the file has no image 'ap' (perhaps you meant 'app')"),
        ("images: {app: }", {"sets": ("images.app.tragets=x",)}, "--set images.app.tragets: images.app.tragets: is no key multibuild knows (perhaps you meant 'target')"),
        ("images: {app: }", {"sets": ("images.app.jobs=3",)}, "--set images.app.jobs: images.app.jobs: holds for the whole run, not for one image (write jobs at the top of the file)"),
        ("images: {app: }", {"sets": ("images.app.timeout=never",)}, "--set images.app.timeout: images.app.timeout: must be a duration, not 'never' (like 90s, 5m or 1h30m, or a number of seconds)"),
        ("images: {app: }", {"sets": ("timeout=never",)}, "--set timeout: timeout: must be a duration, not 'never' (like 90s, 5m or 1h30m, or a number of seconds)"),
        ("images: {app: }", {"sets": ("images.app.platforms.amd64.timeout=1m",)}, "--set images.app.platforms.amd64.timeout: images.app.platforms has no entry 'amd64' (set images.app.platforms as a whole, or the platform at the top, for all images)"),
        ("images: {app: {platforms: [s390x]}}", {"sets": ("images.app.platforms.amd64.timeout=1m",)}, "--set images.app.platforms.amd64.timeout: images.app.platforms has no entry 'amd64' (it has s390x; count from 0 or write the name)"),
        ("images: {app: }", {"sets": ("images=5",)}, "--set images: images: must be a mapping of names (like images: {app: {target: app}})"),
        ("images: 5", {"sets": ("images.app.target=x",)}, "--set images.app.target: the file has no image 'app' (the file has no image)"),
        ("images: {a: , b: {image: r.example.org/team/a, tags: [b]}}", {"tags": ("1",)}, "4:19: images.b.image: a and b would both be r.example.org/team/a:1 (--tag is for all images: write --set images.b.tags=[…] instead, for one)"),
        ("images: {app: }", {"tags": ("a b",)}, "--tag: tags.0: 'a b' is not a tag: letters, digits, `_`, `.` and `-`, at most 128, no `.` or `-` first (like a-b)"),
    ],
)  # fmt: skip
def test_problems_of_flags_name_the_flag(text, flags, expected, tmp_path):
    assert problems(tmp_path, BASE + text + "\n", **flags) == [expected]


def test_what_bake_says_lies_between_the_top_level_and_the_images(tmp_path):
    text = "version: 1\nplatforms: [amd64]\nargs: {A: 1}\nbake: {files: [x]}\nimages: {'*': {args: {C: 3}}, b: {target: y}}\n"
    bake = {
        "a": {"image": "x/a", "args": {"B": "2"}, "target": "t"},
        "b": {"image": "x/b", "platforms": ["arm64"], "target": "t"},
    }
    a, b = load(tmp_path, text, from_bake=bake).images
    assert (a.config.args, a.config.target) == ({"A": "1", "B": "2", "C": "3"}, "t")
    assert (b.config.target, str(b.config.platforms[0].name)) == ("y", "linux/arm64")


def test_set_reaches_images_that_only_bake_names(tmp_path):
    text = BASE + "bake: {files: [x]}\n"
    a, b = load(tmp_path, text, from_bake={"a": {"target": "t"}, "b": {}}, sets=("images.a.target=x",)).images
    assert (a.config.target, b.config.target) == ("x", None)


def test_targets_keep_their_names_and_repositories_have_no_capitals(tmp_path):
    text = (
        BASE.replace("/app", "/{name}") + "bake: {files: [x]}\ndestinations: ['m.example/{name}']\n"
        "target: '{name}'\ntags: ['{name}']\ncache: {to: ['type=registry,ref=r.example/c/{name}:{slug}']}\n"
        "publish: {staging: '{image}-{name}-{arch}:{tag}'}\n"
    )
    names = {
        "PHP-8": "php-8",
        "_common": "common",
        "Web__": "web",
        "a__b": "a__b",
        "x--y": "x--y",
        "a.B": "a.b",
    }
    images = load(tmp_path, text, from_bake={name: {} for name in names}).images
    assert [image.name for image in images] == list(names)
    for image in images:
        config, plain = image.config, names[image.name]
        assert (config.target, config.tags) == (image.name, (image.name,))
        assert config.image.endswith(f"/{plain}")
        assert config.destinations == (f"m.example/{plain}",)
        assert config.cache.to == (f"type=registry,ref=r.example/c/{plain}:{{slug}}",)
        assert config.publish.staging == f"{{image}}-{plain}-{{arch}}:{{tag}}"


def test_two_names_that_are_one_in_a_repository_are_refused(tmp_path):
    text = BASE.replace("/app", "/{name}") + "images: {_a: , a: }\n"
    assert [problem for problem in problems(tmp_path, text) if "_a and a would both be" in problem]


def test_images_stand_beside_those_of_bake(tmp_path):
    text = BASE + "bake: {files: [x]}\nimages: {c: {contexts: {x: image:a}}}\n"
    assert [item.name for item in load(tmp_path, text, from_bake={"a": {}}).images] == ["a", "c"]


@pytest.mark.parametrize(
    ("text", "bake", "expected"),
    [
        ("", {"a": {"timeout": "never"}}, "4:1: bake.a.timeout: must be a duration, not 'never' (like 90s, 5m or 1h30m, or a number of seconds)"),
        ("", {"-A": {}}, "4:1: bake: '-A' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first (rename the target: like a)"),
        ("images: {'x-*': {}}", {"a": {}}, "5:10: images.x-*: no image has a name like it (there are a)"),
        ("images: {a: {tragets: x}}", {"a": {}}, "5:14: images.a.tragets: is no key multibuild knows (perhaps you meant 'target')"),
        ("", {"a": {"image": "x/y"}, "b": {"image": "x/y"}}, "4:1: bake.b.image: a and b would both be docker.io/x/y:latest (name one of them alone in bake.targets, or give b other tags: images: {b: {tags: [b]}})"),
    ],
)  # fmt: skip
def test_problems_of_bake_stand_at_its_key(text, bake, expected, tmp_path):
    assert problems(tmp_path, f"{BASE}bake: {{files: [x]}}\n{text}\n", from_bake=bake) == [expected]


def test_a_secret_that_bake_passes_is_not_shown(tmp_path):
    (problem,) = problems(
        tmp_path,
        BASE + "bake: {files: [x]}\n",
        from_bake={"a": {"image": "https://user:hunter2@r.example.org/x"}},
    )
    assert "bake.a.image" in problem
    assert "hunter2" not in problem


def test_a_text_that_cannot_be_read_is_one_problem_of_all_images(tmp_path):
    assert len(problems(tmp_path, BASE + "target: '${-{name}}'\nimages: {a: , b: , c: }\n")) == 1


def test_the_bake_section_is_read_alone(tmp_path):
    file = tmp_path / "multibuild.yaml"
    file.write_text(f"{BASE}bake: {{files: [a.hcl], targets: [x, y], vars: {{V: '${{date}}', N: 1.10}}}}\n")
    section = read_bake(file, environ={}, overrides=Overrides(), now=NOW)
    assert section is not None
    bake = section.bake
    assert (bake.files, bake.targets, bake.vars) == (
        ("a.hcl",),
        ("x", "y"),
        {"V": "2026-02-03", "N": "1.10"},
    )
    file.write_text(BASE)
    assert read_bake(file, environ={}, overrides=Overrides(), now=NOW) is None


def test_what_several_images_miss_is_one_problem(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch AS one\n")
    text = BASE + "target: two\nimages: {a: , b: , c: {target: one}, d: {dockerfile: x}}\n"
    with pytest.raises(ConfigError) as caught:
        check_files(*load(tmp_path, text).images)
    file = tmp_path / "multibuild.yaml"
    assert caught.value.message.splitlines() == [
        f"{file}:4:1: a, b: target: Dockerfile has no stage 'two' (its stages are one)",
        f"{file}:5:42: images.d.dockerfile: there is no file {tmp_path / 'x'} (there is Dockerfile)",
    ]


def test_what_all_images_miss_names_none(tmp_path):
    with pytest.raises(ConfigError) as caught:
        check_files(*load(tmp_path, BASE + "images: {a: , b: }\n").images)
    assert caught.value.message.startswith(f"{tmp_path / 'multibuild.yaml'}: dockerfile: there is no file")


def test_the_files_of_images_that_are_there_pass(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app").mkdir()
    text = BASE + "images: {a: {contexts: {x: image:b, y: ./app}}, b: {context: app}}\n"
    check_files(*load(tmp_path, text).images)


def test_a_secret_that_one_image_lacks_names_it(tmp_path):
    loaded = image(tmp_path, BASE + "images: {app: {secrets: ['id=a,env=TOKEN']}}\n")
    with pytest.raises(
        ConfigError, match=r"yaml:4:26: images\.app\.secrets\.0: the environment variable TOKEN is not set"
    ):
        check_environment(loaded, {})


def test_the_schema_offers_the_keys_of_images():
    schema = json_schema()
    entry = schema["properties"]["images"]["additionalProperties"]
    assert entry["additionalProperties"] is False
    assert entry["properties"].keys() == set(key_names(Config)) - set(RUN_WIDE_KEYS)
    for key, value in entry["properties"].items():
        refs = re.findall(r"#/([\w$/]+)", json.dumps(value))
        assert refs, key
        for ref in refs:
            reduce(lambda inner, part: inner[part], ref.split("/"), schema)


def test_every_key_is_of_the_file_or_of_an_image():
    """A new key has to be placed: under images unless it is one of a run."""
    assert set(key_names(ConfigFile)) == set(key_names(Config)) | set(FILE_KEYS)
    assert set(RUN_WIDE_KEYS) <= set(key_names(ConfigFile))
    assert set(key_names(Config)) >= NAMED_KEYS
