"""What the package managers of compiled languages and of virtual machines say of their downloads."""

from __future__ import annotations

from multibuild.failures.signatures.row import Signature

_GO = "cmd/go/internal/web, net/http, net"
_CARGO = "cargo sources, libcurl strerror.c, libgit2"
_MAVEN = "maven-resolver, Apache HttpClient, java.net"

# fmt: off
GO: tuple[Signature, ...] = (
    Signature(tool="Go", name="step-ca", word="x509: ", pattern=r"x509: (?:certificate signed by unknown authority|certificate is valid for|cannot validate certificate)|x509: certificate has expired", source="Go crypto/x509"),
    Signature(tool="Go", name="clock", word="before", pattern=r"is not yet valid: current time \S{1,120} is before", source="Go crypto/x509"),
    Signature(tool="Go", name="checksum", word="checksum|security", pattern=r"^verifying .{1,400}: checksum mismatch|SECURITY ERROR|^\s{0,20}go: .{1,400} checksum mismatch", source="cmd/go/internal/modfetch/fetch.go"),
    Signature(tool="Go", name="network", word="eof|handshake timeout|i/o timeout|reset by peer|timed out|no route|unreachable|no such host|misbehaving|refused|broken pipe|deadline|http2|stream error|awaiting|canceled|remote error|unavailable", pattern=r"(?:Get|Head|Post) \"https?://\S{1,400}\": .{0,300}(?:\bEOF\b|TLS handshake timeout|i/o timeout|connection reset by peer|connection timed out|no route to host|network is unreachable|no such host|server misbehaving|connection refused|broken pipe|context deadline exceeded|http2: |stream error: |timeout awaiting response headers|request canceled|remote error: tls: |Service Unavailable)", source=_GO),
    Signature(tool="Go", name="network", word="tcp", pattern=r"(?:dial|read|write) tcp .{0,340}: (?:i/o timeout|connection reset by peer|connection timed out|no route to host|network is unreachable|no such host|server misbehaving|connection refused|broken pipe)", source=_GO),
    Signature(tool="Go", name="network", word="lookup ", pattern=r"dial tcp: lookup \S{1,120}.{0,80}: (?:no such host|server misbehaving|i/o timeout|Temporary failure)", source=_GO),
    Signature(tool="Go", name="network", word="tls handshake timeout", pattern=r"net/http: TLS handshake timeout", source=_GO),
    Signature(tool="Go", name="network", word="stream|goaway", pattern=r"(?:^go: |https?://).{0,400}(?:stream error: stream ID|http2: server sent GOAWAY)", source="golang.org/x/net/http2"),
    Signature(tool="Go", name="network", word="eof", pattern=r"(?:^go: |: reading https?://|^unzip |: zip: ).{0,400}unexpected EOF|(?:^go: ).{0,400}: EOF$", source="cmd/go: a module cut short"),
    Signature(tool="Go", name="server-error", word="reading http", pattern=r": reading https?://\S{1,400}: (?:5\d\d|408) ", source="cmd/go/internal/web/api.go HTTPError"),
    Signature(tool="Go", name="download-rate-limited", word="reading http", pattern=r": reading https?://\S{1,400}: 429 ", source="cmd/go/internal/web/api.go HTTPError"),
    Signature(tool="Go", name="download-missing", word="reading http", pattern=r": reading https?://\S{1,400}: (?:404|410) ", source="cmd/go/internal/web/api.go HTTPError"),
    Signature(tool="Go", name="download-missing", word="unknown revision|invalid version", pattern=r"(?:^go: |\bmodule\b).{0,400} (?:unknown revision|invalid version)", source="cmd/go/internal/modfetch", weight="consequence"),
    Signature(tool="Go", name="download-refused", word="reading http", pattern=r": reading https?://\S{1,400}: (?:401|403) ", source="cmd/go/internal/web/api.go HTTPError"),
)

RUST: tuple[Signature, ...] = (
    Signature(tool="cargo", name="step-ca", word="[60]", pattern=r"\[60\] (?:SSL peer certificate|Peer certificate)", source=_CARGO),
    Signature(tool="cargo", name="network", word="spurious network error", pattern=r"warning: spurious network error", source="cargo util/network/retry.rs", weight="warning"),
    Signature(tool="cargo", name="network", word="timeout was reached|resolve host|connect to server|failure when|ssl connect|framing|transferred|returned nothing|failed sending", pattern=r"^\s{0,20}(?:Caused by: ?)?\[(?:5|6|7|16|18|28|35|52|55|56|92)\] (?:(?:Couldn't|Could not) (?:resolve host|connect to server)|Timeout was reached|Failed sending|Error in the HTTP2 framing|SSL connect|Stream error in the HTTP/2 framing|Server returned nothing|Transferred|Failure when)", source=_CARGO),
    Signature(tool="cargo", name="network", word="transfer closed", pattern=r"transfer closed with .{0,60} remaining|transfer closed with outstanding", source="libcurl transfer.c", weight="last"),
    Signature(tool="cargo", name="network", word="network failure seems to have happened", source="cargo sources/git/utils.rs", weight="consequence"),
    Signature(tool="cargo", name="network", word="class=net|class=http|class=os", pattern=r"class=(?:Net|Http|Os)(?: \(\d{1,9}\))?(?:;|$).{0,80}", source="libgit2 through cargo", weight="warning"),
    Signature(tool="cargo", name="server-error", word="got ", pattern=r"failed to get successful HTTP response .{0,300}got 5\d\d|failed to get 200 response .{0,200}got 5\d\d", source="cargo sources/registry/http_remote.rs"),
    Signature(tool="cargo", name="download-rate-limited", word="got 429", pattern=r"failed to get .{0,300}got 429", source="cargo sources/registry/http_remote.rs"),
    Signature(tool="cargo", name="download-missing", word="got 40", pattern=r"failed to get (?:successful HTTP|200) response .{0,300}got 404", source="cargo sources/registry/http_remote.rs"),
    Signature(tool="cargo", name="download-refused", word="got 40", pattern=r"failed to get (?:successful HTTP|200) response .{0,300}got 40[13]", source="cargo sources/registry/http_remote.rs"),
    Signature(tool="cargo", name="checksum", word="failed to verify the checksum", source="cargo sources/registry/download.rs"),
    Signature(tool="cargo", name="git-auth", word="failed to authenticate when downloading repository", source="cargo sources/git/utils.rs"),
    Signature(tool="cargo", name="git-missing", word="revspec", pattern=r"revspec '.{1,200}' not found", source="libgit2 revparse.c"),
    Signature(tool="cargo", name="no-such-package", word="no matching package", pattern=r"error: no matching package (?:named )?.{1,200} found", source="cargo core/resolver/errors.rs", weight="consequence"),
    Signature(tool="rustup", name="network", word="could not download file from", source="rustup errors.rs", weight="consequence"),
    Signature(tool="rustup", name="network", word="component download failed", source="rustup dist/manifestation.rs", weight="consequence"),
    Signature(tool="rustup", name="network", word="error downloading file", pattern=r"error downloading file: ", source="rustup download", weight="consequence"),
    Signature(tool="rustup", name="no-such-package", word="is unavailable for download for channel", source="rustup errors.rs", weight="consequence"),
)

JVM: tuple[Signature, ...] = (
    Signature(tool="Java", name="step-ca", word="pkix path", pattern=r"PKIX path (?:building|validation) failed", source="openjdk sun.security.validator"),
    Signature(tool="Maven", name="download-refused", word="blocked mirror for repositories", source="maven: http repositories are blocked since 3.8.1"),
    Signature(tool="Maven", name="network", word="could not transfer", pattern=r"Could not transfer (?:artifact|metadata) .{1,350}(?:Connection (?:reset|timed out|refused)|Connect(?:ion)? to|connect timed out|Read timed out|timed out|Remote host (?:closed|terminated)|Premature end|UnknownHost|Unknown host|Name or service|Temporary failure|No route|Network is unreachable|SSL peer shut down|handshake|Broken pipe|GOAWAY|EOF|closed|Received fatal alert|unexpected end|HTTP/1.1 header parser|No such host|nodename|Could not connect|ConnectException)", source=_MAVEN),
    Signature(tool="Maven", name="server-error", word="could not transfer", pattern=r"Could not transfer (?:artifact|metadata) .{1,350}(?:status code:? |status: |Return code is: ?|: |\S )5\d\d\b", source=_MAVEN),
    Signature(tool="Maven", name="download-rate-limited", word="could not transfer", pattern=r"Could not transfer (?:artifact|metadata) .{1,350}(?:status code:? |status: |Return code is: ?)429\b", source=_MAVEN),
    Signature(tool="Maven", name="download-refused", word="could not transfer", pattern=r"Could not transfer (?:artifact|metadata) .{1,350}(?:status code:? |status: |Return code is: ?)(?:401|403)\b", source=_MAVEN),
    Signature(tool="Maven", name="network", word="previous attempt", pattern=r"was not found in .{1,300} during a previous attempt|failed to transfer from .{1,300} during a previous attempt", source="maven-resolver UpdateCheckManager", weight="consequence"),
    Signature(tool="Maven", name="no-such-package", word="could not find artifact", source="maven-resolver ArtifactNotFoundException", weight="consequence"),
    Signature(tool="Maven", name="checksum", word="checksum validation failed", source="maven-resolver ChecksumFailureException"),
    Signature(tool="Gradle", name="network", word="could not get|could not head", pattern=r"^\s{0,20}>? ?Could not (?:GET|HEAD) 'https?://\S{1,400}'\.$", source="gradle HttpRequestException", weight="consequence"),
    Signature(tool="Gradle", name="network", word="could not download", pattern=r"^\s{0,20}>? ?Could not download ", source="gradle DefaultExternalResourceArtifactResolver", weight="consequence"),
    Signature(tool="Gradle", name="network", word="timed out|connection reset|the handshake|such host", pattern=r"^\s{0,20}> (?:Read timed out|Connect timed out|connect timed out|Connection reset|Remote host terminated the handshake|No such host is known.{0,80})$", source="gradle: the last cause of a resolution", weight="last"),
    Signature(tool="Gradle", name="server-error", word="received status code", pattern=r"Received status code (?:5\d\d|408) from server", source="gradle HttpErrorStatusCodeException"),
    Signature(tool="Gradle", name="download-rate-limited", word="received status code 429", source="gradle HttpErrorStatusCodeException"),
    Signature(tool="Gradle", name="download-missing", word="received status code", pattern=r"Received status code (?:404|410) from server", source="gradle HttpErrorStatusCodeException"),
    Signature(tool="Gradle", name="download-refused", word="received status code", pattern=r"Received status code (?:401|403) from server", source="gradle HttpErrorStatusCodeException"),
    Signature(tool="Gradle", name="no-such-package", word="could not find ", pattern=r"^\s{0,20}>? ?Could not find [\w.-]{1,120}:[\w.-]{1,120}:\S{1,120}\.$", source="gradle ModuleVersionNotFoundException", weight="consequence"),
    Signature(tool="Java", name="network", word="sockettimeoutexception|socketexception|unknownhostexception|connectexception|noroutetohostexception|sslhandshakeexception|eofexception|httphostconnectexception|connecttimeoutexception|nohttpresponseexception|connectionclosedexception", pattern=r"(?:java\.net\.(?:SocketTimeoutException|SocketException|UnknownHostException|ConnectException|NoRouteToHostException)|javax\.net\.ssl\.SSLHandshakeException: Remote host|java\.io\.EOFException: SSL peer|org\.apache\.http\.(?:conn\.)?(?:HttpHostConnectException|ConnectTimeoutException|NoHttpResponseException|ConnectionClosedException))", source="openjdk java.net, Apache HttpClient", weight="last"),
    Signature(tool="sbt", name="network", word="error: caught", pattern=r"download error: Caught .{0,300}(?:SocketTimeout|SocketException|UnknownHost|ConnectException|EOF|SSL|IOException)", source="coursier cache"),
    Signature(tool="sbt", name="no-such-package", word="not found: http", pattern=r"^\S{0,120}\s{0,20}not found: https?://", source="coursier cache", weight="consequence"),
    Signature(tool="gradle wrapper", name="network", word="exception in thread", pattern=r"Exception in thread \"main\" java\.(?:net\.(?:SocketTimeout|Socket|UnknownHost|Connect)Exception|io\.IOException: Server returned HTTP response code: 5|io\.IOException: Downloading from)", source="gradle wrapper Download.java"),
)

DOTNET: tuple[Signature, ...] = (
    Signature(tool="NuGet", name="step-ca", word="untrustedroot|partialchain", pattern=r"UntrustedRoot|PartialChain", source=".NET AuthenticationException"),
    Signature(tool="NuGet", name="step-ca", word="remote certificate is invalid", source=".NET System.Net.Security"),
    Signature(tool="NuGet", name="download-refused", word="success: 40", pattern=r"does not indicate success: 40[13]", source=".NET HttpRequestException"),
    Signature(tool="NuGet", name="download-missing", word="success: 4", pattern=r"does not indicate success: (?:404|410)", source=".NET HttpRequestException"),
    Signature(tool="NuGet", name="download-rate-limited", word="success: 429", pattern=r"does not indicate success: 429", source=".NET HttpRequestException"),
    Signature(tool="NuGet", name="server-error", word="success: 5", pattern=r"does not indicate success: 5\d\d", source=".NET HttpRequestException"),
    Signature(tool="NuGet", name="network", word="error nu1301", source="NuGet.Client Strings.resx: unable to load the service index", weight="consequence"),
    Signature(tool="NuGet", name="network", word="unable to load the service index", source="NuGet.Client Strings.resx", weight="consequence"),
    Signature(tool="NuGet", name="network", word="retrying 'findpackagesbyid", pattern=r"Retrying 'FindPackagesById", source="NuGet.Client", weight="warning"),
    Signature(tool="NuGet", name="network", word="failed to retrieve information about", source="NuGet.Client Strings.resx", weight="consequence"),
    Signature(tool="NuGet", name="network", word="an error occurred while sending the request", source=".NET HttpRequestException", weight="last"),
    Signature(tool="NuGet", name="network", word="the response ended prematurely", source=".NET HttpIOException", weight="last"),
    Signature(tool="NuGet", name="network", word="httpclient.timeout", source=".NET TaskCanceledException", weight="last"),
    Signature(tool="NuGet", name="no-such-package", word="nu1101|nu1102", pattern=r"error NU110[12]", source="NuGet.Client Strings.resx", weight="consequence"),
)

OTHERS: tuple[Signature, ...] = (
    Signature(tool="gem", name="step-ca", word="certificate verify failed", source="ruby OpenSSL; PHP; curl"),
    Signature(tool="gem", name="network", word="gem::remotefetcher", pattern=r"Gem::RemoteFetcher::(?:FetchError|UnknownHostError)(?:: (?!bad response)|$)", source="rubygems remote_fetcher.rb"),
    Signature(tool="gem", name="server-error", word="bad response", pattern=r"bad response .{0,80} 5\d\d", source="rubygems remote_fetcher.rb"),
    Signature(tool="gem", name="download-missing", word="bad response", pattern=r"bad response .{0,80} 404", source="rubygems remote_fetcher.rb"),
    Signature(tool="gem", name="download-refused", word="bad response", pattern=r"bad response .{0,80} 40[13]", source="rubygems remote_fetcher.rb"),
    Signature(tool="gem", name="network", word="unable to download data from", pattern=r"Unable to download data from \S{1,300} - (?!bad response)", source="rubygems spec_fetcher.rb"),
    Signature(tool="gem", name="network", word="expired|opentimeout|readtimeout|timeout", pattern=r"(?:Net::OpenTimeout|Net::ReadTimeout|Timeout::Error).{0,60}|execution expired", source="ruby net/protocol.rb", weight="last"),
    Signature(tool="gem", name="network", word="errno::e", pattern=r"Errno::(?:ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE)", source="ruby socket", weight="last"),
    Signature(tool="bundler", name="checksum", word="could not read gem at", pattern=r"Could not read gem at .{1,300} corrupted", source="bundler rubygems_gem_installer.rb: a gem cut short"),
    Signature(tool="bundler", name="network", word="could not reach host", source="bundler fetcher/downloader.rb"),
    Signature(tool="bundler", name="network", word="retrying ", pattern=r"Retrying (?:fetcher|download \S{1,120}|dependency api) due to error", source="bundler retry.rb", weight="consequence"),
    Signature(tool="bundler", name="network", word="network error while fetching", source="bundler fetcher/downloader.rb"),
    Signature(tool="bundler", name="network", word="could not fetch specs from", source="bundler fetcher.rb", weight="consequence"),
    Signature(tool="bundler", name="download-refused", word="authentication is required for", source="bundler fetcher.rb"),
    Signature(tool="bundler", name="no-such-package", word="could not find gem '", source="bundler resolver.rb", weight="consequence"),
    Signature(tool="gem", name="no-such-package", word="could not find a valid gem", source="rubygems", weight="consequence"),
    Signature(tool="composer", name="network", word="curl error", pattern=r"curl error (?:5|6|7|16|18|28|35|52|55|56|92) while downloading", source="composer Util/Http/CurlDownloader.php"),
    Signature(tool="composer", name="step-ca", word="curl error 60", pattern=r"curl error 60 while downloading", source="composer Util/Http/CurlDownloader.php"),
    Signature(tool="composer", name="server-error", word="file could not be downloaded", pattern=r"file could not be downloaded\b.{0,40}\bHTTP/\S{1,120} 5\d\d", source="composer Util/Http/CurlDownloader.php"),
    Signature(tool="composer", name="download-rate-limited", word="file could not be downloaded", pattern=r"file could not be downloaded\b.{0,40}\bHTTP/\S{1,120} 429", source="composer Util/Http/CurlDownloader.php"),
    Signature(tool="composer", name="download-missing", word="file could not be downloaded", pattern=r"file could not be downloaded\b.{0,40}\bHTTP/\S{1,120} 404", source="composer Util/Http/CurlDownloader.php"),
    Signature(tool="composer", name="download-refused", word="could not be downloaded|authenticate against", pattern=r"file could not be downloaded\b.{0,40}\bHTTP/\S{1,120} 40[13]|Could not authenticate against", source="composer Util/AuthHelper.php"),
    # Symfony's console breaks its lines wherever the terminal would.
    Signature(tool="composer", name="download-refused", word="url required authentication", source="composer Util/AuthHelper.php"),
    Signature(tool="composer", name="download-missing", word="404 not found", pattern=r"^  .{0,80}\b404 Not Found\)\s{0,20}$", source="composer Util/Http/CurlDownloader.php"),
    Signature(tool="composer", name="network", word="file could not be downloaded", source="composer Downloader/TransportException", weight="consequence"),
    Signature(tool="composer", name="network", word="failed to open stream", pattern=r"failed to open stream: (?:HTTP request failed!$|Connection|operation timed out|php_network_getaddresses)", source="PHP http wrapper"),
    Signature(tool="mix", name="network", word="request|fetch", pattern=r"^\s{0,20}(?:\*\* \(Mix\) )?(?:Request failed|Package fetch failed|httpc request failed).{0,10}|Failed to fetch record for .{1,200} from registry", source="hex lib/hex/remote_converger.ex", weight="warning"),
    Signature(tool="mix", name="network", word="{:failed_connect", source="Erlang httpc"),
    Signature(tool="rebar3", name="network", word="failed to fetch and copy dep", source="rebar3 rebar_fetch.erl", weight="consequence"),
    Signature(tool="cabal", name="network", word="httpexceptionrequest|connectionfailure|connectiontimeout|responsetimeout", pattern=r"HttpExceptionRequest|ConnectionFailure|ConnectionTimeout|ResponseTimeout", source="cabal, stack: http-client"),
    Signature(tool="cabal", name="network", word="failed to download", pattern=r"(?:cabal|Error): .{0,200}Failed to download http|failed to download http\S{1,120} : HTTP code 5", source="cabal HttpUtils.hs"),
    Signature(tool="R", name="network", word="cannot open url", pattern=r"cannot open URL '\S{1,120}'$|cannot open URL.{0,400}(?:Timeout|Could not resolve|couldn't connect|HTTP status was '5)", source="R internet.c", weight="warning"),
    Signature(tool="R", name="network", word="timeout of", pattern=r"Timeout of \d{1,9} seconds was reached", source="R internet.c"),
    Signature(tool="R", name="network", word="unable to access index for repository", source="R utils available.packages", weight="warning"),
    Signature(tool="R", name="download-missing", word="cannot open url", pattern=r"cannot open URL.{0,400}HTTP status was '404", source="R internet.c"),
    Signature(tool="R", name="no-such-package", word="available", pattern=r"package .{1,200} is not available for this version of R", source="R utils install.packages", weight="consequence"),
    Signature(tool="CPAN", name="network", word="fail|! download|module or a distribution", pattern=r"! Download \S{1,120} failed|! Couldn't find module or a distribution|Fetching \S{1,120} \.{0,5} ?FAIL", source="cpanminus", weight="last"),
    Signature(tool="luarocks", name="network", word="failed downloading", pattern=r"failed downloading https?://", source="luarocks fs/tools.lua", weight="last"),
    Signature(tool="opam", name="network", word="curl failed", pattern=r"Curl failed: .{1,400}exited with code (?:5|6|7|18|28|35|52|56|92)\b", source="opam OpamDownload"),
    Signature(tool="opam", name="network", word="failed to get sources of", pattern=r"Failed to get sources of .{1,200}", source="opam OpamUpdate", weight="last"),
    Signature(tool="swift", name="network", word="failed to clone repository", source="SwiftPM RepositoryManager", weight="consequence"),
    Signature(tool="conan", name="network", word="error downloading|error contacting|unable to connect", pattern=r"Error downloading file|Error contacting remote|Unable to connect to remote", source="conan rest_client, file_downloader", weight="consequence"),
    Signature(tool="conan", name="network", word="unable to connect to", pattern=r"Unable to connect to \S{1,120}=https?://", source="conan rest_client"),
    Signature(tool="conan", name="checksum", word="signature failed for", pattern=r"(?:md5|sha1|sha256) signature failed for ", source="conan tools/files"),
    Signature(tool="conan", name="no-such-package", word="not resolved: unable to find", source="conan graph errors", weight="consequence"),
    Signature(tool="vcpkg", name="network", word="failed to download", pattern=r"error: .{0,40}Failed to download from mirror set", source="vcpkg downloads.cpp", weight="consequence"),
    Signature(tool="vcpkg", name="network", word="curl failed to download with", source="vcpkg downloads.cpp"),
    Signature(tool="vcpkg", name="checksum", word="hash", pattern=r"does not have the expected hash|had an unexpected hash", source="vcpkg downloads.cpp"),
)

SIGNATURES = (*GO, *RUST, *JVM, *DOTNET, *OTHERS)
# fmt: on
