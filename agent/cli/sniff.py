"""``gardu driver sniff``: whose frames are on a port, and the section to write."""

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.cli.sniffing import Sniffed
    from drivers.driver import Line
    from drivers.guess import Guess
    from drivers.port import Port
    from drivers.reading import Reading
    from drivers.registry import Registry

_NAMED, _UNKNOWN, _CANNOT, _SILENT = 0, 1, 2, 3
_SHOWN = 6

_EPILOG = """\
examples:
  gardu driver sniff usb:1-1.2
  gardu driver sniff usb:1-1.2 --ask                 for units that speak only when asked; some 60 s
  gardu driver sniff usb:1-1.2 --ask --driver sdm120 --baud "9600 8E1"

It listens. With --ask it also writes what the drivers read their units with, and nothing else.

exit code: 0 a driver is named, 1 bytes came but no driver knows them, 2 it cannot be tried, 3 nothing came"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("port", metavar="PORT", help="as in TOML: usb:1-1.2 (`gardu ports` shows all)")
    parser.add_argument("--ask", action="store_true", help="also ask, with the declared questions of the drivers")
    parser.add_argument("--baud", metavar="LINE", action="append", default=[], help='9600 or "9600 8E1"; may repeat')
    parser.add_argument("--driver", metavar="NAME", action="append", default=[], help="only this driver; may repeat")
    parser.add_argument("--seconds", metavar="S", type=float, default=4.0, help="to listen per setting (default 4)")
    parser.add_argument("--force", action="store_true", help="even a printer, a scanner, or a port somebody holds")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace, drivers: "Registry") -> int:
    """Sniff and print what was found.

    Raises:
        DriverError: The port or a driver cannot be used.
    """
    from agent.cli.sniffing import Sniffer, refusal  # noqa: PLC0415 - a command imports only what it needs
    from drivers.port import parse_port  # noqa: PLC0415
    from drivers.serial.options import parse_line  # noqa: PLC0415

    port = parse_port(args.port)
    lines = [parse_line(text if " " in text.strip() else f"{text} 8N1") for text in args.baud]
    if None in lines:
        return _refuse('--baud: write it like 9600 or "9600 8E1"')
    if not 0.1 <= args.seconds <= 600:
        return _refuse(f"--seconds {args.seconds:g}: 0.1 to 600")
    for name in args.driver:
        drivers.info(name)
    if not args.force and (why := refusal(port)):
        return _refuse(f"{why}; --force does it all the same")
    sniffer = Sniffer(
        drivers,
        port,
        names=args.driver,
        lines=[line for line in lines if line],
        seconds=args.seconds,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )
    found = asyncio.run(sniffer.sniff(ask=args.ask))
    if args.json:
        print(json.dumps(_facts(found, port)))
    else:
        _print(found, port, asked=args.ask)
    if found.guesses:
        return _NAMED
    return _UNKNOWN if any(heard.bytes_in for heard in found.heard) else _SILENT


def _refuse(text: str) -> int:
    print(f"gardu driver sniff: {text}", file=sys.stderr)
    return _CANNOT


def _print(found: "Sniffed", port: "Port", *, asked: bool) -> None:
    for heard in found.heard[-_SHOWN:]:
        print(f"{heard.line}: {heard.bytes_in} bytes  {heard.tail.hex(' ')}".rstrip())
    if not found.guesses:
        _explain(found, asked=asked)
        return
    best, *others = found.likely
    if best.info.name == "line":
        print("\nlines of text that belong to no other driver")
    else:
        print(f"\n{best.name}: {best.info.title}; {best.share:.0%} of the bytes")
    for reading in best.readings:
        print(f"  {reading.channel} = {reading.value} {reading.unit}{_flags(reading)}")
    if others:
        print(f"fits as well: {', '.join(guess.name for guess in others)}: read the label on the unit")
    elif best.info.models:
        print(f"the frames do not tell the model; driver = may be one of: {', '.join(best.info.models)}")
    print(f"\n{_section(best, found.line, port)}")


def _flags(reading: "Reading") -> str:
    return f" ({', '.join(sorted(reading.quality))})" if reading.quality else ""


def _explain(found: "Sniffed", *, asked: bool) -> None:
    if found.answered:
        print(f"a unit answers {', '.join(found.answered)}, but fits none: driver modbus with its own registers?")
    elif any(heard.bytes_in for heard in found.heard):
        print("bytes come, but no driver knows them: RS-232 on a TTL input (or A and B swapped), or another protocol?")
    else:
        print("nothing came: is it powered, are RX and TX (A and B) the right way round?")
    if not asked:
        print("a unit that speaks only when asked is found with --ask")


def _section(guess: "Guess", line: "Line", port: "Port") -> str:
    lines = [f"[sensor.{guess.name}]", f'driver = "{guess.name}"', f'port = "{port.name}"']
    if setting := _setting(guess, line, port):
        lines.append(f'line = "{setting}"')
    for name, value in guess.options.items():
        if isinstance(value, str):
            lines.append(f"{name} = {json.dumps(value)}")
        elif isinstance(value, dict):
            inner = ", ".join(f"{key} = {json.dumps(text)}" for key, text in value.items())
            lines.append(f"{name} = {{ {inner} }}")
    return "\n".join(lines)


def _setting(guess: "Guess", line: "Line", port: "Port") -> str:
    """The line, where it is not what the driver expects; a pseudo-terminal and a server do not know their speed."""
    from drivers.driver import Line  # noqa: PLC0415

    if guess.seven_bits:
        line = Line(baud=line.baud, data_bits=7, parity="E")
    if line == guess.info.line or port.kind == "tcp":
        return ""
    if port.kind == "path" and os.path.realpath(port.value).startswith("/dev/pts/"):
        return ""
    return str(line)


def _facts(found: "Sniffed", port: "Port") -> dict[str, object]:
    return {
        "port": port.name,
        "heard": [{"line": str(heard.line), "bytes": heard.bytes_in, "hex": heard.tail.hex()} for heard in found.heard],
        "answered": found.answered,
        "drivers": [
            {
                "driver": guess.name,
                "family": guess.info.family,
                "share": round(guess.share, 3),
                "readings": {reading.channel: [reading.value, reading.unit] for reading in guess.readings},
                "toml": _section(guess, found.line, port),
            }
            for guess in found.likely
        ],
    }
