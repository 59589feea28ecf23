import random

import pynmea2  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.driver import Event, Problem, Rejected, TimeSeen
from drivers.framing import xor8
from drivers.reading import Reading
from drivers.serial.nmea import decode, make

S = 1_000_000_000


def _sentence(body: str) -> bytes:
    return f"${body}*{xor8(body.encode()):02X}\r\n".encode()


def _values(body: str) -> dict[str, object]:
    return {one.channel: one.value for one in decode("nmea", {}, [_sentence(body)]).readings}


@given(
    degrees=st.integers(0, 89),
    minutes=st.integers(0, 599999),
    north=st.booleans(),
    east=st.booleans(),
    knots=st.integers(0, 9999),
    course=st.integers(0, 3599),
)
def test_positions_speed_and_course_agree_with_pynmea2(
    degrees: int, minutes: int, *, north: bool, east: bool, knots: int, course: int
) -> None:
    place = f"{degrees:02d}{minutes / 10000:07.4f},{'NS'[north]},{degrees:03d}{minutes / 10000:07.4f},{'EW'[east]}"
    body = f"GNRMC,010203.00,A,{place},{knots / 100:.2f},{course / 10:.1f},010126,,,A"
    theirs = pynmea2.parse(_sentence(body).decode().strip(), check=True)
    ours = _values(body)
    assert ours["latitude"] == pytest.approx(theirs.latitude, abs=5e-8)
    assert ours["longitude"] == pytest.approx(theirs.longitude, abs=5e-8)
    assert ours["speed"] == pytest.approx(float(theirs.spd_over_grnd) * 1852 / 3600, abs=1e-6)
    assert ours["course"] == float(theirs.true_course)


@pytest.mark.parametrize("talker", ["GP", "GN", "GL", "GA", "GB", "BD", "GQ"])
def test_any_talker_is_heard(talker: str) -> None:
    found = _values(f"{talker}GGA,120000.00,0653.1200,S,10736.8200,E,2,09,0.9,771.3,M,2.0,M,,")
    assert found == {
        "latitude": -6.8853333,
        "longitude": 107.6136667,
        "altitude": 771.3,
        "satellites": 9,
        "hdop": 0.9,
        "fix": 2,
    }


def test_a_track_sentence_gives_speed_and_course() -> None:
    assert _values("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K,A") == {"speed": 2.829444, "course": 54.7}
    assert _values("GPVTG,,T,,M,0.004,N,0.008,K,A") == {"speed": 0.002058}
    assert _values("GPVTG,,,,,,,,,N") == {}
    assert _values("GPVTG,,T,,M,,N,,K,A") == {}


@pytest.mark.parametrize(
    ("mode", "flags"), [("A", set()), ("NNA", set()), ("ADN", set()), ("E", {"unconfirmed"}), ("SN", {"unconfirmed"})]
)
def test_a_position_from_several_systems_is_read(mode: str, flags: set[str]) -> None:
    body = f"GNGNS,112257.00,3844.24011,S,00908.43828,W,{mode},03,10.5,.5,,,,V"
    readings = decode("nmea", {}, [_sentence(body)]).readings
    found = {one.channel: one.value for one in readings}
    theirs = pynmea2.parse(_sentence(body).decode().strip(), check=True)
    assert found["latitude"] == pytest.approx(theirs.latitude, abs=5e-8)
    assert found["longitude"] == pytest.approx(theirs.longitude, abs=5e-8)
    assert (found["hdop"], found["altitude"], found["satellites"]) == (10.5, 0.5, 3)
    assert {str(flag) for one in readings for flag in one.quality} == flags


@pytest.mark.parametrize("mode", ["N", "NNN", ""])
def test_no_system_with_a_fix_is_no_fix(mode: str) -> None:
    assert _values(f"GNGNS,112257.00,3844.24011,N,00908.43828,W,{mode},02,,,,,") == {"satellites": 2}
    assert "no fix" in decode("nmea", {}, [_sentence(f"GNGNS,,,,,,{mode},,,,,,")]).reasons[0]
    assert "without values" in decode("nmea", {}, [_sentence("GNGNS,,,,,,A,,,,,,")]).reasons[0]


def test_a_position_sentence_without_speed_gives_the_position() -> None:
    assert _values("GPGLL,4916.45,N,12311.12,W,225444,A,A") == {"latitude": 49.2741667, "longitude": -123.1853333}
    assert _values("GPGLL,4916.45,N,12311.12,W,225444,V,N") == {}
    assert _values("GPGLL,,,,,225444,A,A") == {}


@pytest.mark.parametrize(
    "body",
    [
        "GPRMC,181031.576,V,3926.276,N,07739.361,W,99.7,18.30,250915,,E",
        "GPRMC,181031.576,A,3926.276,N,07739.361,W,99.7,18.30,250915,,,N",
        "GNRMC,,V,,,,,,,,,,N",
        "GPGSV,1,1,01,21,,,22",
        "PUBX,00,081350.00,4717.113210,N",
        "GPRMC,181031.576,A,9926.276,N,07739.361,W,1.0,18.30,250915,,",
        "GPRMC,181031.576,A,3966.276,N,07739.361,W,1.0,18.30,250915,,",
        "GPRMC,181031.576,A,3926.276,X,07739.361,W,1.0,18.30,250915,,",
        "GPRMC,181031.576,A,3926.276,,07739.361,W,1.0,18.30,250915,,",
        "GPRMC,181031.576,A,3926.276,N,07739.361,W,fast,18.30,250915,,",
        "GPRMC,181031.576,A,,,,,,,250915,,",
        "GPGGA,120000.00,0653.1200,S,10736.8200,E,,09,0.9,771.3,M,2.0,M,,",
    ],
)
def test_what_is_no_measurement_gives_none_and_says_why(body: str) -> None:
    decoded = decode("nmea", {}, [_sentence(body)])
    assert decoded.readings == ()
    assert decoded.reasons


@pytest.mark.parametrize("body", ["PUBX,00,081350.00,4717.113210,N", "PMTK001,314,3", "PGRME,15.0,M,45.0,M,25.0,M"])
def test_a_sentence_of_one_maker_is_no_damage(body: str) -> None:
    name = body.partition(",")[0]
    assert decode("nmea", {}, [_sentence(body)]).reasons == (f"sentence {name} carries no channel of this driver",)


def test_no_fix_gives_satellites_and_fix_only_even_with_old_coordinates() -> None:
    assert _values("GPGGA,201716.684,3926.276,N,07739.361,W,0,03,9.9,100.0,M,0.0,M,,") == {"satellites": 3, "fix": 0}
    assert _values("GPGGA,201716.684,,,,,0,,,,M,0.0,M,,") == {"fix": 0}


def test_a_position_nobody_measured_is_flagged() -> None:
    for body in ("GPGGA,1,0653.12,S,10736.82,E,6,09,0.9,771.3,M,2.0,M,,", "GPRMC,1,A,0653.12,S,10736.82,E,,,,,,S"):
        decoded = decode("nmea", {}, [_sentence(body)])
        flags = {one.channel: sorted(map(str, one.quality)) for one in decoded.readings}
        assert flags["latitude"] == ["unconfirmed"]


def test_height_in_another_unit_is_no_height() -> None:
    assert "altitude" not in _values("GPGGA,1,0653.12,S,10736.82,E,1,09,0.9,771.3,F,2.0,M,,")
    assert "hdop" not in _values("GPGGA,1,0653.12,S,10736.82,E,1,09,,771.3,M,2.0,M,,")


def test_a_sentence_without_or_with_a_wrong_sum_is_refused() -> None:
    body = "GPGLL,4916.45,N,12311.12,W,225444,A,A"
    right = _sentence(body)
    assert decode("nmea", {}, [right.rstrip()]).readings
    assert "sentence" in decode("nmea", {}, [f"${body}\r\n".encode()]).reasons[0]
    wrong = right[:-4] + (b"00" if right[-4:-2] != b"00" else b"01") + b"\r\n"
    assert "checksum: expected" in decode("nmea", {}, [wrong]).reasons[0]
    assert decode("nmea", {}, [right[:-4] + right[-4:].lower()]).readings


def test_a_fix_lost_and_found_is_reported_once_each() -> None:
    gnss = make("nmea", "pos", {}, None)
    fixed = _sentence("GPGGA,1,0653.12,S,10736.82,E,1,09,0.9,771.3,M,2.0,M,,")
    void = _sentence("GPGGA,1,,,,,0,00,,,M,,M,,")
    events: list[Event] = []
    for step, data in enumerate([fixed, void, void, _sentence("GPGSV,1,1,00"), fixed]):
        events += gnss.receive(data, step * S)
    assert [(one.code, one.ok) for one in events if isinstance(one, Problem)] == [("no_fix", False), ("no_fix", True)]


def test_two_sentences_of_one_second_give_each_channel_once() -> None:
    gnss = make("nmea", "pos", {}, None)
    both = _sentence("GPGGA,1,0653.12,S,10736.82,E,1,09,0.9,771.3,M,2.0,M,,") + _sentence(
        "GPRMC,1,A,0653.12,S,10736.82,E,0.1,,010126,,,A"
    )
    channels = [event.channel for event in gnss.receive(both, S) if isinstance(event, Reading)]
    assert sorted(channels) == sorted(set(channels))
    assert "speed" in channels


RMC = "GNRMC,{clock},A,0653.1200,S,10736.8200,E,0.02,,{date},,,{mode}"


def _times(*sentences: str, every_s: int = 10) -> list[tuple[int, int]]:
    gnss = make("nmea", "pos", {}, None)
    events = [
        event for step, body in enumerate(sentences) for event in gnss.receive(_sentence(body), step * every_s * S)
    ]
    return [(event.boot_ns // S, event.utc_ms) for event in events if isinstance(event, TimeSeen)]


def test_a_fix_tells_the_time_with_what_it_may_be_off() -> None:
    gnss = make("nmea", "pos", {}, None)
    (seen,) = [
        event
        for event in gnss.receive(_sentence(RMC.format(clock="123456.25", date="221126", mode="A")), 7 * S)
        if isinstance(event, TimeSeen)
    ]
    assert seen == TimeSeen(sensor="pos", boot_ns=7 * S, utc_ms=1_795_350_896_250, uncertainty_ms=1000)


def test_the_time_is_told_each_ten_seconds() -> None:
    sentences = [RMC.format(clock=f"1200{second:02d}", date="221126", mode="D") for second in range(21)]
    assert [at for at, _ in _times(*sentences, every_s=1)] == [0, 10, 20]


@pytest.mark.parametrize(
    ("clock", "date", "mode"),
    [
        ("123456.00", "", "A"),
        ("", "221126", "A"),
        ("235960.00", "311226", "A"),
        ("123456.00", "310226", "A"),
        ("250000.00", "221126", "A"),
        ("123456.00", "221126", "E"),
        ("123456.00", "221126", "S"),
        ("123456.00", "22112026", "A"),
    ],
)
def test_what_is_no_time_of_a_fix_is_not_told(clock: str, date: str, mode: str) -> None:
    assert _times(RMC.format(clock=clock, date=date, mode=mode)) == []


def test_a_receiver_without_a_fix_tells_no_time() -> None:
    assert _times("GNRMC,123456.00,V,,,,,,,221126,,,N") == []


def test_text_noise_never_becomes_a_position() -> None:
    chance = random.Random(6)  # noqa: S311 - noise, no secret
    alphabet = b"$GPRMCA,0123456789.*NSEW\r\n"
    gnss = make("nmea", "pos", {}, None)
    for _ in range(300):
        found = gnss.receive(bytes(chance.choices(alphabet, k=1000)), S)
        assert not any(isinstance(event, Reading) for event in found)
        assert all(isinstance(event, Rejected | Problem) for event in found)
        assert gnss.held <= 256
