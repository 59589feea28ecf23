"""Smart meters with a P1 port (DSMR, ESMR, eMUCS): telegrams to readings. No I/O.

Source: DSMR P1 companion standard 5.0.2, 5.2 (framing), 6.2 (CRC-16 over all from ``/`` to ``!``, line ends included),
6.12 (objects); DSMR 2.2 and 3.0 end in a bare ``!``; ndokter/dsmr_parser, test/example_telegrams.py (telegrams of many
makers, one whose CRC has no leading zero). The port speaks only while its request line is high.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.framing import EndedFrame, Fault, Form
from drivers.serial.decoded import Decoded
from drivers.serial.obis import Witnesses, amount, electricity, energy, entries, per_phase
from drivers.serial.options import Options, paced
from drivers.serial.rtu import crc16
from drivers.serial.stream import Said, Stream, Value

_LONGEST = 4096  # a full telegram of version 5 with four meters behind has about 2000 bytes
_END = re.compile(rb"\n!([0-9A-Fa-f]{0,4})\r?\n")
_HEAD = re.compile(rb"/[A-Za-z]{3}[^\r\n]{1,41}\r?\n\r?\n")
_SAYS_VERSION = (b"\n1-3:0.2.8(", b"\n0-0:96.1.4(")  # only telegrams with a CRC do
_DATA = re.compile(rb"(?:\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3}(?:\*\d{1,3})?)?(?:\([^()]*\))+|")
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
        codec=EndedFrame(_TELEGRAM),
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


def _check(telegram: bytes) -> Fault | None:
    body, _, given = telegram.rstrip().rpartition(b"!")
    if _HEAD.match(telegram) is None:
        return Fault(reason="header", detail="no /, maker, name and empty line")
    if not given:
        if not all(_DATA.fullmatch(line) for line in telegram.splitlines()[1:-1]):
            return Fault(reason="line", detail="not a code and values, in a telegram without a checksum")
        if any(mark in telegram for mark in _SAYS_VERSION):
            return Fault(reason="checksum", detail="none, though the telegram says a version that has one")
        return None
    total = crc16(body + b"!", 0)
    if total != int(given, 16):
        return Fault(reason="checksum", detail=f"expected {total:04X}, got {given.decode()}")
    return None


_TELEGRAM = Form(starts=b"/", end=_END, end_max=len(b"\n!0000\r\n"), longest=_LONGEST, check=_check)


class _Meaning:
    """What the telegrams of one meter say."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self.channels = channels
        self._witnesses = Witnesses(channels)

    def of(self, telegram: bytes) -> Said:
        head, _, text = telegram.decode("latin-1").partition("\n")
        values = [*electricity(text, _NAMES, self.channels), *self._behind(text)]
        if telegram.rstrip().endswith(b"!"):
            values = self._witnesses.of(values)
        detail = "" if values else "a telegram without a value that is known"
        name = "".join(letter for letter in head if letter.isascii() and letter.isprintable())
        return Said(values=tuple(values), identity=name[1:], detail=detail)

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
