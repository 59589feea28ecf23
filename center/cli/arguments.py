"""Arguments that several commands share."""

import argparse
import re
from pathlib import Path

from agent.wire.topics import NAME

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def store_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--store``."""
    parser.add_argument("--store", required=True, type=store_path, metavar="sqlite:PATH", help="where the record is")


def store_path(text: str) -> Path:
    """Return the path of a store."""
    scheme, _, path = text.partition(":")
    if scheme != "sqlite" or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not sqlite:PATH")
    return Path(path)


def name(text: str) -> str:
    """Return the name of a city or node."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} does not match {NAME.pattern}")
    return text


def duration_s(text: str) -> float:
    """Return seconds of ``1s``, ``200ms``, ``5 min``."""
    return _quantity(text, _SECONDS, "a duration such as 1s, 200ms or 5min")


def size_bytes(text: str) -> int:
    """Return bytes of ``256KiB``, ``64 MiB``."""
    return int(_quantity(text, {unit: float(factor) for unit, factor in _BYTES.items()}, "a size such as 256KiB"))


def _quantity(text: str, units: dict[str, float], what: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", text.strip())
    if found is None or found[2] not in units or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return float(found[1]) * units[found[2]]
