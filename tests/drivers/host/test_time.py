import pytest

from drivers.host.settings import HostSettings
from drivers.host.time import Time, parse_kernel, parse_service, parse_tracking
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, say

CORE = HostSettings()
SYNCED = b"0 8193 -1500000 2000"  # TIME_OK, STA_NANO and STA_PLL, -1.5 ms, 2 ms
UNSYNCED = b"5 64 0 16000000"
# Source: chronyc(1), tracking; chrony client.c: a positive column means that the clock is slow.
CSV = b"C0A80001,192.168.0.1,3,1795359040.1,0.002500000,0.000001,0.000002,1.0,0.0,0.1,0.01,0.001,64.2,Normal\n"
TEXT = b"""Reference ID    : C0A80001 (ntp)
Stratum         : 3
System time     : 0.002500000 seconds slow of NTP time
Leap status     : Normal
"""


def test_a_clock_that_is_kept_tells_how_far_off_it_is() -> None:
    assert say(Time(CORE), "time-kernel", SYNCED) == {"sync": True, "offset": -0.0015, "steps": 0}
    every = HostSettings(every_metric=True)
    assert say(Time(every), "time-kernel", SYNCED) == {"sync": True, "offset": -0.0015, "maxerror": 0.002, "steps": 0}


def test_a_clock_that_nobody_keeps_has_no_offset() -> None:
    assert say(Time(CORE), "time-kernel", UNSYNCED) == {"sync": False, "steps": 0}


@pytest.mark.parametrize("raw", [CSV, TEXT])
def test_a_slow_clock_is_behind_in_both_of_chronys_forms(raw: bytes) -> None:
    assert say(Time(CORE), "time-chrony", raw) == {"offset": -0.0025}


def test_a_fast_clock_is_ahead() -> None:
    assert parse_tracking(TEXT.replace(b"slow", b"fast")).offset_s == 0.0025
    assert parse_tracking(CSV.replace(b",0.0025", b",-0.0025")).offset_s == 0.0025


def test_chronys_word_counts_before_the_kernels_until_it_falls_silent() -> None:
    probe = Time(CORE)
    say(probe, "time-chrony", CSV)
    assert "offset" not in say(probe, "time-kernel", SYNCED)
    probe.silent("time-service", "not there")
    assert "offset" not in say(probe, "time-kernel", SYNCED)
    probe.silent("time-chrony", "not there")
    assert say(probe, "time-kernel", SYNCED)["offset"] == -0.0015


def test_chrony_that_follows_nobody_has_no_word() -> None:
    probe = Time(CORE)
    assert say(probe, "time-chrony", CSV.replace(b",3,", b",0,").replace(b"Normal", b"Not synchronised")) == {}
    assert "offset" in say(probe, "time-kernel", SYNCED)


def test_a_clock_that_is_set_is_counted_and_one_that_is_slewed_is_not() -> None:
    probe = Time(CORE)
    for ahead_s, steps in [(100.0, 0), (100.9, 0), (102.0, 1), (101.5, 1), (-500.0, 2)]:
        probe.ahead(ahead_s)
        assert say(probe, "time-kernel", UNSYNCED)["steps"] == steps


@pytest.mark.parametrize(
    ("raw", "is_synced"), [(b"NTP=yes\nNTPSynchronized=yes\n", True), (b"NTPSynchronized=no", False)]
)
def test_timedatectl_says_whether_it_is_kept(raw: bytes, is_synced: bool) -> None:  # noqa: FBT001
    assert say(Time(CORE), "time-service", raw) == {"sync": is_synced}


@pytest.mark.parametrize("raw", [b"", b"0 1 2", b"0 1 2 x", b"0 -1 2 3", b"-1 0 0 0"])
def test_what_the_kernel_did_not_say_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_kernel(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        CSV[:60],
        CSV.replace(b"Normal", b"Perhaps"),
        CSV.replace(b"0.002500000", b"nan"),
        CSV.replace(b",3,", b",three,"),
        TEXT[:60],
        TEXT.replace(b"Leap", b"Lump"),
        TEXT.replace(b"Stratum", b"Layer"),
    ],
)
def test_half_of_what_chrony_says_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_tracking(raw)


def test_what_is_not_of_timedatectl_is_refused() -> None:
    with pytest.raises(AnswerError):
        parse_service(b"NTP=yes\n")


def test_foreign_facts_are_a_bug() -> None:
    with pytest.raises(TypeError):
        list(Time(CORE).take(Facts(), at(0)))
