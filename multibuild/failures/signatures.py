"""The table of failure classes and signatures: data only, read by `classify.py`.

BuildKit has already retried an error for about seven seconds (util/resolver/retryhandler: four attempts with 1, 2 and
4 s between), so waiting starts at several seconds.

A registry's error whose message is its code's default is printed as that code in words only, without the status:
"failed to push R: unauthorized" (distribution/errcode, Errors.UnmarshalJSON; seen with BuildKit in dockerd 28).

What stands between two words has a bound: `first.*second` takes time with the square of a line that repeats the first.
"""

from __future__ import annotations

from typing import Literal

from multibuild.frozen import frozen

Retry = Literal["transient", "once", "auth", "permanent"]
Scope = Literal["any", "run", "outside"]


@frozen
class FailureClass:
    """A class of failures and what helps against it.

    `attempts`: the total for a class that is retried "once" or with fresh credentials. `alone_after_failures`: after so
    many failures the next attempt runs with no other build beside it. `waits_minutes`: pauses of minutes, not seconds.
    """

    name: str
    retry: Retry
    hint: str
    attempts: int = 2
    alone_after_failures: int | None = None
    waits_minutes: bool = False


@frozen
class Signature:
    """One row. `scope` "run" applies to a failing RUN's output, "outside" to everything else."""

    pattern: str
    name: str
    scope: Scope
    source: str


_NET = "Go net/http, containerd resolver; buildkit util/resolver/retryhandler"

# fmt: off
CLASSES: tuple[FailureClass, ...] = (
    FailureClass(name="network", retry="transient", hint="check the network between the builder and the host it names"),
    FailureClass(name="connection-refused", retry="transient", hint="is the server it names running and reachable?"),
    FailureClass(name="dns", retry="transient", hint="check the builder's DNS; a container builder has its own"),
    FailureClass(name="no-such-host", retry="once", hint="check the spelling of the host name, then the builder's DNS"),
    FailureClass(name="registry-unavailable", retry="transient",
                 hint="the registry answers with errors: try again later"),
    FailureClass(name="rate-limited", retry="transient", waits_minutes=True,
                 hint="log in (`docker login`) for a higher limit, or use a mirror (buildkitd.toml)"),
    FailureClass(name="token", retry="auth", hint="`docker login HOST` again: the registry's token service refused"),
    FailureClass(name="unauthorized", retry="auth",
                 hint="`docker login HOST` with an account that may pull and push here"),
    FailureClass(name="denied", retry="permanent",
                 hint="this account may not do that: ask for the right, or `docker login`"),
    FailureClass(name="builder-gone", retry="transient",
                 hint="BuildKit went away: look at its log; out of memory is common"),
    FailureClass(name="connection-lost", retry="transient",
                 hint="ssh lost its connection to the builder's machine: `multibuild doctor` says whether it answers"),
    FailureClass(name="lost-blob", retry="once", hint="if it comes again: `docker buildx prune --builder NAME`"),
    FailureClass(name="lost-snapshot", retry="transient", hint="if it stays: `docker buildx prune --builder NAME`"),
    FailureClass(name="cache-service", retry="transient",
                 hint="the cache service failed; builds without it are only slower"),
    FailureClass(name="qemu-crash", retry="once", attempts=3, alone_after_failures=2,
                 hint="QEMU crashed: pin another version in `emulators.image`, cross-compile this step, or use a native node"),
    FailureClass(name="qemu-illegal-instruction", retry="permanent",
                 hint="the emulated CPU lacks an instruction: set ENV QEMU_CPU in the stage, or pin a newer `emulators.image`"),
    FailureClass(name="out-of-memory", retry="once", alone_after_failures=1,
                 hint="the step was killed, most likely for memory: lower --jobs, or give the builder more"),
    FailureClass(name="no-space", retry="permanent", hint="free disk space: `docker buildx prune`, `docker system df`"),
    FailureClass(name="exec-format", retry="permanent",
                 hint="no emulator runs this platform: `multibuild doctor`, then `multibuild setup`"),
    FailureClass(name="no-such-program", retry="permanent",
                 hint="the program or its loader is missing; for a foreign platform also: an emulator without flag F (`multibuild doctor`)"),
    FailureClass(name="base-without-platform", retry="permanent",
                 hint="the base image has no such platform: `multibuild inspect BASE` lists what it has"),
    FailureClass(name="wrong-base-platform", retry="permanent",
                 hint="use a base image that has this platform; `multibuild inspect BASE` lists what it has"),
    FailureClass(name="not-found", retry="permanent", hint="check the name and tag of the image"),
    FailureClass(name="dockerfile", retry="permanent", hint="mend the Dockerfile where the message points"),
    FailureClass(name="missing-file", retry="permanent",
                 hint="the file is not in the context: check the path and .dockerignore"),
    FailureClass(name="step-failed", retry="permanent", hint="the command itself failed; its last lines are above"),
    FailureClass(name="usage", retry="permanent",
                 hint="docker or buildx does not know an option: update it, or see build_flags"),
    FailureClass(name="no-builder", retry="permanent", hint="`multibuild setup` makes the builder ready"),
    FailureClass(name="driver", retry="permanent",
                 hint="use a docker-container builder, or the containerd image store"),
    FailureClass(name="entitlement", retry="permanent", hint="allow it: `build_flags: [--allow=…]` and on the builder"),
    FailureClass(name="tls", retry="permanent",
                 hint="make the CA known (`registries: {HOST: {ca: FILE}}`), or say `insecure: true` for plain http; "
                      "`multibuild doctor` says what the builder lacks"),
    FailureClass(name="registry-refuses", retry="permanent", hint="the registry does not accept this manifest or name"),
    FailureClass(name="timeout", retry="once",
                 hint="raise `timeout`, cross-compile the slow step, or use a native node"),
    FailureClass(name="stalled", retry="once",
                 hint="nothing was heard for `stall_timeout`; `auto` also looks at the emulators"),
    FailureClass(name="killed", retry="transient", hint="another process ended the build's process"),
    FailureClass(name="unknown-transfer", retry="transient", hint="an unknown failure while moving data; see the log"),
    FailureClass(name="unknown", retry="permanent", hint="see the log"),
)

SIGNATURES: tuple[Signature, ...] = (
    # Space and memory first: their messages often follow other errors.
    Signature(name="no-space", scope="any", source="ENOSPC", pattern=r"no space left on device|disk quota exceeded"),
    Signature(name="out-of-memory", scope="any", source="buildkit executor detectOOM",
              pattern=r"did not complete successfully: cannot allocate memory|signal: killed"),
    # Emulator errors in a RUN's output.
    Signature(name="qemu-illegal-instruction", scope="run", source="multiarch#99",
              pattern=r"qemu: uncaught target signal 4\b"),
    Signature(name="qemu-crash", scope="run", source="binfmt#215, buildx#314",
              pattern=r"qemu: uncaught target signal \d+"),
    Signature(name="exec-format", scope="any", source="buildkit#2437: no handler for the binary",
              pattern=r"exec format error"),
    Signature(name="no-such-program", scope="any", source="docker/docs#14140",
              pattern=r"exec \S+: no such file or directory|starting container process caused: exec: .{0,500} no such file"),
    # Registry and network, outside a RUN. What ssh says stands behind these words, and may be anything: "Connection
    # refused", "Permission denied (publickey)", "kex_exchange_identification: …", "Timeout, server … not responding".
    Signature(name="connection-lost", scope="outside", source="docker/cli connhelper/commandconn",
              pattern=r"command \[ssh .{0,1000}\] has exited with|make sure the URL is valid, and Docker 18\.09 or later"
                      r"|http://docker\.example\.com"),
    Signature(name="rate-limited", scope="outside", source="distribution-spec TOOMANYREQUESTS",
              pattern=r"429 Too Many Requests|toomanyrequests|pull rate limit|rate exceeded"),
    # The blank before the number: "…request to http://localhost:5000/v2/…: 401" is no 500.
    # A registry's bare code is in lower case; "Unavailable: " is gRPC's, from a builder that went away.
    Signature(name="registry-unavailable", scope="outside", source="containerd core/remotes/errors; buildx#1315",
              pattern=r"unexpected status(?: code)?(?: from \w+ request to \S+:| \S+:|:)? 5\d\d\b"
                      r"|received unexpected HTTP status: 5\d\d|(?-i:: unavailable(?:: |$))"),
    Signature(name="tls", scope="outside", source="Go crypto/x509, net/http",
              pattern=r"certificate signed by unknown authority|server gave HTTP response to HTTPS client|x509:"
                      r"|first record does not look like a TLS handshake"),
    Signature(name="connection-refused", scope="outside", source=_NET, pattern=r"connection refused"),
    Signature(name="dns", scope="outside", source="buildkit#757",
              pattern=r"server misbehaving|Temporary failure (?:in name resolution|resolving)"),
    Signature(name="no-such-host", scope="outside", source="moby#42867, buildkit#3532", pattern=r"no such host"),
    # A Docker daemon that cannot be reached is restarting: setup had reached it.
    Signature(name="builder-gone", scope="outside", source="buildx#1079, buildkit#1222, solver/errdefs/jobs.go",
              pattern=r"dial unix \S+buildkitd\.sock|transport is closing|error reading from server: EOF"
                      r"|Cannot connect to the Docker daemon|failed to connect to the docker API|unable to upgrade to h2c"
                      r"|code = Unavailable|no such job|no active session|closing transport"),
    Signature(name="network", scope="outside", source=_NET,
              pattern=r"TLS handshake timeout|i/o timeout|request canceled|Client\.Timeout exceeded|connection reset by peer"
                      r"|broken pipe|use of closed network connection|unexpected EOF|: EOF\b|no route to host|network is unreachable"
                      r"|context deadline exceeded|http2: server sent GOAWAY|stream error|RST_STREAM|408 Request Timeout"),
    Signature(name="cache-service", scope="outside", source="go-actions-cache",
              pattern=r"error writing layer blob: maximum timeout reached|failed to (?:import|export) cache"),
    Signature(name="token", scope="outside", source="buildkit authorizer",
              pattern=r"failed to fetch (?:anonymous|oauth) token"),
    # A refusal without a message has nothing behind the code: `failed to push app:1: unauthorized`.
    Signature(name="unauthorized", scope="outside", source="buildx#139, #324",
              pattern=r"401 Unauthorized|unauthorized(?:: |(?m:$))|failed to authorize|authorization failed"
                      r"|no basic auth credentials"),
    Signature(name="denied", scope="outside", source="containerd resolver.go, pusher.go",
              pattern=r"403 Forbidden|push access denied|pull access denied|insufficient_scope|\bdenied(?:: |$)"),
    # "blob unknown": registry 2.8 loses a blob that two pushes link into a repository at once (platforms that share a layer).
    Signature(name="lost-blob", scope="outside", source="buildkit#2631, #990; moby#47520",
              pattern=r"unknown blob \S+ in history|exceeded retry timeout"
                      r"|content digest sha256:\w+: not found|blob (?:sha256:\w+\b|unknown).{0,300}not found|MANIFEST_BLOB_UNKNOWN"
                      r"|blob unknown\b|blob upload (?:unknown|invalid)|(?:DIGEST|SIZE)[_ ]INVALID|provided digest did not match"),
    # Seen when a build uses what other builds, cancelled at that moment, have just created.
    Signature(name="lost-snapshot", scope="outside", source="buildkit#6808, #6977, #6521",
              pattern=r"snapshot \S+ does not exist: not found"),
    # Failures that no retry helps.
    Signature(name="base-without-platform", scope="outside", source="containerd core/images; moby noMatchesErr",
              pattern=r"no match for platform in manifest|no matching manifest for"),
    Signature(name="dockerfile", scope="outside", source="buildkit frontend/dockerfile",
              pattern=r"dockerfile parse error|failed to read dockerfile|unknown instruction|target stage .{0,500} could not be found"
                      r"|circular dependency detected|failed to parse stage name|failed to solve with frontend"
                      r"|no build stage in current context"),
    Signature(name="missing-file", scope="outside", source="buildkit solver/edge.go, opsutils/contenthash.go",
              pattern=r"failed to compute cache key|failed to calculate checksum of ref|failed to walk"),
    Signature(name="not-found", scope="outside", source="buildkit imageresolver.go",
              pattern=r"failed to resolve source metadata for .{0,500}not found|: not found$|(?:manifest|name)[_ ]unknown"),
    Signature(name="usage", scope="outside", source="docker CLI, exit 125",
              pattern=r"unknown flag|unknown shorthand flag|unknown command: docker|invalid argument .{0,500} for "),
    Signature(name="no-builder", scope="outside", source="buildx storeutil.go",
              pattern=r"no builder .{0,500} found|no valid drivers found"),
    Signature(name="driver", scope="outside", source="buildx build/opt.go",
              pattern=r"push-by-digest is currently not implemented|Multi-platform build is not supported for the docker driver"),
    Signature(name="entitlement", scope="outside", source="buildkit util/entitlements",
              pattern=r"granting entitlement|is not allowed$"),
    Signature(name="registry-refuses", scope="outside", source="distribution-spec",
              pattern=r"MANIFEST[_ ]INVALID|NAME[_ ]INVALID|UNSUPPORTED|mediaType in manifest"),
)
# fmt: on

NETWORK_IN_RUN = (
    r"connection reset by peer|Connection reset|i/o timeout|TLS handshake timeout|Connection timed out|timed out"
    r"|Temporary failure (?:in name resolution|resolving)|Could not resolve|Failed to fetch|502 Bad Gateway"
    r"|503 Service|504 Gateway|429 Too Many|unexpected EOF|Network is unreachable|no route to host"
    r"|Connection refused|no such host|server misbehaving|ECONNRESET|ETIMEDOUT|EAI_AGAIN|the remote end hung up|curl: \((?:5|6|7|16|18|28|35|52|56|92)\)"
)
"""Text of a network failure in a RUN's output; it counts only where the step itself uses the network."""

NETWORK_COMMANDS = (
    r"\b(?:apt|apt-get|aptitude|apk|dnf|microdnf|yum|zypper|pacman|pip3?|uv|poetry|conda|npm|npx|yarn|pnpm|curl|wget"
    r"|git|go|cargo|rustup|mvn|gradle|gem|bundle|composer|nuget|dotnet|debootstrap|rsync|scp|ftp|aria2c|svn|hg|helm)\b"
)
"""Programs that fetch: a RUN that names one is network-bound."""

EXIT_CODES: dict[int, str] = {
    132: "qemu-illegal-instruction",
    133: "qemu-crash",
    134: "qemu-crash",
    135: "qemu-crash",
    136: "qemu-crash",
    137: "out-of-memory",
    139: "qemu-crash",
}
"""Exit codes 128+n of a RUN that a signal ended; a crash is QEMU's only under emulation."""
