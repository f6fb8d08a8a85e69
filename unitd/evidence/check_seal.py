"""Who signed: the certificate of an export, its checkpoints, and what an authority's word says about them.

Ed25519 (RFC 8032) over exactly the bytes of a checkpoint; certificates by RFC 5280. Uses `cryptography`.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.canonical import is_canonical
from unitd.evidence.check_tree import RefusedError, Tree, safe
from unitd.evidence.verify_report import Finding

MAX_CERTIFICATE_BYTES = 64 * 1024
MAX_CHECKPOINT_BYTES = 64 * 1024
MAX_CHECKPOINTS = 100_000
CERTIFICATE = "certificate.pem"
_NAME = re.compile(r"^checkpoints/(\d{8,12})\.(json|sig)$", re.ASCII)
_UNUSABLE = (
    *UNREADABLE,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    head: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The signed body (docs/design/storage.md)."""

    version: Literal[1]
    unit: str
    n: int
    prev: str
    boot: int
    boot_id: str
    mono_ns: int
    utc_us: int
    clock: str
    heads: dict[str, Head]


@dataclass(frozen=True)
class Signed:
    """A checkpoint whose signature holds, or could not be judged."""

    file: str
    body: bytes
    said: Checkpoint
    signature: bytes = b""

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass
class Seal:
    """`signed` in order of their numbers. `key` is None when there is no certificate that can be used."""

    certificate: x509.Certificate | None = None
    key: Ed25519PublicKey | None = None
    self_signed: bool = False
    signed: list[Signed] = field(default_factory=list)
    checkpoints: int = 0
    unsigned: int = 0
    tampered: list[Finding] = field(default_factory=list)
    trusted: bool = False

    @property
    def last(self) -> Signed | None:
        return self.signed[-1] if self.signed else None


def read_authority(pem: bytes, name: str) -> list[x509.Certificate]:
    """The certificates of a CA file that may vouch for others. Raises RefusedError."""
    try:
        found = [each for each in x509.load_pem_x509_certificates(pem) if _is_authority(each)]
    except _UNUSABLE:
        raise RefusedError(f"{name}: no certificates in PEM") from None
    if not found:
        raise RefusedError(f"{name}: no certificate in it is an authority's (basic constraints)")
    return found


def read_seal(tree: Tree, trust: list[x509.Certificate] | None, kept: dict[int, set[bytes]]) -> Seal:
    """The certificate and the checkpoints, judged apart from all else. Never raises for what they hold. Blocks.

    `kept`: the bodies that the control room kept, by number; they tell which of body and signature was changed.
    """
    seal = Seal()
    if CERTIFICATE in tree.files:
        try:
            _certificate(seal, tree.read(CERTIFICATE, MAX_CERTIFICATE_BYTES), trust)
        except (StoreError, OSError) as error:
            seal.tampered.append(Finding(CERTIFICATE, str(error)))
    _checkpoints(seal, tree, kept)
    if CERTIFICATE in tree.files and seal.unsigned:
        missing = f"{seal.unsigned} checkpoint(s) have no signature, though the unit has a key"
        seal.tampered.append(Finding("checkpoints", missing))
    return seal


def parse_checkpoint(body: bytes) -> Checkpoint:
    """Raises StoreError, in words, for bytes that are not a checkpoint as a unit writes it."""
    if not is_canonical(body):
        raise StoreError("is not written as a unit writes it: it was changed")
    try:
        said = msgspec.json.decode(body, type=Checkpoint)
    except UNREADABLE as error:
        raise StoreError(f"is no checkpoint: {safe(error)}") from None
    return said


def verifies(key: Ed25519PublicKey, signature: bytes, body: bytes) -> bool:
    """Whether `key` signed `body`. Pure."""
    try:
        key.verify(signature, body)
    except InvalidSignature:
        return False
    return True


def unit_in(certificate: x509.Certificate) -> str:
    """The unit that a certificate names: its common name; "" for none."""
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if len(names) == 1 else ""
    except _UNUSABLE:
        return ""


def named_unit(tree: Tree) -> str:
    """The unit that the export's certificate names, to pick its heads by; "" when there is none. Blocks."""
    try:
        return unit_in(x509.load_pem_x509_certificate(tree.read(CERTIFICATE, MAX_CERTIFICATE_BYTES)))
    except (OSError, *_UNUSABLE):
        return ""


def _certificate(seal: Seal, pem: bytes, trust: list[x509.Certificate] | None) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        written = certificate.public_bytes(serialization.Encoding.PEM)
        der = certificate.public_bytes(serialization.Encoding.DER)
        key = certificate.public_key()
        own_name = certificate.issuer == certificate.subject
        certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.extensions  # noqa: B018 parsed late
    except _UNUSABLE as error:
        raise StoreError(f"cannot be read: it was changed ({safe(error, 80)})") from None
    # The count of unused bits before the signature is covered by nothing: 1 would do as well where the last bit is 0.
    if written != pem or not der.endswith(b"\0" + certificate.signature):
        raise StoreError("holds something besides the certificate, or is written in another way: it was changed")
    if not isinstance(key, Ed25519PublicKey):
        raise StoreError("is not for an Ed25519 key: it is no unit's evidence certificate")
    seal.certificate = certificate
    seal.self_signed = _issued_by(certificate, certificate)
    if own_name and not seal.self_signed:
        raise StoreError("says that it is signed by its own key, and is not: it was changed")
    if trust is not None and not seal.self_signed:
        if not any(_issued_by(certificate, authority) for authority in trust):
            raise StoreError(
                "is not signed by the authority given with --trust: it was changed or replaced, or that is not the "
                "authority of this unit"
            )
        if _is_authority(certificate):
            raise StoreError("is an authority's own certificate and not a unit's")
        seal.trusted = True
    seal.key = key


def _checkpoints(seal: Seal, tree: Tree, kept: dict[int, set[bytes]]) -> None:
    names = sorted(name for name in tree.files if name.startswith("checkpoints/"))
    if len(names) > 2 * MAX_CHECKPOINTS:
        raise RefusedError("more checkpoints than any export has")
    for name in names:
        match = _NAME.match(name)
        if match is None:
            seal.tampered.append(Finding(name, "does not belong there"))
        elif match[2] == "json":
            seal.checkpoints += 1
            try:
                _checkpoint(seal, tree, name, int(match[1]), kept)
            except (StoreError, OSError) as error:
                seal.tampered.append(Finding(name, str(error)))
        elif f"{name[:-4]}.json" not in tree.files:
            seal.tampered.append(Finding(name, "signs a checkpoint that is missing"))
    if seal.key is not None and seal.checkpoints > 1 and not seal.signed:
        seal.tampered.insert(0, Finding(CERTIFICATE, "is of another key than the one that signed the checkpoints"))
    seal.signed.sort(key=lambda each: each.said.n)
    for before, after in zip(seal.signed, seal.signed[1:], strict=False):
        _follows(seal, before, after)


def _checkpoint(seal: Seal, tree: Tree, name: str, number: int, kept: dict[int, set[bytes]]) -> None:
    signature_name = f"{name[:-5]}.sig"
    body = tree.read(name, MAX_CHECKPOINT_BYTES)
    signature = _signature(tree, signature_name) if signature_name in tree.files else b""
    if signature_name not in tree.files:
        seal.unsigned += 1
    elif seal.key is not None and not verifies(seal.key, signature, body):
        if body in kept.get(number, ()):
            seal.tampered.append(Finding(signature_name, f"is not the signature of {name} by the key in {CERTIFICATE}"))
            return
        parse_checkpoint(body)
        raise StoreError(f"is not what {signature_name} signs by the key in {CERTIFICATE}: one of them was changed")
    said = parse_checkpoint(body)
    if said.n != number:
        raise StoreError(f"is checkpoint {said.n} under another's name")
    seal.signed.append(Signed(name, body, said, signature))


def _signature(tree: Tree, name: str) -> bytes:
    try:
        return tree.read(name, 64)
    except StoreError:
        return b""


def _follows(seal: Seal, before: Signed, after: Signed) -> None:
    if after.said.n != before.said.n + 1:
        words = f"follows checkpoint {before.said.n}: what lies between is missing"
    elif after.said.prev != before.hash:
        words = f"does not follow from checkpoint {before.said.n}: one of the two is another's or made anew"
    elif after.said.unit != before.said.unit:
        words = f"is of the unit {safe(after.said.unit)}, the one before of {safe(before.said.unit)}"
    elif (after.said.boot, after.said.mono_ns) < (before.said.boot, before.said.mono_ns):
        words = f"was made before checkpoint {before.said.n} by the unit's own clock"
    elif any(after.said.heads[who].n < head.n for who, head in before.said.heads.items() if who in after.said.heads):
        words = f"has a chain shorter than checkpoint {before.said.n} has: something was cut away"
    else:
        return
    seal.tampered.append(Finding(after.file, words))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        if not _extension(certificate, x509.BasicConstraints).ca:
            return False
    except (x509.ExtensionNotFound, *_UNUSABLE):
        return False
    try:
        return bool(_extension(certificate, x509.KeyUsage).key_cert_sign)
    except x509.ExtensionNotFound:
        return True
    except _UNUSABLE:
        return False


def _extension(certificate: x509.Certificate, kind: Any) -> Any:
    return certificate.extensions.get_extension_for_class(kind).value


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except _UNUSABLE:
        return False
    return True
