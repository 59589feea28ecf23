"""What Modbus frames mean when nobody remembers the question. Pure.

A reply names neither its register nor, beyond its length, what was asked. An option says it, or the echo of the request
before the reply. Else every declared request that could have this reply is answered; where some give values that cannot
be, only the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.driver import OptionValue
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.decoded import Decoded, within_range
from drivers.serial.modbus import INFO, Question, faults_in, questions_in, readings
from drivers.serial.options import Options
from drivers.serial.profile import Profile, parse_request, same_question
from drivers.serial.rtu import (
    BIT_FUNCTIONS,
    READ_COILS,
    READ_INPUT,
    WORD_FUNCTIONS,
    Frame,
    Request,
    crc16,
    exception_name,
    frame_at,
)

_PICKS = ("register", "request")  # options of `decode` alone: which request was asked


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean to a list of registers, or plainly when there is no list.

    Raises:
        OptionError: An option cannot be used.
    """
    plain = {key: value for key, value in options.items() if key not in _PICKS}
    if "registers" in plain:
        return _decode(name, questions_in(Options(INFO, plain)), options, frames)
    Options(INFO, {**plain, "registers": ()})
    return _decode(name, (), options, frames)


def decode_profile(name: str, profile: Profile, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean to a profile.

    Raises:
        OptionError: An option cannot be used.
    """
    plain = {key: value for key, value in options.items() if key not in _PICKS}
    profile.make(name, plain, None)
    return _decode(name, profile.mounted(Options(profile.info, plain)), options, frames)


@dataclass(slots=True, kw_only=True)
class _Findings:
    readings: list[Reading]
    reasons: list[str]
    notes: list[str]


def _decode(
    name: str, questions: tuple[Question, ...], options: Mapping[str, OptionValue], frames: Sequence[bytes]
) -> Decoded:
    picked = _picked(questions, options)
    asked: Request | None = None
    unit = options.get("unit")
    found = _Findings(readings=[], reasons=[], notes=[])
    data = b"".join(frames)
    at = lost = 0
    while at < len(data):
        frame = frame_at(data, at)
        if frame is None:
            at += 1
            continue
        if frame.start > lost:
            found.reasons.append(_lost(data[lost : frame.start]))
        at = lost = frame.end
        if unit is not None and frame.unit != unit:
            found.reasons.append(f"a frame of unit {frame.unit}, not of unit {unit}")
        elif frame.kind == "request":
            asked = _asked(frame)
            found.reasons.append(f"a request ({asked}), such as an adapter echoes; not a reply")
        elif frame.kind == "exception":
            reason = f"unit {frame.unit} refused function {frame.function} with {exception_name(frame.code)}"
            found.reasons.append(reason)
        elif not questions:
            found.readings += _plain(name, frame)
        else:
            echoed = asked is not None and (asked.unit, asked.function) == (frame.unit, frame.function)
            _say(name, frame, questions, asked.register if asked and echoed else picked, found)
    if lost < len(data):
        found.reasons.append(_lost(data[lost:]))
    channels = [field.channel for question in questions for field in question.fields]
    return Decoded(
        readings=within_range(found.readings, channels),
        reasons=tuple(found.reasons),
        notes=tuple(dict.fromkeys(found.notes)),
    )


def _picked(questions: tuple[Question, ...], options: Mapping[str, OptionValue]) -> int | None:
    """The first register that was asked, as far as an option says it."""
    register, request = options.get("register"), options.get("request")
    first = None if register is None else _number(register)
    if first is not None and not _known(questions, first):
        raise OptionError("register", f"no declared request begins at register {register}, nor does a channel")
    if request is None:
        return first
    asked = parse_request(str(request))
    if asked is None:
        raise OptionError("request", f"{request!r} is no request in hex with a right CRC")
    if not any(same_question(question.request, asked) for question in questions) and not _part(questions, asked):
        raise OptionError("request", f"no declared request asks {asked}")
    return asked.register


def _known(questions: tuple[Question, ...], first: int) -> bool:
    return any(
        first in (question.request.register, *(field.register for field in question.fields)) for question in questions
    )


def _number(value: OptionValue) -> int:
    if isinstance(value, int):
        return value
    try:
        return int(str(value), 0)
    except ValueError:
        raise OptionError("register", f"{value!r} is no register, e.g. 26 or 0x1A") from None


def _asked(frame: Frame) -> Request:
    first, count = int.from_bytes(frame.data[:2], "big"), int.from_bytes(frame.data[2:], "big")
    return Request(unit=frame.unit, function=frame.function, register=first, count=count)


def _say(name: str, frame: Frame, questions: tuple[Question, ...], first: int | None, found: _Findings) -> None:
    able = [
        question
        for question in questions
        if question.request.function == frame.function
        and question.request.data_bytes == len(frame.data)
        and first in (None, question.request.register)
    ]
    if not able and first is not None:
        count = len(frame.data) // 2
        able = _part(questions, Request(unit=frame.unit, function=frame.function, register=first, count=count))
    if not able:
        words = f"a reply of {len(frame.data)} data bytes to function {frame.function}"
        found.reasons.append(f"{words} answers no request that {name} declares")
    if len(able) > 1:
        ways = ", ".join(f"--option register={one.request.register} ({_names(one)})" for one in able)
        found.notes.append(f"the reply does not say which register it answers; pick one: {ways}")
        able = [question for question in able if _believable(question, frame)] or able
    for question in able:
        values = readings(name, question, frame.data, 0)
        found.readings += values
        missing = {field.channel.name for field in question.fields} - {value.channel for value in values}
        found.reasons += [f"{channel}: the unit says it has no value" for channel in sorted(missing)]
        if faults := faults_in(question, frame.data):
            found.notes.append(f"the unit reports: {', '.join(faults)}")


def _part(questions: tuple[Question, ...], asked: Request) -> list[Question]:
    """The declared channels among the registers that were asked, when no declared request asks just these."""
    fields = {
        field.channel.name: field
        for question in questions
        if question.request.function == asked.function and asked.function in WORD_FUNCTIONS
        for field in question.fields
        if all(
            asked.register <= register and register + width <= asked.register + asked.count
            for register, width in field.spans
        )
    }
    return [Question(request=asked, fields=tuple(fields.values()))] if fields else []


def _believable(question: Question, frame: Frame) -> bool:
    """Whether all values of a reply lie where such values can lie."""
    values = readings("", question, frame.data, 0)
    flagged = within_range(values, [field.channel for field in question.fields])
    return len(values) == len(question.fields) and not any(value.quality for value in flagged)


def _names(question: Question) -> str:
    return ", ".join(field.channel.name for field in question.fields)


def _plain(name: str, frame: Frame) -> list[Reading]:
    values: list[int | bool]
    if frame.function in BIT_FUNCTIONS:
        values = [bool(byte >> bit & 1) for byte in frame.data for bit in range(8)]
        word = "bit"
    else:
        values = [int.from_bytes(frame.data[at : at + 2], "big") for at in range(0, len(frame.data), 2)]
        word = "reg"
    return [
        Reading(sensor=name, channel=f"{word}{index}", value=value, unit="1", boot_ns=0)
        for index, value in enumerate(values)
    ]


def _lost(raw: bytes) -> str:
    """Why bytes are no frame, as far as they show it."""
    if len(raw) >= 5 and READ_COILS <= raw[1] & 0x7F <= READ_INPUT:  # noqa: PLR2004 - the shortest frame
        length = 5 if raw[1] & 0x80 else raw[2] + 5
        if len(raw) == 8 != length:  # noqa: PLR2004 - a request
            length = 8
        if len(raw) >= length:
            body, given = raw[: length - 2], raw[length - 2 : length]
            right = crc16(body).to_bytes(2, "little")
            return f"checksum: expected {right.hex(' ')}, got {given.hex(' ')} in {raw[:64].hex(' ')}"
        return f"incomplete: {len(raw)} of {length} bytes in {raw[:64].hex(' ')}"
    return f"noise: no frame in {raw[:64].hex(' ')}"
