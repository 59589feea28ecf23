"""MaxBotix ultrasonic distance sensors of the HRXL and XL families: lines of text to readings. No I/O.

Source: MaxBotix PD11500 (HRXL-MaxSonar-WR), PD12593 (HRXL-MaxSonar-WRS), PD12141 (HRUSB) and the XL-MaxSonar-WR data
sheet, sections "Serial Output" and "About": ``R``, four digits of millimetres or three of centimetres, carriage return.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.framing import Fault, LineFrame
from drivers.reading import Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_LINE = re.compile(rb"R([0-9]{3,4}) ?")  # the USB models put a blank before the carriage return
_LONGEST = 64  # a line of the power-up banner, with a range behind it whose start mark was found
_STRAY = b"\xff"  # seen between characters when a long line is disturbed
_MOST_MM = 240  # a target that moves more between two lines is not followed (PD11500, "Triggered Operation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model can say.

    Attributes:
        digits: Digits of a value; four are millimetres, three centimetres.
        nearest: Values it gives for everything at or before its shortest range, in counts.
        nothing: Values it gives when nothing is in reach, in counts.
    """

    digits: int
    nearest: tuple[int, ...]
    nothing: tuple[int, ...]

    @property
    def mm(self) -> int:
        """Millimetres in a count."""
        return 1 if self.digits == 4 else 10  # noqa: PLR2004 - four digits are millimetres

    @property
    def low_m(self) -> float:
        """Shortest range in m."""
        return min(self.nearest) * self.mm / 1000

    @property
    def high_m(self) -> float:
        """Longest range in m."""
        return max(self.nothing) * self.mm / 1000


# Not told which one it is, a family takes what any of its members means by these values as no measurement.
_HRXL = Model(digits=4, nearest=(300, 500), nothing=(5000, 9999))
_XL = Model(digits=3, nearest=(20, 25), nothing=(765,))
_5M = Model(digits=4, nearest=(300,), nothing=(5000,))
_10M = Model(digits=4, nearest=(500,), nothing=(9999,))
_SNOW = Model(digits=4, nearest=(500,), nothing=(5000,))
_MODELS = {
    "maxbotix_hrxl": _HRXL,
    "maxbotix_xl": _XL,
    **dict.fromkeys(("mb7360", "mb7367", "mb7369", "mb7380", "mb7387", "mb7389"), _5M),
    **dict.fromkeys(("mb7363", "mb7366", "mb7368", "mb7383", "mb7386", "mb7388"), _10M),
    **dict.fromkeys(("mb7334", "mb7344", "mb7354", "mb7364", "mb7374", "mb7384"), _SNOW),
    **dict.fromkeys(("mb7060", "mb7070", "mb1220"), replace(_XL, nearest=(20,))),
}

INFO = DriverInfo(
    name="maxbotix",
    title="MaxBotix ultrasonic distance sensor, HRXL (millimetres) and XL (centimetres)",
    family="maxbotix",
    models=tuple(sorted(_MODELS)),
    line=Line(baud=9600),
    channels=(
        Channel(name="distance", unit="m", low=0.3, high=9.999, max_step_per_s=1.0, doc="from the sensor's face"),
        Channel(name="level", unit="m", max_step_per_s=1.0, doc="mount_height minus distance; only with mount_height"),
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
    source="MaxBotix PD11500 (HRXL-MaxSonar-WR), PD12593 (WRS), PD12141 (HRUSB); XL-MaxSonar-WR data sheet",
)


def model_of(name: str) -> Model:
    """What one model can say; the HRXL family when ``name`` is none."""
    return _MODELS.get(name, _HRXL)


def info_of(name: str) -> DriverInfo:
    """What is known of one model; of the HRXL family when ``name`` is none."""
    model = model_of(name)
    distance = replace(INFO.channels[0], low=model.low_m, high=model.high_m)
    return replace(INFO, channels=(distance, *INFO.channels[1:]))


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
    if not given.given("mount_height"):
        info = replace(info, channels=info.channels[:1])
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
        self._before_mm: tuple[int, ...] = ()

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
        values = [Value(channel="distance", value=mm / 1000, quality=quality)]
        if self._height_mm is not None:
            values.append(Value(channel="level", value=(self._height_mm - mm) / 1000, quality=quality))
        if nothing:
            return Said(values=tuple(values), trouble="no_target", detail=f"no target: {count} means nothing in reach")
        return Said(values=tuple(values))
