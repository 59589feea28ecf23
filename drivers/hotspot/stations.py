"""Stations of an access point without anything that names them; the text of ``iw dev X station dump``. Pure.

Source: iw station.c (print_sta_handler).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from drivers.probe import AnswerError, Facts

_HEAD = re.compile(r"Station [0-9a-f:]{17} \(on \S+\)", re.IGNORECASE)
_LINE = re.compile(r"\s+([^:]+):\s*(.*)")
_WHOLE = {
    "rx bytes": "rx_bytes",
    "tx bytes": "tx_bytes",
    "tx packets": "tx_packets",
    "tx retries": "tx_retries",
    "tx failed": "tx_failed",
}
_MEASURED = {
    "inactive time": ("inactive_ms", r"(\d+) ms"),
    "signal": ("signal_dbm", r"(-?\d+)(?: \[[-\d, ]*\])? dBm"),
    "signal avg": ("signal_avg_dbm", r"(-?\d+)(?: \[[-\d, ]*\])? dBm"),
    "connected time": ("connected_s", r"(\d+) seconds?"),
}
_BITRATE = re.compile(r"(\d+)\.(\d) MBit/s.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Station(Facts):
    """One station.

    Attributes:
        authorized: It may send data; on an open network all that are associated may.
        associated: It has not left.
        signal_dbm: Of its last frame.
        signal_avg_dbm: Averaged by the driver.
        connected_s: Since it came.
        inactive_ms: Since its last frame.
        rx_bytes: Received from it.
        tx_bytes: Sent to it.
        tx_packets: Sent to it.
        tx_retries: Sent to it once more.
        tx_failed: Given up after all retries.
        tx_rate_kbps: At which it is sent to.
    """

    authorized: bool | None = None
    associated: bool | None = None
    signal_dbm: int | None = None
    signal_avg_dbm: int | None = None
    connected_s: int | None = None
    inactive_ms: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    tx_packets: int | None = None
    tx_retries: int | None = None
    tx_failed: int | None = None
    tx_rate_kbps: int | None = None


_COUNTED = ("authorized", "associated")
_VALUES = tuple(each.name for each in fields(Station) if each.name not in _COUNTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stations(Facts):
    """All stations of an access point, in the order in which they were told."""

    stations: tuple[Station, ...]

    def count(self, flag: str) -> int | None:
        """Return how many are ``authorized`` or ``associated``; None when no station reports it."""
        known = [value for each in self.stations if (value := getattr(each, flag)) is not None]
        return sum(known) if known or not self.stations else None

    def said(self) -> dict[str, object]:
        """Return counts, and beside them the values of the one station or lists of what each has."""
        rows = [asdict(each) for each in self.stations]
        counts: dict[str, object] = {"stations": len(rows)} | {flag: self.count(flag) for flag in _COUNTED}
        columns = {name: [row[name] for row in rows] for name in _VALUES}
        return counts | {name: each[0] if len(each) == 1 else each for name, each in columns.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioStations(Stations):
    """All stations as the driver of the radio tells them."""


def parse_iw_stations(raw: bytes) -> RadioStations:
    """Read ``iw dev X station dump``."""
    *lines, last = raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if last.strip().partition(":")[0] in _WHOLE:
        raise AnswerError("the last line may be cut off: it has no end")
    found: list[dict[str, str]] = []
    for line in [*lines, last]:
        if _HEAD.fullmatch(line.strip()):
            found.append({})
        elif line.strip():
            said = _LINE.fullmatch(line)
            if said is None or not found:
                raise AnswerError("lines of a station dump are expected: Station ... (on ...), then name: value")
            found[-1][said[1]] = said[2].strip()
    if not found:
        raise AnswerError("a station dump is expected: Station ... (on ...), then name: value")
    return RadioStations(stations=tuple(_station(each) for each in found))


def _station(said: Mapping[str, str]) -> Station:
    flags = {name: said[name] == "yes" for name in _COUNTED if name in said}
    if any(said[name] not in ("yes", "no") for name in flags):
        raise AnswerError("authorized and associated are yes or no")
    return Station(authorized=flags.get("authorized"), associated=flags.get("associated"), **dict(_numbers(said)))


def _numbers(said: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name, text in said.items():
        if name in _WHOLE:
            if not text.isdigit():
                raise AnswerError(f"{name} is not a number")
            yield _WHOLE[name], int(text)
        elif name in _MEASURED:
            field, form = _MEASURED[name]
            measured = re.fullmatch(form, text)
            if measured is None:
                raise AnswerError(f"{name} has no number with its unit")
            yield field, int(measured[1])
        elif name == "tx bitrate" and (rate := _BITRATE.fullmatch(text)):
            yield "tx_rate_kbps", int(rate[1]) * 1000 + int(rate[2]) * 100
