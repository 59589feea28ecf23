"""Modbus RTU frames: requests, replies, exceptions. Only the four reading functions exist here. No I/O.

Source: MODBUS Application Protocol Specification V1.1b3, sections 6.1 to 6.4 and 7;
MODBUS over Serial Line V1.02, section 2.5.1.
"""

import re
from dataclasses import dataclass
from typing import Literal

READ_COILS = 1
READ_DISCRETE = 2
READ_HOLDING = 3
READ_INPUT = 4
BIT_FUNCTIONS = (READ_COILS, READ_DISCRETE)
WORD_FUNCTIONS = (READ_HOLDING, READ_INPUT)
READ_RAM = 0x44  # Senseair's own, answered like a register; understood where it is declared, never asked
REQUEST_BYTES = 8
SERVER_ITSELF = 255  # Messaging on TCP/IP V1.0b, 4.4.1.2: unit of a Modbus TCP server that is no gateway
TARGET_SILENT = 11  # exception of a gateway: the unit behind it gave no answer
MOST_WORDS = 125
MOST_BITS = 2000

_ERROR_BIT = 0x80
_ERROR_BYTES = 5
_REPLY_HEAD = 3
_CRC_BYTES = 2
_SHORTEST = 5
_POLYNOMIAL = 0xA001
_SECOND = re.compile(rb"[\x01-\x04\x81-\x84]")  # functions that we ask, and their refusals
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc >> 1) ^ _POLYNOMIAL if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_TABLE = _table()


def crc16(data: bytes, start: int = 0xFFFF) -> int:
    """CRC-16/MODBUS: polynomial A001 reflected, start FFFF. With start 0 it is CRC-16/ARC."""
    crc = start
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def sealed(body: bytes) -> bytes:
    """Frame a body: the CRC follows, low byte first."""
    return body + crc16(body).to_bytes(2, "little")


def is_sealed(frame: bytes) -> bool:
    """Whether a frame ends with the CRC of the rest."""
    return crc16(frame[:-_CRC_BYTES]) == int.from_bytes(frame[-_CRC_BYTES:], "little")


def exception_name(code: int) -> str:
    """An exception code in words."""
    return f"exception {code}: {_EXCEPTIONS.get(code, 'unknown to the standard')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question for registers or bits.

    Attributes:
        unit: Address on the bus.
        function: 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers.
        register: First address on the wire, counted from 0.
        count: How many registers or bits.
    """

    unit: int
    function: int
    register: int
    count: int

    @property
    def data_bytes(self) -> int:
        """Length of the data in a right reply."""
        return (self.count + 7) // 8 if self.function in BIT_FUNCTIONS else self.count * 2

    def encode(self) -> bytes:
        """The frame to write."""
        words = self.register.to_bytes(2, "big") + self.count.to_bytes(2, "big")
        return sealed(bytes((self.unit, self.function)) + words)

    def __str__(self) -> str:
        return f"unit {self.unit} function {self.function} register {self.register} count {self.count}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A valid frame found in a stream.

    Attributes:
        kind: ``reply`` with ``data``, ``exception`` with ``code``, or ``request`` (the bus's other direction).
        unit: Address on the bus.
        function: Without the error bit.
        data: Register or coil bytes of a reply; address and count of a request.
        code: Exception code; 0 otherwise.
        start: Where it begins.
        end: Just behind it.
    """

    kind: Literal["reply", "exception", "request"]
    unit: int
    function: int
    data: bytes = b""
    code: int = 0
    start: int
    end: int


def frame_at(data: bytes, at: int) -> Frame | None:
    """Read the valid frame that starts exactly at ``at``; None when there is none, or not all of it yet."""
    if len(data) - at < _SHORTEST:
        return None
    unit, function, third = data[at], data[at + 1], data[at + 2]
    if function & _ERROR_BIT:
        plain = function & ~_ERROR_BIT
        end = at + _ERROR_BYTES
        if plain and third and is_sealed(data[at:end]):
            return Frame(kind="exception", unit=unit, function=plain, code=third, start=at, end=end)
        return None
    if function not in (*BIT_FUNCTIONS, *WORD_FUNCTIONS, READ_RAM):
        return None
    end = at + _REPLY_HEAD + third + _CRC_BYTES
    even = function in BIT_FUNCTIONS or third % 2 == 0
    if third and even and end <= len(data) and is_sealed(data[at:end]):
        return Frame(
            kind="reply", unit=unit, function=function, data=data[at + _REPLY_HEAD : end - 2], start=at, end=end
        )
    end = at + REQUEST_BYTES
    if function != READ_RAM and end <= len(data) and is_sealed(data[at:end]):
        return Frame(kind="request", unit=unit, function=function, data=data[at + 2 : end - 2], start=at, end=end)
    return None


def answer(request: Request, data: bytes) -> Frame | None:
    """Find the answer to a request among the bytes since it was sent; None while there is none.

    What is not the answer is skipped: the echo of the request, another unit's frames, a reply of another function or
    length, and noise, one byte at a time.
    """
    echo = data.find(request.encode())
    at = echo + REQUEST_BYTES if echo >= 0 else 0
    while second := _SECOND.search(data, at + 1):  # noise costs a search, not a look at each of its bytes
        frame = frame_at(data, second.start() - 1)
        if frame is None:
            at = second.start()
            continue
        if _answers(request, frame):
            return frame
        at = frame.end
    return None


def _answers(request: Request, frame: Frame) -> bool:
    if frame.kind == "request" or frame.unit != request.unit or frame.function != request.function:
        return False
    return frame.kind == "exception" or len(frame.data) == request.data_bytes
