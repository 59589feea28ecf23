"""``gardu driver new``: begin a driver from frames, of a recording or of a data sheet."""

import argparse
import keyword
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.cli.heard import Heard
    from drivers.registry import Registry

_DONE = 0
_EPILOG = """\
examples:
  gardu driver new mcu680 --from air.jsonl        made by `gardu driver record`
  gardu driver new mcu680 --frame '5a 5a 3f 0f ...' --source 'data sheet 1.2, section 4'
  gardu driver new soil_probe --profile --frame '01 03 00 00 00 02 c4 0b' --frame '01 03 04 02 92 ff 9b 5a 3d'

Writes the folder NAME/ with a package: its metadata, a class, the frames as vectors. With --profile NAME.toml, for a
unit that speaks Modbus: frames are then pairs of a request and its reply. Nothing that exists is written over.
exit code: 0 written, 2 it cannot be"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="of the driver: a-z, 0-9 and _")
    parser.add_argument("--from", dest="capture", metavar="CAPTURE", type=Path, help="made by `gardu driver record`")
    parser.add_argument("--frame", metavar="HEX", action="append", default=[], help="a frame; may be given many times")
    parser.add_argument("--line", metavar="LINE", help='serial line (default that of the recording, or "9600 8N1")')
    parser.add_argument("--source", metavar="TEXT", default="", help="where the frames and their meaning are published")
    parser.add_argument("--profile", action="store_true", help="a Modbus profile instead of a package")
    parser.add_argument("--folder", metavar="DIR", type=Path, default=Path(), help="where to write (default: here)")


def run(args: argparse.Namespace, drivers: "Registry") -> int:
    """Write the beginning of a driver.

    Raises:
        DriverError: The name, the frames or the place cannot be used.
    """
    from agent.cli.profile_skeleton import profile  # noqa: PLC0415 - a command imports only what it needs
    from agent.cli.skeleton import package  # noqa: PLC0415
    from drivers.errors import AddedError  # noqa: PLC0415
    from drivers.io.vendor_source import is_taken  # noqa: PLC0415
    from drivers.vendor import NAME  # noqa: PLC0415

    name: str = args.name
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or is_taken(name):
        raise AddedError(
            f"{name!r} is no name for a driver", "take a-z, 0-9 and _, beginning with a letter, and no module of Python"
        )
    if drivers.is_shipped(name):
        raise AddedError(
            f"Gardu has a driver, profile or model called {name!r}", f"`gardu driver show {name}` says more"
        )
    heard = _heard(args)
    files = {f"{name}.toml": profile(name, heard)} if args.profile else package(name, heard)
    first = args.folder / (f"{name}.toml" if args.profile else name)
    if first.exists():
        raise AddedError(f"{first} is there already", "take it away, or choose another name or --folder")
    try:
        for inner, text in files.items():
            (args.folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (args.folder / inner).write_text(text, "utf-8")
            print(args.folder / inner)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AddedError(f"{error.filename}: {error.strerror or error}", "choose another --folder") from error
    print(f"next: `gardu driver test {first}` says what is missing")
    return _DONE


def _heard(args: argparse.Namespace) -> "Heard":
    from agent.cli.driver import bytes_of  # noqa: PLC0415
    from agent.cli.heard import of_capture, of_frames  # noqa: PLC0415
    from drivers.errors import AddedError  # noqa: PLC0415
    from drivers.serial.options import parse_line  # noqa: PLC0415

    if bool(args.capture) == bool(args.frame):
        raise AddedError("no frames, or frames from two sides", "give --from CAPTURE or --frame HEX")
    if args.line and parse_line(args.line) is None:
        raise AddedError(f"--line {args.line!r} is no serial line", 'write it like "9600 8N1"')
    if args.capture:
        try:
            text = args.capture.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = f"{args.capture}: {getattr(error, 'strerror', None) or error}"
            raise AddedError(what, "record one: gardu driver record") from error
        return of_capture(text, line=args.line, source=args.source)
    frames: list[bytes] = []
    for word in args.frame:
        frame = bytes_of(word)
        if not frame:
            raise AddedError(f"--frame {word[:80]!r} is not hex", "write pairs of 0-9 and a-f, as the data sheet does")
        frames.append(frame)
    return of_frames(frames, line=args.line, source=args.source, in_pairs=args.profile)
