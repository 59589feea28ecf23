"""``gardu-center audit``: the proof."""

import argparse
import json

from center.audit import Audit, audit
from center.cli.arguments import name, store_argument


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "example:\n  gardu-center audit --store sqlite:center.db\n\n"
        "exit code 0: nothing is lost, doubled or unverified; 1: something is"
    )
    store_argument(parser)
    parser.add_argument("--node", type=name, help="this node only")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Verify and count everything that is stored."""
    from center.sqlite_store import opened  # noqa: PLC0415

    with opened(args.store) as store:
        keys = {box: found for city in {box[0] for box in store.boxes()} for box, found in store.keys(city).items()}
        result = audit(store, keys, node=args.node)
    if args.json:
        print(json.dumps(result.as_json(), default=str))
    else:
        _print(result)
    return 0 if result.sound else 1


def _print(result: Audit) -> None:
    for node in result.nodes:
        print(f"{node.node}")
        for line in node.lines:
            ended = {True: "clean", False: "unclean", None: "-"}[line.clean]
            print(
                f"  run {line.run[:8]} {line.stream:9}  taken {line.taken} = settled {line.settled} + held {line.held}"
                f" + in gaps {line.in_gaps} + missing {line.missing}"
                + (f" + lost in memory {line.lost_in_memory}" if line.lost_in_memory else "")
                + f"  batches {line.batches}/{line.last_n}"
                f"  doubles refused {line.doubles_refused}  chain {line.chain}  end {ended}"
                + ("  in memory only" if line.volatile else "")
            )
            for finding in line.findings:
                print(f"      {finding}")
        for reason, count in node.refusals.items():
            print(f"  refused {count}: {reason}")
        for alarm in node.alarms:
            print(f"  {alarm}")
        for name_ in node.unequal:
            print(f"  UNEQUAL the readings of {name_} are not the rows of its batches")
        if node.unverified:
            print(f"  UNVERIFIED stored {node.unverified}")
        if node.waiting:
            print(f"  waiting for a key {node.waiting}: `gardu-center nodes add` if it is this node's")
    for reason, count in result.of_no_node.items():
        print(f"refused of no node {count}: {reason}")
    totals = result.totals
    print(
        f"taken {totals.taken}  settled {totals.settled}  held {totals.held}  in gaps {totals.in_gaps}"
        f"  lost {totals.lost}  lost in memory {totals.lost_in_memory}  twice {totals.twice}"
        f"  unverified {totals.unverified}  chain {totals.chain}"
    )
