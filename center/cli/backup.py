"""``gardu-center backup``: a copy of the store, whole and from one moment."""

import argparse
from pathlib import Path

from center.cli.arguments import store_argument

_EPILOG = """\
example:
  gardu-center backup /backup/center-$(date +%F).db --store sqlite:/var/lib/gardu/center.db

To go back to it: stop the center, delete center.db-wal and center.db-shm if they are there, copy the backup to
center.db, start the center. The nodes fill in what came since.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="a file that does not exist yet")
    store_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Write it and name it."""
    from center.sqlite_store import opened  # noqa: PLC0415

    with opened(args.store) as store:
        store.backup(args.file)
    print(args.file)
    return 0
