"""Coin acceptors and bill validators on ccTalk: counters and faults, read only. No I/O.

Source: ccTalk generic specification 4.6: part 2 (headers 254 to 159), part 3, appendix 5 (fault codes).
Asked are only headers that change nothing; never payout, inhibit, reset or address.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from drivers.driver import Channel, DriverInfo, Event, Line, Option, OptionValue, Verdict
from drivers.errors import OptionError
from drivers.serial.asked import Asked
from drivers.serial.cctalk_frames import BUSY, HOST, LONGEST_DATA, NAK, REPLY, SHORTEST, Messages, Talk, message
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.polled import Question
from drivers.serial.stream import Said, Stream, Value

_SELF_CHECK, _CREDITS, _BILLS = 232, 229, 159
_INSERTED, _ACCEPTED, _REJECTED, _FRAUD = 226, 225, 194, 193
_PRODUCT, _SERIAL = 244, 242
_COUNTERS = {_INSERTED: "inserted", _ACCEPTED: "accepted", _REJECTED: "rejected", _FRAUD: "fraud_attempts"}
_EVENT_BYTES = 11  # event counter and five events of two bytes
_COUNTER_BYTES = 3
_MOST_COINS_PER_S = 10.0
_COIN_COUNTERS = {
    "inserted": "coins put in",
    "accepted": "coins taken",
    "rejected": "coins given back",
    "fraud_attempts": "",
}
_SELDOM = 12  # counters are asked for at each so-many-th poll
_HEADERS = {
    254: "simple poll",
    1: "reset",
    228: "master inhibit",
    167: "dispense",
    REPLY: "reply",
    NAK: "NAK",
    BUSY: "busy",
}
_FAULTS = {
    1: "EEPROM checksum",
    2: "inductive coils",
    3: "credit sensor",
    4: "piezo sensor",
    5: "reflective sensor",
    6: "diameter sensor",
    7: "wake-up sensor",
    8: "sorter exit sensors",
    9: "NVRAM checksum",
    10: "coin dispensing",
    11: "low level sensor",
    12: "high level sensor",
    13: "coin counting",
    14: "keypad",
    15: "button",
    16: "display",
    17: "coin auditing",
    18: "reject sensor",
    19: "coin return mechanism",
    20: "coin-on-string mechanism",
    21: "rim sensor",
    22: "thermistor",
    23: "payout motor",
    24: "payout timeout",
    25: "payout jammed",
    26: "payout sensor",
    27: "level sensor",
    28: "personality module not fitted",
    29: "personality checksum",
    30: "ROM checksum",
    31: "missing slave device",
    32: "internal communication",
    33: "supply voltage",
    34: "temperature",
    35: "D.C.E.",
    36: "bill validation sensor",
    37: "bill transport motor",
    38: "stacker",
    39: "bill jammed",
    40: "RAM test",
    41: "string sensor",
    42: "accept gate open",
    43: "reject gate open",
    44: "stacker missing",
    45: "stacker full",
    46: "flash memory checksum",
    47: "escrow",
    48: "slave device not responding",
    49: "flash memory",
    50: "opto fault",
}

INFO = DriverInfo(
    name="cctalk",
    title="coin acceptor or bill validator on ccTalk, read only",
    family="cctalk",
    line=Line(baud=9600),
    mode="poll",
    shares_bus=True,
    channels=(
        Channel(name="fault", unit="1", kind="state", low=0.0, high=255.0, doc="code of the self-check; 0 is healthy"),
        Channel(
            name="event_counter",
            unit="1",
            kind="counter",
            low=0.0,
            high=255.0,
            doc="credits and events; 0 after power-on, then 1 to 255 over and over",
        ),
        *(
            Channel(
                name=name,
                unit="1",
                kind="counter",
                low=0.0,
                high=16_777_215.0,
                max_step_per_s=_MOST_COINS_PER_S,
                doc=doc,
            )
            for name, doc in _COIN_COUNTERS.items()
        ),
    ),
    options=(
        Option(
            name="unit",
            kind="integer",
            low=2,
            high=247,
            default=2,
            doc="address: 2 coin acceptor, 40 bill validator",
            example="40",
        ),
        Option(
            name="events",
            kind="text",
            choices=("coin", "bill"),
            default="coin",
            doc="whose events are counted: header 229 or 159",
            example='"bill"',
        ),
        Option(
            name="checksum",
            kind="text",
            choices=("sum", "crc"),
            default="sum",
            doc="sum of all bytes 0, or the 16-bit CRC that takes the place of the source address",
            example='"crc"',
        ),
    ),
    every_s=5.0,
    min_every_s=0.5,
    stale_after_s=60.0,
    integrity="sum8",
    confirm=2,
    proves="unit",
    source="ccTalk generic specification 4.6, parts 1 to 3",
)


class CcTalk(Asked):
    """Driver of one unit. A reply does not name its question, so the question is kept."""

    _product = ""

    def _match(self, question: Question, data: bytes, now_ns: int) -> Verdict | None:
        self._meaning = partial(self._heard, question.request[3])
        return super()._match(question, data, now_ns)

    def _say(self, said: Said, now_ns: int) -> list[Event]:
        """Say nothing of the name alone: the serial number comes next, and both are the identity."""
        return [] if said == _NOTHING else super()._say(said, now_ns)

    def _heard(self, asked: int, frame: bytes) -> Said:
        data = frame[4:-1]
        if frame[3] != REPLY:
            return Said(detail=f"refused with {_HEADERS[frame[3]]}", settles=False)
        if asked == _PRODUCT:
            self._product = "".join(
                letter for letter in data.decode("latin-1") if letter.isascii() and letter.isprintable()
            )
            return _NOTHING
        if asked == _SERIAL:
            return Said(identity=f"{self._product} serial={int.from_bytes(data, 'little')}".strip(), settles=False)
        return _said(asked, data)


_NOTHING = Said(settles=False)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> CcTalk:
    """Make the driver of one unit.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # it has one
    given = Options(INFO, options)
    unit, crc = given.integer("unit") or 2, given.text("checksum") == "crc"
    events = _BILLS if given.text("events") == "bill" else _CREDITS
    asked = {_PRODUCT: 1000, _SERIAL: 1000, _SELF_CHECK: 1, events: 1} | dict.fromkeys(_COUNTERS, _SELDOM)
    driver = CcTalk(
        sensor,
        info=paced(INFO, every_s),
        codec=lambda: Messages(unit, crc=crc),
        meaning=lambda _: _NOTHING,
        questions=[
            Question(
                request=message(unit, header, crc=crc),
                answered_by=partial(_answers, header),
                reply_bytes=SHORTEST + LONGEST_DATA,
                polls=polls,
            )
            for header, polls in asked.items()
        ],
        timeout_s=0.1,
    )
    driver.address = unit
    return driver


def _answers(asked: int, frame: bytes) -> bool:
    """Whether a reply can be the one to a header: other replies to the host have other lengths."""
    if frame[3] in (NAK, BUSY):
        return True
    lengths = {_SELF_CHECK: (1, 2), _SERIAL: (3, 4), _CREDITS: (_EVENT_BYTES,), _BILLS: (_EVENT_BYTES,)}
    lengths |= dict.fromkeys(_COUNTERS, (_COUNTER_BYTES,))
    return len(frame) - SHORTEST in lengths.get(asked, range(1, LONGEST_DATA + 1))


def _said(asked: int, data: bytes) -> Said:
    if asked in _COUNTERS:
        return Said(values=(Value(channel=_COUNTERS[asked], value=int.from_bytes(data, "little")),), settles=False)
    if asked in (_CREDITS, _BILLS):
        return Said(values=(Value(channel="event_counter", value=data[0]),), settles=False)
    fault = data[0]
    values = (Value(channel="fault", value=fault),)
    if fault:
        more = f" ({data[1]})" if len(data) > 1 else ""
        return Said(values=values, trouble="device_error", detail=f"{_FAULTS.get(fault, f'fault {fault}')}{more}")
    return Said(values=values)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what messages mean: a reply as the answer to the request before it, which the one wire echoes.

    Without one it is the answer to the header in the option ``request``, or what its length says.

    Raises:
        OptionError: An option cannot be used.
    """
    plain = {key: value for key, value in options.items() if key != "request"}
    asked = str(options.get("request", ""))
    if asked and not asked.isdecimal():
        raise OptionError("request", f"{asked!r} is no header, e.g. 229")
    given = Options(INFO, plain)
    crcs = (given.text("checksum") == "crc",) if given.given("checksum") else (False, True)
    meaning = _Overheard(int(asked) if asked else 0).of
    return Stream(name, info=INFO, codec=Talk(crcs), meaning=meaning).decode(frames)


class _Overheard:
    """What messages say to who did not ask.

    Args:
        asked: Header that a reply without a request before it answers; 0 when nobody knows.
    """

    def __init__(self, asked: int) -> None:
        self._asked = asked
        self._last = 0

    def of(self, frame: bytes) -> Said:
        """What one message says."""
        destination, header = frame[0], frame[3]
        if destination == HOST and header == REPLY:
            asked, self._last = self._last, 0
            return _overheard(asked or self._asked, frame)
        self._last = header if destination != HOST else 0
        what = _HEADERS.get(header, "")
        return Said(
            detail=f"a message to {destination} with header {header} {what}".rstrip() + ", no reply with a value"
        )


def _overheard(asked: int, frame: bytes) -> Said:
    data = frame[4:-1]
    by_length = {1: _SELF_CHECK, 2: _SELF_CHECK, _EVENT_BYTES: _CREDITS}
    header = asked or by_length.get(len(data), 0)
    if header in (_SELF_CHECK, _CREDITS, _BILLS, *_COUNTERS) and _answers(header, frame):
        return _said(header, data)
    return Said(detail=f"a reply of {len(data)} data bytes; name the header it answers, e.g. --option request=226")
