"""Warns of sensors that nothing could tell apart if the names of their ports changed places."""

from collections.abc import Sequence

from agent.config.finding import Findings
from agent.config.sensors import Fitted
from drivers.sharing import attached


def warn_lookalikes(fitted: Sequence[Fitted], findings: Findings) -> None:
    """Note each sensor that another one could stand in for unnoticed.

    Both are found by a name that may move, and their units speak alike, at the same address, and say no number of
    their own.
    """
    movable = [one for one in fitted if one.port is not None and one.port.kind == "path" and one.port.warning]
    for place, one in enumerate(movable):
        twin = next((other for other in movable[:place] if _alike(one, other)), None)
        if twin is None:
            continue
        node = one.node.table()["port"]
        findings.warning(
            node.file,
            node.place,
            f"nobody could tell if {twin.sensor.name} and {one.sensor.name} change places: their units have no number",
            given=node.text,
            allowed="names that stay: usb:1-1.2, usb-serial:A50285BI, uart:gpio14",
            cure="write the sockets that `gardu ports` shows, and label them",
        )


def _alike(one: Fitted, other: Fitted) -> bool:
    if one.port == other.port or one.line != other.line or one.info.family != other.info.family:
        return False
    if one.info.proves == other.info.proves == "unit":
        return False
    return _address(one) == _address(other)


def _address(one: Fitted) -> int | None:
    return attached(one.sensor.name, one.info, one.sensor.options).address
