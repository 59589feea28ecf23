"""Plantower dust sensors (PMSx003 and kin): bytes to readings. No I/O; it is never written to.

Source: Plantower PMS5003 series data manual V2.3, appendix I (active mode frame); PMS5003T and PMS5003ST data manuals,
appendix I, as read by avaldebe/PyPMS. The frame does not say which model sent it: the name in the config does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from drivers.driver import Channel, DriverInfo, Line, OptionValue
from drivers.framing import Fault, FixedFrame
from drivers.reading import GOOD, Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_START = b"\x42\x4d"
_HEAD_BYTES = 4  # start mark, length of what follows
_ACK_BYTES = 4  # command, two data bytes behind the head, sum: answers to commands share the start mark
_WORD = 2
_HOURS = 3600.0

_MASS = ("pm1_cf1", "pm2_5_cf1", "pm10_cf1", "pm1", "pm2_5", "pm10")
_COUNTS = ("n0_3", "n0_5", "n1_0", "n2_5", "n5_0", "n10")
_WARMING = frozenset({Quality.WARMING_UP})
_FAILED = frozenset({Quality.DEVICE_ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the words behind the head mean, in order; ``""`` is reserved, ``version`` is version and error code."""

    words: tuple[str, ...]

    @property
    def data_bytes(self) -> int:
        """The length as it stands in the frame: the words and their sum."""
        return (len(self.words) + 1) * _WORD

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of what it measures."""
        return tuple("error_code" if name == "version" else name for name in self.words if name)


_PLAIN = Layout(words=(*_MASS, *_COUNTS, "version"))
_SHORT = Layout(words=(*_MASS, "", "", ""))
_LAYOUTS = {
    "pms2003": _SHORT,
    "pms3003": _SHORT,
    "pms5003s": Layout(words=(*_MASS, *_COUNTS, "formaldehyde")),
    "pms5003t": Layout(words=(*_MASS, *_COUNTS[:4], "temperature", "humidity", "version")),
    "pms5003st": Layout(words=(*_MASS, *_COUNTS, "formaldehyde", "temperature", "humidity", "", "version")),
}
_ALIKE = ("pms1003", "pms5003", "pms6003", "pms7003", "pms9003", "pmsa003", "pmsx003")  # all speak as the PMS5003 does
_TENTHS = ("temperature", "humidity")


def _mass(name: str, doc: str) -> Channel:
    return Channel(name=name, unit="ug/m3", low=0.0, high=1000.0, stuck_after_s=24 * _HOURS, doc=doc)


def _count(name: str, size: str, *, never_zero: bool = False) -> Channel:
    return Channel(
        name=name,
        unit="{#}/dL",
        low=0.0,
        high=65535.0,
        zero="suspect" if never_zero else "ok",
        doc=f"particles beyond {size} um in 0.1 L",
    )


_CHANNELS = {
    one.name: one
    for one in (
        _mass("pm1_cf1", "particles up to 1 um, factory calibration (CF=1)"),
        _mass("pm2_5_cf1", "particles up to 2.5 um, factory calibration (CF=1)"),
        _mass("pm10_cf1", "particles up to 10 um, factory calibration (CF=1)"),
        _mass("pm1", "mass of particles up to 1 um in air"),
        _mass("pm2_5", "mass of particles up to 2.5 um in air"),
        _mass("pm10", "mass of particles up to 10 um in air"),
        _count("n0_3", "0.3", never_zero=True),
        _count("n0_5", "0.5"),
        _count("n1_0", "1.0"),
        _count("n2_5", "2.5"),
        _count("n5_0", "5.0"),
        _count("n10", "10"),
        Channel(name="formaldehyde", unit="ug/m3", low=0.0, high=2000.0, doc="S and ST models"),
        Channel(
            name="temperature", unit="Cel", low=-40.0, high=85.0, max_step_per_s=1.0, doc="T and ST models, in the case"
        ),
        Channel(
            name="humidity", unit="%RH", low=0.0, high=100.0, zero="suspect", max_step_per_s=5.0, doc="T and ST models"
        ),
        Channel(name="error_code", unit="1", low=0.0, high=255.0, kind="state", doc="0 when the unit finds no fault"),
    )
}

INFO = DriverInfo(
    name="plantower",
    title="Plantower dust sensor (PM1, PM2.5, PM10, particle counts)",
    family="plantower",
    models=tuple(sorted((*_LAYOUTS, *_ALIKE))),
    line=Line(baud=9600),
    channels=tuple(_CHANNELS[name] for name in _PLAIN.channels),
    every_s=1.0,
    min_every_s=0.2,
    warmup_s=30.0,
    stale_after_s=30.0,
    integrity="sum16",
    confirm=2,
    source="Plantower PMS5003 series data manual V2.3, appendix I; PMS5003T and PMS5003ST data manuals",
)


def layout_of(name: str) -> Layout:
    """The frame of one model; of the PMS5003 when ``name`` is none."""
    return _LAYOUTS.get(name, _PLAIN)


def info_of(name: str) -> DriverInfo:
    """What is known of one model; of the PMS5003 when ``name`` is none."""
    return replace(INFO, channels=tuple(_CHANNELS[channel] for channel in layout_of(name).channels))


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    info = info_of(name)
    Options(info, options)
    layout = layout_of(name)
    # The short frame names no size: who is told just "a Plantower" takes it too (esphome pmsx003 does).
    layouts = {one.data_bytes: one for one in (layout, *((_SHORT,) if layout is _PLAIN else ()))}
    lengths = {_START + count.to_bytes(2, "big"): _HEAD_BYTES + count for count in (*layouts, _ACK_BYTES)}
    return Stream(
        sensor,
        info=paced(info, every_s),
        codec=FixedFrame(tuple(lengths), lengths, _check),
        meaning=_Meaning(layouts=layouts).of,
        hint="wrong speed, wiring or model? T, S and ST models have their own names, e.g. pms5003t",
    )


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _check(frame: bytes) -> Fault | None:
    total, given = sum(frame[:-2]) & 0xFFFF, int.from_bytes(frame[-2:], "big")
    if total != given:
        return Fault(reason="checksum", detail=f"expected {total:04x}, got {given:04x}")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a frame says of one model, by the length that stands in it."""

    layouts: Mapping[int, Layout]

    def of(self, frame: bytes) -> Said:
        if len(frame) == _HEAD_BYTES + _ACK_BYTES:
            return Said(detail="acknowledgement of a command, no measurement", settles=False)
        if not any(frame[_HEAD_BYTES:-_WORD]):
            return Said(trouble="warming_up", detail="warming up: the frame is empty, the firmware's version too")
        layout = self.layouts[len(frame) - _HEAD_BYTES]
        found: dict[str, int] = {}
        for at, name in enumerate(layout.words):
            start = _HEAD_BYTES + at * _WORD
            found[name] = int.from_bytes(frame[start : start + _WORD], "big", signed=name == "temperature")
        version, error = divmod(found.get("version", 0), 256)
        found["error_code"] = error
        counts = [found[name] for name in _COUNTS if name in found]
        trouble = _trouble(counts, error)
        # After a wake-up mass values come before the first particle is counted, some with an error code.
        quality = _WARMING if trouble[0] == "no_particles" else _FAILED if trouble[0] == "device_error" else GOOD
        return Said(
            values=tuple(
                Value(
                    channel=name,
                    value=found[name] / 10 if name in _TENTHS else found[name],
                    quality=GOOD if name == "error_code" and trouble[0] == "device_error" else quality,
                )
                for name in layout.channels
            ),
            identity=f"plantower {version:02x}" if version else "",
            trouble=trouble[0],
            detail=trouble[1],
        )


def _trouble(counts: Sequence[int], error: int) -> tuple[str, str]:
    """Name and words of what is wrong with a frame whose sum is right."""
    if counts and not any(counts):
        return "no_particles", "no particle counted: the unit wakes up, or its fan or laser stands still"
    if error:
        return "device_error", f"the unit reports error code {error}"
    if any(small < big for small, big in pairwise(counts)):  # each counts all beyond its size
        return "wrong_model", "more large particles than small ones: is this a T model (driver = pms5003t) or damaged?"
    return "", ""
