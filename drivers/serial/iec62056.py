"""Meters with an optical or current-loop port after IEC 62056-21: read-outs to values. No I/O.

Source: IEC 62056-21:2002, 6.3 (messages), 6.4 (modes), annex B (block check). The speed of a line is fixed here, so a
meter of mode C is told to stay at the speed of its sign-on. Never sent: P, W, E, B commands.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.driver import Channel, DriverInfo, Event, Line, Option, OptionValue, Send
from drivers.errors import OptionError
from drivers.framing import Dropped, Fault, Noise, Piece, xor8
from drivers.serial.decoded import Decoded
from drivers.serial.obis import electricity, energy, entries, per_phase
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_SOH = 0x01
_STARTS = re.compile(rb"[/\x01\x02]")  # identification, SOH, STX
_BLOCK_END = re.compile(rb"[\x03\x04]")  # ETX, or EOT of a part
_SIGN_ON = re.compile(rb"/([A-Za-z]{2}[A-Za-z0-9])([0-9A-Za-z])((?:[^\r\n/!]){0,20})\r\n")
_SIGN_ON_LONGEST = 27
_LONGEST = 8192
_RAW_KEPT = 64
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
    source="IEC 62056-21:2002, 6.3 and 6.4",
)


class Iec62056(Stream):
    """Driver of one meter: answers the identification of a mode C meter so that it stays at its speed."""

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come; return what they complete."""
        self._signed_on = False
        events = super().receive(data, now_ns)
        if self._signed_on and self._ask:
            events.append(Send(data=_STAY))
        return events

    _signed_on = False
    _kind = ""

    def heard(self, frame: bytes) -> Said:
        """What one message says."""
        if frame[:1] == b"/":
            self._signed_on = frame[4:5].isdigit()  # letters are modes A and B: they wait for nothing
            self._kind = f"{frame[1:4].decode()} {_plain(frame[5:-2])}"
            return Said(identity=self._identity or self._kind, settles=False, detail="an identification, no reading")
        if frame[0] == _SOH:
            return Said(detail=f"a command ({_plain(frame[1:3])}), no reading", settles=False)
        return _said(
            {channel.name: channel for channel in self.info.channels}, frame[1:-2].decode("latin-1"), self._kind
        )


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
    return _make(sensor, every_s, f"/?{address}!\r\n".encode() if given.flag("ask") else b"")


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what messages mean.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _make(sensor: str, every_s: float | None, ask: bytes) -> Iec62056:
    driver: Iec62056

    def meaning(frame: bytes) -> Said:
        return driver.heard(frame)

    driver = Iec62056(
        sensor,
        info=paced(INFO, every_s),
        codec=Messages(),
        meaning=meaning,
        ask=ask,
        hint="300 7E1 at sign-on? head turned? mode B meters change speed by themselves",
    )
    return driver


class Messages:
    """Codec: identifications, and blocks from SOH or STX to ETX or EOT and the check byte."""

    __slots__ = ("_buffer", "_noise", "_searched")

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0  # up to here no block ends
        self._noise = Noise()

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the messages and drops they complete, in order."""
        out: list[Piece] = []
        self._buffer += data
        while self._buffer:
            start = _STARTS.search(self._buffer)
            self._skip(start.start() if start else len(self._buffer), out)
            if not self._buffer:
                break
            taken = _identification(self._buffer) if self._buffer[:1] == b"/" else self._block()
            if taken is None:
                break
            if isinstance(taken, int):
                self._noise.flush(out)
                out.append(self._buffer[:taken])
                self._buffer, self._searched = self._buffer[taken:], 0
            elif taken.reason != "noise":
                self._noise.flush(out)
                out.append(_dropped(taken, self._buffer))
                self._buffer, self._searched = self._buffer[1:], max(0, self._searched - 1)
            else:
                self._skip(1, out)
        return out

    def _block(self) -> int | Fault | None:
        """Length of the whole block at the start of the buffer, what is wrong with it, or None: not all there."""
        end = _BLOCK_END.search(self._buffer, max(1, self._searched))
        if end is None:
            self._searched = len(self._buffer)
            return Fault(reason="too long", detail=f"no end in {_LONGEST} bytes") if self._searched > _LONGEST else None
        if len(self._buffer) == end.end():
            return None
        total, given = xor8(self._buffer[1 : end.end()]), self._buffer[end.end()]
        if total != given:
            return Fault(reason="checksum", detail=f"expected {total:02x}, got {given:02x}")
        return end.end() + 1

    def _skip(self, count: int, out: list[Piece]) -> None:
        if count:
            self._noise.add(self._buffer[:count], out)
            self._buffer, self._searched = self._buffer[count:], max(0, self._searched - count)

    def rest(self) -> list[Dropped]:
        """Give up what is held and return it as dropped."""
        out = self._noise.take()
        if self._buffer:
            fault = Fault(reason="incomplete", detail="no end and check byte")
            out.append(replace(_dropped(fault, self._buffer), count=len(self._buffer)))
        self._buffer, self._searched = b"", 0
        return out

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return len(self._buffer) + self._noise.held


def _dropped(fault: Fault, raw: bytes) -> Dropped:
    return Dropped(reason=fault.reason, detail=fault.detail, raw=raw[:_RAW_KEPT], count=1)


def _identification(buffer: bytes) -> int | Fault | None:
    """The same for a line that begins with ``/``; our own sign-on comes back from heads that echo."""
    end = buffer.find(b"\r\n")
    if end < 0 and len(buffer) <= _SIGN_ON_LONGEST:
        return None
    match = _SIGN_ON.match(buffer)
    return match.end() if match else Fault(reason="noise")


def _plain(raw: bytes) -> str:
    return "".join(letter for letter in raw.decode("latin-1") if letter.isascii() and letter.isprintable())


def _said(channels: Mapping[str, Channel], text: str, kind: str) -> Said:
    values: list[Value] = electricity(text, _NAMES, channels)
    serial = next((one.groups[0] for one in entries(text) if one.code in _SERIALS and one.groups), "")
    detail = "" if values else "a block without a value that is known"
    identity = " ".join(word for word in (kind, _plain(serial.encode("latin-1"))) if word)
    return Said(values=tuple(values), identity=identity, detail=detail)
