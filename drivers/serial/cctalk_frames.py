"""ccTalk on the wire: messages with either checksum, cut out of an echo, noise and the talk of others. No I/O.

Source: ccTalk generic specification 4.6, part 1, 7 and 8 (message, checksums).
"""

from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.framing import Dropped, Noise, Piece, sum8

HOST = 1
REPLY, NAK, BUSY = 0, 5, 6
SHORTEST = 5
"""Bytes of a message without data: destination, length, source, header, checksum."""
LONGEST_DATA = 32
"""Bytes of data in the longest answer that is asked for here."""
_RAW_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, whichever its checksum; ``source`` is None where a CRC takes its place."""

    destination: int
    source: int | None
    header: int
    data: bytes


def message(destination: int, header: int, data: bytes = b"", *, source: int = HOST, crc: bool = False) -> bytes:
    """Frame a message."""
    head = bytes((destination, len(data)))
    if crc:
        total = crc_hqx(head + bytes((header,)) + data, 0)
        return head + bytes((total & 0xFF, header)) + data + bytes((total >> 8,))
    body = head + bytes((source, header)) + data
    return body + bytes((-sum8(body) & 0xFF,))


def read(frame: bytes, *, crc: bool) -> Message | None:
    """Read a whole frame; None when its checksum is wrong."""
    data = frame[4:-1]
    again = message(frame[0], frame[3], data, source=frame[2], crc=crc)
    if again != frame:
        return None
    return Message(destination=frame[0], source=None if crc else frame[2], header=frame[3], data=data)


class Messages:
    """Codec: replies of one unit to the host among an echo, noise and the talk of others.

    A byte that could begin a longer message never hides a whole one behind it: what matters is the answer, and now.
    """

    def __init__(self, unit: int, *, crc: bool) -> None:
        self._unit = unit
        self._crc = crc
        self._buffer = b""

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the replies they complete."""
        self._buffer += data
        out: list[Piece] = []
        noise = Noise()
        at = lost = 0
        while at + SHORTEST <= len(self._buffer):
            end = at + SHORTEST + self._buffer[at + 1]
            found = read(self._buffer[at:end], crc=self._crc) if end <= len(self._buffer) else None
            if found is None or not self._is_reply(found):
                at += 1
                continue
            noise.add(self._buffer[lost:at], out)
            noise.flush(out)
            out.append(self._buffer[at:end])
            at = lost = end
        if lost:
            self._buffer = self._buffer[lost:]
        return out

    def _is_reply(self, found: Message) -> bool:
        ours = found.destination == HOST and found.source in (None, self._unit)
        return ours and found.header in (REPLY, NAK, BUSY) and len(found.data) <= LONGEST_DATA

    def rest(self) -> list[Dropped]:
        """Give up what is held."""
        gone, self._buffer = self._buffer, b""
        return [Dropped(reason="noise", raw=gone[:_RAW_KEPT], count=len(gone))] if gone else []

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return len(self._buffer)


class Talk:
    """Codec: messages between anybody, one behind the other.

    Args:
        crcs: Kinds of checksum that may guard them.
    """

    def __init__(self, crcs: Sequence[bool]) -> None:
        self._crcs = tuple(crcs)

    def feed(self, data: bytes) -> list[Piece]:
        """Take whole messages; return them, and what is none."""
        out: list[Piece] = []
        at = 0
        while at < len(data):
            end = at + SHORTEST + (data[at + 1] if at + 1 < len(data) else 0)
            frame = data[at:end]
            if end <= len(data) and any(read(frame, crc=crc) for crc in self._crcs):
                out.append(frame)
                at = end
                continue
            reason = "checksum" if end <= len(data) else "incomplete"
            out.append(Dropped(reason=reason, raw=data[at : at + _RAW_KEPT], count=len(data) - at))
            break
        return out

    def rest(self) -> list[Dropped]:
        """Nothing: it holds nothing."""
        return []

    @property
    def held(self) -> int:  # pragma: no cover - only `decode` has it, and does not ask
        """Bytes kept for later."""
        return 0
