"""How busy and how noisy the radio's channel is: ``iw dev X survey dump`` and /proc/net/wireless. Pure.

Source: iw survey.c (print_survey_handler); Linux net/wireless/wext-proc.c (wireless_seq_printf_stats): a dot after a
number says that it is new, and a level of 0 comes out as -256.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from drivers.probe import AnswerError, Facts

_HEAD = re.compile(r"Survey data from \S.*")
_LINE = re.compile(r"\s+([^:]+):\s*(.*)")
_FREQUENCY = re.compile(r"(\d+)(?:\.\d+)? MHz( \[in use\])?")
_MEASURED = {
    "noise": ("noise_dbm", re.compile(r"(-?\d+) dBm")),
    "channel active time": ("active_ms", re.compile(r"(\d+) ms")),
    "channel busy time": ("busy_ms", re.compile(r"(\d+) ms")),
}
_LEVEL = re.compile(r"(-?\d+)\.?")
_NOT_SET = -256
_LEAST_COLUMNS = 9  # up to the discarded packets; what follows is not read
_HEAD_LINES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey(Facts):
    """The channel in use.

    Attributes:
        in_use_mhz: Its frequency; None when the driver names none.
        noise_dbm: Of the channel without any sender.
        active_ms: For how long the radio listened to it.
        busy_ms: For how long of that somebody was on the air.
    """

    in_use_mhz: int | None = None
    noise_dbm: int | None = None
    active_ms: int | None = None
    busy_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels(Facts):
    """What an interface hears."""

    level_dbm: int | None
    noise_dbm: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wireless(Facts):
    """/proc/net/wireless."""

    interfaces: Mapping[str, Levels]

    def said(self) -> dict[str, object]:
        """Return the levels by interface."""
        return {name: asdict(levels) for name, levels in self.interfaces.items()}


def parse_iw_survey(raw: bytes) -> Survey:
    """Read ``iw dev X survey dump``; of all channels the one in use counts."""
    blocks: list[dict[str, str]] = []
    for line in raw.decode("utf-8", "replace").splitlines():
        if _HEAD.fullmatch(line):
            blocks.append({})
        elif line.strip():
            said = _LINE.fullmatch(line)
            if said is None or not blocks:
                raise AnswerError("lines of a survey dump are expected: Survey data from ..., then name: value")
            blocks[-1][said[1]] = said[2].strip()
    channels = [(_FREQUENCY.fullmatch(block.get("frequency", "")), block) for block in blocks]
    if not channels or any(frequency is None for frequency, _ in channels):
        raise AnswerError("a survey dump is expected: Survey data from ..., then frequency: ... MHz")
    surveys = [(frequency, _measured(block)) for frequency, block in channels]  # of all: half a line must not pass
    for frequency, values in surveys:
        if frequency and frequency[2]:
            return Survey(in_use_mhz=int(frequency[1]), **values)
    return Survey()


def _measured(block: Mapping[str, str]) -> dict[str, int]:
    found = {}
    for name, (field, form) in _MEASURED.items():
        if name in block:
            value = form.fullmatch(block[name])
            if value is None:
                raise AnswerError(f"{name} has no number with its unit")
            found[field] = int(value[1])
    return found


def parse_wireless(raw: bytes) -> Wireless:
    """Read /proc/net/wireless."""
    lines = [line.strip() for line in raw.decode("ascii", "replace").splitlines()]
    if len(lines) < _HEAD_LINES or not lines[0].startswith("Inter-|") or not lines[1].startswith("face | tus"):
        raise AnswerError("the two head lines of /proc/net/wireless are expected")
    found = {}
    for line in filter(None, lines[_HEAD_LINES:]):
        name, colon, rest = line.partition(": ")
        columns = rest.split()
        levels = [_LEVEL.fullmatch(column) for column in columns[2:4]]
        if not colon or len(columns) < _LEAST_COLUMNS or None in levels:
            raise AnswerError("lines with an interface and nine columns or more are expected")
        level, noise = (_dbm(int(each[1])) for each in levels if each)
        found[name] = Levels(level_dbm=level, noise_dbm=noise)
    return Wireless(interfaces=found)


def _dbm(value: int) -> int | None:
    """Return a level that is one; without dBm a driver counts upwards from 0 in steps of its own."""
    return value if _NOT_SET < value < 0 else None
