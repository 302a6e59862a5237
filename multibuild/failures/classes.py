"""The table of failure classes: data only."""

from __future__ import annotations

from typing import Literal

from multibuild.frozen import frozen

Retry = Literal["transient", "once", "auth", "permanent"]


@frozen
class Example:
    """A real end of a build: the last line of the output of `step`, or BuildKit's own message where there is no step.

    `exit_code` is that of the step's command; None where it never ran. `emulated`: whether the step ran under emulation.
    """

    line: str
    step: str = ""
    exit_code: int | None = None
    emulated: bool = False


@frozen
class FailureClass:
    """A class of failures and what helps against it.

    `attempts`: the total for a class that is retried "once" or with fresh credentials. `alone_after_failures`: after so
    many failures the next attempt runs with no other build beside it. `waits_minutes`: pauses of minutes, not seconds.
    `example` is None for a class that follows from how buildx ended, not from what it printed.
    """

    name: str
    retry: Retry
    hint: str
    example: Example | None = None
    attempts: int = 2
    alone_after_failures: int | None = None
    waits_minutes: bool = False


def _run(step: str, line: str, exit_code: int = 1, *, emulated: bool = False) -> Example:
    return Example(step=f"RUN {step}", line=line, exit_code=exit_code, emulated=emulated)


def _message(line: str) -> Example:
    return Example(line=f"failed to solve: {line}")


# fmt: off
CLASSES: tuple[FailureClass, ...] = (
    # The way to a server, and what is wrong with the server.
    FailureClass(name="network", retry="transient",
                 hint="check the network between the builder and the host it names, or use a mirror or proxy near it",
                 example=_run("./install.sh", "curl: (56) Recv failure: Connection reset by peer", 56)),
    FailureClass(name="connection-refused", retry="transient", hint="is the server it names running and reachable?",
                 example=_message('failed to do request: Head "https://registry.example/v2/base/manifests/1": dial tcp 192.0.2.1:443: connect: connection refused')),
    FailureClass(name="dns", retry="transient", hint="check the builder's DNS; a container builder has its own",
                 example=_message("failed to do request: dial tcp: lookup registry.example on 127.0.0.11:53: server misbehaving")),
    FailureClass(name="no-such-host", retry="once", hint="check the spelling of the host name, then the builder's DNS",
                 example=_message("failed to do request: dial tcp: lookup registry.example: no such host")),
    FailureClass(name="server-error", retry="transient",
                 hint="the server, or a proxy in the network before it, fails: try again later, or use a mirror",
                 example=_run("./install.sh", "curl: (22) The requested URL returned error: 503", 22)),
    FailureClass(name="download-rate-limited", retry="transient", waits_minutes=True,
                 hint="the server limits requests: give the step a token as a secret (`RUN --mount=type=secret,…`), or use a mirror",
                 example=_run("./install.sh", "curl: (22) The requested URL returned error: 429", 22)),
    FailureClass(name="mirror-out-of-sync", retry="transient",
                 hint="the mirror or a proxy served files of two states: try again later, or use another mirror",
                 example=_run("apt-get update", "E: Failed to fetch http://deb.example/dists/stable/main/binary-arm64/Packages.xz  File has unexpected size (5 != 9). Mirror sync in progress? [IP: 192.0.2.1 80]", 100)),
    FailureClass(name="loopback", retry="permanent",
                 hint="the command itself failed: nothing listens on that address inside the step; start the server in the same RUN, or name a host that the step can reach",
                 example=_run("npm test", "Error: connect ECONNREFUSED 127.0.0.1:6379")),
    # Answers of a server that a step downloads from: another try gets the same.
    FailureClass(name="download-missing", retry="permanent",
                 hint="the server says that it does not exist (404): check the URL and version, and that it is there for this platform",
                 example=_run("curl -fsSLO https://dl.example/tool-riscv64.tgz", "curl: (22) The requested URL returned error: 404", 22)),
    FailureClass(name="download-refused", retry="permanent",
                 hint="the server refuses the download (401 or 403): give the step a token as a secret (`RUN --mount=type=secret,…`), and check that it has not expired",
                 example=_run("curl -fsSLO https://dl.example/tool.tgz", "curl: (22) The requested URL returned error: 403", 22)),
    FailureClass(name="stale-package-index", retry="permanent",
                 hint="the package list is older than the mirror: update it in the same RUN as the install, and build once with `--no-cache` if an old list is in the cache",
                 example=_run("apt-get install -y libfoo1", "E: Failed to fetch http://deb.example/pool/f/foo/libfoo1_1.2-3_arm64.deb  404  Not Found [IP: 192.0.2.1 80]", 100)),
    FailureClass(name="suite-gone", retry="permanent",
                 hint="the mirror does not have this suite or release (any more): use a newer base image, or the distribution's archive",
                 example=_run("apt-get update", "E: The repository 'http://deb.example/debian oldsuite Release' does not have a Release file.", 100)),
    FailureClass(name="lock-held", retry="transient",
                 hint="another build or a service holds the package manager's lock: give a cache mount that platforms share `sharing=locked`",
                 example=_run("apt-get install -y gcc", "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 0", 100)),
    FailureClass(name="no-such-package", retry="permanent",
                 hint="no such package or version for this platform: check its name, whether the package list was updated, and whether this architecture has it",
                 example=_run("apt-get install -y nosuch", "E: Unable to locate package nosuch", 100)),
    FailureClass(name="package-signature", retry="permanent",
                 hint="the repository's signature cannot be checked: a key that the base image lacks, a full disk, or (on 32-bit arm) an old libseccomp on the host",
                 example=_run("apt-get update", "W: GPG error: http://deb.example stable InRelease: At least one invalid signature was encountered.", 100)),
    FailureClass(name="checksum", retry="once",
                 hint="what was downloaded is not what was pinned: check that the checksum is that of this platform's file and of this version",
                 example=_run("npm ci", "npm error code EINTEGRITY")),
    FailureClass(name="step-ca", retry="permanent",
                 hint="the step does not trust the server's certificate: install `ca-certificates` and your own CA certificate in this stage before it",
                 example=_run("curl -O https://git.internal/x", "curl: (60) SSL certificate problem: self-signed certificate in certificate chain", 60)),
    FailureClass(name="clock", retry="permanent",
                 hint="the builder's clock is wrong: set the time of the machine or VM that runs the builder",
                 example=_run("apt-get update", "E: Release file for http://deb.example/debian/dists/stable/InRelease is not valid yet (invalid for another 5h 3min 2s).", 100)),
    FailureClass(name="git-auth", retry="permanent",
                 hint="git needs a login for this repository: give it a token (`--secret`, GIT_AUTH_TOKEN) or a key (`--ssh default`), and check that it may read",
                 example=_run("git clone https://git.example/private.git", "fatal: could not read Username for 'https://git.example': terminal prompts disabled", 128)),
    FailureClass(name="host-key", retry="permanent",
                 hint="ssh in the step does not know the server's host key: put the key into /etc/ssh/ssh_known_hosts of this stage, or clone over https with a token",
                 example=_run("git clone git@git.example:team/x.git", "Host key verification failed.", 128)),
    FailureClass(name="git-missing", retry="permanent",
                 hint="the git repository or the branch, tag or commit does not exist: check its URL and ref",
                 example=_run("git clone -b v9 https://git.example/x.git", "fatal: Remote branch v9 not found in upstream origin", 128)),
    # Registries.
    FailureClass(name="registry-unavailable", retry="transient",
                 hint="the registry answers with errors: try again later",
                 example=_message("failed to push registry.example/app:1: unexpected status from PUT request to https://registry.example/v2/app/manifests/1: 503 Service Unavailable")),
    FailureClass(name="rate-limited", retry="transient", waits_minutes=True,
                 hint="log in (`docker login`) for a higher limit, or use a mirror (buildkitd.toml)",
                 example=_message("failed to copy: toomanyrequests: You have reached your pull rate limit.")),
    FailureClass(name="token", retry="auth", hint="`docker login HOST` again: the registry's token service refused",
                 example=_message("failed to fetch oauth token: unexpected status: 400 Bad Request")),
    FailureClass(name="unauthorized", retry="auth",
                 hint="`docker login HOST` with an account that may pull and push here",
                 example=_message("failed to push registry.example/app:1: unexpected status from POST request to https://registry.example/v2/app/blobs/uploads/: 401 Unauthorized")),
    FailureClass(name="denied", retry="permanent",
                 hint="this account may not do that: ask for the right, or `docker login`",
                 example=_message("failed to push registry.example/app:1: denied: requested access to the resource is denied")),
    FailureClass(name="no-repository", retry="permanent",
                 hint="the registry has no such repository and creates none by a push: create it first, or check its name",
                 example=_message("failed to push registry.example/a/b:1: name unknown: The repository with name 'a/b' does not exist in the registry")),
    FailureClass(name="immutable-tag", retry="permanent",
                 hint="the tag exists and is immutable in this repository: push another tag, or allow it to be overwritten in the registry's settings",
                 example=_message("failed to push registry.example/a:1: unexpected status: 400 Bad Request: The image tag '1' already exists in the 'a' repository and cannot be overwritten because the repository is immutable.")),
    FailureClass(name="quota", retry="permanent",
                 hint="the registry's storage quota or limit is reached: delete old images there, or have the limit raised",
                 example=_message("failed to push registry.example/a/b:1: denied: requested access: adding 120 MiB of storage resource, which when updated to 10.1 GiB will exceed the configured upper limit of 10.0 GiB")),
    FailureClass(name="too-large", retry="permanent",
                 hint="the layer is larger than the registry or a proxy before it allows (413): raise its limit (nginx: client_max_body_size), or make the layer smaller",
                 example=_message("failed to push registry.example/a/b:1: unexpected status from PUT request to https://registry.example/v2/a/b/blobs/uploads/x: 413 Request Entity Too Large")),
    FailureClass(name="registry-refuses", retry="permanent", hint="the registry does not accept this manifest or name",
                 example=_message("failed to push registry.example/app:1: MANIFEST_INVALID: manifest invalid")),
    FailureClass(name="registry-answer", retry="once",
                 hint="the registry refused the request with the status above: look for the reason in its own log or documentation",
                 example=_message("failed to push registry.example/a/b:1: unexpected status from PUT request to https://registry.example/v2/a/b/manifests/1: 400 Bad Request")),
    FailureClass(name="tls", retry="permanent",
                 hint="make the CA known (`registries: {HOST: {ca: FILE}}`), or say `insecure: true` for plain http; "
                      "`multibuild doctor` says what the builder lacks",
                 example=_message("failed to do request: tls: failed to verify certificate: x509: certificate signed by unknown authority")),
    FailureClass(name="not-found", retry="permanent", hint="check the name and tag of the image",
                 example=_message("registry.example/base:9: failed to resolve source metadata for registry.example/base:9: registry.example/base:9: not found")),
    FailureClass(name="base-without-platform", retry="permanent",
                 hint="the base image has no such platform: `multibuild inspect BASE` lists what it has",
                 example=_message("registry.example/base:1: no match for platform in manifest: not found")),
    FailureClass(name="wrong-base-platform", retry="permanent",
                 hint="use a base image that has this platform; `multibuild inspect BASE` lists what it has"),
    # BuildKit, its machine and its cache.
    FailureClass(name="builder-gone", retry="transient",
                 hint="the builder is gone, or was for a moment: out of memory is common (`docker logs` of its container); `multibuild setup` makes one of its own again",
                 example=_message("frontend grpc server closed unexpectedly")),
    FailureClass(name="connection-lost", retry="transient",
                 hint="ssh lost its connection to the builder's machine: `multibuild doctor` says whether it answers",
                 example=Example(line="Cannot connect to the Docker daemon at http://docker.example.com. Is the docker daemon running?")),
    FailureClass(name="lost-blob", retry="once", hint="if it comes again: `docker buildx prune --builder NAME`",
                 example=_message("failed to push registry.example/app:1: blob unknown")),
    FailureClass(name="lost-snapshot", retry="transient", hint="if it stays: `docker buildx prune --builder NAME`",
                 example=_message("failed to prepare extraction snapshot: parent snapshot a:b does not exist: not found")),
    FailureClass(name="cache-service", retry="transient",
                 hint="the cache service or its registry failed; builds without it are only slower",
                 example=Example(line="failed to solve: error writing layer blob: maximum timeout reached")),
    FailureClass(name="cache-refused", retry="permanent",
                 hint="the registry or service refuses this cache: add `ignore-error=true` to `cache.to`, and for registries that know images only `image-manifest=true,oci-mediatypes=true`",
                 example=_message("Cache export is not supported for the docker driver.")),
    FailureClass(name="runtime", retry="permanent",
                 hint="the builder could not start the step's container (runc, mounts, cgroups): check that the builder is privileged or rootless as it should be, and its log",
                 example=_message('runc run failed: unable to start container process: error during container init: error mounting "proc" to rootfs at "/proc": operation not permitted')),
    FailureClass(name="snapshotter", retry="once",
                 hint="the builder's storage failed to mount or unpack a layer: `docker buildx prune --builder NAME`, then check its disk and file system",
                 example=_message("failed to mount /tmp/buildkit-mount1: [{Type:overlay Source:overlay}]: invalid argument")),
    FailureClass(name="no-space", retry="permanent", hint="free disk space: `docker buildx prune`, `docker system df`",
                 example=_message("write /var/lib/buildkit/runc-overlayfs/content/ingest/x: no space left on device")),
    FailureClass(name="secret", retry="permanent",
                 hint="the build has no such secret: add it under `secrets` with the id that the Dockerfile names, and check its file or variable",
                 example=_message("secret tok: not found")),
    FailureClass(name="ssh", retry="permanent",
                 hint="the build has no ssh agent or key to forward: start an agent (`eval $(ssh-agent); ssh-add`) and name it under `ssh`",
                 example=_message("could not parse ssh: [default]: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")),
    FailureClass(name="mount", retry="permanent",
                 hint="a `--mount` of the step has no valid source or target: mend the mount in the Dockerfile",
                 example=_message('failed to find ref cache0 for "/src" mount')),
    FailureClass(name="dockerfile", retry="permanent", hint="mend the Dockerfile where the message points",
                 example=_message("dockerfile parse error on line 3: unknown instruction: RUNN")),
    FailureClass(name="missing-file", retry="permanent",
                 hint="the file is not in the context: check the path and .dockerignore",
                 example=_message('failed to compute cache key: failed to calculate checksum of ref sha256:a1: "/app.c": not found')),
    FailureClass(name="context-unreadable", retry="permanent",
                 hint="a file of the context cannot be read: mend its permission, or name it in .dockerignore",
                 example=_message("error reading from context: open /src/data/db.sock: permission denied")),
    FailureClass(name="permission", retry="permanent",
                 hint="a file system refuses access: check the owner and mode of the file or directory it names on the machine of the builder or client",
                 example=_message("mkdir /var/lib/buildkit/x: permission denied")),
    FailureClass(name="usage", retry="permanent",
                 hint="docker or buildx does not know an option: update it, or see build_flags",
                 example=Example(line="unknown flag: --frobnicate")),
    FailureClass(name="no-builder", retry="permanent",
                 hint="the builder is gone: `multibuild setup` makes one of its own again, `docker buildx ls` shows the others",
                 example=Example(line='no builder "multibuild" found')),
    FailureClass(name="driver", retry="permanent",
                 hint="use a docker-container builder, or the containerd image store",
                 example=Example(line="Multi-platform build is not supported for the docker driver.")),
    FailureClass(name="entitlement", retry="permanent", hint="allow it: `build_flags: [--allow=…]` and on the builder",
                 example=_message("granting entitlement network.host is not allowed")),
    # The step itself: emulation, crashes, memory.
    FailureClass(name="qemu-crash", retry="once", attempts=3, alone_after_failures=2,
                 hint="QEMU crashed: pin another version in `emulators.image`, cross-compile this step, or use a native node",
                 example=_run("apt-get install -y gcc", "qemu: uncaught target signal 11 (Segmentation fault) - core dumped", 100, emulated=True)),
    FailureClass(name="qemu-illegal-instruction", retry="permanent",
                 hint="the emulated CPU lacks an instruction: set ENV QEMU_CPU in the stage, or pin a newer `emulators.image`",
                 example=_run("./app --version", "qemu: uncaught target signal 4 (Illegal instruction) - core dumped", 132, emulated=True)),
    FailureClass(name="large-inodes", retry="permanent",
                 hint="a 32-bit program, mostly under emulation, cannot read 64-bit inode numbers: mount a tmpfs there (`RUN --mount=type=tmpfs,target=DIR`), or cross-compile this step",
                 example=_run("cargo build", "  Value too large for defined data type (os error 75)", 101, emulated=True)),
    FailureClass(name="crash", retry="permanent",
                 hint="a program of the step crashed on native hardware: look up its version and this message, or lower its optimization",
                 example=_run("make", "x.c:10:1: internal compiler error: Segmentation fault", 2)),
    FailureClass(name="out-of-memory", retry="once", alone_after_failures=1,
                 hint="the step was killed, most likely for memory: lower --jobs, or give the builder more",
                 example=_run("make -j8", "g++: fatal error: Killed signal terminated program cc1plus", 2)),
    FailureClass(name="heap-limit", retry="permanent",
                 hint="the program reached its own memory limit: raise its heap (NODE_OPTIONS=--max-old-space-size=…, -Xmx…, memory_limit), or build less at once",
                 example=_run("npm run build", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", 134)),
    FailureClass(name="exec-format", retry="permanent",
                 hint="no emulator runs this platform: `multibuild doctor`, then `multibuild setup`",
                 example=Example(step="RUN true", line="exec /bin/sh: exec format error", exit_code=255)),
    FailureClass(name="foreign-binary", retry="permanent",
                 hint="the step runs a program of another architecture: choose its download by TARGETARCH, or run this stage with `FROM --platform=$BUILDPLATFORM`",
                 example=_run("protoc --version", "qemu-x86_64: Could not open '/lib64/ld-linux-x86-64.so.2': No such file or directory", 255, emulated=True)),
    FailureClass(name="no-such-program", retry="permanent",
                 hint="the program or its loader is missing; for a foreign platform also: an emulator without flag F (`multibuild doctor`)",
                 example=_message("runc run failed: exec /bin/sh: no such file or directory")),
    FailureClass(name="command-not-found", retry="permanent",
                 hint="the step's command is not in the image: install it in this stage, or check its name and PATH",
                 example=_run("mak", "/bin/sh: 1: mak: not found", 127)),
    FailureClass(name="not-executable", retry="permanent",
                 hint="the step's command may not be executed: `chmod +x` it, and check its first line and its mount",
                 example=_run("./build.sh", "/bin/sh: 1: ./build.sh: Permission denied", 126)),
    FailureClass(name="step-failed", retry="permanent",
                 hint="the command itself failed; the lines above are its own",
                 example=_run("make", "main.c:3:1: error: expected ';' before '}' token", 2)),
    # How buildx ended, and what nothing above explains.
    FailureClass(name="timeout", retry="once",
                 hint="raise `timeout`, cross-compile the slow step, or use a native node"),
    FailureClass(name="stalled", retry="once",
                 hint="nothing was heard for `stall_timeout`; `auto` also looks at the emulators"),
    FailureClass(name="killed", retry="transient", hint="another process ended the build's process",
                 example=_message("Canceled: context canceled")),
    FailureClass(name="unknown-transfer", retry="transient",
                 hint="an unknown failure while moving data: if it stays, search for the message above, and look at the builder's and the registry's logs",
                 example=_message("failed to push registry.example/app:1: something new under the sun")),
    FailureClass(name="unknown", retry="permanent",
                 hint="no cause is known for this: search for the lines above, which look most like one, in the issues of BuildKit or of the tool that printed them",
                 example=_message("something new under the sun")),
)
# fmt: on

BUILDER_GONE = frozenset({"builder-gone", "no-builder"})
"""Classes of failures that say that BuildKit, or buildx's record of the builder, is not there (any more)."""
