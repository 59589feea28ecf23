"""``gardu driver record`` and ``gardu driver replay``: a live line as a file, and the file as a line."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cli.recording import Recorder
    from drivers.driver import Event, Line
    from drivers.port import Port
    from drivers.registry import Registry

_READ, _WRONG, _CANNOT, _NOTHING = 0, 1, 2, 3
_NS = 1_000_000_000
_LOOK_S = 0.5

_RECORD = """\
examples:
  gardu driver record usb:1-1.2 --driver sds011 air.jsonl
  gardu driver record usb:1-1.3 --driver pzem004t --seconds 60 power.jsonl

The file holds each chunk with its ms, direction and hex, and behind them the frames as test vectors.

exit code: 0 readings were recorded, 2 it cannot be tried, 3 no reading came (the bytes are kept all the same)"""
_REPLAY = """\
examples:
  gardu driver replay air.jsonl
  gardu driver replay air.jsonl --real-time
  gardu driver replay level.jsonl --driver a02yyuw --option mount_height='4.20 m'

exit code: 0 it gives readings, 1 a vector in it decodes to something else, 2 it cannot be tried, 3 no reading"""


def configure_record(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``record``."""
    parser.epilog = _RECORD
    parser.add_argument("port", metavar="PORT", help="as in TOML: usb:1-1.2 (`gardu ports` shows all)")
    parser.add_argument("--driver", metavar="NAME", required=True, help="driver, profile or model")
    parser.add_argument("--option", metavar="K=V", action="append", default=[], help="an option of the driver")
    parser.add_argument("--line", metavar="LINE", help='other settings than the driver\'s: "9600 8N1"')
    parser.add_argument("--seconds", metavar="S", type=float, default=30.0, help="how long (default 30; Ctrl-C ends)")
    parser.add_argument("--force", action="store_true", help="even a printer, a scanner, or a port somebody holds")
    parser.add_argument("file", metavar="FILE", type=Path, help="must not exist yet")


def configure_replay(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``replay``."""
    parser.epilog = _REPLAY
    parser.add_argument("file", metavar="FILE", type=Path, help="made by record")
    parser.add_argument("--driver", metavar="NAME", help="another driver than the one that recorded")
    parser.add_argument("--option", metavar="K=V", action="append", help="other options than those recorded with")
    parser.add_argument("--real-time", action="store_true", help="as slowly as it came")
    parser.add_argument("--json", action="store_true", help="one JSON object per reading")


def run_record(args: argparse.Namespace, drivers: "Registry") -> int:
    """Record a port.

    Raises:
        DriverError: The port, the driver or an option cannot be used.
    """
    from agent.cli.driver_options import read_options  # noqa: PLC0415 - a command imports only what it needs
    from agent.cli.recording import Recorder  # noqa: PLC0415
    from agent.cli.sniffing import refusal  # noqa: PLC0415
    from drivers.errors import PortLost  # noqa: PLC0415
    from drivers.port import parse_port  # noqa: PLC0415
    from drivers.serial.options import parse_line  # noqa: PLC0415

    port = parse_port(args.port)
    info = drivers.info(args.driver)
    line = parse_line(args.line) if args.line else info.line
    if line is None:
        return _refuse("record", '--line: write it like "9600 8N1"' if args.line else f"{info.title} has no port")
    if not args.force and (why := refusal(port)):
        return _refuse("record", f"{why}; --force does it all the same")
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    options = read_options(info, args.option)
    recorder = Recorder(drivers, args.driver, options, port=port.name, started=started)
    try:
        with args.file.open("x", encoding="utf-8") as file:
            count = asyncio.run(_record(recorder, port, line, file, args.seconds))
            vectors = recorder.vectors()
            file.writelines(f"{text}\n" for text in vectors)
    except PortLost:
        args.file.unlink(missing_ok=True)
        raise
    except OSError as error:
        return _refuse("record", f"{args.file}: {error.strerror or error}")
    print(f"{args.file}: {count} readings, {len(vectors)} frames as vectors", file=sys.stderr)
    return _READ if count else _NOTHING


async def _record(recorder: "Recorder", port: "Port", line: "Line", file: TextIO, seconds: float) -> int:
    """Record until the time is over, Ctrl-C, or the port is gone; return how many readings came."""
    import signal  # noqa: PLC0415

    from drivers.driver import Send  # noqa: PLC0415
    from drivers.errors import PortLost  # noqa: PLC0415
    from drivers.io.serial_port import SerialPort, boot_clock_ns  # noqa: PLC0415
    from drivers.reading import Reading  # noqa: PLC0415

    count = 0
    start_ns = boot_clock_ns()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with SerialPort(port, line).open() as opened:
        file.write(f"{recorder.head}\n")

        def pass_on(lines: "Sequence[str]", events: "Sequence[Event]") -> None:
            nonlocal count
            file.writelines(f"{text}\n" for text in lines)
            for event in events:
                if isinstance(event, Send):
                    opened.write(event.data)
                elif isinstance(event, Reading):
                    count += 1
                _tell(event, start_ns)

        waits = [asyncio.ensure_future(opened.lost()), asyncio.ensure_future(stop.wait())]
        end_s = loop.time() + seconds
        pass_on(*recorder.start(start_ns))
        opened.listen(lambda data, now_ns: pass_on(*recorder.receive(data, now_ns)))
        while not any(wait.done() for wait in waits) and (left_s := end_s - loop.time()) > 0:
            due_ns = recorder.deadline()
            due_s = _LOOK_S if due_ns is None else max(0.001, (due_ns - boot_clock_ns()) / _NS)
            await asyncio.wait(waits, timeout=min(_LOOK_S, left_s, due_s), return_when=asyncio.FIRST_COMPLETED)
            pass_on(*recorder.tick(boot_clock_ns()))
        lost = waits[0].exception() if waits[0].done() else None
        for wait in waits:
            wait.cancel()
        if isinstance(lost, PortLost):
            print(f"gardu driver record: {lost}", file=sys.stderr)
        elif lost is not None:
            raise lost
    return count


def run_replay(args: argparse.Namespace, drivers: "Registry") -> int:
    """Feed a recording to a driver and print what it reads.

    Raises:
        DriverError: The recording, the driver or an option cannot be used.
    """
    from agent.cli.driver_options import read_options  # noqa: PLC0415
    from agent.cli.recording import read, replay, wrong_vectors  # noqa: PLC0415
    from drivers.reading import Reading  # noqa: PLC0415

    try:
        capture = read(args.file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return _refuse("replay", f"{args.file}: {getattr(error, 'strerror', None) or error}")
    name = args.driver or capture.driver
    options = capture.options if args.option is None else read_options(drivers.info(name), args.option)
    count = 0
    started_s = time.monotonic()
    for event in replay(drivers, capture, name, options):
        if not isinstance(event, Reading):
            _tell(event)
            continue
        count += 1
        if args.real_time:
            time.sleep(max(0.0, event.boot_ns / _NS - (time.monotonic() - started_s)))
        _tell(event, as_json=args.json)
    wrong = wrong_vectors(drivers, capture, options) if name == capture.driver else []
    for text in wrong:
        print(text, file=sys.stderr)
    if wrong:
        return _WRONG
    return _READ if count else _NOTHING


def _tell(event: "Event", start_ns: int = 0, *, as_json: bool = False) -> None:
    """Print a reading, or on stderr a problem."""
    from drivers.driver import Problem  # noqa: PLC0415
    from drivers.reading import Reading  # noqa: PLC0415

    if isinstance(event, Problem):
        print(f"{event.code}{' over' if event.ok else ''} {event.detail}".rstrip(), file=sys.stderr)
    if not isinstance(event, Reading):
        return
    flags = sorted(str(flag) for flag in event.quality)
    ms = (event.boot_ns - start_ns) // 1_000_000
    if as_json:
        facts = {"ms": ms, "n": event.channel, "u": event.unit, "v": event.value, "quality": flags}
        print(json.dumps(facts, ensure_ascii=False), flush=True)
    else:
        doubts = f"  ({', '.join(flags)})" if flags else ""
        print(f"{ms / 1000:12.3f} s  {event.channel:<16} {event.value} {event.unit}{doubts}", flush=True)


def _refuse(action: str, text: str) -> int:
    print(f"gardu driver {action}: {text}", file=sys.stderr)
    return _CANNOT
