import pytest

from drivers.host.kernel import Kernel, parse_fans, parse_vmstat, parse_zone
from drivers.host.settings import HostSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, say

VMSTAT = b"nr_free_pages 123\nnr_zone_inactive_anon 1\noom_kill 4\nnuma_hit 9\n"


def probe() -> Kernel:
    return Kernel(HostSettings())


def test_programs_killed_for_want_of_memory_are_counted() -> None:
    assert say(probe(), "kernel-vmstat", VMSTAT) == {"oom-kills": 4}


def test_an_old_kernel_that_does_not_count_them_gives_no_reading() -> None:
    assert say(probe(), "kernel-vmstat", VMSTAT.replace(b"oom_kill 4\n", b"")) == {}


def test_of_several_fans_the_slowest_is_told() -> None:
    assert say(probe(), "kernel-fans", b"fan1_input: 2980\nfan2_input: 0\n") == {"fan-rpm": 0}


def test_a_zone_is_read_and_gives_no_second_reading_of_the_temperature() -> None:
    assert parse_zone(b"49925\n").celsius == 49.925
    assert parse_zone(b"-5000").celsius == -5.0
    assert say(probe(), "kernel-zone", b"49925\n") == {}


@pytest.mark.parametrize("raw", [b"", VMSTAT[:-1], VMSTAT[5:], b"oom_kill 4\n"])
def test_half_a_vmstat_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_vmstat(raw)


@pytest.mark.parametrize("raw", [b"", b"49.9", b"999999", b"-60000", b"1 2"])
def test_what_is_no_temperature_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_zone(raw)


@pytest.mark.parametrize("raw", [b"", b"2980", b"fan1_input: 1\nfan2_input: \n"])
def test_what_is_no_fan_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_fans(raw)


def test_foreign_facts_are_a_bug() -> None:
    with pytest.raises(TypeError):
        list(probe().take(Facts(), at(0)))
