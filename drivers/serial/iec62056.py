"""Meters with an optical or current-loop port after IEC 62056-21: read-outs to values. No I/O.

Source: IEC 62056-21:2002, 6.3 (messages), 6.4 (modes; a telegram of mode D has no check), annex B (block check).
The speed of a line is fixed here, so a meter of mode C is told to stay at the speed of its sign-on. Never sent:
commands P, W, R, E and B.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.driver import Channel, DriverInfo, Event, Line, Option, OptionValue, Send
from drivers.errors import OptionError
from drivers.framing import EndedFrame, Fault, Form, xor8
from drivers.serial.decoded import Decoded
from drivers.serial.obis import Witnesses, electricity, energy, entries, per_phase
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_SOH = 0x01
_LINE_END = re.compile(rb"\r\n")
_BLOCK_END = re.compile(rb"[\x03\x04].", re.DOTALL)  # ETX, or EOT of a part, and the check byte
_PUSHED_END = re.compile(rb"\r\n(?=[/\x01\x02])|\n!\r?\n")
_DATA = re.compile(rb"\r\n(?:(?:[0-9A-F][0-9A-Z.:*&-]{2,24}(?:\([^()\r\n]*\))+)+\r?\n)+!\r?\n")
_SIGN_ON = re.compile(rb"/([A-Za-z]{2}[A-Za-z0-9])([0-9A-Za-z])((?:[^\r\n/!]){0,20})\r\n")
_SIGN_ON_LONGEST = 27
_LONGEST = 8192
_STAY = b"\x06000\r\n"  # 6.3.3: normal protocol, 300 baud, data read-out
_ADDRESS = re.compile(r"[0-9A-Za-z ]{0,32}")
_SERIALS = ("0.0.0", "C.1", "C.1.0", "96.1.0")

_NAMES = {
    "1.8.0": "energy_import",
    "1.8.1": "energy_import_t1",
    "1.8.2": "energy_import_t2",
    "2.8.0": "energy_export",
    "2.8.1": "energy_export_t1",
    "2.8.2": "energy_export_t2",
    "1.7.0": "power_import",
    "2.7.0": "power_export",
    "16.7.0": "power",
    "32.7.0": "voltage_l1",
    "52.7.0": "voltage_l2",
    "72.7.0": "voltage_l3",
    "31.7.0": "current_l1",
    "51.7.0": "current_l2",
    "71.7.0": "current_l3",
    "14.7.0": "frequency",
}

INFO = DriverInfo(
    name="iec62056",
    title="meter with IEC 62056-21 read-out (optical head)",
    family="iec62056",
    models=("iec62056_21",),
    line=Line(baud=300, data_bits=7, parity="E"),
    channels=(
        energy("energy_import", "taken in all tariffs"),
        energy("energy_import_t1", "taken in the first tariff"),
        energy("energy_import_t2", "taken in the second tariff"),
        energy("energy_export", "given back in all tariffs"),
        energy("energy_export_t1", "given back in the first tariff"),
        energy("energy_export_t2", "given back in the second tariff"),
        Channel(name="power_import", unit="W", low=0.0, high=10_000_000.0, doc="taken now"),
        Channel(name="power_export", unit="W", low=0.0, high=10_000_000.0, doc="given back now"),
        Channel(name="power", unit="W", low=-10_000_000.0, high=10_000_000.0, doc="taken less given back"),
        *per_phase("voltage", "V", 300.0),
        *per_phase("current", "A", 10_000.0),
        Channel(name="frequency", unit="Hz", low=45.0, high=65.0, zero="suspect"),
    ),
    options=(
        Option(
            name="ask",
            kind="boolean",
            default=True,
            doc="sign on at each interval (modes A and C); false for a meter that talks by itself (mode D)",
            example="false",
        ),
        Option(
            name="address",
            kind="text",
            default="",
            doc="device address in the sign-on, for several meters on one loop; empty asks any",
            example='"12345678"',
        ),
    ),
    every_s=900.0,
    min_every_s=120.0,  # a read-out at 300 baud lasts a minute or two
    stale_after_s=3600.0,
    integrity="xor",
    confirm=2,
    proves="unit",
    source="IEC 62056-21:2002, 6.3 and 6.4",
)


def _sign_on(line: bytes) -> Fault | None:
    """Our own sign-on comes back from heads that echo; in mode D the data follow at once."""
    head = _SIGN_ON.match(line)
    return None if head and (head.end() == len(line) or _DATA.fullmatch(line, head.end())) else Fault(reason="noise")


def _block(block: bytes) -> Fault | None:
    total, given = xor8(block[1:-1]), block[-1]
    return None if total == given else Fault(reason="checksum", detail=f"expected {total:02x}, got {given:02x}")


_ANSWER = Form(starts=b"/", end=_LINE_END, end_max=2, longest=_SIGN_ON_LONGEST, check=_sign_on, common=True)
_TELEGRAM = Form(starts=b"/", end=_PUSHED_END, end_max=4, longest=_LONGEST, check=_sign_on, common=True)
_BLOCK = Form(starts=b"\x01\x02", end=_BLOCK_END, end_max=2, longest=_LONGEST, check=_block)


class Iec62056(Stream):
    """Driver of one meter: answers the identification of a mode C meter so that it stays at its speed.

    Args:
        sensor: Its name.
        every_s: Seconds between two read-outs; None takes the default.
        ask: Its sign-on; empty for a meter that talks by itself.
    """

    def __init__(self, sensor: str, every_s: float | None, ask: bytes) -> None:
        super().__init__(
            sensor,
            info=paced(INFO, every_s),
            # Only who never asks may wait for what follows an identification: it wants its answer at once.
            codec=EndedFrame(_ANSWER if ask else _TELEGRAM, _BLOCK),
            meaning=self._heard,
            ask=ask,
            hint="300 7E1 at sign-on? head turned? mode B meters change speed by themselves",
        )
        self._channels = {channel.name: channel for channel in INFO.channels}
        self._witnesses = Witnesses(self._channels)
        self._signed_on = False
        self._kind = ""

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come; return what they complete."""
        self._signed_on = False
        events = super().receive(data, now_ns)
        if self._signed_on and self._ask:
            events.append(Send(data=_STAY))
        return events

    def _heard(self, frame: bytes) -> Said:
        """What one message says."""
        if frame[:1] == b"/":
            self._signed_on = frame[4:5].isdigit()  # letters are modes A and B: they wait for nothing
            head, _, data = frame.partition(b"\r\n")
            self._kind = f"{head[1:4].decode()} {_plain(head[5:])}"
            if data:
                said = _said(self._channels, data.decode("latin-1"), self._kind)
                return replace(said, values=tuple(self._witnesses.of(said.values)))
            return Said(identity=self._identity or self._kind, settles=False, detail="an identification, no reading")
        if frame[0] == _SOH:
            return Said(detail=f"a command ({_plain(frame[1:3])}), no reading", settles=False)
        return _said(self._channels, frame[1:-2].decode("latin-1"), self._kind)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Iec62056:
    """Make the driver of one meter.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # one protocol
    given = Options(INFO, options)
    address = given.text("address")
    if not _ADDRESS.fullmatch(address):
        raise OptionError("address", f"{address!r} is not up to 32 digits and letters")
    return Iec62056(sensor, every_s, f"/?{address}!\r\n".encode() if given.flag("ask") else b"")


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what messages mean; they may carry parity in the eighth bit, as recorded without it on the line.

    Raises:
        OptionError: An option cannot be used.
    """
    frames = [_without_parity(frame) for frame in frames]
    driver = make(name, name, options, None)
    if any(b"\r\n\r\n" in frame for frame in frames):
        driver = Iec62056(name, None, b"")
    return driver.decode(frames)


def _without_parity(frame: bytes) -> bytes:
    even = all(byte.bit_count() % 2 == 0 for byte in frame)
    return bytes(byte & 0x7F for byte in frame) if even else frame


def _plain(raw: bytes) -> str:
    return "".join(letter for letter in raw.decode("latin-1") if letter.isascii() and letter.isprintable())


def _said(channels: Mapping[str, Channel], text: str, kind: str) -> Said:
    values: list[Value] = electricity(text, _NAMES, channels)
    serial = next((one.groups[0] for one in entries(text) if one.code in _SERIALS and one.groups), "")
    detail = "" if values else "a block without a value that is known"
    identity = " ".join(word for word in (kind, _plain(serial.encode("latin-1"))) if word)
    return Said(values=tuple(values), identity=identity, detail=detail)
