"""Hydreon RG-15 optical rain gauge: question and line of text. No I/O; it only reads, never resets or sets units.

Source: Hydreon RG-15 instructions, software 1.000, "RS232 Communication": command ``R`` and its answer; the answer to
command ``A``, which is never sent, is ``Acc`` alone. The words for faults behind it: esphome hydreon_rgxx. Unit and
resolution follow DIP switches; the line says which unit it is in.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial

from drivers.driver import Channel, DriverInfo, Line, OptionValue
from drivers.framing import Fault, LineFrame
from drivers.reading import GOOD, Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.polled import Polled, Question
from drivers.serial.stream import Said, Value

_READ = b"R\n"
_LONGEST = 256


def _pattern(length: bytes, speed: bytes) -> re.Pattern[bytes]:
    """The whole answer in one unit."""
    sums = b", *".join(name + rb" +(\d{1,6}\.\d{1,4}) " + length for name in (b"Acc", b"EventAcc", b"TotalAcc"))
    return re.compile(sums + rb", *RInt +(\d{1,6}\.\d{1,4}) " + speed + rb"(|[ ,;][\x20-\x7e]*)\r?")


_ALONE = re.compile(rb"Acc +(\d{1,6}\.\d{1,4}) (mm|in)\r?")
_INCH_MM = Decimal("25.4")
_UNITS_MM = ((_pattern(b"mm", b"mmph"), Decimal(1)), (_pattern(b"in", b"iph"), _INCH_MM))
_ROUNDING_MM = Decimal("0.06")  # two roundings to 0.001 in
_BELIEVED_MM = Decimal(5)  # growth between two polls that needs no witness once the lines agree
_UNCONFIRMED = frozenset({Quality.UNCONFIRMED})
_FAULTS = {
    "LensBad": ("lens_bad", Quality.DEVICE_ERROR, "the lens is dirty or covered: rain is not seen"),
    "EmSat": ("emitter_saturated", Quality.SATURATED, "too much light on the lens: rain is not seen"),
    "TooCold": ("too_cold", Quality.DEVICE_ERROR, "the unit is too cold to measure"),
}

INFO = DriverInfo(
    name="rg15",
    title="Hydreon RG-15 optical rain gauge",
    family="rg15",
    models=("hydreon_rg15",),
    line=Line(baud=9600),
    mode="poll",
    channels=(
        Channel(
            name="rain", unit="mm", low=0.0, high=100.0, max_step_per_s=1.0, doc="since the reading before; add them up"
        ),
        Channel(name="rain_event", unit="mm", low=0.0, high=5000.0, max_step_per_s=0.2, doc="in this shower"),
        Channel(
            name="rain_total",
            unit="mm",
            low=0.0,
            high=99999.999,
            max_step_per_s=1.0,
            kind="counter",
            doc="since the unit was powered or reset; starts again at 0",
        ),
        Channel(name="rain_rate", unit="mm/h", low=0.0, high=600.0, max_step_per_s=5.0, doc="intensity now"),
    ),
    every_s=10.0,
    min_every_s=1.0,
    stale_after_s=60.0,
    integrity="none",
    confirm=2,
    source="Hydreon RG-15 instructions, software 1.000, RS232 Communication",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Polled:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # it has one model
    return _make(sensor, options, every_s, _Meaning().of)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what lines mean, each as if it were the first; a lone line needs no end.

    Raises:
        OptionError: An option cannot be used.
    """
    return _make(name, options, None, lambda line: _Meaning().of(line)).decode(frames)


def _make(
    sensor: str, options: Mapping[str, OptionValue], every_s: float | None, meaning: Callable[[bytes], Said]
) -> Polled:
    Options(INFO, options)
    return Polled(
        sensor,
        info=paced(INFO, every_s),
        codec=partial(LineFrame, b"\n", _LONGEST, _check, start=b"Acc"),
        meaning=meaning,
        questions=(Question(request=_READ, answered_by=lambda line: _read(line) is not None, reply_bytes=_LONGEST),),
        timeout_s=1.0,
        line_end=b"\n",
    )


def _read(line: bytes) -> tuple[list[Decimal], str] | None:
    """Acc, EventAcc, TotalAcc and RInt in millimetres, and the words behind them; None for any other line."""
    for pattern, scale in _UNITS_MM:
        if match := pattern.fullmatch(line):
            *numbers, rest = (group.decode() for group in match.groups())
            return [Decimal(number) * scale for number in numbers], rest
    return None


def _check(line: bytes) -> Fault | None:
    return (
        None
        if _read(line) or _ALONE.fullmatch(line)
        else Fault(reason="line", detail="not Acc .., EventAcc .., TotalAcc .., RInt .. in one unit")
    )


class _Meaning:
    """What the lines of one unit say; follows its total, because Acc is lost with a lost answer.

    The protocol has no checksum. A total is believed when it continues the one of the line before: by what Acc says, or
    by little once a line was doubted. Until then no rain is told, so a damaged digit makes none, a counter that began
    again at 0 is noticed, and what fell meanwhile comes with the next believed line.
    """

    def __init__(self) -> None:
        self._last_mm: Decimal | None = None
        self._told_mm: Decimal | None = None  # the total up to which rain was told
        self._doubted = False

    def of(self, line: bytes) -> Said:
        if alone := _ALONE.fullmatch(line):
            fallen = Decimal(alone[1].decode()) * (_INCH_MM if alone[2] == b"in" else 1)
            return Said(
                values=(Value(channel="rain", value=float(fallen), quality=_UNCONFIRMED),),
                settles=False,
                detail="Acc alone, as command A is answered: no total to compare it with",
            )
        read = _read(line)
        if read is None:  # pragma: no cover - the codec lets no such line through
            return Said(detail="another line")
        (acc, event, total, rate), rest = read
        trouble, flag, words = next((_FAULTS[word] for word in _FAULTS if word in rest), ("", None, ""))
        quality = frozenset({flag}) if flag else GOOD
        rain = self._rain(acc, total)
        values = [] if rain is None else [Value(channel="rain", value=float(rain), quality=quality)]
        doubt = quality | _UNCONFIRMED if rain is None else quality
        values += [
            Value(channel="rain_event", value=float(event), quality=quality),
            Value(channel="rain_total", value=float(total), quality=doubt),
            Value(channel="rain_rate", value=float(rate), quality=quality),
        ]
        return Said(values=tuple(values), trouble=trouble, detail=words)

    def _rain(self, acc: Decimal, total: Decimal) -> Decimal | None:
        """Rain since it was last told; None when this line alone is not believed."""
        last, self._last_mm = self._last_mm, total
        if last is None:
            return acc
        grown = total - last
        self._doubted = abs(grown - acc) > _ROUNDING_MM and not (self._doubted and 0 <= grown <= _BELIEVED_MM)
        if self._doubted:
            return None
        told, self._told_mm = self._told_mm, total
        if told is None:
            return max(grown, Decimal(0))
        return total if total < told - _ROUNDING_MM else max(total - told, Decimal(0))
