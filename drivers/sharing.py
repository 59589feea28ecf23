"""Who can share a port. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.driver import DriverInfo, Line, OptionValue

_HIGHEST_UNIT = 247  # MODBUS over Serial Line V1.02, 2.2: addresses beyond name no single unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A sensor on a port, as far as sharing goes.

    Attributes:
        sensor: Its name.
        info: Its driver.
        address: Where it answers on the bus; None where the protocol has no addresses.
        line: Line settings it is configured with.
    """

    sensor: str
    info: DriverInfo
    address: int | None
    line: Line | None


def attached(sensor: str, info: DriverInfo, options: Mapping[str, OptionValue], line: Line | None = None) -> Attached:
    """Describe a configured sensor for `clashes`.

    Args:
        sensor: Its name.
        info: Its driver.
        options: Its section's own options.
        line: Override of the driver's line settings.
    """
    defaults = [option.default for option in info.options if option.name == "unit"]
    address = options.get("unit", defaults[0]) if defaults else None
    return Attached(
        sensor=sensor, info=info, address=address if isinstance(address, int) else None, line=line or info.line
    )


def clashes(sensors: Sequence[Attached]) -> str | None:
    """Say why sensors cannot share one port; None when they can."""
    if len(sensors) < 2:  # noqa: PLR2004 - sharing takes two
        return None
    for one in sensors:
        if not one.info.shares_bus:
            others = ", ".join(other.sensor for other in sensors if other is not one)
            return f"{one.sensor} ({one.info.name}) must be alone on its port, but shares it with {others}"
    first, *rest = sensors
    for other in rest:
        if other.line != first.line:
            return f"{first.sensor} speaks {first.line} but {other.sensor} {other.line}; one port has one line setting"
    seen: dict[int, str] = {}
    for one in sensors:
        if one.address is None:
            continue
        if one.address > _HIGHEST_UNIT:
            return (
                f"{one.sensor} uses unit {one.address}, which any unit answers to; on a shared port give it its own"
                " address with unit = 1 to 247"
            )
        if one.address in seen:
            return f"unit {one.address} is both {seen[one.address]} and {one.sensor}; each needs its own address"
        seen[one.address] = one.sensor
    return None
