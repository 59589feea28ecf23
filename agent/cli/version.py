"""``gardu version``: what runs here."""

import argparse
import json
import platform
from importlib import metadata

_PARTS = ("aiomqtt", "paho-mqtt", "cbor2", "cryptography", "psutil", "pyserial", "tomli")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  gardu version --json"
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Print the version, the Python and the libraries."""
    facts = {
        "gardu": metadata.version("gardu"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    facts |= {name: metadata.version(name) for name in _PARTS}
    if getattr(args, "json", False):
        print(json.dumps(facts))
    else:
        print(*(f"{name} {version}" for name, version in facts.items()), sep="\n")
    return 0
