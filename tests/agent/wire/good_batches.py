"""The good batches of the vectors: each kind, and batches that belong together."""

import json
from collections.abc import Iterable
from dataclasses import replace

import cbor2

from agent.wire import batch
from agent.wire.batch import Kind, Stream, open_batch
from agent.wire.bodies import ChainSpan, End, Gap, Json, Span, Start, Time
from agent.wire.keys import Signer, Verifier
from agent.wire.records import Note, Outcome, Result, Work, change_key
from agent.wire.senml import Row
from tests.agent.wire.craft import (
    AT_BOOT_MS,
    AT_UTC_MS,
    BOOT,
    CITY,
    NEW_KEY,
    NODE,
    NODE_KEY,
    OLD_BOOT,
    ROWS,
    RUN_A,
    RUN_B,
    RUN_C,
    Chain,
    previous,
    rows,
    sign1,
)

Vector = dict[str, Json]
_LONG = 4096


def octets(value: bytes) -> dict[str, Json]:
    if len(value) > _LONG and len(set(value)) == 1:
        return {"message_hex": value[:1].hex(), "repeat": len(value)}
    return {"message_hex": value.hex()}


def vector_of(name: str, what: str, message: bytes, key: Signer | None, **more: Json) -> Vector:
    public: Json = None if key is None else key.public.hex()
    return {
        "name": name,
        "what": what,
        "city": CITY,
        "node": NODE,
        "public_key_hex": public,
        **octets(message),
        **more,
    }


def header_json(header: batch.Header) -> dict[str, Json]:
    """Return a header as the vectors show it."""
    return {
        "kind": header.kind.value,
        "node": f"{header.city}/{header.node}",
        "stream": header.stream.value,
        "n": header.n,
        "prev": header.prev.hex(),
        "run": header.run.hex(),
        "boot": header.boot.hex(),
        "count": header.count,
        "seq0": header.seq0,
        "moment": [header.at_boot_ms, header.at_utc_ms],
        "clock": header.clock,
        "coding": header.coding.value,
        "digest": header.digest.hex(),
        "origin": None if header.origin is None else header.origin.hex(),
    }


def row_json(row: Row) -> list[Json]:
    """Return a row as the vectors show it."""
    return [row.path, row.unit, row.boot_ms, row.value, list(row.flags)]


def expect_batch(message: bytes) -> dict[str, Json]:
    """Return what a reader finds in a good message."""
    key = Verifier(NODE_KEY.public)
    opened = open_batch(message, city=CITY, node=NODE, find_key={key.kid: key}.get)
    found: dict[str, Json] = {"hash": opened.hash.hex(), "header": header_json(opened.header)}
    if opened.header.kind is Kind.READINGS:
        return {**found, "rows": [row_json(row) for row in opened.rows]}
    body: Json = json.loads(opened.plain)
    return {**found, "body": body}


def _batch(name: str, what: str, message: bytes) -> Vector:
    return vector_of(name, what, message, NODE_KEY, expect=expect_batch(message))


def readings() -> list[Vector]:
    """Kind 0 in all its forms."""
    live = Chain(run=RUN_A, end=End(n=6, hash=b"\x66" * 32, seq=40))
    yard = Chain(run=RUN_A, stream=Stream.ALARM, end=End(n=2, hash=b"\x22" * 32, seq=1))
    lost = Chain(run=RUN_A, end=End(n=1, hash=b"\x11" * 32), at_utc_ms=None)
    mixed = (
        Row(path="listrik/energy", unit="Wh", boot_ms=AT_BOOT_MS - 5000, value=123456),
        Row(path="portal/open", unit="/", boot_ms=AT_BOOT_MS - 4001, value=True),
        Row(path="portal/reason", unit="/", boot_ms=AT_BOOT_MS - 4001, value='gagal: "DNS" — é'),
        Row(path="host/temp", unit="Cel", boot_ms=AT_BOOT_MS, value=-0.125, flags=("stale", "stuck")),
    )
    ed25519 = sign1(replace(live.header(Kind.READINGS, b"[]"), n=9).encode(), protected={1: -19, 4: NODE_KEY.kid})
    stepped = Chain(run=RUN_A, end=End(n=7, hash=b"\x77" * 32, seq=44))
    jump = replace(stepped.header(Kind.READINGS, b"[]"), clock=5)
    return [
        _batch("plain", "three readings, one with a flag, not compressed", live.readings(ROWS, squeeze=False)),
        _batch("deflated", "sixty readings of one channel, raw DEFLATE", live.readings(rows(60))),
        _batch("alarm", "one reading in the alarm stream", yard.readings([ROWS[2]], squeeze=False)),
        _batch(
            "every_value", "an integer, a boolean, a text, a negative fraction with two flags", live.readings(mixed)
        ),
        _batch("empty", "a batch without readings: the node is alive", live.readings([])),
        _batch("clock_unknown", "readings of a node that does not know the time", lost.readings(ROWS)),
        _batch("clock_stepped", "clock 1 + 4: held over, and it stepped", stepped.put(jump, b"[]", 0)),
        _batch("algorithm_ed25519", "algorithm -19 (RFC 9864) is accepted", cbor2.dumps([1, ed25519, b"[]"])),
    ]


def kinds() -> list[Vector]:
    """Kinds 1 to 6."""
    first = Chain(run=RUN_A)
    old = Chain(run=RUN_A, boot=OLD_BOOT, end=End(n=9, hash=b"\x99" * 32))
    takeover = Start(
        previous=replace(previous(old, clean=False, seq=480), alarm=End(n=2, hash=b"\x22" * 32, seq=1)),
        taken_over=(Span(origin=RUN_A, first=471, last=480), Span(origin=RUN_C, first=12, last=15)),
        torn_bytes=17,
        damaged_frames=1,
        restarts=3,
        version="0.1.0",
        slot="a",
        config_hash="c0" * 32,
        config='{"node":"dago-01"}',
    )
    gap = Gap(
        chains=(ChainSpan(run=RUN_A, first=3, last=5, prev=b"\x22" * 32, hash=b"\x55" * 32),),
        rows=(Span(origin=RUN_A, first=21, last=140),),
        from_utc_ms=AT_UTC_MS - 900_000,
        to_utc_ms=AT_UTC_MS - 600_000,
        reason="full",
    )
    time = Time(boot=BOOT, at_boot_ms=AT_BOOT_MS, at_utc_ms=AT_UTC_MS, uncertainty_ms=40, source="kernel")
    mid = Chain(run=RUN_B, end=End(n=6, hash=b"\x66" * 32, seq=40))
    alarm = Chain(run=RUN_B, stream=Stream.ALARM, end=End(n=1, hash=b"\x11" * 32))
    change = change_key(NEW_KEY, old=NODE_KEY.public, city=CITY, node=NODE)
    note = Note(work=Work.CLEAN, by="Asep", sensor="air", text="inlet brushed")
    result = Result(
        id=b"\x0d" * 16,
        order="config.try",
        outcome=Outcome.FAILED,
        attempted="c1" * 32,
        running="c0" * 32,
        reason="sensor air did not sample",
    )
    return [
        _batch("start_first", "the start of a node's first run", first.start()),
        _batch(
            "start_after_crash",
            "a start that names its predecessor and takes rows over",
            Chain(run=RUN_B).start(takeover),
        ),
        _batch(
            "gap", "three batches with 120 rows gone because the spool was full", mid.record(Kind.GAP, gap.encode())
        ),
        _batch("time", "UTC at a moment of a boot", mid.record(Kind.TIME, time.encode())),
        _batch("key", "a change of the signing key", alarm.record(Kind.KEY, change.encode())),
        _batch("note", "what a technician did", alarm.record(Kind.NOTE, note.encode())),
        _batch("result", "what became of an order", alarm.record(Kind.RESULT, result.encode())),
    ]


def _story(name: str, what: str, messages: Iterable[bytes], report: list[Json]) -> Vector:
    return {
        "name": name,
        "what": what,
        "city": CITY,
        "node": NODE,
        "public_key_hex": NODE_KEY.public.hex(),
        "messages_hex": [message.hex() for message in messages],
        "expect": report,
    }


def _line(run: bytes, **facts: Json) -> dict[str, Json]:
    return {"run": run.hex(), "stream": 1, "findings": [], **facts}


def chains() -> list[Vector]:
    """Several messages that belong together; ``expect`` is what the ledger says of each chain with a batch."""
    one = Chain(run=RUN_A)
    three = [one.start(), one.readings(rows(5)), one.readings(rows(5, first_ms=AT_BOOT_MS - 30_000))]

    holed = Chain(run=RUN_A)
    kept = [holed.start(), holed.readings(rows(5))]
    before = holed.end
    for minute in range(3):
        holed.readings(rows(20, first_ms=minute * 60_000))
    lost = ChainSpan(run=RUN_A, first=before.n + 1, last=holed.end.n, prev=before.hash, hash=holed.end.hash)
    gap = Gap(
        chains=(lost,),
        rows=(Span(origin=RUN_A, first=before.seq + 1, last=holed.end.seq),),
        from_utc_ms=None,
        to_utc_ms=None,
        reason="full",
    )
    kept.append(holed.record(Kind.GAP, gap.encode()))

    dead = Chain(run=RUN_A, boot=OLD_BOOT)
    first_life = [dead.start(), dead.readings(rows(4))]
    taken = Span(origin=RUN_A, first=5, last=8)
    heir = Chain(run=RUN_B)
    second_life = [
        heir.start(
            Start(previous=previous(dead, clean=False, seq=8), taken_over=(taken,), restarts=0, version="0.1.0")
        ),
        heir.taken_over(rows(4, first_ms=9000), origin=RUN_A, boot=OLD_BOOT, seq0=5),
        heir.readings(rows(2)),
    ]

    again = Chain(run=RUN_A)
    pieces = [again.start(), again.readings(rows(2))]
    before = again.end
    again.readings(rows(9, first_ms=9000))
    large = again.end
    pieces += [
        again.taken_over(rows(5, first_ms=9000), origin=RUN_A, boot=BOOT, seq0=3),
        again.taken_over(rows(4, first_ms=14_000), origin=RUN_A, boot=BOOT, seq0=8),
    ]
    named = ChainSpan(run=RUN_A, first=large.n, last=large.n, prev=before.hash, hash=large.hash)
    too_large = Gap(chains=(named,), rows=(), from_utc_ms=None, to_utc_ms=None, reason="too_large")
    pieces.append(again.record(Kind.GAP, too_large.encode()))

    card = Chain(run=RUN_A)
    on_card = [card.start(), card.readings(rows(4))]
    memory = Chain(run=RUN_B)
    volatile = Start(
        previous=previous(card, clean=False, seq=6),
        taken_over=(Span(origin=RUN_A, first=5, last=8),),
        version="0.1.0",
        volatile=True,
    )
    in_memory = [
        memory.start(volatile),
        memory.taken_over(rows(4, first_ms=9000), origin=RUN_A, boot=BOOT, seq0=5),
        memory.readings(rows(2)),
    ]
    shown_later = card.readings(rows(4, first_ms=9000))
    return [
        _story("three", "a start and two batches", three, [_line(RUN_A, stored=[[1, 3]], settled=[[1, 10]], taken=10)]),
        _story(
            "gap",
            "n 3 to 5 were never sent; the gap at n 6 says so and fits both neighbours",
            kept,
            [
                _line(
                    RUN_A,
                    stored=[[1, 2], [6, 6]],
                    in_gaps=[[3, 5]],
                    settled=[[1, 5]],
                    gap_rows=[[6, 65]],
                    taken=65,
                )
            ],
        ),
        _story(
            "two_runs",
            "a killed run, and the next one that names both its ends and seals the rows it left (origin)",
            [*first_life, *second_life],
            [
                _line(RUN_A, stored=[[1, 2]], settled=[[1, 8]], taken=8, clean=False),
                _line(RUN_B, stored=[[1, 3]], settled=[[1, 2]], taken=2, predecessor=RUN_A.hex()),
            ],
        ),
        _story(
            "sealed_again",
            "no broker takes n 3: n 4 and 5 hold its rows (origin = their own run), the gap at n 6 names n 3 alone",
            pieces,
            [_line(RUN_A, stored=[[1, 2], [4, 6]], in_gaps=[[3, 3]], settled=[[1, 11]], taken=11)],
        ),
        _story(
            "in_memory",
            "the card refuses: a run in memory names what it owned up to and seals the rest; later the card has it too",
            [*on_card, *in_memory, shown_later],
            [
                _line(RUN_A, stored=[[1, 3]], settled=[[1, 8]], taken=8, clean=False),
                _line(RUN_B, stored=[[1, 3]], settled=[[1, 2]], taken=2, predecessor=RUN_A.hex()),
            ],
        ),
        _story(
            "hole",
            "n 2 is missing and nothing says why",
            [three[0], three[2]],
            [
                _line(
                    RUN_A, stored=[[1, 1], [3, 3]], missing=[[2, 2]], settled=[[6, 10]], missing_rows=[[1, 5]], taken=10
                )
            ],
        ),
        _story(
            "wrong_link",
            "n 3 continues another n 2 than the one that is here",
            [three[0], _other(one.run), three[2]],
            [
                {
                    **_line(RUN_A, stored=[[1, 3]], settled=[[1, 10]], taken=10),
                    "findings": [[3, "link"]],
                }
            ],
        ),
    ]


def _other(run: bytes) -> bytes:
    again = Chain(run=run)
    again.start()
    again.at_boot_ms += 1
    return again.readings(rows(5))
