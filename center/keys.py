"""Key folders: the center's own, and the ones it makes for nodes of tests and demos.

One small certificate authority for mutual TLS (ECDSA P-256), and an Ed25519 key that signs acks. Every file is 0600.
"""

import datetime as dt
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.wire.keys import (
    KEY_BYTES,
    KeyTextError,
    Signer,
    private_from_pem,
    private_to_pem,
    public_from_pem,
    public_to_pem,
)
from center.errors import KeyFolderError

CA_KEY, CA = "ca.key", "ca.crt"
ACK_KEY, ACK_PUBLIC = "center.key", "center.pem"
SERVER_KEY, SERVER = "server.key", "server.crt"
CLIENT_KEY, CLIENT = "client.key", "client.crt"
NODE_SIGNING, NODE_KEY, NODE = "signing.pem", "tls.key", "tls.crt"

_YEARS = 10
_DAY = dt.timedelta(days=1)


def center_name(city: str) -> str:
    """Return the name of the center in its certificate; the dot keeps it from being any node's name."""
    return f"center.{city}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def init(folder: Path, *, city: str, host: str, now: dt.datetime) -> tuple[Path, ...]:
    """Make the center's keys and certificates; return the files. Raises KeyFolderError."""
    _fresh(folder, (CA_KEY, CA, ACK_KEY, ACK_PUBLIC, SERVER_KEY, SERVER, CLIENT_KEY, CLIENT))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"gardu CA {city}", city)
    authority = _Authority(key=key, certificate=_certificate(subject, key.public_key(), None, key, now, ca=True))
    private = os.urandom(KEY_BYTES)
    server, server_key = _issue(authority, _name(host, city), now, host=host)
    client, client_key = _issue(authority, _name(center_name(city), city), now)
    files = {
        CA_KEY: _pem(key),
        CA: _crt(authority.certificate),
        ACK_KEY: private_to_pem(private).encode(),
        ACK_PUBLIC: public_to_pem(Signer(private).public).encode(),
        SERVER_KEY: server_key,
        SERVER: server,
        CLIENT_KEY: client_key,
        CLIENT: client,
    }
    return _write(folder, files)


def make_node(folder: Path, *, center: Path, city: str, node: str, now: dt.datetime) -> bytes:
    """Make the whole key folder of a node; return its public signing key. Raises KeyFolderError."""
    _fresh(folder, (NODE_SIGNING, NODE_KEY, NODE, CA, ACK_PUBLIC))
    authority = _load_authority(center)
    private = os.urandom(KEY_BYTES)
    certificate, key = _issue(authority, _name(node, city), now)
    files = {
        NODE_SIGNING: private_to_pem(private).encode(),
        NODE_KEY: key,
        NODE: certificate,
        CA: _read(center / CA),
        ACK_PUBLIC: _read(center / ACK_PUBLIC),
    }
    _write(folder, files)
    return Signer(private).public


def load_signer(folder: Path) -> Signer:
    """Return the key that signs acks. Raises KeyFolderError."""
    try:
        return Signer(private_from_pem(_read(folder / ACK_KEY).decode("ascii", "replace")))
    except KeyTextError as error:
        raise KeyFolderError(f"{folder / ACK_KEY}: {error}") from error


def load_public(path: Path) -> bytes:
    """Return the 32 bytes of a public signing key. Raises KeyFolderError."""
    try:
        return public_from_pem(_read(path).decode("ascii", "replace"))
    except KeyTextError as error:
        raise KeyFolderError(f"{path}: {error}") from error


def client_tls(folder: Path) -> ssl.SSLContext:
    """Return the center's TLS: its own certificate, its own CA and no other. Raises KeyFolderError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(folder / CA)
        context.load_cert_chain(folder / CLIENT, folder / CLIENT_KEY)
    except OSError as error:
        raise KeyFolderError(f"{folder}: {CA}, {CLIENT} or {CLIENT_KEY} cannot be used: {error}") from error
    return context


def _load_authority(folder: Path) -> _Authority:
    try:
        key = serialization.load_pem_private_key(_read(folder / CA_KEY), None)
        certificate = x509.load_pem_x509_certificate(_read(folder / CA))
    except ValueError as error:
        raise KeyFolderError(f"{folder}: {CA_KEY} or {CA} is damaged: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFolderError(f"{folder / CA_KEY} is not an elliptic curve key")
    return _Authority(key=key, certificate=certificate)


def _name(common: str, city: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, city), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _issue(
    authority: _Authority, subject: x509.Name, now: dt.datetime, *, host: str | None = None
) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(subject, key.public_key(), authority.certificate, authority.key, now, host=host)
    return _crt(certificate), _pem(key)


def _certificate(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    *,
    ca: bool = False,
    host: str | None = None,
) -> x509.Certificate:
    server = host is not None
    usage = x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY * 365 * _YEARS)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _names(host: str) -> list[x509.GeneralName]:
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        names = [x509.DNSName(host)]
    if host == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    return names


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _crt(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFolderError(f"{path}: {error.strerror}; `gardu-center keys init` makes it") from error


def _fresh(folder: Path, names: tuple[str, ...]) -> None:
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise KeyFolderError(f"{folder} holds {', '.join(there)} already; keys are never overwritten")


def _write(folder: Path, files: dict[str, bytes]) -> tuple[Path, ...]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in files.items():
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise KeyFolderError(f"{folder}: {error}") from error
    return tuple(folder / name for name in files)
