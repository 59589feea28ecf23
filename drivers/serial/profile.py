"""Modbus maps as data: a TOML profile into the driver of one kind of unit. Its own vectors are run at every load.

Source of the format: docs of this project; addresses are those on the wire, counted from 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import tomli

from drivers.driver import Channel, DriverInfo, Gauge, Option, OptionValue
from drivers.errors import OptionError, ProfileError
from drivers.serial.modbus import INFO, Modbus, Question, build, channels_of, is_any_unit, readings
from drivers.serial.number import Ratio
from drivers.serial.options import Options, parse_line, quantity
from drivers.serial.registers import Field, parse_field
from drivers.serial.rtu import BIT_FUNCTIONS, READ_RAM, REQUEST_BYTES, SERVER_ITSELF, Request, answer, frame_at

_KEYS = frozenset(
    (
        *("name", "title", "source", "models", "line", "unit", "any_unit", "every", "min_every", "warmup"),
        *("stale_after", "timeout", "gap", "gauge", "request", "vector"),
    )
)
_WHEN = ("poll", "once", "decode")
_HIGHEST_M = 100.0
_MOUNT_HEIGHT = Option(
    name="mount_height",
    kind="quantity",
    unit="m",
    low=-_HIGHEST_M,
    high=_HIGHEST_M,
    doc="height of the unit above level zero, negative below it; adds the channel level",
    example='"-1.20 m"',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of Modbus unit.

    Attributes:
        info: What it is.
        questions: What may be asked of it.
        any_unit: Address that every unit of this kind answers to; None when there is none.
    """

    info: DriverInfo
    questions: tuple[Question, ...]
    any_unit: int | None

    def make(self, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Modbus:
        """Make the driver of one unit.

        Raises:
            OptionError: An option cannot be used.
        """
        given = Options(self.info, options)
        unit = given.integer("unit")
        if unit is not None and is_any_unit(unit) and unit not in (self.any_unit, SERVER_ITSELF):
            also = f", or {self.any_unit} when it is alone on its port" if self.any_unit else ""
            raise OptionError("unit", f"{unit} is no address; 1 to 247{also}, or {SERVER_ITSELF} over Modbus TCP")
        return build(sensor, self.info, self.mounted(given), given, every_s)

    def mounted(self, given: Options) -> tuple[Question, ...]:
        """What is asked of one unit: where its height is known, each reply that holds the raw value holds a level."""
        gauge = self.info.gauge
        height_m = given.quantity(gauge.option) if gauge else None
        if gauge is None or height_m is None:
            return self.questions
        offset = Ratio(num=round(height_m * 1000), den=1000)
        return tuple(
            replace(
                question,
                fields=(
                    *question.fields,
                    *(_level(field, gauge, offset) for field in question.fields if field.channel.name == gauge.raw),
                ),
            )
            for question in self.questions
        )


def _level(raw: Field, gauge: Gauge, height: Ratio) -> Field:
    """The field that reads a raw value's registers as a height above level zero."""
    num = height.num * raw.offset.den + gauge.sign * raw.offset.num * height.den
    return replace(
        raw,
        channel=_level_channel(raw.channel, gauge, height.num / height.den, height.num / height.den),
        scale=Ratio(num=gauge.sign * raw.scale.num, den=raw.scale.den),
        offset=Ratio(num=num, den=height.den * raw.offset.den),
    )


def _level_channel(raw: Channel, gauge: Gauge, lowest_m: float, highest_m: float) -> Channel:
    """The channel level of units that are mounted between two heights."""
    ends = [gauge.sign * end for end in (raw.low, raw.high) if end is not None]
    return replace(
        raw,
        name=gauge.level,
        low=round(lowest_m + min(ends), 3) if ends else None,
        high=round(highest_m + max(ends), 3) if ends else None,
        zero="ok",
        doc=f"{gauge.option} {'plus' if gauge.sign > 0 else 'minus'} {raw.name}; only with {gauge.option}",
    )


def load(text: str, origin: str) -> Profile:
    """Read a profile and prove it by its own vectors.

    Args:
        text: The TOML.
        origin: Name for error texts.

    Raises:
        ProfileError: It is no TOML, contradicts itself or one of its vectors.
    """
    try:
        table: Mapping[str, OptionValue] = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ProfileError(f"profile {origin}: {error}") from error
    try:
        profile = _profile(table, origin)
        _prove_all(profile, _tables(table, "vector"))
    except OptionError as error:
        raise ProfileError(f"profile {origin}: {error}") from error
    return profile


def _profile(table: Mapping[str, OptionValue], origin: str) -> Profile:
    for key in table:
        if key not in _KEYS:
            raise OptionError(key, f"unknown; a profile takes: {', '.join(sorted(_KEYS))}")
    line = parse_line(_text(table, "line", "9600 8N1"))
    if line is None:
        raise OptionError("line", 'is not like "9600 8N1"')
    questions = tuple(_question(given, f"request[{i}]") for i, given in enumerate(_tables(table, "request")))
    if not any(question.when == "poll" for question in questions):
        raise OptionError("request", "missing; nothing would ever be asked")
    any_unit = _integer(table, "any_unit", None)
    channels = channels_of(questions)
    gauge = _gauge(table, channels)
    info = DriverInfo(
        name=_text(table, "name", origin),
        title=_text(table, "title", ""),
        family="modbus",
        models=tuple(str(model) for model in _list(table, "models")),
        line=line,
        mode="poll",
        shares_bus=True,
        channels=(
            *channels,
            *(
                _level_channel(raw, gauge, -_HIGHEST_M, _HIGHEST_M)
                for raw in channels
                if gauge and raw.name == gauge.raw
            ),
        ),
        options=(*_options(table), *((_MOUNT_HEIGHT,) if gauge else ())),
        every_s=_seconds(table, "every", "5 s"),
        min_every_s=_seconds(table, "min_every", "0.1 s"),
        warmup_s=_seconds(table, "warmup", "0 s"),
        stale_after_s=_seconds(table, "stale_after", "60 s"),
        integrity="crc16",
        gauge=gauge,
        source=_text(table, "source", ""),
    )
    return Profile(info=info, questions=questions, any_unit=any_unit)


def _gauge(table: Mapping[str, OptionValue], channels: Sequence[Channel]) -> Gauge | None:
    """Which channel is a distance to the water or a depth below it; None where none is."""
    given = table.get("gauge")
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != {"raw", "sign"}:
        raise OptionError("gauge", 'is not like { raw = "depth", sign = 1 }')
    raw, sign = _text(given, "raw", ""), given["sign"]
    if sign not in (1, -1):
        raise OptionError("gauge.sign", f"{sign!r} is not 1 for a unit in the water or -1 for one above it")
    if raw not in {channel.name for channel in channels if channel.unit == "m"}:
        raise OptionError("gauge.raw", f"{raw!r} is no channel in m")
    return Gauge(raw=raw, sign=1 if sign == 1 else -1)


def _options(table: Mapping[str, OptionValue]) -> tuple[Option, ...]:
    """The options of the generic driver without its registers, with this unit's defaults."""
    defaults: dict[str, OptionValue | None] = {"unit": _integer(table, "unit", 1)}
    defaults |= {key: _text(table, key, "") for key in ("timeout", "gap") if key in table}
    return tuple(
        replace(option, default=defaults.get(option.name, option.default))
        for option in INFO.options
        if option.name != "registers"
    )


def _question(table: Mapping[str, OptionValue], where: str) -> Question:
    function = _integer(table, "function", None)
    when = _text(table, "when", "poll")
    if function is None or function not in (1, 2, 3, 4, *((READ_RAM,) if when == "decode" else ())):
        raise OptionError(f"{where}.function", f"{function!r} is not 1, 2, 3 or 4: a profile only reads")
    first, count = _integer(table, "register", None), _integer(table, "count", None)
    if first is None or count is None:
        raise OptionError(where, "needs register and count")
    if when not in _WHEN:
        raise OptionError(f"{where}.when", f"{when!r} is not one of {', '.join(_WHEN)}")
    for key in table:
        if key not in ("function", "register", "count", "when", "value"):
            raise OptionError(f"{where}.{key}", "unknown; a request takes function, register, count, when, value")
    fields = tuple(
        parse_field(value, f"{where}.value[{index}]", function) for index, value in enumerate(_tables(table, "value"))
    )
    for field in fields:
        _inside(field, function, first, count, where)
    return Question(request=Request(unit=1, function=function, register=first, count=count), fields=fields, when=when)


def _inside(field: Field, function: int, first: int, count: int, where: str) -> None:
    for register, registers in field.spans:
        width = 1 if function in BIT_FUNCTIONS else registers
        if not first <= register <= first + count - width:
            raise OptionError(where, f"{field.channel.name} at register {register} is not in its reply")


def _prove_all(profile: Profile, vectors: Sequence[Mapping[str, OptionValue]]) -> None:
    if not vectors:
        raise OptionError("vector", "missing; a profile proves itself by at least one real reply")
    for index, vector in enumerate(vectors):
        _prove(profile, vector, f"vector[{index}]")


def _prove(profile: Profile, vector: Mapping[str, OptionValue], where: str) -> None:
    """Decode one real reply and compare."""
    asked = parse_request(_text(vector, "request", ""))
    if asked is None:
        raise OptionError(f"{where}.request", "is not a valid request in hex; its CRC is part of it")
    question = next((known for known in profile.questions if same_question(known.request, asked)), None)
    if question is None:
        raise OptionError(f"{where}.request", f"no request of this profile asks {asked}")
    reply = _hex(_text(vector, "reply", ""))
    frame = answer(asked, reply) if reply is not None else None
    if frame is None or frame.kind != "reply":
        raise OptionError(f"{where}.reply", "is not a valid reply to its request")
    found = {reading.channel: reading.value for reading in readings("", question, frame.data, 0)}
    expected = vector.get("expect", {})
    if not isinstance(expected, Mapping) or not expected:
        raise OptionError(f"{where}.expect", "names no channel")
    for channel, value in expected.items():
        if (
            channel not in found
            or found[channel] != value
            or isinstance(found[channel], bool) != isinstance(value, bool)
        ):
            raise OptionError(where, f"register {channel}: expected {value} got {found.get(channel, 'no value')}")


def parse_request(text: str) -> Request | None:
    """Read a request written in hex; None when it is none."""
    raw = _hex(text)
    frame = frame_at(raw, 0) if raw is not None and len(raw) == REQUEST_BYTES else None
    if frame is None or frame.kind != "request":
        return None
    first, count = int.from_bytes(frame.data[:2], "big"), int.from_bytes(frame.data[2:], "big")
    return Request(unit=frame.unit, function=frame.function, register=first, count=count)


def same_question(one: Request, other: Request) -> bool:
    """Whether two requests ask for the same registers, of whichever unit."""
    return replace(one, unit=0) == replace(other, unit=0)


def _hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _text(table: Mapping[str, OptionValue], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise OptionError(key, f"{value!r} is not a text")
    return value


def _integer(table: Mapping[str, OptionValue], key: str, default: int | None) -> int | None:
    value = table.get(key, default)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 16):
        raise OptionError(key, f"{value!r} is not a whole number from 0 to 65535")
    return value


def _seconds(table: Mapping[str, OptionValue], key: str, default: str) -> float:
    text = _text(table, key, default)
    seconds = quantity(text, "s")
    if seconds is None or seconds < 0:
        raise OptionError(key, f'{text!r} is not a time such as "2 s"')
    return seconds


def _list(table: Mapping[str, OptionValue], key: str) -> Sequence[OptionValue]:
    value = table.get(key, ())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise OptionError(key, f"{value!r} is not a list")
    return value


def _tables(table: Mapping[str, OptionValue], key: str) -> list[Mapping[str, OptionValue]]:
    found = [item for item in _list(table, key) if isinstance(item, Mapping)]
    if len(found) != len(_list(table, key)):
        raise OptionError(key, "is not a list of tables")
    return found
