"""``gardu-center notes``: what people did at the boxes, as each node signed it."""

import argparse
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass

from agent.wire.batch import Header, peek, plain_of
from agent.wire.errors import WireError
from agent.wire.records import Note, decode_note
from center.cli.arguments import name, store_argument
from center.ingest import Box
from center.store import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  gardu-center notes --store sqlite:center.db --node dago-01 --sensor sungai"
    store_argument(parser)
    parser.add_argument("--node", type=name, help="of this node only")
    parser.add_argument("--sensor", type=name, help="of this sensor only")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    """Show them, by node, in the order in which they arrived."""
    from center.sqlite_store import opened  # noqa: PLC0415

    with opened(args.store) as store:
        for one in told(store):
            if args.node in {None, one.box[1]} and args.sensor in {None, one.note.sensor}:
                print(json.dumps(_json(one), ensure_ascii=False) if args.json else _text(one))
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One note and the header under which it came."""

    box: Box
    header: Header
    note: Note


def told(store: Store) -> Iterator[Told]:
    """Yield every note once; what was sealed twice has one id."""
    for box in store.boxes():
        seen: set[bytes] = set()
        for stored in store.notes(box):
            try:
                header, note = peek(stored.message), decode_note(plain_of(stored.message))
            except WireError:
                continue  # a node that says it otherwise: the batch counts, its words do not
            if note.id is None or note.id not in seen:
                seen |= set() if note.id is None else {note.id}
                yield Told(box=box, header=header, note=note)


def _json(one: Told) -> dict[str, object]:
    return {
        "city": one.box[0],
        "node": one.box[1],
        "work": one.note.work.value,
        "by": one.note.by,
        "sensor": one.note.sensor,
        "text": one.note.text,
        "utc_ms": one.header.at_utc_ms,
        "said_utc_ms": one.note.at_utc_ms,
        "run": one.header.run.hex(),
        "n": one.header.n,
    }


def _text(one: Told) -> str:
    said = "" if one.note.at_utc_ms is None else f" (said {_utc(one.note.at_utc_ms)})"
    where = "/".join(part for part in (one.box[1], one.note.sensor) if part)
    words = f"{one.note.work} by {_plain(one.note.by)}: {_plain(one.note.text)}"
    return f"{_utc(one.header.at_utc_ms)}{said}  {where}  {words}"


def _plain(text: str) -> str:
    """Return a text that cannot steer the terminal, whoever wrote it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _utc(ms: int | None) -> str:
    try:
        return "?" if ms is None else f"{dt.datetime.fromtimestamp(ms / 1000, dt.UTC):%F %T}Z"
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
