import pytest

from drivers.host.power import Input, Power, parse_critical, parse_input, parse_throttled
from drivers.host.settings import HostSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, say, values

CORE = HostSettings()
ALL = HostSettings(every_metric=True)
# Source: Raspberry Pi documentation, vcgencmd pmic_read_adc.
PMIC = b"     3V7_WL_SW_A current(0)=0.07514220A\n          EXT5V_V volt(24)=5.15098000V\n"


def test_the_kernels_alarm_is_under_voltage_now() -> None:
    assert say(Power(CORE), "power-hwmon", b"1\n") == {"undervolt-now": True}
    assert say(Power(CORE), "power-hwmon", b"0\n") == {"undervolt-now": False}


def test_the_firmware_says_now_and_since_the_start() -> None:
    assert say(Power(CORE), "power-throttled", b"throttled=0x50005\n") == {
        "undervolt-now": True,
        "undervolt-ever": True,
        "throttled-now": True,
    }
    assert say(Power(ALL), "power-throttled", b"throttled=0x20002\n") == {
        "undervolt-now": False,
        "undervolt-ever": False,
        "throttled-now": False,
        "freqcap-now": True,
    }


@pytest.mark.parametrize(
    ("raw", "fact"),
    [
        (b"throttled=0x1", "undervoltage_now"),
        (b"throttled=0x2", "freq_capped_now"),
        (b"throttled=0x4", "throttled_now"),
        (b"throttled=0x8", "soft_temperature_limit_now"),
        (b"10000", "undervoltage_ever"),
        (b"20000", "freq_capped_ever"),
        (b"40000", "throttled_ever"),
        (b"80000\n", "soft_temperature_limit_ever"),
    ],
)
def test_each_bit_is_one_fact(raw: bytes, fact: str) -> None:
    said = parse_throttled(raw)
    assert [name for name in said.__slots__ if getattr(said, name)] == [fact]


def test_where_the_kernel_says_the_firmware_is_not_asked_for_now() -> None:
    probe = Power(CORE)
    say(probe, "power-hwmon", b"0\n")
    assert "undervolt-now" not in say(probe, "power-throttled", b"throttled=0x1\n")


def test_when_the_kernels_alarm_falls_silent_the_firmwares_word_counts() -> None:
    probe = Power(CORE)
    say(probe, "power-hwmon", b"0\n")
    assert problems(probe.silent("power-hwmon", "not there")) == ["power-hwmon: not there"]
    assert values(probe.answer("power-throttled", b"throttled=0x1\n", at(0)))["undervolt-now"] is True
    probe.silent("power-throttled", "not there")


def test_the_voltage_at_the_input_is_read() -> None:
    assert say(Power(ALL), "power-input", PMIC) == {"in-volt": 5.15098}
    assert parse_input(PMIC) == Input(volt=5.15098)


@pytest.mark.parametrize("raw", [b"", b"2", b"1 1", b"on", b"10"])
def test_an_alarm_is_0_or_1(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_critical(raw)


@pytest.mark.parametrize("raw", [b"", b"throttled=", b"throttled=0x", b"49925", b"throttled=0xZ", b"0x02 0x02"])
def test_half_an_answer_or_another_number_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_throttled(raw)


def test_other_voltages_are_not_the_input() -> None:
    with pytest.raises(AnswerError):
        parse_input(PMIC.replace(b"EXT5V_V", b"3V3_SYS_V"))


def test_foreign_facts_are_a_bug() -> None:
    with pytest.raises(TypeError):
        list(Power(CORE).take(Facts(), at(0)))
