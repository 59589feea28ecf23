"""Lines of text from anything: JSON, CSV, key=value or a pattern, with or without a checksum. No I/O.

Covers Arduino and ESP sketches, Vaisala and Gill ASCII, scanners in serial mode.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.errors import OptionError
from drivers.framing import Fault, LineFrame, sum8, xor8
from drivers.serial.decoded import Decoded
from drivers.serial.number import INT_MAX, ZERO, Ratio, ratio, scaled
from drivers.serial.options import Options, paced
from drivers.serial.rtu import crc16
from drivers.serial.stream import NOT_UNDERSTOOD, Said, Stream, Value

_FORMATS = ("json", "csv", "keyvalue", "regex")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_UNIT_BEHIND = re.compile(r"(?<=[\d.])\s*[A-Za-z%/\u00b0]{1,6}$")  # "23.5C"
_TEXT_MAX = 256  # bytes of a text value
_NESTED_MAX = 8  # objects in objects
_CHECKS: dict[str, tuple[Callable[[bytes], int], int]] = {"xor": (xor8, 2), "sum8": (sum8, 2), "crc16": (crc16, 4)}

INFO = DriverInfo(
    name="line",
    title="lines of text: JSON, CSV, key=value or a pattern",
    family="line",
    line=Line(baud=9600),
    options=(
        Option(
            name="format",
            kind="text",
            choices=_FORMATS,
            required=True,
            doc="how a line is read",
            example='"json"',
        ),
        Option(
            name="fields",
            kind="table",
            doc="channel = where it stands: JSON path a.b, CSV column from 1, key, or group of the pattern",
            example='{ temperature = "env.t", humidity = "env.h" }',
        ),
        Option(
            name="columns",
            kind="list",
            doc='channels in order of the CSV columns; "" skips one; the line must have as many',
            example='["temperature", "", "humidity"]',
        ),
        Option(
            name="units",
            kind="table",
            doc='channel = SenML or UCUM symbol; "1" when not named',
            example='{ temperature = "Cel", humidity = "%RH" }',
        ),
        Option(
            name="scale",
            kind="table",
            doc="channel = decimal number that the value is multiplied with",
            example='{ temperature = "0.1" }',
        ),
        Option(
            name="text",
            kind="list",
            doc="channels whose values are words, not numbers",
            example='["state"]',
        ),
        Option(name="pattern", kind="text", doc="regular expression for the whole line", example="'T=(?P<t>[\\d.]+)C'"),
        Option(
            name="delimiter",
            kind="text",
            doc="between CSV columns (a comma by default) or between pairs (space, comma, ; and & by default)",
            example='";"',
        ),
        Option(name="start", kind="text", default="", doc="mark a line begins with", example='"\\u0002"'),
        Option(name="end", kind="text", default="\r\n", doc="each of these ends a line", example='"\\r\\n"'),
        Option(
            name="checksum",
            kind="text",
            choices=("none", *_CHECKS),
            default="none",
            doc="hex digits after checksum_mark, over the bytes between start and mark",
            example='"xor"',
        ),
        Option(
            name="checksum_mark", kind="text", default="*", doc="stands between data and checksum", example='"\\u0003"'
        ),
        Option(
            name="max_length",
            kind="integer",
            low=8,
            high=1024,
            default=256,
            doc="longest line in bytes",
            example="256",
        ),
    ),
    every_s=1.0,
    min_every_s=0.1,
    confirm=2,
    source="the sender's own description",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sender.

    Raises:
        OptionError: An option cannot be used.
    """
    return _make(name, sensor, options, every_s, live=True)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what lines mean; a lone line needs no end.

    Raises:
        OptionError: An option cannot be used.
    """
    return _make(name, name, options, None, live=False).decode(frames)


def _make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None, *, live: bool) -> Stream:
    del name  # it has one
    given = Options(INFO, options)
    start, end = given.text("start").encode(), given.text("end").encode()
    mark = given.text("checksum_mark").encode()
    if not end:
        raise OptionError("end", "is empty; a line must end somewhere")
    check = _Check(start=start, mark=mark, method=given.text("checksum"))
    layout = _layout(given)
    info = DriverInfo(
        name=INFO.name,
        title=INFO.title,
        family=INFO.family,
        line=INFO.line,
        channels=layout.channels(given),
        options=INFO.options,
        every_s=INFO.every_s,
        min_every_s=INFO.min_every_s,
        integrity="xor" if check.method == "xor" else "sum8" if check.method == "sum8" else "none",
        confirm=1 if check.method == "crc16" else INFO.confirm,
        source=INFO.source,
    )
    codec = LineFrame(
        end,
        given.integer("max_length") or 0,
        check.of,
        start=start,
        # The tail of a number is a number: without a mark or a sum the first line may be one.
        whole_only=live and not start and check.method == "none" and layout.format != "json",
    )
    meaning = _Meaning(check=check, layout=layout)
    return Stream(sensor, info=paced(info, every_s), codec=codec, meaning=meaning.of, line_end=end[-1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """The mark and the sum around the data of a line."""

    start: bytes
    mark: bytes
    method: str

    def of(self, line: bytes) -> Fault | None:
        if self.method == "none":
            return None
        function, digits = _CHECKS[self.method]
        data, mark, given = line.rpartition(self.mark)
        if not mark or not re.fullmatch(rb"[0-9A-Fa-f]{%d}" % digits, given.strip()):
            return Fault(reason="checksum", detail=f"no {digits} hex digits after {self.mark!r}")
        total = function(data[len(self.start) :])
        if total != int(given, 16):
            return Fault(reason="checksum", detail=f"expected {total:0{digits}X}, got {given.decode()}")
        return None

    def data(self, line: bytes) -> bytes:
        """What stands between start and checksum."""
        body = line if self.method == "none" else line.rpartition(self.mark)[0]
        return body[len(self.start) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where one channel stands and how it is read."""

    channel: str
    key: str
    scale: Ratio
    is_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How one line is taken apart."""

    format: str
    places: tuple[_Place, ...]
    width: int  # columns a CSV line must have; 0 means any
    delimiter: str
    pattern: re.Pattern[str] | None

    def channels(self, given: Options) -> tuple[Channel, ...]:
        units = given.table("units")
        return tuple(
            Channel(
                name=place.channel,
                unit=str(units.get(place.channel, "1")),
                kind="text" if place.is_text else "gauge",
            )
            for place in self.places
        )

    def parts(self, text: str) -> Mapping[str, object]:
        """Values of one line by their key.

        Raises:
            ValueError: The line has another form; the text says how.
        """
        match self.format:
            case "json":
                return _json(text)
            case "csv":
                columns = [column.strip() for column in text.split(self.delimiter or ",")]
                if self.width and len(columns) != self.width:
                    raise ValueError(f"{len(columns)} columns instead of {self.width}")
                return {str(number): column for number, column in enumerate(columns, start=1)}
            case "keyvalue":
                return _pairs(text, self.delimiter)
            case _:
                found = self.pattern.fullmatch(text) if self.pattern else None
                if found is None:
                    raise ValueError("does not fit the pattern")
                groups = {str(number): group for number, group in enumerate(found.groups(), start=1)}
                return groups | found.groupdict()


def _layout(given: Options) -> _Layout:
    form = given.text("format")
    fields, columns = given.table("fields"), given.items("columns")
    if bool(fields) == bool(columns):
        raise OptionError("fields", "give either fields or, for csv, columns")
    if columns and form != "csv":
        raise OptionError("columns", f"belong to csv; {form} takes fields")
    wanted = (
        {str(name): str(number) for number, name in enumerate(columns, start=1) if name not in ("", "-")}
        if columns
        else {name: str(key) for name, key in fields.items()}
    )
    if not wanted:
        raise OptionError("columns", "name no channel")
    named = {"units": given.table("units"), "scale": given.table("scale")}
    for option, table in named.items():
        for channel in table:
            if channel not in wanted:
                raise OptionError(option, f"{channel!r} is no channel of fields or columns")
    words = [str(channel) for channel in given.items("text")]
    places = tuple(_place(name, key, form, named["scale"].get(name, "1"), words) for name, key in wanted.items())
    return _Layout(
        format=form,
        places=places,
        width=len(columns),
        delimiter=given.text("delimiter"),
        pattern=_pattern(given, places) if form == "regex" else None,
    )


def _place(name: str, key: str, form: str, scale: OptionValue, words: list[str]) -> _Place:
    if not _NAME.fullmatch(name):
        raise OptionError("fields", f"{name!r} is no channel name: a-z, 0-9, _ and -, at most 32")
    if form == "csv" and (not key.isdecimal() or int(key) < 1):
        raise OptionError("fields", f"{name} = {key!r} is no column number from 1")
    factor = ratio(str(scale))
    if factor is None or factor.num == 0:
        raise OptionError("scale", f'{name} = {scale!r} is not a decimal number in quotes, e.g. "0.1"')
    return _Place(channel=name, key=key, scale=factor, is_text=name in words)


def _pattern(given: Options, places: tuple[_Place, ...]) -> re.Pattern[str]:
    if not given.text("pattern"):
        raise OptionError("pattern", "missing; format regex needs it")
    try:
        pattern = re.compile(given.text("pattern"))
    except re.error as error:
        raise OptionError("pattern", f"is no regular expression: {error}") from error
    groups = {*pattern.groupindex, *(str(number) for number in range(1, pattern.groups + 1))}
    for place in places:
        if place.key not in groups:
            raise OptionError("fields", f"{place.channel} = {place.key!r} is no group of the pattern")
    return pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a line of this sender says."""

    check: _Check
    layout: _Layout

    def of(self, line: bytes) -> Said:
        data = self.check.data(line)
        try:
            parts = self.layout.parts(data.decode().strip("\0 \t\r\n"))
        except (ValueError, RecursionError) as error:  # ValueError: JSON and UTF-8 errors too
            return Said(trouble=NOT_UNDERSTOOD, detail=f"line not understood: {error}")
        values: list[Value] = []
        doubts: list[str] = []
        for place in self.layout.places:
            value = _value(parts.get(place.key), place)
            if value is None:
                given = "missing" if parts.get(place.key) in (None, "") else f"{parts[place.key]!r} is no value"
                doubts.append(f"{place.channel}: {given[:80]}")
            else:
                values.append(Value(channel=place.channel, value=value))
        return Said(values=tuple(values), trouble="" if values else NOT_UNDERSTOOD, detail="; ".join(doubts))


def _value(part: object, place: _Place) -> int | float | bool | str | None:
    if part is None or part == "":
        return None
    if place.is_text:
        fits = isinstance(part, str) and len(part.encode()) <= _TEXT_MAX
        return part if fits and isinstance(part, str) else None
    if isinstance(part, bool):
        return part
    if not isinstance(part, str):
        return None
    number = ratio(_UNIT_BEHIND.sub("", part.strip()))
    if number is None:
        return None
    value = scaled(number, place.scale, ZERO)
    if isinstance(value, int) and abs(value) > INT_MAX:
        return None
    return value


def _json(text: str) -> dict[str, object]:
    """One JSON object with its inner objects flattened: ``{"a":{"b":1}}`` has the key ``a.b``. Numbers stay text."""
    found: object = json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _: None)
    flat: dict[str, object] = {}
    todo: list[tuple[str, object, int]] = [("", found, 0)]
    while todo:
        path, item, depth = todo.pop()
        inner: dict[str, object] = {}
        if isinstance(item, dict):
            inner = {str(key): value for key, value in item.items()}
        elif isinstance(item, list):
            inner = {str(index): value for index, value in enumerate(item)}
        elif path:
            flat[path] = item
        else:
            raise ValueError("no JSON object")
        if depth < _NESTED_MAX:
            todo += [(f"{path}.{key}" if path else key, value, depth + 1) for key, value in inner.items()]
    return flat


def _pairs(text: str, delimiter: str) -> dict[str, object]:
    text = re.sub(r"\s*([=:])\s*", r"\1", text)
    parts = text.split(delimiter) if delimiter else re.split(r"[,;&\s]+", text)
    pairs = [re.split(r"[=:]", part.strip(), maxsplit=1) for part in parts]
    found: dict[str, object] = {pair[0]: pair[1] for pair in pairs if len(pair) > 1}
    if not found:
        raise ValueError("no key=value pair")
    return found
