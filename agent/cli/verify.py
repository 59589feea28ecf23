"""``gardu verify``: prove batches, or a whole spool, offline with the node's public key."""

import argparse
import json
import sys
from pathlib import Path

_PROVEN, _BAD, _UNREADABLE = 0, 1, 2
_EPILOG = """\
exit code: 0 proven, 1 something is bad, 2 unreadable

examples:
  gardu verify batch.cbor --key node.pub.pem
  gardu verify /var/lib/gardu/spool --key node.pub.pem --json

Proven is what is here, and that nothing is missing between the first and the last batch of each chain without a
signed gap. What stands before the first batch may have been delivered and removed; with --complete it must be here.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a message, a segment under its own name, or a folder of such",
    )
    parser.add_argument(
        "--key", action="append", required=True, type=Path, metavar="PEM", help="public key; repeatable"
    )
    parser.add_argument("--city", help="refuse what another city signed (default: as the batches say)")
    parser.add_argument("--node", help="refuse what another node signed (default: as the batches say)")
    parser.add_argument("--complete", action="store_true", help="all that any record names must be here or in a gap")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Verify and print; return the exit code."""
    from agent.cli.proof import Trial, read  # noqa: PLC0415 - `gardu --help` does without it
    from agent.wire.keys import KeyTextError, Verifier, public_from_pem  # noqa: PLC0415

    try:
        keys = [Verifier(public_from_pem(path.read_text(encoding="utf-8"))) for path in args.key]
    except (OSError, UnicodeDecodeError, KeyTextError) as error:
        return _give_up(f"the key cannot be read: {error}")
    try:
        evidence = read(args.files)
    except OSError as error:
        return _give_up(str(error))
    if not evidence.messages and not evidence.bad:
        return _give_up("there is no batch in these files")
    trial = Trial(evidence, keys, args.city, args.node)
    trial.judge(complete=args.complete)
    if args.json:
        print(json.dumps(trial.as_json(), ensure_ascii=False))
    else:
        print(*trial.as_text(), sep="\n")
    return _BAD if trial.bad else _PROVEN


def _give_up(why: str) -> int:
    print(f"gardu verify: {why}", file=sys.stderr)
    return _UNREADABLE
