"""What must hold between sensors that name one port."""

from collections.abc import Sequence

from agent.config.finding import Findings
from agent.config.sensors import Fitted
from drivers.driver import Line
from drivers.sharing import Attached, attached, clashes

_HIGHEST_UNIT = 247  # MODBUS over serial line V1.02, 2.2: addresses beyond name no single unit


def share_ports(fitted: Sequence[Fitted], findings: Findings) -> list[Fitted]:
    """Return the sensors that are right and can stand together; one that disturbs another is noted.

    A sensor that is wrong by itself is compared too, but never costs another one its place.
    """
    ports: dict[str, list[Fitted]] = {}
    out: list[Fitted] = [one for one in fitted if one.driver is None]
    for one in [*(one for one in fitted if one.driver), *out]:
        if one.port is None:
            continue
        company = ports.setdefault(one.port.name, [])
        company.append(one)
        reason = clashes([_seat(member) for member in company])
        if reason:
            culprit = _blame(company, reason, findings)
            company.remove(culprit)
            out.append(culprit)
    return [one for one in fitted if one not in out]


def _seat(one: Fitted) -> Attached:
    line = Line() if one.port is not None and one.port.mbap else one.sensor.line  # the gateway knows its lines
    return attached(one.sensor.name, one.info, one.sensor.options, line)


def _blame(company: Sequence[Fitted], reason: str, findings: Findings) -> Fitted:
    """Note why the last sensor of a company cannot join it; return the one that has to go.

    Args:
        company: Who stands on the port.
        reason: What `clashes` says of them.
        findings: Where the problem goes.
    """
    first, one = company[0], company[-1]
    culprit, key = one, "port"
    allowed = "several sensors on one port only where each is asked by its own address"
    cure = f'give "{one.sensor.name}" or "{first.sensor.name}" its own port'
    if one.info.shares_bus and first.info.shares_bus:
        if _seat(one).line != _seat(first).line:
            key = "line" if one.sensor.line else "driver"
            allowed = f"one line setting on a port, here {first.line}"
            cure = (
                f'set both units to one setting and write it in both sections: line = "{first.line}"; or use two ports'
            )
        else:
            key = "unit"
            culprit = first if _answers_to_any(first) and one.driver else one
            allowed = "each unit address once on a port, from 1 to 247"
            taken = {_seat(member).address for member in company}
            free = next(address for address in range(1, _HIGHEST_UNIT + 1) if address not in taken)
            cure = f"set the unit to an address of its own and write it: unit = {free}, or another that is free"
    section = culprit.node.table()
    node = section.get(key, section["driver"])
    findings.error(node.file, node.place, reason, given=_given(culprit, key), allowed=allowed, cure=cure)
    return culprit


def _answers_to_any(one: Fitted) -> bool:
    address = _seat(one).address
    return address is not None and address > _HIGHEST_UNIT


def _given(one: Fitted, key: str) -> str:
    if key in {"line", "driver"}:
        return f"{one.line}"
    node = one.node.table().get(key)
    return f"{key} = {node.text}" if node else f"unit = {_seat(one).address}, the driver's own"
