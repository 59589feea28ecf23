"""Acks, orders, hellos and states that must be refused, each with the reason and what is wrong with it."""

from collections.abc import Iterator

from agent.wire import order
from agent.wire.bodies import Json, encode_body
from agent.wire.order import Order, sign_order
from tests.agent.wire import craft
from tests.agent.wire.craft import ACK_KEY, CITY, EDDSA, NODE, NODE_KEY, NONCE, ORDER_KEY, RUN_A, STRANGER, raw, sign1
from tests.agent.wire.refusals import Refusal


def _center(payload: bytes, purpose: str, **how: object) -> bytes:
    key = {"ack": ACK_KEY, "order": ORDER_KEY}[purpose]
    wanted: dict[str, object] = {"key": key, "aad": ("gardu1", purpose, CITY, NODE), **how}
    return sign1(payload, **wanted)  # type: ignore[arg-type]  # one place for many wrong forms


def acks() -> Iterator[Refusal]:
    """Yield the refused acks, judged with the center's ack key."""
    settled: list[object] = [RUN_A, 1, 3, b"\x33" * 32, []]
    good: dict[int, object] = {1: NONCE, 2: [settled], 3: 1, 4: 262144, 5: 100000, 6: []}

    def ack(**how: object) -> bytes:
        return _center(raw(good), "ack", **how)

    def changed(field: int, value: object) -> bytes:
        return _center(raw({**good, field: value}), "ack")

    yield "ack_stranger", "kid_unknown", "signed by a stranger", ack(key=STRANGER)
    yield "ack_node", "kid_unknown", "signed by the node itself", ack(key=NODE_KEY)
    yield (
        "ack_forged_kid",
        "signature",
        "a stranger who names the center's key",
        ack(key=STRANGER, protected={1: EDDSA, 4: ACK_KEY.kid}),
    )
    yield "ack_other_node", "signature", "an ack for another node", ack(aad=("gardu1", "ack", CITY, "dago-02"))
    yield "ack_other_city", "signature", "an ack for another city", ack(aad=("gardu1", "ack", "surabaya", NODE))
    yield "ack_is_order", "signature", "signed for the purpose order", ack(aad=("gardu1", "order", CITY, NODE))
    yield "ack_trailing", "not_canonical", "a byte after it", ack() + b"\x00"
    yield "ack_oversize", "size", "one byte more than 64 KiB", bytes(65537)
    yield "ack_field_missing", "form", "no rate", _center(raw({k: v for k, v in good.items() if k != 5}), "ack")
    yield "ack_seven_false", "form", "field 7 = false", changed(7, False)
    yield "ack_nonce_short", "form", "a nonce of 15 bytes", changed(1, NONCE[:15])
    yield "ack_range_upside_down", "form", "a range from 5 to 4", changed(2, [[*settled[:4], [[5, 4, b"\x44" * 32]]]])
    yield "ack_stream_unknown", "form", "stream 2", changed(2, [[RUN_A, 2, 3, b"\x33" * 32, []]])
    yield "ack_hash_short", "form", "a hash of 31 bytes", changed(2, [[RUN_A, 1, 3, b"\x33" * 31, []]])
    yield "ack_reason_number", "form", "a reason that is a number", changed(6, [[RUN_A, 1, 3, b"\x33" * 32, 4]])


def orders() -> Iterator[Refusal]:
    """Yield the refused orders, judged with the center's order key."""

    def changed(field: int, value: object) -> bytes:
        good: dict[int, object] = {1: NONCE, 2: b"\x0d" * 16, 3: 60, 4: "config.try", 5: []}
        return _center(raw({**good, field: value}), "order")

    other = Order(nonce=NONCE, id=b"\x0d" * 16, expires_s=60, name="config.try")
    yield (
        "order_other_node",
        "signature",
        "an order for another node",
        sign_order(other, city=CITY, node="dago-02", signer=ORDER_KEY),
    )
    yield (
        "order_ack_key",
        "kid_unknown",
        "signed by the ack key",
        sign_order(other, city=CITY, node=NODE, signer=ACK_KEY),
    )
    yield "order_oversize", "size", "one byte more than 64 KiB", bytes(order.ORDER_BYTES + 1)
    yield "order_name", "form", "a name in capitals", changed(4, "Config.Try")
    yield "order_unsorted", "form", "arguments out of order", changed(5, [["b", "1"], ["a", "2"]])
    yield "order_twice", "form", "an argument twice", changed(5, [["a", "1"], ["a", "2"]])
    yield "order_many", "form", "33 arguments", changed(5, [[f"a{n:02}", ""] for n in range(33)])
    yield "order_expiry", "form", "an expiry of -1 s", changed(3, -1)


def hellos() -> Iterator[Refusal]:
    """Yield the refused pages of hello."""
    chain: list[object] = [RUN_A, 1, 1, 3, 6]

    def hello(
        chains: list[object], *, version: object = 1, nonce: bytes = NONCE, page: int = 1, pages: int = 1
    ) -> bytes:
        return raw([version, nonce, RUN_A, craft.BOOT, page, pages, chains])

    yield "hello_version", "version", "format 2", hello([chain], version=2)
    yield "hello_nonce", "form", "a nonce of 15 bytes", hello([chain], nonce=NONCE[:15])
    yield "hello_page_zero", "form", "pages count from 1", hello([chain], page=0)
    yield "hello_page_beyond", "form", "page 2 of 1", hello([chain], page=2)
    yield "hello_many", "form", "129 chains on a page", hello([chain] * 129)
    yield "hello_upside_down", "form", "a chain from 4 to 3", hello([[RUN_A, 1, 4, 3, 6]])
    yield "hello_oversize", "size", "one byte more than 16 KiB", bytes(16385)
    yield "hello_trailing", "not_canonical", "a byte after it", hello([chain]) + b"\x00"


def states() -> Iterator[Refusal]:
    """Yield the refused states."""
    good: dict[str, Json] = {"v": 1, "online": True, "run": RUN_A.hex(), "version": "0.1.0", "since_boot_ms": 1200}

    def state(**changes: str | int | bool) -> bytes:
        return encode_body({**good, **changes})

    yield "state_version", "version", "format 2", state(v=2)
    yield "state_version_true", "version", "true in the place of 1", state(v=True)
    yield "state_online", "body", "online = 1", state(online=1)
    yield "state_run", "body", "a run in capitals", state(run=RUN_A.hex().upper())
    yield "state_run_text", "body", "a run that is not hex", state(run="run")
    yield "state_since", "body", "since = true", state(since_boot_ms=True)
    yield "state_program", "body", "a number for the version", state(version=1)
    yield "state_oversize", "size", "more than 4 KiB", state(version="x" * 4096)
