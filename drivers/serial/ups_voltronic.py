"""Inverters and UPS that speak Voltronic PI30 (Axpert, MPP Solar and kin): questions and lines. No I/O; it only reads.

Source: Voltronic "HS_MS_MSX RS232 protocol", QPIGS and QMOD, as read by jblance/mpp-solar protocols/pi30.py;
the checksum: CRC-16/XMODEM whose bytes that mean something on the line (28h, 0Dh, 0Ah) are raised by one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.framing import Fault, LineFrame
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.polled import Polled, Question
from drivers.serial.stream import Said, Value

_LONGEST = 256
_POLYNOMIAL = 0x1021
_RESERVED = b"(\r\n"
_CRC_BYTES = 2
_STATE = re.compile(rb"\((-?[0-9]{1,5}(?:\.[0-9]{1,3})?(?: -?[0-9]{1,5}(?:\.[0-9]{1,3})?){15}) [01]{8}(?: (.*))?")
_MODE = re.compile(rb"\(([A-Z])")
_PV_POWER_AT = 2  # in what follows the eight bits, of newer units
_MODES = {
    "P": "power_on",
    "S": "standby",
    "L": "line",
    "B": "battery",
    "F": "fault",
    "H": "power_saving",
    "D": "shutdown",
    "Y": "bypass",
}
# In the order of the line; "" is what another channel says already.
_FIELDS = (
    *("grid_voltage", "grid_frequency", "output_voltage", "output_frequency", "apparent_power", "active_power"),
    *("load", "bus_voltage", "battery_voltage", "charge_current", "battery_capacity", "heatsink_temperature"),
    *("pv_current", "pv_voltage", "", "discharge_current"),
)
_MORE = (
    Channel(name="pv_current", unit="A", low=0.0, high=500.0, doc="from the panels to the battery"),
    Channel(name="pv_voltage", unit="V", low=0.0, high=600.0, doc="of the panels"),
    Channel(name="pv_power", unit="W", low=0.0, high=20000.0, doc="of the panels; newer units"),
    Channel(name="discharge_current", unit="A", low=0.0, high=1000.0, doc="out of the battery"),
)

INFO = DriverInfo(
    name="ups_voltronic",
    title="inverter or UPS with Voltronic protocol PI30",
    family="ups_voltronic",
    models=("voltronic_qpigs",),
    line=Line(baud=2400),
    mode="poll",
    channels=(
        Channel(name="grid_voltage", unit="V", low=0.0, high=500.0, doc="mains; 0 when it has failed"),
        Channel(name="grid_frequency", unit="Hz", low=0.0, high=75.0, doc="of the mains; 0 when it has failed"),
        Channel(name="output_voltage", unit="V", low=0.0, high=500.0, doc="to the load"),
        Channel(name="output_frequency", unit="Hz", low=0.0, high=75.0, doc="to the load"),
        Channel(name="apparent_power", unit="VA", low=0.0, high=20000.0, doc="to the load"),
        Channel(name="active_power", unit="W", low=0.0, high=20000.0, doc="to the load"),
        Channel(name="load", unit="%", low=0.0, high=200.0, doc="of what the unit can carry"),
        Channel(name="bus_voltage", unit="V", low=0.0, high=600.0, doc="inside the unit"),
        Channel(name="battery_voltage", unit="V", low=0.0, high=100.0, zero="suspect", doc="of all cells"),
        Channel(name="charge_current", unit="A", low=0.0, high=500.0, doc="into the battery"),
        Channel(name="battery_capacity", unit="%", low=0.0, high=100.0, doc="charge left, as the unit guesses"),
        Channel(name="heatsink_temperature", unit="Cel", low=-20.0, high=120.0, doc="inside the unit"),
        Channel(name="mode", unit="1", kind="text", doc="line, battery, standby, fault, power_saving, bypass ..."),
        Channel(name="on_battery", unit="1", kind="state", doc="the load lives on the battery"),
    ),
    options=(
        Option(
            name="more",
            kind="boolean",
            default=False,
            doc="also deliver pv_current, pv_voltage, pv_power and discharge_current",
            example="true",
        ),
    ),
    every_s=10.0,
    min_every_s=2.0,
    stale_after_s=45.0,
    integrity="crc16",
    source="Voltronic HS_MS_MSX RS232 protocol (PI30), QPIGS and QMOD; jblance/mpp-solar protocols/pi30.py",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Polled:
    """Make the driver of one unit.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # all models speak alike
    more = Options(INFO, options).flag("more")
    info = replace(INFO, channels=(*INFO.channels, *_MORE)) if more else INFO
    return Polled(
        sensor,
        info=paced(info, every_s),
        codec=partial(LineFrame, b"\r", _LONGEST, _check, start=b"("),
        meaning=partial(_meaning, frozenset(channel.name for channel in info.channels)),
        questions=(_question(b"QPIGS", _STATE), _question(b"QMOD", _MODE)),
        timeout_s=1.0,
        line_end=b"\r",
    )


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what answers mean; a lone one needs no end.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def crc(data: bytes) -> bytes:
    """Two bytes of CRC-16/XMODEM, high byte first, none of them one the line reserves."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ _POLYNOMIAL if value & 0x8000 else value << 1) & 0xFFFF
    return bytes(byte + 1 if byte in _RESERVED else byte for byte in value.to_bytes(2, "big"))


def _question(command: bytes, answer: re.Pattern[bytes]) -> Question:
    return Question(
        request=command + crc(command) + b"\r",
        answered_by=lambda line: _is_refusal(line[:-_CRC_BYTES]) or bool(answer.fullmatch(line[:-_CRC_BYTES])),
        reply_bytes=128,
    )


def _is_refusal(body: bytes) -> bool:
    return body == b"(NAK"


def _check(line: bytes) -> Fault | None:
    right, given = crc(line[:-_CRC_BYTES]), line[-_CRC_BYTES:]
    if right != given:
        return Fault(reason="checksum", detail=f"expected {right.hex(' ')}, got {given.hex(' ')}")
    return None


def _meaning(channels: frozenset[str], line: bytes) -> Said:
    body = line[:-_CRC_BYTES]
    if _is_refusal(body):
        return Said(detail="NAK: the unit does not know this question", settles=False)
    if mode := _MODE.fullmatch(body):
        return _mode(mode[1].decode())
    state = _STATE.fullmatch(body)
    if state is None:
        return Said(detail="answer to another question than QPIGS or QMOD", settles=False)
    found = dict(zip(_FIELDS, state[1].decode().split(" "), strict=True))
    behind = (state[2] or b"").decode("ascii", "replace").split(" ")
    if len(behind) > _PV_POWER_AT and behind[_PV_POWER_AT].isdecimal():
        found["pv_power"] = behind[_PV_POWER_AT]
    return Said(
        values=tuple(Value(channel=name, value=float(text)) for name, text in found.items() if name in channels),
        settles=False,
    )


def _mode(letter: str) -> Said:
    values = (
        Value(channel="mode", value=_MODES.get(letter, letter.lower())),
        Value(channel="on_battery", value=letter == "B"),
    )
    if letter == "F":
        return Said(values=values, trouble="device_error", detail="the unit is in fault mode")
    return Said(values=values)
