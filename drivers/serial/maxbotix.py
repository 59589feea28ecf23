"""MaxBotix ultrasonic distance sensors of the HRXL and XL families: lines of text to readings. No I/O.

Source: MaxBotix PD11500 (HRXL-MaxSonar-WR), PD12593 (HRXL-MaxSonar-WRS), PD12141 (HRUSB), PD11832 (LV-MaxSonar-EZ),
PD13426 (ParkSonar-EZ) and the XL-MaxSonar data sheets, sections "Serial Output" and "About": ``R``, four digits of
millimetres, three of centimetres or, LV and ParkSonar, of inches, carriage return.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from drivers.driver import Channel, DriverInfo, Gauge, Line, Option, OptionValue
from drivers.framing import Fault, LineFrame
from drivers.reading import Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import TOO_NEAR, TOO_NEAR_WHY, Said, Stream, Value

_LINE = re.compile(rb"R([0-9]{3,4})(?: P[01])? ?")  # USB models put a blank behind, proximity models P and 0 or 1
_DIGITS = 4  # of metres: an inch is 0.0254 m
_LONGEST = 64  # a line of the power-up banner, with a range behind it whose start mark was found
_STRAY = b"\xff"  # seen between characters when a long line is disturbed
_WEBBED_S = 86400.0  # a day's change of temperature alone moves the echo of a bare ground by millimetres
_MOST_MM = 240  # a target that moves more between two lines is not followed (PD11500, "Triggered Operation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model can say.

    Attributes:
        digits: Digits of a value; four are millimetres, three centimetres or inches.
        nearest: Values it gives for everything at or before its shortest range, in counts.
        nothing: Values it gives when nothing is in reach, in counts.
        inches: Whether three digits are inches.
    """

    digits: int
    nearest: tuple[int, ...]
    nothing: tuple[int, ...]
    inches: bool = False

    @property
    def mm(self) -> float:
        """Millimetres in a count."""
        return 25.4 if self.inches else 1 if self.digits == 4 else 10  # noqa: PLR2004 - four digits are millimetres

    @property
    def low_m(self) -> float:
        """Shortest range in m."""
        return round(min(self.nearest) * self.mm / 1000, _DIGITS)

    @property
    def high_m(self) -> float:
        """Longest range in m."""
        return round(max(self.nothing) * self.mm / 1000, _DIGITS)


# Not told which one it is, a family takes what any of its members means by these values as no measurement.
_HRXL = Model(digits=4, nearest=(300, 500), nothing=(5000, 9999))
_XL = Model(digits=3, nearest=(20, 25), nothing=(765,))
_5M = Model(digits=4, nearest=(300,), nothing=(5000,))
_10M = Model(digits=4, nearest=(500,), nothing=(9999,))
_SNOW = Model(digits=4, nearest=(500,), nothing=(5000,))
_LV = Model(digits=3, nearest=(6,), nothing=(254,), inches=True)
_MODELS = {
    "maxbotix_hrxl": _HRXL,
    "maxbotix_lv": _LV,
    "maxbotix_xl": _XL,
    **dict.fromkeys(("mb1000", "mb1001", "mb1010", "mb1020", "mb1030", "mb1040"), _LV),
    **dict.fromkeys(("mb1013", "mb1403", "mb7360", "mb7367", "mb7369", "mb7380", "mb7387", "mb7389"), _5M),
    **dict.fromkeys(("mb7363", "mb7366", "mb7368", "mb7383", "mb7386", "mb7388"), _10M),
    **dict.fromkeys(("mb7334", "mb7344", "mb7354", "mb7364", "mb7374", "mb7384"), _SNOW),
    **dict.fromkeys(
        ("mb7060", "mb7070", "mb1200", "mb1210", "mb1220", "mb1230", "mb1240"), replace(_XL, nearest=(20,))
    ),
}

INFO = DriverInfo(
    name="maxbotix",
    title="MaxBotix ultrasonic distance sensor, HRXL (millimetres), XL (centimetres) and LV (inches)",
    family="maxbotix",
    models=tuple(sorted(_MODELS)),
    line=Line(baud=9600),
    channels=(
        Channel(
            name="distance",
            unit="m",
            low=0.3,
            high=9.999,
            max_step_per_s=1.0,
            stuck_after_s=_WEBBED_S,
            doc="from the sensor's face",
        ),
        Channel(
            name="level",
            unit="m",
            max_step_per_s=1.0,
            stuck_after_s=_WEBBED_S,
            doc="mount_height minus distance; only with mount_height",
        ),
    ),
    options=(
        Option(
            name="mount_height",
            kind="quantity",
            unit="m",
            low=0.0,
            high=100.0,
            doc="height of the face above level zero; adds the channel level",
            example='"4.20 m"',
        ),
    ),
    every_s=1.0,
    min_every_s=0.1,
    stale_after_s=10.0,
    integrity="none",
    confirm=2,
    gauge=Gauge(raw="distance", sign=-1),
    source="MaxBotix PD11500 (HRXL-MaxSonar-WR), PD12593 (WRS), PD12141 (HRUSB); XL-MaxSonar-WR data sheet",
)


def model_of(name: str) -> Model:
    """What one model can say; the HRXL family when ``name`` is none."""
    return _MODELS.get(name, _HRXL)


def info_of(name: str) -> DriverInfo:
    """What is known of one model; of the HRXL family when ``name`` is none."""
    model = model_of(name)
    stuck_after_s = _WEBBED_S if model.mm == 1 else None  # a day of one centimetre is no wonder
    distance, level = (replace(channel, stuck_after_s=stuck_after_s) for channel in INFO.channels)
    return replace(INFO, channels=(replace(distance, low=model.low_m, high=model.high_m), level))


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    given = Options(INFO, options)
    return _make(name, sensor, given, every_s, _Meaning(model_of(name), given).of)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what lines mean, each as if it were the first; a lone line needs no end.

    Raises:
        OptionError: An option cannot be used.
    """
    given = Options(INFO, options)
    return _make(name, name, given, None, lambda line: _Meaning(model_of(name), given).of(line)).decode(frames)


def _make(name: str, sensor: str, given: Options, every_s: float | None, meaning: Callable[[bytes], Said]) -> Stream:
    info = info_of(name)
    distance, level = info.channels
    height_m = given.quantity("mount_height")
    if height_m is None:
        info = replace(info, channels=(distance,))
    else:
        model = model_of(name)
        low_m, high_m = (round(height_m - end_m, _DIGITS) for end_m in (model.high_m, model.low_m))
        info = replace(info, channels=(distance, replace(level, low=low_m, high=high_m)))
    return Stream(
        sensor,
        info=paced(info, every_s),
        codec=LineFrame(b"\r\n", _LONGEST, partial(_check, model_of(name).digits), start=b"R"),
        meaning=meaning,
        line_end=b"\r",
        hint="RS-232 polarity on a TTL input, or the other way round? These units exist with both; else speed or model",
    )


def _check(digits: int, line: bytes) -> Fault | None:
    match = _LINE.fullmatch(line.replace(_STRAY, b""))
    if match is None or len(match[1]) != digits:
        return Fault(reason="line", detail=f"not R and {digits} digits")
    return None


class _Meaning:
    """What the lines of one mounted unit say. Without a checksum each wants a witness among the two before it."""

    def __init__(self, model: Model, given: Options) -> None:
        height_m = given.quantity("mount_height")
        self._height_mm = None if height_m is None else round(height_m * 1000)
        self._model = model
        self._before_mm: tuple[float, ...] = ()

    def of(self, line: bytes) -> Said:
        count = int(line.replace(_STRAY, b"")[1 : 1 + self._model.digits])
        nothing = count in self._model.nothing or count > max(self._model.nothing)
        near = count in self._model.nearest or count < min(self._model.nearest)
        mm = count * self._model.mm
        flags = {Quality.NO_TARGET} if nothing or near else set[Quality]()
        if self._before_mm and all(abs(mm - before_mm) > _MOST_MM for before_mm in self._before_mm):
            flags.add(Quality.UNCONFIRMED)
        self._before_mm = (*self._before_mm[-1:], mm)
        quality = frozenset(flags)
        values = [Value(channel="distance", value=round(mm / 1000, _DIGITS), quality=quality)]
        if self._height_mm is not None:
            level = round((self._height_mm - mm) / 1000, _DIGITS)
            values.append(Value(channel="level", value=level, quality=quality))
        if nothing:
            return Said(values=tuple(values), trouble="no_target", detail=f"no target: {count} means nothing in reach")
        if near:
            return Said(values=tuple(values), trouble=TOO_NEAR, detail=TOO_NEAR_WHY)
        return Said(values=tuple(values))
