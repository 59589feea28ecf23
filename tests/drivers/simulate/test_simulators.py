import pytest

from drivers.bus import Bus
from drivers.driver import Event, OptionValue, Rejected, Send
from drivers.errors import UnknownDriver
from drivers.io.catalog import registry
from drivers.io.simulators import simulator
from drivers.reading import Reading
from drivers.serial.rtu import Request, answer, sealed
from drivers.simulate.simulator import Wave

S = 1_000_000_000
DRIVERS = registry()
_OPTIONS: dict[str, dict[str, OptionValue]] = {
    "line": {"format": "json", "fields": {"t": "t", "h": "h", "door": "door"}},
    "modbus": {"registers": [{"channel": "level", "register": 0}, {"channel": "pump", "register": 3, "function": 1}]},
    "ultrasonic": {"mount_height": "4 m"},
    "maxbotix": {"mount_height": "4 m"},
    "vedirect": {"more": True},
    "ups_voltronic": {"more": True},
    "sdi12": {"values": ["moisture", "temperature", "conductivity"]},
}
# What only another kind of unit of the same family says.
_UNSAID = {"ups_megatec": {"cell_voltage"}}
_MODELS = ("aj_sr04m", "maxbotix_lv", "pms3003", "sds198")


def _played(name: str, seconds: int, seed: int = 3) -> list[Event]:
    """A driver and its simulator, for some simulated seconds."""
    unit = simulator(name, seed=seed)
    bus = Bus([DRIVERS.make(name, "s", _OPTIONS.get(name, {}))])
    events: list[Event] = []
    now_ns = 0
    coming = bus.start(now_ns)
    while now_ns <= seconds * S:
        for event in coming:
            if isinstance(event, Send):
                coming += [one for reply in unit.receive(event.data, now_ns) for one in bus.receive(reply, now_ns)]
            else:
                events.append(event)
        now_ns += S // 20
        coming = [one for frame in unit.tick(now_ns) for one in bus.receive(frame, now_ns)]
        coming += bus.tick(now_ns)
    return events


@pytest.mark.parametrize(
    "name",
    [
        *DRIVERS.names(),
        "nmea_gnss",
        "a02yyuw",
        "pzem004t_v3",
        "pms5003t",
        "pms5003st",
        "maxbotix_xl",
        "sen0627",
        *_MODELS,
    ],
)
def test_every_driver_understands_its_simulator_and_believes_its_values(name: str) -> None:
    events = _played(name, 60)
    readings = [event for event in events if isinstance(event, Reading)]
    assert not [event for event in events if isinstance(event, Rejected)]
    info = DRIVERS.make(name, "s", _OPTIONS.get(name, {})).info
    said = {reading.channel for reading in readings}
    assert said == {channel.name for channel in info.channels} - _UNSAID.get(name, set())
    limits = {channel.name: channel for channel in info.channels}
    for reading in readings:
        assert not reading.quality
        if isinstance(reading.value, bool | str):
            continue
        low, high = limits[reading.channel].low, limits[reading.channel].high
        assert low is None or reading.value >= low
        assert high is None or reading.value <= high
    floats = [reading.value for reading in readings if isinstance(reading.value, float)]
    assert len(set(floats)) != 1


def test_equal_seeds_say_equal_things_and_others_do_not() -> None:
    assert _played("sds011", 5, seed=1) == _played("sds011", 5, seed=1)
    assert _played("sds011", 5, seed=1) != _played("sds011", 5, seed=2)


def test_a_wave_stays_inside_its_bounds() -> None:
    wave = Wave(1.0, 2.0, seed=9)
    assert all(1.0 <= wave.at(step * S // 3) <= 2.0 for step in range(3000))


def test_a_talker_keeps_its_pace_and_does_not_make_up_for_a_pause() -> None:
    unit = simulator("a02yyuw", every_s=0.5)
    assert unit.deadline() == 0
    assert len(unit.tick(0)) == 1
    assert unit.deadline() == S // 2
    assert unit.tick(S // 4) == []
    assert len(unit.tick(20 * S)) == 1
    assert unit.deadline() == 20 * S + S // 2
    assert unit.receive(b"\x55", 0)
    assert simulator("sds011").receive(b"\x55", 0) == []


def test_a_simulator_that_is_asked_answers_its_questions_wherever_they_are_cut() -> None:
    unit = simulator("megatec_q1")
    assert unit.deadline() is None
    assert unit.tick(0) == []
    assert unit.receive(b"I\rS01\r" * 50 + b"Q", 0) == []
    assert len(unit.receive(b"1\rQS\r", S)) == 2


def test_a_modbus_simulator_answers_only_what_is_for_it() -> None:
    unit = simulator("pzem004t")
    ask = Request(unit=1, function=4, register=0, count=10)
    assert unit.tick(0) == []
    assert unit.deadline() is None
    assert unit.receive(Request(unit=2, function=4, register=0, count=10).encode(), 0) == []
    assert unit.receive(ask.encode()[:-1] + b"\x00", S) == []
    (reply,) = unit.receive(b"\x00" + ask.encode(), 2 * S)
    assert answer(ask, reply) is not None
    assert unit.receive(ask.encode()[:5], 3 * S) == []
    assert len(unit.receive(ask.encode()[5:], 3 * S)) == 1
    unit.receive(ask.encode()[:5], 4 * S)
    assert len(unit.receive(ask.encode(), 5 * S)) == 1


def test_a_modbus_simulator_refuses_what_it_does_not_hold() -> None:
    unit = simulator("pzem004t")
    other = Request(unit=1, function=4, register=8, count=10).encode()
    assert unit.receive(other, 0) == [sealed(b"\x01\x84\x02")]
    assert unit.receive(Request(unit=1, function=3, register=0, count=1).encode(), S) == [sealed(b"\x01\x83\x01")]
    plain = simulator("modbus")
    assert plain.receive(Request(unit=1, function=3, register=10, count=10).encode(), 0) == [sealed(b"\x01\x83\x02")]


def test_energy_only_grows() -> None:
    values = [one.value for one in _played("pzem004t", 120) if isinstance(one, Reading) and one.channel == "energy"]
    assert values == sorted(values, key=float)
    assert values[-1] != values[0]


def test_a_sensor_answers_to_the_address_any_unit_answers_to() -> None:
    assert len(simulator("senseair_s8").receive(bytes.fromhex("fe0400030001d5c5"), 0)) == 1


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownDriver):
        simulator("nothing")
