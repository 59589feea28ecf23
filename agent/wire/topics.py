"""MQTT topics of one node, and who a topic belongs to. The stream in a batch's header counts; a lane is a hint."""

import re
from typing import Literal

Lane = Literal["alarm", "live", "history"]

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
"""Names of city, node, sensor and channel."""

_PREFIX = "gardu/v1"
_UP = re.compile(rf"{_PREFIX}/({NAME.pattern})/({NAME.pattern})/(up/hello|up/alarm|up/live|up/history|state)", re.ASCII)


def up(city: str, node: str, lane: Lane) -> str:
    """Topic of batches."""
    return f"{_PREFIX}/{city}/{node}/up/{lane}"


def hello(city: str, node: str) -> str:
    """Topic of hello."""
    return f"{_PREFIX}/{city}/{node}/up/hello"


def state(city: str, node: str) -> str:
    """Topic of the retained state, which is also the will."""
    return f"{_PREFIX}/{city}/{node}/state"


def ack(city: str, node: str) -> str:
    """Topic on which the center answers."""
    return f"{_PREFIX}/{city}/{node}/ack"


def order(city: str, node: str) -> str:
    """Topic on which the center gives orders."""
    return f"{_PREFIX}/{city}/{node}/order"


def center_filters(city: str) -> tuple[str, ...]:
    """What a center of this city subscribes to."""
    return (f"{_PREFIX}/{city}/+/up/#", f"{_PREFIX}/{city}/+/state")


def sender(topic: str) -> tuple[str, str, str] | None:
    """Return (city, node, what) of a topic that a node writes; None for any other topic."""
    found = _UP.fullmatch(topic)
    return None if found is None else (found[1], found[2], found[3])
