"""``gardu ports``: every serial port of this machine, who holds it, and the line to write."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.io.survey import Plug, Survey

_FREE, _HELD, _NONE = 0, 1, 3

_EPILOG = """\
examples:
  gardu ports                what is plugged where, and the line for [sensor.NAME]
  sudo gardu ports           sees the programs of other users too
  gardu ports --json | jq -r '.ports[] | select(.free) | .port'

exit code: 0 every port is free or held by gardu, 1 something else holds one or it may not be opened,
           3 there is no serial port"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--root", metavar="PATH", type=Path, default=Path("/"), help="look at sys, dev, proc, etc and run below here"
    )


def run(args: argparse.Namespace) -> int:
    """Print all ports."""
    from drivers.io.holders import under  # noqa: PLC0415 - a command imports only what it needs
    from drivers.io.survey import survey  # noqa: PLC0415

    seen = survey(under(args.root))
    if args.json:
        print(json.dumps({"ports": [_facts(plug) for plug in seen.plugs], "hidden_holders": seen.hidden}))
    else:
        _print(seen)
    if not seen.plugs:
        return _NONE
    return _FREE if all(plug.free for plug in seen.plugs) else _HELD


def _facts(plug: "Plug") -> dict[str, object]:
    from dataclasses import asdict  # noqa: PLC0415

    device = plug.device
    return {
        "port": plug.port,
        "toml": f'port = "{plug.port}"' if plug.port else "",
        "names": list(plug.names),
        "path": str(plug.path),
        "usb": {"ids": device.ids, "maker": device.maker, "product": device.product, "serial": device.serial}
        if device.socket
        else None,
        "uart": device.node,
        "kind": plug.kind,
        "free": plug.free,
        "holders": [asdict(holder) for holder in plug.holders],
        "denied": plug.denied,
        "advice": list(plug.advice),
    }


def _print(seen: "Survey") -> None:
    if not seen.plugs:
        print("no serial port: nothing is plugged in, and no UART is switched on (raspi-config, Interface, Serial)")
        return
    for plug in seen.plugs:
        print(f'port = "{plug.port}"' if plug.port else f"{plug.device.device} (no device file while it is held)")
        print(f"  what      {_what(plug)}")
        if len(plug.names) > 1:
            print(f"  also      {', '.join(plug.names[1:])}")
        for holder in plug.holders:
            print(f"  held by   {holder.name}")
            if holder.cure:
                print(f"  cure      {holder.cure}")
        if plug.denied:
            print(f"  denied    {plug.denied}")
        for text in plug.advice:
            print(f"  note      {text}")
        print()
    if seen.hidden:
        print("Programs of other users may hold a port unseen: sudo gardu ports shows them.")


def _what(plug: "Plug") -> str:
    device = plug.device
    if not device.socket:
        return f"UART on this board{f' ({device.node})' if device.node else ''}"
    words = " ".join(part for part in (device.maker, device.product) if part) or "nameless USB adapter"
    serial = f", serial number {device.serial}" if device.serial else ", no serial number"
    return f"{words} [{device.ids}{serial}] in USB socket {device.socket}"
