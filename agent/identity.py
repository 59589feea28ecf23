"""Who this node is: its keys and the center's, read from the folder of credentials."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from agent.errors import KeyFileError
from agent.wire.keys import KeyTextError, Signer, Verifier, private_from_pem, public_from_pem

SIGNING = "signing.pem"
CENTER = "center.pem"
TLS_KEY = "tls.key"
TLS_CERTIFICATE = "tls.crt"
TLS_AUTHORITY = "ca.crt"

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


def tls_context(folder: Path) -> ssl.SSLContext:
    """Return the context for mutual TLS with the city's own authority, and no other.

    Raises:
        KeyFileError: a file is missing or does not fit the others.
    """
    authority, certificate, key = folder / TLS_AUTHORITY, folder / TLS_CERTIFICATE, folder / TLS_KEY
    for path, what in ((authority, "the city's authority"), (certificate, "the node's certificate"), (key, "its key")):
        _read(path, what)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=str(authority))
    except ssl.SSLError as error:
        raise KeyFileError(f"{authority}: no certificate in PEM; {_CURE}") from error
    try:
        context.load_cert_chain(str(certificate), str(key))
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{certificate} and {key}: not a certificate and its key in PEM; {_CURE}") from error
    return context


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
