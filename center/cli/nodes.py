"""``gardu-center nodes``: who may speak."""

import argparse
import datetime as dt
import json
import time
from dataclasses import asdict
from pathlib import Path

from center.cli.arguments import name, store_argument


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  gardu-center nodes list --store sqlite:center.db\n"
        "  gardu-center nodes add dago-01 --store sqlite:center.db --city bandung --key dago-01.pem\n"
        "  gardu-center nodes add dago-01 --store sqlite:center.db --city bandung --new keys/dago-01 --keys center-keys"
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = commands.add_parser("list", help="all nodes, their keys, when they last spoke, and their alarms")
    store_argument(listed)
    listed.add_argument("--json", action="store_true", help="for programs")
    add = commands.add_parser("add", help="let a node speak under a key")
    add.add_argument("node", type=name, metavar="NODE")
    store_argument(add)
    add.add_argument("--city", required=True, type=name, help="the tenant")
    how = add.add_mutually_exclusive_group(required=True)
    how.add_argument("--key", type=Path, metavar="PEM", help="its public signing key")
    how.add_argument("--new", type=Path, metavar="DIR", help="make its whole key folder here, for tests and demos")
    add.add_argument("--keys", type=Path, metavar="DIR", help="the center's key folder, for --new")


def run(args: argparse.Namespace) -> int:
    """List or add."""
    return _list(args) if args.action == "list" else _add(args)


def _add(args: argparse.Namespace) -> int:
    from center.errors import KeyFolderError  # noqa: PLC0415
    from center.keys import load_public, make_node  # noqa: PLC0415
    from center.sqlite_store import opened  # noqa: PLC0415

    if args.new is not None and args.keys is None:
        raise KeyFolderError("--new needs --keys, the folder made by `gardu-center keys init`")
    if args.key is not None:
        public = load_public(args.key)
    else:
        now = dt.datetime.now(dt.UTC)
        public = make_node(args.new, center=args.keys, city=args.city, node=args.node, now=now)
    with opened(args.store, create=True) as store:
        added = store.add_node((args.city, args.node), public, now_ms=time.time_ns() // 1_000_000)
    print(f"{args.city}/{args.node}: {'added' if added else 'has this key already'}")
    return 0


def _list(args: argparse.Namespace) -> int:
    from center.sqlite_store import opened  # noqa: PLC0415

    with opened(args.store) as store:
        nodes = store.nodes()
    if args.json:
        print(json.dumps([asdict(node) for node in nodes]))
        return 0
    for node in nodes:
        last = (
            "never"
            if node.last_utc_ms is None
            else f"{dt.datetime.fromtimestamp(node.last_utc_ms / 1000, dt.UTC):%F %T}Z"
        )
        print(f"{'/'.join(node.box)}  keys {', '.join(node.kids)}  batches {node.batches}  last {last}")
        for alarm in node.alarms:
            print(f"  {alarm}")
    return 0
