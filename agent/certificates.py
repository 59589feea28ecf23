"""When certificates are valid, and whether they may be used by a clock that may know no time. Pure.

Only the dates are read here; everything else about a certificate OpenSSL has verified. Source: RFC 5280, 4.1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_TURN_OF_CENTURY = 50  # RFC 5280: a two-digit year from 50 on is 19xx


class CertificateError(Exception):
    """These bytes are no certificate; the text says where they end to be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """From when to when a certificate is valid, in UTC ms."""

    from_ms: int
    to_ms: int


def validity(der: bytes) -> Validity:
    """Read the dates of a certificate. Raises CertificateError."""
    certificate, _ = _inside(der, 0, _SEQUENCE)
    fields, _ = _inside(certificate, 0, _SEQUENCE)
    at = 0
    if fields[:1] == bytes((_VERSION,)):
        _, at = _inside(fields, at, _VERSION)
    for _ in range(3):  # serial number, algorithm, issuer
        at = _end(fields, at)
    dates, _ = _inside(fields, at, _SEQUENCE)
    from_ms, at = _time(dates, 0)
    to_ms, _ = _time(dates, at)
    return Validity(from_ms=from_ms, to_ms=to_ms)


def fault(chain: Iterable[Validity], *, passed_ms: int, now_ms: int | None) -> str:
    """Say why a chain may not be used; empty when it may.

    Past its end, never. Before its beginning, only while nobody ever knew what time it is.

    Args:
        chain: All of it, in any order.
        passed_ms: UTC that has certainly come.
        now_ms: UTC; None while the clock was never synchronised.
    """
    for one in chain:
        if passed_ms > one.to_ms:
            return f"it expired on {_day(one.to_ms)}"
        if now_ms is not None and now_ms < one.from_ms:
            return f"it is valid from {_day(one.from_ms)} on: waiting"
    return ""


def _day(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, and beginning and end of the content."""
    try:
        tag, length, begin = data[at], data[at + 1], at + 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(data[at + 2 : begin])
    except IndexError as error:
        raise CertificateError(f"it ends at byte {len(data)}") from error
    if begin + length > len(data):
        raise CertificateError(f"it ends at byte {len(data)}")
    return tag, begin, begin + length


def _inside(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    found, begin, end = _header(data, at)
    if found != tag:
        raise CertificateError(f"tag {found:#04x} at byte {at} is not {tag:#04x}")
    return data[begin:end], end


def _end(data: bytes, at: int) -> int:
    return _header(data, at)[2]


def _time(data: bytes, at: int) -> tuple[int, int]:
    tag, begin, end = _header(data, at)
    text = data[begin:end].decode("ascii", "replace")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= str(_TURN_OF_CENTURY) else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise CertificateError(f"tag {tag:#04x} is no time")
    try:  # not by strptime, which loads a quarter of a megabyte
        moment = datetime.fromisoformat(f"{text[:8]}T{text[8:14]}Z")
    except ValueError as error:
        raise CertificateError(f"{text!r} is no time") from error
    return int(moment.timestamp()) * 1000, end
