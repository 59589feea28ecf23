"""The good acks, orders, hellos and states of the vectors."""

import json
from dataclasses import replace

from agent.wire import batch, hello
from agent.wire.ack import Ack, Range, Refused, Settled, sign_ack
from agent.wire.batch import Stream
from agent.wire.bodies import Json
from agent.wire.order import Order, sign_order
from agent.wire.records import State
from tests.agent.wire.craft import (
    ACK_KEY,
    AT_UTC_MS,
    BOOT,
    CITY,
    NODE,
    NONCE,
    ORDER_KEY,
    RUN_A,
)
from tests.agent.wire.good_batches import Vector, vector_of


def center() -> list[Vector]:
    """What the center signs."""
    told = Ack(
        nonce=NONCE,
        settled=(Settled(run=RUN_A, stream=Stream.TELEMETRY, n=41, hash=b"\x41" * 32),),
        center_utc_ms=AT_UTC_MS,
        window_bytes=262_144,
        rate_bytes_per_s=100_000,
    )
    answer = replace(
        told,
        settled=(
            Settled(run=RUN_A, stream=Stream.ALARM, n=0, hash=batch.NO_HASH),
            Settled(
                run=RUN_A,
                stream=Stream.TELEMETRY,
                n=41,
                hash=b"\x41" * 32,
                ranges=(Range(first=45, last=60, hash=b"\x60" * 32), Range(first=70, last=70, hash=b"\x70" * 32)),
            ),
        ),
        refused=(Refused(run=RUN_A, stream=Stream.TELEMETRY, n=43, hash=b"\x43" * 32, reason="count"),),
        answers_hello=True,
    )
    order = Order(nonce=NONCE, id=b"\x0d" * 16, expires_s=600, name="config.try", arguments={"b": "2", "a": "1"})
    said: dict[str, Json] = {
        "nonce": NONCE.hex(),
        "settled": [[RUN_A.hex(), 1, 41, "41" * 32, []]],
        "center_utc_ms": AT_UTC_MS,
        "window_bytes": 262_144,
        "rate_bytes_per_s": 100_000,
        "refused": [],
        "answers_hello": False,
    }
    answered: Json = {
        **said,
        "settled": [
            [RUN_A.hex(), 0, 0, "00" * 32, []],
            [RUN_A.hex(), 1, 41, "41" * 32, [[45, 60, "60" * 32], [70, 70, "70" * 32]]],
        ],
        "refused": [[RUN_A.hex(), 1, 43, "43" * 32, "count"]],
        "answers_hello": True,
    }
    ordered: Json = {
        "nonce": NONCE.hex(),
        "id": "0d" * 16,
        "expires_s": 600,
        "name": "config.try",
        "arguments": {"a": "1", "b": "2"},
    }
    return [
        vector_of(
            "ack",
            "all up to n 41 is settled",
            sign_ack(told, city=CITY, node=NODE, signer=ACK_KEY),
            ACK_KEY,
            type="ack",
            expect=said,
        ),
        vector_of(
            "ack_answer",
            "the answer to a hello: an unknown chain, ranges above n, a batch refused for good",
            sign_ack(answer, city=CITY, node=NODE, signer=ACK_KEY),
            ACK_KEY,
            type="ack",
            expect=answered,
        ),
        vector_of(
            "order",
            "try a configuration",
            sign_order(order, city=CITY, node=NODE, signer=ORDER_KEY),
            ORDER_KEY,
            type="order",
            expect=ordered,
        ),
    ]


def unsigned() -> list[Vector]:
    """Hello and state."""
    few = [
        hello.Chain(run=RUN_A, stream=Stream.ALARM, first=1, last=2, last_seq=1),
        hello.Chain(run=RUN_A, stream=Stream.TELEMETRY, first=38, last=60, last_seq=4711),
    ]
    many = [
        hello.Chain(run=bytes([i]) * 16, stream=Stream(s), first=1, last=i + 1, last_seq=i)
        for i in range(70)
        for s in (0, 1)
    ]
    found = [_hello("hello", "two chains of the run that speaks", few, 0)]
    found += [_hello(f"hello_page_{page + 1}", "140 chains on two pages", many, page) for page in range(2)]
    found.append(_hello("hello_empty", "nothing on disk yet", [], 0))
    state = State(online=True, run=RUN_A, version="0.1.0", since_boot_ms=12_345)
    gone = replace(state, online=False)
    for name, one in (("state", state), ("state_will", gone)):
        body: Json = json.loads(one.encode())
        found.append(vector_of(name, "the retained state", one.encode(), None, type="state", expect=body))
    return found


def _hello(name: str, what: str, held: list[hello.Chain], page: int) -> Vector:
    pages = hello.encode_hello(NONCE, RUN_A, BOOT, held)
    part = held[page * hello.CHAINS_PER_PAGE : (page + 1) * hello.CHAINS_PER_PAGE]
    said: Json = {
        "nonce": NONCE.hex(),
        "run": RUN_A.hex(),
        "boot": BOOT.hex(),
        "page": page + 1,
        "pages": len(pages),
        "chains": [[c.run.hex(), c.stream.value, c.first, c.last, c.last_seq] for c in part],
    }
    return vector_of(name, what, pages[page], None, type="hello", expect=said)
