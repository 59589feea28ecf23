"""Vectors from where they are kept: the JSON file of a package, and the ``[[vector]]`` tables of a profile."""

import json
from collections.abc import Callable, Mapping, Sequence

import tomli

from drivers.conformance.play import same, values_of
from drivers.conformance.subject import Scalar, Vector
from drivers.driver import DriverInfo, OptionValue
from drivers.errors import DriverError
from drivers.serial.decoded import Decoded

_KEYS = frozenset(
    (
        *("device", "bytes_hex", "check", "expect", "decoded", "source", "verified", "note", "derived"),
        *("request_hex", "helps", "options"),
    )
)


class VectorsError(DriverError):
    """Vectors cannot be read, or a driver contradicts one."""


def read_vectors(text: str, device: str) -> list[Vector]:
    """Read the vectors of one driver.

    Args:
        text: JSON, a list of objects: ``device``, ``bytes_hex``, ``expect`` (``reading``, ``no_reading`` or
            ``reject``), ``decoded`` (``{channel: {value, unit}}``), ``check``, ``source``; where it is asked
            ``request_hex``; where it has options ``options``. ``derived`` true: made, not heard on a wire.
        device: Name of the driver; others are passed over.

    Raises:
        VectorsError: It is no such list, or none is of this driver.
    """
    try:
        given: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VectorsError(f"this is no JSON: {error}") from error
    if not isinstance(given, list):
        raise VectorsError("this is no list of vectors")
    found = [_vector(one, number) for number, one in enumerate(given, start=1) if _is_of(one, number, device)]
    if not found:
        raise VectorsError(f"no vector is of device {device!r}")
    return found


def _is_of(given: object, number: int, device: str) -> bool:
    if not isinstance(given, dict):
        raise VectorsError(f"vector {number} is no object")
    if unknown := given.keys() - _KEYS:
        raise VectorsError(f"vector {number}: {min(unknown)!r} is unknown; a vector takes {', '.join(sorted(_KEYS))}")
    return given.get("device") == device


def _vector(given: Mapping[str, object], number: int) -> Vector:
    expect, options = given.get("expect"), given.get("options", {})
    if not isinstance(options, dict):
        raise VectorsError(f"vector {number}: options is no object")
    frame, values, units = _hex(given, "bytes_hex", number), *_decoded(given.get("decoded", {}), number)
    if expect not in ("reading", "no_reading", "reject"):
        raise VectorsError(f"vector {number}: expect is {expect!r:.40}, not reading, no_reading or reject")
    if not frame:
        raise VectorsError(f"vector {number}: bytes_hex is empty")
    if expect == "reading" and not values:
        raise VectorsError(
            f"vector {number} ({frame.hex(' ')[:59]}) says nothing yet: write in decoded what its source says it means"
        )
    return Vector(
        frame=frame,
        expect="reading" if expect == "reading" else "reject" if expect == "reject" else "no_reading",
        values=values if expect == "reading" else {},
        units=units if expect == "reading" else {},
        check=str(given.get("check", "")),
        source=str(given.get("source", "")),
        derived=given.get("derived") is True,
        request=_hex(given, "request_hex", number),
        helps=given.get("helps") is True,
        options=options,
    )


def _hex(given: Mapping[str, object], key: str, number: int) -> bytes:
    said = given.get(key, "")
    try:
        return bytes.fromhex(said if isinstance(said, str) else "?")
    except ValueError as error:
        raise VectorsError(f"vector {number}: {key} is no hex") from error


def _decoded(given: object, number: int) -> tuple[dict[str, Scalar], dict[str, str]]:
    values: dict[str, Scalar] = {}
    units: dict[str, str] = {}
    for channel, one in given.items() if isinstance(given, dict) else [("?", None)]:
        value, unit = (one.get("value"), one.get("unit")) if isinstance(one, dict) else (None, None)
        if not isinstance(value, int | float | str) or not isinstance(unit, str):
            raise VectorsError(f'vector {number}: decoded is not like {{"distance": {{"value": 1.953, "unit": "m"}}}}')
        values[str(channel)], units[str(channel)] = value, unit
    return values, units


def profile_vectors(text: str, info: DriverInfo) -> list[Vector]:
    """Return the vectors of a profile, which its load has proved, and a damaged reply that must give nothing.

    Args:
        text: The profile.
        info: What it says of itself.
    """
    table = tomli.loads(text)
    units = {channel.name: channel.unit for channel in info.channels}
    found: list[Vector] = []
    for one in table["vector"]:
        request, reply = bytes.fromhex(one["request"]), bytes.fromhex(one["reply"])
        found.append(
            Vector(
                frame=reply,
                expect="reading",
                values=dict(one["expect"]),
                units={name: units[name] for name in one["expect"] if name in units},
                check=info.integrity,
                source=info.source,
                request=request,
                options={"unit": reply[0]},
                decoding={"request": request.hex(" ")},
            )
        )
    first = found[0]
    damaged = first.frame[:-1] + bytes((first.frame[-1] ^ 1,))
    reject = Vector(
        frame=damaged, expect="reject", check=first.check, derived=True, options=first.options, decoding=first.decoding
    )
    return [*found, reject]


def prove(vectors: Sequence[Vector], decode: Callable[[Mapping[str, OptionValue], Sequence[bytes]], Decoded]) -> None:
    """See that frames mean what was published.

    Raises:
        VectorsError: One means something else.
        OptionError: Its options cannot be used.
    """
    for one in vectors:
        found = decode({**one.options, **one.decoding}, [one.frame]).readings
        units = {reading.channel: reading.unit for reading in found}
        wanted_units = all(units.get(name) == unit for name, unit in one.units.items())
        if not same(values_of(found), one.values) or not wanted_units:
            said = {reading.channel: f"{reading.value} {reading.unit}" for reading in found}
            raise VectorsError(f"{one.frame.hex(' ')[:59]}: expected {dict(one.values)}, got {said}")
