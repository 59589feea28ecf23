"""``gardu-center keys``: what a center needs before it can run."""

import argparse
import datetime as dt
from pathlib import Path

from center.cli.arguments import name


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  gardu-center keys init /var/lib/gardu/center-keys --city bandung --host center.example"
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = commands.add_parser("init", help="make a small authority, the ack key, and certificates")
    init.add_argument("folder", type=Path, metavar="DIR", help="a folder that holds none yet")
    init.add_argument("--city", required=True, type=name, help="the tenant")
    init.add_argument("--host", default="localhost", help="name of the broker in its certificate (localhost)")


def run(args: argparse.Namespace) -> int:
    """Make them and name them."""
    from center.keys import init  # noqa: PLC0415

    print(*init(args.folder, city=args.city, host=args.host, now=dt.datetime.now(dt.UTC)), sep="\n")
    return 0
