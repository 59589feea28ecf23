"""``gardu-center readings``: what the sensors said."""

import argparse
import datetime as dt
import json
import time

from center.cli.arguments import name, store_argument
from center.store import ReadingRow, Store

_POLL_S = 0.5
_PROJECT_BATCHES = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  gardu-center readings --store sqlite:center.db --node dago-01 --sensor air --follow"
    store_argument(parser)
    parser.add_argument("--node", type=name, help="of this node only")
    parser.add_argument("--sensor", type=name, help="of this sensor only")
    parser.add_argument("--channel", type=name, help="of this channel only")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="the N that arrived last (20)")
    parser.add_argument("--follow", action="store_true", help="go on as they arrive")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    parser.add_argument("--rebuild", action="store_true", help="make the table of readings anew from the batches")


def run(args: argparse.Namespace) -> int:
    """Show them."""
    from center.sqlite_store import opened  # noqa: PLC0415

    with opened(args.store) as store:
        return _rebuild(store) if args.rebuild else _show(store, args)


def _rebuild(store: Store) -> int:
    store.rebuild()
    batches = rows = 0
    while (done := store.project({}, most=_PROJECT_BATCHES, now_ms=time.time_ns() // 1_000_000)).batches:
        batches, rows = batches + done.batches, rows + done.new
    print(f"readings rebuilt: batches {batches}, readings {rows}")
    return 0


def _show(store: Store, args: argparse.Namespace) -> int:
    after, last = 0, args.last
    while True:
        found = store.readings(node=args.node, sensor=args.sensor, channel=args.channel, after=after, last=last)
        for row in found:
            print(json.dumps(_json(row)) if args.json else _text(row), flush=args.follow)
        if not args.follow:
            return 0
        after, last = (found[-1].id if found else after), None
        time.sleep(_POLL_S)


def _utc(ms: int | None) -> str:
    if ms is None:
        return "?"
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(row: ReadingRow) -> dict[str, object]:
    return {
        "city": row.box[0],
        "node": row.box[1],
        "run": row.origin.hex(),
        "stream": row.stream.name.lower(),
        "n": row.path,
        "u": row.unit,
        "v": row.value,
        "quality": list(row.flags),
        "boot_ms": row.boot_ms,
        "utc_ms": row.utc_ms,
        "utc_source": row.utc_source,
        "utc_low_ms": row.low_utc_ms,
        "utc_high_ms": row.high_utc_ms,
    }


def _text(row: ReadingRow) -> str:
    when, bounds = _utc(row.utc_ms), f"{_utc(row.low_utc_ms)} .. {_utc(row.high_utc_ms)}"
    if row.utc_ms is None:
        when = bounds
    elif row.high_utc_ms is not None:
        when = f"{when} ({bounds})"
    doubts = f"  [{' '.join(row.flags)}]" if row.flags else ""
    return f"{when}  {row.box[1]}/{row.path}  {row.value} {row.unit}{doubts}"
