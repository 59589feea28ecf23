"""How often noise may pass for a frame: what each family's frames are guarded by, in bits.

A frame passes by chance once in 2 to the power of all bits that must be right: those of the checksum, and those that
are the same in every frame. The runtime believes it only when the next frame agrees, where a driver wants that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.driver import DriverInfo

MEGABYTE = 1_000_000
_CHECK_BITS = {"crc16": 16, "sum16": 16, "sum8": 8, "xor": 8, "none": 0}
_AGREE = 0.04  # of all values are within 2 % of the range, up or down, of the one before
_SIGMAS = 3
_UNKNOWN = 8  # bits of a family that is not listed: a mark of one byte
_DIGIT = 4.68  # bits that are right when a byte must be a figure: 8 - log2(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What must be right in a frame besides its checksum.

    Attributes:
        bits: How many, in the shortest frame that is understood.
        words: Which they are.
    """

    bits: float
    words: str


GRAMMARS: Mapping[str, Grammar] = {
    "cctalk": Grammar(bits=24, words="to host, from unit, header 0"),
    "dsmr": Grammar(
        bits=72, words="/, a digit of speed, empty line, line of the !, codes; CRC-16 but in versions 2 and 3"
    ),
    "escpos": Grammar(bits=4, words="four fixed bits of one byte, and nothing else"),
    "iec62056": Grammar(bits=56, words="STX, a code with its parentheses, ! CR LF, ETX"),
    "line": Grammar(bits=16, words="the shortest layout: a separator, a line end, figures only"),
    "maxbotix": Grammar(bits=16 + 3 * _DIGIT, words="R, three or four figures, CR"),
    "mhz19": Grammar(bits=16, words="FF, the question's number"),
    "modbus": Grammar(bits=24, words="unit, function, count of bytes"),
    "modem_at": Grammar(bits=64, words="+CSQ: with line ends, or longer"),
    "nmea": Grammar(bits=48, words="$, name of the sentence, comma, star"),
    "plantower": Grammar(bits=32, words="42 4D and the length"),
    "rg15": Grammar(bits=96, words="Acc, mm, EventAcc, TotalAcc, RInt and line end"),
    "sdi12": Grammar(bits=32, words="address, sign, CR LF"),
    "sds011": Grammar(bits=24, words="AA C0 and AB"),
    "ultrasonic": Grammar(bits=8, words="FF"),
    "ups_megatec": Grammar(bits=72, words="bracket, seven blanks, CR"),
    "ups_voltronic": Grammar(bits=56, words="bracket, blanks between fields, CR"),
    "vedirect": Grammar(bits=88, words="CR LF, Checksum, tabs"),
    "windsonic": Grammar(bits=56, words="STX, commas, ETX"),
    "wxt": Grammar(bits=32, words="address, R, a digit, a comma"),
}
"""By family. Bytes of text count eight bits each."""


def strength_bits(info: DriverInfo) -> float:
    """Bits that must be right by chance, checksum included."""
    grammar = GRAMMARS.get(info.family)
    return (grammar.bits if grammar else _UNKNOWN) + _CHECK_BITS[info.integrity]


def taken_per_mb(info: DriverInfo) -> float:
    """Frames that a megabyte of uniform noise may hold."""
    return float(MEGABYTE / 2 ** strength_bits(info))


def believed_per_mb(info: DriverInfo) -> float:
    """Those of them that the frames behind them may confirm; one state agrees with the next far too easily to count."""
    states = any(channel.kind in ("state", "text") for channel in info.channels)
    return taken_per_mb(info) * (1.0 if states else _AGREE ** (info.confirm - 1))


def at_most(per_mb: float, size_bytes: int) -> int:
    """Largest count that chance explains."""
    mean = per_mb * size_bytes / MEGABYTE
    return math.floor(mean + _SIGMAS * math.sqrt(mean))
