"""``gardu driver``: all that is done with drivers; the longer actions have modules of their own. Needs no config."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.driver import DriverInfo, Option
    from drivers.reading import Reading
    from drivers.registry import Registry

_LONGEST_HEX = 65536


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n"
        "  gardu driver list\n"
        "  gardu driver show pzem004t\n"
        "  gardu driver decode sds011 aac08c009400bcf9d5ab\n"
        "  gardu driver decode senseair_s8 --option register=3 'fe 04 02 01 90 ac d8'\n"
        "  gardu driver simulate a02yyuw --link /tmp/sungai\n"
        "  gardu driver sniff usb:1-1.2 --ask\n"
        "  gardu driver record usb:1-1.2 --driver sds011 air.jsonl\n"
        "  gardu driver replay air.jsonl\n"
        "  gardu driver new mcu680 --from air.jsonl\n"
        "  gardu driver test mcu680/\n"
        "  sudo gardu driver add mcu680/"
    )
    from agent.cli import capture, driver_add, driver_kit, driver_new, sniff  # noqa: PLC0415 - only this needs them

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    raw = argparse.RawDescriptionHelpFormatter

    lister = actions.add_parser("list", help="all drivers and profiles", formatter_class=raw)
    lister.epilog = "example:\n  gardu driver list --json"
    lister.add_argument("--json", action="store_true", help="for programs")

    shower = actions.add_parser("show", help="options, channels and an example", formatter_class=raw)
    shower.epilog = "example:\n  gardu driver show a02yyuw"
    shower.add_argument("name", metavar="NAME", help="driver, profile or model")
    shower.add_argument("--json", action="store_true", help="for programs")

    decoder = actions.add_parser("decode", help="say what frames mean", formatter_class=raw)
    decoder.epilog = (
        "examples:\n"
        "  gardu driver decode a02yyuw --option mount_height='4.20 m' ff07a1a7\n"
        "  gardu driver decode modbus 11:03:04:00:8d:00:8e:fb:bd\n\n"
        "prints one SenML JSON array; exit 0 with readings, 3 without (why: on stderr), 2 when it cannot try"
    )
    decoder.add_argument("name", metavar="NAME", help="driver, profile or model")
    decoder.add_argument("hex", metavar="HEX", nargs="+", help="a frame; spaces, colons and 0x are fine")
    decoder.add_argument("--option", metavar="K=V", action="append", default=[], help="an option of the driver")

    simulator = actions.add_parser("simulate", help="a pseudo-terminal that speaks the protocol", formatter_class=raw)
    simulator.epilog = "example:\n  gardu driver simulate sds011 --link /tmp/air   (Ctrl-C ends it)"
    simulator.add_argument("name", metavar="NAME", help="driver, profile or model")
    simulator.add_argument("--link", metavar="PATH", type=Path, help="a stable name for the pseudo-terminal")
    simulator.add_argument("--seed", type=int, default=0, help="chooses the values (default 0)")
    simulator.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between frames (default 1)")

    sniff.configure(actions.add_parser("sniff", help="whose frames are on a port", formatter_class=raw))
    capture.configure_record(actions.add_parser("record", help="keep what a port says", formatter_class=raw))
    capture.configure_replay(actions.add_parser("replay", help="read a recording again", formatter_class=raw))
    driver_new.configure(actions.add_parser("new", help="begin a driver from its frames", formatter_class=raw))
    driver_kit.configure(actions.add_parser("test", help="what a driver must pass: K1 to K19", formatter_class=raw))
    driver_add.configure(actions.add_parser("add", help="add a profile or package to this box", formatter_class=raw))


def run(args: argparse.Namespace) -> int:
    """Run one action; 0 done, 2 cannot be tried, 3 nothing decoded; `sniff`, `replay`, `test` say more with 1."""
    from agent.cli import capture, driver_add, driver_kit, driver_new, sniff  # noqa: PLC0415
    from drivers.errors import DriverError  # noqa: PLC0415 - nothing heavy before it is needed
    from drivers.io.catalog import registry  # noqa: PLC0415

    drivers = registry()
    try:
        match args.action:
            case "list":
                return _list(drivers, as_json=args.json)
            case "show":
                return _show(drivers, args.name, as_json=args.json)
            case "decode":
                return _decode(drivers, args.name, args.option, args.hex)
            case "sniff":
                return sniff.run(args, drivers)
            case "record":
                return capture.run_record(args, drivers)
            case "replay":
                return capture.run_replay(args, drivers)
            case "new":
                return driver_new.run(args, drivers)
            case "test":
                return driver_kit.run(args, drivers)
            case "add":
                return driver_add.run(args, drivers)
            case _:
                return _simulate(args)
    except DriverError as error:
        return _fail(str(error))


def _fail(text: str) -> int:
    print(f"gardu driver: {text}", file=sys.stderr)
    return 2


def _list(drivers: "Registry", *, as_json: bool) -> int:
    """Show all there are. What was added and is broken says so itself; a package is told of by its metadata only."""
    infos = [info for name in drivers.names() if (info := _usable(drivers, name)) is not None]
    if as_json:
        facts = [{**_facts(info), "origin": drivers.origin(info.name)} for info in infos]
        facts += [{"name": name, "origin": drivers.package_of(name)} for name in drivers.packages()]
        print(json.dumps(facts))
        return 0
    rows = [("NAME", "LINE", "WHAT", "ALSO CALLED")]
    rows += [(info.name, str(info.line or "-"), _what(drivers, info), ", ".join(info.models)) for info in infos]
    rows += [(name, "-", f"{drivers.package_of(name)}, not imported", "") for name in drivers.packages()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print(*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3], sep="  ")
    return 0


def _usable(drivers: "Registry", name: str) -> "DriverInfo | None":
    from drivers.errors import DriverError  # noqa: PLC0415

    try:
        return drivers.info(name)
    except DriverError as error:
        print(f"{name}: cannot be used: {error}", file=sys.stderr)
        return None


def _what(drivers: "Registry", info: "DriverInfo") -> str:
    origin = drivers.origin(info.name)
    return f"{info.title} ({origin})" if origin else info.title


def _facts(info: "DriverInfo") -> dict[str, object]:
    from dataclasses import asdict  # noqa: PLC0415

    facts: dict[str, object] = asdict(info)
    facts["line"] = str(info.line) if info.line else None
    return facts


def _show(drivers: "Registry", name: str, *, as_json: bool) -> int:
    info = drivers.info(name)
    if as_json:
        print(json.dumps(_facts(info)))
        return 0
    asked = "is asked" if info.mode == "poll" else "talks by itself"
    shared = "may share its port" if info.shares_bus else "alone on its port"
    print(f"{info.name}: {info.title}")
    if info.models:
        print(f"also called   {', '.join(info.models)}")
    print(f"line          {info.line}; {asked}, {shared}")
    pace = f"every {info.every_s:g} s, at fastest {info.min_every_s:g} s"
    print(f"pace          {pace}; stale after {info.stale_after_s:g} s")
    if info.warmup_s:
        print(f"warm-up       {info.warmup_s:g} s after power-on")
    print(f"check         {info.integrity}" + (f", confirmed by {info.confirm} frames" if info.confirm > 1 else ""))
    if info.lifetime_h is not None:
        print(f"lifetime      {info.lifetime_h:g} working hours; then its values are flagged end_of_life")
    if info.gauge is not None:
        sign = "plus" if info.gauge.sign > 0 else "minus"
        print(
            f"water level   {info.gauge.option} {sign} {info.gauge.raw}, both kept: gardu calibrate SENSOR --staff 1.24"
        )
    print(f"source        {info.source}")
    if origin := drivers.origin(info.name):
        print(f"from          {origin}")
    print("\nchannels" if info.channels else "\nchannels are what the options name")
    for channel in info.channels:
        low, high = ("" if bound is None else f"{bound:.10g}" for bound in (channel.low, channel.high))
        limits = f"{low}..{high}" if low or high else ""
        print(f"  {channel.name:<16} {channel.unit:<8} {limits:<14} {channel.doc}".rstrip())
    print("\noptions" if info.options else "\nno options")
    for option in info.options:
        print(f"  {option.name:<16} {option.kind:<9} {_default(option):<20} {option.doc}".rstrip())
    print("\nexample")
    print(_example(name, info))
    return 0


def _default(option: "Option") -> str:
    if option.required:
        return "required"
    return "" if option.default is None else f"default {json.dumps(option.default)}"


def _example(name: str, info: "DriverInfo") -> str:
    lines = [f"  [sensor.{name.replace('_', '-')}]", f'  driver = "{name}"', '  port = "usb:1-1.2"']
    lines += [f"  {option.name} = {option.example}" for option in info.options if option.required]
    if info.name == "line":
        lines.append('  fields = { temperature = "t", humidity = "h" }')
    return "\n".join(lines)


def _decode(drivers: "Registry", name: str, given: "Sequence[str]", words: "Sequence[str]") -> int:
    from agent.cli.driver_options import read_options  # noqa: PLC0415

    options = read_options(drivers.info(name), given)
    frames: list[bytes] = []
    for word in words:
        frame = bytes_of(word)
        if frame is None:
            return _fail(f"{word[:80]!r} is not hex: pairs of 0-9 and a-f, with spaces, colons or 0x between them")
        frames.append(frame)
    decoded = drivers.decode(name, options, frames)
    print(json.dumps([record for reading in decoded.readings for record in _records(reading)], ensure_ascii=False))
    for text in (*decoded.reasons, *decoded.notes):
        print(text, file=sys.stderr)
    if decoded.readings:
        return 0
    if not decoded.reasons:
        print("no reading in these bytes", file=sys.stderr)
    return 3


def bytes_of(word: str) -> bytes | None:
    """Bytes of a frame as people write it."""
    parts = word.replace(":", " ").replace(",", " ").replace("-", " ").split()
    if not parts or len(word) > _LONGEST_HEX:
        return None
    try:
        return b"".join(bytes.fromhex(_padded(part.lower().replace("\\x", "").replace("0x", ""))) for part in parts)
    except ValueError:
        return None


def _padded(part: str) -> str:
    return f"0{part}" if len(part) == 1 else part


def _records(reading: "Reading") -> "list[dict[str, object]]":
    """The SenML records of one reading: its value, and its flags if there are any."""
    value = reading.value
    key = "vb" if isinstance(value, bool) else "vs" if isinstance(value, str) else "v"
    records: list[dict[str, object]] = [{"n": reading.channel, "u": reading.unit, key: value}]
    records += [{"n": f"{reading.channel}/quality", "vs": str(flag)} for flag in sorted(reading.quality)]
    return records


def _simulate(args: argparse.Namespace) -> int:
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from drivers.io.pty import serve  # noqa: PLC0415
    from drivers.io.simulators import simulator  # noqa: PLC0415

    if not 0.01 <= args.every <= 3600:
        return _fail(f"--every {args.every:g}: 0.01 to 3600 seconds")
    unit = simulator(args.name, seed=args.seed, every_s=args.every)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(unit, link=args.link, ready=lambda path: print(path, flush=True), stopped=stop.is_set)
    except OSError as error:
        return _fail(f"cannot make the pseudo-terminal: {error}")
    return 0
