"""Smart meters with a P1 port (DSMR, ESMR, eMUCS): telegrams to readings. No I/O.

Source: DSMR P1 companion standard 5.0.2, 5.2 (framing), 6.2 (CRC-16 over all from ``/`` to ``!``, line ends included),
6.12 (objects); DSMR 2.2 and 3.0 end in a bare ``!``. The port speaks only while its request line is high.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.framing import Dropped, Fault, Noise, Piece
from drivers.reading import Quality
from drivers.serial.decoded import Decoded
from drivers.serial.obis import amount, electricity, energy, entries, per_phase
from drivers.serial.options import Options, paced
from drivers.serial.rtu import crc16
from drivers.serial.stream import Said, Stream, Value

_LONGEST = 4096  # a full telegram of version 5 with four meters behind has about 2000 bytes
_START = b"/"
_END = re.compile(rb"\n!([0-9A-Fa-f]{4}|)\r?\n")
_HEAD = re.compile(rb"/[A-Za-z]{3}[0-9A-Za-z][^\r\n]{0,40}\r?\n\r?\n")
_SAYS_VERSION = (b"\n1-3:0.2.8(", b"\n0-0:96.1.4(")  # only telegrams with a CRC do
_DATA = re.compile(rb"(?:\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3})?(?:\([^()]*\))+|")
_RAW_KEPT = 64
_NEAR = 0.02  # of a channel's range
_UNCONFIRMED = frozenset({Quality.UNCONFIRMED})
_GAS, _WATER = "003", "007"  # device types behind 24.1.0, DSMR P1 5.0.2, 6.12; EN 13757-3 table 8

_NAMES = {
    "1.8.1": "energy_import_t1",
    "1.8.2": "energy_import_t2",
    "2.8.1": "energy_export_t1",
    "2.8.2": "energy_export_t2",
    "1.8.0": "energy_import",
    "2.8.0": "energy_export",
    "1.7.0": "power_import",
    "2.7.0": "power_export",
    "32.7.0": "voltage_l1",
    "52.7.0": "voltage_l2",
    "72.7.0": "voltage_l3",
    "31.7.0": "current_l1",
    "51.7.0": "current_l2",
    "71.7.0": "current_l3",
    "21.7.0": "power_import_l1",
    "41.7.0": "power_import_l2",
    "61.7.0": "power_import_l3",
    "22.7.0": "power_export_l1",
    "42.7.0": "power_export_l2",
    "62.7.0": "power_export_l3",
}
_MORE = (
    energy("energy_export_t2", "given back in the second tariff"),
    *per_phase("voltage", "V", 300.0)[1:],
    *per_phase("current", "A", 200.0)[1:],
    *per_phase("power_import", "W", 50_000.0),
    *per_phase("power_export", "W", 50_000.0),
    Channel(name="gas_total", unit="m3", low=0.0, high=1e8, kind="counter", doc="of the gas meter; new each hour"),
    Channel(name="water_total", unit="m3", low=0.0, high=1e8, kind="counter", doc="of the water meter"),
)

INFO = DriverInfo(
    name="dsmr",
    title="smart meter with P1 port (DSMR)",
    family="dsmr",
    models=("dsmr_p1", "esmr_p1"),
    line=Line(baud=115200),
    channels=(
        energy("energy_import_t1", "taken in the first tariff"),
        energy("energy_import_t2", "taken in the second tariff"),
        energy("energy_export_t1", "given back in the first tariff"),
        energy("energy_import", "taken in all tariffs; of meters without tariffs"),
        energy("energy_export", "given back in all tariffs; of meters without tariffs"),
        Channel(name="power_import", unit="W", low=0.0, high=150_000.0, doc="taken now"),
        Channel(name="power_export", unit="W", low=0.0, high=150_000.0, doc="given back now"),
        Channel(
            name="voltage_l1", unit="V", low=80.0, high=300.0, zero="suspect", doc="first phase; not of each meter"
        ),
        Channel(name="current_l1", unit="A", low=0.0, high=200.0, doc="first phase; not of each meter"),
    ),
    options=(
        Option(
            name="more",
            kind="boolean",
            default=False,
            doc="also deliver the other tariffs, the other phases, gas and water",
            example="true",
        ),
    ),
    every_s=10.0,
    min_every_s=1.0,
    stale_after_s=60.0,
    integrity="crc16",
    source="DSMR P1 companion standard 5.0.2; versions 2 and 3 (9600 7E1) have no checksum",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one meter.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # all versions are told apart by their telegrams
    more = Options(INFO, options).flag("more")
    info = replace(INFO, channels=(*INFO.channels, *_MORE)) if more else INFO
    return Stream(
        sensor,
        info=paced(info, every_s),
        codec=Telegrams(),
        meaning=_Meaning({channel.name: channel for channel in info.channels}).of,
        line_end=b"\n",
        hint="9600 7E1 for versions 2 and 3? signal inverted?",
    )


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what telegrams mean.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


class Telegrams:
    """Codec: from ``/`` to the line of the ``!``."""

    __slots__ = ("_buffer", "_noise", "_searched")

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0  # up to here no end was found
        self._noise = Noise()

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the telegrams and drops they complete, in order."""
        out: list[Piece] = []
        self._buffer += data
        while self._buffer:
            start = self._buffer.find(_START)
            self._skip(len(self._buffer) if start < 0 else start, out)
            end = _END.search(self._buffer, self._searched)
            if end is not None and end.start() < _LONGEST:
                telegram = self._buffer[: end.end()]
                fault = _check(telegram, end[1])
                self._noise.flush(out)
                if fault is None:
                    out.append(telegram)
                    self._buffer, self._searched = self._buffer[end.end() :], 0
                else:
                    out.append(_dropped(fault, telegram))
                    self._restart()
            elif len(self._buffer) > _LONGEST:
                self._noise.flush(out)
                out.append(_dropped(Fault(reason="too long", detail=f"no end in {_LONGEST} bytes"), self._buffer))
                self._restart()
            else:
                self._searched = max(0, len(self._buffer) - len(b"\n!0000\r"))
                break
        return out

    def _skip(self, count: int, out: list[Piece]) -> None:
        if count:
            self._noise.add(self._buffer[:count], out)
            self._buffer, self._searched = self._buffer[count:], 0

    def _restart(self) -> None:
        """A good telegram may begin inside the bad one."""
        self._buffer, self._searched = self._buffer[1:], 0

    def rest(self) -> list[Dropped]:
        """Give up what is held and return it as dropped."""
        out = self._noise.take()
        if self._buffer:
            fault = Fault(reason="incomplete", detail="no line with ! ends it")
            out.append(replace(_dropped(fault, self._buffer), count=len(self._buffer)))
        self._buffer, self._searched = b"", 0
        return out

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return len(self._buffer) + self._noise.held


def _dropped(fault: Fault, raw: bytes) -> Dropped:
    return Dropped(reason=fault.reason, detail=fault.detail, raw=raw[:_RAW_KEPT], count=1)


def _check(telegram: bytes, given: bytes) -> Fault | None:
    if _HEAD.match(telegram) is None:
        return Fault(reason="header", detail="no /, maker, speed, name and empty line")
    if not given:
        if not all(_DATA.fullmatch(line) for line in telegram.splitlines()[1:-1]):
            return Fault(reason="line", detail="not a code and values, in a telegram without a checksum")
        if any(mark in telegram for mark in _SAYS_VERSION):
            return Fault(reason="checksum", detail="none, though the telegram says a version that has one")
        return None
    total = crc16(telegram[: telegram.rindex(b"!") + 1], 0)
    if total != int(given, 16):
        return Fault(reason="checksum", detail=f"expected {total:04X}, got {given.decode()}")
    return None


class _Meaning:
    """What the telegrams of one meter say. Without a checksum each value wants a witness among the two before it."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self.channels = channels
        self._before: tuple[dict[str, float], ...] = ()

    def of(self, telegram: bytes) -> Said:
        head, _, text = telegram.decode("latin-1").partition("\n")
        values = [*electricity(text, _NAMES, self.channels), *self._behind(text)]
        if telegram.rstrip().endswith(b"!"):
            values = self._witnessed(values)
        detail = "" if values else "a telegram without a value that is known"
        name = "".join(letter for letter in head if letter.isascii() and letter.isprintable())
        return Said(values=tuple(values), identity=name[1:], detail=detail)

    def _witnessed(self, values: Sequence[Value]) -> list[Value]:
        known = {value.channel: float(value.value) for value in values}
        before, self._before = self._before, (*self._before[-1:], known)
        return [
            value
            if not before or any(self._near(name, known[name], one.get(name)) for one in before)
            else replace(value, quality=_UNCONFIRMED)
            for value in values
            for name in (value.channel,)
        ]

    def _near(self, name: str, value: float, other: float | None) -> bool:
        channel = self.channels[name]
        span = (channel.high or 0.0) - (channel.low or 0.0)
        return other is not None and abs(value - other) <= span * _NEAR

    def _behind(self, text: str) -> list[Value]:
        """Meters that are read through this one: value and its time, in one of two forms."""
        kinds: dict[str, str] = {}
        found: dict[str, Value] = {}
        for entry in entries(text):
            if entry.medium != "0" or entry.place in ("", "0") or not entry.groups:
                continue
            value: float | None = None
            if entry.code == "24.1.0":
                kinds[entry.place] = {_GAS: "gas_total", _WATER: "water_total"}.get(entry.groups[0].zfill(3), "")
            elif entry.code in ("24.2.1", "24.2.3") and len(entry.groups) == 2:  # noqa: PLR2004 - time and value
                value = amount(entry.groups[1], "m3")
            elif entry.code == "24.3.0" and entry.groups[-2:-1] == ("m3",):
                value = amount(f"{entry.groups[-1]}*m3", "m3")
            name = kinds.get(entry.place, "")
            if value is not None and name in self.channels:
                found[name] = Value(channel=name, value=value)
        return list(found.values())
