"""DYP ultrasonic distance sensors of the A01 and A02 families: bytes to readings. No I/O.

Source: DFRobot wiki SEN0311, SEN0312, SEN0313, SEN0627 (UART output form; ranges) and SEN0754 (codes FFFDh and FFFEh);
JSN-SR04T V2.0 manual, modes 2, 3; esphome jsn_sr04t (the AJ-SR04M leaves the head out of its sum).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from drivers.driver import Channel, DriverInfo, Gauge, Line, Option, OptionValue
from drivers.framing import Fault, FixedFrame, sum8
from drivers.reading import GOOD, Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import TOO_NEAR, TOO_NEAR_WHY, Said, Stream, Value

_HEAD = 0xFF
_FRAME_BYTES = 4  # head, high byte, low byte, sum of the three
_TRIGGER = b"\x55"
_CODES = {
    0: "no target: the unit sends 0 for an open field as for a covered or submerged face",
    0xFFFD: "no target: nothing in reach",
    0xFFFE: "no target: another sensor of the same frequency interferes",
}
_MOST_COUNTS = 20_000  # 20 m; no unit of these families reaches so far, but frames read from a wrong byte do
_NO_TARGET = frozenset({Quality.NO_TARGET})
_WEBBED_S = 86400.0  # a day's change of temperature alone moves the echo of a bare ground by millimetres


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    blind_mm: int  # a value at or under it is no measurement
    far_mm: int
    mm_per_count: int = 1
    triggered: bool = False  # measures only when asked
    least_s: float = 0.0  # between two measurements
    sum_from: int = 0  # first byte of the sum


_MODELS = {
    "a01nyub": _Reach(blind_mm=280, far_mm=7500),
    "a02yyuw": _Reach(blind_mm=30, far_mm=4500),
    "me007ys": _Reach(blind_mm=280, far_mm=4500),
    "aj_sr04m": _Reach(blind_mm=200, far_mm=6000, sum_from=1),
    "jsn_sr04t": _Reach(blind_mm=200, far_mm=6000),
    "sen0627": _Reach(blind_mm=30, far_mm=7500, mm_per_count=10, triggered=True, least_s=2.6),
}
_ALIASES = {
    "a01": "a01nyub",
    "dfrobot_sen0627": "sen0627",
    "dyp_a01": "a01nyub",
    "a02": "a02yyuw",
    "dyp_a02": "a02yyuw",
    "dyp_me007ys": "me007ys",
}
_ANY = _Reach(blind_mm=30, far_mm=7500)

INFO = DriverInfo(
    name="ultrasonic",
    title="DYP ultrasonic distance sensor, A01 and A02 families",
    family="ultrasonic",
    models=tuple(sorted((*_MODELS, *_ALIASES))),
    line=Line(baud=9600),
    channels=(
        Channel(
            name="distance",
            unit="m",
            low=0.03,
            high=7.5,
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
        Option(
            name="blind_zone",
            kind="quantity",
            unit="m",
            low=0.0,
            high=2.0,
            doc="values at or under it are flagged no_target; the model's own by default",
            example='"3 cm"',
        ),
        Option(
            name="reach",
            kind="quantity",
            unit="m",
            low=0.1,
            high=20.0,
            doc="values beyond it are flagged no_target; the model's own by default",
            example='"4.50 m"',
        ),
        Option(
            name="counts",
            kind="text",
            choices=("mm", "cm"),
            doc="what one count of the unit means; mm but for the model sen0627",
            example='"mm"',
        ),
        Option(
            name="trigger",
            kind="boolean",
            doc="the unit measures only when asked with 55h (RX-controlled models, such as sen0627)",
            example="true",
        ),
    ),
    every_s=1.0,
    min_every_s=0.1,
    stale_after_s=10.0,
    integrity="sum8",
    confirm=2,
    gauge=Gauge(raw="distance", sign=-1),
    source="DFRobot wiki SEN0311 (A02YYUW), SEN0313 (A01NYUB), SEN0312 (ME007YS); JSN-SR04T V2.0 manual",
)


def info_of(name: str) -> DriverInfo:
    """What is known of one model; of the whole family when ``name`` is no model."""
    reach = _MODELS.get(_ALIASES.get(name, name), _ANY)
    return _with_range(INFO, reach)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    given = Options(INFO, options)
    reach = _reach(name, given)
    height_m = given.quantity("mount_height")
    info = _with_range(INFO, reach)
    height_mm = None if height_m is None else round(height_m * 1000)
    distance, level = info.channels
    if height_mm is None:
        info = replace(info, channels=(distance,))
    else:
        level = replace(level, low=(height_mm - reach.far_mm) / 1000, high=(height_mm - reach.blind_mm) / 1000)
        info = replace(info, channels=(distance, level))
    meaning = _Meaning(reach=reach, mm_per_count=reach.mm_per_count, height_mm=height_mm)
    return Stream(
        sensor,
        info=paced(info, every_s),
        codec=FixedFrame((bytes((_HEAD,)),), _FRAME_BYTES, partial(_check, reach.sum_from)),
        meaning=meaning.of,
        ask=_TRIGGER if reach.triggered else b"",
    )


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _reach(name: str, given: Options) -> _Reach:
    model = _MODELS.get(_ALIASES.get(name, name), _ANY)
    blind_m, far_m = given.quantity("blind_zone"), given.quantity("reach")
    return _Reach(
        blind_mm=model.blind_mm if blind_m is None else round(blind_m * 1000),
        far_mm=model.far_mm if far_m is None else round(far_m * 1000),
        mm_per_count={"mm": 1, "cm": 10}.get(given.text("counts"), model.mm_per_count),
        triggered=given.flag("trigger") if given.given("trigger") else model.triggered,
        least_s=model.least_s,
        sum_from=model.sum_from,
    )


def _with_range(info: DriverInfo, reach: _Reach) -> DriverInfo:
    """The range of a model; where a count is a centimetre, a day of one value is no wonder."""
    stuck_after_s = _WEBBED_S if reach.mm_per_count == 1 else None
    distance, level = (replace(channel, stuck_after_s=stuck_after_s) for channel in info.channels)
    return replace(
        info,
        channels=(replace(distance, low=reach.blind_mm / 1000, high=reach.far_mm / 1000), level),
        every_s=max(info.every_s, reach.least_s),
        min_every_s=max(info.min_every_s, reach.least_s),
    )


def _check(sum_from: int, frame: bytes) -> Fault | None:
    if (total := sum8(frame[sum_from:3])) != frame[3]:
        return Fault(reason="checksum", detail=f"expected {total:02x}, got {frame[3]:02x}")
    if (count := int.from_bytes(frame[1:3], "big")) > _MOST_COUNTS and count not in _CODES:
        return Fault(reason="implausible", detail=f"{count} counts")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a frame says of one mounted unit."""

    reach: _Reach
    mm_per_count: int
    height_mm: int | None

    def of(self, frame: bytes) -> Said:
        count = int.from_bytes(frame[1:3], "big")
        if (code := _CODES.get(count)) is not None:
            return Said(trouble="no_target", detail=code)
        mm = count * self.mm_per_count
        near, far = mm <= self.reach.blind_mm, mm > self.reach.far_mm
        quality = _NO_TARGET if near or far else GOOD
        values = [Value(channel="distance", value=mm / 1000, quality=quality)]
        if self.height_mm is not None:
            values.append(Value(channel="level", value=(self.height_mm - mm) / 1000, quality=quality))
        if near:
            return Said(values=tuple(values), trouble=TOO_NEAR, detail=TOO_NEAR_WHY)
        if far:
            return Said(values=tuple(values), trouble="no_target", detail="no target: beyond the unit's reach")
        return Said(values=tuple(values))
