"""Victron chargers and battery monitors on VE.Direct: text blocks to readings. No I/O; it is never written to.

Source: Victron "VE.Direct Protocol" 3.33, tables of labels, of states of operation (CS), of errors (ERR) and of
alarm reasons (AR, WARN); units of the labels also in syssi/esphome-victron-vedirect, components/victron/victron.cpp.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.serial.decoded import Decoded
from drivers.serial.number import ZERO, Ratio, scaled
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value
from drivers.serial.vedirect_frames import HEX_START, VeDirectFrames

_NUMBER = re.compile(r"-?[0-9]{1,10}")
_HEX = re.compile(r"0x[0-9A-Fa-f]{1,8}")
_ENDLESS = "-1"  # time to go of a battery that is not being discharged
_THOUSANDTH, _HUNDREDTH, _TENTH = Ratio(num=1, den=1000), Ratio(num=1, den=100), Ratio(num=1, den=10)
_ONE, _TEN, _MINUTE = Ratio(num=1), Ratio(num=10), Ratio(num=60)

_MOST_WH_PER_S = 100.0  # ten counts, so that a count may come at any moment; 360 kW is beyond all units


def _energy(name: str, doc: str) -> Channel:
    return Channel(name=name, unit="Wh", low=0.0, high=1e9, max_step_per_s=_MOST_WH_PER_S, kind="counter", doc=doc)


# Label, what one count of it is in the channel's unit, channel.
_LABELS = (
    (
        "V",
        _THOUSANDTH,
        Channel(name="battery_voltage", unit="V", low=0.0, high=400.0, zero="suspect", doc="main battery"),
    ),
    ("I", _THOUSANDTH, Channel(name="battery_current", unit="A", low=-1000.0, high=1000.0, doc="positive: charging")),
    ("P", _ONE, Channel(name="power", unit="W", low=-20000.0, high=20000.0, doc="positive: into the battery")),
    ("VPV", _THOUSANDTH, Channel(name="panel_voltage", unit="V", low=0.0, high=500.0, doc="of the panels")),
    ("PPV", _ONE, Channel(name="panel_power", unit="W", low=0.0, high=20000.0, doc="of the panels")),
    ("IL", _THOUSANDTH, Channel(name="load_current", unit="A", low=-100.0, high=100.0, doc="of the load output")),
    ("H19", _TEN, _energy("yield_total", "from the panels")),
    ("H20", _TEN, Channel(name="yield_today", unit="Wh", low=0.0, high=1e6, doc="from the panels; 0 each morning")),
    ("H21", _ONE, Channel(name="power_max_today", unit="W", low=0.0, high=20000.0, doc="of the panels")),
    (
        "CS",
        _ONE,
        Channel(
            name="charge_state",
            unit="1",
            kind="state",
            doc="0 off, 2 fault, 3 bulk, 4 absorption, 5 float, 6 storage, 7 equalize, 9 inverting, 252 external",
        ),
    ),
    ("ERR", _ONE, Channel(name="error", unit="1", kind="state", doc="0 none; Victron's number")),
    ("SOC", _TENTH, Channel(name="state_of_charge", unit="%", low=0.0, high=100.0, doc="battery monitors")),
    ("TTG", _MINUTE, Channel(name="time_to_go", unit="s", low=0.0, high=1e6, doc="until empty; battery monitors")),
    ("CE", _THOUSANDTH, Channel(name="consumed_charge", unit="Ah", low=-1e5, high=0.0, doc="since full; negative")),
    ("H17", _TEN, _energy("energy_out", "out of the battery")),
    ("H18", _TEN, _energy("energy_in", "into the battery")),
    ("VS", _THOUSANDTH, Channel(name="starter_voltage", unit="V", low=-2.0, high=80.0, doc="second battery")),
    ("VM", _THOUSANDTH, Channel(name="mid_voltage", unit="V", low=0.0, high=400.0, doc="at the middle of the bank")),
    ("V2", _THOUSANDTH, Channel(name="battery_voltage_2", unit="V", low=0.0, high=80.0, doc="second output")),
    ("V3", _THOUSANDTH, Channel(name="battery_voltage_3", unit="V", low=0.0, high=80.0, doc="third output")),
    ("I2", _THOUSANDTH, Channel(name="battery_current_2", unit="A", low=-1000.0, high=1000.0, doc="second output")),
    ("I3", _THOUSANDTH, Channel(name="battery_current_3", unit="A", low=-1000.0, high=1000.0, doc="third output")),
    ("DC_IN_V", _HUNDREDTH, Channel(name="input_voltage", unit="V", low=0.0, high=100.0, doc="DC-DC converters")),
    ("DC_IN_I", _TENTH, Channel(name="input_current", unit="A", low=-200.0, high=200.0, doc="DC-DC converters")),
    ("DC_IN_P", _ONE, Channel(name="input_power", unit="W", low=-20000.0, high=20000.0, doc="DC-DC converters")),
    ("T", _ONE, Channel(name="battery_temperature", unit="Cel", low=-40.0, high=100.0, doc="with a sensor")),
    ("AC_OUT_V", _HUNDREDTH, Channel(name="output_voltage", unit="V", low=0.0, high=300.0, doc="inverters")),
    ("AC_OUT_I", _TENTH, Channel(name="output_current", unit="A", low=-1.0, high=100.0, doc="inverters")),
    ("AC_OUT_S", _ONE, Channel(name="apparent_power", unit="VA", low=0.0, high=20000.0, doc="inverters")),
)
# States and history: of use to few, so on demand only.
_MORE = (
    ("H22", _TEN, Channel(name="yield_yesterday", unit="Wh", low=0.0, high=1e6, doc="from the panels")),
    ("H23", _ONE, Channel(name="power_max_yesterday", unit="W", low=0.0, high=20000.0, doc="of the panels")),
    ("MPPT", _ONE, Channel(name="tracker", unit="1", kind="state", doc="0 off, 1 limited, 2 at full power")),
    ("LOAD", _ONE, Channel(name="load_on", unit="1", kind="state", doc="the load output is switched on")),
    ("Relay", _ONE, Channel(name="relay", unit="1", kind="state", doc="the relay is closed")),
    ("DM", _TENTH, Channel(name="mid_deviation", unit="%", low=-100.0, high=100.0, doc="of the middle of the bank")),
    ("MODE", _ONE, Channel(name="mode", unit="1", kind="state", doc="2 on, 4 off, 5 eco")),
    ("WARN", _ONE, Channel(name="warning", unit="1", kind="state", doc="bits as of the alarm reason; inverters")),
    ("OR", _ONE, Channel(name="off_reason", unit="1", kind="state", doc="bits; why the charger does not charge")),
    ("MON", _ONE, Channel(name="monitor_mode", unit="1", kind="state", doc="what a DC monitor measures; 0 battery")),
    ("H1", _THOUSANDTH, Channel(name="deepest_discharge", unit="Ah", low=-1e5, high=0.0)),
    ("H2", _THOUSANDTH, Channel(name="last_discharge", unit="Ah", low=-1e5, high=0.0)),
    ("H3", _THOUSANDTH, Channel(name="average_discharge", unit="Ah", low=-1e5, high=0.0)),
    ("H4", _ONE, Channel(name="cycles", unit="1", low=0.0, high=1e6, kind="counter")),
    ("H5", _ONE, Channel(name="full_discharges", unit="1", low=0.0, high=1e6, kind="counter")),
    ("H6", _THOUSANDTH, Channel(name="charge_drawn", unit="Ah", low=-1e9, high=0.0, doc="ever; negative")),
    ("H7", _THOUSANDTH, Channel(name="battery_voltage_min", unit="V", low=0.0, high=400.0)),
    ("H8", _THOUSANDTH, Channel(name="battery_voltage_max", unit="V", low=0.0, high=400.0)),
    ("H9", _ONE, Channel(name="since_full", unit="s", low=0.0, high=1e9)),
    ("H10", _ONE, Channel(name="synchronisations", unit="1", low=0.0, high=1e6, kind="counter")),
    ("H11", _ONE, Channel(name="low_voltage_alarms", unit="1", low=0.0, high=1e6, kind="counter")),
    ("H12", _ONE, Channel(name="high_voltage_alarms", unit="1", low=0.0, high=1e6, kind="counter")),
    ("H13", _ONE, Channel(name="low_starter_alarms", unit="1", low=0.0, high=1e6, kind="counter")),
    ("H14", _ONE, Channel(name="high_starter_alarms", unit="1", low=0.0, high=1e6, kind="counter")),
    ("H15", _THOUSANDTH, Channel(name="starter_voltage_min", unit="V", low=-100.0, high=400.0)),
    ("H16", _THOUSANDTH, Channel(name="starter_voltage_max", unit="V", low=-100.0, high=400.0)),
)
_SWITCH = {"ON": True, "OFF": False}

_ERRORS = {
    2: "battery voltage too high",
    17: "charger too hot",
    18: "charger over-current",
    19: "charger current reversed",
    20: "bulk time limit exceeded",
    21: "current sensor out of range",
    26: "terminals overheated",
    28: "converter fault",
    33: "panel voltage too high",
    34: "panel current too high",
    38: "panel input shut down: battery voltage too high",
    39: "panel input shut down: current while off",
    65: "lost communication with a device",
    66: "charging devices are set differently",
    67: "connection to the BMS lost",
    68: "network misconfigured",
    116: "factory calibration lost",
    117: "firmware does not fit",
    119: "user settings not valid",
}
_REASONS = (  # bits of AR, from the lowest
    *("low voltage", "high voltage", "low charge", "low starter voltage", "high starter voltage", "low temperature"),
    *("high temperature", "mid voltage", "overload", "DC ripple", "low AC output", "high AC output", "short circuit"),
    "BMS lockout",
)

INFO = DriverInfo(
    name="vedirect",
    title="Victron solar charger, battery monitor or inverter (VE.Direct)",
    family="vedirect",
    models=("bmv", "bluesolar_mppt", "smartshunt", "smartsolar_mppt"),
    line=Line(baud=19200),
    channels=tuple(channel for _, _, channel in _LABELS),
    options=(
        Option(
            name="more",
            kind="boolean",
            default=False,
            doc="also deliver states (load_on, relay, tracker, mode ...) and the history of battery and panels",
            example="true",
        ),
    ),
    every_s=1.0,
    min_every_s=1.0,
    stale_after_s=15.0,
    integrity="sum8",
    confirm=2,
    proves="unit",
    source="Victron VE.Direct Protocol 3.33; VE.Direct Protocol FAQ",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one unit.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # a unit says what it has
    labels = (*_LABELS, *_MORE) if Options(INFO, options).flag("more") else _LABELS
    info = replace(INFO, channels=tuple(channel for _, _, channel in labels))
    meaning = partial(_meaning, {label: (channel.name, scale) for label, scale, channel in labels})
    return Stream(sensor, info=paced(info, every_s), codec=VeDirectFrames(), meaning=meaning)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _meaning(labels: Mapping[str, tuple[str, Ratio]], frame: bytes) -> Said:
    if frame.startswith(HEX_START):
        return Said(detail="HEX message, no text block", settles=False)
    fields = dict(line.split("\t", 1) for line in frame[2:-1].decode("ascii").split("\r\n"))
    values = []
    for label, (channel, scale) in labels.items():
        value = _value(label, fields.get(label, ""), scale)
        if value is not None:
            values.append(Value(channel=channel, value=value))
    trouble, detail = _trouble(fields)
    return Said(
        values=tuple(values),
        identity=" ".join(("vedirect", fields["PID"], fields.get("SER#", ""))).strip() if "PID" in fields else "",
        trouble=trouble,
        settles=not fields.keys().isdisjoint(("ERR", "Alarm", "AR")),
        detail=detail if trouble or values else "a block without a channel of this driver",
    )


def _value(label: str, text: str, scale: Ratio) -> int | float | bool | None:
    """A value; None where the unit has none (``---``), for ever, or another text."""
    if text.upper() in _SWITCH:
        return _SWITCH[text.upper()]
    if _HEX.fullmatch(text):
        return int(text, 16)
    if not _NUMBER.fullmatch(text) or (label == "TTG" and text == _ENDLESS):
        return None
    return scaled(Ratio(num=int(text)), scale, ZERO)


def _trouble(fields: Mapping[str, str]) -> tuple[str, str]:
    error = fields.get("ERR", "0")
    if error not in ("", "0"):
        words = _ERRORS.get(int(error), "see Victron's list") if error.isdecimal() else "?"
        return "device_error", f"error {error}: {words}"
    bits = int(fields["AR"]) if fields.get("AR", "").isdecimal() else 0
    if bits or fields.get("Alarm", "").upper() == "ON":
        reasons = [name for place, name in enumerate(_REASONS) if bits >> place & 1]
        return "device_alarm", ", ".join(reasons) or "the unit does not say why"
    return "", ""
