"""Certificates made for a test by openssl: an authority, and what it signs."""

import subprocess
from pathlib import Path


class Authority:
    """An authority in `folder`: `certificate` is its file, and `issue` signs others."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def issue(self, name: str, *, names: str = "DNS:registry.test", days: int = 2) -> tuple[Path, Path]:
        """Return the files of a certificate and its key; `names` are those of a server, `days` may be negative."""
        certificate, key, request = (self._folder / f"{name}.{end}" for end in ("cert", "key", "csr"))
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName={names}", "-keyout", key, "-out", request,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
            "-copy_extensions", "copy", "-days", days, "-out", certificate,
        )  # fmt: skip
        return certificate, key


def joined(folder: Path, name: str, *files: Path) -> Path:
    """Return one file with the contents of several, as a server loads them."""
    path = folder / f"{name}.pem"
    path.write_bytes(b"".join(file.read_bytes() for file in files))
    return path


def openssl(*arguments: object) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
