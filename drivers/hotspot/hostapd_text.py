"""What hostapd says on its control socket, and ``hostapd_cli`` prints. Pure.

Source: hostapd 2.10: hostapd/ctrl_iface.c, src/ap/ctrl_iface_ap.c (hostapd_ctrl_iface_status, _sta_mib),
src/radius/radius_client.c (radius_client_get_mib), src/radius/radius_server.c, src/common/wpa_ctrl.h (events).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.hotspot.stations import Station, Stations
from drivers.probe import AnswerError, Facts, Source

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_EVENT = re.compile(r"(?:IFNAME=\S+ )?<\d>([A-Z0-9][A-Z0-9-]*)(?: .*)?")
_STATE = re.compile(r"[A-Z][A-Z_]*")
_SELECTED = "Selected interface '"  # the first line of hostapd_cli where nobody named an interface
_STATION_NUMBERS = {
    "signal": "signal_dbm",
    "connected_time": "connected_s",
    "inactive_msec": "inactive_ms",
    "rx_bytes": "rx_bytes",
    "tx_bytes": "tx_bytes",
    "tx_packets": "tx_packets",
    "tx_rate_info": "tx_rate_kbps",
}
_NOT_REPORTED_AS_0 = {"signal", "tx_rate_info"}  # hostapd clears what the driver does not fill in
_HUNDRED_KBPS = 100
_FLAGS = re.compile(r"(?:\[[^\[\]]+\])*")
_ESCAPE = re.compile(r'\\(x[0-9a-f]{2}|[\\"enrt])')  # src/utils/common.c (printf_encode)
_CLIENT = {
    "access_requests": "radiusAuthClientAccessRequests",
    "access_accepts": "radiusAuthClientAccessAccepts",
    "access_rejects": "radiusAuthClientAccessRejects",
    "access_challenges": "radiusAuthClientAccessChallenges",
    "auth_timeouts": "radiusAuthClientTimeouts",
    "acct_requests": "radiusAccClientRequests",
    "acct_responses": "radiusAccClientResponses",
    "acct_timeouts": "radiusAccClientTimeouts",
}
_SERVER = {
    "access_requests": "radiusAuthServTotalAccessRequests",
    "access_accepts": "radiusAuthServTotalAccessAccepts",
    "access_rejects": "radiusAuthServTotalAccessRejects",
    "access_challenges": "radiusAuthServTotalAccessChallenges",
}
_READ = {"flags", *_STATION_NUMBERS, *_CLIENT.values(), *_SERVER.values()}
_SERVER_HEAD = "RADIUS-AUTH-SERVER-MIB"
_MIB_WORDS = ("dot11RSNA", "dot1x", "radiusAuthServer", "radiusAccServer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bss:
    """One network of the access point: its own name, and how many entries its list of stations has."""

    ifname: str
    ssid: str
    num_sta: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Facts):
    """STATUS: on the air means ``ENABLED``. A channel of 0 is none yet."""

    state: str
    channel: int | None
    bss: tuple[Bss, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened(Facts):
    """Events that came since somebody began to listen."""

    connected: int = 0
    disconnected: int = 0
    ap_enabled: int = 0
    ap_disabled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusClient(Facts):
    """MIB: counters towards all RADIUS servers since hostapd started; None where it has no such server."""

    access_requests: int | None = None
    access_accepts: int | None = None
    access_rejects: int | None = None
    access_challenges: int | None = None
    auth_timeouts: int | None = None
    acct_requests: int | None = None
    acct_responses: int | None = None
    acct_timeouts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusServer(Facts):
    """MIB radius_server: what the RADIUS server inside hostapd has answered since it started."""

    access_requests: int | None = None
    access_accepts: int | None = None
    access_rejects: int | None = None
    access_challenges: int | None = None


def parse_status(raw: bytes) -> Status:
    """Read STATUS."""
    said = dict(_pairs(_lines(raw)))
    if not _STATE.fullmatch(said.get("state", "")):
        raise AnswerError("a line state=... is expected, such as state=ENABLED")
    names = [key.removeprefix("bss") for key in said if key.startswith("bss[")]
    if not names or any(f"{part}{at}" not in said for at in names for part in ("ssid", "num_sta")):
        raise AnswerError("bss[0]=, ssid[0]= and num_sta[0]= are expected")
    bss = (
        Bss(ifname=said[f"bss{at}"], ssid=_plain(said[f"ssid{at}"]), num_sta=_number(said[f"num_sta{at}"], "num_sta"))
        for at in names
    )
    return Status(state=said["state"], channel=_number(said.get("channel", "0"), "channel") or None, bss=tuple(bss))


def parse_station(raw: bytes) -> Station:
    """Read one station, as STA, STA-FIRST and STA-NEXT give it."""
    lines = _lines(raw)
    if not lines or not _MAC.fullmatch(lines[0]) or any(_MAC.fullmatch(line) for line in lines[1:]):
        raise AnswerError("one station is expected: its address on the first line, and no other after it")
    return _station(lines[1:])


def parse_stations(raw: bytes) -> Stations:
    """Read a list of stations, as ``hostapd_cli all_sta`` prints it; without its first line at least two of them."""
    lines = _lines(raw)
    selected = bool(lines) and lines[0].startswith(_SELECTED)
    lines = lines[selected:]
    heads = [at for at, line in enumerate(lines) if _MAC.fullmatch(line)]
    if (not selected and len(heads) < 2) or (lines and heads[:1] != [0]):  # noqa: PLR2004 - one is no list
        raise AnswerError("a list of stations is expected, each with its address on a line of its own")
    ends = [*heads[1:], len(lines)]
    return Stations(
        stations=tuple(_station(lines[at + 1 : end]) for at, end in zip(heads, ends, strict=False)),
    )


def parse_mib(raw: bytes) -> RadiusClient:
    """Read MIB; the counters of several servers are added up."""
    pairs = list(_pairs(_lines(raw)))
    if not any(key.startswith(_MIB_WORDS) for key, _ in pairs):
        raise AnswerError("counters of hostapd's MIB are expected")
    return RadiusClient(**_sums(pairs, _CLIENT))


def parse_server_mib(raw: bytes) -> RadiusServer:
    """Read MIB radius_server."""
    lines = _lines(raw)
    if lines[:1] != [_SERVER_HEAD]:
        raise AnswerError(f"a first line {_SERVER_HEAD} is expected")
    return RadiusServer(**_sums(list(_pairs(lines[1:])), _SERVER))


def parse_events(raw: bytes) -> Happened:
    """Read what an attached socket hears, one event a line; the OK to ATTACH may stand before it."""
    lines = [line for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]
    attached = lines[:1] == ["OK"]
    found = [_EVENT.fullmatch(line) for line in lines[attached:]]
    if None in found or not (found or attached):
        raise AnswerError("events such as <3>AP-ENABLED are expected")
    seen = Counter(each[1] for each in found if each)
    return Happened(
        connected=seen["AP-STA-CONNECTED"],
        disconnected=seen["AP-STA-DISCONNECTED"],
        ap_enabled=seen["AP-ENABLED"],
        ap_disabled=seen["AP-DISABLED"],
    )


STATUS = Source(name="hostapd-status", title="hostapd: STATUS", parse=parse_status)
STATION = Source(name="hostapd-station", title="hostapd: one station, STA", parse=parse_station)
STATIONS = Source(name="hostapd-stations", title="hostapd: all stations, all_sta", parse=parse_stations)
EVENTS = Source(name="hostapd-events", title="hostapd: events after ATTACH", parse=parse_events)
MIB = Source(name="hostapd-mib", title="hostapd: MIB", parse=parse_mib)
SERVER_MIB = Source(name="hostapd-mib-server", title="hostapd: MIB radius_server", parse=parse_server_mib)


def _lines(raw: bytes) -> list[str]:
    """Return the lines of an answer. hostapd ends each; a last one without an end must be none whose value is read."""
    *lines, last = raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if last.partition("=")[0] in _READ:
        raise AnswerError("the last line may be cut off: it has no end")
    return [line for line in [*lines, last] if line.strip()]


def _plain(text: str) -> str:
    """Return a name without the escapes that stand for bytes that are not printable ASCII."""
    named = {"\\": "\\", '"': '"', "e": "\033", "n": "\n", "r": "\r", "t": "\t"}
    parts = _ESCAPE.split(text)  # text, escape, text, escape, ..., text
    spelled = [
        each.encode() if at % 2 == 0 else bytes.fromhex(each[1:]) if each[0] == "x" else named[each].encode()
        for at, each in enumerate(parts)
    ]
    return b"".join(spelled).decode("utf-8", "replace")


def _pairs(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            yield key, value
        elif not line.startswith(_SELECTED):
            raise AnswerError("lines name=value are expected")


def _station(lines: Sequence[str]) -> Station:
    said = dict(_pairs(lines))
    flags = said.get("flags")
    if flags is None or not _FLAGS.fullmatch(flags):
        raise AnswerError("a line flags=[...]... is expected of each station")
    numbers: dict[str, int] = {}
    for key, field in _STATION_NUMBERS.items():
        if key in said:
            value = _number(said[key].partition(" ")[0], key)
            if value or key not in _NOT_REPORTED_AS_0:
                numbers[field] = value * _HUNDRED_KBPS if key == "tx_rate_info" else value
    authorized = "[AUTHORIZED]" in flags
    return Station(authorized=authorized, associated=authorized or "[ASSOC]" in flags, **numbers)


def _sums(pairs: Sequence[tuple[str, str]], names: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for field, name in names.items():
        values = [_number(value, name) for key, value in pairs if key == name]
        if values:
            found[field] = sum(values)
    return found


def _number(text: str, name: str) -> int:
    if re.fullmatch(r"-?\d+", text) is None:
        raise AnswerError(f"{name} is not a number")
    return int(text)
