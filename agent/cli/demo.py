"""``gardu demo``: the whole of Gardu at work on this machine."""

import argparse
import asyncio
import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.demo.perform import View

_FINE, _FAILED, _IMPOSSIBLE, _ENDED = 0, 1, 2, 143
_LONGEST_S = 3600.0
_UNITS = {"s": 1.0, "min": 60.0, "": 1.0}
_EPILOG = f"""\
example:
  gardu demo --for 60s --json | tail -1

Six simulated sensors on pseudo-terminals, a broker with mutual TLS, the node and the center as processes. The link is
cut and mended, a sensor pulled and plugged in again, the node killed; the center's audit is the proof. It needs no
root and leaves nothing behind; --keep DIR leaves keys, configuration, spool and the center's record to look at.

exit codes: {_FINE} proven, {_FAILED} something is lost, doubled or unverified or a step did not come out,
{_IMPOSSIBLE} it cannot be shown here"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--for", dest="for_s", type=_duration, default=60.0, metavar="TIME", help="length (60s)")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object; progress goes to stderr")
    parser.add_argument("--seed", type=int, default=7, help="chooses the sensors' values (7)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder that keeps all the demo makes")
    parser.add_argument("--broker", choices=("auto", "mosquitto", "amqtt"), default="auto", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from agent.demo.errors import DemoError, Impossible  # noqa: PLC0415 - `gardu --help` does without it
    from agent.demo.perform import Options, perform  # noqa: PLC0415

    options = Options(for_s=args.for_s, seed=args.seed, keep=args.keep, broker=args.broker)
    try:
        result = asyncio.run(perform(options, _view(as_json=args.json)))
    except DemoError as error:
        print(f"gardu demo: {error}", file=sys.stderr)
        return _IMPOSSIBLE if isinstance(error, Impossible) else _FAILED
    except asyncio.CancelledError:
        return _ENDED
    except KeyboardInterrupt:
        print("gardu demo: ended before its proof; nothing is left running", file=sys.stderr)
        raise
    if args.json:
        print(result.as_json())
    else:
        print(result.as_text(), *_kept(args.keep), sep="\n")
    return _FAILED if result.failures else _FINE


def _view(*, as_json: bool) -> "View":
    from agent.demo.plain import Plain  # noqa: PLC0415

    if as_json:
        return Plain(sys.stderr)
    if not sys.stdout.isatty():
        return Plain(sys.stdout)
    if importlib.util.find_spec("rich") is None:
        print("gardu demo: without the package rich there is no picture, only lines; `make install` brings it")
        return Plain(sys.stdout)
    from rich.console import Console  # noqa: PLC0415

    from agent.demo.live import Live  # noqa: PLC0415

    console = Console()
    can_draw = not console.is_dumb_terminal and console.encoding.startswith("utf")
    return Live(console) if can_draw else Plain(sys.stdout)


def _kept(folder: Path | None) -> list[str]:
    if folder is None:
        return []
    path = folder.absolute()
    return [
        "",
        "kept to look at:",
        f"  gardu-center readings --store 'sqlite:{path}/center.db'",
        f"  gardu-center audit --store 'sqlite:{path}/center.db'",
        f"  less '{path}/agent.toml' '{path}/node.log'",
    ]


def _duration(text: str) -> float:
    from agent.demo.scenario import SHORTEST_S  # noqa: PLC0415

    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *(s|min|)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 60s or 2min")
    seconds = float(found[1]) * _UNITS[found[2]]
    if not SHORTEST_S <= seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not between {SHORTEST_S:g}s and {_LONGEST_S:g}s")
    return seconds
