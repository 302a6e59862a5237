"""What BuildKit, its frontend, its executor and the clients say of themselves: mostly of a step that never ran."""

from __future__ import annotations

from multibuild.failures.signatures.row import Signature

# fmt: off
FIRST: tuple[Signature, ...] = (
    # Space and memory first: their messages often follow other errors.
    Signature(tool="kernel", name="no-space", word="no space left on device", source="ENOSPC"),
    Signature(tool="kernel", name="no-space", word="disk quota exceeded", source="EDQUOT"),
    Signature(tool="BuildKit", name="out-of-memory", word="cannot allocate memory", pattern=r"did not complete successfully: cannot allocate memory", source="buildkit executor detectOOM"),
    Signature(tool="runc", name="out-of-memory", word="signal: killed", source="buildkit executor"),
    Signature(tool="runc", name="exec-format", word="exec format error", source="buildkit#2437: no handler for the binary"),
    Signature(tool="runc", name="no-such-program", word="no such file", pattern=r"exec \S{1,120}: no such file or directory|starting container process caused: exec: .{0,400} no such file|unable to start container process: exec: .{0,400} no such file", source="docker/docs#14140"),
    Signature(tool="runc", name="no-such-program", word="executable file not found in $path", source="Go os/exec, from runc"),
    Signature(tool="runc", name="not-executable", word="permission denied", pattern=r"unable to start container process: exec: .{0,400}permission denied|exec \S{1,120}: permission denied", source="runc: EACCES of execve"),
)

NEVER_RAN: tuple[Signature, ...] = (
    # What ssh says stands behind these words, and may be anything: "Connection refused", "Permission denied (publickey)",
    # "kex_exchange_identification: …", "Timeout, server … not responding".
    Signature(tool="ssh", name="connection-lost", word="command [ssh ", pattern=r"command \[ssh .{0,400}\] has exited with", source="docker/cli connhelper/commandconn"),
    Signature(tool="ssh", name="connection-lost", word="make sure the url is valid, and docker 18.09 or later", source="docker/cli connhelper/commandconn"),
    Signature(tool="docker", name="connection-lost", word="http://docker.example.com", source="docker/cli connhelper/commandconn"),
    Signature(tool="docker", name="builder-gone", word="during connect: ", pattern=r"during connect: .{0,400}(?:\bEOF\b|no such host|refused|reset by peer|timeout|timed out)", source="docker client: a daemon that is not there, or not yet"),
    Signature(tool="BuildKit", name="secret", word="secret", pattern=r"\bsecret \S{1,120}: not found|could not parse secrets|failed to (?:stat|read) secret|secret \S{1,120} too big|failed to retrieve HTTP auth secret|unset secret", source="buildkit session/secrets; buildx build/opt.go"),
    Signature(tool="BuildKit", name="ssh", word="ssh", pattern=r"invalid empty ssh agent socket|SSH_AUTH_SOCK|no SSH key .{0,200} forwarded|could not parse ssh|ssh forwarding.{0,60}not|unset ssh forward|failed to convert agent config", source="buildkit session/sshforward"),
    Signature(tool="BuildKit", name="ssh", word="failed to dial agent", source="buildkit session/sshforward/sshprovider"),
    Signature(tool="BuildKit", name="mount", word="mount", pattern=r"failed to find ref .{1,200} for .{1,200} mount|mount \S{1,120} has no source|invalid mount type|cannot mount from stage|mount source subpath|missing cache mount options|invalid field .{0,200} in mount|failed to parse csv mounts|allowed for .{0,60} type mounts", source="buildkit frontend/dockerfile/instructions, solver/llbsolver/mounts"),
    Signature(tool="containerd", name="runtime", word="operation not permitted", pattern=r"failed to mount /\S{1,300}: .{0,400}operation not permitted", source="containerd mount: a rootless builder, buildkit#4667"),
    Signature(tool="BuildKit", name="entitlement", word="entitlement", pattern=r"granting entitlement|entitlements? .{0,100}not (?:allowed|granted)", source="buildkit util/entitlements"),
    Signature(tool="BuildKit", name="entitlement", word="is not allowed", pattern=r"is not allowed(?m:$)", source="buildkit util/entitlements"),
    Signature(tool="client", name="context-unreadable", word="error reading from context", pattern=r"error reading from context(?!.{0,400}(?:unexpected EOF|reset by peer|broken pipe|: EOF\b))", source="moby pkg/archive"),
    Signature(tool="fsutil", name="context-unreadable", word="error from sender", pattern=r"error from sender: .{0,400}(?:permission denied|no such file|operation not permitted|is a socket)", source="tonistiigi/fsutil send.go"),
    Signature(tool="client", name="context-unreadable", word="error checking context", source="docker CLI cli/command/image/build"),
    Signature(tool="client", name="context-unreadable", word="no permission to read from", source="docker CLI cli/command/image/build/context.go"),
    Signature(tool="client", name="missing-file", word="unable to prepare context", source="buildx build/opt.go"),
    Signature(tool="client", name="missing-file", word="failed to get build context", pattern=r"failed to get build context .{0,400}no such file", source="buildx build/opt.go"),
    Signature(tool="BuildKit", name="builder-gone", word="frontend grpc server closed unexpectedly", source="buildkit frontend/gateway/gateway.go"),
    # Only a cache export says so, also where the name of its step is lost; before what a registry's 5xx means in a push.
    Signature(tool="BuildKit", name="cache-service", word="error writing layer blob", pattern=r"error writing layer blob: .{0,300}\b5\d\d\b", source="buildkit cache/remotecache/export.go"),
)

GIT: tuple[Signature, ...] = (
    Signature(tool="git", name="git-auth", word="could not read", pattern=r"could not read (?:Username|Password) for", source="git credential.c"),
    Signature(tool="git", name="git-auth", word="terminal prompts disabled", source="git prompt.c"),
    Signature(tool="git", name="git-auth", word="authentication failed", pattern=r"fatal: Authentication failed for|remote: .{0,80}authentication failed", source="git http.c"),
    Signature(tool="ssh", name="git-auth", word="permission denied (", pattern=r"Permission denied \((?:publickey|password|keyboard)", source="openssh sshconnect2.c"),
    Signature(tool="ssh", name="host-key", word="host key verification failed", source="openssh sshconnect.c"),
    Signature(tool="git", name="git-missing", word="couldn't find remote ref", source="git remote.c"),
    Signature(tool="git", name="git-missing", word="remote branch", pattern=r"Remote branch .{1,300} not found", source="git builtin/clone.c"),
    Signature(tool="git", name="git-missing", word="not our ref", source="git upload-pack.c"),
    Signature(tool="git", name="git-missing", word="repository", pattern=r"fatal: repository (?:.{1,400} )?not found|remote: Repository not found|ERROR: Repository not found|does not appear to be a git repository", source="git remote-curl.c, GitHub"),
    Signature(tool="git", name="git-missing", word="pathspec", pattern=r"pathspec .{1,300} did not match any file", source="git pathspec.c"),
)

BUILDER: tuple[Signature, ...] = (
    # A Docker daemon that cannot be reached is restarting: setup had reached it.
    Signature(tool="client", name="builder-gone", word="buildkitd.sock", pattern=r"dial unix \S{1,120}buildkitd\.sock", source="buildx#1079"),
    *(Signature(tool="client", name="builder-gone", word=word, source="buildx#1079, buildkit#1222, solver/errdefs/jobs.go")
    for word in (
        "transport is closing", "error reading from server: eof", "cannot connect to the docker daemon",
        "failed to connect to the docker api", "unable to upgrade to h2c", "code = unavailable", "no such job",
        "no active session", "closing transport", "error while dialing", "failed to receive status: rpc error",
        "unable to upgrade to tcp",
        # Between the end of BuildKit and its return, or the removal of its container.
        "the client connection is closing", "graceful_stop", "error reading server preface", "failed to list workers: unavailable", "no such container",
    )),
    # Somebody removes, stops or makes the builder's container while buildx starts it.
    Signature(tool="docker", name="builder-gone", word="container", pattern=r"container (?:\S{1,200} )?is (?:not running|restarting|paused|dead|marked for removal)", source="moby daemon"),
    Signature(tool="docker", name="builder-gone", word="cannot start a paused container", source="moby daemon/start.go"),
    Signature(tool="docker", name="builder-gone", word="removal of container", pattern=r"removal of container \S{1,200} is already in progress", source="moby daemon/delete.go"),
    Signature(tool="docker", name="builder-gone", word="the container name", pattern=r"the container name \S{1,200} is already in use", source="moby daemon/names.go"),
    Signature(tool="runc", name="builder-gone", word="cannot exec in a", pattern=r"cannot exec in a (?:stopped|paused|deleted)", source="runc, containerd process states"),
    Signature(tool="buildx", name="builder-gone", word="driver", pattern=r"driver not (?:running|connecting)|failed to bootstrap \S{1,80} driver", source="buildx driver"),
)

CACHE: tuple[Signature, ...] = (
    Signature(tool="BuildKit", name="cache-refused", word="cache export", pattern=r"cache export (?:is not supported|feature is currently not supported)", source="buildx build/opt.go"),
    Signature(tool="GitHub", name="cache-refused", word="legacy service is shutting down", source="GitHub: the first version of the cache service ended in 2025"),
    Signature(tool="BuildKit", name="cache-refused", word="error writing manifest blob", pattern=r"error writing manifest blob: .{0,400}\b(?:404|405|415) ", source="buildkit#3781: Harbor and others refuse the manifest of a cache"),
    Signature(tool="BuildKit", name="cache-refused", word="cache", pattern=r"unknown cache (?:exporter|importer)|failed to parse timeout for github actions cache|azblob cache|for s3 cache", source="buildkit cache/remotecache"),
    Signature(tool="BuildKit", name="cache-service", word="maximum timeout reached", pattern=r"error writing layer blob: maximum timeout reached", source="go-actions-cache"),
)

CACHE_LAST: tuple[Signature, ...] = (
    Signature(tool="BuildKit", name="cache-service", word="cache", pattern=r"failed to (?:import|export) cache|failed to configure \w{1,60} cache (?:importer|exporter)|cache service ", source="buildkit solver/llbsolver, go-actions-cache"),
    Signature(tool="BuildKit", name="cache-service", word="error writing layer blob", source="buildkit cache/remotecache/export.go"),
)

FRONTEND: tuple[Signature, ...] = (
    *(Signature(tool="BuildKit", name="dockerfile", word=word, source="buildkit frontend/dockerfile")
    for word in (
        "dockerfile parse error", "failed to read dockerfile", "unknown instruction", "circular dependency detected",
        "failed to parse stage name", "failed to solve with frontend", "no build stage in current context",
        "dockerfile cannot be empty", "file with no instructions", "dockerfile contains no stages", "unexpected end of statement",
        "should not be blank", "invalid reference format", "forbidden path outside the build context",
        "destination must be a directory and end with a /", "must be within the build context", "unsupported experimental feature",
        "unable to evaluate symlinks in dockerfile path", "line greater than max allowed size", "failed to parse platform",
        "invalid from flag value", "failed to process source stage base name", "needs to be defined before current",
        "failed to process arguments for platform", "requires buildkit", "is not a valid repository/tag",
        "repository name must be lowercase", "references to a non-", "doesn't support variable expansion",
    )),
    Signature(tool="BuildKit", name="dockerfile", word="target stage", pattern=r"target stage .{0,400} could not be found", source="buildkit frontend/dockerfile"),
    Signature(tool="BuildKit", name="dockerfile", word="requires", pattern=r"\w{1,60} requires (?:at least |exactly )?(?:one|two) arguments?|requires the arguments to be in JSON form", source="buildkit frontend/dockerfile/instructions"),
    Signature(tool="BuildKit", name="dockerfile", word="failed to process", pattern=r"failed to process \".{0,400}\": (?:unexpected|unsupported|missing)", source="buildkit frontend/dockerfile/shell/lex.go"),
    Signature(tool="BuildKit", name="checksum", word="digest mismatch", source="buildkit source/http: ADD --checksum"),
    Signature(tool="BuildKit", name="missing-file", word="failed to", pattern=r"failed to compute cache key: .{0,4000}(?:not found|no such file)|failed to calculate checksum of ref|failed to walk", source="buildkit solver/edge.go, opsutils/contenthash.go"),
    Signature(tool="BuildKit", name="missing-file", word="buildkit-mount", pattern=r"lstat /\S{1,200}buildkit-mount\S{1,400}: no such file", source="buildkit of Docker 18.09 to 20.10"),
    Signature(tool="classic builder", name="missing-file", word="failed", pattern=r"(?:COPY|ADD) failed: .{0,400}(?:no such file or directory|file not found|no source files)", source="moby builder/dockerfile/copy.go"),
    Signature(tool="BuildKit", name="not-found", word="not found", pattern=r"failed to resolve source metadata for .{0,400}not found|: not found(?m:$)|manifest for .{1,300} not found", source="buildkit imageresolver.go"),
    Signature(tool="registries", name="not-found", word="unknown", pattern=r"(?:manifest|name)[_ ]unknown", source="distribution-spec"),
)

CLIENT: tuple[Signature, ...] = (
    Signature(tool="docker", name="usage", word="unknown", pattern=r"unknown flag|unknown shorthand flag|unknown command: docker|unknown docker command", source="docker CLI, exit 125"),
    Signature(tool="docker", name="usage", word="invalid argument", pattern=r"invalid argument .{0,400} for ", source="spf13/pflag"),
    Signature(tool="docker", name="usage", word="requires", pattern=r"\"docker(?: buildx)? \w{1,60}\" requires (?:exactly|at least)", source="docker CLI cli/required.go"),
    Signature(tool="buildx", name="no-builder", word="no builder", pattern=r"no builder .{0,400} found", source="buildx storeutil.go"),
    Signature(tool="buildx", name="no-builder", word="no valid drivers found", source="buildx storeutil.go"),
    Signature(tool="buildx", name="no-builder", word="failed to find driver", source="buildx build/driver.go"),
    Signature(tool="buildx", name="driver", word="not ", pattern=r"push-by-digest is currently not implemented|Multi-platform build is not supported for the docker driver|(?:OCI|docker) exporter (?:is not supported|does not currently support)|Attestations? .{0,80}not supported for the docker driver", source="buildx build/opt.go"),
    Signature(tool="buildx", name="driver", word="multiple platforms feature is currently not supported", source="buildx build/opt.go"),
)

MACHINE: tuple[Signature, ...] = (
    Signature(tool="BuildKit", name="snapshotter", word="failed to", pattern=r"failed to (?:mount /\S{1,120}buildkit-mount|prepare \S{1,120} as|extract layer|register layer|apply diffs|get mounts|lease snapshot)", source="buildkit snapshot, containerd diff"),
    Signature(tool="containerd", name="snapshotter", word="mount callback failed", source="containerd mount/temp.go"),
    Signature(tool="moby", name="snapshotter", word="error creating overlay mount", source="moby daemon/graphdriver/overlay2"),
    Signature(tool="kernel", name="snapshotter", word="input/output error", source="EIO"),
    Signature(tool="kernel", name="snapshotter", word="device or resource busy", source="EBUSY: buildkit#3812"),
    Signature(tool="runc", name="runtime", word="runc", pattern=r"runc run failed|runc create failed|runc did not terminate succ?essfully|failed to find runc", source="buildkit executor/runcexecutor"),
    Signature(tool="runc", name="runtime", word="container", pattern=r"unable to start container process|OCI runtime (?:create|exec) failed|error during container init", source="opencontainers/runc"),
    Signature(tool="runc", name="runtime", word="cgroup", pattern=r"cgroups?: |cgroup path|/sys/fs/cgroup", source="opencontainers/cgroups"),
    Signature(tool="rootlesskit", name="runtime", word="rootlesskit", source="rootless-containers/rootlesskit"),
    Signature(tool="shadow", name="runtime", word="newuidmap", source="shadow: rootless BuildKit"),
    Signature(tool="kernel", name="permission", word="permission denied", source="EACCES"),
    Signature(tool="kernel", name="permission", word="operation not permitted", source="EPERM"),
)
# fmt: on
