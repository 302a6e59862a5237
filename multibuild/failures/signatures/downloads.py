"""What programs that download one thing say (curl, wget, git, rsync, skopeo, helm …), and the words of any program at the end of a step."""

from __future__ import annotations

from multibuild.failures.signatures.row import Signature

_CURL = "curl src/tool_operate.c, lib/strerror.c; exit codes in curl(1)"
_GIT = "git remote-curl.c, http.c, fetch-pack.c, sideband.c"

_STATUS = r"(?:https?:|\bHTTP\b|\berror\b|\bstatus\b|\breturned\b|\bresponse\b).{0,200}"

# fmt: off
CURL: tuple[Signature, ...] = (
    Signature(tool="curl", name="clock", word="curl: (60)", pattern=r"curl: \(60\) .{0,200}not yet valid", source=_CURL),
    Signature(tool="curl", name="step-ca", word="curl: (", pattern=r"curl: \((?:60|77|83|58)\)", source=_CURL),
    Signature(tool="curl", name="step-ca", word="curl: (35)", pattern=r"curl: \(35\) .{0,300}(?:unsupported protocol|wrong version number|handshake failure|alert |no protocols)", source=_CURL),
    Signature(tool="curl", name="network", word="curl: (", pattern=r"curl: \((?:5|6|7|12|16|18|28|35|52|55|56|92|95|96)\)(?! (?:CONNECT tunnel failed, response|Received HTTP code) 40)", source=_CURL),
    Signature(tool="curl", name="download-rate-limited", word="returned error: ", pattern=r"The requested URL returned error: 429", source=_CURL),
    Signature(tool="curl", name="server-error", word="returned error: ", pattern=r"The requested URL returned error: (?:5\d\d|408)", source=_CURL),
    Signature(tool="curl", name="download-missing", word="returned error: ", pattern=r"^(?!error: failed retrieving file).{0,900}The requested URL returned error: (?:404|410)", source=_CURL),
    Signature(tool="curl", name="download-refused", word="returned error: ", pattern=r"The requested URL returned error: (?:401|403|407)", source=_CURL),
    Signature(tool="curl", name="download-refused", word="curl: (56)", pattern=r"curl: \(56\) (?:CONNECT tunnel failed, response|Received HTTP code) 40[37]", source="libcurl http_proxy.c"),
    Signature(tool="curl", name="network", word="will retry", pattern=r"^Warning: .{0,200}Will retry in \d", source="curl tool_operate.c", weight="warning"),
)

WGET: tuple[Signature, ...] = (
    Signature(tool="wget", name="server-error", word="error 500|error 502|error 503|error 504|error 408", pattern=r"\d\d ERROR (?:50[0234]|408): ", source="wget src/http.c; busybox networking/wget.c"),
    Signature(tool="wget", name="download-rate-limited", word="error 429|wget", pattern=r"\d\d ERROR 429: |^wget: server returned error: HTTP/\S{1,120} 429", source="wget src/http.c"),
    Signature(tool="wget", name="download-missing", word="error 404|error 410", pattern=r"\d\d ERROR (?:404|410): ", source="wget src/http.c"),
    Signature(tool="wget", name="download-missing", word="wget: server returned error", pattern=r"^wget: server returned error: HTTP/\S{1,120} (?:404|410)", source="busybox networking/wget.c"),
    Signature(tool="wget", name="server-error", word="wget: server returned error", pattern=r"^wget: server returned error: HTTP/\S{1,120} 5\d\d", source="busybox networking/wget.c"),
    Signature(tool="wget", name="download-refused", word="error 401|error 403|wget|authorization|authentication", pattern=r"\d\d ERROR (?:401|403): |^wget: server returned error: HTTP/\S{1,120} (?:401|403)|^(?:Username/Password )?(?:Authorization|Authentication) failed\.$", source="wget src/http.c"),
    Signature(tool="wget", name="network", word="unable to resolve host address", source="wget src/host.c"),
    Signature(tool="wget", name="network", word="bad address", pattern=r"^wget: bad address '", source="busybox libbb/xconnect.c"),
    Signature(tool="wget", name="network", word="can't connect to remote host", source="busybox libbb/xconnect.c"),
    Signature(tool="wget", name="network", word="wget: ", pattern=r"^wget: (?:download timed out|error getting response|connection closed prematurely|short read|.{0,40}Connection reset|TLS error from peer|read error)", source="busybox networking/wget.c"),
    Signature(tool="wget", name="network", word="error in server response", source="wget src/http.c", weight="warning"),
    Signature(tool="wget", name="network", word="read error", pattern=r"Read error (?:at byte|\()", source="wget src/retr.c", weight="warning"),
    Signature(tool="wget", name="network", word="connecting|resolving", pattern=r"^(?:Connecting|Resolving) .{1,300}\.\.\. failed: (?:Connection|Network|No route|Temporary|Name or service|Operation timed)", source="wget src/connect.c", weight="warning"),
    Signature(tool="wget", name="network", word="unable to establish ssl connection", source="wget src/http.c"),
    Signature(tool="wget", name="network", word="giving up", pattern=r"^Giving up\.$", source="wget src/retr.c", weight="last"),
    Signature(tool="wget", name="clock", word="activated", pattern=r"certificate .{0,200}not yet (?:been )?activated", source="wget src/gnutls.c"),
    Signature(tool="wget", name="step-ca", word="certificate", pattern=r"^(?:ERROR: )?(?:wget: )?(?:cannot verify \S{1,120} certificate|The certificate of .{1,200} (?:is not trusted|doesn't have a known issuer|has expired)|.{0,40}certificate .{0,80}is not trusted)", source="wget src/gnutls.c, openssl.c"),
    Signature(tool="wget", name="step-ca", word="ssl_client", pattern=r"ssl_client: .{1,200}(?:certificate|verify)", source="busybox ssl_client of Alpine"),
    Signature(tool="aria2", name="network", word="errorcode=", pattern=r"errorCode=(?:1|2|5|6|19) ", source="aria2 src/error_code.h"),
    Signature(tool="aria2", name="download-missing", word="errorcode=3", pattern=r"errorCode=3 ", source="aria2 src/error_code.h"),
    Signature(tool="aria2", name="server-error", word="errorcode=", pattern=r"errorCode=29 |errorCode=22 .{0,200}status=5\d\d", source="aria2 src/error_code.h"),
    Signature(tool="aria2", name="download-refused", word="errorcode=", pattern=r"errorCode=(?:22|24) .{0,200}status=40[13]", source="aria2 src/error_code.h"),
)

GIT: tuple[Signature, ...] = (
    Signature(tool="git", name="step-ca", word="certificate", pattern=r"server certificate verification failed|SSL certificate problem", source="git http.c, libcurl"),
    Signature(tool="git", name="network", word="rpc failed", pattern=r"RPC failed; (?:curl \d{1,9}|HTTP (?:5\d\d|408|429)|result=)", source=_GIT),
    Signature(tool="git", name="network", word="early eof", source=_GIT, weight="warning"),
    Signature(tool="git", name="network", word="the remote end hung up", source=_GIT, weight="warning"),
    Signature(tool="git", name="network", word="unexpected disconnect while reading sideband", source=_GIT),
    Signature(tool="git", name="network", word="unable to access", pattern=r"unable to access '.{1,400}': (?:Could not resolve|Failed to connect|Recv failure|Operation timed out|Connection|Empty reply|OpenSSL SSL_|GnuTLS recv|gnutls_handshake|SSL connection timeout|transfer closed|HTTP/2|Error in the HTTP2|Send failure|Operation too slow|LibreSSL|Proxy CONNECT|schannel|Couldn't connect|The requested URL returned error: (?:5\d\d|408|429))", source=_GIT),
    Signature(tool="git", name="network", word="fatal: unable to connect to", source="git connect.c"),
    Signature(tool="git", name="network", word="gnutls", pattern=r"GnuTLS recv error \((?:-54|-110|-9|-24)\)|gnutls_handshake\(\) failed", source="git with gnutls"),
    Signature(tool="git", name="network", word="openssl ssl_", pattern=r"OpenSSL SSL_(?:read|connect|write): (?:Connection|SSL_ERROR_SYSCALL|error:0A000126|unexpected eof|SSL_ERROR_ZERO)", source="libcurl vtls/openssl.c"),
    Signature(tool="ssh", name="network", word="ssh: ", pattern=r"^ssh: (?:connect to host .{1,200}: (?:Connection (?:timed out|refused|reset)|No route|Network|Operation timed out)|Could not resolve hostname)", source="openssh sshconnect.c"),
    Signature(tool="ssh", name="network", word="identification|port 22", pattern=r"(?:kex_exchange_identification|ssh_exchange_identification): (?:read: )?Connection (?:reset|closed)|^Connection (?:reset|closed) by \S{1,120} port 22", source="openssh kex.c"),
    Signature(tool="git-lfs", name="server-error", word="batch response: ", pattern=r"batch response: .{0,200}(?:5\d\d|Server error|Internal Server)", source="git-lfs lfsapi"),
    Signature(tool="git-lfs", name="quota", word="over its data quota", source="GitHub: git lfs budget"),
    Signature(tool="git", name="git-missing", word="unadvertised object|direct fetching of that commit failed", source="git upload-pack.c, builtin/submodule--helper.c"),
    Signature(tool="tar", name="network", word="unexpected eof in archive", pattern=r"^tar: Unexpected EOF in archive", source="GNU tar: a download cut short, by a program that says nothing with -s", weight="last", fetches_only=True),
)

OTHER: tuple[Signature, ...] = (
    Signature(tool="rsync", name="network", word="rsync error: ", pattern=r"rsync error: (?:timeout|error in socket IO|error in rsync protocol data stream|timeout waiting)", source="rsync errcode.h", weight="consequence"),
    Signature(tool="skopeo", name="download-rate-limited", word="toomanyrequests", source="distribution-spec TOOMANYREQUESTS"),
    Signature(tool="skopeo", name="server-error", word="status|statuscode", pattern=r"(?:received unexpected HTTP status|unexpected status code \S{1,120}|StatusCode|invalid status code from registry)[: ]{1,2}5\d\d|unexpected (?:http )?status code:? 5\d\d", source="containers/image docker"),
    Signature(tool="GitHub", name="download-rate-limited", word="rate limit|api limit", pattern=r"API limit .{0,60}is exhausted|API rate limit exceeded|secondary rate limit|rate limit exceeded", source="GitHub REST API"),
    Signature(tool="helm", name="network", word="failed to fetch http", pattern=r"failed to fetch https?://\S{1,400} : 5\d\d", source="helm pkg/getter/httpgetter.go"),
    Signature(tool="helm", name="download-missing", word="failed to fetch http", pattern=r"failed to fetch https?://\S{1,400} : 404", source="helm pkg/getter/httpgetter.go"),
    Signature(tool="terraform", name="network", word="could not connect to|failed to query|could not query", pattern=r"Could not connect to \S{1,120}|Failed to query available provider packages|could not query provider registry", source="terraform init", weight="last"),
    Signature(tool="cmake", name="network", word="status_code: |status_string: ", pattern=r"status_code: (?:5|6|7|18|28|35|52|56)$|status_string: \"(?:Couldn't|Timeout|Could not|Failure|SSL connect)", source="CMake ExternalProject download"),
    Signature(tool="coreutils", name="checksum", word="computed checksum", pattern=r"WARNING: \d{1,9} (?:of \d{1,9} )?computed checksums? did NOT match|computed checksum did not match", source="coreutils md5sum, busybox", weight="consequence"),
    Signature(tool="gpg", name="network", word="keyserver receive failed", source="gnupg dirmngr", weight="consequence"),
    Signature(tool="svn", name="network", word="svn: e", pattern=r"svn: E(?:170013|670002|175012|000104|000110|120108|175002)", source="subversion svn_error_codes.h"),
    Signature(tool="nix", name="network", word="unable to download", pattern=r"error: unable to download '.{1,400}': (?:Couldn|Timeout|HTTP error (?:5\d\d|000)|SSL|Could not)", source="nix filetransfer.cc"),
    Signature(tool="bazel", name="network", word="error downloading [", pattern=r"Error downloading \[.{1,400}(?:Connect timed out|Read timed out|Connection|Unknown host|GET returned 5\d\d|Bytes read|connect timed out)", source="bazel HttpDownloader"),
    Signature(tool="bazel", name="download-missing", word="error downloading [", pattern=r"Error downloading \[.{1,400}GET returned 404", source="bazel HttpDownloader"),
    Signature(tool="electron", name="network", word="err_electron_builder_cannot_execute", source="electron-builder app-builder", weight="last"),
    Signature(tool="node-gyp", name="network", word="gyp err! stack", pattern=r"gyp ERR! stack (?:FetchError|Error: (?:connect|read|getaddrinfo|socket|5\d\d status|network))", source="node-gyp lib/install.js"),
    Signature(tool="node-gyp", name="network", word="gyp err! stack fetcherror", source="node-gyp lib/install.js"),
    Signature(tool="perl", name="network", word="599 internal exception", source="HTTP::Tiny"),
)

ANY_PROGRAM: tuple[Signature, ...] = (
    Signature(tool="any program", name="loopback", word="refused|econnrefused", pattern=r"refused.{0,200}(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|::1)|(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|::1).{0,200}refused", weight="last", source="ECONNREFUSED"),
    *(Signature(tool="any program", name="network", word=word, pattern=pattern, weight="last", source="libc strerror, getaddrinfo")
    for word, pattern in (
        # With the host or URL that they are about, so that no compiler or test means something else.
        ("connection reset|connection refused", r"(?:https?|ftp|git|ssh)://[^\s'\"]{3}.{0,300}\bConnection (?:reset|refused)"),
        ("timed out", r"(?:https?|ftp|git|ssh)://[^\s'\"]{3}.{0,300}\btimed out"),
        ("temporary failure in name resolution", ""),
        ("could not resolve", r"could not resolve (?:host|proxy)(?:name)?: ?\S"),
        ("name or service not known", ""),
        ("bad gateway", _STATUS + r"\b502\b.{0,20}\bBad Gateway"),
        ("service unavailable", _STATUS + r"\b503\b.{0,20}\bService Unavailable"),
        ("service temporarily unavailable", _STATUS + r"\b503\b.{0,20}\bService Temporarily Unavailable"),
        ("gateway time", _STATUS + r"\b504\b.{0,20}\bGateway Time-?out"),
    )),
    *(Signature(tool="any program", name="network", word=word, weight="last", source="libc strerror, Go net", fetches_only=True)
    for word in (
        "connection reset by peer", "connection reset", "i/o timeout", "tls handshake timeout", "connection timed out",
        "network is unreachable", "no route to host", "server misbehaving", "econnreset", "etimedout", "eai_again",
        "resource temporarily unavailable", "request timed out",
    )),
)

COMMANDS: tuple[Signature, ...] = (
    Signature(tool="shell", name="command-not-found", word="not found", pattern=r"^(?:/\S{1,120}: (?:line )?(?:\d{1,9}: )?)(?:\S{1,200}: )?(?:command )?not found$|: command not found$", source="dash, bash, busybox ash", weight="consequence"),
    Signature(tool="Go", name="command-not-found", word="executable file not found in $path", source="Go os/exec", weight="consequence"),
    Signature(tool="make", name="command-not-found", word="error 127", pattern=r"make(?:\[\d{1,9}\])?: \*\*\* \[.{1,400}\] Error 127", source="GNU make job.c", weight="consequence"),
    Signature(tool="shell", name="not-executable", word="permission denied", pattern=r"^(?:/\S{1,120}: (?:line )?(?:\d{1,9}: )?)\S{1,300}: Permission denied$", source="dash, bash", weight="consequence"),
)
# fmt: on
