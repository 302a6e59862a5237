from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.project import LoadedProject, load_project
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
        BASE + "images: {App: }",
        [
            "4:10: images.App: 'App' is no name of an image: lower-case letters and digits, with '.', '_' or '-' between (like app)"
        ],
    ),
    (
        BASE + "images: {'a/b': }",
        [
            "4:10: images.a/b: 'a/b' is no name of an image: lower-case letters and digits, with '.', '_' or '-' between (like a-b)"
        ],
    ),
    (
        BASE + "images: {'': }",
        [
            "4:10: images.: '' is no name of an image: lower-case letters and digits, with '.', '_' or '-' between (like app)"
        ],
    ),
    (
        BASE + "images: {-a: }",
        [
            "4:10: images.-a: '-a' is no name of an image: lower-case letters and digits, with '.', '_' or '-' between (like a)"
        ],
    ),
    (
        BASE + "images: {a..b: }",
        [
            "4:10: images.a..b: 'a..b' is no name of an image: lower-case letters and digits, with '.', '_' or '-' between (like a.b)"
        ],
    ),
    (
        BASE + "images: {'..': }",
        [
            "4:10: images...: '..' is no name of an image: lower-case letters and digits, with '.', '_' or '-' between (like app)"
        ],
    ),
    (
        BASE + "images: {'ä': }",
        [
            "4:10: images.ä: 'ä' is no name of an image: lower-case letters and digits, with '.', '_' or '-' between (like app)"
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
            "4:16: images.app.platforms: must not be empty (like platforms: [linux/amd64, linux/arm64])",
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
        "version: 1\nimage: a/b\nplatforms: [amd64]\ncontexts: {x: image:a}",
        [
            "4:12: contexts.x: image:NAME is another image of this file, and the file has no `images` (write docker-image://NAME for an image of a registry, ./image:NAME for a folder)"
        ],
    ),
    (
        BASE + "imagess: {a: }",
        [
            "2:1: image: 'r.example.org/team/{name}' is not the name of a repository (like registry.example.org/team/app)",
            "4:1: imagess: is no key multibuild knows (perhaps you meant 'images')",
        ],
    ),
    (
        BASE + "image_s: {a: }",
        [
            "2:1: image: 'r.example.org/team/{name}' is not the name of a repository (like registry.example.org/team/app)",
            "4:1: image_s: is no key multibuild knows (perhaps you meant 'images')",
        ],
    ),
    (
        BASE + "bake: {files: [docker-bake.hcl]}",
        ["4:1: bake: gives no image (name its targets: bake: {targets: [app]})"],
    ),
    (
        BASE + "bake: {fils: [x]}\nimages: {a: }",
        [
            "4:1: bake.files: is required (like files: …)",
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
            "4:14: images.a.image: 'x/{nam}' is not the name of a repository (like registry.example.org/team/app)"
        ],
    ),
    (
        BASE + "media_type: docker\nimages: {a: {annotations: {x: y}}, b: }",
        [
            "5:14: images.a.annotations: media_type docker has no annotations: a Docker manifest list cannot hold them (remove them, or write media_type: oci)"
        ],
    ),
    (
        BASE + "media_type: docker\nannotations: {x: y}\nimages: {a: , b: }",
        [
            "5:1: annotations: media_type docker has no annotations: a Docker manifest list cannot hold them (remove them, or write media_type: oci)"
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
