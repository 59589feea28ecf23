"""A Modbus RTU unit on the wire: answers what its map holds, refuses the rest, ignores what is not for it.

Source: MODBUS Application Protocol Specification V1.1b3, sections 6.1 to 6.4 and 7;
MODBUS over Serial Line V1.02, section 2.4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.driver import Line
from drivers.serial.modbus import Question, is_any_unit
from drivers.serial.registers import Field
from drivers.serial.rtu import BIT_FUNCTIONS, REQUEST_BYTES, WORD_FUNCTIONS, is_sealed, sealed
from drivers.simulate.simulator import NS, Wave

_ILLEGAL_FUNCTION = 1
_ILLEGAL_ADDRESS = 2
_ERROR_BIT = 0x80
_PLAIN_REGISTERS = 16
_FORGET_NS = 100_000_000  # half a request is no request after such a silence


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    field: Field
    low: float
    high: float
    wave: Wave

    def at(self, now_ns: int) -> float:
        """The value at a moment; a counter climbs from low by its whole range each hour."""
        if self.field.channel.kind == "counter":
            return self.low + (self.high - self.low) * now_ns / (3600 * NS)
        return self.wave.at(now_ns)


class ModbusSimulator:
    """One unit.

    Args:
        unit: Its address; an any-unit address is answered too.
        line: Its line settings.
        questions: What it can be asked; empty: sixteen registers and bits of each kind.
        seed: Chooses the values.
    """

    def __init__(self, *, unit: int, line: Line, questions: Sequence[Question], seed: int) -> None:
        self.line = line
        self._unit = unit
        self._buffer = b""
        self._heard_ns = 0
        self._plain = not questions
        self._spans = [(one.request.function, one.request.register, one.request.count) for one in questions]
        self._cells: dict[tuple[int, int], _Cell] = {}
        for question in questions:
            for field in question.fields:
                low, high = field.simulate or (field.channel.low or 0.0, field.channel.high or 100.0)
                wave = Wave(low, high, seed=seed + field.register)
                self._cells[question.request.function, field.register] = _Cell(
                    field=field, low=low, high=high, wave=wave
                )
        self._waves = [Wave(0, 1000, seed=seed + register) for register in range(_PLAIN_REGISTERS)]

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Answer each request in the bytes."""
        if now_ns - self._heard_ns > _FORGET_NS:
            self._buffer = b""
        self._heard_ns = now_ns
        self._buffer += data
        answers: list[bytes] = []
        while len(self._buffer) >= REQUEST_BYTES:
            frame = self._buffer[:REQUEST_BYTES]
            if not is_sealed(frame):
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[REQUEST_BYTES:]
            if frame[0] == self._unit or is_any_unit(frame[0]):
                answers.append(self._answer(frame, now_ns))
        return answers

    def tick(self, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it only answers
        """Nothing: it only answers."""
        return []

    def deadline(self) -> int | None:
        """None: it only answers."""
        return None

    def _answer(self, frame: bytes, now_ns: int) -> bytes:
        function = frame[1]
        first, count = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
        known = (*BIT_FUNCTIONS, *WORD_FUNCTIONS) if self._plain else [span[0] for span in self._spans]
        if function not in known:
            return sealed(bytes((frame[0], function | _ERROR_BIT, _ILLEGAL_FUNCTION)))
        if not count or not self._holds(function, first, count):
            return sealed(bytes((frame[0], function | _ERROR_BIT, _ILLEGAL_ADDRESS)))
        data = self._bits(function, first, count, now_ns)
        if function in WORD_FUNCTIONS:
            data = self._words(function, first, count, now_ns)
        return sealed(bytes((frame[0], function, len(data))) + data)

    def _holds(self, function: int, first: int, count: int) -> bool:
        if self._plain:
            return first + count <= _PLAIN_REGISTERS
        return any(
            span == function and at <= first and first + count <= at + length for span, at, length in self._spans
        )

    def _words(self, function: int, first: int, count: int, now_ns: int) -> bytes:
        if self._plain:
            return b"".join(round(wave.at(now_ns)).to_bytes(2, "big") for wave in self._waves[first : first + count])
        memory = bytearray((count + 2) * 2)
        for (kind, register), cell in self._cells.items():
            at = (register - first) * 2
            if kind == function and 0 <= at < count * 2:
                raw = cell.field.encode(cell.at(now_ns))
                memory[at : at + len(raw)] = raw
                for lookup in cell.field.scale_by:
                    code_at = (lookup.register - first) * 2
                    memory[code_at : code_at + 2] = next(iter(lookup.factors)).to_bytes(2, "big")
        return bytes(memory[: count * 2])

    def _bits(self, function: int, first: int, count: int, now_ns: int) -> bytes:
        packed = 0
        for place in range(count):
            cell = self._cells.get((function, first + place))
            wave = cell.wave if cell else self._waves[(first + place) % _PLAIN_REGISTERS]
            middle = 0.5 if cell else 500
            packed |= (wave.at(now_ns) > middle) << place
        return packed.to_bytes((count + 7) // 8, "little")
