"""What every driver must say about the believability of its values, held over the whole registry."""

from collections.abc import Iterator

import pytest

from drivers.driver import Channel, DriverInfo, OptionValue
from drivers.io.catalog import registry
from drivers.registry import _MODELS

DRIVERS = registry()
NAMES = sorted(
    {*DRIVERS.names(), *_MODELS, *(model for name in DRIVERS.names() for model in DRIVERS.info(name).models)}
)
HOUR_S = 3600.0

# A value of 0 in these is a fault far more often than a measurement.
NEVER_ZERO = {"ppm", "Pa", "%RH"}
DUST = ("pm1", "pm2_5", "pm4", "pm10", "pm100")
# ... but not in these, and why.
MAY_BE_ZERO = {
    ("plantower", "pm"): "whole ug/m3: clean air is 0; n0_3 says whether it counts at all",
    ("*", "panel_voltage"): "at night",
    ("*", "input_voltage"): "mains lost, or nothing connected",
    ("*", "grid_voltage"): "mains lost",
    ("*", "fault_voltage"): "there was no fault",
    ("*", "output_voltage"): "switched off",
    ("*", "output_frequency"): "switched off",
    ("*", "grid_frequency"): "mains lost",
    ("ups_megatec", "frequency"): "mains lost",
    ("*", "bus_voltage"): "switched off",
    ("*", "heater_voltage"): "the heater is off",
    ("*", "starter_voltage"): "nothing connected",
    ("*", "mid_voltage"): "nothing connected",
    ("*", "battery_voltage_2"): "nothing connected",
    ("*", "battery_voltage_3"): "nothing connected",
    ("*", "reference_voltage"): "its range begins at 3 V",
    ("vedirect", "_min"): "history of what may not be connected",
    ("vedirect", "_max"): "history of what may not be connected",
    ("*", "pv_voltage"): "at night",
    ("iec62056", "voltage_l"): "a phase that is not connected",
    ("*", "voltage_l2"): "a phase that is not connected",
    ("*", "voltage_l3"): "a phase that is not connected",
}
# Nothing is wrong with a 0 in these units, ever: rain, wind, currents, powers, energies, counts and states.
ALWAYS_ZERO = {"mm", "mm/h", "m/s", "deg", "A", "W", "VA", "var", "Wh", "Ah", "lx", "s", "m", "1", "lat", "lon"}

WARM_UP_S = {"sds011": 30.0, "plantower": 30.0, "mhz19": 180.0, "senseair_s8": 60.0}
LIFETIME_H = {"sds011": 8000.0}
NO_RANGE = {("modbus_weather", "reg0"): "nobody says what it measures"}
ENDLESS = {
    ("cctalk", "event_counter"): "begins again after 255: its range is its limit",
    ("vedirect", "1"): "tallies of rare events that no alarm watches",
}
STEADY = {"co2", *DUST}
WATER = ("distance", "level", "depth")


def infos() -> Iterator[tuple[str, DriverInfo]]:
    """Every driver, profile and model, as it is known and as it is when all it can deliver is asked for."""
    for name in NAMES:
        info = DRIVERS.info(name)
        yield name, info
        if any(option.required for option in info.options):
            continue
        wishes: dict[str, OptionValue] = {
            option.name: True for option in info.options if option.kind == "boolean" and option.name in MORE
        }
        if info.gauge:
            wishes[info.gauge.option] = "4.20 m"
        if wishes:
            yield f"{name} with {', '.join(wishes)}", DRIVERS.make(name, "s", wishes).info


MORE = {"more", "temperature"}
INFOS: dict[str, DriverInfo] = {}
for name_of, info_of in infos():
    if info_of not in INFOS.values():  # most models are known by what is known of their family
        INFOS[name_of] = info_of
CHANNELS = {f"{name}/{channel.name}": (info, channel) for name, info in INFOS.items() for channel in info.channels}
MEASURED = {key: pair for key, pair in CHANNELS.items() if pair[1].kind not in ("state", "text")}

every_driver = pytest.mark.parametrize("info", INFOS.values(), ids=INFOS)
every_channel = pytest.mark.parametrize(("info", "channel"), CHANNELS.values(), ids=CHANNELS)
every_measurement = pytest.mark.parametrize(("info", "channel"), MEASURED.values(), ids=MEASURED)


def excused(table: dict[tuple[str, str], str], info: DriverInfo, *words: str) -> bool:
    return any(who in ("*", info.name) and any(part in word for word in words) for who, part in table)


@every_driver
def test_a_frame_without_a_crc_wants_a_witness(info: DriverInfo) -> None:
    assert info.integrity == "crc16" or info.confirm >= 2


@every_driver
def test_silence_is_three_missed_readings_and_no_less(info: DriverInfo) -> None:
    assert info.stale_after_s >= 3 * info.every_s
    assert info.every_s >= info.min_every_s > 0


@every_driver
def test_what_must_warm_up_says_how_long(info: DriverInfo) -> None:
    names = {channel.name for channel in info.channels}
    assert info.warmup_s == WARM_UP_S.get(info.name, info.warmup_s)
    if names & {"co2", *DUST}:
        assert 30 <= info.warmup_s <= 600


@every_driver
def test_a_lifetime_stands_only_where_a_data_sheet_names_it(info: DriverInfo) -> None:
    if info.channels and not {channel.name for channel in info.channels} & {"pm2_5"}:
        assert info.lifetime_h is None
    else:
        assert info.lifetime_h == LIFETIME_H.get(info.name)


@every_measurement
def test_a_measurement_has_a_range(info: DriverInfo, channel: Channel) -> None:
    if excused(NO_RANGE, info, channel.name) or (info.gauge and channel.name == info.gauge.level):
        return  # that of a level is known once the height is: below
    assert channel.low is not None
    assert channel.high is not None
    assert channel.low < channel.high


@every_channel
def test_zero_is_suspect_where_it_means_a_fault_and_nowhere_else(info: DriverInfo, channel: Channel) -> None:
    dust = channel.name in DUST
    volts = channel.unit == "V" or (channel.unit == "Hz" and "frequency" in channel.name)
    if channel.kind != "gauge" or channel.unit in ALWAYS_ZERO or excused(MAY_BE_ZERO, info, channel.name):
        assert channel.zero == "ok"
    elif dust or volts or channel.unit in NEVER_ZERO:
        assert channel.zero == "suspect"


@every_channel
def test_being_stuck_takes_hours_and_is_no_fault_of_rain_and_states(info: DriverInfo, channel: Channel) -> None:
    stuck_s = channel.stuck_after_s
    if stuck_s is not None:
        assert HOUR_S <= stuck_s <= 7 * 24 * HOUR_S
        assert channel.kind in ("gauge", "angle")
        assert channel.unit not in ("mm", "mm/h", "A", "W", "VA", "var", "Wh", "lx")
    elif info.family != "sdi12":
        assert channel.name not in STEADY


@every_measurement
def test_what_a_weak_check_guards_and_runs_without_end_has_a_pace(info: DriverInfo, channel: Channel) -> None:
    if info.integrity == "crc16" or excused(ENDLESS, info, channel.name, channel.unit):
        return
    if channel.kind == "counter" or channel.unit in ("lat", "lon"):
        assert channel.max_step_per_s  # two per cent of its range would witness anything


@every_measurement
def test_water_has_a_pace(info: DriverInfo, channel: Channel) -> None:
    if channel.unit == "m" and channel.name in WATER:
        assert channel.max_step_per_s
        assert info.gauge


@every_driver
def test_who_measures_water_can_be_set_to_a_staff(info: DriverInfo) -> None:
    gauge = info.gauge
    options = {option.name: option for option in info.options}
    if gauge is None:
        assert "mount_height" not in options
        return
    assert options[gauge.option].unit == "m"
    units = {channel.name: channel.unit for channel in info.channels}
    assert (units[gauge.raw], units.get(gauge.level, "m")) == ("m", "m")
    assert gauge.sign == (-1 if gauge.raw == "distance" else 1)


@pytest.mark.parametrize("name", [name for name in NAMES if DRIVERS.info(name).gauge])
def test_a_level_stands_beside_the_raw_value_once_the_height_is_known(name: str) -> None:
    gauge = DRIVERS.info(name).gauge
    assert gauge is not None
    bare = DRIVERS.make(name, "s", {}).info
    assert gauge.level not in {channel.name for channel in bare.channels}
    mounted = {channel.name: channel for channel in DRIVERS.make(name, "s", {gauge.option: "4.20 m"}).info.channels}
    raw, level = mounted[gauge.raw], mounted[gauge.level]
    assert raw.low is not None
    assert raw.high is not None
    ends = sorted(round(4.2 + gauge.sign * end, 3) for end in (raw.low, raw.high))
    assert [level.low, level.high] == pytest.approx(ends, abs=0.001)
    assert (level.unit, level.max_step_per_s, level.stuck_after_s) == ("m", raw.max_step_per_s, raw.stuck_after_s)


def test_no_excuse_outlives_what_it_excused() -> None:
    names = {info.name for info in INFOS.values()}
    for who, part in [*MAY_BE_ZERO, *NO_RANGE, *ENDLESS]:
        assert who == "*" or who in names, who
        found = [channel for info, channel in CHANNELS.values() if who in ("*", info.name)]
        assert any(part in channel.name or part in channel.unit for channel in found), (who, part)
