"""Who this node is: its keys and the center's, read from the folder of credentials.

TLS must work on a box that does not know what time it is, and must not be talked into an expired certificate by a
clock that was set back. So OpenSSL does not look at dates; after each handshake the peer's whole chain is judged here.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.certificates import CertificateError, Validity, fault, validity
from agent.errors import KeyFileError
from agent.wire.keys import KeyTextError, Signer, Verifier, private_from_pem, public_from_pem

SIGNING = "signing.pem"
CENTER = "center.pem"
TLS_KEY = "tls.key"
TLS_CERTIFICATE = "tls.crt"
TLS_AUTHORITY = "ca.crt"

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME. Source: OpenSSL, x509_vfy.h."""
_HAS_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED."""

Dates = Callable[[], tuple[int, int | None]]
"""Tells UTC that has certainly come, and now where it was ever known, in ms."""

_CURE = "put the folder that the center handed out for this node in its place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The keys of one node.

    Attributes:
        signer: Signs batches.
        center: Keys whose acks may free.
        folder: Where they came from.
    """

    signer: Signer
    center: tuple[Verifier, ...]
    folder: Path


def load(folder: Path) -> Identity:
    """Read the signing key and the center's key.

    Raises:
        KeyFileError: one is missing, unreadable or no Ed25519 key.
    """
    try:
        signer = Signer(private_from_pem(_read(folder / SIGNING, "the node's signing key")))
    except KeyTextError as error:
        raise KeyFileError(f"{folder / SIGNING}: not a private Ed25519 key in PEM: {error}; {_CURE}") from error
    try:
        center = Verifier(public_from_pem(_read(folder / CENTER, "the center's ack key")))
    except KeyTextError as error:
        raise KeyFileError(f"{folder / CENTER}: not a public Ed25519 key in PEM: {error}; {_CURE}") from error
    return Identity(signer=signer, center=(center,), folder=folder)


class _Socket(ssl.SSLSocket):
    """Judges the dates of the peer's chain after the handshake, before a byte is said."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's own signature
        super().do_handshake(block)
        if not isinstance(self.context, _Context):
            raise TypeError("made by another context")
        passed_ms, now_ms = self.context.dates()
        why = fault(_chain(self), passed_ms=passed_ms, now_ms=now_ms)
        if why:
            self.close()
            error = ssl.SSLCertVerificationError(1, why)
            error.verify_code, error.verify_message = _HAS_EXPIRED, why
            raise error


class _Context(ssl.SSLContext):
    """A context whose sockets judge dates; it makes nothing that would not."""

    sslsocket_class = _Socket
    sslobject_class = None  # type: ignore[assignment]  # a memory BIO's handshake would not be judged
    dates: Dates


def _chain(peer: ssl.SSLSocket) -> list[Validity]:
    """Return the dates of the chain that was verified, the authority's own included."""
    inner = peer._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - public as get_verified_chain() from 3.13 on
    try:
        return [validity(ssl.PEM_cert_to_DER_cert(one.public_bytes())) for one in inner.get_verified_chain()]
    except (CertificateError, ValueError) as error:
        raise ssl.SSLError(f"the peer's certificate has no dates: {error}") from error


def tls_context(folder: Path, dates: Dates) -> ssl.SSLContext:
    """Return the context for mutual TLS with the city's own authority, and no other.

    Args:
        folder: Of the keys.
        dates: What time it is; asked at each handshake, from any thread.

    Raises:
        KeyFileError: a file is missing or does not fit the others.
    """
    authority, certificate, key = folder / TLS_AUTHORITY, folder / TLS_CERTIFICATE, folder / TLS_KEY
    for path, what in ((authority, "the city's authority"), (certificate, "the node's certificate"), (key, "its key")):
        _read(path, what)
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.dates = dates
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= _NO_CHECK_TIME
    try:
        context.load_verify_locations(cafile=str(authority))
    except ssl.SSLError as error:
        raise KeyFileError(f"{authority}: no certificate in PEM; {_CURE}") from error
    try:
        context.load_cert_chain(str(certificate), str(key))
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{certificate} and {key}: not a certificate and its key in PEM; {_CURE}") from error
    return context


def expires_ms(folder: Path) -> int:
    """Return the UTC ms at which the first of our own certificates ends: the node's and the authority's.

    Raises:
        KeyFileError: one is missing or no certificate.
    """
    ends: list[int] = []
    for path, what in ((folder / TLS_CERTIFICATE, "the node's certificate"), (folder / TLS_AUTHORITY, "the authority")):
        try:
            ends.append(validity(ssl.PEM_cert_to_DER_cert(_first(_read(path, what)))).to_ms)
        except (CertificateError, ValueError) as error:
            raise KeyFileError(f"{path}: no certificate in PEM; {_CURE}") from error
    return min(ends)


def _first(text: str) -> str:
    """Return the first certificate of a file, without what stands around it."""
    begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    return text[begin : end + len(ssl.PEM_FOOTER)]


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("ascii")
    except FileNotFoundError as error:
        raise KeyFileError(f"{path}: {what} is missing; {_CURE}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path}: {what} is no text in PEM; {_CURE}") from error
    except OSError as error:
        raise KeyFileError(
            f"{path}: {what} cannot be read: {error.strerror}; the file must be readable for the user who runs gardu"
        ) from error
