"""What distributions' package managers say of their downloads: apt, apk, dnf, zypper, pacman."""

from __future__ import annotations

from multibuild.failures.signatures.row import Signature

_APT = "apt-pkg/acquire-item.cc, methods/connect.cc"
_DNF = "librepo handle.c, dnf, libcurl strerror.c"

# fmt: off
APT: tuple[Signature, ...] = (
    Signature(tool="apt", name="suite-gone", word="a release file", source="apt-pkg/acquire-item.cc", pattern=r"E: The repository .{1,400} (?:does not have|no longer has) a Release file", weight="consequence"),
    Signature(tool="apt", name="clock", word="is not valid yet", pattern=r"Release file for .{1,400} is not valid yet", source="apt-pkg/acquire-item.cc"),
    Signature(tool="apt", name="suite-gone", word="is expired", pattern=r"Release file for .{1,400} is expired", source="apt-pkg/acquire-item.cc"),
    Signature(tool="apt", name="mirror-out-of-sync", word="hash sum mismatch", source="apt-pkg/acquire-item.cc"),
    Signature(tool="apt", name="mirror-out-of-sync", word="mirror sync in progress", source="apt-pkg/acquire-item.cc"),
    Signature(tool="apt", name="mirror-out-of-sync", word="clearsigned file isn't valid", source="apt-pkg/acquire-item.cc: a captive portal"),
    Signature(tool="apt", name="step-ca", word="certificate verification", pattern=r"Certificate verification failed: The certificate is NOT trusted|Could not handshake: Error in the certificate verification", source="apt methods/connect.cc, gnutls"),
    Signature(tool="apt", name="package-signature", word="gpg error", source="apt-pkg/acquire-item.cc", weight="warning"),
    Signature(tool="apt", name="package-signature", word="could not execute 'gpgv'", source="apt methods/gpgv.cc", weight="warning"),
    Signature(tool="apt", name="package-signature", word="is not signed", pattern=r"E: The repository .{1,400} is not signed", source="apt-pkg/acquire-item.cc", weight="consequence"),
    Signature(tool="apt", name="network", word="failed to fetch", pattern=r"^[EW]: Failed to fetch .{1,400}(?:connect|timed out|timeout|Temporary failure|Could not resolve|Connection|Error reading from server|Undetermined Error|Bad header|Network|No route|Empty reply|Something wicked|Clearsigned|handshake|TLS|Read error|pull reply)", source=_APT, weight="warning"),
    Signature(tool="apt", name="server-error", word="failed to fetch", pattern=r"^[EW]: Failed to fetch .{1,400} (?:5\d\d|408)  ?\w", source=_APT, weight="warning"),
    Signature(tool="apt", name="download-rate-limited", word="failed to fetch", pattern=r"^[EW]: Failed to fetch .{1,400} 429  ?\w", source=_APT, weight="warning"),
    Signature(tool="apt", name="stale-package-index", word="failed to fetch", pattern=r"^E: Failed to fetch \S{1,400}\.u?deb(?:\?\S{0,120})?  ?(?:404|410) ", source=_APT),
    Signature(tool="apt", name="suite-gone", word="failed to fetch", pattern=r"^[EW]: Failed to fetch \S{1,400} ? ?(?:404|410) ", source=_APT, weight="warning"),
    Signature(tool="apt", name="download-refused", word="failed to fetch", pattern=r"^[EW]: Failed to fetch \S{1,400} ? ?(?:401|403) ", source=_APT, weight="warning"),
    Signature(tool="apt", name="network", word="temporary failure resolving", source="apt methods/connect.cc", weight="warning"),
    Signature(tool="apt", name="network", word="unable to fetch some archives", source="apt-private/private-install.cc", weight="consequence"),
    Signature(tool="apt", name="network", word="some index files failed to download", source="apt-pkg/update.cc", weight="consequence"),
    Signature(tool="apt", name="no-such-package", word="unable to locate package", source="apt-private", weight="consequence"),
    Signature(tool="apt", name="no-such-package", word="has no installation candidate", source="apt-private", weight="consequence"),
    Signature(tool="apt", name="no-such-package", word="was not found", pattern=r"E: (?:Version|Release) '.{1,200}' for '.{1,200}' was not found", source="apt-pkg/cacheset.cc", weight="consequence"),
    Signature(tool="apt", name="no-such-package", word="couldn't find any package", source="apt-private", weight="consequence"),
    Signature(tool="apt", name="no-such-package", word="unable to correct problems, you have held broken", source="apt-private", weight="consequence"),
    Signature(tool="debootstrap", name="network", word="couldn't download", pattern=r"^E: Couldn't download ", source="debootstrap functions", weight="consequence"),
)

LOCK: tuple[Signature, ...] = (
    # Two builds with one cache mount, or a service of the base image; not "13: Permission denied" of a user who is not root.
    Signature(tool="apt", name="lock-held", word="could not get lock", pattern=r"Could not get lock \S{1,200}(?: - open \(11|\. It is held by)", source="apt-pkg/contrib/fileutl.cc"),
    Signature(tool="apk", name="lock-held", word="unable to lock database", pattern=r"Unable to lock database: (?:Resource temporarily|temporary error)", source="apk-tools src/database.c"),
)

APK: tuple[Signature, ...] = (
    Signature(tool="apk", name="network", word="temporary error (try again later)", source="apk-tools src/print.c: EAGAIN of libfetch", weight="warning"),
    Signature(tool="apk", name="network", word="network error|operation timed out|connection timed|connection reset|connection refused|connection aborted|unreachable|connect to server|dns|handshake failed|remote server|i/o error|io error|http 500|http 502|http 503|http 504|http 408|unexpected end|incomplete", pattern=r"^(?:ERROR|WARNING): .{0,400}: (?:network error|operation timed out|connection (?:timed out|reset|refused|aborted)|host is unreachable|could not connect to server|DNS:? (?:lookup error|transient error|name does not exist|error)|TLS: handshake failed|network is unreachable|remote server returned error|Connection reset by peer|Operation timed out|I/?O error|HTTP (?:50[0234]|408)|unexpected end of file|incomplete|Host is unreachable|Network unreachable)", source="apk-tools src/print.c, libfetch", weight="warning"),
    Signature(tool="apk", name="network", word="ignoring|fetching|updating|opening", pattern=r"^WARNING: (?:Ignoring|fetching|updating|opening) .{0,400}: (?:network error|operation timed out|connection \w{1,60}|could not connect to server|DNS:? \w{1,60}|unexpected end of file|remote server|I/O error|Connection reset by peer|Operation timed out|Host is unreachable)", source="apk-tools src/print.c, libfetch", weight="warning"),
    Signature(tool="apk", name="step-ca", word="tls: server certificate not trusted", source="apk-tools libfetch"),
    Signature(tool="apk", name="step-ca", word="tls: unspecified error", source="apk-tools libfetch", weight="warning"),
    Signature(tool="apk", name="step-ca", word="certificate_verify_failed", source="apk-tools libfetch, OpenSSL"),
    Signature(tool="apk", name="package-signature", word="untrusted signature", source="apk-tools src/print.c"),
    Signature(tool="apk", name="package-signature", word="bad signature", pattern=r"^(?:ERROR|WARNING): .{0,400}: BAD signature", source="apk-tools src/print.c"),
    Signature(tool="apk", name="mirror-out-of-sync", word="bad archive", pattern=r"^(?:ERROR|WARNING): .{0,400}: BAD archive", source="apk-tools src/print.c"),
    Signature(tool="apk", name="mirror-out-of-sync", word="mentioned in index|database format|checksum|archive integrity", pattern=r"^ERROR: \S{1,120}: (?:package mentioned in index not found|v2 database format error|checksum|archive integrity)", source="apk-tools src/commit.c"),
    Signature(tool="apk", name="suite-gone", word="fetching|updating|opening|ignoring", pattern=r"^WARNING: (?:fetching|updating|opening|Ignoring https?:) .{0,400}: (?:No such file or directory|HTTP 404|remote file not found|404)", source="apk-tools libfetch: 404", weight="warning"),
    Signature(tool="apk", name="no-such-package", word="unable to select packages", source="apk-tools src/solver.c", weight="consequence"),
    Signature(tool="apk", name="no-such-package", word="unsatisfiable constraints", source="apk-tools 2.10 src/solver.c", weight="consequence"),
)

RPM: tuple[Signature, ...] = (
    Signature(tool="dnf", name="network", word="curl error", pattern=r"Curl error \((?:5|6|7|16|18|28|35|52|55|56|92)\)", source=_DNF, weight="warning"),
    Signature(tool="dnf", name="step-ca", word="curl error (60)", source=_DNF, weight="warning"),
    Signature(tool="dnf", name="server-error", word="status code", pattern=r"Status code: (?:5\d\d|408) for ", source=_DNF, weight="warning"),
    Signature(tool="dnf", name="download-rate-limited", word="status code: 429", source=_DNF, weight="warning"),
    Signature(tool="dnf", name="suite-gone", word="status code", pattern=r"Status code: (?:404|410) for ", source=_DNF, weight="warning"),
    Signature(tool="dnf", name="download-refused", word="status code", pattern=r"Status code: (?:401|403) for ", source=_DNF, weight="warning"),
    Signature(tool="dnf", name="clock", word="certificate is not yet valid", source="OpenSSL X509_V_ERR_CERT_NOT_YET_VALID"),
    Signature(tool="dnf", name="network", word="failed to download metadata for repo", source="dnf repo.py, libdnf", weight="consequence"),
    Signature(tool="dnf", name="network", word="error downloading packages", source="dnf", weight="consequence"),
    Signature(tool="dnf", name="suite-gone", word="cannot prepare internal mirrorlist", source="libdnf: a mirror list that is gone", weight="consequence"),
    Signature(tool="dnf", name="suite-gone", word="no urls in mirrorlist", source="librepo: CentOS 8 after its end"),
    Signature(tool="yum", name="suite-gone", word="mirrorlist.centos", pattern=r"(?:retrieve mirrorlist|resolve host:) (?:https?://)?mirrorlist\.centos", source="CentOS 7 and 8 after their end: the list of mirrors is gone"),
    Signature(tool="dnf", name="mirror-out-of-sync", word="downloading successful, but checksum doesn't match", source="librepo"),
    Signature(tool="dnf", name="no-such-package", word="unable to find a match", source="dnf base.py", weight="consequence"),
    Signature(tool="dnf", name="no-such-package", word="no match for argument|no package matches", source="dnf5, microdnf", weight="consequence"),
    Signature(tool="yum", name="suite-gone", word="cannot find a valid baseurl for repo", source="yum: CentOS 7 after its end", weight="consequence"),
    Signature(tool="yum", name="suite-gone", word="cannot retrieve repository metadata (repomd.xml)", source="yum: CentOS 6 after its end", weight="consequence"),
    Signature(tool="yum", name="network", word="cannot retrieve metalink for repository", source="yum: a list of mirrors that does not answer", weight="consequence"),
    Signature(tool="yum", name="network", word="[errno ", pattern=r"\[Errno (?:12|14)\] (?:Timeout|curl#(?:6|7|18|28|52|56)\b)", source="yum urlgrabber", weight="warning"),
    Signature(tool="yum", name="network", word="14: curl", pattern=r"^14: curl#(?:6|7|18|28|35|52|56)\b", source="yum urlgrabber", weight="warning"),
    Signature(tool="yum", name="server-error", word="[errno 14]", pattern=r"\[Errno 14\] HTTPS? Error 5\d\d", source="yum urlgrabber", weight="warning"),
    Signature(tool="yum", name="suite-gone", word="[errno 14]", pattern=r"\[Errno 14\] HTTPS? Error 404", source="yum urlgrabber", weight="warning"),
    Signature(tool="yum", name="no-such-package", word="nothing to do", pattern=r"^Error: Nothing to do$", source="yum cli.py", weight="consequence"),
    Signature(tool="rpm", name="package-signature", word="gpg check failed", source="dnf", weight="consequence"),
    Signature(tool="yum", name="package-signature", word="public key for", pattern=r"Public key for \S{1,200} is not installed", source="yum, dnf", weight="consequence"),
    Signature(tool="zypper", name="network", word="curl error", pattern=r"Curl error (?:5|6|7|16|18|28|35|52|56|92)\b", source="libzypp media/MediaCurl.cc", weight="warning"),
    Signature(tool="zypper", name="network", word="connection failed|timeout exceeded", pattern=r"Error code: Connection failed|Timeout exceeded when accessing", source="libzypp media/MediaException.cc", weight="warning"),
    Signature(tool="zypper", name="network", word="download (curl) error", pattern=r"Download \(curl\) error for ", source="libzypp media/MediaException.cc", weight="warning"),
    Signature(tool="zypper", name="suite-gone", word="valid metadata not found at", source="zypper repos.cc", weight="warning"),
    Signature(tool="zypper", name="suite-gone", word="not found on medium", source="libzypp media/MediaException.cc", weight="warning"),
    Signature(tool="zypper", name="network", word="repository|repositories", pattern=r"Repository '.{1,200}' is invalid|Some of the repositories have not been refreshed because of an error", source="zypper repos.cc", weight="consequence"),
    Signature(tool="zypper", name="no-such-package", word="not found in package names", source="zypper", weight="consequence"),
    Signature(tool="zypper", name="no-such-package", word="no provider of", pattern=r"No provider of '.{1,200}' found", source="zypper", weight="consequence"),
    Signature(tool="zypper", name="package-signature", word="signature verification failed", pattern=r"Signature verification failed for ", source="zypper callbacks/keyring.h", weight="consequence"),
)

PACMAN: tuple[Signature, ...] = (
    Signature(tool="pacman", name="step-failed", word="switching to sandbox user", source="pacman 7: needs Landlock, which QEMU's user mode has not"),
    Signature(tool="pacman", name="network", word="failed retrieving file", pattern=r"failed retrieving file .{1,300}(?:timed out|Could not resolve|Connection|Failed to connect|Operation too slow|Recv failure|transfer closed|error: 5\d\d|SSL connection)", source="libalpm dload.c", weight="warning"),
    Signature(tool="pacman", name="stale-package-index", word="failed retrieving file", pattern=r"failed retrieving file .{1,200}\.pkg\.tar.{1,300}error: 404", source="libalpm dload.c", weight="warning"),
    Signature(tool="pacman", name="download-missing", word="failed retrieving file", pattern=r"failed retrieving file .{1,200}\.db' from .{1,300}error: 404", source="libalpm dload.c", weight="warning"),
    Signature(tool="pacman", name="network", word="failed to synchronize all databases", source="pacman sync.c", weight="consequence"),
    Signature(tool="pacman", name="network", word="failed to commit transaction (", pattern=r"failed to commit transaction \((?:failed to retrieve|unexpected error|download library error)", source="pacman sync.c", weight="consequence"),
    Signature(tool="pacman", name="package-signature", word="invalid or corrupted package", source="pacman sync.c", weight="consequence"),
    Signature(tool="pacman", name="no-such-package", word="error: target not found", source="pacman sync.c", weight="consequence"),
)

SIGNATURES = (*LOCK, *APT, *APK, *RPM, *PACMAN)
# fmt: on
