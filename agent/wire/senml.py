"""SenML JSON (RFC 8428): rows to a pack and back.

Records of one channel stand together, ``bn`` and ``bu`` once. ``t`` is seconds before the moment in the batch's
header, exact to 1 ms. A flag is its own record ``/quality`` with ``vs`` right behind its value.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.wire.cbor import UINT_MAX
from agent.wire.errors import Reason, WireError
from agent.wire.topics import NAME

TEXT_BYTES = 256
_MS_PER_S = 1000
_QUALITY = "/quality"
_KEYS = frozenset({"bn", "bu", "bt", "n", "t", "v", "vs", "vb"})
_FLAG = NAME
_USUAL = frozenset({"t", "v"})
"""Keys of nearly every record: the others go the long way."""

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A reading in the spool.

    Attributes:
        path: ``sensor/channel``.
        unit: Symbol.
        boot_ms: CLOCK_BOOTTIME in ms; at most one row per path and ms.
        value: int, finite float, bool or str.
        flags: Doubts, sorted.
    """

    path: str
    unit: str
    boot_ms: int
    value: Scalar
    flags: tuple[str, ...] = ()


def _seconds(ms: int) -> int | float:
    return ms // _MS_PER_S if ms % _MS_PER_S == 0 else ms / _MS_PER_S


def _plain(value: float) -> Scalar:
    return int(value) if value.is_integer() and abs(value) < UINT_MAX else value


def pack(rows: Sequence[Row], *, node: str, at_boot_ms: int, at_utc_ms: int | None) -> bytes:
    """Return the SenML pack of rows.

    Args:
        rows: In order of seq; the order within a channel is kept.
        node: ``city/node``.
        at_boot_ms: The header's moment, at or after every row.
        at_utc_ms: The same moment in UTC when it is believed.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.path, row.unit), []).append(row)
    records: list[dict[str, Scalar]] = []
    for (path, unit), members in groups.items():
        base: dict[str, Scalar] = {"bn": f"{node}/{path}", "bu": unit}
        for row in members:
            t = _seconds(row.boot_ms - at_boot_ms)
            record, base = base, {}
            if t:
                record["t"] = t
            if isinstance(row.value, bool):
                record["vb"] = row.value
            elif isinstance(row.value, str):
                record["vs"] = row.value
            else:
                record["v"] = _plain(row.value) if isinstance(row.value, float) else row.value
            records.append(record)
            doubt: dict[str, Scalar] = {"n": _QUALITY, "t": t} if t else {"n": _QUALITY}
            records.extend({**doubt, "vs": flag} for flag in row.flags)
    if records and at_utc_ms is not None:
        records[0] = {"bt": _seconds(at_utc_ms), **records[0]}
    return json.dumps(records, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _no_nan(word: str) -> float:
    raise WireError(Reason.BODY, f"{word} is not a number of JSON")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WireError(Reason.BODY, "a key stands twice in one object")
    return found


def _finite(word: str) -> float:
    value = float(word)
    if math.isinf(value):
        raise WireError(Reason.BODY, f"{word} is beyond a double")
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_nan, parse_float=_finite)


def load_json(plain: bytes) -> object:
    """Parse strict JSON: UTF-8, no NaN, no number beyond a double, no key twice, nothing after it.

    Raises:
        WireError: body.
    """
    try:
        text = plain.decode("utf-8")
        value: object = _decoder.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text and breaks who stores it
    except (ValueError, RecursionError) as error:
        raise WireError(Reason.BODY, f"not JSON: {error}") from error
    return value


def unpack(plain: bytes, *, node: str, at_boot_ms: int, at_utc_ms: int | None) -> list[Row]:
    """Return the rows of a pack, in the pack's order.

    Args:
        plain: The inflated body.
        node: ``city/node`` of the header.
        at_boot_ms: Moment of the header.
        at_utc_ms: The same in UTC; the pack's base time must say the same, or nothing where this is None.

    Raises:
        WireError: body, when it is not a pack as this module writes it.
    """
    records = load_json(plain)
    if not isinstance(records, list):
        raise WireError(Reason.BODY, "a pack is a JSON array")
    prefix = node + "/"
    rows: list[Row] = []
    seen: set[tuple[str, int]] = set()
    path = unit = ""
    t_of_row: object = None
    for place, record in enumerate(records):
        if path and isinstance(record, dict) and record.keys() == _USUAL:
            t, value = record["t"], _number(record["v"], place)
            row = Row(path=path, unit=unit, boot_ms=_moment(t, at_boot_ms, place), value=value)
            t_of_row = t
            _once_a_ms(row, seen, place)
            rows.append(row)
            continue
        if not isinstance(record, dict) or record.keys() - _KEYS:
            raise WireError(Reason.BODY, f"record {place} is not one of ours")
        if place == 0:
            _base_time(record.get("bt"), at_utc_ms)
        elif "bt" in record:
            raise WireError(Reason.BODY, "the base time stands in the first record only")
        if "bn" in record:
            path, unit = _base(record, prefix)
        elif not path or "bu" in record:
            raise WireError(Reason.BODY, f"record {place} has no base name")
        t = record.get("t", 0)
        if "n" in record:
            if record["n"] != _QUALITY or "bn" in record or type(t) is bool or t != t_of_row:
                raise WireError(Reason.BODY, f"record {place}: a flag follows the value it doubts")
            flag = record.get("vs")
            if not isinstance(flag, str) or not _FLAG.fullmatch(flag) or "v" in record or "vb" in record:
                raise WireError(Reason.BODY, f"record {place}: a flag is a short word")
            if flag in rows[-1].flags:
                raise WireError(Reason.BODY, f"record {place}: the flag {flag} stands twice")
            rows[-1] = replace(rows[-1], flags=(*rows[-1].flags, flag))
            continue
        t_of_row = t
        row = Row(path=path, unit=unit, boot_ms=_moment(t, at_boot_ms, place), value=_value(record, place))
        _once_a_ms(row, seen, place)
        rows.append(row)
    return rows


def _once_a_ms(row: Row, seen: set[tuple[str, int]], place: int) -> None:
    key = (row.path, row.boot_ms)
    if key in seen:
        raise WireError(Reason.BODY, f"record {place}: {row.path} has two rows in one ms")
    seen.add(key)


def _base_time(bt: object, at_utc_ms: int | None) -> None:
    wanted = None if at_utc_ms is None else _seconds(at_utc_ms)
    if type(bt) is bool or bt != wanted:
        raise WireError(Reason.BODY, f"the base time is {bt!r}, the moment of the header {wanted!r}")


def _base(record: dict[str, object], prefix: str) -> tuple[str, str]:
    name, unit = record["bn"], record.get("bu")
    if not isinstance(name, str) or not name.startswith(prefix):
        raise WireError(Reason.BODY, f"the base name {name!r} is not below {prefix}")
    path = name[len(prefix) :]
    sensor, _, channel = path.partition("/")
    if not NAME.fullmatch(sensor) or not NAME.fullmatch(channel):
        raise WireError(Reason.BODY, f"{path!r} is not sensor/channel")
    if not isinstance(unit, str) or not 0 < len(unit) <= TEXT_BYTES:
        raise WireError(Reason.BODY, f"{path} has no unit")
    return path, unit


def _moment(t: object, at_boot_ms: int, place: int) -> int:
    if not isinstance(t, (int, float)) or isinstance(t, bool) or not -UINT_MAX / _MS_PER_S <= t <= 0:
        raise WireError(Reason.BODY, f"record {place}: t is not zero or negative seconds")
    ms = round(t * _MS_PER_S)
    if t != _seconds(ms) or at_boot_ms + ms < 0:
        raise WireError(Reason.BODY, f"record {place}: t is not exact to 1 ms, or before the boot")
    return at_boot_ms + ms


def _number(value: object, place: int) -> int | float:
    if type(value) is float or (type(value) is int and abs(value) <= UINT_MAX):
        return value
    raise WireError(Reason.BODY, f"record {place} has not exactly one value of its kind")


def _value(record: dict[str, object], place: int) -> Scalar:
    found = [key for key in ("v", "vs", "vb") if key in record]
    if len(found) == 1:
        value = record[found[0]]
        if found == ["v"]:
            return _number(value, place)
        if found == ["vb"] and isinstance(value, bool):
            return value
        if found == ["vs"] and isinstance(value, str) and len(value.encode("utf-8", "replace")) <= TEXT_BYTES:
            return value
    raise WireError(Reason.BODY, f"record {place} has not exactly one value of its kind")
