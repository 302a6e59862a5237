"""Each definition with what it must become: written by hand from the files, not from what the mapping returns.

`recorded/NAME.json` is what buildx 0.29.1 prints for it, in a project at /project: `python -m bake_files.record`, with
`tests` on PYTHONPATH, writes it again.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
PROJECT = "/project"


@dataclass(frozen=True)
class Image:
    """The platforms of an image, its references, and its arguments."""

    platforms: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    args: dict[str, str] = field(default_factory=dict)
    linked: bool = False


@dataclass(frozen=True)
class Case:
    """A definition and the request; either images, or (target, key) of what is refused."""

    name: str
    folder: str = ""
    files: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def path(self):
        return FOLDER / (self.folder or self.name)

    @property
    def document(self):
        return json.loads((FOLDER / "recorded" / f"{self.name}.json").read_text())


@dataclass(frozen=True)
class Failure:
    """A request that buildx itself refuses: words of its sentence, and of the hint."""

    name: str
    folder: str
    message: str
    hint: str
    files: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def path(self):
        return FOLDER / self.folder


TWO = ("linux/amd64", "linux/arm64")
META_TAGS = tuple(
    f"{repository}:{tag}"
    for repository in ("acme/app", "ghcr.io/acme/app")
    for tag in ("1.2.3", "1.2", "latest")
)
META_PLATFORMS = ("linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64", "linux/386")
META_ARGS = {"DOCKER_META_IMAGES": "acme/app,ghcr.io/acme/app", "DOCKER_META_VERSION": "1.2.3"}
META_FILES = ("docker-bake.hcl", "docker-metadata-action-bake.json")
RELEASE = {"PROFILE": "release"}
COMMON_ARGS = {"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1", "GO_VERSION": "1.26"}
PHP_ALPINE = (*TWO, "linux/arm/v6")
GAR = "us-docker.pkg.dev/acme/docker"


def three_services(*tags):
    return {
        f"app-{name}": Image(TWO, tuple(f"ghcr.io/acme/{name}:{tag}" for tag in tags))
        for name in ("web", "scheduler", "events")
    }


def php(version, system, platforms, *tags):
    return {
        f"php-{version.replace('.', '-')}-{system}": Image(
            platforms, tuple(f"acme/php:{tag}" for tag in tags), {"PHP_VERSION": version}
        )
    }


CASES = (
    Case("matrix", images=three_services("latest")),
    Case(
        "matrix-with-version",
        folder="matrix",
        targets=("app",),
        variables={"VERSION": "3"},
        images=three_services("latest", "3"),
    ),
    Case(
        "matrix-by-pattern",
        folder="matrix",
        targets=("app-e*",),
        images={"app-events": Image(TWO, ("ghcr.io/acme/events:latest",))},
    ),
    Case(
        "functions",
        images={
            "default": Image(
                references=(
                    "docker.io/acme/tool:1.4.2",
                    "docker.io/acme/tool:1.4",
                    "docker.io/acme/tool:latest",
                ),
                args={"SERIES": "1.4", "SHOUT": "EDGE", "LITERAL": "${NOT_A_VARIABLE}"},
            )
        },
    ),
    Case(
        "inheritance",
        images={
            "binary": Image((), ("acme/binary:latest",), COMMON_ARGS),
            "image-all": Image(
                ("linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64"),
                ("acme/image:edge",),
                COMMON_ARGS,
            ),
        },
    ),
    Case("groups", images={name: Image() for name in ("cli", "mailer", "indexer", "api")}),
    Case(
        "groups-that-build-no-image",
        folder="groups",
        targets=("validate",),
        refused=(("lint", "output"), ("vendor", "output")),
    ),
    Case(
        "chain",
        images={
            "default": Image(TWO, ("registry.example.org/acme/app:1",)),
            "base": Image(TWO, linked=True),
            "runtime": Image(TWO, linked=True),
        },
    ),
    Case(
        "validation",
        images={"default": Image((), ("acme/app:slim",), {"FLAVOUR": "slim", "JOBS": "4"})},
    ),
    Case(
        "metadata-action",
        files=META_FILES,
        targets=("build",),
        images={"build": Image(META_PLATFORMS, META_TAGS, META_ARGS)},
    ),
    Case(
        "metadata-action-index-annotations",
        folder="metadata-action",
        files=(*META_FILES, "index-annotations.json"),
        targets=("build",),
        images={"build": Image(META_PLATFORMS, META_TAGS, META_ARGS)},
    ),
    Case(
        "metadata-action-manifest-annotations",
        folder="metadata-action",
        files=(*META_FILES, "manifest-annotations.json"),
        targets=("build",),
        images={"build": Image(META_PLATFORMS, META_TAGS, META_ARGS)},
    ),
    Case(
        "compose-profiles",
        variables={"TAG": "9"},
        images={
            "seed": Image(),
            "web": Image(TWO, ("registry.example.org/acme/web:9",), {"NODE_VERSION": "24", "TAG": "9"}),
            "worker_mail": Image(),
        },
    ),
    Case("compose-without-builds"),
    Case(
        "compose-x-bake",
        images={
            "addon": Image(TWO, ("ct-addon:foo", "ct-addon:alp"), {"CT_ECR": "foo", "CT_TAG": "bar"}),
            "aws": Image(("linux/arm64",), ("ct-fake-aws:bar",), {"CT_ECR": "foo"}),
        },
    ),
    Case(
        "compose-x-bake-one-service",
        folder="compose-x-bake",
        targets=("aws",),
        images={
            "aws": Image(("linux/arm64",), ("ct-fake-aws:bar",), {"CT_ECR": "foo"}),
            "addon": Image(
                TWO, ("ct-addon:foo", "ct-addon:alp"), {"CT_ECR": "foo", "CT_TAG": "bar"}, linked=True
            ),
        },
    ),
    Case(
        "json",
        images={
            "db": Image((), ("docker.io/acme/db:latest",)),
            "webapp": Image((), ("docker.io/acme/webapp:latest",), {"EMPTY": "", "N": "7"}),
        },
    ),
    Case("inline", refused=(("default", "dockerfile-inline"),)),
    Case(
        "caches",
        images={
            "app": Image(TWO, ("ghcr.io/acme/app:latest",)),
            "inline": Image(),
            "native": Image(("linux/amd64",)),
        },
    ),
    Case(
        "secrets",
        environ={"NPM_TOKEN": "a secret"},
        images={"default": Image((), ("acme/private:latest",))},
    ),
    Case(
        "repositories",
        images={
            "default": Image(
                ("linux/amd64", "linux/arm64", "linux/riscv64"),
                tuple(
                    f"{host}/acme/app:{tag}"
                    for host in ("docker.io", "ghcr.io", "quay.io")
                    for tag in ("2.0.0", "latest")
                ),
            )
        },
    ),
    Case("uneven-repositories", refused=(("default", "tags"),)),
    Case(
        "variants",
        images={
            **php("8.3", "bookworm", TWO, "8.3-bookworm"),
            **php("8.3", "alpine", PHP_ALPINE, "8.3-alpine"),
            **php("8.4", "bookworm", TWO, "8.4-bookworm", "bookworm"),
            **php("8.4", "alpine", PHP_ALPINE, "8.4-alpine", "alpine"),
        },
    ),
    Case("sandbox", refused=(("default", "entitlements"),)),
    Case(
        "ci-conditions",
        targets=("all",),
        variables={"CI": "true", "GIT_SHA": "1a2b3c"},
        images={
            "validator": Image((), (f"{GAR}/validator:main", f"{GAR}/validator:1a2b3c"), RELEASE),
            "faucet": Image((), (f"{GAR}/faucet:main", f"{GAR}/faucet:1a2b3c"), RELEASE),
            "builder": Image((), (), RELEASE, linked=True),
        },
    ),
    Case(
        "remote",
        images={"default": Image(("linux/amd64", "linux/arm64", "linux/arm/v7"), ("acme/app:v1.2.3",))},
    ),
    Case(
        "overrides",
        images={"default": Image((), ("acme/app:release",), {"MODE": "release", "KEPT": "yes"})},
    ),
    Case(
        "overrides-without-the-override",
        folder="overrides",
        files=("docker-bake.hcl",),
        refused=(("default", "output"),),
    ),
    Case(
        "attestations",
        images={"app": Image(TWO, ("acme/app:latest",)), "plain": Image((), ("acme/plain:latest",))},
    ),
    Case(
        "outputs",
        refused=(
            ("artifacts", "output"),
            ("layout", "output"),
            ("local", "output"),
            ("native", "platforms"),
            ("outline", "call"),
            ("zstd", "output"),
        ),
    ),
)

FAILURES = (
    Failure(
        "a misspelt target",
        "groups",
        "bake.targets.0: failed to find target mailr",
        "mailer",
        targets=("mailr",),
    ),
    Failure("a pattern without a target", "groups", "nope-*", "there are", targets=("nope-*",)),
    Failure(
        "a variable that fails its validation",
        "validation",
        "docker-bake.hcl:4,17-55: Validation failed; FLAVOUR is slim or full.",
        "bake.vars",
        variables={"FLAVOUR": "fat"},
    ),
    Failure(
        "a misspelt variable",
        "validation",
        "bake.vars.FLAVOR: the definition has no such variable",
        "FLAVOUR",
        variables={"FLAVOR": "full"},
    ),
    Failure(
        "a misspelt file",
        "groups",
        "bake.files.0: there is no file docker-bake.hlc",
        "perhaps you meant docker-bake.hcl",
        files=("docker-bake.hlc",),
    ),
    Failure("a secret that is not there", "secrets", "failed to stat NPM_TOKEN", "set the variable"),
    Failure("a folder without a definition", "recorded", "couldn't find a bake definition", "bake: {files:"),
)
