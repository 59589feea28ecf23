"""SDI-12 sensors behind an adapter that makes the break and the bus: measure, wait, fetch. No I/O.

Source: SDI-12 specification 1.4, section 4.4: concurrent measurement aC!, send data aDn! and its values, continuous
measurement aRn!; 4.4.12 (CRC). Only these three commands are sent; never A (address) nor X (extended).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from drivers.driver import (
    Ask,
    Channel,
    DriverInfo,
    Event,
    Line,
    Option,
    OptionValue,
    Problem,
    Transaction,
    Verdict,
)
from drivers.errors import OptionError
from drivers.framing import Dropped, Fault, LineFrame
from drivers.serial.decoded import Decoded
from drivers.serial.number import ZERO, Ratio, ratio, scaled
from drivers.serial.options import Options, paced
from drivers.serial.rtu import crc16
from drivers.serial.stream import Said, Stream, Value, rejected

_NS = 1_000_000_000
_BUS_BAUD = 1200  # between adapter and sensor, 7E1
_BITS_PER_BYTE = 10
_TIMEOUT_NS = 500_000_000  # a sensor begins within 15 ms; an adapter adds its own
_GAP_NS = 20_000_000
_SILENT = 3  # unanswered questions after which the sensor may be another one
_NOISE = b"\0\xff"  # what a break looks like
_LONGEST = 128  # an answer has at most 75 characters of values
_CRC_BYTES = 3
_MOST_FETCHES = 10  # aD0! to aD9!
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_VALUE = rb"[+-](?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_VALUES = re.compile(rb"([0-9A-Za-z])((?:" + _VALUE + rb")*)([@-\x7f]{3})?")
_SPLIT = re.compile(_VALUE)
_PROMISE = re.compile(rb"([0-9A-Za-z])(\d{3})(\d{1,3})")
_DEFAULT_NAMES = tuple(f"value_{number}" for number in range(20))  # aC! promises at most 20 values before version 1.4

INFO = DriverInfo(
    name="sdi12",
    title="SDI-12 sensor behind a serial adapter",
    family="sdi12",
    line=Line(baud=9600),
    mode="poll",
    shares_bus=True,
    options=(
        Option(name="address", kind="text", default="0", doc="one of 0-9, A-Z, a-z", example='"0"'),
        Option(
            name="measure",
            kind="text",
            choices=("CC", "C", "RC0", "R0"),
            default="CC",
            doc="CC: measure, answer with a CRC; C: without, for sensors before version 1.3; RC0 and R0: at once",
            example='"C"',
        ),
        Option(
            name="values",
            kind="list",
            doc='channels in the order of the values; "" skips one; value_0 and so on by default',
            example='["moisture", "temperature"]',
        ),
        Option(
            name="units",
            kind="table",
            doc='channel = SenML or UCUM symbol; "1" when not named',
            example='{ temperature = "Cel", moisture = "%" }',
        ),
        Option(
            name="scale",
            kind="table",
            doc="channel = decimal number that the value is multiplied with",
            example='{ moisture = "100" }',
        ),
    ),
    every_s=60.0,
    min_every_s=1.0,
    stale_after_s=210.0,
    integrity="crc16",
    confirm=2,
    source="SDI-12 specification 1.4, section 4.4",
)


def crc_chars(body: bytes) -> bytes:
    """The CRC-16/ARC of a body as three printable characters (4.4.12.2)."""
    crc = crc16(body, 0)
    return bytes(0x40 | crc >> shift & 0x3F for shift in (12, 6, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What becomes of one value."""

    channel: str
    scale: Ratio


@dataclass(slots=True, kw_only=True)
class _Measurement:
    """What a sensor has promised and what of it came.

    Attributes:
        promised: Values it will have.
        got: Values that came.
        fetches: Times they were asked for.
        due_ns: When they are asked for next; None while an answer is awaited.
    """

    promised: int
    got: int = 0
    fetches: int = 0
    due_ns: int | None


class Sdi12(Stream):
    """Driver of one sensor: asks it to measure, waits as long as it says, and fetches the values.

    Args:
        sensor: Its name.
        info: What it is.
        letter: Its address on the bus.
        measure: How it is asked to measure, e.g. ``CC``.
        places: Channels in the order of the values; None skips one.
    """

    def __init__(
        self, sensor: str, *, info: DriverInfo, letter: str, measure: str, places: Sequence["_Place | None"]
    ) -> None:
        self._places = tuple(places)
        self._wants_crc = measure in ("CC", "RC0")
        super().__init__(sensor, info=info, codec=_lines(wants_crc=False), meaning=self._said, line_end=b"\n")
        self.address: int | None = None
        self._letter = letter.encode()
        self._measure = f"{letter}{measure}!".encode()
        self._measurement: _Measurement | None = None
        self._poll_ns: int | None = None
        self._unanswered = 0
        self._short = False

    def start(self, now_ns: int) -> list[Event]:
        """Begin with a measurement."""
        self._identity = None
        self._measurement = None
        self._poll_ns = now_ns
        return self.tick(now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - one signature for all drivers
        """Nothing: answers reach the driver through its transactions."""
        return []

    def tick(self, now_ns: int) -> list[Event]:
        """Ask what is due: the values of a measurement, or a new one. Missed polls are not made up for."""
        if self._poll_ns is not None and now_ns >= self._poll_ns:
            self._poll_ns += self._every_ns * ((now_ns - self._poll_ns) // self._every_ns + 1)
            self._measurement = None
            return [self._asking(self._measure)]
        going = self._measurement
        if going is None or going.due_ns is None or now_ns < going.due_ns:
            return []
        going.due_ns = None
        return [self._asking(self._letter + b"D%d!" % going.fetches)]

    def deadline(self) -> int | None:
        """Moment of the next poll or fetch."""
        fetch_ns = self._measurement.due_ns if self._measurement else None
        return min((due for due in (self._poll_ns, fetch_ns) if due is not None), default=None)

    def lost(self, now_ns: int) -> list[Event]:
        """Stop until the next start."""
        self._poll_ns = self._measurement = None
        return super().lost(now_ns)

    def unanswered(self, request: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - which one does not matter
        """A question got no answer: the measurement is over, and after a few who answers must say who it is."""
        self._measurement = None
        self._unanswered += 1
        if self._unanswered == _SILENT:
            self._identity = None
        return []

    def _kept(self, channel: str, now_ns: int) -> bool:  # noqa: ARG002 - the polls keep the pace
        return True

    def _asking(self, request: bytes) -> Ask:
        wire_ns = (len(request) + _LONGEST) * _BITS_PER_BYTE * _NS // _BUS_BAUD
        return Ask(
            transaction=Transaction(
                sensor=self.sensor,
                request=request,
                match=partial(self._match, request),
                timeout_ns=_TIMEOUT_NS + wire_ns,
                gap_ns=_GAP_NS,
            )
        )

    def _match(self, request: bytes, data: bytes, now_ns: int) -> Verdict | None:
        """Find the sensor's line among all bytes since the question, its echo aside."""
        events: list[Event] = []
        before, echo, behind = data.partition(request)
        measuring = request == self._measure
        waits = measuring and request[1:2] == b"C"
        for piece in _lines(wants_crc=self._wants_crc and not waits).feed(behind if echo else before):
            if isinstance(piece, Dropped):
                events.append(rejected(self.sensor, piece))
                continue
            promise = _PROMISE.fullmatch(piece.strip(_NOISE)) if waits else None
            if (waits and promise is None) or piece.strip(_NOISE)[:1] != self._letter:
                detail = Dropped(reason="another answer", raw=piece, count=len(piece))
                events.append(rejected(self.sensor, detail))
                continue
            self._unanswered = 0
            if promise is not None:
                ready_ns = now_ns + int(promise[2]) * _NS
                self._measurement = _Measurement(promised=int(promise[3]), due_ns=ready_ns)
            else:
                events += self._fetched(piece, now_ns, measuring=measuring)
            return Verdict(used=len(data), events=tuple(events))
        return None

    def _fetched(self, line: bytes, now_ns: int, *, measuring: bool) -> list[Event]:
        """Values came; go on until all that were promised are here."""
        going = self._measurement
        if measuring:
            return self._say(self._said(line), now_ns)
        if going is None:  # the next measurement has begun: whose values are these?
            return []
        events = self._say(self._said(line, going.got), now_ns)
        count = len(_SPLIT.findall(_values(line)[1]))
        going.got += count
        going.fetches += 1
        if going.got < going.promised and count and going.fetches < _MOST_FETCHES:
            going.due_ns = now_ns
            return events
        self._measurement = None
        short = going.got < max(1, going.promised)
        if short != self._short:
            self._short = short
            detail = f"{going.got} of {going.promised} values came" if short else ""
            events.append(Problem(sensor=self.sensor, code="incomplete", detail=detail, ok=not short))
        return events

    def _said(self, line: bytes, first: int = 0) -> Said:
        letter, body, _ = _values(line)
        found: list[Value] = []
        for place, text in zip(self._places[first:], _SPLIT.findall(body), strict=False):
            number = ratio(text.decode())
            if place is not None and number is not None:
                found.append(Value(channel=place.channel, value=scaled(number, place.scale, ZERO)))
        detail = "" if found else "an answer without values"
        return Said(values=tuple(found), identity=f"address {letter.decode()}", detail=detail)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Sdi12:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # it has one
    given = Options(INFO, options)
    letter = given.text("address")
    if not re.fullmatch(r"[0-9A-Za-z]", letter):
        raise OptionError("address", f"{letter!r} is not one of 0-9, A-Z, a-z")
    places = _places(given)
    units = given.table("units")
    channels = tuple(
        Channel(name=place.channel, unit=str(units.get(place.channel, "1"))) for place in places if place is not None
    )
    measure = given.text("measure")
    info = replace(INFO, channels=channels, integrity="crc16" if measure in ("CC", "RC0") else "none")
    return Sdi12(sensor, info=paced(info, every_s), letter=letter, measure=measure, places=places)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what answers mean; each begins with the first value.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _places(given: Options) -> list["_Place | None"]:
    names = [str(name) for name in given.items("values")] or list(_DEFAULT_NAMES)
    scales, units = given.table("scale"), given.table("units")
    for option, table in (("units", units), ("scale", scales)):
        for channel in table:
            if channel not in names:
                raise OptionError(option, f"{channel!r} is no channel of values")
    places: list[_Place | None] = []
    for name in names:
        if name in ("", "-"):
            places.append(None)
            continue
        scale = ratio(str(scales.get(name, "1")))
        if not _NAME.fullmatch(name):
            raise OptionError("values", f"{name!r} is no channel name: a-z, 0-9, _ and -, at most 32")
        if scale is None or scale.num == 0:
            raise OptionError("scale", f'{name} = {scales.get(name)!r} is not a decimal number in quotes, e.g. "0.1"')
        places.append(_Place(channel=name, scale=scale))
    return places


def _lines(*, wants_crc: bool) -> LineFrame:
    return LineFrame(b"\r\n", _LONGEST, partial(_check, wants_crc))


def _check(wants_crc: bool, line: bytes) -> Fault | None:  # noqa: FBT001 - bound by partial
    line = line.strip(_NOISE)
    match = _VALUES.fullmatch(line)
    if match is None or _PROMISE.fullmatch(line):
        return None if _PROMISE.fullmatch(line) else Fault(reason="line", detail="not an address and signed values")
    if match[3] is None:
        return Fault(reason="checksum", detail="none, though one was asked for") if wants_crc else None
    right = crc_chars(line[:-_CRC_BYTES])
    if match[3] != right:
        return Fault(reason="checksum", detail=f"expected {right.decode()}, got {match[3].decode()}")
    return None


def _values(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Address, values and CRC of a line that was checked."""
    match = _VALUES.fullmatch(line.strip(_NOISE))
    return (match[1], match[2], match[3] or b"") if match else (line.strip(_NOISE)[:1], b"", b"")
