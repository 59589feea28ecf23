import struct
from collections.abc import Mapping

import pytest

from drivers.hotspot.netlink import DONE, ERROR, attributes, family_number, family_request, messages, request
from drivers.hotspot.nl80211 import parse_stations, parse_survey
from drivers.hotspot.stations import Station
from drivers.hotspot.survey import Survey
from drivers.probe import AnswerError

SURVEY, STATION = 51, 19
SURVEY_INFO, STATION_INFO = 84, 21
RADIO = 28
END = struct.pack("=IHHIIi", 20, DONE, 2, 7, 0, 0)


def packed(values: Mapping[int, bytes]) -> bytes:
    whole = b""
    for kind, value in values.items():
        whole += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return whole


def message(command: int, info: int, values: Mapping[int, bytes]) -> bytes:
    return request(RADIO, command, flags=2, number=7, attributes={3: b"\3\0\0\0", info | 0x8000: packed(values)})


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def test_noise_is_a_signed_byte() -> None:
    in_use = message(SURVEY, SURVEY_INFO, {1: number(2437), 2: b"\xa1", 3: b"", 4: number(900, 8), 5: number(300, 8)})
    other = message(SURVEY, SURVEY_INFO, {1: number(2412), 2: b"\x9c"})
    assert parse_survey(other + in_use + END) == Survey(in_use_mhz=2437, noise_dbm=-95, active_ms=900, busy_ms=300)
    assert parse_survey(other + END) == Survey()


def test_a_driver_that_reports_little_reports_no_zeros() -> None:
    little = message(STATION, STATION_INFO, {1: number(40)})
    assert parse_stations(little).stations == (Station(inactive_ms=40),)


def test_old_kernels_count_in_32_bits() -> None:
    old = message(STATION, STATION_INFO, {2: number(5), 3: number(6), 8: packed({1: number(540, 2)})})
    (station,) = parse_stations(old).stations
    assert (station.rx_bytes, station.tx_bytes, station.tx_rate_kbps) == (5, 6, 54_000)


def test_flags_count_only_where_they_are_known() -> None:
    half = message(STATION, STATION_INFO, {17: number(0b10) + number(0xFF)})
    none = message(STATION, STATION_INFO, {17: number(0b10) + number(0)})
    first, second = parse_stations(half + none + END).stations
    assert (first.authorized, first.associated, second.authorized) == (True, None, False)


def test_the_end_of_an_answer_without_stations_is_an_answer() -> None:
    assert parse_stations(END).stations == ()


@pytest.mark.parametrize(
    "raw",
    [
        END[:10],
        END[:-2],
        message(SURVEY, SURVEY_INFO, {1: number(2437)}),
        message(STATION, STATION_INFO + 1, {1: number(1)}),
        struct.pack("=IHHIIi", 20, ERROR, 0, 7, 0, -19),
        struct.pack("=IHHII", 16, RADIO, 0, 7, 0),
        struct.pack("=IHHII", 4, RADIO, 0, 7, 0),
        request(RADIO, STATION, flags=0, number=1, attributes={})[:-4] + b"",
        struct.pack("=IHHIIBBHHH", 24, RADIO, 0, 7, 0, STATION, 1, 0, 99, 21),
        struct.pack("=IHHIIBBHHH", 24, RADIO, 0, 7, 0, STATION, 1, 0, 2, 21),
    ],
)
def test_what_is_no_whole_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_stations(raw)


def test_the_kernel_says_what_went_wrong() -> None:
    (refused,) = messages(struct.pack("=IHHIIi", 20, ERROR, 0, 7, 0, -19))
    (bare,) = messages(struct.pack("=IHHII", 16, DONE, 0, 7, 0))
    assert (refused.errno, refused.number, bare.errno) == (19, 7, 0)


def test_a_family_is_asked_for_by_its_name_and_answered_with_its_number() -> None:
    (asked,) = messages(family_request("nl80211", 1))
    assert attributes(asked.body) == {2: b"nl80211\0"}
    assert family_number(asked) is None
    (answer,) = messages(request(16, 1, flags=0, number=1, attributes={1: number(28, 2)}))
    assert family_number(answer) == 28
    (other,) = messages(request(17, 1, flags=0, number=1, attributes={1: number(28, 2)}))
    assert family_number(other) is None
