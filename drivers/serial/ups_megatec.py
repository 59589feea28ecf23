"""Small UPS that speak Megatec Q1 or Mustek QS: question and line of text. No I/O; it only asks for the state.

Source: Megatec protocol V2.7, C.1 "Status inquiry" (networkupstools.org/ups-protocols/megatec.html); variants: the
same site, protocols/voltronic.html, QS and Q1; NUT drivers/nutdrv_qx_q1.c (what is not measured is filled with some
character) and nutdrv_qx_masterguard.c (02.27 volts of a cell). Nothing that begins with S (shutdown) is ever sent.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.framing import Fault, LineFrame
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.polled import Polled, Question
from drivers.serial.stream import Said, Value

_LONGEST = 512  # noise before the start mark included
_FIELD = rb" *(-?[0-9]{1,3}(?:\.[0-9]{1,2})?|[-_@*.]{2,5})"  # dashes or such: not measured
_STATE = re.compile(rb"\(" + rb" ".join([_FIELD] * 7) + rb" +([01]{8}) *")
_REFUSED = re.compile(rb"\(?NAK")
_PER_CELL = re.compile(r"[0-9]\.[0-9]{1,2}|0[0-9]\.[0-9]{2}")  # S.SS or 0S.SS: volts of one cell; SS.S: of all
_MOST_CELL_V = 4.0  # no cell has more, no pack less
_UTILITY_FAIL, _BATTERY_LOW, _FAILED, _SHUTDOWN = 0, 1, 3, 6  # places in b7 .. b0
_LINE_CHANNELS = ("input_voltage", "fault_voltage", "output_voltage", "load", "frequency", "battery", "temperature")

INFO = DriverInfo(
    name="ups_megatec",
    title="UPS with Megatec protocol (Q1 or QS)",
    family="ups_megatec",
    models=("megatec_q1", "megatec_qs"),
    line=Line(baud=2400, rts=False),  # NUT docs/man/blazer-common.txt, cablepower: set DTR and clear RTS
    mode="poll",
    channels=(
        Channel(name="input_voltage", unit="V", low=0.0, high=500.0, doc="mains; 0 when it has failed"),
        Channel(name="fault_voltage", unit="V", low=0.0, high=500.0, doc="mains when the UPS last went to battery"),
        Channel(name="output_voltage", unit="V", low=0.0, high=500.0, doc="to the load"),
        Channel(name="load", unit="%", low=0.0, high=200.0, doc="of what the UPS can carry"),
        Channel(name="frequency", unit="Hz", low=0.0, high=75.0, doc="of the mains; 0 when it has failed"),
        Channel(
            name="battery_voltage",
            unit="V",
            low=0.0,
            high=500.0,
            zero="suspect",
            doc="of all cells; from units that say SS.S",
        ),
        Channel(
            name="cell_voltage",
            unit="V",
            low=0.0,
            high=4.0,
            zero="suspect",
            doc="of one cell; from units that say S.SS",
        ),
        Channel(name="temperature", unit="Cel", low=-20.0, high=90.0, doc="inside the UPS"),
        Channel(name="on_battery", unit="1", kind="state", doc="the mains has failed"),
        Channel(name="battery_low", unit="1", kind="state", doc="it will soon switch off"),
    ),
    options=(
        Option(
            name="command",
            kind="text",
            choices=("Q1", "QS"),
            doc="how the unit is asked; QS for the model megatec_qs, else Q1",
            example='"QS"',
        ),
    ),
    every_s=5.0,
    min_every_s=2.0,
    stale_after_s=30.0,
    integrity="none",
    confirm=2,
    source="Megatec protocol V2.7; networkupstools.org protocols/voltronic.html; NUT drivers/nutdrv_qx_q1.c",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Polled:
    """Make the driver of one UPS.

    Raises:
        OptionError: An option cannot be used.
    """
    command = Options(INFO, options).text("command") or ("QS" if name == "megatec_qs" else "Q1")
    return Polled(
        sensor,
        info=paced(INFO, every_s),
        codec=partial(LineFrame, b"\r\n", _LONGEST, _check),
        meaning=_meaning,
        questions=(Question(request=f"{command}\r".encode(), answered_by=lambda _: True, reply_bytes=64),),
        timeout_s=1.0,
        line_end=b"\r",
    )


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what answers mean; a lone one needs no end.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _answer(line: bytes) -> bytes:
    """The answer in a line: null bytes come anywhere in it, noise before it."""
    line = line.replace(b"\0", b"")
    return line[max(line.rfind(b"("), 0) :]


def _check(line: bytes) -> Fault | None:
    answer = _answer(line)
    if _STATE.fullmatch(answer) or _REFUSED.fullmatch(answer):
        return None
    return Fault(reason="line", detail="not (, seven values and eight bits")


def _meaning(line: bytes) -> Said:
    match = _STATE.fullmatch(_answer(line))
    if match is None:
        return Said(
            trouble="refused", detail="NAK: the unit does not know this question; try the other command, Q1 or QS"
        )
    *fields, bits = (group.decode() for group in match.groups())
    values = [
        Value(channel=_channel(name, text), value=float(text))
        for name, text in zip(_LINE_CHANNELS, fields, strict=True)
        if text[-1].isdecimal()
    ]
    values += [
        Value(channel="on_battery", value=bits[_UTILITY_FAIL] == "1"),
        Value(channel="battery_low", value=bits[_BATTERY_LOW] == "1"),
    ]
    if bits[_FAILED] == "1":
        return Said(values=tuple(values), trouble="device_error", detail="the UPS says that it has failed")
    if bits[_SHUTDOWN] == "1":
        return Said(values=tuple(values), trouble="shutting_down", detail="the UPS is about to switch its load off")
    return Said(values=tuple(values))


def _channel(name: str, text: str) -> str:
    if name != "battery":
        return name
    return "cell_voltage" if _PER_CELL.fullmatch(text) and float(text) < _MOST_CELL_V else "battery_voltage"
