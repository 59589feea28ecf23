"""Modbus TCP on one connection: RTU frames to MBAP frames and back, so that all above it know one kind of Modbus. Pure.

A reply is matched by its transaction number: a late or second one never reaches whoever asks next. Its CRC is made
here; on this way TCP guards the bytes.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, sections 4.4.1.2 (request) and 4.4.1.3 (confirmation);
MODBUS Application Protocol Specification V1.1b3, section 4.1 (longest PDU).
"""

from drivers.errors import FrameError
from drivers.serial.rtu import SERVER_ITSELF, is_sealed, sealed

_HEAD = 6  # transaction, protocol, length; the length counts what follows it
_CRC_BYTES = 2
_LEAST, _MOST = 3, 254  # unit, function and one byte more; unit and the longest PDU, 253 bytes
_MODBUS = 0
_RAW_KEPT = 64


class Mbap:
    """One connection; keeps less than one frame between calls."""

    def __init__(self) -> None:
        self._transaction = 0
        self._asked: int | None = None
        self._buffer = b""

    def wrap(self, request: bytes) -> bytes:
        """Return a whole RTU request as it travels over TCP; nothing for what is no Modbus frame."""
        if len(request) < _LEAST + _CRC_BYTES or not is_sealed(request):
            return b""
        self._transaction = (self._transaction + 1) % (1 << 16)
        self._asked = request[0]
        body = request[:-_CRC_BYTES]
        return b"".join(number.to_bytes(2, "big") for number in (self._transaction, _MODBUS, len(body))) + body

    def unwrap(self, data: bytes) -> bytes:
        """Take bytes as they come; return the answers to the last request as RTU frames.

        Raises:
            FrameError: This is no Modbus TCP, or its frames are no longer where they should be: the connection
                cannot be used any more.
        """
        self._buffer += data
        answers = b""
        while len(self._buffer) >= _HEAD:
            transaction, protocol, length = (int.from_bytes(self._buffer[at : at + 2], "big") for at in (0, 2, 4))
            if protocol != _MODBUS or not _LEAST <= length <= _MOST:
                raise FrameError("no Modbus TCP", self._buffer[:_RAW_KEPT])
            if len(self._buffer) < _HEAD + length:
                break
            body, self._buffer = self._buffer[_HEAD : _HEAD + length], self._buffer[_HEAD + length :]
            if self._asked is not None and transaction == self._transaction:
                if self._asked == SERVER_ITSELF:  # which says of itself what it likes
                    body = bytes((SERVER_ITSELF,)) + body[1:]
                self._asked = None
                answers += sealed(body)
        return answers
