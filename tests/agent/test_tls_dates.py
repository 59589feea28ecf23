"""Dates of certificates at a real TLS server, for a box that may not know what time it is."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.certificates import CertificateError, Validity, fault, validity
from agent.errors import KeyFileError, LinkLost
from agent.identity import expires_ms, tls_context
from agent.mqtt import Broker, connect

YEAR = 2027
OLD, NEW = dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2049, 12, 31, tzinfo=dt.UTC)


def at(year: int, month: int = 1, day: int = 1) -> dt.datetime:
    return dt.datetime(year, month, day, tzinfo=dt.UTC)


def ms(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1000


@dataclass(kw_only=True)
class Holder:
    """Somebody with a certificate; ``issuer`` None signs itself."""

    name: str
    begin: dt.datetime = OLD
    end: dt.datetime = NEW
    issuer: "Holder | None" = None
    is_authority: bool = True
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def certificate(self) -> x509.Certificate:
        issuer = self.issuer or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.begin)
            .not_valid_after(self.end)
            .add_extension(x509.BasicConstraints(ca=self.is_authority, path_length=None), critical=True)
        )
        if not self.is_authority:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer.key, hashes.SHA256())

    def pem(self) -> bytes:
        return self.certificate().public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@contextmanager
def served(folder: Path, *chain: Holder) -> Iterator[int]:
    """A TLS server with this chain, its own certificate first; yields its port. It greets who shakes hands."""
    (folder / "server.crt").write_bytes(b"".join(one.pem() for one in chain))
    (folder / "server.key").write_bytes(chain[0].key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as line:
                    line.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def greeted(folder: Path, port: int, *, passed: dt.datetime, now: dt.datetime | None) -> bytes:
    """Connect as the MQTT client does: the handshake is asked for by itself."""
    context = tls_context(folder, lambda: (ms(passed), None if now is None else ms(now)))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1", do_handshake_on_connect=False) as line,
    ):
        line.settimeout(5)
        line.do_handshake()
        return line.recv(100)


@dataclass
class Pki:
    """A city: authority, a middle authority, the node's own files in a folder."""

    folder: Path
    root: Holder
    middle: Holder

    def broker(self, begin: dt.datetime = OLD, end: dt.datetime = NEW, *, issuer: Holder | None = None) -> Holder:
        return Holder(name="broker", begin=begin, end=end, issuer=issuer or self.root, is_authority=False)


def found(folder: Path, root: Holder, node_end: dt.datetime = NEW) -> Pki:
    middle = Holder(name="middle", issuer=root)
    node = Holder(name="dago-01", issuer=root, is_authority=False, end=node_end)
    (folder / "ca.crt").write_bytes(root.pem())
    (folder / "tls.crt").write_bytes(node.pem())
    (folder / "tls.key").write_bytes(node.key_pem())
    return Pki(folder, root, middle)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return found(tmp_path, Holder(name="city"))


def test_a_box_in_1970_meets_a_broker_whose_certificate_begins_long_after(pki: Pki) -> None:
    broker = pki.broker(at(2045), at(2046))
    with served(pki.folder, broker) as port:
        assert greeted(pki.folder, port, passed=at(YEAR), now=None) == b"hello"


def test_a_box_that_knows_the_time_waits_for_a_certificate_to_begin(pki: Pki) -> None:
    with (
        served(pki.folder, pki.broker(at(YEAR, 3))) as port,
        pytest.raises(ssl.SSLCertVerificationError, match="valid from 2027-03-01T00:00:00Z on: waiting"),
    ):
        greeted(pki.folder, port, passed=at(YEAR), now=at(YEAR, 2, 28))
    with served(pki.folder, pki.broker(at(YEAR, 3))) as port:
        assert greeted(pki.folder, port, passed=at(YEAR), now=at(YEAR, 3, 2)) == b"hello"
    assert (pki.folder / "tls.crt").exists()


@pytest.mark.parametrize("now", [None, at(YEAR - 3), at(YEAR, 6, 2)])
def test_an_expired_certificate_is_never_taken_whatever_the_clock_shows(pki: Pki, now: dt.datetime | None) -> None:
    with (
        served(pki.folder, pki.broker(end=at(YEAR, 6))) as port,
        pytest.raises(ssl.SSLCertVerificationError, match="expired on 2027-06-01T00:00:00Z"),
    ):
        greeted(pki.folder, port, passed=at(YEAR, 6, 2), now=now)


def test_the_link_is_lost_with_the_date_as_its_reason(pki: Pki) -> None:
    async def main(port: int) -> None:
        tls = tls_context(pki.folder, lambda: (ms(at(YEAR, 7)), None))
        broker = Broker(host="127.0.0.1", tcp_port=port, tls=tls, timeout_s=5)
        async with connect(broker, client_id="x", will_topic="w", will=b""):
            pass

    with (
        served(pki.folder, pki.broker(end=at(YEAR, 6))) as port,
        pytest.raises(LinkLost, match="certificate is not accepted: it expired on 2027-06-01"),
    ):
        asyncio.run(main(port))


def test_a_certificate_that_ends_tomorrow_is_still_good(pki: Pki) -> None:
    with served(pki.folder, pki.broker(end=at(YEAR, 6))) as port:
        assert greeted(pki.folder, port, passed=at(YEAR, 5, 31), now=at(YEAR, 5, 31)) == b"hello"


def test_an_expired_authority_in_the_middle_is_not_taken(pki: Pki) -> None:
    middle = Holder(name="middle", issuer=pki.root, end=at(YEAR, 6), key=pki.middle.key)
    broker = pki.broker(issuer=middle)
    with served(pki.folder, broker, middle) as port:
        assert greeted(pki.folder, port, passed=at(YEAR), now=None) == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError, match="expired on 2027-06-01"):
            greeted(pki.folder, port, passed=at(YEAR, 7), now=None)


def test_an_expired_root_is_not_taken(tmp_path: Path) -> None:
    pki = found(tmp_path, Holder(name="city", end=at(YEAR, 6)))
    with served(pki.folder, pki.broker()) as port, pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        greeted(pki.folder, port, passed=at(YEAR, 7), now=None)


def test_everything_else_about_a_certificate_is_still_verified(pki: Pki) -> None:
    stranger = Holder(name="broker", issuer=Holder(name="city"), is_authority=False)
    with served(pki.folder, stranger) as port, pytest.raises(ssl.SSLCertVerificationError):
        greeted(pki.folder, port, passed=at(YEAR), now=None)


def test_the_first_of_our_own_certificates_to_end_counts(tmp_path: Path) -> None:
    found(tmp_path, Holder(name="city", end=at(2040)), node_end=at(YEAR, 9))
    assert expires_ms(tmp_path) == ms(at(YEAR, 9))
    found(tmp_path, Holder(name="city", end=at(YEAR, 4)), node_end=at(YEAR, 9))
    (tmp_path / "ca.crt").write_bytes(b"City of Bandung\n" + (tmp_path / "ca.crt").read_bytes())
    assert expires_ms(tmp_path) == ms(at(YEAR, 4))
    (tmp_path / "ca.crt").write_text("hello")
    with pytest.raises(KeyFileError, match=r"ca\.crt: no certificate in PEM"):
        expires_ms(tmp_path)


@pytest.mark.parametrize(("begin", "end"), [(at(1970), at(2049)), (at(1950), at(2050)), (at(2026, 12), at(9999, 12))])
def test_dates_read_from_bytes_are_those_that_were_written(begin: dt.datetime, end: dt.datetime) -> None:
    der = Holder(name="x", begin=begin, end=end).certificate().public_bytes(serialization.Encoding.DER)
    assert validity(der) == Validity(from_ms=ms(begin), to_ms=ms(end))


def test_bytes_that_are_no_certificate_are_named_so() -> None:
    der = Holder(name="x").certificate().public_bytes(serialization.Encoding.DER)
    for cut in range(0, len(der), 7):
        with pytest.raises(CertificateError):
            validity(der[:cut])
    for at_byte in range(200):
        changed = bytearray(der)
        changed[at_byte] ^= 0xFF
        with suppress(CertificateError):
            validity(bytes(changed))


def test_a_chain_is_as_good_as_its_worst_member() -> None:
    good, late = Validity(from_ms=0, to_ms=10**13), Validity(from_ms=2_000_000, to_ms=3_000_000)
    assert fault([good, late], passed_ms=2_500_000, now_ms=2_500_000) == ""
    assert fault([good, late], passed_ms=3_000_001, now_ms=None) == "it expired on 1970-01-01T00:50:00Z"
    assert "waiting" in fault([good, late], passed_ms=1, now_ms=1_999_999)


def test_no_connection_can_be_made_whose_dates_nobody_judges(pki: Pki) -> None:
    context = tls_context(pki.folder, lambda: (0, None))
    with pytest.raises(AttributeError):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="127.0.0.1")
