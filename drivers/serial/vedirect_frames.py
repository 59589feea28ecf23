"""VE.Direct on the wire: text blocks, and the HEX messages that land inside them, into checked frames. No I/O.

Source: Victron "VE.Direct Protocol" 3.33 (text blocks, checksum) and "VE.Direct Protocol FAQ" (HEX messages may come
at any byte of a block and do not count in its sum); "BlueSolar HEX protocol", section 1 (their checksum).
"""

import re

from drivers.framing import Dropped, Noise, Piece

HEX_START = b":"
_HEX_DIGITS = frozenset(b"0123456789ABCDEFabcdef")
_HEX_LONGEST = 160  # digits; the longest known history record has 70
_HEX_SUM = 0x55
_CLOSING = b"\r\nChecksum\t"  # the byte behind it makes the sum of the block 0; it may be any byte, ":" and CR too
_BLOCK_LONGEST = 1024
_RAW_KEPT = 64
_BLOCK = re.compile(rb"(?:\r\n[!-~]{1,16}\t[ -~]{0,40})+.", re.DOTALL)
_BEGINNING = re.compile(rb"\r(?:\Z|\n(?:\Z|[!-~]))")  # of a block, as far as it goes
_BEGINNING_BYTES = 3
_CR, _COLON, _TAB = b"\r:\t"


class VeDirectFrames:
    """Cuts the stream: a block is a frame from its first CR to its checksum byte, a HEX message from its colon.

    Before the first checksum nobody knows where a block began, so all of it must be one. Later a block begins behind
    the checksum of the one before; what is no line end there is noise. A block that fails is dropped whole.
    """

    __slots__ = ("_block", "_closing", "_hex", "_noise", "_synchronised")

    def __init__(self) -> None:
        self._block = bytearray()
        self._closing = False
        self._hex: bytearray | None = None
        self._noise = Noise()
        self._synchronised = False

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the frames and drops they complete, in order."""
        out: list[Piece] = []
        for byte in data:
            if self._hex is None:
                self._text(byte, out)
            elif byte in _HEX_DIGITS and len(self._hex) < _HEX_LONGEST:
                self._hex.append(byte)
            else:
                out.append(_checked_hex(bytes(self._hex)))
                self._hex = None
                if byte in _HEX_DIGITS or byte in (_CR, _COLON):  # any other byte is its line feed, whole or damaged
                    self._text(byte, out)
        return out

    def _text(self, byte: int, out: list[Piece]) -> None:
        if byte == _COLON and not self._closing:
            self._hex = bytearray(HEX_START)
            return
        self._block.append(byte)
        if self._closing:
            self._noise.flush(out)
            out.append(_checked_block(bytes(self._block)))
            self._synchronised = True
        elif len(self._block) > _BLOCK_LONGEST:
            out.append(_dropped("too long", "", bytes(self._block)))
        else:
            self._closing = byte == _TAB and self._block.endswith(_CLOSING)
            if self._synchronised and len(self._block) <= _BEGINNING_BYTES and not _BEGINNING.match(self._block):
                kept = 1 if byte == _CR else 0
                self._noise.add(bytes(self._block[: len(self._block) - kept]), out)
                del self._block[: len(self._block) - kept]
            return
        self._block.clear()
        self._closing = False

    def rest(self) -> list[Dropped]:
        """Give up what is held and return it as dropped."""
        held = [bytes(part) for part in (self._block, self._hex or b"") if part]
        self._block.clear()
        self._closing, self._hex, self._synchronised = False, None, False
        return [*self._noise.take(), *(_dropped("incomplete", "no end", part) for part in held)]

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return len(self._block) + len(self._hex or b"") + self._noise.held


def _checked_block(block: bytes) -> Piece:
    if total := sum(block) & 0xFF:
        return _dropped("checksum", f"the bytes of the block sum to {total:02x}, not 0", block)
    if not _BLOCK.fullmatch(block):
        return _dropped("block", "not lines of label, tab and value", block)
    return block


def _checked_hex(message: bytes) -> Piece:
    digits = message[1:].decode()
    if len(digits) % 2 == 0:
        return _dropped("hex", "not a command digit and whole bytes", message)
    total = sum(bytes.fromhex(f"0{digits}")) & 0xFF
    if total != _HEX_SUM:
        return _dropped("hex checksum", f"sum {total:02x}, not {_HEX_SUM:02x}", message)
    return message


def _dropped(reason: str, detail: str, raw: bytes) -> Dropped:
    return Dropped(reason=reason, detail=detail, raw=raw[:_RAW_KEPT], count=len(raw))
