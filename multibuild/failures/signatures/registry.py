"""What registries, and the way to them, answer to BuildKit: resolve, pull, push, export of an image or a cache.

A registry's error whose message is its code's default is printed as that code in words only, without the status:
"failed to push R: unauthorized" (distribution/errcode, Errors.UnmarshalJSON; seen with BuildKit in dockerd 28).

A status of 4xx other than 401, 408 and 429 is an answer: another request gets the same.

What stands between two words has a bound: `first.*second` takes time with the square of a line that repeats the first.
"""

from __future__ import annotations

from multibuild.failures.signatures.row import Signature

_NET = "Go net/http, containerd resolver; buildkit util/resolver/retryhandler"
_HUB = "Docker Hub, distribution/errcode"

STATUS = r"(?:unexpected status(?: code)?|received unexpected HTTP status|invalid response status|failed with status(?: code)?)(?: from \w{1,60} request to \S{1,120}:| \[[^\]]{1,200}\]:| \S{1,120}:|:)? "
"""How Go's clients of registries introduce a status; the blank before the number: "…localhost:5000/v2/…: 401" is no 500."""

# fmt: off
ANSWERS: tuple[Signature, ...] = (
    # `ADD https://…` (buildkit source/http).
    Signature(tool="BuildKit", name="download-missing", word="invalid response status", pattern=r"invalid response status (?:404|410)\b", source="buildkit source/http"),
    Signature(tool="BuildKit", name="download-refused", word="invalid response status", pattern=r"invalid response status (?:401|403)\b", source="buildkit source/http"),
    Signature(tool="BuildKit", name="download-rate-limited", word="invalid response status", pattern=r"invalid response status 429\b", source="buildkit source/http"),
    Signature(tool="BuildKit", name="server-error", word="invalid response status", pattern=r"invalid response status 5\d\d\b", source="buildkit source/http"),
    # The registry's own sentence before its status: "400 Bad Request: The image tag '1' already exists".
    Signature(tool="ECR", name="immutable-tag", word="immutab", source="ImageTagAlreadyExistsException; Harbor 412; Docker Hub tag immutability"),
    Signature(tool="Artifact Registry", name="immutable-tag", word="already exists", pattern=r"(?:tag|manifest) .{0,300}already exists|cannot be overwritten", source="ALREADY_EXISTS; GitLab protected tags"),
    Signature(tool="Nexus", name="immutable-tag", word="does not allow updating", source="Nexus: Repository does not allow updating assets"),
    Signature(tool="Harbor", name="immutable-tag", word="412 precondition failed", source="goharbor/harbor src/server/middleware/immutable"),
    Signature(tool="Harbor", name="quota", word="exceed the configured upper limit", source="goharbor/harbor src/pkg/quota/errors.go"),
    Signature(tool="registries", name="quota", word="quota", pattern=r"quota (?:has been |is |was )?(?:exceeded|reached)|exceed\w{0,10} .{0,40}quota|out of quota|over quota|insufficient quota", source="Quay, GitLab, Artifact Registry: RESOURCE_EXHAUSTED"),
    Signature(tool="registries", name="quota", word="limit", pattern=r"storage (?:size )?limit|(?:maximum|size|image|repository) limit (?:is |was |has been )?(?:exceeded|reached)|LimitExceededException|exceeds the maximum allowed number", source="ECR, DigitalOcean, ACR"),
    Signature(tool="registries", name="quota", word="507 insufficient storage", source="RFC 4918"),
    Signature(tool="registries", name="quota", word="402 payment required", source="RFC 9110; Docker Hub, Quay"),
    Signature(tool="nginx", name="too-large", word="413", pattern=r"413 (?:Request Entity|Payload|Content) Too Large|" + STATUS + r"413\b", source="RFC 9110: nginx client_max_body_size, Cloudflare 100 MB"),
    Signature(tool="registries", name="too-large", word="layer size", pattern=r"(?:maximum|max) layer size|layer size .{0,60}(?:exceed|too large)|SIZE_LIMIT", source="ECR LayerPartTooSmall, GHCR 10 GB"),
    Signature(tool="ECR", name="no-repository", word="repository", pattern=r"The repository with name .{1,300} does not exist|repository .{1,300} not found: name unknown|name unknown: .{0,200}repository", source="ECR RepositoryNotFoundException, Artifact Registry"),
    Signature(tool="registries", name="no-repository", word="project", pattern=r"project .{1,200} (?:not found|does not exist)|unknown project", source="goharbor/harbor, GitLab"),
    Signature(tool="registries", name="no-repository", word="failed to push", pattern=r"failed to push .{0,400}(?:name[_ ]unknown|(?<!token: )" + STATUS + r"404 Not Found)", source="distribution-spec NAME_UNKNOWN"),
    Signature(tool="registries", name="rate-limited", word="429", pattern=r"429 Too Many Requests|" + STATUS + r"429\b", source="distribution-spec TOOMANYREQUESTS"),
    Signature(tool=_HUB, name="rate-limited", word="toomanyrequests", source="distribution-spec TOOMANYREQUESTS"),
    Signature(tool=_HUB, name="rate-limited", word="rate", pattern=r"pull rate limit|rate exceeded|rate limit(?:ed| exceeded)", source="distribution-spec TOOMANYREQUESTS"),
)

TROUBLE: tuple[Signature, ...] = (
    # A registry's bare code is in lower case; "Unavailable: " is gRPC's, from a builder that went away.
    Signature(tool="registries", name="registry-unavailable", word=" 5", pattern=STATUS + r"5\d\d\b", source="containerd core/remotes/errors; buildx#1315"),
    Signature(tool="registries", name="registry-unavailable", word="unavailable", pattern=r"(?-i:: unavailable(?:: |$))|\b503 Service Unavailable", source="distribution/errcode"),
    Signature(tool="registries", name="registry-unavailable", word="bad gateway", pattern=r"\b502 Bad Gateway", source="RFC 9110"),
    Signature(tool="Go", name="clock", word="certificate has expired or is not yet valid", pattern=r"not yet valid: current time \S{1,120} is before", source="Go crypto/x509"),
    Signature(tool="Go", name="tls", word="certificate signed by unknown authority", source="Go crypto/x509"),
    Signature(tool="Go", name="tls", word="server gave http response to https client", source="Go net/http"),
    Signature(tool="Go", name="tls", word="x509:", source="Go crypto/x509"),
    Signature(tool="Go", name="tls", word="first record does not look like a tls handshake", source="Go crypto/tls"),
    Signature(tool="Go", name="tls", word="tls: ", pattern=r"remote error: tls: |tls: (?:failed to verify|unsupported|no supported|protocol version|handshake failure)", source="Go crypto/tls alert.go"),
    Signature(tool="Go", name="connection-refused", word="connection refused", source=_NET),
    Signature(tool="Go", name="dns", word="server misbehaving", source="buildkit#757"),
    Signature(tool="Go", name="dns", word="temporary failure", pattern=r"Temporary failure (?:in name resolution|resolving)", source="getaddrinfo EAI_AGAIN"),
    Signature(tool="Go", name="no-such-host", word="no such host", source="moby#42867, buildkit#3532"),
)

TRANSFER: tuple[Signature, ...] = (
    *(Signature(tool="Go", name="network", word=word, source=_NET)
    for word in (
        "tls handshake timeout", "i/o timeout", "request canceled", "client.timeout exceeded", "connection reset by peer",
        "broken pipe", "use of closed network connection", "unexpected eof", "no route to host", "network is unreachable",
        "context deadline exceeded", "http2: server sent goaway", "stream error", "rst_stream", "408 request timeout",
        "http2: client connection lost", "connection timed out", "server closed idle connection", "request timeout",
    )),
    Signature(tool="Go", name="network", word=": eof", pattern=r": EOF\b", source=_NET),
    Signature(tool="Go", name="network", word="408", pattern=STATUS + r"408\b", source=_NET),
)

REFUSALS: tuple[Signature, ...] = (
    Signature(tool="BuildKit", name="token", word="failed to fetch", pattern=r"failed to fetch (?:anonymous|oauth) token", source="buildkit util/resolver/authorizer.go"),
    Signature(tool="registries", name="token", word="token has expired", source="Amazon ECR: a login is good for twelve hours"),
    # A refusal without a message has nothing behind the code: `failed to push app:1: unauthorized`.
    Signature(tool="registries", name="unauthorized", word="401", pattern=r"401 Unauthorized|" + STATUS + r"401\b", source="buildx#139"),
    Signature(tool="registries", name="unauthorized", word="unauthorized", pattern=r"unauthorized(?:: |(?m:$))", source="buildx#139, #324"),
    Signature(tool="BuildKit", name="unauthorized", word="authoriz", pattern=r"failed to authorize|authorization failed", source="buildx#139"),
    Signature(tool="docker", name="unauthorized", word="no basic auth credentials", source="moby daemon"),
    Signature(tool="docker", name="unauthorized", word="authentication required", source="distribution/errcode"),
    Signature(tool="registries", name="denied", word="403", pattern=r"403 Forbidden|" + STATUS + r"403\b", source="containerd resolver.go, pusher.go"),
    Signature(tool="Go", name="denied", word="forbidden", pattern=r"failed to do request: .{0,400}\": Forbidden(?m:$)", source="Go net/http: a proxy's answer to CONNECT"),
    Signature(tool="containerd", name="denied", word="access denied", pattern=r"(?:push|pull) access denied", source="containerd pusher.go"),
    Signature(tool="registries", name="denied", word="insufficient_scope", source="distribution"),
    # "permission denied" is a file system's.
    Signature(tool="registries", name="denied", word="denied", pattern=r"(?<!permission )\bdenied(?:: |(?m:$))", source="distribution/errcode; containerd"),
)

BLOBS: tuple[Signature, ...] = (
    # "blob unknown": registry 2.8 loses a blob that two pushes link into a repository at once (platforms that share a layer).
    Signature(tool="BuildKit", name="lost-blob", word="unknown blob", pattern=r"unknown blob \S{1,120} in history", source="buildkit#2631"),
    Signature(tool="BuildKit", name="lost-blob", word="layer does not exist", source="moby layer.ErrLayerDoesNotExist"),
    Signature(tool="BuildKit", name="lost-blob", word="exceeded retry timeout", source="buildkit#990"),
    Signature(tool="containerd", name="lost-blob", word="not found", pattern=r"content digest sha256:\w{1,80}: not found|blob (?:sha256:\w{1,80}\b|unknown).{0,300}not found", source="moby#47520"),
    Signature(tool="registries", name="lost-blob", word="blob", pattern=r"MANIFEST_BLOB_UNKNOWN|blob unknown\b|blob upload (?:unknown|invalid)", source="distribution/errcode"),
    Signature(tool="registries", name="lost-blob", word="invalid", pattern=r"(?:DIGEST|SIZE)[_ ]INVALID", source="distribution/errcode"),
    Signature(tool="registries", name="lost-blob", word="provided digest did not match", source="distribution/errcode"),
    Signature(tool="registries", name="lost-blob", word="416", pattern=r"416 Requested Range Not Satisfiable|" + STATUS + r"416\b", source="distribution-spec: the upload's session is lost"),
    # Seen when a build uses what other builds, cancelled at that moment, have just created.
    Signature(tool="BuildKit", name="lost-snapshot", word="not exist: not found", pattern=r"snapshot \S{1,120} does not exist: not found", source="buildkit#6808, #6977, #6521"),
    Signature(tool="BuildKit", name="lost-snapshot", word="restore missing snapshot", pattern=r"restore missing snapshot \S{1,120}: no blob available", source="buildkit#7035"),
    Signature(tool="BuildKit", name="lost-snapshot", word="inconsistent graph state", source="buildkit#2303: a race of the scheduler"),
    Signature(tool="BuildKit", name="lost-snapshot", word="return leaving incoming open", source="buildkit solver/scheduler.go"),
    Signature(tool="BuildKit", name="lost-snapshot", word="missing lease requirement for", source="buildkit#4419: a build that shared layers was cancelled"),
    Signature(tool="containerd", name="snapshotter", word="failed to compute cache key: mount callback failed", source="containerd mount/temp.go"),
)

LAST: tuple[Signature, ...] = (
    Signature(tool="containerd", name="base-without-platform", word="no match", pattern=r"no match for platform in manifest|no matching manifest for", source="containerd core/images; moby noMatchesErr"),
)

CODES: tuple[Signature, ...] = (
    Signature(tool="registries", name="registry-refuses", word="invalid", pattern=r"(?:MANIFEST|NAME|TAG)[_ ]INVALID", source="distribution-spec"),
    Signature(tool="registries", name="registry-refuses", word="unsupported", pattern=r"(?-i:UNSUPPORTED)|: unsupported(?:: |(?m:$))", source="distribution-spec"),
    Signature(tool="registries", name="registry-refuses", word="mediatype in manifest", source="distribution"),
    Signature(tool="registries", name="registry-answer", word=" 4", pattern=STATUS + r"4\d\d\b", source="containerd core/remotes/errors"),
    Signature(tool="registries", name="registry-answer", word="400 bad request", source="RFC 9110"),
    # All that BuildKit prints of a registry's JSON whose code it does not know, 4xx and 5xx alike: neither code nor status.
    Signature(tool="registries", name="registry-answer", word="unknown: ", pattern=r"failed to push [^\s]{1,1000}: unknown: \S", source="distribution/errcode, seen with BuildKit in dockerd 28: MANIFEST_INVALID, TAG_INVALID, CONFLICT"),
)
# fmt: on
