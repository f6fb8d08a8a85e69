"""The unit's evidence key, as a child process of core, which so keeps its memory small: `python -m
unitd.tools.signing_job`. Nothing else reads the key.

Reads one SigningJob as JSON from stdin and writes one SigningResult as JSON to stdout. The key is Ed25519 (RFC 8032),
PKCS #8 in PEM, mode 0600; its request for a certificate is PKCS #10 in PEM with the unit's id as common name.
"""

import base64
import contextlib
import os
import sys
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from unitd.errors import UNREADABLE, StoreError
from unitd.store import disk

NICENESS = 10


class SigningJob(msgspec.Struct, frozen=True, kw_only=True):
    """`op` make: see to it that there are key and request. `op` sign: that, and the signature of `body`'s UTF-8."""

    op: Literal["make", "sign"]
    unit: str
    key_file: str
    csr_file: str
    cert_file: str
    body: str = ""


class SigningResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """With `error` empty it was done. `certificate`: `fits` the key, `missing`, of `another` key, or `unreadable`."""

    error: str = ""
    signature: str = ""
    public_key: str = ""
    certificate: str = ""
    made: bool = False


def run(job: SigningJob) -> SigningResult:
    """Do it; never raises for what can be said in `error`. Blocks on the disk."""
    try:
        key, made = _key(Path(job.key_file))
        public = key.public_key()
        certificate = certificate_of(Path(job.cert_file), public)
        with contextlib.suppress(OSError):  # a request that cannot be written keeps nobody from signing
            _request(Path(job.csr_file), key, job.unit)
        signature = key.sign(job.body.encode()) if job.op == "sign" else b""
    except OSError as error:
        return SigningResult(error=str(error) if isinstance(error, StoreError) else f"the key: {error}")
    return SigningResult(
        signature=base64.b64encode(signature).decode(),
        public_key=_raw(public).hex(),
        certificate=certificate,
        made=made,
    )


def _key(path: Path) -> tuple[Ed25519PrivateKey, bool]:
    """The key, and whether it was made just now. One that is there is never replaced. Raises OSError."""
    made = not path.exists()
    if made:
        _make(path)
    return read_key(path), made


def read_key(path: Path) -> Ed25519PrivateKey:
    """The key that is there. Raises OSError: a StoreError, whose words say what to do, when it is not to be used."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise StoreError(
                f"{path} can be read by others (mode {mode:04o}) and proves nothing any more: "
                "if nobody has had it, chmod 600; else put it away, and a new one is made"
            )
        pem = file.read(64 * 1024)
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (*UNREADABLE, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"{path} is not an Ed25519 key in PEM (PKCS #8, without a password); put it away or mend it")
    return key


def _make(path: Path) -> None:
    """Make a key that appears whole or not at all, and only where there is none."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    disk.make_dirs(path.parent, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):  # of a dead process that had our number
        temporary.unlink()
    descriptor = disk.create_exclusive(temporary, mode=0o600)
    try:
        try:
            disk.write_all(descriptor, pem)
            disk.sync(descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # unlike a rename it replaces nothing
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    disk.sync_dir(path.parent)
    disk.sync_dir(path.parent.parent)  # of a directory that a killed predecessor made


def _request(path: Path, key: Ed25519PrivateKey, unit: str) -> None:
    """See to it that the request for a certificate is there and is this key's. Raises OSError."""
    try:
        request = x509.load_pem_x509_csr(path.read_bytes())
        if _raw_of(request.public_key()) == _raw(key.public_key()):
            return
    except (OSError, *UNREADABLE, UnsupportedAlgorithm):
        pass
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, unit)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, None)
    disk.atomic_write(path, made.public_bytes(serialization.Encoding.PEM), mode=0o644)


def certificate_of(path: Path, public: Ed25519PublicKey) -> str:
    """How the certificate at `path` stands to the key: as `SigningResult.certificate`. Blocks on the disk."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        fits = _raw_of(certificate.public_key()) == _raw(public)
    except FileNotFoundError:
        return "missing"
    except (OSError, *UNREADABLE, UnsupportedAlgorithm):
        return "unreadable"
    return "fits" if fits else "another"


def _raw_of(key: object) -> bytes:
    """The 32 bytes of an Ed25519 public key; nothing for any other kind."""
    return _raw(key) if isinstance(key, Ed25519PublicKey) else b""


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def main() -> int:
    with contextlib.suppress(OSError):  # a service's sandbox may forbid it, and its CPU weight serves as well
        os.nice(NICENESS)
    try:
        job = msgspec.json.decode(sys.stdin.buffer.read(), type=SigningJob)
    except UNREADABLE as error:
        result = SigningResult(error=f"the job: {error}")
    else:
        result = run(job)
    sys.stdout.buffer.write(msgspec.json.encode(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
