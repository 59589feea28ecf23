"""Ed25519 keys and their names.

Keys are read from their standard PEM forms without an ASN.1 parser: RFC 8410 fixes every byte around the 32 that
matter, and a parser costs the node 1.8 MB of memory.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KID_BYTES = 8
KEY_BYTES = 32
_PRIVATE = bytes.fromhex("302e020100300506032b657004220420")  # PKCS #8, RFC 8410 section 7
_PUBLIC = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo, RFC 8410 section 4


class KeyTextError(Exception):
    """A text is not the PEM form of an Ed25519 key."""


def kid_of(public: bytes) -> bytes:
    """Return the name of a public key: the first 8 bytes of SHA-256 over its 32 raw bytes."""
    return hashlib.sha256(public).digest()[:KID_BYTES]


class Signer:
    """A private key that signs. ``public`` holds the 32 raw bytes of its public half."""

    __slots__ = ("_key", "kid", "public")

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._key.public_key().public_bytes_raw()
        self.kid = kid_of(self.public)

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature."""
        return self._key.sign(data)


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key that checks."""

    public: bytes

    @property
    def kid(self) -> bytes:
        """Name of this key."""
        return kid_of(self.public)

    def holds(self, signature: bytes, data: bytes) -> bool:
        """Tell whether the signature is this key's over the data."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


def _armour(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode('ascii')}\n-----END {label}-----\n"


def _strip(text: str, label: str, prefix: bytes) -> bytes:
    head, tail = f"-----BEGIN {label}-----", f"-----END {label}-----"
    start, end = text.find(head), text.find(tail)
    if start < 0 or end < start:
        raise KeyTextError(f"there is no {head!r} in it")
    try:
        der = base64.b64decode("".join(text[start + len(head) : end].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyTextError(f"what stands below {head!r} is not base64") from error
    if len(der) != len(prefix) + KEY_BYTES or not der.startswith(prefix):
        raise KeyTextError("it is not an Ed25519 key (make one with `openssl genpkey -algorithm ed25519`)")
    return der[len(prefix) :]


def private_from_pem(text: str) -> bytes:
    """Return the 32 private bytes of a PKCS #8 PEM text. Raises KeyTextError."""
    return _strip(text, "PRIVATE KEY", _PRIVATE)


def public_from_pem(text: str) -> bytes:
    """Return the 32 public bytes of a SubjectPublicKeyInfo PEM text. Raises KeyTextError."""
    return _strip(text, "PUBLIC KEY", _PUBLIC)


def private_to_pem(private: bytes) -> str:
    """Return the PKCS #8 PEM text of 32 private bytes."""
    return _armour("PRIVATE KEY", _PRIVATE + private)


def public_to_pem(public: bytes) -> str:
    """Return the SubjectPublicKeyInfo PEM text of 32 public bytes."""
    return _armour("PUBLIC KEY", _PUBLIC + public)
