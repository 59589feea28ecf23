"""What the kernel says of a radio over nl80211: its stations and its channel. Pure.

Source: Linux include/uapi/linux/nl80211.h. Levels are signed bytes.
"""

from collections.abc import Mapping

from drivers.hotspot.netlink import DONE, attributes, integer, messages
from drivers.hotspot.stations import RadioStations, Station
from drivers.hotspot.survey import Survey
from drivers.probe import AnswerError

FAMILY = "nl80211"
GET_STATION, GET_SURVEY = 17, 50
"""Commands that the kernel answers with a dump."""
INTERFACE = 3
"""Attribute that names the interface by its index."""

_NEW_STATION, _NEW_SURVEY = 19, 51
_STATION_INFO, _SURVEY_INFO = 21, 84
_SIGNAL, _BITRATE, _SIGNAL_AVERAGE, _FLAGS = 7, 8, 13, 17
_NUMBERS = {
    "inactive_ms": (1,),
    "rx_bytes": (23, 2),  # 64 bits where the kernel has them
    "tx_bytes": (24, 3),
    "tx_packets": (10,),
    "tx_retries": (11,),
    "tx_failed": (12,),
    "connected_s": (16,),
}
_RATE = (5, 1)  # in 100 kbit/s, 32 bits where the kernel has them
_AUTHORIZED, _ASSOCIATED = 1 << 1, 1 << 7
_FLAG_BYTES = 8
_FREQUENCY, _NOISE, _IN_USE, _ACTIVE, _BUSY = 1, 2, 3, 4, 5


def parse_stations(raw: bytes) -> RadioStations:
    """Read the answer to `GET_STATION`: a message for each station."""
    found = [_station(info) for info in _infos(raw, _NEW_STATION, _STATION_INFO)]
    return RadioStations(stations=tuple(found))


def parse_survey(raw: bytes) -> Survey:
    """Read the answer to `GET_SURVEY`: a message for each channel, of which the one in use counts."""
    for info in _infos(raw, _NEW_SURVEY, _SURVEY_INFO):
        if _IN_USE in info:
            return Survey(
                in_use_mhz=_number(info, _FREQUENCY),
                noise_dbm=_signed(info, _NOISE),
                active_ms=_number(info, _ACTIVE),
                busy_ms=_number(info, _BUSY),
            )
    return Survey()


def _infos(raw: bytes, command: int, name: int) -> list[dict[int, bytes]]:
    """Return what the messages of an answer tell; at least one, or the mark of its end, must be there."""
    found, ended = [], False
    for message in messages(raw):
        if message.kind == DONE:
            ended = True
            continue
        said = attributes(message.body)
        if message.command != command or name not in said:
            raise AnswerError(f"only messages of nl80211 command {command} are expected")
        found.append(attributes(said[name]))
    if not found and not ended:
        raise AnswerError(f"a message of nl80211 command {command} is expected")
    return found


def _station(info: Mapping[int, bytes]) -> Station:
    numbers = {field: _number(info, *kinds) for field, kinds in _NUMBERS.items()}
    rate = _number(attributes(info.get(_BITRATE, b"")), *_RATE)
    flags = info.get(_FLAGS, b"")
    known = integer(flags[:4]) if len(flags) == _FLAG_BYTES else 0  # struct nl80211_sta_flag_update: mask, set
    held = integer(flags[4:])
    return Station(
        authorized=bool(held & _AUTHORIZED) if known & _AUTHORIZED else None,
        associated=bool(held & _ASSOCIATED) if known & _ASSOCIATED else None,
        signal_dbm=_signed(info, _SIGNAL),
        signal_avg_dbm=_signed(info, _SIGNAL_AVERAGE),
        tx_rate_kbps=rate * 100 if rate else None,
        **numbers,
    )


def _number(info: Mapping[int, bytes], *kinds: int) -> int | None:
    return next((integer(info[kind]) for kind in kinds if kind in info), None)


def _signed(info: Mapping[int, bytes], kind: int) -> int | None:
    return integer(info[kind], signed=True) if kind in info else None
